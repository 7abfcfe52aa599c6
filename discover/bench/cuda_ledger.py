"""The time ledger on a graphics card.

    discover bench dynamics --device cuda --out DIR

The same robots, regions and networks, trained and run on the card; batches as large as a card is
bought for. Laws are not distilled again: a rigid-body law compiles to the program of its robot.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

import kinematics
from discover.bench import time_ledger
from discover.evaluation import contenders_cuda, ledger
from kinematics import Robot

if TYPE_CHECKING:
    from discover.bench.time_ledger import Effort, Subject

SUFFIX = "_cuda.json"
BATCHES = (1, 64, 4096, 65536)
MOST_THREADS = 16

EFFORT = time_ledger.Effort(
    samples=60_000, training=0.5, epochs=200, rounds=7, batches=BATCHES, law=False
)


def measure(subject: Subject, robot: Robot, effort: Effort) -> dict[str, Any]:
    """Everything about one robot on the card, as plain numbers."""
    region = time_ledger.region_of(subject, robot)
    networks, training = time_ledger.train_networks(subject, robot, region, effort, "cuda")
    for network in networks.values():
        network.float()
    triton = shutil.which(os.environ.get("CC", "gcc")) is not None  # it builds its launchers
    building = build_seconds(robot)
    runners = contenders_cuda.on_the_card(
        robot,
        networks,
        torch_compile=effort.torch_compile and triton,
        compile_simulator=effort.torch_compile and triton and robot.nv <= effort.few_joints,
        plain=[name for name in networks if time_ledger.NETWORKS[name][0] == "mlp"],
        threads=min(MOST_THREADS, os.cpu_count() or 1),
    )
    timings = ledger.measure(runners, robot, region, batches=effort.batches, rounds=effort.rounds)
    reference, told = time_ledger.reference_of(robot)
    return {
        "title": subject.title,
        "robot": {"name": robot.name, "bodies": robot.nb, "velocities": robot.nv},
        "region": region.to_dict(),
        "machine": {**ledger.machine(), "card": torch.cuda.get_device_name()},
        "versions": {**time_ledger.versions(), "CUDA": str(torch.version.cuda)},
        "date": time.strftime("%Y-%m-%d"),
        "reference": told,
        "timings": [asdict(t) for t in timings],
        "accuracy": [asdict(a) for a in ledger.errors(runners, reference, robot, region)],
        "training": training,
        "build_seconds": building,
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
