"""Models of next states stand against the simulator's own step map, not against accelerations."""

from __future__ import annotations

import json

import pytest
import torch

import discover
import kinematics
from discover.blackbox.sampling import sample
from discover.evaluation import forecast
from discover.evaluation.simulators.reference import simulator
from discover.study import experiment, recipes

REGION = discover.Region(q=0.5, v=1.0, tau=2.0)
ROBOTS = {
    "fixed": lambda: kinematics.load("double_pendulum"),
    "free": lambda: kinematics.random_tree(2, seed=2, kinds=("revolute",), root="free"),
}


@pytest.mark.parametrize("dt", [0.01, pytest.param(0.05, marks=pytest.mark.slow)])
@pytest.mark.parametrize("base", ROBOTS)
def test_the_simulators_step_map_is_physics_and_the_law_steps_as_it_does(base, dt):
    robot = ROBOTS[base]()
    step = simulator(robot, outputs="next_state", dt=dt)
    exam = discover.examine(step, robot, REGION, outputs="next_state", dt=dt, budget="quick")
    assert exam.verdict == "physics"
    assert exam.law is not None
    states = sample(REGION, robot, 20, 5)
    for told, true in zip(exam.law.step(*states), step(*states), strict=True):
        torch.testing.assert_close(told, true, rtol=0, atol=1e-9)


def test_an_iterated_step_is_the_forecast_of_its_integrator():
    for make in ROBOTS.values():
        robot = make()
        states = sample(REGION, robot, 5, 0)
        timing = {"dt": 0.02, "steps": 10}
        step = simulator(robot, outputs="next_state", dt=0.02)
        whole = forecast.forecast(simulator(robot), robot, states.q, states.v, **timing)
        ours = forecast.iterate(step, robot, states.q, states.v, **timing)
        torch.testing.assert_close(ours.q, whole.q, rtol=0, atol=1e-12)
        torch.testing.assert_close(ours.energy, whole.energy, rtol=0, atol=1e-11)


def test_a_map_that_is_off_is_found_out_over_time():
    robot = ROBOTS["fixed"]()
    true = simulator(robot, outputs="next_state", dt=0.05)

    def wrong(q, v, tau):
        q_next, v_next = true(q, v, tau)
        return q_next, 1.02 * v_next  # gains energy at every step

    told, _ = forecast.compare_step_maps(
        {"true": true, "wrong": wrong}, true, robot, REGION, dt=0.05, starts=4, seconds=3.0
    )
    assert told["dt"] == pytest.approx(0.05)
    assert told["subjects"]["true"]["energy_drift"] == 0.0
    assert told["subjects"]["true"]["valid_time"] == pytest.approx(3.0)
    assert told["subjects"]["wrong"]["valid_time"] < 2.0
    assert told["subjects"]["wrong"]["energy_drift"] > 0.5


@pytest.mark.slow
def test_the_recipe_of_next_states_runs_to_its_report(tmp_path):
    small = ["data.dt=0.05", "data.samples=800", "examine.budget=quick", "report.ledger=false"]
    small += ["report.rollout_s=1.0"]
    recipe = recipes.load(recipes.bundled_recipes()["next_state"], small)
    chosen = [m.model_copy(update={"train": m.train.model_copy(update={"epochs": 3})})
              for m in recipe.model if m.name != "neural_ode"]  # fmt: skip
    out = tmp_path / "study"
    recipe = recipe.model_copy(update={"model": tuple(chosen)})
    found = experiment.run(recipe, out, say=lambda line: None, progress=False)
    assert found.exams["simulator"].verdict == "physics"
    assert found.exams["mlp"].verdict != "physics"
    for name, exact in (("simulator", True), ("mlp", False)):
        curves = json.loads((out / name / "accuracy.json").read_text())["curves"]
        errors = [c["error"][0] for c in curves if c["subject"] == "model against simulator"]
        assert all((e == 0.0) == exact for e in errors)
        assert json.loads((out / name / "forecast.json").read_text())["dt"] == pytest.approx(0.05)
        assert "its own map over 50 ms" in (out / name / "report.md").read_text()
