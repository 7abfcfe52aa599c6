"""Figures of an examination of contact: errors by mode, and what touches what, from the side."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Polygon

from discover.contacts.modes import Mode
from discover.contacts.surfaces import Surface
from discover.report.style import (
    FAINT,
    INK,
    LAW,
    MODEL,
    MUTED,
    house_style,
    log_errors,
    new_figure,
)

FLOOR = 1e-16  # what double precision can show
_SIDE = 0.6  # m of a plane that is drawn each way, at least


def by_mode(modes: Sequence[Mode]) -> Figure:
    """The law's relative error in every mode: in the region, and at three times the speed."""
    known = [m for m in modes if not math.isnan(m.error)]
    with house_style():
        figure = new_figure(5.2, 2.8)
        axes = figure.add_subplot()
        for k, mode in enumerate(known):
            values = [max(x, FLOOR) for x in (mode.error, mode.far) if not math.isnan(x)]
            axes.plot([k] * len(values), values, color=FAINT, lw=3, zorder=1)
            for value, colour in zip(values, (MODEL, LAW), strict=False):
                axes.plot(k, value, "o", ms=6, color=colour, zorder=2)
        every = [max(x, FLOOR) for m in known for x in (m.error, m.far) if not math.isnan(x)]
        log_errors(axes, min(every, default=1e-3), max(every, default=1.0))
        axes.set_xticks(
            range(len(known)), [f"{m.name}\n{100 * m.share:.0f} % of states" for m in known]
        )
        axes.set_xlim(-0.5, max(len(known), 1) - 0.5)
        axes.set_ylabel("relative error of the law")
        axes.set_title("The hybrid law, mode by mode", pad=20)
        for x, text, colour in ((0.0, "● in the region", MODEL), (0.22, "● at 3× speed", LAW)):
            axes.annotate(
                text, (x, 1.03), xycoords="axes fraction", fontsize=8, color=colour, va="bottom"
            )
    return figure


def side_view(surfaces: Sequence[Surface]) -> Figure:
    """Planes, solid side shaded, and the points that touch them, each in its own body's frame, in x
    and z; joint limits are told in words."""
    planes = [s for s in surfaces if s.gap.kind == "plane"]
    with house_style():
        figure = new_figure(5.2, 3.4)
        axes = figure.add_subplot()
        reach = _SIDE + max(
            (max(abs(s.offset), *map(abs, s.point or [0.0])) for s in planes), default=0.0
        )
        for s in planes:
            n = np.array(s.normal)[[0, 2]]
            if np.linalg.norm(n) > 1e-6:  # a plane that is seen from its edge
                foot, along = s.offset * n, np.array([n[1], -n[0]]) / np.linalg.norm(n)
                ends = [foot - reach * along, foot + reach * along]
                deep = [e - 0.08 * reach * n for e in ends]
                axes.add_patch(Polygon([*ends, *deep[::-1]], color=FAINT, lw=0))
                axes.plot(*np.transpose(ends), color=MUTED, lw=1.2)
                axes.annotate(
                    s.surface, ends[1], xytext=(-2, -9), textcoords="offset points", fontsize=7.5,
                    color=MUTED, ha="right",
                )  # fmt: skip
            x, z = np.array(s.point)[[0, 2]]
            axes.add_patch(Circle((x, z), max(s.gap.radius, 0.012 * reach), color=LAW, lw=0))
            axes.annotate(
                s.body, (x, z), xytext=(7, 4), textcoords="offset points", fontsize=8, color=LAW
            )
        limits = [str(s) for s in surfaces if s.gap.kind == "limit"]
        if limits:
            axes.annotate(
                "joint limits: " + "; ".join(limits), (0, -0.24), xycoords="axes fraction",
                fontsize=7.5, color=INK, annotation_clip=False,
            )  # fmt: skip
        axes.set_aspect("equal")
        axes.set_xlim(-reach, reach)
        axes.set_ylim(-0.62 * reach, 0.62 * reach)
        axes.set_xlabel("x [m]")
        axes.set_ylabel("z [m]")
        axes.set_title("What touches what (points in their own bodies' frames)")
    return figure
