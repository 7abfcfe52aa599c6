"""Scores of claims about planted networks, bounds with kinds left out, and what probes and patches
of either kind can tell: on made-up records and on small exact plants."""

import math
import random

import pytest

from discover.inside.claims import claims
from discover.inside.records import Row
from discover.judgement.thresholds import threshold
from tests.bench.inside import __main__ as bench
from tests.bench.inside import bounds, patching, scoring, staged, zoo


def record(kind, *, S=0.5, used=True, truth=True, said="none", there="none", flags=(), found=()):
    return {
        "id": kind, "kind": kind, "shape": "3R", "seed": 0, "condition": 1.0, "error": 0.0,
        "seconds": 1.0, "words": ["uses H: yes. As H does."], "variables": ["roles", "factors"],
        "truth": {"roles": {"H": truth, "C": None}, "factorisation": there, "recursion": None,
                  "flags": list(flags)},
        "claims": {"uses": {"H": used, "C": True}, "factorisation": said, "recursion": False,
                   "flags": list(found)},
        "table": [{"variable": "H", "factorisation": None, "S": S, "placebo": None, "S_r": None,
                   "untrained": None}],
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


def told(kind, strength, truth, seed=5):
    made = record(kind) | {"seed": seed}
    return bounds.Trial(made, "H", strength, truth)


def test_a_bound_separates_and_prefers_misses_to_false_claims():
    apart = [told("a", x, x > 0.5) for x in (0.1, 0.3, 0.8, 0.9)]
    assert bounds.fitted(apart) == pytest.approx(0.55)
    # one false value above two true ones: five misses would be as dear as the false claim
    mixed = [told("a", x, x != 0.8) for x in (0.6, 0.7, 0.8, 0.95)]
    assert bounds.fitted(mixed) == pytest.approx(0.875)
    assert bounds.fitted([told("a", x, False) for x in (0.9, 0.1)]) == math.inf
    # what a guard forbids is claimed at no bound
    assert bounds.fitted([told("a", bounds.NEVER, False), told("a", 0.9, True)]) == pytest.approx(
        0.4
    )


def test_the_kind_left_out_has_no_say_in_its_bound():
    rows = [told("used", 0.9, True), told("dead", 0.2, False)]
    rows += [told("odd", 0.95, False), told("other", 0.92, True)]
    by_kind = {t.record["kind"]: at for t, at in bounds.left_out(rows)}
    assert by_kind["odd"] == pytest.approx(0.55)  # the false claim that others foretell
    assert by_kind["used"] > 0.95  # with "odd" among the others nothing is safe


def zoo_of(true=0.97, false=0.4, kinds=10, seeds=(5, 6)):
    """Records whose dormant paths lose so much S, half of the kinds with one."""
    rows = []
    for k in range(kinds):
        for seed in seeds:
            dormant = bool(k % 2)
            made = record(f"kind {k}", flags=["dormant"] if dormant else [])
            made["table"][0] |= {"S": 0.0, "S_all": true if dormant else false}
            rows.append(made | {"seed": seed, "id": f"{k} {seed}"})
    return rows


def test_a_bound_is_confirmed_adopted_or_refuted_by_the_rule():
    flag = next(b for b in bounds.claims() if b.bound == "flagged")  # in force: 0.1
    assert bounds.outcome(zoo_of(false=0.05), flag).word == "confirmed"
    adopted = bounds.outcome(zoo_of(), flag)
    assert (adopted.word, adopted.bound) == ("adopted", pytest.approx(0.685))
    assert adopted.before.false == 10
    loud = zoo_of()
    loud[0]["table"][0]["S_all"] = 0.99  # left out, the others' bound lets it pass
    refuted = bounds.outcome(loud, flag)
    assert (refuted.word, refuted.bound) == ("refuted", 0.1)
    quiet = zoo_of(false=0.01)
    for row in quiet[2:6:3]:
        row["table"][0]["S_all"] = (
            0.005  # below what others without a path lose: in no bound's reach
        )
    cautious = bounds.outcome(quiet, flag)
    assert (cautious.word, cautious.before.overlooked) == ("confirmed", 1)
    for row in quiet[6:8]:
        row["table"][0]["S_all"] = 0.005
    cautious = bounds.outcome(quiet, flag)
    assert (cautious.word, cautious.before.false) == ("cautious", 0)


def test_plants_that_were_seen_or_are_few_calibrate_nothing():
    flag = next(b for b in bounds.claims() if b.bound == "flagged")
    assert bounds.outcome(zoo_of(seeds=(1, 2)), flag).before.trials == 0
    assert bounds.outcome(zoo_of(seeds=(1, 2)), flag).word == "not calibrated"
    assert bounds.outcome(zoo_of(kinds=6, seeds=(5, 6, 7)), flag).word == "not calibrated"
    assert bounds.outcome(zoo_of(seeds=(5,)), flag).word == "not calibrated"


@pytest.mark.parametrize("seed", range(40))
def test_the_strength_of_a_claim_says_what_the_instrument_says(seed):
    draw = random.Random(seed)
    numbers = {
        "S": draw.uniform(0.85, 1.0), "placebo": draw.choice([None, 0.3, 0.7]),
        "untrained": draw.choice([None, 0.2, 0.9]), "ceiling": draw.choice([None, 0.1, 0.8]),
    }  # fmt: skip
    rows = [Row(site="s", variable="H", kind="role", factorisation=None, **numbers)]
    names = ("tip-first", "base-first", "cofactors")
    rows += [
        Row(site="s", variable=f"pivots, {n}", kind="factor", factorisation=n, S=0.9,
            S_r=draw.choice([0.5, 0.92, 0.97]), contrast=draw.choice([0.01, 0.5]))
        for n in names
    ]  # fmt: skip
    said = {(c.kind, c.subject): c.answer == "yes" for c in claims(rows, [], names)}
    made = record("a") | {"table": [r.to_dict() for r in rows]}
    assert said["uses", "H"] == (bounds.uses(made, "H") >= threshold("inside.uses"))
    for n in names:
        assert said["follows", n] == (bounds.follows(made, n) >= threshold("inside.follows"))


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
    assert "| uses H | 0 | 0 | | | | | not calibrated | |" in text  # seeds that were seen
    assert "No plant of a seed from 3 on has been run" in text


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
