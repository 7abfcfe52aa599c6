"""The bench of trained world models: what is collected, how roll-outs are scored, its page."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.rl_models import measurement
from tests.bench.rl_models.networks import normaliser_of, one_step, train
from tests.bench.rl_models.report import figure, report
from tests.bench.rl_models.tasks import TASKS, Episodes

HALVING = np.array([0.5, 0.25])


def decaying(episodes: int = 3, steps: int = 90) -> Episodes:
    """x' = x · HALVING + u, exactly."""
    rng = np.random.default_rng(0)
    x, u = [rng.normal(size=(episodes, 2))], rng.normal(size=(episodes, steps, 1))
    for k in range(steps):
        x.append(x[-1] * HALVING + u[:, k])
    going = np.ones(u.shape[:2], dtype=bool)
    return Episodes(observations=np.stack(x, axis=1), actions=u, going=going)


def test_transitions_are_rows_of_episodes():
    data = decaying().transitions()
    assert len(data["obs"]) == 3 * 90
    assert np.allclose(data["next_obs"], data["obs"] * HALVING + data["action"])


def test_roll_outs_are_scored_against_the_recorded_episode():
    """The recurrence itself is right at every step; one that is off by a constant d is off by
    d (1 + h + h² + …) after more of them."""
    episodes = decaying()
    windows, data = measurement._windows(episodes), episodes.transitions()
    size = np.sqrt(np.square(data["next_obs"] - data["obs"]).mean(0))
    assert windows[0].shape == (9, measurement.HORIZON + 1, 2)
    one, both = np.ones(2), [0, 1]

    def score(shift: float):
        return measurement._errors(lambda x, u: x * HALVING + u + shift, windows, data, both, one)

    assert max(score(0.0)["median"]) < 1e-12
    off = score(0.1)
    assert off["one_step"] == pytest.approx(np.sqrt(np.square(0.1 / size).mean()))
    last = 0.1 / (1 - HALVING)
    assert off["median"][-1] == pytest.approx(np.sqrt(np.square(last).mean()), rel=1e-6)


def test_the_ensemble_learns_a_linear_map(monkeypatch):
    monkeypatch.setattr("tests.bench.rl_models.networks.STEPS", 300)
    monkeypatch.setattr("tests.bench.rl_models.networks.MEMBERS", 1)
    data = decaying(20).transitions()
    normaliser = normaliser_of(data)
    step = one_step(train(data, normaliser, seed=0), normaliser)
    miss = step(data["obs"], data["action"]) - data["next_obs"]
    assert np.abs(miss).mean() < 0.1 * np.abs(data["next_obs"] - data["obs"]).mean()


def test_an_environment_is_collected_with_its_own_steps():
    pytest.importorskip("gymnasium")
    task = TASKS["Reacher-v5"]
    episodes = task.collect(2, 5, 0.5, 0)
    assert episodes.observations.shape == (2, 6, 10)
    assert np.array_equal(episodes.observations, task.collect(2, 5, 0.5, 0).observations)
    assert np.abs(episodes.actions).max() <= 0.5
    goals = episodes.observations[:, :, 4:6]
    assert np.array_equal(goals[:, 0], goals[:, -1])
    assert not set(task.compared) & {4, 5}


def test_the_page_and_the_figure_are_made_from_records():
    errors = {"one_step": 0.02, "low": [0.01] * 30, "median": [0.02] * 30, "high": [0.04] * 30}
    row = {
        "id": "Reacher-v5", "machine": "a machine", "transitions": 1000, "verdict": "lookup table",
        "confidence": 0.9, "reach": {"q": 1.0, "v": 1.2, "tau": 0.0}, "step": "",
        "parameters": [{"name": "mass", "value": 1.0, "standard_error": None, "description": 2.0}],
        "filled": None, "limits": 0.0, "notes": ["a note"], "train_s": 1.0, "examine_s": 2.0,
        "errors": {"network": errors, "simulator without contacts": errors},
        "glue": "def examined():\n    pass\n",
    }  # fmt: skip
    text = report([row])
    assert "| Reacher-v5 | 1,000 | lookup table (0.90) | 1, 1.2, 0 | – | 2.0 % | – |" in text
    assert "| Reacher-v5 | network | 0.020 |" in text
    assert "- a note" in text
    assert "def examined():" in text
    panel = figure([row]).axes[0]
    assert panel.get_yscale() == "log"
    assert len(panel.get_lines()) == 3  # network, simulator, and the spread of the data
