"""The table before and after a change: what counts as a difference, and which models it holds."""

import copy

import pytest

from tests.bench import same_instrument
from tests.bench.same_instrument import differences

TOLD = {
    "verdict": "alternative law",
    "confidence": 0.87,
    "reach": {"q": 3.0, "v": 2.5},
    "queries": 530,
    "resolution": [1e-3, 2e-2],
    "family": "rigid body + terms",
    "terms": ["0.25*v1*Abs(v1)", "1.5*sin(3.0*q2)"],
    "evidence": {"gain of extra terms": 12.0, "grain": float("nan"), "rounding": 3e-15},
    "cpu": 4.0,
}


def changed(**entries):
    return copy.deepcopy(TOLD) | entries


def test_rounding_and_time_are_no_differences():
    terms = ["0.2500000001*v1*Abs(v1)", "1.5*sin(3.0*q2)"]
    evidence = TOLD["evidence"] | {"rounding": 8e-14, "gain of extra terms": 12.000001}
    same = changed(confidence=0.87 + 1e-9, terms=terms, evidence=evidence, cpu=9.0)
    assert list(differences(TOLD, same)) == []


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ({"verdict": "physics"}, "verdict"),
        ({"confidence": 0.871}, "confidence"),
        ({"queries": 531}, "queries"),
        ({"family": "rigid body"}, "family"),
        ({"reach": {"q": 3.0, "v": 2.4}}, "reach, v"),
        ({"terms": TOLD["terms"][:1]}, "terms"),
        ({"terms": ["0.25*v1*Abs(v1)", "1.5*cos(3.0*q2)"]}, "terms"),
        ({"terms": ["0.25*v1*Abs(v1)", "1.5*sin(3.1*q2)"]}, "terms"),
        ({"evidence": {**TOLD["evidence"], "grain": 0.1}}, "evidence, grain"),
        ({"evidence": {"gain of extra terms": 12.0, "rounding": 3e-15}}, "evidence, grain"),
        ({"error": "ValueError: no"}, "error"),
    ],
)
def test_what_changes_is_named(entries, named):
    (line,) = differences(TOLD, changed(**entries))
    assert line.startswith(named)


@pytest.mark.slow
def test_the_table_holds_planted_trained_and_unknown_models_of_1_to_18_coordinates():
    listed = same_instrument.jobs()
    assert len(set(listed)) == len(listed) >= 60
    assert {kind for kind, _, _ in listed} >= {"planted", "unknown", "trained"}
    robots = {robot for kind, robot, _ in listed if kind == "planted"}
    assert {"one hinge", "Panda", "quadruped"} <= robots


@pytest.mark.slow
def test_a_stored_table_equals_itself_and_not_another(tmp_path, capsys):
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    only = "unknown | double_pendulum | simulator"
    same_instrument.store(before, only=only)
    same_instrument.store(after, only=only)
    assert same_instrument.compare(before, after) == 0
    after.write_text(after.read_text().replace('"physics"', '"lookup table"'))
    assert same_instrument.compare(before, after) == 1
    assert "verdict: physics -> lookup table" in capsys.readouterr().out
