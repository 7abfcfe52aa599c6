"""The verdict is a function of stored numbers, and each kind of evidence can turn it."""

import math

import pytest

from discover.judgement.evidence import Evidence, Name
from discover.judgement.verdict import ANSWERS, in_words, judge

PHYSICS = {
    "law error in the region": 1e-3,
    "refit error far out": 2e-3,
    "residual growth": 1.2,
    "low-dimensional predictability": 0.05,
    "gain of extra terms": 1.0,
    "cost of possible parameters": 1.0,
    "extended law error far out": 2e-3,
    "best law error far out": 2e-3,
    "best law error in the region": 1e-3,
    "resolution": 1e-3,
    "far curvature": 0.9,
    "frozen steps": 0.0,
}


def evidence(**changes):
    values = {**PHYSICS, **{k.replace("_", " "): v for k, v in changes.items()}}
    return [Evidence(name=n, value=v, interval=(v, v)) for n, v in values.items()]


def test_probabilities_are_probabilities():
    verdict = judge(evidence())
    assert set(verdict.probabilities) == set(ANSWERS)
    assert math.isclose(sum(verdict.probabilities.values()), 1.0)
    assert verdict.answer == "physics"


@pytest.mark.parametrize(
    "broken",
    [
        {"refit error far out": 0.8},
        {"low-dimensional predictability": 0.95},
        {"residual growth": 50.0},
        {"cost of possible parameters": 100.0},
    ],
)
def test_physics_needs_all_of_its_requirements(broken):
    verdict = judge(evidence(**broken))
    assert verdict.answer != "physics"


def test_a_law_with_terms_must_both_hold_far_out_and_win():
    assert judge(evidence(**{"gain of extra terms": 50.0})).answer == "alternative law"
    lost = {"gain of extra terms": 50.0, "extended law error far out": 0.9}
    assert judge(evidence(**lost)).answer != "alternative law"


def test_lookup_needs_positive_evidence_and_not_only_the_absence_of_laws():
    nothing = {
        "refit error far out": 1.0,
        "extended law error far out": 1.0,
        "best law error far out": 1.0,
        "best law error in the region": 0.05,
    }
    assert judge(evidence(**nothing)).answer == "undetermined"
    assert judge(evidence(**nothing, **{"far curvature": 1e-3})).answer == "lookup table"
    assert judge(evidence(**nothing, **{"frozen steps": 1.0})).answer == "lookup table"


def test_flat_answers_far_from_where_a_law_ends_are_no_table():
    flat = {
        "refit error far out": 1.0,
        "extended law error far out": 1.0,
        "best law error far out": 1.0,
        "best law error in the region": 1e-3,
        "far curvature": 0.0,
    }
    assert judge(evidence(**flat, **{"end of the law inside": 1.1})).answer == "lookup table"
    past = judge(evidence(**flat, **{"end of the law inside": 1.7}))
    assert past.answer == "undetermined"
    assert past.weakest["lookup table"] == "end of the law inside"
    noisy = {**flat, "best law error in the region": 1e-2, "repeatability": 1e-2}
    assert judge(evidence(**noisy, **{"end of the law up to noise": 1.05})).answer == "lookup table"
    past = judge(evidence(**noisy, **{"end of the law up to noise": 1.4}))
    assert past.answer == "undetermined"


def test_a_law_to_many_digits_inside_is_no_table_whatever_it_is_outside():
    broken = {
        "refit error far out": 1.0,
        "extended law error far out": 1.0,
        "best law error far out": 1.0,
        "best law error in the region": 1e-9,
        "far curvature": 0.0,
    }
    assert judge(evidence(**broken)).answer == "undetermined"


def test_what_noise_could_have_hidden_is_not_called_physics():
    assert judge(evidence(resolution=0.05)).answer == "physics"
    assert judge(evidence(resolution=0.5)).answer == "undetermined"


def test_missing_evidence_never_helps_a_case():
    kept = [e for e in evidence() if e.name != "refit error far out"]
    assert judge(kept).answer != "physics"


def test_evidence_survives_json():
    import json

    e = Evidence(name="x", value=math.inf, interval=(0.0, math.inf), supports=("physics",))
    assert Evidence.from_dict(json.loads(json.dumps(e.to_dict(), allow_nan=False))) == e


def test_an_undetermined_verdict_is_told_by_its_closest_case_and_what_holds_it_back():
    values = {Name.REFIT_ERROR_FAR: 0.01, Name.LAW_ERROR_INSIDE: 0.01, Name.RESIDUAL_GROWTH: 30.0}
    values |= {Name.PREDICTABILITY: 0.1, Name.GAIN: 1.0, Name.COST_OF_BODIES: 1.0}
    values |= {Name.RESOLUTION: 0.01}
    verdict = judge(values)
    assert verdict.answer == "undetermined"
    text = in_words(verdict.answer, verdict.confidence, values)
    assert text == "undetermined (closest: physics, held back by residual growth)"
    assert in_words("physics", 0.98, values) == "physics (confidence 0.98)"
