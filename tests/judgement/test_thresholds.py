"""thresholds.toml: every number has its unit, reason and origin, and is read by the code."""

from pathlib import Path

import pytest

import discover
from discover.judgement.evidence import MEANING, Name
from discover.judgement.thresholds import bound, fitted_bounds, rules, stored, threshold, whole
from discover.judgement.verdict import judge, positive_evidence

SOURCES = "\n".join(p.read_text() for p in Path(discover.__file__).parent.rglob("*.py"))
NUMBERS = [
    (f"{room}.{name}", entry)
    for room, entries in stored()["numbers"].items()
    for name, entry in entries.items()
]


@pytest.mark.parametrize(("name", "entry"), NUMBERS, ids=[name for name, _ in NUMBERS])
def test_a_number_says_what_it_is_and_is_read(name, entry):
    assert entry.keys() == {"value", "unit", "reason", "origin"}
    assert all(entry[key].strip() for key in ("unit", "reason", "origin"))
    assert f'"{name}"' in SOURCES, "no code reads it"


def test_an_unknown_or_a_fractional_number_is_refused():
    with pytest.raises(KeyError):
        threshold("examination.no_such_number")
    with pytest.raises(ValueError, match="whole number"):
        whole("examination.confident")


def test_control_flow_and_verdict_share_their_bounds():
    for rule in rules():
        assert bound(rule.case, rule.evidence) == fitted_bounds().get(rule.name, rule.bound)


def test_positive_evidence_is_what_the_verdict_asks_any_one_of():
    at = bound("lookup table", Name.FAR_CURVATURE)
    assert positive_evidence("lookup table", {Name.FAR_CURVATURE: 0.5 * at})
    assert not positive_evidence("lookup table", {Name.FAR_CURVATURE: 2.0 * at})
    assert not positive_evidence("lookup table", {Name.BEST_ERROR_FAR: 1.0})


def test_every_name_has_a_meaning_and_every_requirement_a_name():
    assert MEANING.keys() == set(Name)
    assert {r.evidence for r in rules()} <= set(Name)


def test_a_verdict_is_the_same_from_values_and_from_evidence():
    values = {Name.REFIT_ERROR_FAR: 0.5, Name.BEST_ERROR_FAR: 0.5, Name.FAR_CURVATURE: 0.01}
    values |= {Name.BEST_ERROR_INSIDE: 0.01, Name.RESOLUTION: 0.01}
    from discover.judgement.verdict import evidence_of

    assert judge(values) == judge(evidence_of(values))
    assert judge(values).answer == "lookup table"
