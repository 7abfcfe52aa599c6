"""`discover bench networks`: what trained networks have learned, and how far that extrapolates.

Families × coverage of the training data × number of samples × seeds, each network examined as any
black box is. Reported, not scored: what a network has learned is not known beforehand.

    discover bench networks [--out DIR] [--workers N] [--seeds 0,1,…] [--device D] [--budget S]

Seed by seed: a run that was cut short holds some of everything, and goes on where it was cut.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import discover
from discover import models
from discover.artifacts import value_hash, write_text
from discover.blackbox.region import Region
from discover.data import simulated
from discover.data.settings import Data
from discover.errors import WorldlawError
from discover.judgement.thresholds import rules
from discover.records import number_to_json
from discover.training.loop import TrainingConfig
from discover.training.train import choose_device, device_name, train
from kinematics import Robot
from tests.bench.models import families, networks_report
from tests.bench.trials import run_trials, stored

FOLDER = Path("reports") / "networks"
RECORDS = "networks"
SEEDS = tuple(range(10))
TRAIN_S = 10.0  # wall-clock seconds of training on the double pendulum; three times that on the arm
EPOCHS = 1000
AXES = ("joint", "q", "v", "tau")
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "MLP": ("mlp", {}),
    "MLP, sine and cosine": ("mlp", {"trig": True}),
    "graph network": ("gnn", {"trig": True}),
    "Lagrangian": ("lnn", {"trig": True, "width": 64}),
    "DeLaN": ("delan", {"trig": True}),
}
# name -> (design, share of the robot's box that is trained and examined on)
COVERAGE: dict[str, tuple[str, float]] = {
    "narrow box": ("sobol", 0.5),
    "wide box": ("sobol", 1.0),
    "full circle": ("full_circle", 1.0),
    "hole in the middle": ("hole", 1.0),
    "trajectories": ("trajectories", 1.0),
}
# robot -> (families, coverage, sample counts, how many seeds, seconds of training over TRAIN_S)
STUDIES: dict[str, tuple[Sequence[str], Sequence[str], Sequence[int], int, float]] = {
    "panda": (
        ("MLP, sine and cosine", "DeLaN"),
        ("narrow box", "wide box"),
        (20_000,),
        3,
        3.0,
    ),
    "double_pendulum": (tuple(FAMILIES), tuple(COVERAGE), (1_000, 10_000, 100_000), 10, 1.0),
}


def main(
    *,
    out: Path | None = None,
    say: Callable[[str], None] = print,
    workers: int = 1,
    seeds: Sequence[int] | None = None,
    device: str = "cpu",
    budget: float = TRAIN_S,
) -> None:
    """Train and examine what is not kept yet, and write report.md with its figures.

    workers: networks at once, a thread each. device: where those of the arm are trained. budget:
    seconds of training each. Cut short (Ctrl-C), it still reports what is there.
    """
    folder = Path(out) if out is not None else FOLDER
    chosen = SEEDS if seeds is None else tuple(seeds)
    trials = _trials(chosen, device, budget)
    try:
        run_trials(trials, measure, folder, workers, say, RECORDS)
    finally:
        held = stored(folder, RECORDS)
        rows = [held[t["id"]] for t in trials if t["id"] in held]
        if rows:
            write_text(folder / "report.md", networks_report.write(rows, len(trials), folder))
            say(f"report: {folder / 'report.md'}")


def settings() -> dict[str, Any]:
    """The settings that a stored measurement depends on, besides those of its trial."""
    return {
        "kept": "evidence",  # no verdicts: the report judges by the thresholds of its day
        "families": FAMILIES,
        "coverage": COVERAGE,
        "epochs": EPOCHS,
        "versions": {name: metadata.version(name) for name in ("worldlaw", "torch")},
    }


def _trials(seeds: Sequence[int], device: str, budget: float) -> list[dict[str, Any]]:
    found = []
    for seed in seeds:
        for robot, (kinds, coverages, counts, most, longer) in STUDIES.items():
            for family in kinds if seed < most else ():
                for coverage in coverages:
                    for samples in counts:
                        trial = {
                            "robot": robot,
                            "family": family,
                            "coverage": coverage,
                            "samples": samples,
                            "seed": seed,
                            "budget": longer * budget,
                        }
                        words = f"{robot} {family} {coverage} {samples} {seed}".lower()
                        name = "".join(c if c.isalnum() else "-" for c in words)
                        identity = value_hash([settings(), trial])
                        found.append({"id": name, **trial, "device": device, "identity": identity})
    return found


def asked_for() -> set[str]:
    """The names of the evidence that verdicts use."""
    return {rule.evidence for rule in rules()}


@cache
def _setting(robot: str) -> tuple[Robot, Region]:
    """A robot and its whole box, as `discover bench models` has them."""
    (arena,) = (a for a in families.arenas() if a.name == robot)
    return arena.robot, arena.region


def region_of(robot: Robot, whole: Region, coverage: str) -> Region:
    """Where a network of this coverage is trained and examined."""
    design, share = COVERAGE[coverage]
    box = whole.resolve(robot.nv)
    sides = {}
    for group in ("q", "v", "tau"):
        bounds = getattr(box, group)
        half = share * bounds.half_width
        if group == "q" and design == "full_circle":
            half = torch.full_like(half, math.pi)
        sides[group] = (bounds.centre - half, bounds.centre + half)
    return Region(**sides)


def measure(trial: dict[str, Any]) -> dict[str, Any]:
    """One network trained and examined; "refused" and why, where that cannot be done."""
    try:
        return _short(_measure(trial))
    except (WorldlawError, RuntimeError) as error:  # torch raises RuntimeError
        return {"refused": " ".join(str(error).split())}


def _measure(trial: dict[str, Any]) -> dict[str, Any]:
    robot, whole = _setting(trial["robot"])
    region, seed = region_of(robot, whole, trial["coverage"]), trial["seed"]
    design = COVERAGE[trial["coverage"]][0]
    settings = Data(samples=trial["samples"], design=design, test=0.0)  # type: ignore[arg-type]
    data = simulated.generate(settings, region, robot, seed)
    kind, options = FAMILIES[trial["family"]]
    built = models.build_for(robot, kind, options, seed=seed)
    large = robot.nv > 6
    config = TrainingConfig(
        epochs=EPOCHS, batch=1024 if large else min(512, trial["samples"] // 8), patience=0
    )
    place = choose_device(trial["device"] if large else "cpu")
    result = train(
        built, data, seed=seed, device=str(place), budget_s=trial["budget"], config=config
    )
    started = time.perf_counter()
    exam = discover.examine(result.model, robot, region, budget="quick", seed=seed)
    exam_s = time.perf_counter() - started
    errors = families.errors(result.model, robot, region, seed=seed)
    return {
        "kind": kind,
        "parameters": result.metrics["parameters"],
        "epochs": len(result.history),
        "train_s": result.metrics["seconds"],
        "train_error": result.metrics["train_error"],
        "validation_error": result.metrics["validation_error"],
        "trained_on": device_name(place),
        "evidence": {
            e.name: number_to_json(e.value) for e in exam.evidence if e.name in asked_for()
        },
        "reach": exam.reach,
        "reach_limit": exam.reach_limit,
        "resolution": [exam.resolution.region, exam.resolution.far],
        "queries": exam.queries,
        "exam_s": exam_s,
        "errors": {axis: curve["error"] for axis, curve in errors.items()},
    }


def _short(told: Any) -> Any:
    """Floats rounded to four digits, since hundreds of networks are stored."""
    if isinstance(told, dict):
        return {key: _short(value) for key, value in told.items()}
    if isinstance(told, list):
        return [_short(value) for value in told]
    return float(f"{told:.4g}") if isinstance(told, float) else told
