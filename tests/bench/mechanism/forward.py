"""Part `forward` of the bench: forward dynamics programs inferred from black boxes.

From exact answers alone: tree, geometry, recursion, then the forward program by elimination orders,
then machine code. It is held against the robot's own description: operations of both classical
orders and of what `kinematics.compile` makes, and the time of that, the programs taking turns. The
description is compiled twice, for two copies of one program differ in time as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

import kinematics
from discover.bench.programs import interleaved, operation_counts, sample_states
from discover.blackbox.contract import BlackBox, relative_error
from discover.laws.export.elimination import forward_program
from discover.mechanism.description import describe_mechanism
from discover.mechanism.free_base import infer_free_base
from discover.mechanism.inference import infer_robot
from kinematics import Robot
from kinematics.programs import CompiledProgram, compile_trace, robot_program
from tests.bench.mechanism.black_boxes import REGION, black_box
from tests.bench.mechanism.trees import described
from tests.bench.robots import machine_like
from tests.bench.trials import Part, Record, Trial, share

ROBOTS: dict[str, Callable[[], Robot]] = {
    "double pendulum": lambda: kinematics.load("double_pendulum"),
    "panda": lambda: kinematics.load("panda"),
    "branched tree of 5": lambda: kinematics.random_tree(5, branching=0.5, seed=3),
    "machine of 6 joints": lambda: machine_like(6, 3),
    "solo12, free base": lambda: kinematics.load(described("solo12"), root="free"),
}
_BATCH = 4096
_WAYS = {"batch": CompiledProgram.run, "one by one": CompiledProgram.run_one_by_one}
_ROUNDS = 60
_SLOWER = 1.05  # times the description's program that the inferred one may take
_FOUND, _OWN, _AGAIN = "found", "description", "description again"


def trials(seeds: Sequence[int]) -> list[Trial]:
    """Each robot once: its answers are exact."""
    return [{"id": name.replace(",", "").replace(" ", "_"), "robot": name} for name in ROBOTS]


def run(trial: Trial) -> Record:
    """Infer one robot, derive its forward program, and time it."""
    robot = ROBOTS[trial["robot"]]()
    free = robot.nq > robot.nv
    blackbox = BlackBox(black_box_of(robot), robot.nq, robot.nv)
    box = REGION.resolve(robot.nv)
    began = time.process_time()
    inferred = (infer_free_base if free else infer_robot)(blackbox, box)
    order = list(inferred.order)
    own = list(range(robot.nv))
    record: Record = {
        "velocities": robot.nv,
        "good": bool(inferred.geometry.good),
        "queries": blackbox.queries,
        "right": False,
    }
    if not inferred.geometry.good or order != own:
        return {**record, "seconds": time.process_time() - began}
    result = describe_mechanism(blackbox, inferred, box, 0)
    record["equals"] = bool(result.description.equals and result.description.forward is not None)
    program = forward_program(inferred.exact)
    record["seconds"] = time.process_time() - began
    described_program = robot_program(robot, "aba")
    record["operations"] = {
        **operation_counts(robot, described_program.arithmetic),
        "this": program.arithmetic,
    }
    compiled = {
        _FOUND: compile_trace(program),
        _OWN: compile_trace(described_program),
        _AGAIN: compile_trace(described_program),
    }
    record["ns"] = {name: times(compiled, robot, way) for name, way in _WAYS.items()}
    record["error"] = error_of(compiled[_FOUND], robot)
    counts = record["operations"]
    record["cheap"] = counts["this"] <= min(counts["aba"], counts["crba"])
    record["fast"] = record["ns"]["batch"]["ratio"] <= _SLOWER
    record["right"] = bool(record["equals"] and record["cheap"] and record["fast"])
    return record


def black_box_of(robot: Robot) -> Callable:
    """The robot as a black box in its own numbering."""
    if robot.nq == robot.nv:
        return black_box(robot)
    return lambda q, v, tau: kinematics.aba(robot, q, v, tau)


def times(
    compiled: dict[str, CompiledProgram], robot: Robot, way: Callable[..., None]
) -> dict[str, float]:
    """Median processor nanoseconds a state of each, and the medians over rounds of the ratios of
    the found program and of the second copy to the description's."""
    states = list(sample_states(robot, _BATCH, 0))
    calls: dict[str, Callable[[], None]] = {
        name: partial(way, program, states, np.empty((_BATCH, robot.nv)), _BATCH)
        for name, program in compiled.items()
    }
    laps = interleaved(calls, _ROUNDS)
    out = {name: float(np.median(x)) / _BATCH * 1e9 for name, x in laps.items()}
    base = np.asarray(laps[_OWN])
    out["ratio"] = float(np.median(np.asarray(laps[_FOUND]) / base))
    out["copies"] = float(np.median(np.asarray(laps[_AGAIN]) / base))
    return out


def error_of(program: CompiledProgram, robot: Robot) -> float:
    """Relative error of accelerations against the simulator, far outside the region."""
    states = sample_states(robot, 500, 1)
    expected = kinematics.aba(robot, *(torch.from_numpy(x) for x in states))
    return float(relative_error(torch.from_numpy(program(*states)), expected))


def report(records: list[Record], folder: Path) -> list[str]:
    """Operations and times beside the description's."""
    lines = [
        "From exact answers alone: tree, geometry, recursion, forward program by elimination "
        "orders, machine code. Operations are multiplications, additions and divisions; "
        "`kinematics.compile` is given the robot's description. Times are medians of processor "
        f"time at a batch of {_BATCH}, vectorised and state by state, {_ROUNDS} "
        "rounds in turns; the ratio is the "
        "median of the rounds' own ratios, and in brackets that of two copies of the description's "
        "program, which is what a ratio can be trusted to. *Right*: at least as cheap as the "
        f"better classical order, and no slower than {_SLOWER:g} times `kinematics.compile`.",
        "",
        f"At least as cheap and as fast: {share(records, 'right')}.",
        "",
        "| robot | velocities | this program | articulated bodies | composite, LᵀDL | "
        "`kinematics.compile` | ns a state | its ns | ratio | ratio, state by state | error | "
        "seconds to find |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for r in sorted(records, key=lambda r: r["velocities"]):
        if "ns" not in r:
            lines.append(f"| {r['robot']} | {r['velocities']} | not found |" + " |" * 9)
            continue
        counts, many, one = r["operations"], r["ns"]["batch"], r["ns"]["one by one"]
        ratios = " | ".join(f"{x['ratio']:.2f} ({x['copies']:.2f})" for x in (many, one))
        lines.append(
            f"| {r['robot']} | {r['velocities']} | {counts['this']} | {counts['aba']} | "
            f"{counts['crba']} | {counts['found']} | {many[_FOUND]:.1f} | {many[_OWN]:.1f} | "
            f"{ratios} | {r['error']:.1e} | {r['seconds']:.0f} |"
        )
    return lines


PARTS = [
    Part(name="forward", title="Forward programs", trials=trials, run=run, report=report),
]
