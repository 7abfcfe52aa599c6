"""Figures of mass matrices and their factors, with the zeros that a tree predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from discover.report.style import FAINT, LAW, MODEL, MUTED, house_style, new_figure, short_names

Array = NDArray[np.float64]
Record = Mapping[str, Any]

_DEEP = 1e-6  # entries of H below this, over the diagonal, are drawn as zero
_SHADES = LinearSegmentedColormap.from_list("entries", ["#f4f7fa", LAW, "#0d2f57"])


def zeros(record: Record, names: Sequence[str]) -> Figure:
    """Mass matrix and its factor L of the model, with the zeros that the tree predicts.

    record   `Sparsity.to_dict()`
    names    (nv,) of the velocity coordinates
    """
    allowed = np.asarray(record["allowed"], dtype=bool)
    short = short_names(names)
    nv = len(short)
    cell = 0.34 if nv > 6 else 0.5
    with house_style():
        label = 0.075 * max(len(n) for n in short)
        figure = new_figure(2 * (cell * nv + label) + 2.0, cell * nv + label + 1.0)
        left, right = figure.subplots(1, 2)
        _matrix(
            left, np.asarray(record["H"], dtype=float), allowed, short, "mass matrix H of the model"
        )
        image = _matrix(
            right, np.asarray(record["L"], dtype=float), allowed, short, "its factor L,  H = LᵀDL"
        )
        bar = figure.colorbar(image, ax=[left, right], shrink=0.85, pad=0.02)
        bar.set_ticks([-6, -4, -2, 0], labels=["10⁻⁶", "10⁻⁴", "1 %", "1"])
        bar.set_label("size, over the diagonal", fontsize=8)
        figure.supxlabel("× predicted to vanish by the tree", fontsize=8, color=MUTED)
    return figure


def matrices(items: Sequence[tuple[str, Record]], names: Sequence[str]) -> Figure:
    """Mass matrices of several models of one robot, with the zeros that its tree predicts.

    items   (title, `Sparsity.to_dict()`) of each model
    """
    with house_style():
        width = max(1.5, 0.34 * len(names) + 0.5)
        figure = new_figure(width * len(items) + 0.9, width + 0.75)
        panels = np.atleast_1d(figure.subplots(1, len(items)))
        for panel, (title, record) in zip(panels, items, strict=True):
            allowed = np.asarray(record["allowed"], dtype=bool)
            image = _matrix(panel, np.asarray(record["H"], dtype=float), allowed, names, title)
            panel.title.set_fontsize(8.5)
            panel.tick_params(axis="x", rotation=0)
        bar = figure.colorbar(image, ax=list(panels), shrink=0.85, pad=0.01)
        bar.set_ticks([-6, -4, -2, 0], labels=["10⁻⁶", "10⁻⁴", "1 %", "1"])
        label = "mass matrix, entries over the diagonal   × predicted to vanish by the tree"
        figure.supxlabel(label, fontsize=8, color=MUTED)
    return figure


def _matrix(panel: Axes, values: Array, allowed: Array, names: Sequence[str], title: str) -> Any:
    shown = np.log10(np.clip(np.abs(values), _DEEP, 1.0))
    image = panel.imshow(shown, cmap=_SHADES, vmin=np.log10(_DEEP), vmax=0.0)
    n = len(names)
    for i in range(n):
        for j in range(n):
            panel.add_patch(
                Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=FAINT, linewidth=0.6)
            )
            if not allowed[i, j]:
                size = abs(values[i, j])
                colour = MODEL if size > 1e-3 else MUTED
                panel.plot(j, i, marker="x", markersize=5, color=colour, markeredgewidth=1.2)
    panel.set_xticks(range(n), labels=list(names), rotation=90, fontsize=7.5)
    panel.set_yticks(range(n), labels=list(names), fontsize=7.5)
    panel.tick_params(length=0)
    for side in panel.spines.values():
        side.set_visible(False)
    panel.set_title(title)
    return image
