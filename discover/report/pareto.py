"""Error against time: one point a contender, the fastest and most exact to the lower left."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from discover.report.numbers import seconds
from discover.report.style import (
    FAINT,
    INK,
    LAW,
    MODEL,
    MUTED,
    SIMULATOR,
    house_style,
    log_errors,
    new_figure,
    spread,
)

COLOURS = {"simulator": INK, "engine": SIMULATOR, "model": MODEL, "law": LAW}
FLOOR = 1e-16
EXACT = 1e-12  # errors below this are rounding: none is better than another
NAMED_BELOW = 1e-10  # so exact that the names would lie on one line
ROOM_FOR_A_NAME = 0.37  # of a panel's width
Ledger = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Point:
    """The fastest way to run one family: time a state [s], error inside and furthest outside."""

    family: str
    kind: str
    time: float
    inside: float
    outside: float


def points(ledger: Ledger, batch: int) -> list[Point]:
    """The fastest contender of each family at that batch, where its error is known."""
    times = {t["name"]: t["nanoseconds"] for t in ledger["timings"] if t["batch"] == batch}
    best: dict[str, Point] = {}
    for entry in ledger.get("accuracy", ()):
        time = times.get(entry["name"])
        errors = [math.inf if e is None else float(e) for e in entry["errors"]]
        if time is None or not all(map(math.isfinite, errors)):
            continue
        point = Point(
            family=entry["family"],
            kind=entry["kind"],
            time=1e-9 * time,
            inside=max(errors[0], FLOOR),
            outside=max(errors[-1], FLOOR),
        )
        known = best.get(point.family)
        if known is None or point.time < known.time:
            best[point.family] = point
    return sorted(best.values(), key=lambda p: p.time)


def front(contenders: list[Point]) -> list[Point]:
    """The contenders that no other beats in both time and error."""
    lowest = math.inf
    kept = []
    for point in contenders:
        error = max(point.inside, EXACT)
        if error < lowest:
            kept.append(point)
            lowest = error
    return kept


def pareto(
    panels: Mapping[str, Ledger], batch: int | None = None, *, measured: str = "one thread"
) -> Figure:
    """Error in the region against time a state, a panel a robot; a thin line rises to the error in
    the outermost shell. `batch` defaults to the largest there is; `measured` says on what."""
    with house_style():
        columns = min(2, len(panels))
        rows = math.ceil(len(panels) / columns)
        figure = new_figure(5.1 * columns, 0.4 + 3.1 * rows)
        grid = figure.subplots(rows, columns, squeeze=False)
        for panel, (title, ledger) in zip(grid.flat, panels.items(), strict=False):
            size = batch or max(t["batch"] for t in ledger["timings"])
            _panel(panel, points(ledger, size), f"{title}, batch {size}".removeprefix(", "))
        for panel in list(grid.flat)[len(panels) :]:
            panel.set_visible(False)
        for row in grid:
            row[0].set_ylabel("relative error of a")
        figure.supxlabel(f"computing time per state, {measured}", fontsize=9)
    return figure


def _panel(axes: Axes, drawn: list[Point], title: str) -> None:
    axes.set_title(title)
    axes.set_xscale("log")
    if not drawn:
        return
    # Room above for whatever may lie furthest out, and below for the names of the exact.
    log_errors(axes, FLOOR, max(10.0, *(p.outside for p in drawn)))
    low, high = drawn[0].time, drawn[-1].time
    room = ROOM_FOR_A_NAME / (1 - ROOM_FOR_A_NAME)
    start = low / 2.5
    for point in _named_on_the_left(drawn):
        start = min(start, point.time * (point.time / (high * 6)) ** room)
    axes.set_xlim(start, high * 6)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: seconds(x)))
    axes.grid(axis="x", color=FAINT, linewidth=0.6, zorder=0)
    for point in drawn:
        colour = COLOURS[point.kind]
        axes.plot([point.time] * 2, [point.inside, point.outside], color=colour, linewidth=0.9)
        axes.plot(point.time, point.inside, "o", color=colour, markersize=5.5, zorder=3)
        axes.plot(point.time, point.outside, "_", color=colour, markersize=7)
    best = front(drawn)
    corners = [(p.time, p.inside) for p in best] + [(high * 6, best[-1].inside)]
    xs, ys = zip(*corners, strict=True)
    axes.step(xs, ys, where="post", color=MUTED, linewidth=0.7, linestyle=":", zorder=1)
    _names(axes, drawn)


def _named_on_the_left(drawn: list[Point]) -> list[Point]:
    """Where the next point to the right is near, and the one to the left is not."""
    rest = [p for p in drawn if p.inside >= NAMED_BELOW]
    lefts = []
    for k, point in enumerate(rest):
        near = k + 1 < len(rest) and rest[k + 1].time < 5 * point.time
        taken = k > 0 and point.time < 5 * rest[k - 1].time
        if point.kind != "engine" and near and not taken:
            lefts.append(point)
    return lefts


def _names(axes: Axes, drawn: list[Point]) -> None:
    """Names beside the points; those of exact answers are slanted, with leads, and an engine that
    is not quite exact has its name above it, between them."""
    exact = [p for p in drawn if p.inside < NAMED_BELOW]
    rest = [p for p in drawn if p not in exact]
    lefts = _named_on_the_left(drawn)
    for point in rest:
        left, above = point in lefts, point.kind == "engine"
        axes.annotate(
            point.family,
            (point.time, max(point.inside, point.outside) if above else point.inside),
            xytext=(0, 6) if above else (-6 if left else 6, 0),
            textcoords="offset points",
            fontsize=8,
            color=COLOURS[point.kind],
            va="bottom" if above else "center",
            ha="center" if above else "right" if left else "left",
        )
    to_share = axes.transData + axes.transAxes.inverted()
    shares = [float(to_share.transform((p.time, p.inside))[0]) for p in exact]
    for point, share in zip(exact, spread(shares, 0.055), strict=True):
        axes.annotate(
            point.family,
            (point.time, point.inside),
            xytext=(share, 0.25),
            textcoords="axes fraction",
            rotation=52,
            fontsize=8,
            color=COLOURS[point.kind],
            ha="left",
            va="bottom",
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.4},
        )
