"""The report of `discover bench models`: a table and a figure for each robot."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from discover.report.numbers import number
from discover.report.style import (
    MUTED,
    SERIES,
    end_labels,
    house_style,
    label_region,
    log_errors,
    new_figure,
    shade_region,
)
from tests.bench.models import families
from tests.bench.models.families import MECHANICAL, REMEMBERING, Arena
from tests.bench.trials import machines_of

AXES = {"q": "configuration q", "v": "velocity v", "tau": "joint force τ", "joint": "together"}
COLOURS = {"remembers": SERIES[0], "network": SERIES[2], "mechanics": SERIES[1], "white": SERIES[3]}


def report(chosen: Sequence[Arena], results: dict[str, list[dict[str, Any]]]) -> str:
    """The tables as Markdown, of the robots that are measured."""
    every = [row for rows in results.values() for row in rows]
    budget = " or ".join(f"{s:g}" for s in sorted({row["budget"] for row in every}))
    drawn = sorted({row["trained_on"] for row in every} - {"cpu"} - {None})
    where = f"; the larger robots on {' and '.join(drawn)}, several at once" if drawn else ""
    lines = [
        "# Families of world models, on three robots",
        "",
        f"Every family was trained on {families.SAMPLES:,} samples of the region, for at most "
        f"{budget} s of wall clock and {families.EPOCHS} epochs, a thread each, on "
        f"{machines_of(every)}{where}; made by `discover bench models`. This shows what each "
        "family gives for the same small effort, not the best that it can give; large families "
        "see few epochs (their number stands in the table).",
        "",
        "Errors are relative: root mean square over the size of the true answer, joint by joint. "
        "Columns *region*, *1.5×*, *2×*, *3×*: in the region, and in shells that end at so many "
        "half-widths in q, v and τ together. *q 3×*, *v 3×*, *τ 3×*: that group alone goes out to "
        f"3 half-widths. *Holds*: how long (median of {families.STARTS} starts, no joint forces) a "
        "forecast stays within 40 % of the motion's own spread; *energy off*: how far its energy "
        "then is from the truth, over the largest kinetic energy. *Training*: wall clock.",
        "",
        "Families marked † answer next states; they are held against the simulator's own step map "
        "(the errors are those of the change of velocity over the step) and are rolled out by "
        f"their own map. The recurrent network needs a past: its {families.ALONG:,} samples lie on "
        "trajectories. The white box ‡ is the simulator with unknown masses, and no fair "
        "competitor: it shows what the same samples hold.",
    ]
    for arena in chosen:
        lines += ["", f"## {arena.title}", "", *_table(arena, results[arena.name])]
    return "\n".join(lines) + "\n"


def _table(arena: Arena, rows: Sequence[dict[str, Any]]) -> list[str]:
    head = ["family", "region", "1.5×", "2×", "3×", "q 3×", "v 3×", "τ 3×"]
    head += ["holds [s]", "energy off", "parameters", "training [s]", "epochs"]
    head += ["verdict"] if arena.examined else []
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    refused = []
    for row in rows:
        if "refused" in row:
            refused.append(f"*{row['family']}* is not in the table: {row['refused']}.")
            continue
        mark = "†" if row["outputs"] == "next_state" else "‡" if row["kind"] == "white_box" else ""
        together = row["errors"]["joint"]
        joint = dict(zip(together["distance"], together["error"], strict=True))
        cells = [f"{row['family']} {mark}".strip()]
        cells += [_percent(joint[d]) for d in (1.0, 1.5, 2.0, 3.0)]
        cells += [_percent(row["errors"][axis]["error"][-1]) for axis in ("q", "v", "tau")]
        whole = row["valid_time"] >= row["horizon_s"] - 1e-9
        cells += [f"{'≥ ' if whole else ''}{number(row['valid_time'], 2)}"]
        cells += [_percent(row["energy_drift"]), f"{row['parameters']:,}"]
        cells += [f"{row['train_s']:.1f}", str(row["epochs"] or "–")]
        if arena.examined:
            cells.append(f"{row['verdict']} ({row['confidence']:.2f})")
        lines.append(f"| {' | '.join(cells)} |")
    horizon = min((row["horizon_s"] for row in rows if "horizon_s" in row), default=math.nan)
    box = arena.region.resolve(arena.robot.nv)
    halves = {g: _range(getattr(box, g).half_width.tolist()) for g in ("q", "v", "tau")}
    said = [
        f"{arena.robot.nv} degrees of freedom; half-widths of the region: q {halves['q']} rad or "
        f"m, v {halves['v']} per second, τ {halves['tau']} N·m or N. Steps of next states: "
        f"{1000 * arena.dt:g} ms. Forecasts over {number(horizon, 2)} s"
        + ("." if horizon > 0.99 * families.ROLLOUT_S else ", a few stays in the region.")
    ]
    if not arena.examined:
        said.append("No verdicts here: one examination takes minutes at this size.")
    picture = f"![Relative error against distance, one panel an axis]({arena.name}.png)"
    notes = ["", *refused] if refused else []
    return [" ".join(said), "", *lines, *notes, "", picture]


def figure(arena: Arena, rows: Sequence[dict[str, Any]]) -> Any:
    """Error against distance: one panel an axis, the names at the ends of the last panel."""
    with house_style():
        drawing = new_figure(11.0, 4.2)
        panels = drawing.subplots(1, len(AXES), sharey=True)
        shown = [row for row in rows if "errors" in row]
        finite = [
            e for row in shown for axis in AXES for e in row["errors"][axis]["error"] if e and e > 0
        ]
        for panel, (axis, title) in zip(panels, AXES.items(), strict=True):
            shade_region(panel)
            if finite:
                log_errors(panel, min(finite), min(max(finite), 99.0))
            ends = []
            for row in shown:
                curve, colour = row["errors"][axis], COLOURS[_group(row["kind"])]
                outer = curve["distance"]
                x = [0.0, 1.0, *((a + b) / 2 for a, b in itertools.pairwise(outer))]
                y = [math.nan if e is None else e for e in [curve["error"][0], *curve["error"]]]
                panel.plot(x, y, color=colour, linewidth=1.1, alpha=0.85)
                if math.isfinite(y[-1]):
                    ends.append((x[-1], y[-1], row["family"], colour))
            panel.set_title(title)
            panel.set_xlim(0, 3)
            if axis == "q":
                label_region(panel, [row["errors"][axis]["error"][0] or 1.0 for row in shown])
            if axis == "joint":
                end_labels(panel, ends, gap=0.062, size=7.5)
        panels[0].set_ylabel("relative error")
        drawing.supxlabel("distance from the centre of the region [half-widths]", fontsize=9)
        drawing.suptitle(arena.title, x=0.01, ha="left", fontsize=11, color=MUTED)
    return drawing


def _group(kind: str) -> str:
    if kind in REMEMBERING:
        return "remembers"
    if kind in MECHANICAL:
        return "mechanics"
    return "white" if kind == "white_box" else "network"


def _percent(share: float | None) -> str:
    if share is None or not math.isfinite(share):
        return "diverged"
    if share >= 1e4:
        return "> ×10,000"
    if share >= 10:
        return f"×{share:,.0f}"
    return f"{number(100 * share, 2)} %"


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:g}" if math.isclose(low, high) else f"{low:g} to {high:g}"
