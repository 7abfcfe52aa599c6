"""Rows of inverse dynamics from their samples, as flat sums: tau_i(q, v, a).

The columns are trigonometric products of the angles times accelerations or products of two speeds,
and gravity's. Nothing is known but that coordinates are angles. The columns grow with the power of
the hinges: three of them are within the budget of columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sympy

from discover.judgement.thresholds import whole
from discover.laws.extensions.terms import symbols
from discover.laws.regression.fourier import Library, products
from discover.laws.regression.sparse_regression import select_several
from discover.threads import one_thread

_LIBRARY = whole("regression.library_columns")


@dataclass(frozen=True, kw_only=True)
class Row:
    """tau_i = Σ coefficients · terms; `error` is the root mean square of the rest [N·m]."""

    terms: tuple[sympy.Expr, ...]
    coefficients: np.ndarray
    support: tuple[int, ...]
    error: float

    @property
    def expression(self) -> sympy.Expr:
        """The sum in q1…, v1…, a1…."""
        pairs = zip(self.coefficients, self.terms, strict=True)
        return sympy.Add(*(sympy.Float(c) * t for c, t in pairs))

    def __call__(self, q: np.ndarray, v: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Torques (…,)."""
        return _Columns(q.shape[-1]).values(q, v, a)[..., self.support] @ self.coefficients


@one_thread()
def fit_rows(q: np.ndarray, v: np.ndarray, a: np.ndarray, tau: np.ndarray) -> list[Row]:
    """The rows whose torques (m, n) were sampled at q, v, a (m, n).

    Raises ValueError where the library has more columns than its budget.

    Without noise they are exact. Under noise the many small terms of a flat sum are lost one after
    the other: there, fit the tree's recursion.
    """
    n = q.shape[1]
    columns = _Columns(n)
    if columns.size > _LIBRARY:
        raise ValueError(
            f"expected at most {_LIBRARY} columns for a flat sum, found {columns.size} "
            f"for {n} hinges: fit the tree's recursion"
        )
    return [
        Row(
            terms=tuple(columns.expression(k) for k in found.support),
            coefficients=found.coefficients,
            support=found.support,
            error=found.error,
        )
        for found in select_several(columns.values(q, v, a), tau)
    ]


class _Columns:
    """The library of a row of n hinges."""

    def __init__(self, n: int):
        s = symbols(n)
        self.pairs = [(j, k) for j in range(n) for k in range(j, n)]
        self.inertia: Library = products(s["q"], range(1, n), 2)
        self.gravity: Library = products(s["q"], range(n), 1)
        self.factors = [*s["a"], *(s["v"][j] * s["v"][k] for j, k in self.pairs)]

    @property
    def size(self) -> int:
        """Number of columns."""
        return self.inertia.size * len(self.factors) + self.gravity.size

    def values(self, q: np.ndarray, v: np.ndarray, a: np.ndarray) -> np.ndarray:
        """(…, p)."""
        speeds = np.stack([v[..., j] * v[..., k] for j, k in self.pairs], -1)
        moving = (
            np.concatenate([a, speeds], -1)[..., :, None] * self.inertia.columns(q)[..., None, :]
        )
        return np.concatenate([moving.reshape(*q.shape[:-1], -1), self.gravity.columns(q)], -1)

    def expression(self, index: int) -> sympy.Expr:
        """What a column says."""
        inner = self.inertia.size
        if index < inner * len(self.factors):
            factor, k = divmod(index, inner)
            return self.factors[factor] * self.inertia.expressions(k)
        return self.gravity.expressions(index - inner * len(self.factors))
