"""The page of a track: what a network had learned at each training step, in words, table, figure.

All of it is made from the content of track.json.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from discover.artifacts import write_text
from discover.report.numbers import half_widths, listing, number, relative
from discover.report.style import (
    FAINT,
    INK,
    LAW,
    MODEL,
    MUTED,
    SERIES,
    end_labels,
    house_style,
    log_errors,
    new_figure,
    save,
)

PAGE, FIGURE = "track.md", "track.png"
AXES = {"q": "q", "v": "v", "tau": "τ", "joint": "all three"}
AXIS_COLOURS = {"q": SERIES[1], "v": SERIES[3], "tau": SERIES[4], "joint": INK}
ANSWERS = {
    "physics": "#1f66b0",
    "alternative law": "#2b8a5b",
    "undetermined": "#c9ced4",
    "lookup table": "#c8442d",
}
PARAMETERS = 6  # lines that can be told apart
EXACT = 1e-12  # smaller errors are drawn as this
ROUNDING = 1e-9  # of the largest described parameter: what is smaller is zero

Rows = Sequence[Mapping[str, Any]]


def write(track: Mapping[str, Any], directory: Path) -> Path:
    """Write the page and its figure; returns the page's path. Raises OutputError."""
    save(figure(track), directory / FIGURE)
    return write_text(directory / PAGE, page(track))


def page(track: Mapping[str, Any]) -> str:
    """The page as Markdown."""
    failures = [row for row in track["rows"] if row["failure"]]
    parts = [
        f"# {track['robot']}: what was learned, and when",
        summary(track),
        f"![Law error, reach, verdict and parameters against training step]({FIGURE})",
        table(track),
        "*Law error*: relative error of the fitted law against the model's answers, in the region "
        "and at the farthest distance that was asked. *Reach*: half-widths of the region up to "
        "which the law describes the model. Every row is one examination with the budget "
        f"`{track['budget']}`.",
    ]
    last = next((row for row in reversed(track["rows"]) if row["parameters"]), None)
    if last is not None:
        parts += [f"## Parameters of the law at step {_step(last['step'])}", _parameters(last)]
    if failures:
        parts.append("## Not examined")
        parts.append("\n".join(f"- step {_step(r['step'])}: {r['failure']}" for r in failures))
    return "\n\n".join(parts) + "\n"


def summary(track: Mapping[str, Any]) -> str:
    """How the verdict and the law's error went, in sentences."""
    rows = [row for row in track["rows"] if not row["failure"]]
    if not rows:
        return "No checkpoint could be examined."
    spans = []
    for verdict, group in groupby(rows, key=lambda row: row["verdict"]):
        steps = [row["step"] for row in group]
        last = f" to {_step(steps[-1])}" if len(steps) > 1 else ""
        spans.append(f"**{verdict}** at step{'s' if last else ''} {_step(steps[0])}{last}")
    sentences = [f"{listing(spans, 'then')}."]
    errors = [row for row in rows if row["error"] is not None]
    if len(errors) > 1:
        first, last = errors[0], errors[-1]
        sentences.append(
            f"The law differs from the model by {relative(_number(first['error']))} in the region "
            f"at step {_step(first['step'])} and by {relative(_number(last['error']))} at step "
            f"{_step(last['step'])}."
        )
    return " ".join(sentences)


def table(track: Mapping[str, Any]) -> str:
    """One line a checkpoint, as Markdown."""
    limit = track["reach_limit"]
    lines = [
        "| step | verdict | confidence | law error | far out | reach q | v | τ | all three | law |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    for row in track["rows"]:
        if row["failure"]:
            lines.append(f"| {_step(row['step'])} | not examined | | | | | | | | |")
            continue
        reach = [half_widths(_number(row["reach"].get(axis)), limit) for axis in AXES]
        cells = [
            _step(row["step"]),
            f"**{row['verdict']}**",
            number(row["confidence"], 2),
            relative(_number(row["error"])),
            relative(_number(row["error_far"])),
            *reach,
            row["family"] or "none",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def as_text(track: Mapping[str, Any]) -> str:
    """One line a checkpoint, for a terminal."""
    lines = []
    for row in track["rows"]:
        step = f"step {_step(row['step']):>9}"
        if row["failure"]:
            lines.append(f"{step}  not examined: {row['failure']}")
            continue
        reach = half_widths(_number(row["reach"].get("joint")), track["reach_limit"])
        lines.append(
            f"{step}  {row['verdict']:<15} ({row['confidence']:.2f})  law error "
            f"{relative(_number(row['error'])):>8}  reach {reach}"
        )
    return "\n".join(lines)


def _parameters(row: Mapping[str, Any]) -> str:
    lines = ["| parameter | law | ± | description |", "|---|--:|--:|--:|"]
    for p in row["parameters"]:
        values = (number(_number(p[k])) for k in ("value", "standard_error", "description"))
        lines.append(f"| {p['name']} | {' | '.join(values)} |")
    return "\n".join(lines)


def figure(track: Mapping[str, Any]) -> Figure:
    """Four panels against the training step: error of the law, its reach, the probability of each
    verdict, and its parameters."""
    rows = [row for row in track["rows"] if not row["failure"]]
    described = [row for row in rows if row["parameters"]]
    with house_style():
        drawn = new_figure(10.2, 5.2)
        panels = drawn.subplots(2, 2, sharex=True, squeeze=False)
        steps = [row["step"] for row in track["rows"]] or [0.0]
        for panel in panels.flat:
            _steps_axis(panel, steps)
        _errors(panels[0, 0], rows)
        _reach(panels[0, 1], rows, track["reach_limit"])
        _verdicts(panels[1, 0], rows)
        _parameter_lines(panels[1, 1], rows, described)
        for panel in panels[1]:
            panel.set_xlabel("training step")
        for row in track["rows"]:
            if row["failure"]:
                for panel in panels.flat:
                    panel.axvline(row["step"], color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
    return drawn


def _steps_axis(panel: Axes, steps: Sequence[float]) -> None:
    low, high = min(steps), max(steps)
    above = [s for s in steps if s > 0]
    # checkpoints at powers: the early ones would all lie on the left edge
    if len(above) > 2 and low >= 0 and np.median(above) < 0.2 * high:
        panel.set_xscale("symlog", linthresh=min(above))
    room = 0.02 * (high - low) or 0.5
    panel.set_xlim(low - room if low > 0 or panel.get_xscale() == "linear" else low, high + room)


def _line(
    panel: Axes, rows: Rows, values: Sequence[float | None], colour: str, **more: Any
) -> None:
    y = np.array([math.nan if v is None else v for v in values], dtype=float)
    y[~np.isfinite(y)] = math.nan
    panel.plot([row["step"] for row in rows], y, color=colour, marker="o", markersize=3.2, **more)


def _last(values: Sequence[float | None]) -> float | None:
    return next((v for v in reversed(values) if v is not None and math.isfinite(v)), None)


def _errors(panel: Axes, rows: Rows) -> None:
    panel.set_title("relative error of the law, against the model")
    inside = [_floored(row["error"]) for row in rows]
    far = [_floored(row["error_far"]) for row in rows]
    known = [v for v in (*inside, *far) if v is not None and math.isfinite(v)]
    log_errors(panel, min(known, default=1e-3), max(known, default=1.0))
    _line(panel, rows, far, MODEL, linestyle=(0, (3, 1.6)))
    _line(panel, rows, inside, LAW)
    ends = []
    for values, words, colour in ((inside, "in the region", LAW), (far, "far out", MODEL)):
        end = _last(values)
        if end is not None:
            ends.append((0.0, end, words, colour))
    end_labels(panel, ends, gap=0.09)


def _reach(panel: Axes, rows: Rows, limit: float) -> None:
    panel.set_title("reach of the law [half-widths]")
    panel.set_ylim(0, 1.08 * limit)
    panel.axhline(1, color=FAINT, linewidth=0.9, zorder=0)
    ends = []
    for axis, words in AXES.items():
        values = [_number(row["reach"].get(axis)) for row in rows]
        if all(v is None for v in values):
            continue
        capped = [None if v is None else min(v, limit) for v in values]
        _line(panel, rows, capped, AXIS_COLOURS[axis], linewidth=1.4)
        end = _last(capped)
        if end is not None:
            beyond = "≥ " if end >= limit - 1e-9 else ""
            ends.append((0.0, end, f"{words} {beyond}{end:.2g}", AXIS_COLOURS[axis]))
    end_labels(panel, ends, gap=0.09)


def _verdicts(panel: Axes, rows: Rows) -> None:
    panel.set_title("probability of each verdict")
    panel.set_ylim(0, 1)
    steps = [row["step"] for row in rows]
    shares = np.array([[row["probabilities"].get(a, 0.0) for row in rows] for a in ANSWERS])
    if len(rows) > 1:
        panel.stackplot(steps, shares, colors=list(ANSWERS.values()), step="mid", alpha=0.75, lw=0)
    else:
        base = np.zeros(len(rows))
        for share, colour in zip(shares, ANSWERS.values(), strict=True):
            panel.bar(steps, share, 0.3, base, color=colour, alpha=0.75)
            base += share
    if not rows:
        return
    top = np.cumsum(shares[:, -1])
    middle = top - shares[:, -1] / 2
    seen = shares.max(axis=1) > 0.05
    colours = {**ANSWERS, "undetermined": MUTED}
    end_labels(
        panel,
        [(0.0, m, a, colours[a]) for a, m, s in zip(ANSWERS, middle, seen, strict=True) if s],
        gap=0.09,
    )


def _parameter_lines(panel: Axes, rows: Rows, described: Rows) -> None:
    if not described:
        panel.set_title("parameters of the law")
        panel.annotate(
            "no law at any step", (0.5, 0.5), xycoords="axes fraction", ha="center", color=MUTED
        )
        panel.set_yticks([])
        return
    last = described[-1]["parameters"]
    largest = max(abs(float(p["description"] or 0.0)) for p in last)
    beside = [p for p in last if abs(float(p["description"] or 0.0)) > ROUNDING * largest]
    chosen = _surest(beside or [p for p in last if p["value"]])
    words = "description" if beside else "last value"
    panel.set_title(f"parameters of the law / {words}")
    panel.axhline(1, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    ends, every = [], []
    for parameter, colour in zip(chosen, SERIES[1:], strict=False):
        name = parameter["name"]
        scale = float(parameter["description"] if beside else parameter["value"]) or 1.0
        values = [_ratio(row, name, scale) for row in rows]
        _line(panel, rows, values, colour, linewidth=1.4)
        end = _last(values)
        if end is not None:
            ends.append((0.0, end, _short(name), colour))
        every += [v for v in values if v is not None and math.isfinite(v)]
    low, high = np.quantile(every, [0.1, 0.9]) if every else (0.9, 1.1)
    room = 0.25 * max(high - low, abs(1 - low), abs(high - 1), 0.02)
    panel.set_ylim(min(low, 1) - room, max(high, 1) + room)
    end_labels(panel, ends, gap=0.09)


def _surest(parameters: Rows) -> list[Mapping[str, Any]]:
    """The parameters that are known best, in the law's order."""

    def sureness(p: Mapping[str, Any]) -> float:
        known = abs(float(p["value"])) / max(float(p["standard_error"] or 0.0), 1e-300)
        return known if math.isfinite(known) else -1.0

    best = sorted(parameters, key=sureness, reverse=True)[:PARAMETERS]
    return [p for p in parameters if p in best]


def _ratio(row: Mapping[str, Any], name: str, scale: float) -> float | None:
    found = next((p["value"] for p in row["parameters"] if p["name"] == name), None)
    return None if found is None else float(found) / scale


def _short(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:20]}…"


def _number(x: Any) -> float | None:
    """A number as JSON holds it, infinity as a word."""
    return None if x is None else float(x)


def _floored(x: Any) -> float | None:
    return None if x is None else max(float(x), EXACT)


def _step(step: float) -> str:
    return f"{step:,.0f}" if step == int(step) else f"{step:g}"
