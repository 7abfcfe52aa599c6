"""Dimensional analysis: what units alone say about a formula.

y(x1 … xd) with units is a product of powers of a few *reference* variables, which carry the units,
times a function of dimensionless groups, one for every other variable (Buckingham 1914).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import sympy

from discover.judgement.thresholds import whole

Unit = tuple[Fraction | int, ...]  # exponents of the base units, such as (m, kg, s)
_MOST = whole("regression.reference_sets")


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """y = prefactor(x) · f(groups(x)), each a product of powers.

    prefactor  (d,) exponents of the product that has y's units
    groups   (k, d) exponents of the dimensionless groups
    """

    prefactor: np.ndarray
    groups: np.ndarray

    @property
    def cost(self) -> float:
        """How complicated the products are: the shorter the better."""
        whole = np.abs(self.groups).sum() + np.abs(self.prefactor).sum()
        broken = np.count_nonzero(self.groups % 1) + np.count_nonzero(self.prefactor % 1)
        return float(whole + 2 * broken)

    def values(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(prefactor (n,), groups (n, k)) at samples x (n, d)."""
        return _powers(x, self.prefactor), np.stack(
            [_powers(x, g) for g in self.groups], -1
        ) if len(self.groups) else np.zeros((len(x), 0))

    def expressions(self, symbols: Sequence[sympy.Expr]) -> tuple[sympy.Expr, list[sympy.Expr]]:
        """The same products in SymPy."""
        return product(symbols, self.prefactor), [product(symbols, g) for g in self.groups]


def reductions(units: Sequence[Unit], target: Unit) -> list[Reduction]:
    """All ways of choosing reference variables, the simplest products first.

    Empty where no product of the variables has the target's units.
    """
    A = sympy.Matrix([[sympy.Rational(e) for e in u] for u in units])  # (d, base)
    y = sympy.Matrix([sympy.Rational(e) for e in target])
    d, rank = A.rows, A.rank()
    if rank == 0:
        if any(y):
            return []
        return [Reduction(prefactor=np.zeros(d), groups=np.eye(d))]
    found: dict[tuple, Reduction] = {}
    for chosen in itertools.islice(itertools.combinations(range(d), rank), 20 * _MOST):
        own = A[list(chosen), :].T  # base × rank
        if own.rank() < rank:
            continue
        prefactor = _exponents(own, y, chosen, d)
        if prefactor is None:
            return []
        groups = []
        for i in range(d):
            if i not in chosen:
                rest = _exponents(own, -A[i, :].T, chosen, d)
                assert rest is not None  # the references span all units
                rest[i] += 1.0
                groups.append(rest)
        made = Reduction(prefactor=prefactor, groups=np.array(groups).reshape(-1, d))
        found.setdefault(chosen, made)
        if len(found) >= _MOST:
            break
    return sorted(found.values(), key=lambda r: r.cost)


def _exponents(
    own: sympy.Matrix, wanted: sympy.Matrix, chosen: Sequence[int], d: int
) -> np.ndarray | None:
    """Powers of the chosen variables whose product has the wanted units."""
    try:
        solution = own.gauss_jordan_solve(wanted)[0]
    except ValueError:
        return None
    out = np.zeros(d)
    for i, power in zip(chosen, solution, strict=True):
        out[i] = float(power)
    return out


def product(symbols: Sequence[sympy.Expr], powers: np.ndarray) -> sympy.Expr:
    """Π symbol^power."""
    pairs = zip(symbols, powers, strict=True)
    return sympy.Mul(*(s ** sympy.Rational(str(Fraction(float(p)).limit_denominator(12)))
                       for s, p in pairs if p))  # fmt: skip


def _powers(x: np.ndarray, powers: np.ndarray) -> np.ndarray:
    out = np.ones(len(x))
    for column, p in zip(x.T, powers, strict=True):
        if p:
            out = out * (column ** int(p) if p == int(p) else np.abs(column) ** p)
    return out
