"""The figures of a report, drawn from stored numbers only.

Every function takes plain dictionaries and arrays as they lie in the study's folder, and returns a
matplotlib figure; `style.save` writes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from discover.report.numbers import number
from discover.report.stored import midpoints
from discover.report.style import (
    BETWEEN,
    INK,
    LAW,
    MODEL,
    MUTED,
    SERIES,
    SIMULATOR,
    end_labels,
    finite,
    house_style,
    label_region,
    log_errors,
    new_figure,
    shade_region,
)

Array = NDArray[np.float64]
Curve = Mapping[str, Any]

AXES = ("q", "v", "tau", "joint")
TITLES = {
    "q": "configuration q alone",
    "v": "velocity v alone",
    "tau": "joint force τ alone",
    "joint": "all three together",
}
SUBJECTS = {
    "model against simulator": ("model vs simulator", MODEL),
    "law against simulator": ("law vs simulator", LAW),
    "law against model": ("law vs model", BETWEEN),
}
FLOOR = 1e-16
EXACT = 1e-7  # below this an answer counts as exact where others are not


def errors(
    curves: Sequence[Curve], reach: Mapping[str, float | None], controlled: bool = False
) -> Figure:
    """Error against distance from the region: one panel an axis, one line a subject. `controlled`:
    whether controls u were asked in the place of joint forces."""
    titles = TITLES | ({"tau": "controls u alone"} if controlled else {})
    with house_style():
        figure = new_figure(10.2, 2.9)
        panels = figure.subplots(1, len(AXES), sharey=True)
        for panel, axis in zip(panels, AXES, strict=True):
            drawn = [c for c in curves if c["axis"] == axis and c["subject"] in SUBJECTS]
            _frame(panel, titles[axis], curves)
            for curve in drawn:
                between = curve["subject"] == "law against model" and len(drawn) > 1
                _line(panel, curve, SUBJECTS[curve["subject"]][1], dashed=between)
            _reach_mark(panel, reach.get(axis))
            if axis == AXES[0]:
                label_region(panel, [c["error"][0] for c in drawn])
            if axis == AXES[-1]:
                end_labels(panel, [_end_label(panel, c, *SUBJECTS[c["subject"]]) for c in drawn])
        panels[0].set_ylabel("relative error of a")
        figure.supxlabel("distance from the centre of the region [half-widths]", fontsize=9)
    return figure


def comparison(models: Mapping[str, Sequence[Curve]]) -> Figure:
    """Several models side by side: above what each computes, below the law identified from it."""
    rows: tuple[tuple[str, str], ...] = (
        ("model against simulator", "the model itself"),
        ("law against simulator", "the law identified from it"),
    )
    every = [c for curves in models.values() for c in curves]
    rows = tuple(row for row in rows if any(c["subject"] == row[0] for c in every))
    with house_style():
        figure = new_figure(10.2, 0.5 + 2.4 * max(1, len(rows)))
        grid = figure.subplots(max(1, len(rows)), len(AXES), sharex=True, sharey="row")
        for panels, (subject, title) in zip(np.atleast_2d(grid), rows, strict=True):
            drawn = [c for c in every if c["subject"] == subject]
            for panel, axis in zip(panels, AXES, strict=True):
                first = subject == rows[0][0]
                _frame(panel, TITLES[axis] if first else "", drawn)
                if axis == AXES[0]:
                    label_region(panel, [c["error"][0] for c in drawn if c["axis"] == axis])
                ends = []
                for place, (name, curves) in enumerate(models.items()):
                    for curve in curves:
                        if curve["subject"] == subject and curve["axis"] == axis:
                            colour = SERIES[place % len(SERIES)]
                            _line(panel, curve, colour)
                            ends.append(_end_label(panel, curve, name, colour))
                if axis == AXES[-1]:
                    end_labels(panel, ends)
            panels[0].set_ylabel(f"{title}:\nrelative error of a")
        figure.supxlabel("distance from the centre of the region [half-widths]", fontsize=9)
    return figure


def forecasts(
    drawn: Mapping[str, Array], table: Mapping[str, Any], joints: Sequence[str] = ()
) -> Figure:
    """One motion as simulator, model and law see it; its energy; and the errors over all starts."""
    t = drawn["t"]
    subjects = [name for name in ("model", "law") if f"{name}_q" in drawn]
    colours = {"model": MODEL, "law": LAW}
    reference = drawn["reference_q"]
    shown = _most_moving(reference, 3)
    with house_style():
        figure = new_figure(10.2, 4.2)
        parts = figure.subfigures(1, 2, width_ratios=(1.15, 1), wspace=0.03, squeeze=False)
        left, right = np.asarray(parts)[0]
        panels = np.atleast_1d(left.subplots(len(shown), 1, sharex=True))
        for panel, k in zip(panels, shown, strict=True):
            panel.plot(t, reference[:, k], color=SIMULATOR, linewidth=4.5, alpha=0.65)
            for name in subjects:
                panel.plot(t, drawn[f"{name}_q"][:, k], color=colours[name], linewidth=1.4)
            _limits(panel, reference[:, k])
            panel.set_xlim(t[0], t[-1])
            label = joints[k] if k < len(joints) else f"q{k + 1}"
            panel.set_ylabel(label, rotation=0, ha="right", va="center")
            panel.yaxis.set_major_locator(MaxNLocator(4))
            _leave_mark(panel, t, drawn["inside"])
        panels[0].set_title("one free motion (τ = 0), position [rad or m]")
        panels[-1].set_xlabel("time [s]")

        energy, away = right.subplots(2, 1, sharex=True)
        energy.plot(t, drawn["reference_energy"], color=SIMULATOR, linewidth=4.5, alpha=0.65)
        for name in subjects:
            energy.plot(t, drawn[f"{name}_energy"], color=colours[name], linewidth=1.4)
        course = _known(drawn["reference_energy"])
        scale = float(table["energy_scale"])
        scale = scale if 0 < scale < math.inf else 1.0
        low = min(float(course.min()), float(course[0]) - 0.5 * scale)
        high = max(float(course.max()), float(course[0]) + 0.5 * scale)
        energy.set_xlim(t[0], t[-1])
        energy.set_ylim(low - 0.1 * scale, high + 0.1 * scale)
        energy.set_title("its energy [J]")
        end_labels(
            energy,
            [(t[-1], float(course[-1]), "simulator", MUTED)]
            + [(t[-1], _held(drawn[f"{name}_energy"]), name, colours[name]) for name in subjects],
            gap=0.1,
        )
        quartiles = {name: _floored(drawn[f"{name}_away"]) for name in subjects}
        lowest = min((float(q[1, 1:].min()) for q in quartiles.values()), default=1e-3)
        log_errors(away, max(min(lowest, float(table["threshold"])), 1e-12), 10.0)
        for name, (lower, median, upper) in quartiles.items():
            away.fill_between(t, lower, upper, color=colours[name], alpha=0.18, linewidth=0)
            away.plot(t, median, color=colours[name], linewidth=1.6)
        away.axhline(table["threshold"], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        away.annotate(
            "valid up to here",
            (0, table["threshold"]),
            xycoords=("axes fraction", "data"),
            xytext=(3, 3),
            textcoords="offset points",
            fontsize=7.5,
            color=MUTED,
        )
        away.set_title(f"distance from the simulator's motion (relative), {table['starts']} starts")
        away.set_xlabel("time [s]")
        end_labels(
            away, [(t[-1], q[1, -1], name, colours[name]) for name, q in quartiles.items()], gap=0.1
        )
    return figure


def training(history: Sequence[Mapping[str, float]]) -> Figure:
    """Loss over the epochs, training and validation."""
    with house_style():
        figure = new_figure(5.0, 2.4)
        panel = figure.subplots()
        ends = []
        for key, label, colour in (
            ("train", "training", MUTED),
            ("validation", "validation", MODEL),
        ):
            known = [row for row in history if row.get(key) and math.isfinite(float(row[key]))]
            points = [(row["epoch"], float(row[key])) for row in known]
            if points:
                x, y = zip(*points, strict=True)
                panel.plot(x, y, color=colour, linewidth=1.4)
                ends.append((x[-1], y[-1], label, colour))
        panel.set_yscale("log")
        panel.set_xlabel("epoch")
        panel.set_title("loss")
        end_labels(panel, ends, gap=0.1)
    return figure


def _frame(panel: Axes, title: str, curves: Sequence[Curve]) -> None:
    shade_region(panel)
    panel.set_title(title)
    drawn = [e for c in curves for e in finite(c["error"]) if e > 0]
    log_errors(panel, _bottom(drawn), max([*drawn, 1.0]))
    furthest = max((c["distance"][-1] for c in curves), default=3.0)
    panel.set_xlim(0, furthest)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))


def _bottom(errors: Sequence[float]) -> float:
    """Where the axis ends below: exact answers must not squeeze everybody else into a corner."""
    inexact = [e for e in errors if e > EXACT]
    if not inexact:
        return max(min(errors, default=1e-3), FLOOR)
    return min(inexact) / (3 if len(inexact) < len(errors) else 1)


def _places(curve: Curve) -> tuple[Array, Array, Array, Array]:
    """x in the middle of each shell; the region itself as a flat piece from 0 to 1. Errors that are
    not finite are NaN: the line has a gap there."""
    x = np.concatenate([[0.0], midpoints(curve)])
    columns = []
    for name in ("error", "low", "high"):
        y = np.array([np.nan if e is None else e for e in curve[name]], dtype=float)
        y = np.maximum(np.where(np.isfinite(y), y, np.nan), FLOOR)
        columns.append(np.concatenate([y[:1], y]))
    return x, columns[0], columns[1], columns[2]


def _line(panel: Axes, curve: Curve, colour: str, *, dashed: bool = False) -> None:
    x, error, low, high = _places(curve)
    if dashed:
        panel.plot(x, error, color=colour, linewidth=1.3, linestyle=(0, (3, 1.6)), zorder=3)
        return
    panel.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    panel.plot(x, error, color=colour)
    panel.plot(x[2:], error[2:], linestyle="", marker="o", markersize=3.2, color=colour)


def _end(curve: Curve) -> tuple[float, float]:
    x, error, _, _ = _places(curve)
    known = np.flatnonzero(np.isfinite(error))
    return (float(x[known[-1]]), float(error[known[-1]])) if len(known) else (0.0, 1.0)


def _end_label(panel: Axes, curve: Curve, text: str, colour: str) -> tuple[float, float, str, str]:
    """A label for the end of a line; with its value where the line runs below the axis, and at the
    top where the answers are not finite any more."""
    x, y = _end(curve)
    if not finite(curve["error"][-1:]):
        return x, math.inf, f"{text}: not finite ↑", colour
    if y < panel.get_ylim()[0]:
        text = f"{text}: {number(y, 1)} ↓"
    return x, y, text, colour


def _reach_mark(panel: Axes, reach: float | None) -> None:
    if reach is None or not math.isfinite(reach):
        return
    edge = panel.get_xlim()[1]
    beyond = reach >= edge
    panel.axvline(min(reach, edge), color=INK, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
    right = reach > 0.6 * edge
    panel.annotate(
        f"reach {'≥ ' if beyond else ''}{min(reach, edge):.2f}",
        (min(reach, edge), 1),
        xycoords=("data", "axes fraction"),
        xytext=(-3 if right else 3, -3),
        textcoords="offset points",
        ha="right" if right else "left",
        va="top",
        fontsize=7.5,
        color=INK,
    )


def _leave_mark(panel: Axes, t: Array, inside: Array) -> None:
    """Shade the time during which the reference motion is still in the region."""
    left = np.flatnonzero(~inside.astype(bool))
    until = t[left[0]] if len(left) else t[-1]
    if until > 0:
        panel.axvspan(t[0], until, color="#eef2f6", zorder=0, linewidth=0)


def _most_moving(paths: Array, most: int) -> list[int]:
    """The coordinates with the largest excursions, in the robot's order."""
    excursion = np.array([np.ptp(_known(path)) for path in paths.T])
    return sorted(int(k) for k in np.argsort(-excursion, kind="stable")[:most])


def _limits(panel: Axes, values: Array) -> None:
    """Frame the reference's motion; a forecast that diverges leaves the panel."""
    low, high = float(_known(values).min()), float(_known(values).max())
    room = 0.35 * max(high - low, 1e-3)
    panel.set_ylim(low - room, high + room)


def _known(values: Array) -> Array:
    """The finite ones; 0 where there are none."""
    kept = values[np.isfinite(values)]
    return kept if len(kept) else np.zeros(1)


def _held(values: Array) -> float:
    return float(_known(values)[-1])


def _floored(values: Array) -> Array:
    return np.clip(np.nan_to_num(values, nan=1e6, posinf=1e6), 1e-14, 1e6)
