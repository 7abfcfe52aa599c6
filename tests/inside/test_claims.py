"""Claims and windows from numbers alone."""

import pytest

from discover.inside.claims import claims
from discover.inside.records import NO, OPEN, YES, Row
from discover.inside.windows import kendall, window

GOOD = {"S": 0.97, "S_all": 0.97, "placebo": 0.4, "untrained": 0.6, "ceiling": 0.1}


def role(variable="H", **numbers):
    return Row(site="h2", variable=variable, kind="role", factorisation=None, **numbers)


def factor(order, S_r, contrast=0.5):
    row = {"site": "h2", "variable": f"pivots, {order}", "kind": "factor", "factorisation": order}
    return Row(**row, S=0.99, S_r=S_r, contrast=contrast)


@pytest.mark.parametrize(
    ("changed", "answer", "said"),
    [
        ({}, YES, "can be swapped apart"),
        ({"S": 0.8, "S_all": 0.8}, NO, "No exchange moves"),
        ({"S": 0.3, "S_all": 0.95}, OPEN, "dormant or a duplicate"),
        ({"placebo": 0.7}, OPEN, "placebo control"),
        ({"untrained": 0.95}, OPEN, "untrained control"),
        ({"ceiling": 0.8}, OPEN, "a table can do the same"),
        ({"ceiling": 0.8, "S": 0.995, "S_all": 0.995}, YES, "can be swapped apart"),
        ({"start": "probe, wide"}, YES, "unused beside it"),
        ({"placebo": None}, OPEN, "no placebo"),
    ],
)
def test_use_needs_the_exchange_and_every_control(changed, answer, said):
    (found,) = claims([role(**{**GOOD, **changed})], [], [])
    assert (found.kind, found.answer) == ("uses", answer)
    assert said in found.words


@pytest.mark.parametrize(
    ("tip", "base", "contrast", "answer"),
    [
        (0.99, 0.3, 0.5, YES),
        (0.9, 0.3, 0.5, NO),
        (0.99, 0.93, 0.5, OPEN),
        (0.99, 0.3, 0.001, OPEN),
    ],
)
def test_a_factorisation_is_followed_only_beside_rivals_that_are_not(tip, base, contrast, answer):
    rows = [factor("tip-first", tip, contrast), factor("base-first", base)]
    found = {(c.kind, c.subject): c for c in claims(rows, [], ["tip-first", "base-first"])}
    assert found["follows", "tip-first"].answer == answer
    assert found["follows", "base-first"].answer == NO or base > 0.95
    if answer != YES:
        assert found["implements", "a recursion"].answer == NO


def opening(firsts, ranks):
    """Windows that open at these sites of five and close at the last."""
    return [
        window(f"x{k}", "tip-first", rank, "abcde", [0.2] * first + [0.99] * (5 - first))
        for k, (first, rank) in enumerate(zip(firsts, ranks, strict=True))
    ]


@pytest.mark.parametrize(
    ("firsts", "tau", "answer"),
    [
        ([0, 1, 2, 3], 1.0, YES),
        ([3, 2, 1, 0], -1.0, NO),
        ([1, 1, 1, 1], 0.0, NO),
        ([0, 2, 1, 3], 2 / 3, NO),
        ([0, 1, 2, 5], None, OPEN),  # the last has no window
    ],
)
def test_a_recursion_needs_the_order(firsts, tau, answer):
    windows = opening(firsts, [0, 1, 2, 3])
    assert kendall(windows)[0] == (None if tau is None else pytest.approx(tau))
    rows = [factor("tip-first", 0.99), factor("base-first", 0.2)]
    found = claims(rows, windows, ["tip-first", "base-first"])
    assert next(c for c in found if c.kind == "implements").answer == answer


def test_a_window_is_the_longest_run():
    found = window("D1", None, None, "abcdef", [0.99, 0.2, 0.97, 0.96, None, 0.99])
    assert (found.first, found.last) == (2, 3)


def test_what_controls_hold_too_is_not_encoded():
    rows = [
        role("H", r2=0.99, r2_control=0.8, r2_untrained=0.9),
        role("C", r2=0.99, r2_control=0.985, r2_untrained=0.9),
    ]
    found = {c.subject: c for c in claims(rows, [], []) if c.kind == "encodes"}
    assert found["H"].answer == YES
    assert "nothing of use" in found["H"].words
    assert found["C"].answer == NO
