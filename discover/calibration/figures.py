"""The calibration's figures: reliability, shares by mechanism, planted against measured reach."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from discover.calibration.scoring import NEAR, Judged, Share, reaches, reliability
from discover.report import style

_COLOURS = {
    "physics": style.LAW,
    "lookup table": style.MODEL,
    "alternative law": "#2b8a5b",
    "undetermined": style.SIMULATOR,
}


def draw(rows: Sequence[Judged], directory: Path) -> list[Path]:
    """Write all figures that have something to show; returns their paths."""
    with style.house_style():
        drawn = [_reliability(rows, directory), _mechanisms(rows, directory)]
        if reaches(rows):
            drawn.append(_reaches(rows, directory))
    return drawn


def _reliability(rows: Sequence[Judged], directory: Path) -> Path:
    figure = style.new_figure(4.2, 3.8)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=style.FAINT, linewidth=1.2, zorder=0)
    axes.annotate(
        "as sure as right",
        (0.3, 0.3),
        xytext=(4, -12),
        textcoords="offset points",
        fontsize=7.5,
        color=style.MUTED,
    )
    for confidence, right in reliability(rows):
        low, high = right.interval
        axes.plot([confidence] * 2, [low, high], color=style.LAW, linewidth=1.2)
        axes.plot(confidence, right.value, "o", color=style.LAW, markersize=5)
        axes.annotate(
            str(right.total),
            (confidence, right.value),
            xytext=(6, -3),
            textcoords="offset points",
            fontsize=7.5,
            color=style.MUTED,
        )
    axes.set(
        xlim=(0.25, 1.03),
        ylim=(0, 1.03),
        xlabel="stated confidence",
        ylabel="share right",
        title="Reliability, families left out (numbers: models)",
    )
    return style.save(figure, directory / "reliability.png")


def _mechanisms(rows: Sequence[Judged], directory: Path) -> Path:
    """One bar a mechanism: shares of the four answers, mechanisms ordered by truth."""
    order = {t: k for k, t in enumerate(_COLOURS)}
    kinds = sorted(
        {(order[r.record.truth or ""], r.record.kind) for r in rows}, key=lambda x: (x[0], x[1])
    )
    figure = style.new_figure(7.2, 1.0 + 0.19 * len(kinds))
    axes = figure.add_subplot()
    for y, (_, kind) in enumerate(kinds):
        mine = [r for r in rows if r.record.kind == kind]
        left = 0.0
        for answer, colour in _COLOURS.items():
            part = sum(r.answer == answer for r in mine) / len(mine)
            axes.barh(y, part, left=left, color=colour, height=0.72, linewidth=0)
            left += part
        axes.annotate(
            str(len(mine)),
            (1.0, y),
            xytext=(4, -3),
            textcoords="offset points",
            fontsize=7,
            color=style.MUTED,
        )
    names = list(_COLOURS)
    axes.set_yticks(range(len(kinds)), [kind for _, kind in kinds], fontsize=7.5)
    for label, (truth, _) in zip(axes.get_yticklabels(), kinds, strict=True):
        label.set_color(_COLOURS[names[truth]] if names[truth] != "undetermined" else style.MUTED)
    axes.set(xlim=(0, 1.0), ylim=(len(kinds) - 0.4, -0.6), xlabel="share of answers")
    handles = [axes.barh(-5, 0, color=colour, label=answer) for answer, colour in _COLOURS.items()]
    axes.legend(
        handles=handles,
        loc="lower center",
        bbox_to_anchor=(0.4, 1.0),
        ncols=4,
        frameon=False,
        fontsize=8,
    )
    return style.save(figure, directory / "mechanisms.png")


def _reaches(rows: Sequence[Judged], directory: Path) -> Path:
    figure = style.new_figure(4.2, 4.0)
    axes = figure.add_subplot()
    line = [0.9, 3.1]
    axes.fill_between(
        line, [x - NEAR for x in line], [x + NEAR for x in line], color=style.FAINT, linewidth=0
    )
    found = reaches(rows)
    colours = {"q": style.MODEL, "v": style.LAW, "tau": "#2b8a5b", "joint": style.SIMULATOR}
    for k, (axis, colour) in enumerate(colours.items()):
        # Edges of several axes are planted at one distance: side by side they are all seen.
        points = [(edge + 0.012 * (k - 1.5), m) for _, a, edge, m in found if a == axis]
        if points:
            name = "all together" if axis == "joint" else axis
            x, y = zip(*points, strict=True)
            axes.plot(x, y, "o", color=colour, label=name, alpha=0.6, markersize=4)
    axes.legend(frameon=False, loc="upper left")
    edges, measured = [edge for _, _, edge, _ in found], [m for *_, m in found]
    axes.set(
        xlim=(min(edges) - 0.15, max(edges) + 0.15),
        ylim=(min(0.9, *measured) - 0.1, max(2.1, *measured) + 0.1),
        xlabel="planted edge [half-widths]",
        ylabel="measured reach [half-widths]",
        title=f"Reach (band: {NEAR} half-widths)",
    )
    return style.save(figure, directory / "reach.png")


def percent(part: Share) -> str:
    """A share for a table."""
    if not part.total:
        return "–"
    low, high = part.interval
    return f"{part.value:.0%} [{low:.0%}, {high:.0%}]"
