"""Scores of claims about planted networks, bounds with kinds left out, and what probes and patches
of either kind can tell: on made-up records and on small exact plants."""

import math

import pytest

from tests.bench.inside import __main__ as bench
from tests.bench.inside import patching, scoring, staged, zoo


def record(kind, *, S=0.5, used=True, truth=True, said="none", there="none", flags=(), found=()):
    return {
        "id": kind, "kind": kind, "shape": "3R", "seed": 0, "condition": 1.0, "error": 0.0,
        "seconds": 1.0, "words": ["uses H: yes. As H does."], "variables": ["roles", "factors"],
        "truth": {"roles": {"H": truth, "C": None}, "factorisation": there, "recursion": None,
                  "flags": list(flags)},
        "claims": {"uses": {"H": used, "C": True}, "factorisation": said, "recursion": False,
                   "flags": list(found)},
        "table": [{"variable": "H", "factorisation": None, "S": S, "placebo": None, "S_r": None}],
    }  # fmt: skip


def test_only_what_construction_decides_is_scored():
    assert scoring.answers(record("a")) == {
        "uses H": (True, True), "factorisation": ("none", "none"), "dormant": (False, False),
    }  # fmt: skip
    open_ = record("b", truth=None, there=None)
    assert scoring.answers(open_) == {}
    assert "dormant" not in scoring.answers(record("c", flags=["duplicate"], found=["dormant"]))
    unmeasured = record("d", there="tip-first") | {"variables": ["roles"]}
    assert "factorisation" not in scoring.answers(unmeasured)


@pytest.mark.parametrize(
    ("truth", "claim", "right", "alarm"),
    [
        ("tip-first", "tip-first", True, False),
        ("tip-first", "undetermined", False, False),
        ("tip-first", "base-first", False, True),
        ("none", "undetermined", True, False),
        ("none", "cofactors", False, True),
    ],
)
def test_a_factorisation_is_named_missed_or_falsely_named(truth, claim, right, alarm):
    assert scoring.right("factorisation", truth, claim) == right
    assert scoring.false_alarm("factorisation", truth, claim) == alarm


def test_a_bound_separates_and_prefers_misses_to_false_alarms():
    assert scoring.bound([0.1, 0.3, 0.8, 0.9], [False, False, True, True]) == pytest.approx(0.55)
    # one false value above two true ones: five misses would be as dear as the false alarm
    assert scoring.bound([0.6, 0.7, 0.8, 0.95], [True, True, False, True]) == pytest.approx(0.875)
    assert scoring.bound([0.9, 0.1], [False, False]) == math.inf


def test_the_kind_left_out_has_no_say_in_its_bound():
    rows = [record("used", S=0.9), record("dead", S=0.2, truth=False)]
    rows += [record("odd", S=0.95, truth=False), record("other", S=0.92)]
    told = scoring.left_out(
        rows, lambda r: scoring.best(r, "H", "S"), lambda r: r["truth"]["roles"]["H"]
    )
    by_kind = {r["kind"]: (bound, said) for r, bound, said, _ in told}
    assert by_kind["odd"] == (pytest.approx(0.55), True)  # the false alarm that others foretell
    assert by_kind["used"][0] > 0.95  # with "odd" among the others nothing is safe


def test_a_bound_is_adopted_on_other_seeds_than_it_was_chosen_on():
    number = scoring._numbers()[0]
    rows = [
        record("used" if k % 4 < 2 else "dead", S=0.9 if k % 4 < 2 else 0.3, truth=k % 4 < 2)
        | {"seed": k}
        for k in range(60)
    ]
    assert scoring.adoption(rows, number) == "adopt 0.6: 100% of 30 right, 0 false alarms"
    assert "not calibrated" in scoring.adoption(rows[:40], number)
    loud = [r | {"table": record("x", S=0.95)["table"]} if r["seed"] == 2 else r for r in rows]
    assert scoring.adoption(loud, number).startswith("not adopted")


def test_the_report_lists_every_miss(tmp_path):
    rows = [
        record("quiet", truth=False, used=False),
        record("loud", truth=False, used=True, said="tip-first"),
        record("broken") | {"failed": "no sites", "claims": {}, "table": []},
    ]
    text = scoring.report(rows, tmp_path, "command", ["loud", "unseen"]).read_text()
    assert "3 plants measure no rate.** Kinds that were not run: unseen." in text
    assert "- loud: uses H: built in no, said yes. *uses H: yes. As H does.*" in text
    assert "- loud: factorisation: built in none, said tip-first" in text
    assert "- quiet:" not in text
    assert "- broken: no sites" in text
    assert "| uses H | 2 | 1 (50%) | 1 | 0 |" in text
    assert "- S(H), uses H: not calibrated" in text


def test_what_the_budget_did_not_reach_claims_nothing():
    assert bench.recursion(["not shown", "undetermined"]) == "undetermined"
    assert bench.recursion(["undetermined", "yes"]) is True
    assert bench.recursion([]) is False
    assert scoring.right("recursion", False, "undetermined")
    assert not scoring.right("recursion", True, "undetermined")
    assert not scoring.false_alarm("recursion", True, "undetermined")


def test_every_kind_meets_every_shape_in_turn():
    listed = bench.listed("all", "turn", "0,1,2,3")
    assert len(listed) == 4 * len(zoo.KINDS)
    for kind in zoo.KINDS:
        assert len({shape for k, shape, _ in listed if k == kind}) == 4
    assert bench.listed("none", "turn", "0") == []
    assert bench.listed("table", "2R,3R", "5") == [("table", "2R", 5), ("table", "3R", 5)]


def pairs_at(plant, site):
    """Training and test pairs at a mixed state, and how the answer follows from it."""
    network = plant.network

    def state(seed, count):
        return network.mixed[site](
            staged.pack(network.states(*plant.body.states(count, seed))[site])
        )

    def after(flat):
        return network.after(site, staged.unpack(network.unmixed[site](flat), network.shapes[site]))

    train, test = (
        patching.Pairs(
            state(b, count),
            state(b + 1, count),
            *patching.pivots_change(plant.body, "tip-first", b, b + 1, count),
        )
        for b, count in ((1, 800), (3, 400))
    )
    return train, test, after


def test_an_oblique_patch_finds_what_an_orthogonal_one_does_not():
    plant = zoo.plant("tip_first", "3R", 3, condition=10.0)
    train, test, after = pairs_at(plant, 4)
    assert patching.interchange(after, train, test, oblique=True, steps=150) > 0.95
    assert patching.interchange(after, train, test, oblique=False, steps=150) < 0.5


def test_a_probe_does_not_tell_a_used_variable_from_a_dead_one():
    used, dead = zoo.plant("tip_first", "3R", 3), zoo.plant("null_space", "3R", 3)
    scores = {}
    for plant, site in ((used, 4), (dead, 2)):
        train, test, after = pairs_at(plant, site)
        assert patching.decoded(train.base, train.value[:, -1]) > 0.99
        scores[plant.kind] = patching.interchange(after, train, test, oblique=True, steps=150)
    assert scores["tip_first"] > 0.9
    assert scores["null_space"] < 0.1


def test_the_named_sites_exist():
    for kind in (
        "articulated",
        "duplicate",
        "dormant",
        "shuffled",
        "untrained",
        "table",
        "experts",
    ):
        plant = zoo.plant(kind, "3R", 3)
        names = dict(plant.network.named_modules())
        assert plant.sites
        assert all(s in names for s in plant.sites)
