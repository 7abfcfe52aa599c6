"""Speed of compiled forward dynamics against Pinocchio, and the time that compiling takes.

    python -m discover.bench.programs panda

Contenders take turns, so that a machine that slows down slows all of them; medians and minima are
kept.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

import kinematics
from discover.blackbox.sampling import Batch
from discover.evaluation.contender import Contender, answer, from_program
from discover.evaluation.simulators import pinocchio
from kinematics import Robot
from kinematics.programs import compile_robot
from kinematics.programs.compiler import disk_cache
from kinematics.programs.elimination.elimination import forward_dynamics
from kinematics.programs.elimination.mechanism import mechanism
from kinematics.programs.elimination.search import named_order

TURN = 3e-3  # seconds


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One contender at one batch size.

    ``median_ns`` and ``least_ns`` are nanoseconds a state; ``error`` is the largest difference
    from Pinocchio's single-state ABA relative to the largest acceleration; ``operations`` is
    mul + add + div of one evaluation, 0 where it is not known.
    """

    robot: str
    contender: str
    batch: int
    median_ns: float
    least_ns: float
    error: float
    operations: int


def compiled_timings(
    robot: Any,
    batches: Sequence[int] = (1, 64, 4096),
    *,
    orders: Sequence[str] = ("auto",),
    rounds: int = 15,
    seed: int = 0,
) -> list[Timing]:
    """Forward dynamics of ``robot``: compiled (a batch at once and state by state) in the given
    elimination orders, Pinocchio's ``abaInParallel`` with one thread and its ``aba`` in a loop.

    Without Pinocchio the compiled rows alone are returned, with an error of NaN.
    """
    contenders = _contenders(robot, orders)
    rows = []
    for size in batches:
        batch = Batch(*(torch.from_numpy(x) for x in sample_states(robot, size, seed)))
        calls = {contender.name: contender.prepare(batch) for contender, _ in contenders}
        times = interleaved(calls, rounds)
        reference = pinocchio.reference(robot)(batch) if find_spec("pinocchio") else None
        for contender, operations in contenders:
            error = float("nan")
            if reference is not None:
                answers = answer(contender, batch) if contender.answers else reference
                error = float(np.abs(answers - reference).max() / np.abs(reference).max())
            rows.append(
                Timing(
                    robot=robot.name,
                    contender=contender.name,
                    batch=size,
                    median_ns=float(np.median(times[contender.name])) / size * 1e9,
                    least_ns=float(np.min(times[contender.name])) / size * 1e9,
                    error=error,
                    operations=operations,
                )
            )
    return rows


def _contenders(robot: Any, orders: Sequence[str]) -> list[tuple[Contender, int]]:
    """Contenders with the operations of one evaluation, 0 where these are not known."""
    contenders = []
    for order in orders:
        program: Any = compile_robot(robot, "aba", order=order)
        one_by_one = from_program(f"compiled {order}, one by one", program, program.run_one_by_one)
        for contender in (from_program(f"compiled {order}", program), one_by_one):
            contenders.append((contender, program.arithmetic))
    if find_spec("pinocchio"):
        for contender in pinocchio.contenders(robot):
            name = "pinocchio abaInParallel" if contender.answers else "pinocchio aba"
            contenders.append((replace(contender, name=name), 0))
    return contenders


def sample_states(robot: Any, batch: int, seed: int) -> tuple[np.ndarray, ...]:
    """q, v, tau (B, n): angles within a turn, unit quaternions, unit normal v and tau."""
    rng = np.random.default_rng(seed)
    q = rng.uniform(-3.0, 3.0, (batch, robot.nq))
    for where in robot.quaternion_slices:
        quaternion = rng.normal(size=(batch, 4))
        q[:, where] = quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)
    return q, rng.normal(size=(batch, robot.nv)), rng.normal(size=(batch, robot.nv))


def interleaved(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Processor seconds of each call, ``rounds`` times, the calls taking turns; short calls are
    repeated within a turn until they take some milliseconds (so that caches are warm)."""
    repeats = {}
    for name, call in calls.items():
        call()
        begin = time.process_time()
        call()
        repeats[name] = max(1, int(TURN / max(time.process_time() - begin, 1e-7)))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            call()  # the others have emptied the caches
            begin = time.process_time()
            for _ in range(repeats[name]):
                call()
            times[name].append((time.process_time() - begin) / repeats[name])
    return times


def table(rows: list[Timing]) -> str:
    """The rows as text, with each contender's speed against ``abaInParallel``."""
    lines = [
        f"{'robot':16} {'contender':32} {'batch':>6} {'median ns':>10} {'least ns':>10} "
        f"{'ratio':>7} {'error':>9} {'ops':>6}"
    ]
    for row in rows:
        same = [r for r in rows if (r.robot, r.batch) == (row.robot, row.batch)]
        base = [r.least_ns for r in same if r.contender == "pinocchio abaInParallel"]
        ratio = f"{base[0] / row.least_ns:6.1f}x" if base else "      -"
        lines.append(
            f"{row.robot:16} {row.contender:32} {row.batch:6d} {row.median_ns:10.1f} "
            f"{row.least_ns:10.1f} {ratio} {row.error:9.1e} {row.operations or '':>6}"
        )
    return "\n".join(lines)


def operation_counts(robot: Any, found: int) -> dict[str, int]:
    """mul + add + div of forward dynamics: the two classical orders beside the one found."""
    made = mechanism(robot)
    counts = {
        name: forward_dynamics(made, named_order(made, name)).arithmetic for name in ("aba", "crba")
    }
    return {**counts, "found": found}


_CHILD = """
import json, sys, time
import kinematics
from kinematics import Robot
robot = Robot.from_dict(json.load(open(sys.argv[1])))
begin = time.process_time()
program = kinematics.compile(robot, "aba")
print(json.dumps([time.process_time() - begin, program.from_cache]))
"""


def compile_times(robot: Robot, processes: int) -> dict[str, float]:
    """Processor seconds from the robot to machine code in a new process: "anew", and "cached" where
    it is read from the cache of kernels. Medians over so many processes.

    Every process has imported `kinematics` and read the robot before its clock starts; what is
    loaded once a process (LLVM, the hash of the sources) is counted, as it is for a script.
    """
    seconds: dict[str, list[float]] = {"anew": [], "cached": []}
    for _ in range(processes):
        with tempfile.TemporaryDirectory() as folder:
            description = Path(folder) / "robot.json"
            description.write_text(json.dumps(robot.to_dict()))
            for name, samples in seconds.items():
                used, from_cache = _in_a_new_process(description, Path(folder) / "kernels")
                if from_cache != (name == "cached"):
                    raise RuntimeError(f"expected a kernel {name}, found from_cache={from_cache}")
                samples.append(used)
    return {name: statistics.median(samples) for name, samples in seconds.items()}


def _in_a_new_process(description: Path, kernels: Path) -> tuple[float, bool]:
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(description)],
        env={**os.environ, disk_cache.VARIABLE: str(kernels)},
        check=True,
        capture_output=True,
        text=True,
    )
    spent, from_cache = json.loads(done.stdout)
    return spent, from_cache


def main(arguments: list[str]) -> None:
    """Print the table for the robots named (bundled names or paths; ``+free`` frees the root)."""
    for argument in arguments or ["double_pendulum", "panda"]:
        source, _, root = argument.partition("+")
        robot = kinematics.load(source, root=root) if root else kinematics.load(source)
        rows = compiled_timings(robot)
        print(table(rows))
        operations = next(r.operations for r in rows if r.contender == "compiled auto")
        counts = operation_counts(robot, operations)
        print("operations: " + ", ".join(f"{k} {v}" for k, v in counts.items()))


if __name__ == "__main__":
    main(sys.argv[1:])
