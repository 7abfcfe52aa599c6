"""Measuring one robot for the time ledger, on the processor or on a graphics card.

Networks are trained in a region, a law is distilled from one of them, and all that can answer
forward dynamics is timed in turns and compared with Pinocchio, in the region and outside.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch

import kinematics
from discover import models
from discover.bench.ledger_robots import Subject, region_of
from discover.bench.programs import compile_times, compiled_timings, operation_counts
from discover.blackbox.contract import Answers
from discover.blackbox.region import Region
from discover.blackbox.sampling import Batch, sample
from discover.data.settings import Data
from discover.data.simulated import generate
from discover.errors import WorldlawError
from discover.evaluation import line_up, time_ledger
from discover.evaluation.contender import Contender, arrays
from discover.evaluation.simulators import pinocchio
from discover.examination.examine import examine
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit
from discover.laws.rigid_body.law import RigidBodyLaw
from discover.training.loop import TrainingConfig
from discover.training.train import train
from kinematics import Robot

ORDERS = ("auto", "aba", "crba")
ANSWERS = 800  # of the simulator, from which a law is fitted
PACKAGES = ("torch", "numpy", "llvmlite", "pin", "mujoco", "onnxruntime", "drake", "opensim")
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "mlp 2×32": ("mlp", {"width": 32, "depth": 2}),
    "mlp 3×256": ("mlp", {"width": 256, "depth": 3}),
    "delan": ("delan", {}),
}
CARD_BATCHES = (1, 64, 4096, 65536)  # as large as a card is bought for
MOST_THREADS = 16  # of the processor, timed beside a card


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is spent on one robot: samples and training a network, rounds of timing."""

    samples: int = 30_000
    training: float = 1.0  # times the seconds of each subject
    epochs: int = 60
    rounds: int = 11
    processes: int = 5  # whose waiting for machine code is timed
    batches: tuple[int, ...] = time_ledger.BATCHES
    torch_compile: bool = True  # of networks, where there is a C++ compiler
    few_joints: int = 4  # velocities: torch.compile takes minutes over the simulator of more
    law: bool = True
    options: dict[str, Any] = field(default_factory=dict)  # of every network, for quick tests


ON_CARD = Effort(
    samples=60_000, training=0.5, epochs=200, rounds=7, batches=CARD_BATCHES, law=False
)


def measure(subject: Subject, robot: Robot, effort: Effort) -> dict[str, Any]:
    """Times, errors and costs of one robot on the processor, JSON-able."""
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
    contenders = line_up.on_the_processor(
        robot,
        networks,
        law,
        torch_compile=with_torch_compile,
        compile_simulator=robot.nv <= effort.few_joints,
    )
    ledger = _ledger(subject, robot, region, effort, contenders, training)
    many = max(effort.batches)
    rows = compiled_timings(robot, (1, many), orders=ORDERS, rounds=3 * effort.rounds)
    program = kinematics.compile(robot, "aba")
    measured = kinematics.compile(robot, "aba", order="fastest")
    return {
        **ledger,
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
        "law": distilled,
    }


def measure_on_card(subject: Subject, robot: Robot, effort: Effort) -> dict[str, Any]:
    """The same on a graphics card. No law is distilled: a rigid-body law compiles to the program of
    its robot."""
    region = region_of(subject, robot)
    networks, training = train_networks(subject, robot, region, effort, "cuda")
    for network in networks.values():
        network.float()
    triton = shutil.which(os.environ.get("CC", "gcc")) is not None  # it builds its launchers
    building = build_seconds(robot)
    contenders = line_up.on_the_card(
        robot,
        networks,
        torch_compile=effort.torch_compile and triton,
        compile_simulator=effort.torch_compile and triton and robot.nv <= effort.few_joints,
        plain=[name for name in networks if NETWORKS[name][0] == "mlp"],
        threads=min(MOST_THREADS, os.cpu_count() or 1),
    )
    ledger = _ledger(subject, robot, region, effort, contenders, training)
    ledger["machine"]["card"] = torch.cuda.get_device_name()
    ledger["versions"]["CUDA"] = str(torch.version.cuda)
    return {**ledger, "build_seconds": building}


def _ledger(
    subject: Subject,
    robot: Robot,
    region: Region,
    effort: Effort,
    contenders: Sequence[Contender],
    training: list[dict[str, Any]],
) -> dict[str, Any]:
    """Times and errors of the contenders, with all that they were measured on."""
    timings = time_ledger.measure(
        contenders, robot, region, batches=effort.batches, rounds=effort.rounds
    )
    reference, reference_name = reference_of(robot)
    accuracy = time_ledger.errors(contenders, reference, robot, region)
    return {
        "title": subject.title,
        "robot": {"name": robot.name, "bodies": robot.nb, "velocities": robot.nv},
        "region": region.to_dict(),
        "machine": time_ledger.machine(),
        "versions": versions(),
        "date": time.strftime("%Y-%m-%d"),
        "reference": reference_name,
        "timings": [asdict(t) for t in timings],
        "accuracy": [asdict(a) for a in accuracy],
        "training": training,
    }


def build_seconds(robot: Robot) -> float:
    """Seconds from the traced program to a kernel on the card."""
    program = kinematics.compile(robot, "aba")
    assert program.program  # traced before the clock starts
    states = [torch.zeros(1, n, dtype=torch.float64, device="cuda") for n in program.input_sizes]
    torch.cuda.synchronize()
    begin = time.perf_counter()
    program.cuda(*states)
    torch.cuda.synchronize()
    return time.perf_counter() - begin


def train_networks(
    subject: Subject, robot: Robot, region: Region, effort: Effort, device: str = "cpu"
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The subject's networks, trained on the same samples of the region, and what that took."""
    data = Data(design="sobol", samples=effort.samples, validation=0.05, test=0.05)
    begin = time.perf_counter()
    dataset = generate(data, region, robot, 0)
    drawing = time.perf_counter() - begin
    trained, costs = {}, []
    for name in subject.networks:
        kind, options = NETWORKS[name]
        if effort.options and kind == "mlp":
            options = effort.options
        model = models.build_for(robot, kind, options, seed=0)
        result = train(
            model,
            dataset,
            seed=0,
            device=device,
            budget_s=effort.training * subject.training_s,
            progress=False,
            config=TrainingConfig(epochs=effort.epochs),
        )
        trained[name] = result.model.cpu().eval()
        costs.append(
            {
                "name": name,
                **{k: result.metrics[k] for k in ("seconds", "parameters", "epochs")},
                "samples": effort.samples,
                "sampling_seconds": drawing,
            }
        )
    return trained, costs


def distil(
    subject: Subject, networks: dict[str, Any], robot: Robot, region: Region
) -> tuple[RigidBodyLaw, dict[str, Any]]:
    """The law distilled from the last plain network, where one is sought and found; else the law
    fitted to the simulator's answers in the region. Beside it, what finding it cost."""
    sought: dict[str, Any] | None = None
    if subject.examined:
        name = [own for own in networks if NETWORKS[own][0] == "mlp"][-1]
        begin = time.perf_counter()
        sought = {"model": name}
        try:
            exam = examine(networks[name], robot, region, budget="quick", name=name)
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
    """The accelerations that count as true, and their name: Pinocchio's, or our simulator's."""
    try:
        return pinocchio.reference(robot), "Pinocchio, aba in its local convention"
    except ImportError:
        program = kinematics.compile(robot, "aba", order="traced")
        return lambda batch: program(*arrays(batch)), "our own simulator"


def versions() -> dict[str, str]:
    """Versions of what was timed."""
    installed = {"python": platform.python_version(), "cuda": str(torch.cuda.is_available())}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed
