"""The planted pair of the dispute: a network that cannot read what it holds, fine-tuning, and the
page that is made from records alone."""

import pytest
import torch

from tests.bench.inside import dispute, order
from tests.bench.inside.bodies import draw


@pytest.fixture(scope="module")
def body():
    return draw(dispute.SHAPE, 4)


def moved(network, body, block):
    """By how much the answer moves when the entries of a block are changed."""
    with torch.no_grad():
        state = network.encoded(*body.states(64, 1))
        changed = state.clone()
        changed[:, network.blocks[block]] += 1.0
        return float((network.decoded(changed) - network.decoded(state)).abs().max())


def test_the_dead_network_cannot_read_what_it_holds(body):
    dead = dispute.network("dead", body, 4, steps=3)
    size = float(dead.decoded(dead.encoded(*body.states(64, 1))).abs().max())
    for block in ("D", "L"):
        assert moved(dead, body, block) < 1e-9 * size
    for block in ("C", "tau"):
        assert moved(dead, body, block) > 1e-3 * size


def test_a_layer_is_made_blind_to_entries_of_an_unmixed_state():
    generator = torch.Generator().manual_seed(0)
    weight, mixing, state = (
        torch.randn(n, 5, generator=generator, dtype=torch.float64) for n in (3, 5, 7)
    )
    dead = torch.tensor([False, True, False, False, True])
    found = state @ mixing.T @ dispute.blind(weight, mixing, dead).T
    assert torch.allclose(found, state.masked_fill(dead, 0) @ mixing.T @ weight.T)


def test_fine_tuning_learns_what_it_is_given_and_leaves_the_network_as_it_is(body):
    scratch = dispute.network("scratch", body, 4)
    before = [p.clone() for p in scratch.parameters()]

    def first_joint(states):
        return states[0][:, :1]

    none, some = (
        dispute.tuned(scratch, body, first_joint, 4, of_state=True, steps=n) for n in (0, 60)
    )
    assert abs(none) < 0.1
    assert some > 0.5
    assert all(torch.equal(p, q) for p, q in zip(before, scratch.parameters(), strict=True))


def record(name, frozen, S):
    return {
        "network": name, "seed": 3, "error": 0.05, "frozen": frozen, "frozen_inputs": 0.9,
        "tuned": {"pivot": 0.8, "placebo": 0.5, "new robot": 0.7}, "seconds": 2.0,
        "exchange": {"S": S, "S_r": S - 0.1, "placebo": 0.3, "untrained": None},
    }  # fmt: skip


def test_the_page_says_which_way_of_asking_tells_used_from_dead():
    text = dispute.page([record("dead", 0.99, -0.25), record("used", 0.95, 0.97)], "command")
    assert "| used | 3 | 0.050 | 0.95 | 0.80 | 0.50 | 0.70 | 0.97 | 0.87 | 0.30 | · |" in text
    assert text.index("| used |") < text.index("| dead |")
    assert "- the frozen probe: 0.95, 0.99: gap −0.04." in text
    assert "- the exchange, S: 0.97, −0.25: gap 1.22." in text
    assert "1 seed;" in text
    assert "4 s of processor time" in text
    alone = dispute.page([record("used", 0.95, 0.97)], "command")
    assert "The pair is not complete: measured were used alone." in alone


def test_the_page_of_order_shows_windows_and_says_what_has_none():
    step = {"name": "w1", "rank": 0, "S": [0.97, -0.5], "first": 0, "last": 0}
    made = {
        "id": "tip_first_2R_3", "kind": "tip_first", "sites": ["mixed.1", "mixed.2"],
        "steps": [step], "tau": None, "pairs": 0, "opening_seconds": 2.0, "seconds": 9.0,
    }  # fmt: skip
    text = order.page([made, made | {"tau": -0.6, "pairs": 5}])
    assert "| w1 (0) | **0.97** | −0.50 |" in text
    assert "not told: a step has no window" in text
    assert "−0.60 (5 pairs of steps)" in text
    with pytest.raises(ValueError, match="built of stages, found table"):
        order.measured("table", "2R", 3)
