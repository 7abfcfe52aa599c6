"""One task: transitions, an ensemble, its examination, and roll-outs beside the simulator."""

from __future__ import annotations

import inspect
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import discover
from tests.bench.rl_models import networks
from tests.bench.rl_models.tasks import TASKS, Episodes

HORIZON, ROLL_OUTS = 30, 200
HELD_OUT = 0.15  # share of the episodes
Step = Callable[[np.ndarray, np.ndarray], Any]


# The documented route, whole; the report prints it.
def examined(ensemble, normaliser, world, transitions):
    model = discover.wrap(ensemble, world, normaliser=normaliser, target="difference")
    exam = discover.examine(model, world, data=transitions, within="data", budget="quick")
    law = None if exam.law is None else exam.law.as_model(model)
    return exam, law


def measure(trial: dict[str, Any]) -> dict[str, Any]:
    """Measurements of a task, JSON-able."""
    task = TASKS[trial["id"]]
    episodes = task.collect(task.episodes, task.steps, task.amplitude, 0)
    cut = round(HELD_OUT * task.episodes)
    test, rest = episodes[:cut], episodes[cut:]
    data, normaliser = rest.transitions(), networks.normaliser_of(rest.transitions())
    started = time.process_time()
    ensemble = networks.train(data, normaliser, seed=0)
    trained = time.process_time()
    world = task.world()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "transitions.npz"
        np.savez(file, **test.transitions())
        exam, law = examined(ensemble, normaliser, world, file)
    seconds = time.process_time() - trained
    contenders: dict[str, Step] = {"network": networks.one_step(ensemble, normaliser)}
    if law is not None:
        contenders["law"] = law
    contenders["simulator without contacts"] = _smooth(world)
    windows = _windows(test)
    compared, held_out = list(task.compared), test.transitions()
    spread = np.maximum(data["obs"][:, compared].std(0), 1e-9)
    errors = {
        name: _errors(step, windows, held_out, compared, spread)
        for name, step in contenders.items()
    }
    law_of = exam.law
    return {
        "transitions": len(data["obs"]),
        "verdict": exam.verdict,
        "confidence": exam.confidence,
        "reach": exam.reach,
        "step": "" if getattr(law_of, "step_map", None) is None else str(law_of.step_map),
        "parameters": exam.parameters,
        "regimes": [str(x) for x in exam.regimes],
        "filled": None if exam.held_out is None else exam.held_out.filled,
        "limits": None if exam.held_out is None else exam.held_out.limits,
        "notes": exam.notes,
        "errors": errors,
        "train_s": trained - started,
        "examine_s": seconds,
        "glue": inspect.getsource(examined),
    }


def _smooth(world: Any) -> Step:
    """The environment's own step without contacts and limits, behind the observation."""
    model = discover.wrap(lambda observation, action: observation, world, sanity=False)
    return model.interface(world.simulator())


def _windows(episodes: Episodes) -> tuple[np.ndarray, np.ndarray]:
    """(observations (n, HORIZON + 1, size), actions (n, HORIZON, size)): parts of held-out
    episodes that do not overlap, at most ROLL_OUTS of them, evenly."""
    x, u = episodes.observations, episodes.actions
    starts = range(0, u.shape[1] - HORIZON + 1, HORIZON)
    parts = [(e, s) for s in starts for e in range(len(x))]
    chosen = [
        parts[k] for k in np.linspace(0, len(parts) - 1, min(ROLL_OUTS, len(parts))).astype(int)
    ]
    return (
        np.stack([x[e, s : s + HORIZON + 1] for e, s in chosen]),
        np.stack([u[e, s : s + HORIZON] for e, s in chosen]),
    )


def _errors(
    step: Step,
    windows: tuple[np.ndarray, np.ndarray],
    data: Mapping[str, np.ndarray],
    compared: list[int],
    spread: np.ndarray,
) -> dict[str, Any]:
    """Of one step, see `_one_step`; of roll-outs, by step: the quartiles of the distance to the
    simulator (root mean square over observed numbers in units of their spread)."""
    truth, actions = windows
    seen, gaps = truth[:, 0], []
    for k in range(HORIZON):
        seen = np.asarray(step(seen, actions[:, k]), dtype=float)
        miss = (seen - truth[:, k + 1])[:, compared]
        gap = np.sqrt(np.square(miss / spread).mean(-1))
        gaps.append(np.where(np.isfinite(gap), gap, np.inf))
    quartiles = np.quantile(np.stack(gaps), (0.25, 0.5, 0.75), axis=1)
    low, middle, high = np.minimum(quartiles, 1e6).tolist()
    return {"one_step": _one_step(step, data, compared), "low": low, "median": middle, "high": high}


def _one_step(step: Step, data: Mapping[str, np.ndarray], compared: list[int]) -> float:
    """Root mean square error on transitions, each observed number in units of the root mean square
    of its change."""
    change = (data["next_obs"] - data["obs"])[:, compared]
    size = np.sqrt(np.square(change).mean(0))
    miss = np.asarray(step(data["obs"], data["action"]), dtype=float) - data["next_obs"]
    scaled = miss[:, compared][:, size > 0] / size[size > 0]
    return float(np.sqrt(np.square(scaled).mean()))
