"""`discover bench dynamics`: the time ledger, and cost against the number of bodies.

    discover bench dynamics [--out DIR] [--device cuda]

The time ledger of simulators, networks, laws and compiled programs on four robots
(`discover.bench.ledger`), then how the batched simulator and the compiled program grow with
the number of bodies.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import kinematics
from discover.artifacts import write_json
from discover.bench.programs import interleaved, sample_states
from discover.threads import one_thread

SIZES = (4, 8, 16, 32, 64, 128, 256)
BATCH = 512
ROUNDS = 5
Say = Callable[[str], None]


def main(out: Path | None = None, say: Say = print, device: str = "cpu") -> None:
    """The time ledger, then the scaling with the number of bodies; both are printed, and written
    under ``out`` where it is given. On a graphics card the ledger alone."""
    from discover.bench import ledger, ledger_report

    ledger.main(out, say, device=device)
    if device == "cuda":
        return
    with one_thread():
        growth = scaling()
    say(f"random trees (branching 0.3), batch {BATCH}, ns a state:")
    for name, costs in growth.items():
        say(f"  {name}: " + "  ".join(f"{n} bodies {ns:.0f}" for n, ns in costs))
    if out is not None:
        write_json(out / "scaling.json", growth)
        plot(growth, out / ledger_report.SCALING)
        ledger.report(out)


def scaling(
    sizes: tuple[int, ...] = SIZES, batch: int = BATCH
) -> dict[str, list[tuple[int, float]]]:
    """Nanoseconds a state of forward dynamics for random trees of so many bodies: the batched
    simulator in eager torch, and the articulated-body order compiled."""
    import torch

    calls: dict[str, Callable[[], Any]] = {}
    for size in sizes:
        robot = kinematics.random_tree(size, branching=0.3, seed=0, kinds=("revolute",))
        states = list(sample_states(robot, batch, 0))
        tensors = [torch.as_tensor(x) for x in states]
        program = kinematics.compile(robot, "aba", order="aba")
        out = np.empty((batch, robot.nv))
        calls[f"torch eager {size}"] = lambda r=robot, s=tensors: kinematics.aba(r, *s)  # type: ignore[misc]
        calls[f"compiled {size}"] = lambda p=program, s=states, o=out: p.run(s, o, batch)  # type: ignore[misc]
    times = interleaved(calls, ROUNDS)
    return {
        name: [(size, 1e9 * float(np.median(times[f"{name} {size}"])) / batch) for size in sizes]
        for name in ("torch eager", "compiled")
    }


def plot(growth: dict[str, list[tuple[int, float]]], path: Path) -> None:
    """Cost against size, with a line of slope one."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.add_subplot()
    for name, costs in growth.items():
        sizes, cost = [n for n, _ in costs], [ns for _, ns in costs]
        axes.loglog(sizes, cost, "o-", label=name)
        axes.loglog(sizes, [cost[-1] / sizes[-1] * n for n in sizes], "--", color="0.7")
    axes.set_xlabel("bodies of a random tree")
    axes.set_ylabel(f"forward dynamics, batch {BATCH} [ns a state]")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
