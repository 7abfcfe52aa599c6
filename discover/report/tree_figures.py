"""Figures of an inferred mechanism: its tree beside the described one, and its joints in space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from discover.report.style import INK, LAW, MODEL, MUTED, house_style, new_figure, short_names

Array = NDArray[np.float64]
Record = Mapping[str, Any]

SAME, DIFFERS, DESCRIBED = LAW, MODEL, "#9aa3ad"
_LEVEL = 0.46  # inches a level of the tree
_LEAF = 1.45  # inches a branch


def trees(inferred: Record, described: Record | None, differs: Sequence[Sequence[str]]) -> Figure:
    """The inferred tree, beside the described one where there is one.

    inferred, described   `Skeleton.to_dict()`
    differs               `Comparison.differs`, drawn in red; empty without a description
    """
    drawn = [("inferred from the answers", inferred)]
    if described is not None:
        drawn.append(("described", described))
    layouts = [_layout(record["parents"]) for _, record in drawn]
    levels = max(int(y.max()) for _, y in layouts) + 1
    leaves = [float(np.ptp(x)) + 1 for x, _ in layouts]
    with house_style():
        width = sum(max(_LEAF * n, 2.6) for n in leaves) + 0.4
        figure = new_figure(min(max(width, 5.2), 16), _LEVEL * (levels + 1) + 0.75)
        panels = np.atleast_1d(
            figure.subplots(1, len(drawn), width_ratios=[max(n, 1.8) for n in leaves])
        )
        names = short_names(inferred["names"])
        for panel, (title, record), (x, y) in zip(panels, drawn, layouts, strict=True):
            marks = differs if differs else [()] * len(names)
            _tree(panel, record, names, x, y, marks)
            panel.set_title(title)
            panel.set_ylim(-0.75, levels + 0.4)
        legend = ("◇ free base   " if inferred.get("free") else "") + "○ turns   □ slides"
        if any(differs):
            legend += "   red: differs between the two"
        figure.supxlabel(legend, fontsize=8, color=MUTED)
    return figure


def _tree(
    panel: Axes,
    record: Record,
    names: Sequence[str],
    x: Array,
    y: Array,
    differs: Sequence[Sequence[str]],
) -> None:
    parents, turning = record["parents"], record["turning"]
    middle = float(np.mean([x[j] for j, p in enumerate(parents) if p < 0]))
    for j, p in enumerate(parents):
        colour = DIFFERS if "parent" in differs[j] else MUTED
        if p < 0 and record.get("free"):
            continue
        start = (x[p], y[p] + 1) if p >= 0 else (middle, 0.0)
        panel.plot(
            [start[0], start[0], x[j], x[j]],
            [start[1], start[1] + 0.55, start[1] + 0.55, y[j] + 1],
            color=colour,
            linewidth=1.6,
            zorder=1,
        )
    free = bool(record.get("free"))
    if not free:
        _ground(panel, middle)
    words = _relations(record)
    for j, name in enumerate(names):
        colour = DIFFERS if differs[j] else SAME
        panel.plot(
            x[j],
            y[j] + 1,
            marker="D" if free and j == 0 else "o" if turning[j] else "s",
            markersize=8.5,
            markerfacecolor="white",
            markeredgecolor=colour,
            markeredgewidth=2.0,
            zorder=3,
        )
        panel.annotate(
            name,
            (x[j], y[j] + 1),
            xytext=(9, 4 if words[j] else 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=DIFFERS if differs[j] else INK,
        )
        if words[j]:
            panel.annotate(
                words[j],
                (x[j], y[j] + 1),
                xytext=(9, -6),
                textcoords="offset points",
                va="center",
                fontsize=6.8,
                color=MUTED,
            )
    panel.set_xlim(x.min() - 0.35, x.max() + 0.95)
    panel.axis("off")


def _ground(panel: Axes, middle: float) -> None:
    panel.plot([middle - 0.3, middle + 0.3], [0, 0], color=INK, linewidth=2.0)
    for k in range(6):
        left = middle - 0.28 + 0.1 * k
        panel.plot([left, left - 0.06], [0, -0.2], color=INK, linewidth=0.7)
    panel.annotate("base", (middle, -0.25), va="top", ha="center", fontsize=7.5, color=MUTED)


def _relations(record: Record) -> list[str]:
    """Each axis beside its parent's: "parallel, 0.31 m", "square, meets", "37°, 0.02 m"."""
    if record["axes"] is None:
        return [""] * len(record["parents"])
    axes, points = np.asarray(record["axes"]), np.asarray(record["points"])
    words = []
    for j, p in enumerate(record["parents"]):
        if record.get("free") and p <= 0:
            words.append("")  # a base has no axis
            continue
        a, b = axes[p] if p >= 0 else np.array([0, 0, 1.0]), axes[j]
        normal = np.cross(a, b)
        sine = float(np.linalg.norm(normal))
        angle = float(np.degrees(np.arctan2(sine, abs(a @ b))))
        level = "upright" if p < 0 else "parallel"
        square = "level" if p < 0 else "square"
        told = level if angle < 0.05 else square if angle > 89.95 else f"{angle:.3g}°"
        if p < 0:
            words.append(told if angle < 0.05 or angle > 89.95 else f"{told} off upright")
            continue
        if record["turning"][j] and record["turning"][p]:
            gap = points[j] - points[p]
            apart = (
                float(np.linalg.norm(gap - a * (a @ gap)))
                if sine < 1e-3
                else abs(float(gap @ normal)) / sine
            )
            near = "in one line" if sine < 1e-3 else "meets"
            told = (
                f"{told}, {apart:.3g} m"
                if apart > 5e-5
                else (near if sine < 1e-3 else f"{told}, {near}")
            )
        words.append(told)
    return words


def _layout(parents: Sequence[int]) -> tuple[Array, Array]:
    """x: leaves side by side, a joint in the middle above what it carries; y: depth."""
    children: dict[int, list[int]] = {}
    for j, p in enumerate(parents):
        children.setdefault(p, []).append(j)
    x, y = np.zeros(len(parents)), np.zeros(len(parents))
    place = 0.0

    def lay(joint: int, depth: int) -> None:
        nonlocal place
        y[joint] = depth
        own = children.get(joint, [])
        for child in own:
            lay(child, depth + 1)
        if own:
            x[joint] = (x[own[0]] + x[own[-1]]) / 2
        else:
            x[joint] = place
            place += 1.0

    for root in children.get(-1, []):
        lay(root, 0)
    return x, y


def skeletons(inferred: Record, described: Record | None) -> Figure:
    """The joints in space at the reference pose, to scale, from a side that shows most of them.

    inferred, described   `Skeleton.to_dict()` with axes and points; the description in grey
    """
    drawn = [r for r in (described, inferred) if r is not None and r["axes"] is not None]
    points = np.concatenate([np.asarray(r["points"]) for r in drawn])
    view = _view(points, np.concatenate([np.asarray(r["axes"]) for r in drawn]))
    size = float(np.ptp(points, axis=0).max()) or 1.0
    with house_style():
        flat = points @ view.T
        spread = np.ptp(flat, axis=0) + 0.4 * size
        ratio = float(np.clip(spread[1] / spread[0], 0.45, 1.0))
        figure = new_figure(6.2, 6.2 * ratio + 0.7)
        panel = figure.subplots()
        if described is not None:
            _skeleton(panel, described, view, size, DESCRIBED, wide=True)
        _skeleton(panel, inferred, view, size, SAME, wide=False)
        _labels(panel, inferred, view)
        panel.set_aspect("equal")
        panel.axis("off")
        panel.margins(0.16)
        _scale_bar(panel, size)
        if not inferred.get("free"):
            _gravity(panel)
        title = "joints in space, to scale"
        panel.set_title(title + (": inferred over described (grey)" if described else ""))
    return figure


def _skeleton(
    panel: Axes, record: Record, view: Array, size: float, colour: str, *, wide: bool
) -> None:
    axes, points = np.asarray(record["axes"]), np.asarray(record["points"])
    flat, across = points @ view.T, axes @ view.T
    link, bar = (7.0, 9.0) if wide else (2.2, 3.4)
    alpha = 0.45 if wide else 1.0
    for j, p in enumerate(record["parents"]):
        if p >= 0:
            panel.plot(*zip(flat[p], flat[j], strict=True), color=colour, linewidth=link,
                       alpha=alpha, zorder=1 if wide else 3)  # fmt: skip
        if record.get("free") and j == 0:
            panel.plot(*flat[j], marker="D", markersize=8, color=colour, alpha=alpha, zorder=5)
            continue
        ends = np.stack([flat[j] - 0.07 * size * across[j], flat[j] + 0.07 * size * across[j]])
        panel.plot(*ends.T, color=colour if wide else INK, linewidth=bar, alpha=alpha,
                   solid_capstyle="butt", zorder=2 if wide else 4)  # fmt: skip
        if not wide:
            panel.plot(*flat[j], marker="o" if record["turning"][j] else "s", markersize=6,
                       markerfacecolor="white", markeredgecolor=colour, markeredgewidth=1.6,
                       zorder=5)  # fmt: skip


def _labels(panel: Axes, record: Record, view: Array) -> None:
    """Names beside the joints; joints in one place share a line."""
    flat = np.asarray(record["points"]) @ view.T
    size = float(np.ptp(flat, axis=0).max()) or 1.0
    names = short_names(record["names"])
    groups: list[list[int]] = []
    for j in range(len(names)):
        for group in groups:
            if np.linalg.norm(flat[group[0]] - flat[j]) < 0.05 * size:
                group.append(j)
                break
        else:
            groups.append([j])
    for group in groups:
        panel.annotate(
            ", ".join(names[j] for j in group[:3])
            + (f" and {len(group) - 3} more" if len(group) > 3 else ""),
            flat[group[0]],
            xytext=(8, 8),
            textcoords="offset points",
            fontsize=8,
            color=INK,
            zorder=6,
            bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.6},
        )


def _view(points: Array, axes: Array) -> Array:
    """Two rows that project onto the page, from a little above: the turn about the vertical that
    spreads points and axes widest."""

    def rows(turn: float, lift: float = 0.3) -> Array:
        c, s = np.cos(turn), np.sin(turn)
        right = np.array([c, s, 0.0])
        up = np.array([s * np.sin(lift), -c * np.sin(lift), np.cos(lift)])
        return np.stack([right, up])

    size = float(np.ptp(points, axis=0).max()) or 1.0
    rays = np.concatenate([points - points.mean(0), 0.15 * size * axes])

    def seen(turn: float) -> float:
        flat = rays @ rows(turn).T
        shown = np.linalg.norm(axes @ rows(turn).T, axis=1).min()
        return float((flat**2).sum()) * (0.3 + shown)

    yaws = np.linspace(0, np.pi, 36, endpoint=False)
    return rows(float(max(yaws, key=seen)))


def _scale_bar(panel: Axes, size: float) -> None:
    exponent = np.floor(np.log10(0.5 * size))
    length = max(k for k in (1, 2, 5) if k * 10**exponent <= 0.5 * size) * 10**exponent
    left, right = panel.get_xlim()
    bottom, top = panel.get_ylim()
    x, y = left + 0.03 * (right - left), bottom + 0.02 * (top - bottom)
    panel.plot([x, x + length], [y, y], color=INK, linewidth=1.6)
    panel.annotate(f"{length:g} m", (x, y), xytext=(0, 4), textcoords="offset points", fontsize=8)


def _gravity(panel: Axes) -> None:
    panel.annotate(
        "g",
        xy=(0.97, 0.80),
        xytext=(0.97, 0.97),
        xycoords="axes fraction",
        ha="center",
        fontsize=9,
        color=MUTED,
        arrowprops={"arrowstyle": "->", "color": MUTED},
    )
