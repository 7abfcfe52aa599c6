"""Fewer variables: differences, sums and powers that a function of several really depends on.

A smooth interpolation is asked how well it predicts samples that it was not given. If a function
depends on a - b only, it is predicted better from a - b than from a and b; if a power of a variable
stands before everything else, better once that power is divided out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import sympy

_SAMPLES = 150
_PAIRED = 3  # variables up to which quotients and products are looked for
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


def predictability(x: np.ndarray, *targets: np.ndarray) -> np.ndarray:
    """Leave-one-out error of a Gaussian process for each target, over its spread.

    The best of few kernels; targets that are positive are looked at as logarithms.
    """
    rows = np.linspace(0, len(x) - 1, min(len(x), _SAMPLES)).round().astype(int)
    x = x[rows]
    best = np.full(len(targets), np.inf)
    columns = []
    for k, full in enumerate(targets):
        y = np.log(full[rows]) if (full > 0).all() else full[rows]
        spread = float(y.std())
        usable = bool(np.isfinite(y).all()) and bool(np.isfinite(x).all())
        if usable and spread <= 1e-9 * max(1.0, float(np.abs(y).max())):
            best[k], usable = 0.0, False
        columns.append((y - y.mean()) / spread if usable else np.full(len(rows), np.nan))
    Y = np.stack(columns, 1)
    asked = np.isfinite(Y).all(0)
    if x.shape[1] == 0:
        return np.where(asked, 1.0, best)
    if not asked.any():
        return best
    z = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1.0)
    distance = ((z[:, None] - z[None]) ** 2).sum(-1) / x.shape[1]
    for scale in _SCALES:
        values, vectors = np.linalg.eigh(np.exp(-0.5 * distance / scale**2))
        along = vectors.T @ Y[:, asked]
        for nugget in _NUGGETS:
            weight = 1 / (np.maximum(values, 0.0) + nugget)
            error = (vectors @ (weight[:, None] * along)) / ((vectors**2) @ weight)[:, None]
            best[asked] = np.minimum(best[asked], np.sqrt(np.mean(error**2, axis=0)))
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
    now = float(predictability(x, y)[0])
    while True:
        best: tuple[float, int, int, int] | None = None
        for i in range(len(columns)):
            for j in range(i + 1, len(columns)):
                if unit.get(origin[i], -1) != unit.get(origin[j], -2):
                    continue
                for sign in (-1, 1):
                    rest = [c for k, c in enumerate(columns) if k not in (i, j)]
                    trial = np.stack([*rest, columns[i] + sign * columns[j]], -1)
                    error = float(predictability(trial, y)[0])
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
    """Powers of single variables divided out where the rest is then predicted better without.

    The variable itself goes, or enters in quotients with (or products by) another only.
    """
    while True:
        target = y / made.factor
        now = float(predictability(made.variables, target)[0])
        best: tuple[float, Reduced] | None = None
        for rest, i in _without(made):
            column = made.variables[:, i]
            powers = [p for p in (0, *_POWERS) if p == int(p) or (column > 0).all()]
            errors = predictability(rest.variables, *(target / column**p for p in powers))
            order = int(np.argmin(errors))
            if errors[order] < _BETTER * now and (best is None or errors[order] < best[0]):
                power = powers[order]
                taken = made.expressions[i] ** sympy.Rational(str(power))
                factor = made.factor * column**power
                best = (
                    float(errors[order]),
                    replace(rest, factor=factor, factor_expression=made.factor_expression * taken),
                )
        if best is None:
            return made
        made = best[1]


def _without(made: Reduced) -> list[tuple[Reduced, int]]:
    """The same with one variable fewer, and which: left out, or joined to another."""
    x, names = made.variables, made.expressions
    out = []
    for i in range(x.shape[1]):
        others = [k for k in range(x.shape[1]) if k != i]
        fewer = replace(made, variables=x[:, others], expressions=tuple(names[k] for k in others))
        out.append((fewer, i))
        if len(others) >= _PAIRED or not (x[:, i] > 0).all():
            continue
        for position, j in enumerate(others):
            for power in (-1, 1):
                columns, words = fewer.variables.copy(), list(fewer.expressions)
                columns[:, position] = x[:, j] * x[:, i] ** power
                words[position] = names[j] * names[i] ** power
                out.append((replace(made, variables=columns, expressions=tuple(words)), i))
    return out
