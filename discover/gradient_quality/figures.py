"""Figures of gradients: agreement over the smoothing, trust over the length of a step."""

from __future__ import annotations

import math
from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from discover.gradient_quality.records import EXACT, FIRST_ORDER, MODEL, Measured
from discover.judgement.thresholds import threshold
from discover.report.style import (
    FAINT,
    MUTED,
    REGION,
    SERIES,
    SIMULATOR,
    end_labels,
    finite,
    house_style,
    new_figure,
)
from discover.report.style import MODEL as MODEL_COLOUR

_COLOURS = {MODEL: MODEL_COLOUR, EXACT: SIMULATOR, FIRST_ORDER: SERIES[1]}
_OTHERS = (SERIES[3], SERIES[5], SERIES[4], SERIES[6], SERIES[7])


def _colour(report: Measured, contender: str) -> str:
    others = [c for c in report.contenders if c not in _COLOURS]
    return _COLOURS.get(contender) or _OTHERS[others.index(contender) % len(_OTHERS)]


def cosines(report: Measured) -> Figure:
    """Median cosine of every contender's gradient with the smoothed simulator's, over σ; the shade
    ends at the ceiling, which no gradient can pass; a bar reaches down to the worst tenth."""
    with house_style():
        figure = new_figure(5.2, 3.1)
        axes = _over_lengths(figure, report.sigmas, "σ of the smoothing [half-widths]")
        tops = [report.ceiling[s] for s in report.sigmas]
        top = [1.0 if math.isnan(t) else t for t in tops]
        axes.fill_between(report.sigmas, top, 1.05, color=REGION, zorder=0, linewidth=0)
        worst = [a.cosine_p10 for a in report.of(MODEL)]
        axes.vlines(
            report.sigmas, worst, [a.cosine for a in report.of(MODEL)], color=MODEL_COLOUR, lw=1
        )
        axes.axhline(0, color=FAINT, lw=0.8, zorder=0)
        low = min([0.0, *finite(worst), *finite([a.cosine for a in report.agreements])])
        axes.set_ylim(max(-1.05, low - 0.08), 1.05)
        _lines(axes, report, lambda c: [a.cosine for a in report.of(c)], report.sigmas)
        axes.set_ylabel("cosine, median of starts")
        axes.set_title("Whose gradient is the smoothed simulator's?")
    return figure


def trust(report: Measured) -> Figure:
    """Share of starts at which a step against each contender's gradient keeps its promise, over
    the length of the step; above the dotted line the step can be followed."""
    with house_style():
        figure = new_figure(5.2, 3.1)
        axes = _over_lengths(figure, report.radii, "length of the step [half-widths]")
        bound = 100 * threshold("gradients.share")
        axes.axhline(bound, color=MUTED, lw=0.8, ls=":", zorder=0)
        axes.set_ylim(-3, 104)
        _lines(
            axes,
            report,
            lambda c: [100 * t.share for t in report.trusts if t.contender == c],
            report.radii,
        )
        axes.set_ylabel("promise kept [% of starts]")
        axes.set_title("How far can each gradient be followed?")
    return figure


def _over_lengths(figure: Figure, lengths: tuple[float, ...], label: str) -> Axes:
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.set_xticks(lengths, [f"{x:g}" for x in lengths])
    axes.minorticks_off()
    axes.set_xlabel(label)
    return axes


def _lines(
    axes: Axes,
    report: Measured,
    heights: Callable[[str], list[float]],
    lengths: tuple[float, ...],
) -> None:
    """One line a contender, with its name where it ends; the model on top of the others."""
    labels = []
    for contender in reversed(report.contenders):
        y = heights(contender)
        if not y:
            continue
        colour = _colour(report, contender)
        axes.plot(lengths, y, "-o", ms=3.5, color=colour)
        labels.append((lengths[-1], y[-1], contender, colour))
    end_labels(axes, labels)
