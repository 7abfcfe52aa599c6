"""Should a learned model run faster than the simulator? Measured on four robots.

    discover bench dynamics --out DIR

For a double pendulum, an arm, a quadruped and a humanoid: networks are trained in a region, a law
is distilled from one of them, and all that can answer forward dynamics is timed in turns and held
against Pinocchio in the region and outside. What was measured is stored as JSON, a robot a file,
and the report is written from these files.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import discover
import kinematics
from discover import models
from discover.artifacts import read_json, write_json
from discover.bench import ledger_report
from discover.bench.compile_times import compile_times
from discover.bench.ledger_subjects import SUBJECTS, Subject, load, region_of
from discover.bench.programs import compiled_timings, operation_counts
from discover.blackbox.contract import Answers
from discover.blackbox.region import Region
from discover.blackbox.sampling import Batch, sample
from discover.data.simulated import generate
from discover.errors import WorldlawError
from discover.evaluation import contenders, ledger
from discover.evaluation.simulators import contender as engines
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit
from discover.laws.rigid_body.law import RigidBodyLaw
from discover.study.recipe_tables import Data
from discover.training.loop import TrainingConfig
from discover.training.train import train
from kinematics import Robot

Say = Callable[[str], None]

ORDERS = ("auto", "aba", "crba")
ANSWERS = 800  # of the simulator, from which a law is fitted
PACKAGES = ("torch", "numpy", "llvmlite", "pin", "mujoco", "onnxruntime", "drake", "opensim")
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "mlp 2×32": ("mlp", {"width": 32, "depth": 2}),
    "mlp 3×256": ("mlp", {"width": 256, "depth": 3}),
    "delan": ("delan", {}),
}


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is spent: samples and training a network, rounds of timing."""

    samples: int = 30_000
    training: float = 1.0  # times what each subject asks for
    epochs: int = 60
    rounds: int = 11
    processes: int = 5  # whose waiting for machine code is timed
    batches: tuple[int, ...] = ledger.BATCHES
    torch_compile: bool = True  # of networks, where there is a C++ compiler
    few_joints: int = 4  # velocities: torch.compile takes minutes over the simulator of more
    law: bool = True
    options: dict[str, Any] = field(default_factory=dict)  # of every network, for quick tests


def main(
    out: Path | None = None,
    say: Say = print,
    *,
    subjects: Sequence[Subject] = SUBJECTS,
    effort: Effort | None = None,
    device: str = "cpu",
) -> None:
    """Measure every robot that is there, tell it, and write ledger and report under ``out``.

    A robot whose file is in ``out`` already is not measured again; delete the file to do so. On
    ``device`` "cuda" the files are ``<robot>_cuda.json`` and make a section of the same report.
    """
    from discover.bench import cuda_ledger

    on_card = device == "cuda"
    effort = effort or (cuda_ledger.EFFORT if on_card else Effort())
    held: dict[str, dict[str, Any]] = {}
    for subject in subjects:
        stored = None
        if out is not None:
            stored = out / f"{subject.key}{cuda_ledger.SUFFIX if on_card else '.json'}"
        if stored is not None and stored.exists():
            held[subject.key] = read_json(stored)
        else:
            robot = load(subject, out)
            if robot is None:
                say(f"{subject.title}: left out, example-robot-data is not installed")
                continue
            say(f"{subject.title}: training, distilling, timing, some minutes …")
            held[subject.key] = (cuda_ledger.measure if on_card else measure)(
                subject, robot, effort
            )
            if stored is not None:
                write_json(stored, held[subject.key])
        say(ledger_report.plain_table(held[subject.key]))
    if out is not None:
        say(f"report: {report(out, subjects)}")


def report(out: Path, subjects: Sequence[Subject] = SUBJECTS) -> Path:
    """Write the report of what is stored under ``out``, for the processor and for the card."""
    from discover.bench import cuda_ledger

    def stored(ending: str) -> dict[str, dict[str, Any]]:
        paths = {s.key: out / f"{s.key}{ending}" for s in subjects}
        return {key: read_json(path) for key, path in paths.items() if path.exists()}

    return ledger_report.write(stored(".json"), out, stored(cuda_ledger.SUFFIX))


def measure(subject: Subject, robot: Robot, effort: Effort) -> dict[str, Any]:
    """Everything about one robot, as plain numbers."""
    region = region_of(subject, robot)
    networks, training = train_networks(subject, robot, region, effort)
    law, distilled = None, None
    if effort.law:
        law, distilled = distil(subject, networks, robot, region)
    compiling = compile_times(robot, effort.processes)
    for network in networks.values():
        network.float()
    with_torch_compile = (
        effort.torch_compile and shutil.which(os.environ.get("CXX", "g++")) is not None
    )
    runners = contenders.line_up(
        robot,
        networks,
        law,
        torch_compile=with_torch_compile,
        compile_simulator=robot.nv <= effort.few_joints,
    )
    timings = ledger.measure(runners, robot, region, batches=effort.batches, rounds=effort.rounds)
    reference, told = reference_of(robot)
    accuracy = ledger.errors(runners, reference, robot, region)
    many = max(effort.batches)
    rows = compiled_timings(robot, (1, many), orders=ORDERS, rounds=3 * effort.rounds)
    program = kinematics.compile(robot, "aba")
    measured = kinematics.compile(robot, "aba", order="fastest")
    return {
        "title": subject.title,
        "robot": {"name": robot.name, "bodies": robot.nb, "velocities": robot.nv},
        "region": region.to_dict(),
        "machine": ledger.machine(),
        "versions": versions(),
        "date": time.strftime("%Y-%m-%d"),
        "reference": told,
        "timings": [asdict(t) for t in timings],
        "accuracy": [asdict(a) for a in accuracy],
        "programs": [asdict(r) for r in rows],
        "orders": {
            "operations": operation_counts(robot, program.arithmetic),
            "instructions": {
                name: kinematics.compile(robot, "aba", order=name).instructions for name in ORDERS
            },
            "passes": program.passes,
            "measured": next(
                name
                for name in ORDERS
                if kinematics.compile(robot, "aba", order=name).operations == measured.operations
            ),
        },
        "compile": compiling,
        "training": training,
        "law": distilled,
    }


def train_networks(
    subject: Subject, robot: Robot, region: Region, effort: Effort, device: str = "cpu"
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The subject's networks, trained on the same samples of the region, and what that took."""
    data = Data(design="sobol", samples=effort.samples, validation=0.05, test=0.05)
    begin = time.perf_counter()
    dataset = generate(data, region, robot, 0)
    drawing = time.perf_counter() - begin
    found, told = {}, []
    for name in subject.networks:
        kind, options = NETWORKS[name]
        own = effort.options if effort.options and kind == "mlp" else options
        model = models.build(
            kind, robot.nq, robot.nv, own, kinds=robot.kinds, parents=robot.parents, seed=0
        )
        result = train(
            model,
            dataset,
            seed=0,
            device=device,
            budget_s=effort.training * subject.training_s,
            progress=False,
            config=TrainingConfig(epochs=effort.epochs),
        )
        found[name] = result.model.cpu().eval()
        told.append(
            {
                "name": name,
                **{k: result.metrics[k] for k in ("seconds", "parameters", "epochs")},
                "samples": effort.samples,
                "sampling_seconds": drawing,
            }
        )
    return found, told


def distil(
    subject: Subject, networks: dict[str, Any], robot: Robot, region: Region
) -> tuple[RigidBodyLaw, dict[str, Any]]:
    """The law of the last plain network where one is sought and found, else the law that the
    simulator's own answers in the region give; and what it took to find."""
    sought: dict[str, Any] | None = None
    if subject.examined:
        name = [own for own in networks if NETWORKS[own][0] == "mlp"][-1]
        begin = time.perf_counter()
        sought = {"model": name}
        try:
            exam = discover.examine(networks[name], robot, region, budget="quick", name=name)
            law = exam.law
            sought |= {"queries": exam.queries, "verdict": exam.verdict}
        except WorldlawError as error:
            law, sought["why"] = None, str(error)
        sought["seconds"] = time.perf_counter() - begin
        if isinstance(law, RigidBodyLaw):
            return law, {**sought, "size": law.size, "terms": len(law.extra)}
    begin = time.perf_counter()
    law = fitted_law(robot, region)
    return law, {
        "model": "the simulator's answers",
        "seconds": time.perf_counter() - begin,
        "queries": ANSWERS,
        "verdict": None,
        "size": law.size,
        "terms": 0,
        "sought": sought,
    }


def fitted_law(robot: Robot, region: Region) -> RigidBodyLaw:
    """The rigid-body law that `ANSWERS` of the simulator in the region identify: the parameters
    that can be known, from the tree and geometry, without the inertias."""
    batch = sample(region, robot, ANSWERS, 1)
    answers = Answers(q=batch.q, v=batch.v, tau=batch.tau, a=kinematics.aba(robot, *batch))
    return RigidBodyLaw.from_fit(fit(Family.of(robot), answers))


def reference_of(robot: Robot) -> tuple[Callable[[Batch], np.ndarray], str]:
    """What counts as true: Pinocchio where it is, else our own simulator."""
    try:
        return engines.pinocchio_reference(robot), "Pinocchio, aba in its local convention"
    except ImportError:
        program = kinematics.compile(robot, "aba", order="traced")
        return lambda batch: program(*engines.arrays(batch)), "our own simulator"


def versions() -> dict[str, str]:
    """Versions of what was timed."""
    found = {"python": platform.python_version(), "cuda": str(torch.cuda.is_available())}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
