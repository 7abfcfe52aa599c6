"""Order over depth of planted recursions: every step of the elimination that was built in, at every
mixed state between two stages, by the instrument's own fits; without search of sites.

    python -m tests.bench.inside.order --out reports/inside --plants tip_first:2R:3,shuffled:2R:3
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from discover.artifacts import read_json, write_json, write_text
from discover.inside import counterfactuals as physics
from discover.inside.measuring import Bench
from discover.inside.network.capture import captured
from discover.inside.network.opening import opened
from discover.inside.pairs import drawn
from discover.inside.sites import chosen
from discover.inside.windows import kendall, window
from discover.judgement.thresholds import threshold, whole
from discover.threads import one_thread
from tests.bench.inside import staged, zoo


def measured(kind: str, shape: str, seed: int) -> dict[str, Any]:
    """S of every step at every mixed state of an exact plant, the windows' order, and the cost."""
    began = _seconds()
    plant = zoo.plant(kind, shape, seed)
    robot = plant.body.robot
    if not isinstance(plant.network, staged.Staged):
        raise ValueError(f"expected a kind that is built of stages, found {kind}")
    found = opened(plant.network, robot, None, None)
    graph, _ = captured(found.module, whole("inside.rows"), robot.nv, found.dtype)
    opening = _seconds() - began
    pairs = drawn(graph, robot, plant.body.region, seed)
    named = [f"mixed.{k}" for k in range(len(plant.network.steps))]
    sites, _ = chosen(graph, pairs, named)
    bench = Bench(graph, robot, pairs, sites, 1, seed)
    factorisation = plant.truth.factorisation or physics.TIP_FIRST
    planned = physics.steps(robot, factorisation)
    ranks = {v.name: rank for v, rank in planned}
    first = pairs.test[0]
    kept, _ = physics.distinct([v for v, _ in planned], first.at_base, first.at_source)
    names = [s.name for s in sites]
    rows = {v.name: [bench.step(v, s) for s in sites] for v in kept}
    windows = [window(n, factorisation, ranks[n], names, S) for n, S in rows.items()]
    tau, ordered = kendall(windows)
    return {
        "id": plant.name,
        "kind": kind,
        "sites": names,
        "steps": [
            {"name": w.variable, "rank": w.rank, "S": list(w.S), "first": w.first, "last": w.last}
            for w in windows
        ],
        "tau": tau,
        "pairs": ordered,
        "opening_seconds": opening,
        "seconds": _seconds() - began,
    }


# Of tip_first_2R_3, the first that was measured; and what follows from the definition of ranks.
READING = """## What stands in the way

- Steps that are only added, w and a, are met nearly as well where they do not stand yet: on an
  exact recursion of two joints w2 reaches S 0.98 and a2 0.93 at mixed.0, which holds H, C and tau
  alone, and both are above or near the bound of a window at every depth. D2, which is multiplied,
  shows the built-in place: 0.17 and 0.13 before it stands, 1.00 where it does, 0.61 where it is
  half used up. Windows of w and a are therefore no evidence until their S is told beyond what V
  alone foretells (the context-free ceiling), as for "uses C".
- A fit of a step ends at S 0.975, "no further than a window needs": too early for that.
- The last joint's pivot and right-hand side stand as soon as the joint before it is eliminated, so
  they open together; ranked one later, an exact recursion reaches no more than τ 0.60 with two
  joints and 0.79 with three (ties count as neither). With the rank of the joint before, both would
  reach 1. So a bound of 0.9 cannot be met as ranks are. Both are derived from where the steps are
  built in, not measured.
- So "implements the recursion" cannot be claimed yet, and an order that is not shown is no
  evidence against one."""


def page(records: Sequence[dict[str, Any]]) -> str:
    """The report, from records alone."""
    bound, least = threshold("inside.order"), threshold("inside.window")
    lines = [
        "# Order over depth of planted recursions",
        "",
        "Made by `python -m tests.bench.inside.order`. S of every step of elimination from the "
        "tips at every mixed state; one start a fit; the step's place in the recursion in "
        f"brackets; bold: S ≥ {least:g}, what a window is made of. D: pivots, w: right-hand sides, "
        "a: accelerations as they are substituted back; a step that is the same in all states, or "
        f"acts as another, is left out. In order: τ ≥ {bound:g}.",
    ]
    for r in records:
        tau = "not told: a step has no window" if r["tau"] is None else f"{r['tau']:.2f}"
        lines += [
            "",
            f"## {r['id']}",
            "",
            f"Kendall's τ of where windows open: {tau.replace('-', '−')} ({r['pairs']} pairs of "
            f"steps). {r['seconds']:.0f} s of processor time, {r['opening_seconds']:.0f} s of them "
            "to trace the network.",
            "",
            "| step | " + " | ".join(r["sites"]) + " |",
            "|---" + "|--:" * len(r["sites"]) + "|",
        ]
        for step in r["steps"]:
            cells = [f"**{x:.2f}**" if x >= least else f"{max(x, -9.99):.2f}" for x in step["S"]]
            said = " | ".join(cells).replace("-", "−")
            lines.append(f"| {step['name']} ({step['rank']}) | {said} |")
    return "\n".join([*lines, "", READING]) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing, and write DIR/order.md."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.inside.order")
    parser.add_argument("--out", type=Path, default=Path("reports/inside"))
    parser.add_argument("--plants", default="tip_first:2R:3", help="KIND:SHAPE:SEED, by commas")
    options = parser.parse_args(arguments)
    folder = options.out / "order"
    with one_thread():
        for listed in (p for p in options.plants.split(",") if p):
            kind, shape, seed = listed.split(":")
            path = folder / f"{kind}_{shape}_{seed}.json"
            if not path.exists():
                write_json(path, measured(kind, shape, int(seed)))
                print(path.stem, flush=True)
    records = [read_json(p, "a record of order") for p in sorted(folder.glob("*.json"))]
    print(write_text(options.out / "order.md", page(records)))


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
