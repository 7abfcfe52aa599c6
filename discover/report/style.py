"""The style of all figures: palette, axes, labels where the lines end, reproducible bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from discover.artifacts import write_bytes
from discover.report.numbers import superscript

INK = "#22272e"  # text and axes
MUTED = "#6b7480"
FAINT = "#e3e6ea"
REGION = "#eef2f6"  # where the model was trained
SIMULATOR = "#9aa3ad"
MODEL = "#c8442d"
LAW = "#1f66b0"
BETWEEN = "#7a5aa6"  # law against model
SERIES = ("#4b5563", "#1f66b0", "#c8442d", "#2b8a5b", "#b07c12", "#7a5aa6", "#0f8b8d", "#a8336a")

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "text.color": INK,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "svg.hashsalt": "worldlaw",
}
DPI = 160


@contextmanager
def house_style() -> Iterator[None]:
    """The project's matplotlib settings inside the block, the user's outside."""
    with matplotlib.rc_context(RC):
        yield


def new_figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Write a PNG whose bytes depend on what is drawn only."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return write_bytes(path, buffer.getvalue())


def shade_region(axes: Axes) -> None:
    """Mark what lies inside the region, 0 to 1 half-widths."""
    axes.axvspan(0, 1, color=REGION, zorder=0, linewidth=0)


def label_region(axes: Axes, levels: Sequence[float]) -> None:
    """Write "region" into its shade, at the height farthest from the lines, which run through it
    at the given levels [data]; levels that are not finite are not drawn. Call it when the limits of
    the axes are final."""
    to_share = axes.transData + axes.transAxes.inverted()
    shares = [float(to_share.transform((0.5, level))[1]) for level in finite(levels)]
    heights = [0.04 + 0.02 * k for k in range(46)]
    best = max(heights, key=lambda h: min((abs(h - s) for s in shares), default=1.0) - 0.05 * h)
    axes.annotate(
        "region",
        (0.5, best),
        xycoords=("data", "axes fraction"),
        ha="center",
        va="center",
        fontsize=7.5,
        color=MUTED,
    )


def finite(values: Iterable[float | None]) -> list[float]:
    """Those that can be drawn: a figure leaves out what is missing, NaN or infinite."""
    return [float(x) for x in values if x is not None and math.isfinite(x)]


def log_errors(axes: Axes, low: float, high: float) -> None:
    """A logarithmic axis of relative errors, labelled in percent where percent is natural; ends
    that are not finite are taken for 0.1 % and 100 %."""
    low = max(low, 1e-16) if math.isfinite(low) else 1e-3
    high = max(min(high, 1e6), low) if math.isfinite(high) else max(1.0, low)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    if last - first < 2:
        last = first + 2
    axes.set_yscale("log")
    axes.set_ylim(10.0**first, 10.0**last)
    step = max(1, math.ceil((last - first) / 7))
    axes.set_yticks([10.0**k for k in range(first, last + 1, step)])
    axes.yaxis.set_major_formatter(FuncFormatter(_percent_tick))
    axes.yaxis.set_minor_locator(LogLocator(subs=(1.0,)) if step > 1 else LogLocator(subs=()))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="y", which="minor", length=0)
    axes.grid(axis="y", color=FAINT, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)


def _percent_tick(value: float, _position: Any = None) -> str:
    if value <= 0:
        return ""
    exponent = round(math.log10(value))
    if -5 <= exponent <= 0:
        return f"{100 * value:g} %"
    if exponent > 0:
        return f"×{10**exponent:,}"
    return f"10{superscript(exponent)}"


def end_labels(
    axes: Axes,
    labels: Sequence[tuple[float, float, str, str]],
    *,
    gap: float = 0.085,
    offset: float = 0.02,
    size: float = 8.5,
) -> None:
    """Write (x, y, text, colour) beside the ends of lines, moved apart where they would collide.

    A line that ends in no finite number has its label at the top. `gap` and `offset` are shares of
    the axes; labels stand at the right edge of the axes, between its lower and its upper end.
    """
    to_share = axes.transData + axes.transAxes.inverted()
    low, high = axes.get_ylim()
    places = sorted(
        (float(to_share.transform((x, _held_within(y, low, high)))[1]), text, colour)
        for x, y, text, colour in labels
    )
    laid = _within(spread([p[0] for p in places], gap), gap)
    for share, (_, text, colour) in zip(laid, places, strict=True):
        axes.annotate(
            text,
            (1 + offset, share),
            xycoords="axes fraction",
            color=colour,
            fontsize=size,
            va="center",
            ha="left",
            annotation_clip=False,
        )


def _held_within(y: float, low: float, high: float) -> float:
    return high if math.isnan(y) else min(max(y, low), high)


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Sorted places moved as little as need be so that neighbours are at least `gap` apart.

    Clusters that collide are laid out evenly about their common mean, and merged until none do.
    """
    clusters = [[place] for place in places]
    layout = [_even(cluster, gap) for cluster in clusters]
    k = 0
    while k + 1 < len(clusters):
        if layout[k + 1][0] - layout[k][-1] < gap - 1e-12:
            clusters[k : k + 2] = [clusters[k] + clusters[k + 1]]
            layout[k : k + 2] = [_even(clusters[k], gap)]
            k = max(k - 1, 0)
        else:
            k += 1
    return [place for cluster in layout for place in cluster]


def _within(places: Sequence[float], gap: float) -> list[float]:
    """Places moved into 0.03 … 0.97 where they stick out, still `gap` apart where there is room."""
    count = len(places)
    raised = [max(p, 0.03 + gap * k) for k, p in enumerate(places)]
    return [min(p, 0.97 - gap * (count - 1 - k)) for k, p in enumerate(raised)]


def _even(cluster: Sequence[float], gap: float) -> list[float]:
    middle = sum(cluster) / len(cluster)
    return [middle + gap * (k - (len(cluster) - 1) / 2) for k in range(len(cluster))]


def short_names(names: Sequence[str]) -> list[str]:
    """Names without what all begin with, up to an underscore, and not too long to read."""
    first, last = min(names), max(names)
    same = next((k for k, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), 0)
    cut = first[:same].rfind("_") + 1
    short = [n[cut:] or n for n in names]
    return [n if len(n) <= 16 else f"{n[:8]}…{n[-7:]}" for n in short]
