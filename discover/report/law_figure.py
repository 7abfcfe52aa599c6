"""The laws that were tried, by size and error, and what the parts of the law contribute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from discover.judgement.evidence import number_from_json
from discover.report.style import FAINT, INK, LAW, MODEL, MUTED, house_style, log_errors, new_figure

_FLOOR = 1e-16
_LONG = 34  # characters of a formula that stand beside its mark
_PARTS = 10


def laws(front: Sequence[Mapping[str, Any]], account: Sequence[Mapping[str, Any]]) -> Figure | None:
    """`front`: rows of formula, size, inside, far; `account`: parts as the law keeps them."""
    parts = [p for p in account if p["contribution"]]
    if not parts:
        return None
    parts = sorted(parts, key=lambda p: -float(p["contribution"]))[:_PARTS]
    with house_style():
        figure = new_figure(10.2, max(2.4, 1.2 + 0.3 * len(parts)))
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
        _front(left, front)
        _contributions(right, parts)
    return figure


def _front(axes: Any, front: Sequence[Mapping[str, Any]]) -> None:
    sizes = np.array([m["size"] for m in front], dtype=float)
    every = []
    for key, label, colour, mark in (
        ("inside", "inside", MUTED, "o"),
        ("far", "fresh answers, 2–3 half-widths", LAW, "s"),
    ):
        errors = np.array([number_from_json(m[key]) for m in front])
        good = np.isfinite(errors)
        errors = np.maximum(errors, _FLOOR)
        every += errors[good].tolist()
        axes.plot(sizes[good], errors[good], mark + "-", color=colour, label=label, markersize=4.5,
                  linewidth=1.0)  # fmt: skip
    log_errors(axes, min(every, default=1e-3), 30 * max(every, default=1.0))
    last = max(sizes.max(initial=0.0), 1.0)
    axes.set_xlim(-0.04 * last, 1.75 * last)
    for m, size in zip(front, sizes, strict=True):
        both = [number_from_json(m[k]) for k in ("inside", "far")]
        known = [max(e, _FLOOR) for e in both if np.isfinite(e)]
        text = m["text"] if len(m["text"]) <= _LONG else m["text"][: _LONG - 1] + "…"
        if known:
            axes.annotate(text, (size, max(known)), xytext=(6, 5), textcoords="offset points",
                          fontsize=7.5, color=INK)  # fmt: skip
    axes.set_xlabel("symbols and numbers beside the bodies")
    axes.set_ylabel("relative error of a")
    axes.set_title("laws that were tried")
    axes.legend(frameon=False, fontsize=7.5, loc="center right")


def _contributions(axes: Any, parts: Sequence[Mapping[str, Any]]) -> None:
    names = [p["name"] for p in parts][::-1]
    sizes = [float(p["contribution"]) for p in parts][::-1]
    beside = [bool(p["term"]) for p in parts][::-1]
    axes.barh(names, sizes, color=[MODEL if b else LAW for b in beside], height=0.6)
    axes.set_xscale("log")
    axes.set_xlim(0.5 * min(sizes), 4 * max(sizes))
    for place, size in enumerate(sizes):
        axes.annotate(f"{size:.3g}", (size, place), xytext=(3, 0), textcoords="offset points",
                      va="center", fontsize=7.5, color=INK)  # fmt: skip
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.set_title("its parts")
    axes.set_xlabel("joint force, rms [N·m or N]")
