"""The time ledger: what an answer costs, each contender named with batch, precision and threads.

Comparisons are fair only if they share machine, states and batch, so the contenders take turns
round by round and the median over rounds is reported: a slow moment of the machine falls on all of
them.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from discover.region import Region
from discover.sampling import Batch, sample

if TYPE_CHECKING:
    from kinematics import Robot

BATCHES = (1, 64, 4096)
ROUNDS = 7
SLICE = 0.01  # seconds a contender gets in a round, unless one call takes longer


@dataclass(frozen=True, kw_only=True)
class Contender:
    """Something that answers. `prepare(batch)` returns the call to time, inputs converted."""

    name: str
    prepare: Callable[[Batch], Callable[[], Any]]
    dtype: str
    threads: int = 1
    note: str = ""


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
    found = []
    with one_thread():
        for size in batches:
            batch = sample(region, robot, size, seed)
            calls = [contender.prepare(batch) for contender in contenders]
            repeats = [_calibrate(call, slice_s) for call in calls]
            laps: list[list[float]] = [[] for _ in calls]
            for _ in range(rounds):
                for call, count, own in zip(calls, repeats, laps, strict=True):
                    own.append(_time(call, count) / count)
            for contender, own in zip(contenders, laps, strict=True):
                quartiles = statistics.quantiles(own, n=4)
                low, middle, high = (1e9 * lap / size for lap in quartiles)
                found.append(
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
    return found


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold torch to a single thread, and give back what it had."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def machine() -> dict[str, str]:
    """The processor the times were taken on."""
    name = platform.processor() or platform.machine()
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    return {"processor": name, "cores": str(os.cpu_count()), "system": platform.system()}


def from_torch(
    name: str, dynamics: Callable[..., Any], *, dtype: torch.dtype = torch.float64, note: str = ""
) -> Contender:
    """A `Dynamics` on torch tensors, without gradients."""

    def prepare(batch: Batch) -> Callable[[], Any]:
        q, v, tau = (x.to(dtype) for x in batch)

        def call() -> Any:
            with torch.inference_mode():
                return dynamics(q, v, tau)

        return call

    return Contender(name=name, prepare=prepare, dtype=_name(dtype), note=note)


def from_numpy(
    name: str, program: Callable[..., Any], *, dtype: str = "float64", note: str = ""
) -> Contender:
    """A compiled program on row-major NumPy arrays."""

    def prepare(batch: Batch) -> Callable[[], Any]:
        q, v, tau = (np.ascontiguousarray(x.numpy(), dtype=dtype) for x in batch)
        return lambda: program(q, v, tau)

    return Contender(name=name, prepare=prepare, dtype=dtype, note=note)


def _calibrate(call: Callable[[], Any], slice_s: float) -> int:
    """How often to repeat a call so that it fills its slice; also warms it up."""
    call()
    once = max(_time(call, 1), 1e-7)
    return max(1, min(100_000, int(slice_s / once)))


def _time(call: Callable[[], Any], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - start


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
