"""Figures of a look inside: variables over sites, and windows over depth beside the recursion."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from discover.inside.records import YES, Findings, Row, Window
from discover.judgement.thresholds import threshold
from discover.report.style import FAINT, INK, LAW, MODEL, MUTED, SIMULATOR, house_style, new_figure

SITE_NAME = 22  # characters of a site's name that a figure has room for


def short(name: str) -> str:
    """A site's name as a figure has room for."""
    return name if len(name) <= SITE_NAME else f"…{name[1 - SITE_NAME :]}"


def _bare(figure: Figure, left: list[str], below: list[str]) -> Axes:
    """Axes with a name for every row and column, and nothing else."""
    axes = figure.add_subplot()
    axes.set_yticks(range(len(left)), left)
    axes.set_xticks(range(len(below)), [short(n) for n in below], rotation=30, ha="right")
    axes.tick_params(length=0)
    axes.set_xlim(-0.5, len(below) - 0.5)
    axes.set_ylim(len(left) - 0.5, -0.5)
    for side in axes.spines.values():
        side.set_visible(False)
    return axes


def heat_map(report: Findings) -> Figure:
    """S of roles and S_r of factors at every site; a dot: decodable beyond every control; a ring:
    used; hatched: a dormant or duplicate path."""
    names = list(dict.fromkeys(r.variable for r in report.table))
    cells = {(r.variable, r.site): r for r in report.table}
    sites = [s for s in report.sites if any(r.site == s for r in report.table)]
    with house_style():
        figure = new_figure(2.9 + 0.95 * len(sites), 1.5 + 0.42 * len(names))
        axes = _bare(figure, names, sites)
        grid = np.full((len(names), len(sites)), np.nan)
        for i, name in enumerate(names):
            for j, site in enumerate(sites):
                row = cells.get((name, site))
                score = None if row is None else row.S if row.kind == "role" else row.S_r
                if score is not None:
                    grid[i, j] = max(score, 0.0)
        image = axes.imshow(grid, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for i, name in enumerate(names):
            for j, site in enumerate(sites):
                row = cells.get((name, site))
                if row is not None:
                    _marks(axes, i, j, row, report)
        bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label("S of roles, S_r of factors", fontsize=8)
        axes.set_title("What can be exchanged, and where", pad=28)
        _caption(
            axes,
            "number: S or S_r (below 0: −)   dot: decodable\n"
            "ring: used or followed   hatched: dormant or duplicate",
        )
    return figure


def _marks(axes: Axes, i: int, j: int, row: Row, report: Findings) -> None:
    score = row.S if row.kind == "role" else row.S_r
    if score is not None:
        text = "−" if score < 0 else f"{score:.2f}"
        axes.text(
            j,
            i,
            text,
            ha="center",
            va="center",
            fontsize=7.5,
            color="white" if score > 0.6 else INK,
        )
    controls = [x for x in (row.r2_control, row.r2_untrained) if x is not None]
    if row.r2 is not None and row.r2 > max(controls, default=1.0) + threshold("inside.encodes"):
        axes.plot(j - 0.38, i - 0.3, "o", ms=3.5, color=MODEL)
    kind, subject = ("uses", row.variable) if row.kind == "role" else ("follows", row.factorisation)
    claim = report.claim(kind, subject or "")
    if claim is not None and claim.answer == YES and claim.site == row.site:
        axes.plot(j + 0.36, i - 0.28, "o", ms=6, mfc="none", mec=MODEL, mew=1.4)
    if row.flags:
        box = Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, hatch="////", ec=MUTED, lw=0)
        axes.add_patch(box)


def window_bars(report: Findings) -> Figure:
    """Where over depth each role, and each step of what is followed, can be exchanged; steps in the
    recursion's order, with the place that it would give them in grey."""
    windows = sorted(report.windows, key=_place)
    labels = [w.variable if w.rank is None else f"{w.variable}, {w.factorisation}" for w in windows]
    with house_style():
        figure = new_figure(2.9 + 0.95 * len(report.sites), 1.5 + 0.32 * len(windows))
        axes = _bare(figure, labels, list(report.sites))
        ranks = [w.rank for w in windows if w.rank is not None]
        for i, w in enumerate(windows):
            axes.axhline(i, color=FAINT, lw=0.6, zorder=0)
            if w.rank is not None and max(ranks) > 0:
                at = w.rank / max(ranks) * (len(report.sites) - 1)
                axes.plot(at, i, "|", ms=13, color=SIMULATOR, mew=2)
            for j, site in enumerate(w.sites):
                value = w.S[j]
                if value is None or value < 0:
                    continue
                place = report.sites.index(site)
                strong = value >= threshold("inside.window")
                axes.barh(
                    i, 0.9, left=place - 0.45, height=0.5, color=LAW, alpha=1 if strong else 0.15
                )
        axes.set_title("Where over depth it can be exchanged", pad=18)
        _caption(
            axes,
            f"full: S ≥ {threshold('inside.window'):g}   pale: less   grey mark: place in the "
            "recursion, evenly spread",
        )
    return figure


def _caption(axes: Axes, text: str) -> None:
    """What the marks mean, small, between title and panel."""
    axes.annotate(
        text,
        (0, 1.0),
        xycoords="axes fraction",
        xytext=(0, 5),
        textcoords="offset points",
        fontsize=7,
        color=MUTED,
    )


def _place(window: Window) -> tuple[str, int]:
    return window.factorisation or "", -1 if window.rank is None else window.rank
