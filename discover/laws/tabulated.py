"""A function of one variable that has no formula: a cubic spline with a name.

In formulas it stands as a named SymPy function; torch evaluates its samples; programs and exports
get it written out as truncated powers, max(0, z - z_k)³. Beyond its samples it goes on straight.
At the ends it is not made to: a spline without curvature there misses what grows like a power.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor


@dataclass(frozen=True)
class Table:
    """name, and samples (z, value) with z increasing; at least four."""

    name: str
    z: tuple[float, ...]
    values: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {"name": self.name, "z": list(self.z), "values": list(self.values)}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Table:
        """The inverse of `to_dict`."""
        return cls(record["name"], tuple(record["z"]), tuple(record["values"]))

    @property
    def function(self) -> Any:
        """The SymPy function of this name."""
        return sympy.Function(self.name, real=True)

    @functools.cached_property
    def _pieces(self) -> tuple[np.ndarray, np.ndarray]:
        """Knots, and coefficients of the cubic on each piece, ends straight: (k + 1, 4)."""
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
        x, own = z - start, c[piece]
        return ((own[..., 0] * x + own[..., 1]) * x + own[..., 2]) * x + own[..., 3]

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


def write_out(expression: sympy.Expr, tables: tuple[Table, ...]) -> sympy.Expr:
    """The expression with every named table replaced by elementary functions."""
    for table in tables:
        expression = expression.replace(table.function, table.written_out)
    return expression
