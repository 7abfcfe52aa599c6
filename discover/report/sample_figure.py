"""A law beside the model's answers, and the force of each of its terms, state by state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from discover.report.style import FAINT, INK, LAW, MODEL, MUTED, house_style, new_figure

_TERMS = 3  # that are drawn
_LONG = 40


def samples(held: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Parity of law and model in each place, then the force of each term; None without samples.

    `held`: samples as a law keeps them.
    """
    drawn = [s for s in held if len(s["model"])]
    if not drawn:
        return None
    terms = drawn[0]["terms"][:_TERMS]
    with house_style():
        figure = new_figure(3.4 * (len(drawn) + len(terms)), 3.2)
        panels = figure.subplots(1, len(drawn) + len(terms), squeeze=False)[0]
        for axes, one in zip(panels, drawn, strict=False):
            _parity(axes, one)
        for k, axes in enumerate(panels[len(drawn) :]):
            _force(axes, [s["terms"][k] for s in drawn], [s["where"] for s in drawn])
    return figure


def _parity(axes: Any, one: Mapping[str, Any]) -> None:
    """Every joint's acceleration over the root mean square of the model's, law against model."""
    model, law = (np.array([[_number(x) for x in row] for row in one[k]]) for k in ("model", "law"))
    scale = np.sqrt(np.nanmean(model**2, axis=0))
    scale = np.where(scale > 0, scale, 1.0)
    model, law = model / scale, law / scale
    ends = [np.nanmin(model), np.nanmax(model)]
    axes.plot(ends, ends, color=FAINT, linewidth=1.0, zorder=0)
    for j in range(model.shape[1]):
        axes.plot(model[:, j], law[:, j], "o", markersize=2.6, alpha=0.7, label=f"joint {j + 1}",
                  color=LAW if j == 0 else MODEL if j == 1 else MUTED)  # fmt: skip
    axes.set_xlabel("the model's a, over its size")
    axes.set_ylabel("the law's")
    axes.set_title(one["where"])
    if model.shape[1] <= 3:
        axes.legend(frameon=False, fontsize=7.5)


def _force(axes: Any, places: Sequence[Mapping[str, Any]], where: Sequence[str]) -> None:
    """One term's force against the coordinate that it goes along with, in each place."""
    for one, words, colour in reversed(list(zip(places, where, (LAW, MUTED), strict=False))):
        axes.plot(one["values"], one["force"], "o", markersize=2.6, color=colour, label=words)
    first = places[0]
    axes.set_xlabel(first["along"])
    axes.set_ylabel(f"force on joint {first['joint']} [N·m or N]")
    name = first["name"]
    axes.set_title(name if len(name) <= _LONG else name[: _LONG - 1] + "…", color=INK, fontsize=8)
    axes.legend(frameon=False, fontsize=7)


def _number(x: Any) -> float:
    return x if isinstance(x, float | int) else float("nan")
