"""Fewer variables: differences, sums and powers that a function of several really depends on.

A smooth interpolation is asked how well it predicts samples that it was not given. If a function
depends on a - b only, it is predicted better from a - b than from a and b; if a power of a variable
stands before everything else, better once that power is divided out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy

_SAMPLES = 120
_BETTER = 0.8  # what is simpler must also predict better, by this factor
_POWERS = (1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 0.5, -0.5, 1.5, -1.5)
_SCALES = (0.8, 2.0, 5.0)
_NUGGETS = (1e-9, 1e-5, 1e-3)


@dataclass(frozen=True, kw_only=True)
class Reduced:
    """y = factor(x) · f(variables): values and expressions of each."""

    factor: np.ndarray
    factor_expression: sympy.Expr
    variables: np.ndarray  # (n, k)
    expressions: tuple[sympy.Expr, ...]


def predictability(x: np.ndarray, y: np.ndarray) -> float:
    """Leave-one-out error of a Gaussian process, over the spread of y; the best of few kernels."""
    rows = np.linspace(0, len(y) - 1, min(len(y), _SAMPLES)).round().astype(int)
    x, y = x[rows], y[rows]
    spread = float(y.std())
    if not np.isfinite(y).all() or not np.isfinite(x).all():
        return np.inf
    if spread <= 1e-9 * float(np.abs(y).max()):
        return 0.0
    if x.shape[1] == 0:
        return 1.0
    z = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1.0)
    distance = ((z[:, None] - z[None]) ** 2).sum(-1) / x.shape[1]
    target = (y - y.mean()) / spread
    best = np.inf
    for scale in _SCALES:
        values, vectors = np.linalg.eigh(np.exp(-0.5 * distance / scale**2))
        along = vectors.T @ target
        for nugget in _NUGGETS:
            weight = 1 / (np.maximum(values, 0.0) + nugget)
            error = (vectors @ (weight * along)) / ((vectors**2) @ weight)
            best = min(best, float(np.sqrt(np.mean(error**2))))
    return best


def joined(
    x: np.ndarray, y: np.ndarray, symbols: Sequence[sympy.Expr], same: Sequence[Sequence[int]]
) -> tuple[np.ndarray, list[sympy.Expr], list[int]]:
    """Pairs replaced by their difference or sum where that predicts better.

    `same` are groups of variables that may be added, those of one unit. Returns the variables
    (n, k), their expressions, and for each the index of the first variable that it came from.
    """
    columns, names, origin = list(x.T), list(symbols), list(range(x.shape[1]))
    unit = {i: k for k, group in enumerate(same) for i in group}
    now = predictability(x, y)
    while True:
        best: tuple[float, int, int, int] | None = None
        for i in range(len(columns)):
            for j in range(i + 1, len(columns)):
                if unit.get(origin[i], -1) != unit.get(origin[j], -2):
                    continue
                for sign in (-1, 1):
                    rest = [c for k, c in enumerate(columns) if k not in (i, j)]
                    trial = np.stack([*rest, columns[i] + sign * columns[j]], -1)
                    error = predictability(trial, y)
                    if error < _BETTER * now and (best is None or error < best[0]):
                        best = error, i, j, sign
        if best is None:
            return np.stack(columns, -1), names, origin
        now, i, j, sign = best
        columns[i] = columns[i] + sign * columns[j]
        names[i] = names[i] + sign * names[j]
        for held in (columns, names, origin):
            del held[j]


def divided(made: Reduced, y: np.ndarray) -> Reduced:
    """Powers of single variables divided out where the rest is then predicted better without."""
    while True:
        target = y / made.factor
        k = made.variables.shape[1]
        now = predictability(made.variables, target)
        best: tuple[float, int, float] | None = None
        for i in range(k):
            column = made.variables[:, i]
            rest = np.delete(made.variables, i, axis=1)
            for power in _POWERS:
                if power != int(power) and (column <= 0).any():
                    continue
                error = predictability(rest, target / column**power)
                if error < _BETTER * now and (best is None or error < best[0]):
                    best = error, i, power
        if best is None:
            return made
        _, i, power = best
        made = Reduced(
            factor=made.factor * made.variables[:, i] ** power,
            factor_expression=made.factor_expression
            * made.expressions[i] ** sympy.Rational(str(power)),
            variables=np.delete(made.variables, i, axis=1),
            expressions=made.expressions[:i] + made.expressions[i + 1 :],
        )
