"""Functions of one coordinate, piece by piece polynomials: how points of paths move with joints.

A spline, straight lines between knots and a polynomial are all the same table: where pieces begin,
and of each piece its origin and its coefficients. Curves of different length share one table, whose
rows are filled up by their last piece.

Interpolating cubics: de Boor (1978), "A Practical Guide to Splines", chapter IV; the end conditions
"third" (the third derivative is that of the cubic through the four outermost points) are those of
Forsythe, Malcolm and Moler (1977), which SIMM took over and OpenSim's SimmSpline keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinematics.errors import RobotError


@dataclass(frozen=True, eq=False)
class Curve:
    """One function: ``breaks`` (k,) rising, and k + 1 ``pieces`` (k + 1, 1 + degree + 1): the
    origin of a piece, then its coefficients from the constant one upwards."""

    breaks: np.ndarray
    pieces: np.ndarray

    def __post_init__(self) -> None:
        whole = self.breaks.ndim == 1 and self.pieces.ndim == 2 and self.pieces.shape[-1] > 1
        if not whole or len(self.pieces) != len(self.breaks) + 1:
            raise RobotError(
                f"expected one piece more than breaks, found {self.pieces.shape} and "
                f"{self.breaks.shape}; make curves by polynomial, straight or cubic"
            )

    @property
    def constant(self) -> bool:
        """Whether it has the same value everywhere."""
        flat = not self.pieces[:, 2:].any()
        return bool(flat and (self.pieces[:, 1] == self.pieces[0, 1]).all())

    def times(self, factor: float) -> Curve:
        """The function multiplied by a number."""
        scale = np.ones(self.pieces.shape[-1])
        scale[1:] = factor
        return Curve(self.breaks, self.pieces * scale)

    def __call__(self, x: float) -> float:
        """The value at a number."""
        origin, *c = self.pieces[int((x >= self.breaks).sum())]
        return float(np.polynomial.polynomial.polyval(x - origin, c))


def polynomial(coefficients: Sequence[float]) -> Curve:
    """Σ c_k x^k, c from the constant upwards."""
    return Curve(np.zeros(0), np.array([[0.0, *coefficients]]))


def straight(x: np.ndarray, y: np.ndarray) -> Curve:
    """Straight between knots x (n,) rising, y (n,), and on in the same direction beyond them."""
    slope = np.diff(y) / np.diff(x)
    return Curve(x[1:-1], np.stack((x[:-1], y[:-1], slope), -1))


def cubic(x: np.ndarray, y: np.ndarray, *, ends: str) -> Curve:
    """The interpolating cubic spline through knots x (n,) rising, y (n,), straight beyond them.

    ends    "natural" (no curvature there) or "third", see above; with three knots one parabola,
            with two a line
    """
    n, step = len(x), np.diff(x)
    rise = np.diff(y) / step
    if n == 2:
        return straight(x, y)
    # the unknowns are a sixth of the second derivatives at the knots
    rows, right = np.zeros((n, n)), np.zeros(n)
    for i in range(1, n - 1):
        rows[i, i - 1 : i + 2] = step[i - 1], 2 * (step[i - 1] + step[i]), step[i]
        right[i] = rise[i] - rise[i - 1]
    rows[0, 0] = rows[-1, -1] = 1.0
    if ends == "third":
        rows[0, 1] = rows[-1, -2] = -1.0
        if n > 3:
            second = np.diff(rise) / (x[2:] - x[:-2])
            third = np.diff(second) / (x[3:] - x[:-3])
            right[0], right[-1] = -step[0] * third[0], step[-1] * third[-1]
    bend = np.linalg.solve(rows, right)
    slope = rise - step * (bend[1:] + 2 * bend[:-1])
    last = rise[-1] + step[-1] * (bend[-2] + 2 * bend[-1])
    inner = np.stack((x[:-1], y[:-1], slope, 3 * bend[:-1], np.diff(bend) / step), -1)
    low, high = (x[0], y[0], slope[0], 0.0, 0.0), (x[-1], y[-1], last, 0.0, 0.0)
    return Curve(x, np.vstack((low, inner, high)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Curves:
    """n functions as one table: ``breaks`` (n, k), ``pieces`` (n, k + 1, 1 + degree + 1)."""

    breaks: Tensor
    pieces: Tensor

    @classmethod
    def of(cls, curves: Sequence[Curve]) -> Curves:
        """The table of some curves."""
        most = max((len(c.breaks) for c in curves), default=0)
        wide = max((c.pieces.shape[-1] for c in curves), default=2)
        breaks = np.zeros((len(curves), most))
        pieces = np.zeros((len(curves), most + 1, wide))
        for row, curve in enumerate(curves):
            k = len(curve.breaks)
            breaks[row, :k] = curve.breaks
            breaks[row, k:] = curve.breaks[-1] if k else 0.0
            pieces[row, : k + 1, : curve.pieces.shape[-1]] = curve.pieces
            pieces[row, k + 1 :] = pieces[row, k]
        return cls(breaks=torch.tensor(breaks), pieces=torch.tensor(pieces))

    @property
    def n(self) -> int:
        """How many functions."""
        return len(self.breaks)

    def on(self, rows: Any) -> Curves:
        """Some of the functions."""
        return replace(self, breaks=self.breaks[rows], pieces=self.pieces[rows])

    def to(self, like: Tensor) -> Curves:
        """The same table in the dtype and on the device of ``like``."""
        return replace(self, breaks=self.breaks.to(like), pieces=self.pieces.to(like))

    def value_and_slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values and derivatives (..., n) at x (..., n), one number a function."""
        piece = (x[..., None] >= self.breaks).sum(-1)
        row = torch.arange(self.n, device=x.device)
        origin, *c = self.pieces[row, piece].unbind(-1)
        t = x - origin
        value, slope = c[-1], torch.zeros_like(t)
        for k in range(len(c) - 2, -1, -1):
            slope = slope * t + value
            value = value * t + c[k]
        return value, slope
