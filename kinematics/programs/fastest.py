"""The elimination order that runs fastest here: the cheapest few, compiled and timed in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kinematics.programs.compiler import disk_cache
from kinematics.programs.compiler.compiled import CompiledProgram
from kinematics.programs.compiler.machine import compiler_version, this_machine

CANDIDATES = ("auto", "aba", "crba")
NEAR = 1.1  # a candidate with more than so many times the fewest operations is not tried
STATES = 512
ROUNDS = 9
TURN = 2e-3  # seconds


def fastest_order(
    make: Callable[[str], CompiledProgram], content: dict[str, Any]
) -> tuple[str, dict[str, float]]:
    """The name of the order that is fastest on this machine at a batch of `STATES`, and the median
    nanoseconds a state of those that were timed.

    ``make`` compiles an order by name; ``content`` says everything the programs depend on: what
    was measured is kept in the cache under it, so that the answer stays the same.

    What is near in operations is measured, since a cheaper order need not be a faster one.
    """
    key = disk_cache.key(
        content=content,
        machine=repr(this_machine()),
        compiler=compiler_version(),
        timed=CANDIDATES,
    )
    entry = disk_cache.read(key)
    if entry is not None:
        return entry[0]["order"], entry[0]["nanoseconds"]
    compiled = {name: make(name) for name in CANDIDATES}
    fewest = min(p.arithmetic for p in compiled.values())
    near = {name: p for name, p in compiled.items() if p.arithmetic <= NEAR * fewest}
    laps = times(near)
    order = choose(laps, {name: p.arithmetic for name, p in near.items()})
    nanoseconds = {name: 1e9 * statistics.median(own) / STATES for name, own in laps.items()}
    disk_cache.write(key, {"order": order, "nanoseconds": nanoseconds}, b"")
    return order, nanoseconds


def times(compiled: Mapping[str, CompiledProgram]) -> dict[str, list[float]]:
    """Processor seconds of a batch, one a round, the programs taking turns."""
    rng = np.random.default_rng(0)
    calls: dict[str, Callable[[], None]] = {}
    for name, program in compiled.items():
        states = [rng.normal(size=(STATES, n)).astype(program.dtype) for n in program.input_sizes]
        out = np.empty((STATES, int(np.prod(program.output_shape))), dtype=program.dtype)
        calls[name] = lambda p=program, s=states, o=out: p.run(s, o, STATES)  # type: ignore[misc]
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            call()  # the others have emptied the caches
            count = 0
            begin = now = time.process_time()
            while now - begin < TURN:
                call()
                count += 1
                now = time.process_time()
            found[name].append((now - begin) / count)
    return found


def choose(laps: Mapping[str, list[float]], operations: Mapping[str, int]) -> str:
    """The name with the least median; or one with fewer operations that is not slower in three
    rounds of four."""
    fastest = min(laps, key=lambda name: statistics.median(laps[name]))
    for name in sorted(laps, key=lambda name: operations[name]):
        ahead = sum(a < b for a, b in zip(laps[fastest], laps[name], strict=True))
        if name == fastest or 4 * ahead < 3 * len(laps[name]):
            return name
    return fastest
