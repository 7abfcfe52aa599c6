"""Functions of one variable without a formula: cubic splines, stored (`Table`) or fitted (`Basis`).

A `Table` stands in formulas as a named SymPy function; torch evaluates its samples; programs and
exports get it in truncated powers, max(0, z - z_k)³. Beyond its samples it is continued by straight
lines. Its end conditions are not-a-knot: a spline without curvature at the ends misses what grows
like a power.

A `Basis` is linear in the values at its knots and in a jump and a kink at zero. The residual of a
law is first described by such a basis, before any formula is sought.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
import torch
from torch import Tensor

from discover.laws.extensions.contract import LawComponent
from discover.records import Stored


@dataclass(frozen=True)
class Table(Stored, LawComponent):
    """A named cubic spline through at least four samples (z, value) with z increasing."""

    name: str
    z: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def symbol_count(self) -> int:
        """None of its own: its name is counted in the formulas that call it."""
        return 0

    @property
    def number_count(self) -> int:
        """One number a sample; where the samples lie is no choice of the fit."""
        return len(self.z)

    @property
    def description(self) -> str:
        """Its name, number of samples and range."""
        return f"{self.name}: {len(self.z)} samples over {self.z[0]:.4g} … {self.z[-1]:.4g}"

    @property
    def function(self) -> Any:
        """The SymPy function of this name."""
        return sympy.Function(self.name, real=True)

    @functools.cached_property
    def _pieces(self) -> tuple[np.ndarray, np.ndarray]:
        """Knots, and coefficients of the cubic on each piece, ends straight: (k + 1, 4)."""
        from scipy.interpolate import CubicSpline  # imported late: half a second

        spline = CubicSpline(self.z, self.values)
        low = [0.0, 0.0, float(spline(self.z[0], 1)), self.values[0]]
        high = [0.0, 0.0, float(spline(self.z[-1], 1)), self.values[-1]]
        return np.array(self.z), np.vstack([low, spline.c.T, high])

    def __call__(self, z: Tensor) -> Tensor:
        """The value at z, of any shape."""
        knots, pieces = self._pieces
        at = torch.as_tensor(knots, dtype=z.dtype, device=z.device)
        c = torch.as_tensor(pieces, dtype=z.dtype, device=z.device)
        piece = torch.searchsorted(at, z.detach().contiguous())
        start = torch.cat([at[:1], at])[piece]
        x, c = z - start, c[piece]
        return ((c[..., 0] * x + c[..., 1]) * x + c[..., 2]) * x + c[..., 3]

    def written_out(self, z: sympy.Expr) -> sympy.Expr:
        """The same function in elementary ones: a straight line, truncated squares and cubes."""
        knots, pieces = self._pieces
        jump = np.diff(pieces[:, 0])
        last = knots[-1] - knots[-2]
        curved = (pieces[1, 1], -(pieces[-2, 1] + 3 * pieces[-2, 0] * last))
        out = sympy.Float(pieces[0, 3]) + sympy.Float(pieces[0, 2]) * (z - sympy.Float(knots[0]))
        for at, size in zip(knots, jump, strict=True):
            if size != 0:
                out += sympy.Float(size) * sympy.Max(0, z - sympy.Float(at)) ** 3
        for at, size in zip((knots[0], knots[-1]), curved, strict=True):
            if size != 0:
                out += sympy.Float(size) * sympy.Max(0, z - sympy.Float(at)) ** 2
        return out


def write_out(expression: sympy.Expr, tables: Sequence[LawComponent]) -> sympy.Expr:
    """The expression with every named table replaced by elementary functions."""
    for table in (t for t in tables if isinstance(t, Table)):
        expression = expression.replace(table.function, table.written_out)
    return expression


_TAIL = 1.0  # times the median size, from where on knots are further and further apart


@dataclass(frozen=True)
class Basis:
    """Cubic splines through unit vectors at the knots; sign(z) and |z| if `kinks`."""

    knots: np.ndarray
    pieces: Tensor  # (knots + 1, 4, knots)
    kinks: bool

    @classmethod
    def over(cls, z: Tensor, size: int, tails: bool = False) -> Basis:
        """`size` knots over the sample z, half evenly spaced and half where the sample is.

        With `tails` their distance grows with that from zero, for samples that reach far out.
        """
        x = np.sort(z.detach().numpy().ravel())
        low, high = x[0], x[-1]
        if not high - low > 1e-12 * max(abs(low), abs(high)):
            high = low + max(1e-9, abs(low))
        even = np.linspace(low, high, size)
        if tails:
            unit = max(_TAIL * float(np.median(np.abs(x))), 1e-9 * (high - low))
            even = unit * np.sinh(
                np.linspace(np.arcsinh(low / unit), np.arcsinh(high / unit), size)
            )
        dense = np.quantile(x, np.linspace(0, 1, size))
        knots = 0.6 * even + 0.4 * dense
        knots = np.maximum.accumulate(knots + 1e-9 * (high - low) * np.arange(size))
        from scipy.interpolate import CubicSpline

        spline = CubicSpline(knots, np.eye(size))
        line = np.zeros((2, 4, size))
        for row, end in ((0, 0), (1, -1)):
            line[row, 2] = spline(knots[end], 1)
            line[row, 3] = np.eye(size)[end]
        pieces = np.concatenate([line[:1], spline.c.transpose(1, 0, 2), line[1:]])
        return cls(knots, torch.from_numpy(pieces), bool(low < 0 < high))

    @property
    def size(self) -> int:
        """Number of functions."""
        return len(self.knots) + 2 * self.kinks

    def __call__(self, z: Tensor) -> Tensor:
        """(n,) to (n, size)."""
        z = torch.nan_to_num(z)
        at = torch.from_numpy(self.knots)
        piece = torch.searchsorted(at, z.contiguous())
        x = (z - torch.cat([at[:1], at])[piece]).unsqueeze(-1)
        c = self.pieces[piece]
        values = ((c[:, 0] * x + c[:, 1]) * x + c[:, 2]) * x + c[:, 3]
        if self.kinks:
            values = torch.cat([values, z.sign().unsqueeze(-1), z.abs().unsqueeze(-1)], -1)
        return values

    def slopes(self, z: Tensor) -> Tensor:
        """Their derivatives, (n,) to (n, size)."""
        z = torch.nan_to_num(z)
        at = torch.from_numpy(self.knots)
        piece = torch.searchsorted(at, z.contiguous())
        x = (z - torch.cat([at[:1], at])[piece]).unsqueeze(-1)
        c = self.pieces[piece]
        slopes = (3.0 * c[:, 0] * x + 2.0 * c[:, 1]) * x + c[:, 2]
        if self.kinks:
            slopes = torch.cat([slopes, 0 * z.unsqueeze(-1), z.sign().unsqueeze(-1)], -1)
        return slopes

    def table(self, name: str, coefficients: Tensor) -> tuple[Table, float, float]:
        """The function as a table, and the heights of sign(z) and of |z| beside it."""
        k = len(self.knots)
        smooth = Table(name, tuple(self.knots.tolist()), tuple(coefficients[:k].tolist()))
        jump, kink = coefficients[k:].tolist() if self.kinks else (0.0, 0.0)
        return smooth, jump, kink
