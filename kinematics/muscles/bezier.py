"""Curves of quintic Bézier corners, as tables of cubics with exact values and slopes.

Millard's curves are chains of C-shaped sections. One section turns from a line through (x0, y0)
into a line through (x1, y1); its middle control points lie on both lines, a share c of the way to
their crossing, twice each, so that the chain has continuous second derivatives. y(x) asks for the
root u of x(u) = x; the tables hold that answer at many knots, between which a cubic runs through
values and slopes. Beyond the ends the curve goes on straight.

Source: Millard, Uchida, Seth, Delp (2013), "Flexing computational muscle", appendix.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import torch
from torch import Tensor

from kinematics.errors import RobotError

_KNOTS = 256  # cubics a section
_NEWTON = 60
_DEGREE = 5


def corner(
    x0: Tensor, y0: Tensor, slope0: Tensor, x1: Tensor, y1: Tensor, slope1: Tensor, share: Tensor
) -> Tensor:
    """Control points (n, 2, 6) of a section between two points (n,) with the slopes there.

    share (n,) in (0, 1): how far the middle points stand towards the crossing of both lines.
    RobotError where the lines do not make one corner between the points.
    """
    parallel = (slope0 - slope1).abs() < 1e-8
    gap = torch.where(parallel, torch.ones_like(slope0), slope0 - slope1)
    crossing = (y1 - y0 - x1 * slope1 + x0 * slope0) / gap
    xc = torch.where(parallel, 0.5 * (x0 + x1), crossing)
    yc = slope1 * (xc - x1) + y1
    between = (xc > x0) & (xc < x1) & ((yc - y0) * (y1 - yc) >= -1e-12)
    if not bool(between.all()):
        at = int(torch.nonzero(~between)[0])
        raise RobotError(
            f"expected slopes that make one corner, found {float(slope0[at]):g} and "
            f"{float(slope1[at]):g} between ({float(x0[at]):g}, {float(y0[at]):g}) and "
            f"({float(x1[at]):g}, {float(y1[at]):g}); mend the curve of the muscle"
        )
    rows = []
    for start, end, cross in ((x0, x1, xc), (y0, y1, yc)):
        first, last = start + share * (cross - start), end + share * (cross - end)
        rows.append(torch.stack((start, first, first, last, last, end), -1))
    return torch.stack(rows, -2)


@dataclass(frozen=True, kw_only=True, eq=False)
class QuinticCurve:
    """y(x) of nm muscles; muscles with the same shape share one table.

    borders     (shapes, sections + 1) where sections begin and end
    table       (shapes · pieces, 5) of a cubic: where it begins, and its four coefficients; the
                first and the last piece of a shape are the straight ends
    shape       (nm,) the shape of each muscle
    """

    borders: Tensor
    table: Tensor
    shape: Tensor

    @classmethod
    def through(cls, sections: Tensor, shape: Tensor, *, swapped: bool = False) -> QuinticCurve:
        """From control points (shapes, sections, 2, 6); `swapped` gives the inverse, x(y)."""
        x, y = sections[..., 0, :], sections[..., 1, :]
        if swapped:
            x, y = y, x
        begin, end = x[..., :1], x[..., -1:]
        share = torch.linspace(0, 1, _KNOTS + 1, dtype=x.dtype)
        knots = begin + (end - begin) * share
        u = _root(x, knots)
        value = _bezier(y, u)
        slope = _bezier_slope(y, u) / _bezier_slope(x, u)
        step = knots[..., 1:] - knots[..., :-1]
        rise = (value[..., 1:] - value[..., :-1]) / step
        left, right = slope[..., :-1], slope[..., 1:]
        cubics = torch.stack(
            (
                knots[..., :-1],
                value[..., :-1],
                left,
                (3 * rise - 2 * left - right) / step,
                (left + right - 2 * rise) / step**2,
            ),
            -1,
        ).flatten(1, 2)
        none = torch.zeros_like(begin[:, 0])
        low = torch.stack((begin[:, 0], value[:, 0, :1], slope[:, 0, :1], none, none), -1)
        high = torch.stack((end[:, -1], value[:, -1, -1:], slope[:, -1, -1:], none, none), -1)
        table = torch.cat((low, cubics, high), 1)
        borders = torch.cat((begin[..., 0], end[:, -1]), -1)
        return cls(borders=borders, table=table.flatten(0, 1), shape=shape)

    def __call__(self, x: Tensor) -> Tensor:
        """y (…, nm)."""
        t, c = self._piece(x)
        return c[1] + t * (c[2] + t * (c[3] + t * c[4]))

    def slope(self, x: Tensor) -> Tensor:
        """dy/dx (…, nm)."""
        t, c = self._piece(x)
        return c[2] + t * (2 * c[3] + 3 * t * c[4])

    def _piece(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        borders = self.borders.to(x)[self.shape.to(x.device)]  # (nm, sections + 1)
        sections = borders.shape[-1] - 1
        with torch.no_grad():
            section = (x[..., None] >= borders).sum(-1)  # 0 before the first, sections + 1 beyond
            inside = (section - 1).clamp(0, sections - 1)
            ends = borders.expand(*x.shape, sections + 1)
            begin = ends.gather(-1, inside[..., None])[..., 0]
            end = ends.gather(-1, inside[..., None] + 1)[..., 0]
            knot = ((x - begin) / (end - begin) * _KNOTS).floor().nan_to_num()
            piece = 1 + inside * _KNOTS + knot.clamp(0, _KNOTS - 1).long()
            piece = torch.where(section == 0, torch.zeros_like(piece), piece)
            pieces = sections * _KNOTS + 2
            piece = torch.where(section > sections, torch.full_like(piece, pieces - 1), piece)
            row = piece + pieces * self.shape.to(x.device)
        c = self.table.to(x)[row].unbind(-1)
        return x - c[0], c


def shapes(*numbers: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
    """The different rows among parameters (nm,) each, and the row of each muscle (nm,)."""
    rows, shape = torch.unique(torch.stack(numbers, -1), dim=0, return_inverse=True)
    return tuple(rows.unbind(-1)), shape


def _bezier(points: Tensor, u: Tensor) -> Tensor:
    """Values (…, k) of Bézier curves with control points (…, 6) at u (…, k)."""
    out = torch.zeros_like(u)
    for i in range(_DEGREE + 1):
        weight = comb(_DEGREE, i) * u**i * (1 - u) ** (_DEGREE - i)
        out = out + points[..., i, None] * weight
    return out


def _bezier_slope(points: Tensor, u: Tensor) -> Tensor:
    """Their slopes in u."""
    steps = points[..., 1:] - points[..., :-1]
    out = torch.zeros_like(u)
    for i in range(_DEGREE):
        weight = comb(_DEGREE - 1, i) * u**i * (1 - u) ** (_DEGREE - 1 - i)
        out = out + _DEGREE * steps[..., i, None] * weight
    return out


def _root(points: Tensor, x: Tensor) -> Tensor:
    """u in [0, 1] with x(u) = x: Newton steps, halved brackets where one leaves its bracket."""
    low, high = torch.zeros_like(x), torch.ones_like(x)
    u = (x - points[..., :1]) / (points[..., -1:] - points[..., :1])
    for _ in range(_NEWTON):
        miss = _bezier(points, u) - x
        high = torch.where(miss > 0, u, high)
        low = torch.where(miss > 0, low, u)
        step = u - miss / _bezier_slope(points, u)
        good = (step >= low) & (step <= high)
        u = torch.where(good, step, 0.5 * (low + high))
    return u
