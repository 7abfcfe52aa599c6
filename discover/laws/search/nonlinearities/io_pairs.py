"""Functions of two variables, for input/output nonlinearities: tensor splines, and products.

A `Tensored` spline follows any function of both and is linear in its parameters. In formulas it is
the sum of a few products of functions of one variable, by a singular value decomposition. Most laws
of two variables are one product, such as friction times load: then a `Product` takes its place,
whose two factors get formulas of their own. A `Scaled` function is no sum of products: a torque
that is limited, by a limit that falls with speed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import sympy
import torch
from torch import Tensor

from discover.judgement.thresholds import whole
from discover.laws.extensions.tabulated import Basis, Table
from discover.laws.search.nonlinearities.io_fit import Function
from discover.laws.search.nonlinearities.io_functions import Splined

_RANKS = whole("search.pair_ranks")
_NO_SCALE = 1e-6  # a scale nearer to zero is held there
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


class Composed(ABC):
    """A function of z1 and z2 made of functions of one variable: parameters are those of one after
    the other."""

    @property
    @abstractmethod
    def factors(self) -> tuple[Function, ...]:
        """The functions of one variable, in order."""

    @abstractmethod
    def with_factor(self, which: int, function: Function) -> Self:
        """The same with another function in one place."""

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(f.size for f in self.factors)

    def split(self, c: Tensor) -> tuple[Tensor, ...]:
        """The parameters of each."""
        return c.split([f.size for f in self.factors])

    @abstractmethod
    def __call__(self, z: Tensor, c: Tensor) -> Tensor:
        """The value at z (…, 2)."""

    @abstractmethod
    def part(self, which: int, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """(the variable of one of the functions, d(value) / d(the function's value)), each (…)."""

    @abstractmethod
    def scaled(self, c: Tensor, factor: float) -> Tensor:
        """The parameters of `factor` times the function."""

    @abstractmethod
    def combined(
        self, z: tuple[sympy.Expr, sympy.Expr], write: Callable[[int, sympy.Expr], sympy.Expr]
    ) -> sympy.Expr:
        """As SymPy; write(which, variable) is one of the functions."""

    def slopes(self, z: Tensor, c: Tensor) -> Tensor:
        """d(value) / d(c): (…, size)."""
        out = []
        for i, (function, k) in enumerate(zip(self.factors, self.split(c), strict=True)):
            variable, gain = self.part(i, z, c)
            out.append(gain.unsqueeze(-1) * function.slopes(variable, k))
        return torch.cat(out, -1)

    def written(
        self, z: tuple[sympy.Expr, sympy.Expr], c: Tensor, name: str
    ) -> tuple[sympy.Expr, tuple[Table, ...]]:
        """As SymPy, with the tables that it names."""
        tables: dict[str, Table] = {}

        def write(which: int, variable: sympy.Expr) -> sympy.Expr:
            k, called = self.split(c)[which], f"{name}{'fg'[which]}"
            out, named = self.factors[which].written(variable, k, called)  # type: ignore[attr-defined]
            tables.update({t.name: t for t in named})
            return out

        expression = self.combined(z, write)
        return expression, tuple(tables.values())


@dataclass(frozen=True)
class Pair(Composed):
    """Two functions, of z1 and z2, of which the first sets the size of the whole."""

    first: Function
    second: Function

    @property
    def factors(self) -> tuple[Function, ...]:
        """Both, in order."""
        return self.first, self.second

    def with_factor(self, which: int, function: Function) -> Self:
        """The same with another first (0) or second (1) function."""
        return type(self)(*(function if i == which else f for i, f in enumerate(self.factors)))

    def scaled(self, c: Tensor, factor: float) -> Tensor:
        """The parameters of `factor` times the function."""
        first, second = self.split(c)
        return torch.cat([self.first.scaled(first, factor), second])


class Product(Pair):
    """first(z1) second(z2)."""

    def __call__(self, z: Tensor, c: Tensor) -> Tensor:
        """The value at z (…, 2)."""
        first, second = self.split(c)
        return self.first(z[..., 0], first) * self.second(z[..., 1], second)

    def part(self, which: int, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The variable of one factor, and the other factor."""
        other = 1 - which
        return z[..., which], self.factors[other](z[..., other], self.split(c)[other])

    def combined(
        self, z: tuple[sympy.Expr, sympy.Expr], write: Callable[[int, sympy.Expr], sympy.Expr]
    ) -> sympy.Expr:
        """The product."""
        return write(0, z[0]) * write(1, z[1])


class Scaled(Pair):
    """s first(z1 / s) with s = second(z2): a function whose scale another variable sets, such as a
    limit of the torque that falls with speed."""

    def _scale(self, z: Tensor, c: Tensor) -> Tensor:
        s = self.second(z[..., 1], self.split(c)[1])
        return torch.where(s.abs() < _NO_SCALE, torch.full_like(s, _NO_SCALE), s)

    def __call__(self, z: Tensor, c: Tensor) -> Tensor:
        """The value at z (…, 2)."""
        s = self._scale(z, c)
        return s * self.first(z[..., 0] / s, self.split(c)[0])

    def part(self, which: int, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The variable of one function, and what a change of its value makes of the whole."""
        s, k = self._scale(z, c), self.split(c)[0]
        u = z[..., 0] / s
        if which == 0:
            return u, s
        h = 1e-5 * u.abs().amax().clamp_min(1e-9)
        slope = (self.first(u + h, k) - self.first(u - h, k)) / (2 * h)
        return z[..., 1], self.first(u, k) - u * slope

    def combined(
        self, z: tuple[sympy.Expr, sympy.Expr], write: Callable[[int, sympy.Expr], sympy.Expr]
    ) -> sympy.Expr:
        """The function, scaled."""
        s = write(1, z[1])
        return s * write(0, z[0] / s)
