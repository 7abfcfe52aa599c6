"""The bench of mechanisms: controls are caught, trials resume, reports are of stored records."""

from __future__ import annotations

import pytest

from discover.errors import RecipeError
from tests.bench import mechanism, trials
from tests.bench.mechanism.controls import CONTROLS, control_robot
from tests.bench.mechanism.recursions import run as run_recursion


@pytest.mark.parametrize("name", list(CONTROLS))
def test_a_control_is_caught(name):
    assert CONTROLS[name](control_robot(0))["caught"]


def test_a_random_truth_comes_out_of_noisy_torques():
    record = run_recursion({"truth": "random", "number": 3, "joints": 3, "noise": "tau"})
    assert record["right"]


@pytest.mark.parametrize(
    ("number", "joints", "noise"),
    [(8, 5, None), pytest.param(13, 4, "tau", marks=pytest.mark.slow)],
)
@pytest.mark.slow
def test_blocks_that_rest_on_parameters_which_nothing_else_shows(number, joints, noise):
    trial = {"truth": "random", "number": number, "joints": joints, "noise": noise}
    assert run_recursion(trial)["right"]


def test_trials_are_listed_once_and_reports_come_from_records(tmp_path, monkeypatch):
    for part in trials.collect(mechanism.MODULES).values():
        ids = [t["id"] for t in part.trials((0, 1))]
        assert len(ids) == len(set(ids))
    part = trials.collect(mechanism.MODULES)["trees"]
    two = [t for t in part.trials((0,)) if t["id"] in ("known_None_0", "fresh_tau_1000")]
    small = part.__class__(
        name="trees", title=part.title, trials=lambda seeds: two, run=part.run, report=part.report
    )
    monkeypatch.setattr(trials, "collect", lambda modules: {"trees": small})
    lines = []
    mechanism.main(tmp_path, lines.append)
    mechanism.main(tmp_path, lines.append)
    assert any("2 of 2 trials are stored" in line for line in lines)
    assert "1 of 1 (100.0 %)" in (tmp_path / "report.md").read_text()


def test_an_unknown_part_is_refused_in_one_line(tmp_path):
    with pytest.raises(RecipeError, match="expected a part of trees, geometry"):
        mechanism.main(tmp_path, part="roots")
