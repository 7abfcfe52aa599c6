"""A family of world models on one robot: trained, its errors measured, examined."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import discover
import kinematics
from discover import models
from discover.blackbox.region import Region
from discover.data import simulated
from discover.data.dataset import Dataset
from discover.data.settings import Data
from discover.errors import DatasetError, ModelError, RegionError
from discover.evaluation import accuracy, forecast
from discover.evaluation.measure import accelerations, compiled, step_map
from discover.evaluation.simulators.reference import simulator
from discover.training.loop import TrainingConfig
from discover.training.train import choose_device, device_name, train
from kinematics import Robot

SAMPLES = 20_000
ALONG = 6_000  # samples of the family with a memory: they lie on trajectories, which cost more
TRAIN_S, EPOCHS = 30.0, 400  # of training: wall-clock seconds and epochs, at most
QUESTIONS = 256  # a shell
STARTS, ROLLOUT_S = 8, 4.0

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "table": ("table", {}),
    "random forest": ("forest", {"trees": 20}),
    "Gaussian process": ("gaussian_process", {"samples": 2000, "scale_samples": 200}),
    "MLP": ("mlp", {}),
    "MLP, sine and cosine": ("mlp", {"trig": True}),
    "ensemble": ("ensemble", {"members": 3}),
    "graph network": ("gnn", {"trig": True}),
    "transformer": ("transformer", {"trig": True}),
    "neural ODE": ("neural_ode", {"trig": True}),
    "recurrent": ("recurrent", {"trig": True}),
    "DeLaN": ("delan", {"trig": True}),
    "Hamiltonian": ("hnn", {"trig": True}),
    "Lagrangian": ("lnn", {"trig": True}),
    "white box": ("white_box", {}),
}
STEPS = ("neural_ode", "recurrent")  # kinds that answer next states
REMEMBERING = ("table", "forest", "gaussian_process")
MECHANICAL = ("delan", "hnn", "lnn")


@dataclass(frozen=True, kw_only=True)
class Arena:
    """A robot, where it is learned, and whether every family is examined there.

    dt [s] is the step of the families that answer next states.
    """

    name: str
    title: str
    robot: Robot
    region: Region
    dt: float
    examined: bool = True
    data: dict[str, Dataset] = field(default_factory=dict)

    def dataset(self, outputs: str, design: str) -> Dataset:
        """Samples of the arena, drawn once for each kind of answer and design."""
        key = f"{outputs} {design}"
        if key not in self.data:
            samples = ALONG if design == "trajectories" else SAMPLES
            settings = Data(samples=samples, design=design, outputs=outputs, dt=self.dt, test=0.0)  # type: ignore[arg-type]
            self.data[key] = simulated.generate(settings, self.region, self.robot, seed=0)
        return self.data[key]


def settings() -> dict[str, Any]:
    """The settings that a stored measurement depends on, besides family and arena."""
    return {
        "samples": [SAMPLES, ALONG],
        "epochs": EPOCHS,
        "questions": QUESTIONS,
        "rollout": [STARTS, ROLLOUT_S],
        "versions": {name: metadata.version(name) for name in ("worldlaw", "torch")},
    }


def measure(
    arena: Arena, family: str, device: str = "cpu", train_s: float = TRAIN_S, seed: int = 0
) -> dict[str, Any]:
    """Everything in the table about one family; "refused" and why, where it cannot be trained."""
    kind, options = FAMILIES[family]
    started = time.perf_counter()
    try:
        found = _measure(arena, kind, options, device, train_s, seed)
    except (ModelError, DatasetError, RegionError) as error:
        found = {"refused": str(error), "trained_on": None}
    return {"family": family, "kind": kind, **found, "seconds": time.perf_counter() - started}


def _measure(
    arena: Arena, kind: str, options: dict[str, Any], device: str, train_s: float, seed: int
) -> dict[str, Any]:
    robot, region = arena.robot, arena.region
    outputs = "next_state" if kind in STEPS else "acceleration"
    dt = arena.dt if outputs == "next_state" else None
    built = models.build_for(
        robot,
        kind,
        options,
        outputs=outputs,  # type: ignore[arg-type]
        dt=dt,
        robot=robot.to_dict() if kind == "white_box" else None,
        seed=seed,
    )
    design = "trajectories" if built.history > 1 else "sobol"
    data = arena.dataset(outputs, design)
    large = robot.nv > 6
    config = TrainingConfig(epochs=EPOCHS, batch=1024 if large else 512, patience=0)
    # small steps are as quick on one core as on a graphics card
    place = choose_device(device if large and built.trained_by == "gradient" else "cpu")
    if kind == "white_box":  # few parameters, each answer dear
        rows = data.split != 0
        rows[:2000] = True
        data, config = data.select(rows), replace(config, batch=256, lr=0.02)
    result = train(built, data, seed=seed, device=str(place), budget_s=train_s, config=config)
    model = result.model
    told: dict[str, Any] = {
        "outputs": outputs,
        "design": design,
        "samples": result.metrics["train_samples"],
        "parameters": model.parameter_count(),
        "epochs": len(result.history),
        "train_s": result.metrics["seconds"],
        "validation_error": result.metrics["validation_error"],
        "trained_on": device_name(place),
    }
    told["errors"] = errors(model, robot, region, outputs, dt, seed)
    told |= _rolled(arena, model, dt, seed)
    if arena.examined:
        exam = discover.examine(
            model, robot, region, outputs=outputs, dt=dt, budget="quick", seed=seed
        )
        told |= {"verdict": exam.verdict, "confidence": exam.confidence, "exam_s": exam.seconds}
    return told


def errors(
    model: Any,
    robot: Robot,
    region: Region,
    outputs: str = "acceleration",
    dt: float | None = None,
    seed: int = 0,
) -> dict[str, dict[str, list[float]]]:
    """Relative errors by axis: distance, error, low, high; step models against the step map."""
    said = accelerations(model, robot, outputs=outputs, dt=dt)
    true = accelerations(simulator(robot, outputs=outputs, dt=dt), robot, outputs=outputs, dt=dt)
    curves = accuracy.error_curves(said, true, robot, region, samples=QUESTIONS, seed=seed)
    return {
        c.axis: {"distance": c.distance, "error": c.error, "low": c.low, "high": c.high}
        for c in curves
    }


def _rolled(arena: Arena, model: Any, dt: float | None, seed: int) -> dict[str, Any]:
    """Valid prediction time and energy drift; the time is cut where motions leave the region."""
    robot = arena.robot
    if dt is None:
        table, _ = forecast.compare_forecasts(
            {"model": accelerations(model, robot, outputs="acceleration", dt=None)},
            compiled(kinematics.compile(robot, "aba")),
            robot,
            arena.region,
            starts=STARTS,
            dt=0.01,
            seconds=ROLLOUT_S,
            seed=seed,
        )
    else:
        table, _ = forecast.compare_step_maps(
            {"model": step_map(model, robot, dt)},
            simulator(robot, outputs="next_state", dt=dt),
            robot,
            arena.region,
            dt=dt,
            starts=STARTS,
            seconds=ROLLOUT_S,
            seed=seed,
        )
    subject = table["subjects"]["model"]
    drift = subject["energy_drift"]
    return {
        "valid_time": subject["valid_time"],
        "energy_drift": drift if np.isfinite(drift) else None,
        "horizon_s": table["seconds"],
    }


@cache
def arenas() -> list[Arena]:
    """The double pendulum, the Panda, and a quadruped on a free base in the air."""
    panda = Region(
        q=([-0.5, 0.4, -0.5, -2.4, -0.5, 1.1, 0.0], [0.5, 1.4, 0.5, -1.4, 0.5, 2.1, 1.0]),
        v=1.0,
        tau=[10.0, 20.0, 8.0, 10.0, 1.5, 1.5, 0.25],
    )
    quadruped, title = _quadruped()
    legs = quadruped.nv - 6
    air = Region(
        q=[0.3] * 6 + [0.5] * legs,
        v=[1.0] * 3 + [0.5] * 3 + [2.0] * legs,
        tau=[0.3] * 3 + [5.0] * 3 + [0.1, 0.05, 0.02] * (legs // 3),  # hip, thigh, shank
    )
    return [
        Arena(
            name="double_pendulum",
            title="Double pendulum",
            robot=kinematics.load("double_pendulum"),
            region=Region(q=1.0, v=2.0, tau=5.0),
            dt=0.01,
        ),
        Arena(
            name="panda",
            title="Franka Panda",
            robot=kinematics.load("panda"),
            region=panda,
            dt=0.002,
        ),
        Arena(
            name="quadruped",
            title=title,
            robot=quadruped,
            region=air,
            dt=0.002,
            examined=False,  # with 130 base parameters one examination takes minutes
        ),
    ]


def _quadruped() -> tuple[Robot, str]:
    """Solo 12 where example-robot-data is installed, else a random tree of as many joints."""
    places = [Path(str(f.locate())) for f in _installed("example-robot-data")]
    urdf = next((p for p in places if p.name == "solo12.urdf"), None)
    if urdf is not None and urdf.exists():
        return kinematics.load(urdf, root="free"), "Solo 12, a quadruped on a free base"
    tree = kinematics.random_tree(13, branching=0.3, seed=4, kinds=("revolute",), root="free")
    return tree, "A random tree of twelve joints on a free base"


def _installed(package: str) -> list[Any]:
    try:
        return list(metadata.files(package) or [])
    except metadata.PackageNotFoundError:
        return []
