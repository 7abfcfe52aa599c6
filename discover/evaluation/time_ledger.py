"""The time ledger: time a state and relative error of everything that answers forward dynamics.

Comparisons are fair only if they share machine, states and batch, so the contenders take turns
round by round and the median over rounds is reported: a slow moment of the machine falls on all of
them. What counts is processor time, which other programs on the machine disturb least; work on a
GPU is timed by the wall clock. Errors are measured in the region and outside.
"""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from discover.blackbox.region import Region
from discover.blackbox.sampling import Batch, sample
from discover.evaluation.accuracy import banded_error, shells
from discover.evaluation.contender import Contender, answer
from discover.threads import one_thread

if TYPE_CHECKING:
    from kinematics import Robot

BATCHES = (1, 64, 4096)
ROUNDS = 7
SLICE = 0.01  # seconds a contender gets in a round, unless one call takes longer
RADII = (1.0, 2.0, 3.0)  # half-widths: errors in the region, and in shells that end there


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Median time a state over the rounds, with its quartiles [ns]."""

    name: str
    batch: int
    dtype: str
    threads: int
    note: str
    nanoseconds: float
    low: float
    high: float


def measure(
    contenders: Sequence[Contender],
    robot: Robot,
    region: Region,
    *,
    batches: Sequence[int] = BATCHES,
    rounds: int = ROUNDS,
    slice_s: float = SLICE,
    seed: int = 0,
) -> list[Timing]:
    """Time all contenders on the same states, one thread each, taking turns."""
    timings = []
    with one_thread():
        for size in batches:
            batch = sample(region, robot, size, seed)
            calls = [contender.prepare(batch) for contender in contenders]
            clocks = [contender.clock for contender in contenders]
            repeats = [
                _calibrate(call, clock, slice_s) for call, clock in zip(calls, clocks, strict=True)
            ]
            laps: list[list[float]] = [[] for _ in calls]
            for _ in range(rounds):
                for call, clock, count, lap_times in zip(calls, clocks, repeats, laps, strict=True):
                    lap_times.append(_time(call, clock, count) / count)
            for contender, lap_times in zip(contenders, laps, strict=True):
                quartiles = statistics.quantiles(lap_times, n=4)
                low, middle, high = (1e9 * lap / size for lap in quartiles)
                timings.append(
                    Timing(
                        name=contender.name,
                        batch=size,
                        dtype=contender.dtype,
                        threads=contender.threads,
                        note=contender.note,
                        nanoseconds=middle,
                        low=low,
                        high=high,
                    )
                )
    return timings


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Relative errors of one contender, in the region and in the shells up to 2 and 3 half-widths
    (q, v and tau together)."""

    name: str
    kind: str
    family: str
    radii: tuple[float, ...]
    errors: tuple[float, ...]


def errors(
    contenders: Sequence[Contender],
    reference: Callable[[Batch], np.ndarray],
    robot: Robot,
    region: Region,
    *,
    radii: Sequence[float] = RADII,
    samples: int = 512,
    seed: int = 0,
) -> list[Accuracy]:
    """Relative errors of the contenders about `reference`, all on the same states."""
    states_of_shells = shells(
        region, robot, axes=("joint",), radii=radii, samples=samples, seed=seed
    )
    true = [reference(states.batch) for states in states_of_shells]
    known: dict[str, tuple[float, ...]] = {}
    accuracies = []
    for contender in contenders:
        family = contender.family or contender.name
        if family not in known and contender.answers:
            answers = [answer(contender, states.batch) for states in states_of_shells]
            accelerations = [a for a in answers if a is not None]
            if len(accelerations) < len(true):
                continue  # a model of steps: its error is told elsewhere
            known[family] = tuple(
                banded_error(a, b, resamples=1)[0] for a, b in zip(accelerations, true, strict=True)
            )
        if family in known:
            accuracies.append(
                Accuracy(
                    name=contender.name,
                    kind=contender.kind,
                    family=family,
                    radii=tuple(radii),
                    errors=known[family],
                )
            )
    return accuracies


def machine() -> dict[str, str]:
    """Processor, cores and system on which the times are taken."""
    name = platform.processor() or platform.machine()
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    return {"processor": name, "cores": str(os.cpu_count()), "system": platform.system()}


def _calibrate(call: Callable[[], Any], clock: Callable[[], float], slice_s: float) -> int:
    """How often to repeat a call so that it fills its slice. Warms the call up."""
    call()
    once = max(_time(call, clock, 1), 1e-7)
    return max(1, min(100_000, int(slice_s / once)))


def _time(call: Callable[[], Any], clock: Callable[[], float], count: int) -> float:
    start = clock()
    for _ in range(count):
        call()
    return clock() - start
