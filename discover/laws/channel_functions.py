"""The functions of channels: flexible ones on knots, and formulas with their constants."""

from __future__ import annotations

import functools
from dataclasses import dataclass

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
    """A cubic spline by its values at knots, a jump and a kink at zero beside it."""

    basis: Basis

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.basis.size

    def like(self, values: np.ndarray) -> Tensor:
        """The parameters of a function without jump or kink that has these values at the knots."""
        c = torch.zeros(self.size, dtype=torch.float64)
        c[: len(values)] = torch.as_tensor(values, dtype=torch.float64)
        return c

    def __call__(self, z: Tensor, c: Tensor) -> Tensor:
        """The value at z, of any shape."""
        return (self.basis(z.flatten()) @ c).reshape(z.shape)

    def slopes(self, z: Tensor, c: Tensor) -> Tensor:
        """d(value) / d(c): (*z.shape, size)."""
        return self.basis(z.flatten()).reshape(*z.shape, -1)

    def written(self, z: sympy.Expr, c: Tensor, name: str) -> tuple[sympy.Expr, tuple[Table, ...]]:
        """As SymPy, with the table that it names."""
        table, jump, kink = self.basis.table(name, c)
        beside = sympy.Float(jump, 17) * sympy.sign(z) + sympy.Float(kink, 17) * sympy.Abs(z)
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
