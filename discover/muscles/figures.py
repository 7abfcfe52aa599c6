"""Figures of muscle examinations: the force sheet, the moment-arm matrix, the integrability map."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from discover.muscles.geometry_findings import GeometryFindings
from discover.muscles.muscle_findings import MuscleFindings
from discover.report.style import INK, LAW, MODEL, MUTED, house_style, new_figure

_UNITS = {"length": "length of the path [m]", "rate": "rate of length [m/s]"}
_ROWS = 80  # muscles that a matrix has room for


def force_sheet(exam: MuscleFindings) -> Figure:
    """Force over length at rest and over rate at the middle length, at three activations: the
    model's answers as points, the law's as lines; beside them what each family leaves."""
    with house_style():
        figure = new_figure(10.5, 3.4)
        grid = figure.add_gridspec(1, 3, width_ratios=(1, 1, 0.75))
        for k, axis in enumerate(("length", "rate")):
            axes = figure.add_subplot(grid[k])
            for curve in (c for c in exam.curves if c.axis == axis):
                axes.plot(curve.x, curve.measured, ".", ms=3.5, color=MODEL)
                if curve.fitted is not None:
                    axes.plot(curve.x, curve.fitted, color=LAW, lw=1.2)
                axes.annotate(
                    f"a = {curve.at:.2g}", (curve.x[-1], curve.measured[-1]), fontsize=7,
                    color=MUTED, xytext=(2, 0), textcoords="offset points", va="center",
                )  # fmt: skip
            axes.set_xlabel(_UNITS[axis])
            if k == 0:
                axes.set_ylabel("force [N]")
            law = f"law of {exam.family}" if exam.family else "splines"
            axes.set_title(f"points: the model, lines: {law}" if k == 0 else "at the middle length")
        _residuals(figure.add_subplot(grid[2]), exam)
    return figure


def _residuals(axes: Axes, exam: MuscleFindings) -> None:
    rows = [(f.family, f.residual) for f in exam.fits]
    rows += [("free splines", exam.structure.free), ("free, twice as far", exam.far.free)]
    names, values = zip(*rows[::-1], strict=True)
    shown = [max(v, 1e-12) for v in values]
    colours = [LAW if n == exam.family else MUTED for n in names]
    axes.barh(range(len(names)), shown, color=colours, height=0.55)
    axes.set_yticks(range(len(names)), names)
    axes.set_xscale("log")
    axes.set_xlim(min(min(shown) / 3, 1e-4), max(1.0, 2 * max(shown)))
    axes.tick_params(axis="y", length=0)
    if exam.floor.noise > 0:
        axes.axvline(exam.floor.noise, color=MODEL, lw=0.8, ls=":")
    axes.set_xlabel("residual / force")
    axes.set_title("what each leaves")


def moment_arms(exam: GeometryFindings) -> Figure:
    """Muscle × joint: the largest effect of each joint, in shares of the muscle's largest; empty
    where it is exactly none, a ring where it is slight."""
    effect = exam.integrability.effect[:_ROWS]
    share = effect / np.maximum(effect.max(1, keepdims=True), 1e-300)
    with house_style():
        figure, axes, image = _matrix(exam, share, "Blues", 1.0)
        axes.set_title("moment arms, in shares of the muscle's largest", pad=12)
        for i, row in enumerate(exam.crossing[:_ROWS]):
            for j, word in enumerate(row):
                if word == "slight":
                    axes.plot(j, i, "o", ms=7, mfc="none", mec=MODEL, mew=1.3)
                elif word == "crosses":
                    dark = share[i, j] > 0.6
                    text = f"{1e3 * effect[i, j] / ((exam.high[j] - exam.low[j]) / 2):.3g}"
                    axes.text(
                        j, i, text, ha="center", va="center", fontsize=7,
                        color="white" if dark else INK,
                    )  # fmt: skip
        bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label("share; number: mm; ring: slight", fontsize=8)
    return figure


def integrability_map(exam: GeometryFindings) -> Figure:
    """Muscle × joint: how far the model's moment arms are from the slopes of its lengths, and the
    jumps of the lengths in a column of their own."""
    found = exam.integrability
    size = np.maximum(found.effect.max(1), 1e-300)
    jumps = found.jumps / size
    shown = np.column_stack((found.apart, jumps))[:_ROWS]
    logs = np.log10(np.maximum(shown, 1e-12))
    with house_style():
        figure, axes, image = _matrix(exam, logs, "Reds", None, extra=["jump"])
        axes.set_title("r + ∂L/∂q, and jumps, in shares of the muscle's largest", pad=12)
        bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label("log₁₀", fontsize=8)
    return figure


def _matrix(
    exam: GeometryFindings, values: NDArray[Any], colours: str, top: float | None,
    extra: list[str] | None = None,
):  # fmt: skip
    names = [m.name for m in exam.muscles[:_ROWS]]
    below = [*exam.joints, *(extra or [])]
    figure = new_figure(2.6 + 0.62 * len(below), 1.4 + 0.27 * len(names))
    axes = figure.add_subplot()
    low, high = (0.0, top) if top is not None else (-9.0, 0.0)
    image = axes.imshow(values, cmap=colours, vmin=low, vmax=high, aspect="auto")
    axes.set_yticks(range(len(names)), [n if len(n) <= 18 else f"{n[:17]}…" for n in names])
    axes.set_xticks(range(len(below)), below, rotation=35, ha="right")
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    return figure, axes, image
