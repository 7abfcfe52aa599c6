"""Functions of two variables, for input/output nonlinearities: tensor splines, and products.

A `Tensored` spline follows any function of both and is linear in its parameters. In formulas it is
the sum of a few products of functions of one variable, by a singular value decomposition. Most laws
of two variables are one product, such as friction times load: then a `Product` takes its place,
whose two factors get formulas of their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import sympy
import torch
from torch import Tensor

from discover.judgement.thresholds import whole
from discover.laws.extensions.tabulated import Basis, Table
from discover.laws.search.nonlinearities.io_fit import Function
from discover.laws.search.nonlinearities.io_functions import Splined

_RANKS = whole("search.pair_ranks")
_LEFT = 1e-4  # of a tensor spline's largest singular value: smaller products are not written down


@dataclass(frozen=True)
class Tensored:
    """Σ c_kl f_k(z1) g_l(z2), with the cubic splines, jumps and kinks of two bases."""

    first: Basis
    second: Basis

    @classmethod
    def over(cls, z: Tensor, knots: int) -> Tensored:
        """`knots` over each of the samples z (…, 2)."""
        return cls(Basis.over(z[..., 0].flatten(), knots), Basis.over(z[..., 1].flatten(), knots))

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.first.size * self.second.size

    def slopes(self, z: Tensor, c: Tensor) -> Tensor:
        """d(value) / d(c): (…, size) at z (…, 2)."""
        flat = z.reshape(-1, 2)
        both = self.first(flat[:, 0]).unsqueeze(2) * self.second(flat[:, 1]).unsqueeze(1)
        return both.reshape(*z.shape[:-1], -1)

    def __call__(self, z: Tensor, c: Tensor) -> Tensor:
        """The value at z (…, 2)."""
        return self.slopes(z, c) @ c

    def scaled(self, c: Tensor, factor: float) -> Tensor:
        """The parameters of `factor` times the function."""
        return factor * c

    def products(self, c: Tensor) -> list[tuple[Product, Tensor]]:
        """The products that it is the sum of, with their parameters, the largest first."""
        u, s, v = torch.linalg.svd(c.reshape(self.first.size, self.second.size))
        product = Product(Splined(self.first), Splined(self.second))
        return [
            (product, torch.cat([root * u[:, i], root * v[i]]))
            for i, root in enumerate(s.sqrt())
            if s[i] >= _LEFT * s[0]
        ][:_RANKS]

    def written(
        self, z: tuple[sympy.Expr, sympy.Expr], c: Tensor, name: str
    ) -> tuple[sympy.Expr, tuple[Table, ...]]:
        """As SymPy, with the tables that it names."""
        parts = [
            product.written(z, x, f"{name}{letter}")
            for letter, (product, x) in zip("abcdefgh", self.products(c), strict=False)
        ]
        total = sum((expression for expression, _ in parts), sympy.Integer(0))
        return total, tuple(table for _, tables in parts for table in tables)


@dataclass(frozen=True)
class Product:
    """first(z1) second(z2): parameters are those of the first, then those of the second."""

    first: Function
    second: Function

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.first.size + self.second.size

    @property
    def factors(self) -> tuple[Function, Function]:
        """Both, in order."""
        return self.first, self.second

    def split(self, c: Tensor) -> tuple[Tensor, ...]:
        """The parameters of each."""
        return c.split([self.first.size, self.second.size])

    def with_factor(self, which: int, function: Function) -> Product:
        """The same with another first (0) or second (1) factor."""
        return Product(function, self.second) if which == 0 else Product(self.first, function)

    def values(self, z: Tensor, c: Tensor) -> list[Tensor]:
        """Those of the two factors at z (…, 2)."""
        both = zip(self.factors, z.unbind(-1), self.split(c), strict=True)
        return [factor(x, k) for factor, x, k in both]

    def __call__(self, z: Tensor, c: Tensor) -> Tensor:
        """The value at z (…, 2)."""
        first, second = self.values(z, c)
        return first * second

    def slopes(self, z: Tensor, c: Tensor) -> Tensor:
        """d(value) / d(c): (…, size)."""
        both = zip(self.factors, z.unbind(-1), self.split(c), strict=True)
        first, second = (factor.slopes(x, k) for factor, x, k in both)
        values = self.values(z, c)
        return torch.cat([first * values[1].unsqueeze(-1), values[0].unsqueeze(-1) * second], -1)

    def scaled(self, c: Tensor, factor: float) -> Tensor:
        """The parameters of `factor` times the function."""
        first, second = self.split(c)
        return torch.cat([self.first.scaled(first, factor), second])

    def balanced(self, z: Tensor, c: Tensor) -> Tensor:
        """The parameters of the same function with a second factor whose largest value at z (…, 2)
        is one."""
        first, second = self.split(c)
        size = float(self.values(z, c)[1].abs().max())
        if not math.isfinite(size) or size == 0:
            return c
        return torch.cat([self.first.scaled(first, size), self.second.scaled(second, 1 / size)])

    def written(
        self, z: tuple[sympy.Expr, sympy.Expr], c: Tensor, name: str
    ) -> tuple[sympy.Expr, tuple[Table, ...]]:
        """As SymPy, with the tables that it names."""
        out, tables = sympy.Integer(1), ()
        for factor, x, k, letter in zip(self.factors, z, self.split(c), "fg", strict=True):
            expression, named = factor.written(x, k, f"{name}{letter}")  # type: ignore[attr-defined]
            out, tables = out * expression, (*tables, *named)
        return out, tables
