"""Numbers read well at every size, and labels never overlap."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discover.report import numbers
from discover.report.style import spread


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (0.0, "0"),
        (1.0, "1.00"),
        (-0.25, "−0.250"),
        (1234.0, "1,234"),
        (3.14e-9, "3.1·10⁻⁹"),
        (9.97e-9, "1.0·10⁻⁸"),
        (math.inf, "∞"),
        (math.nan, "–"),
        (None, "–"),
    ],
)
def test_number(x: float | None, text: str) -> None:
    assert numbers.number(x) == text


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (0.008, "0.80 %"),
        (0.48, "48 %"),
        (3.63, "363 %"),
        (2e-9, "2·10⁻⁹"),
        (5e4, "50,000 times its size"),
        (math.inf, "no finite answer"),
    ],
)
def test_relative(x: float, text: str) -> None:
    assert numbers.relative(x) == text


def test_reach_says_where_the_search_ended() -> None:
    assert numbers.half_widths(3.0, 3.0) == "≥ 3.00"
    assert numbers.half_widths(1.3, 3.0) == "1.30"


@pytest.mark.parametrize(("words", "text"), [([], ""), (["a"], "a"), (list("abc"), "a, b and c")])
def test_listing(words: list[str], text: str) -> None:
    assert numbers.listing(words) == text


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.01, 0.2))
def test_labels_keep_their_order_and_their_distance(places: list[float], gap: float) -> None:
    laid = spread(sorted(places), gap)
    assert all(b - a > gap - 1e-9 for a, b in itertools.pairwise(laid))
    assert sum(laid) == pytest.approx(sum(places))


def test_labels_that_do_not_collide_stay() -> None:
    assert spread([0.1, 0.5, 0.9], 0.1) == [0.1, 0.5, 0.9]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0.29999999999999999*tanh(2*v1)", "0.3*tanh(2*v1)"),
        ("Eq(a1_answered, 30.000000000000021*tanh(a1))", "a1_answered = 30*tanh(a1)"),
        ("q10**2.5000000001 + 1.23456789e-12", "q10**2.5 + 1.2346e-12"),
        ("phi1(v2)", "phi1(v2)"),
    ],
)
def test_formulas_as_text_are_short(text, told):
    assert numbers.short_formula(text) == told
