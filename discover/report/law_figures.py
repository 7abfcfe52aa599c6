"""Figures of a law: its accelerations beside the model's, the force of its terms, the size of its
parts, and the Pareto front of the laws that were tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from discover.records import number_from_json
from discover.report.style import FAINT, INK, LAW, MODEL, MUTED, house_style, log_errors, new_figure
from discover.report.tables import PARTS

_FLOOR = 1e-16
_LONG_LABEL = 34  # characters of a formula that stand beside its mark
_LONG_TITLE = 40
_MOST_PARTS = 10  # that are drawn, the largest
_MOST_TERMS = 3  # whose force is drawn
_UNITS = {"q": "rad or m", "v": "rad/s or m/s", "tau": "N·m or N", "a": "rad/s² or m/s²"}


def laws(front: Sequence[Mapping[str, Any]], account: Sequence[Mapping[str, Any]]) -> Figure | None:
    """The size of the law's parts and, where there are several laws, the Pareto front.

    front    rows of formula, size and errors, as formulas.json keeps them
    account  the law's parts as law.json keeps them; None is returned where there are none
    """
    parts = [p for p in account if 0 < number_from_json(p["contribution"] or 0.0) < np.inf]
    if not parts:
        return None
    parts = sorted(parts, key=lambda p: -float(p["contribution"]))[:_MOST_PARTS]
    height = max(2.2, 1.0 + 0.3 * len(parts))
    with house_style():
        if len(front) > 1:
            figure = new_figure(10.2, max(height, 2.8))
            left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
            _front(left, front)
        else:
            figure = new_figure(5.6, height)
            right = figure.subplots()
        _contributions(right, parts)
    return figure


def samples(places: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Parity of law and model in each place, then the force of each term; None without samples.

    places  samples as law.json keeps them: where, accelerations (n, nv) of model and law, terms
    """
    drawn = [s for s in places if len(s["model"])]
    if not drawn:
        return None
    terms = drawn[0]["terms"][:_MOST_TERMS]
    with house_style():
        figure = new_figure(3.4 * (len(drawn) + len(terms)), 3.2)
        panels = figure.subplots(1, len(drawn) + len(terms), squeeze=False)[0]
        for axes, place in zip(panels, drawn, strict=False):
            _parity(axes, place)
        for k, axes in enumerate(panels[len(drawn) :]):
            _force(axes, [s["terms"][k] for s in drawn], [s["where"] for s in drawn])
    return figure


def _front(axes: Axes, front: Sequence[Mapping[str, Any]]) -> None:
    sizes = np.array([m["size"] for m in front], dtype=float)
    drawn: list[float] = []
    for key, label, colour, mark in (
        ("inside", "held-out error, in the region", MUTED, "o"),
        ("far", "far error, 2–3 half-widths", LAW, "s"),
    ):
        errors = np.array([number_from_json(m[key]) for m in front])
        good = np.isfinite(errors)
        errors = np.maximum(errors, _FLOOR)
        drawn += errors[good].tolist()
        axes.plot(
            sizes[good], errors[good], mark + "-", color=colour, label=label, markersize=4.5,
            linewidth=1.0,
        )  # fmt: skip
    log_errors(axes, min(drawn, default=1e-3), 30 * max(drawn, default=1.0))
    last = max(sizes.max(initial=0.0), 1.0)
    axes.set_xlim(-0.04 * last, 2.0 * last)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for m, size in zip(front, sizes, strict=True):
        both = [number_from_json(m[k]) for k in ("inside", "far")]
        known = [max(e, _FLOOR) for e in both if np.isfinite(e)]
        text = m["text"] if len(m["text"]) <= _LONG_LABEL else m["text"][: _LONG_LABEL - 1] + "…"
        if known:
            axes.annotate(
                text, (size, max(known)), xytext=(6, 5), textcoords="offset points",
                fontsize=7.5, color=INK,
            )  # fmt: skip
    axes.set_xlabel("size of the extra terms [symbols and numbers]")
    axes.set_ylabel("relative error of a")
    axes.set_title("laws that were tried", pad=20)
    axes.legend(
        frameon=False, fontsize=7.5, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2,
        borderaxespad=0.2, handletextpad=0.4,
    )  # fmt: skip


def _contributions(axes: Axes, parts: Sequence[Mapping[str, Any]]) -> None:
    names = [PARTS.get(p["name"], p["name"]) for p in parts][::-1]
    sizes = [float(p["contribution"]) for p in parts][::-1]
    extra = [bool(p["term"]) for p in parts][::-1]
    axes.barh(names, sizes, color=[MODEL if x else LAW for x in extra], height=0.6)
    axes.set_xscale("log")
    axes.set_xlim(0.5 * min(sizes), 4 * max(sizes))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    for place, size in enumerate(sizes):
        axes.annotate(
            f"{size:.3g}", (size, place), xytext=(3, 0), textcoords="offset points", va="center",
            fontsize=7.5, color=INK,
        )  # fmt: skip
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.set_title("parts of the law")
    axes.set_xlabel("joint force, RMS [N·m or N]")


def _parity(axes: Axes, place: Mapping[str, Any]) -> None:
    """Every joint's acceleration over the root mean square of the model's, law against model."""
    model, law = (_matrix(place[who]) for who in ("model", "law"))
    square = np.where(np.isfinite(model), model, 0.0) ** 2
    scale = np.sqrt(square.sum(0) / np.maximum(np.isfinite(model).sum(0), 1))
    scale = np.where(scale > 0, scale, 1.0)
    model, law = model / scale, law / scale
    known = model[np.isfinite(model)]
    ends = [known.min(initial=0.0), known.max(initial=0.0)]
    axes.plot(ends, ends, color=FAINT, linewidth=1.0, zorder=0)
    joints = model.shape[1]
    for j in range(joints):
        colour = LAW if joints > 3 else (LAW, MODEL, MUTED)[j]
        axes.plot(
            model[:, j], law[:, j], "o", markersize=2.6, alpha=0.7, label=f"joint {j + 1}",
            color=colour,
        )  # fmt: skip
    axes.set_xlabel("model: acceleration / its RMS")
    axes.set_ylabel("law: acceleration / the same RMS")
    axes.set_title(place["where"] + (", all joints" if joints > 3 else ""))
    if joints <= 3:
        axes.legend(frameon=False, fontsize=7.5, loc="best", handletextpad=0.1)


def _force(axes: Axes, places: Sequence[Mapping[str, Any]], where: Sequence[str]) -> None:
    """One term's force against the coordinate that it acts along, in each place."""
    rows = list(zip(places, where, (LAW, MUTED), strict=False))
    for term, label, colour in reversed(rows):
        x, y = _matrix([term["values"], term["force"]])
        axes.plot(x, y, "o", markersize=2.6, color=colour, label=label)
    first = places[0]
    unit = _UNITS.get(first["along"].rstrip("0123456789"))
    axes.set_xlabel(first["along"] + (f" [{unit}]" if unit else ""))
    axes.set_ylabel(f"part of τ on joint {first['joint']} [N·m or N]")
    name = PARTS.get(first["name"], first["name"])
    title = name if len(name) <= _LONG_TITLE else name[: _LONG_TITLE - 1] + "…"
    axes.set_title(title, color=INK, fontsize=8)
    axes.legend(frameon=False, fontsize=7, loc="best", handletextpad=0.1)


def _matrix(rows: Sequence[Sequence[Any]]) -> NDArray[np.float64]:
    """Stored numbers as an array; NaN where they are not finite, or JSON could not hold them."""
    values = np.array(
        [[x if isinstance(x, float | int) else np.nan for x in row] for row in rows], dtype=float
    )
    return np.where(np.isfinite(values), values, np.nan)
