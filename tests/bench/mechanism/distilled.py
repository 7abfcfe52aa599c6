"""`discover bench distilled`: the mechanism in networks that were trained on wide coverage.

    discover bench distilled --out reports/distilled [--workers N] [--budget SECONDS]

A Lagrangian network, a graph network and a plain one, a nearest-neighbour table and the simulator
itself are black boxes: which tree, factors and recursion describe them, and how well? All queries,
those of the far shell included, stay within the training data. The search has no description; the
robot's tree and screws are used for comparison only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import kinematics
from discover import models
from discover.artifacts import value_hash, write_text
from discover.blackbox.contract import BlackBox
from discover.blackbox.region import Region
from discover.data.settings import Data
from discover.data.simulated import generate
from discover.evaluation.simulators.reference import simulator
from discover.mechanism.factorisation import sparsity
from discover.mechanism.geometry.robots import screw_tree
from discover.mechanism.geometry.screws import Array
from discover.mechanism.inference import infer_robot
from discover.mechanism.local_dynamics import DynamicsSampler
from discover.mechanism.recursion.pretty_printing import pretty_print
from discover.mechanism.recursion.search import Recursion, search
from discover.training.loop import TrainingConfig
from discover.training.train import train
from kinematics import Robot
from tests.bench.mechanism.distilled_report import report
from tests.bench.trials import Record, Trial, run_trials

FOLDER = Path("reports") / "distilled"
COVERAGE = {"q": 3.0, "v": 4.5, "tau": 9.0}  # half-widths that were trained on
SHARE = 3.0  # of which questions take this part: the far shell ends where the training data end
SAMPLES, TRAIN_S = 60_000, 60.0
KEPT = 6_000  # of a table, whose neighbours are looked for in many dimensions
CONTENDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "simulator": ("simulator", {}),
    "Lagrangian network": ("delan", {"width": 96, "depth": 2, "trig": True}),
    "graph network": ("gnn", {"width": 64, "trig": True}),
    "plain network": ("mlp", {"width": 192, "trig": True}),
    "table": ("table", {}),
}


def robots() -> dict[str, Robot]:
    """A chain of two and a branched tree of four turning joints."""
    branched = kinematics.random_tree(4, branching=0.9, seed=3, kinds=("revolute",))
    return {"double pendulum": kinematics.load("double_pendulum"), "branched": branched}


def main(
    out: Path | None = None,
    say: Callable[[str], None] = print,
    workers: int = 1,
    budget: float = TRAIN_S,
) -> None:
    """Train and examine the models that are not stored yet and write the report.

    budget  wall-clock seconds of training a network
    """
    folder = Path(out) if out is not None else FOLDER
    rows = run_trials(_trials(budget, [0]), measure, folder, workers, say)
    write_text(folder / "report.md", report(rows, folder))
    say(f"report: {folder / 'report.md'}")


def _trials(budget: float, seeds: Sequence[int]) -> list[Trial]:
    return [
        {
            "id": f"{robot}.{name}.{seed}".replace(" ", "_"),
            "robot": robot,
            "name": name,
            "seed": seed,
            "budget": budget,
            "identity": value_hash(
                [name, CONTENDERS[name], COVERAGE, SHARE, SAMPLES, KEPT, budget]
            ),
        }
        for seed in seeds
        for robot in robots()
        for name in CONTENDERS
    ]


def measure(trial: Trial) -> Record:
    """Train one model of one robot and infer its mechanism."""
    robot = robots()[trial["robot"]]
    model, trained = _model(robot, trial["name"], trial["budget"], trial["seed"])
    region = Region(**{k: [x / SHARE] * robot.nv for k, x in COVERAGE.items()})
    return {**trained, **structure_of(model, robot, region, trial["seed"])}


def _model(
    robot: Robot, name: str, budget: float, seed: int
) -> tuple[Callable, dict[str, float | None]]:
    kind, options = CONTENDERS[name]
    if kind == "simulator":
        return simulator(robot), {"validation_error": 0.0, "train_s": 0.0, "parameters": 0}
    data = generate(
        Data(samples=KEPT if kind == "table" else SAMPLES), Region(**COVERAGE), robot, seed
    )
    built = models.build_for(robot, kind, options, seed=seed)
    config = TrainingConfig(epochs=400, batch=512, patience=0)
    done = train(built, data, seed=seed, device="cpu", budget_s=budget, config=config)
    return done.model, {
        "validation_error": done.metrics["validation_error"],
        "train_s": done.metrics["seconds"],
        "parameters": done.model.parameter_count(),
    }


def structure_of(model: Callable, robot: Robot, region: Region, seed: int) -> Record:
    """Mechanism of a black box: from answers alone, and with the robot's tree and screws."""
    blackbox = BlackBox(model, robot.nv, robot.nv)
    found = infer_robot(blackbox, region, seed, brief=True)
    sampler = DynamicsSampler(blackbox=blackbox, region=region, seed=seed)
    dynamics = sampler.at(sampler.draw(24))
    zeros = sparsity(dynamics, robot.parents)
    alone = search(sampler, found.geometry.tree, found.geometry.screws)
    described, screws = screw_tree(robot, np.zeros(robot.nv))
    beside = search(sampler, described, screws)
    return {
        "names": list(robot.joint_names),
        "described": list(robot.parents),
        "parents": list(found.tree.parents),
        "kinds": list(found.tree.kinds),
        "affine": sampler.noise,
        "asymmetry": dynamics.asymmetry,
        "definite": float((np.linalg.eigvalsh(_symmetric(dynamics.A)).min(1) > 0).mean()),
        "H error": _apart(dynamics.H, robot, dynamics.q),
        "zeros": zeros.to_dict(),
        "geometry": {
            "good": found.geometry.good,
            "misfit": found.geometry.held_out,
            "in deviations": sampler.noisy,
        },
        "alone": _told(alone),
        "beside": _told(beside),
        "queries": blackbox.queries,
    }


def _symmetric(A: Array) -> Array:
    return 0.5 * (A + A.swapaxes(1, 2))


def _apart(H: Array, robot: Robot, q: Array) -> float:
    """Error of the model's H over the robot's, entries over the diagonal."""
    exact = kinematics.crba(robot, torch.from_numpy(q)).numpy()
    scale = np.sqrt(np.einsum("nii->ni", exact).mean(0))
    return float(np.sqrt(np.mean(((H - exact) / np.outer(scale, scale)) ** 2)))


def _told(found: Recursion) -> dict[str, Any]:
    return {
        "equivalent": bool(found.equivalent),
        "by_degree": {k: float(x) for k, x in found.by_degree.items()},
        "departure": {k: float(x) for k, x in found.departure.items()},
        "programs": int(found.programs),
        "text": pretty_print(found),
    }
