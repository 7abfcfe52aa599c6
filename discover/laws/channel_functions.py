"""The functions of channels: flexible ones on knots, and formulas with their constants."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import sympy
import torch
from torch import Tensor

from discover.laws.shape_search import Found
from discover.laws.shapes import Shape
from discover.laws.splines import Basis
from discover.laws.tabulated import Table

_STEP = 1e-6


@dataclass(frozen=True)
class Splined:
    """A cubic spline by its values at knots, a jump and a kink at zero and corners beside it.

    Parameters: those of the basis, then the heights of |z - k| and the places k of `corners`.
    """

    basis: Basis
    corners: int = 0

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.basis.size + 2 * self.corners

    def _split(self, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(of the basis, heights, places)."""
        own, heights, places = c.split([self.basis.size, self.corners, self.corners])
        return own, heights, places

    def like(self, values: np.ndarray) -> Tensor:
        """The parameters of a function without jump, kink or corner that has these values at the
        knots."""
        c = torch.zeros(self.size, dtype=torch.float64)
        c[: len(values)] = torch.as_tensor(values, dtype=torch.float64)
        return c

    def moved(self, basis: Basis, c: Tensor) -> tuple[Splined, Tensor]:
        """About the same function on other knots, with its corners and without jump or kink."""
        _, heights, places = self._split(c)
        at = torch.from_numpy(basis.knots)
        smooth = self(at, c) - (at.unsqueeze(-1) - places).abs() @ heights
        own = torch.cat([smooth, c.new_zeros(basis.size - len(at))])
        return replace(self, basis=basis), torch.cat([own, heights, places])

    def with_corner(self) -> Splined:
        """With one corner more."""
        return replace(self, corners=self.corners + 1)

    def started(self, c: Tensor, place: float) -> Tensor:
        """Parameters `c` of the function with one corner fewer, and one of no height at `place`."""
        own, heights, places = replace(self, corners=self.corners - 1)._split(c)
        return torch.cat([own, heights, c.new_zeros(1), places, c.new_tensor([place])])

    def __call__(self, z: Tensor, c: Tensor) -> Tensor:
        """The value at z, of any shape."""
        own, heights, places = self._split(c)
        smooth = (self.basis(z.flatten()) @ own).reshape(z.shape)
        return smooth + (z.unsqueeze(-1) - places).abs() @ heights

    def slopes(self, z: Tensor, c: Tensor) -> Tensor:
        """d(value) / d(c): (*z.shape, size)."""
        _, heights, places = self._split(c)
        away = z.unsqueeze(-1) - places
        smooth = self.basis(z.flatten()).reshape(*z.shape, -1)
        return torch.cat([smooth, away.abs(), -heights * away.sign()], -1)

    def scaled(self, c: Tensor, factor: float) -> Tensor:
        """The parameters of `factor` times the function."""
        own, heights, places = self._split(c)
        return torch.cat([own * factor, heights * factor, places])

    def written(self, z: sympy.Expr, c: Tensor, name: str) -> tuple[sympy.Expr, tuple[Table, ...]]:
        """As SymPy, with the table that it names."""
        own, heights, places = self._split(c)
        table, jump, kink = self.basis.table(name, own)
        beside = sympy.Float(jump, 17) * sympy.sign(z) + sympy.Float(kink, 17) * sympy.Abs(z)
        for height, place in zip(heights.tolist(), places.tolist(), strict=True):
            beside += sympy.Float(height, 17) * sympy.Abs(z - sympy.Float(place, 17))
        return table.function(z) + beside, (table,)


@dataclass(frozen=True)
class Formula:
    """Σ coefficient · shape(z / unit; constants): parameters are the coefficients, then the
    constants of one shape after the other."""

    shapes: tuple[Shape, ...]
    unit: float

    @classmethod
    def of(cls, found: Found, unit: float) -> tuple[Formula, Tensor]:
        """The function that a search found, and its parameters."""
        numbers = [*found.coefficients, *(x for group in found.constants for x in group)]
        return cls(found.shapes, unit), torch.tensor(numbers, dtype=torch.float64)

    @property
    def size(self) -> int:
        """Number of parameters."""
        return len(self.shapes) + sum(len(s.grids) for s in self.shapes)

    def _parts(self, c: np.ndarray) -> list[tuple[float, Shape, np.ndarray]]:
        k, out = len(self.shapes), []
        for coefficient, shape in zip(c, self.shapes, strict=False):
            out.append((coefficient, shape, c[k : k + len(shape.grids)]))
            k += len(shape.grids)
        return out

    def __call__(self, z: Tensor, c: Tensor) -> Tensor:
        """The value at z, of any shape."""
        u = z.numpy().ravel() / self.unit
        total = sum(x * shape.values(u, k) for x, shape, k in self._parts(c.numpy()))
        return torch.from_numpy(np.asarray(total)).reshape(z.shape)

    def slopes(self, z: Tensor, c: Tensor) -> Tensor:
        """d(value) / d(c) by central differences: (*z.shape, size)."""
        columns = []
        for i in range(len(c)):
            step = torch.zeros_like(c)
            step[i] = _STEP * max(abs(float(c[i])), 1e-2)
            columns.append((self(z, c + step) - self(z, c - step)) / (2 * step[i]))
        return torch.stack(columns, -1)

    def scaled(self, c: Tensor, factor: float) -> Tensor:
        """The parameters of `factor` times the function."""
        k = len(self.shapes)
        return torch.cat([c[:k] * factor, c[k:]])

    def written(self, z: sympy.Expr, c: Tensor, name: str) -> tuple[sympy.Expr, tuple[Table, ...]]:
        """As SymPy; names no table."""
        u = z / sympy.Float(self.unit, 17)
        whole = functools.reduce(
            lambda total, part: (
                total
                + sympy.Float(float(part[0]), 17)
                * part[1].expression(u, [sympy.Float(float(x), 17) for x in part[2]])
            ),
            self._parts(c.numpy()),
            sympy.Integer(0),
        )
        return whole, ()
