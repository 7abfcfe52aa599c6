"""Fewer variables: differences, sums and powers that a function of several really depends on.

A smooth interpolation is asked how well it predicts samples that it was not given. If a function
depends on a - b only, it is predicted better from a - b than from a and b; if a power of a variable
stands before everything else, better once that power is divided out.

What is left of a formula's variables once powers, sums and units have been taken out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import sympy

from discover.judgement.thresholds import threshold, whole
from discover.laws.regression.dimensional_analysis import Reduction, Unit, reductions

_SAMPLES = whole("regression.predicted_samples")
_PAIRED = whole("regression.joined_variables")
_BETTER, _PREDICTED = threshold("regression.better"), threshold("regression.predicted")
_REDUCTIONS = whole("regression.compared_reductions")
_KEPT = whole("regression.kept_reductions")
_UNITS_ALONE = whole("regression.units_alone")
_APART = whole("regression.few_variables")
_POWERS = (1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 0.5, -0.5, 1.5, -1.5)
_SCALES = (0.8, 2.0, 5.0)
_NUGGETS = (1e-9, 1e-5, 1e-3)


@dataclass(frozen=True, kw_only=True)
class ReducedProblem:
    """y = factor(x) · f(variables): values and expressions of each."""

    factor: np.ndarray
    factor_expression: sympy.Expr
    variables: np.ndarray  # (n, k)
    expressions: tuple[sympy.Expr, ...]


def predictability(
    x: np.ndarray, y: np.ndarray, factors: Sequence[np.ndarray] | None = None
) -> np.ndarray:
    """Leave-one-out error of a Gaussian process for y / factor, each multiplied back [one factor].

    In terms of y itself, over its spread, so that factors can be compared; the best of few kernels.
    A target of one sign is predicted as a logarithm.
    """
    rows = np.linspace(0, len(x) - 1, min(len(x), _SAMPLES)).round().astype(int)
    x, y = x[rows], y[rows]
    scales = np.stack([f[rows] for f in factors] if factors is not None else [np.ones(len(y))], 1)
    with np.errstate(all="ignore"):
        if (y > 0).all() or (y < 0).all():
            Y = np.log(np.abs(y[:, None] / scales))
            spread, weight = float(np.log(np.abs(y)).std()), np.ones_like(scales)
        else:
            Y, spread, weight = y[:, None] / scales, float(y.std()), np.abs(scales)
    best = np.full(Y.shape[1], np.inf)
    usable = np.isfinite(Y).all(0) & (np.isfinite(x).all() and spread > 0)
    Y = np.where(usable, Y, 0.0)
    Y = Y - Y.mean(0)
    if x.shape[1] == 0:
        error = np.sqrt(np.mean((Y * weight) ** 2, 0)) / (spread or 1.0)
        return np.where(usable, np.where(error < 1e-9, 0.0, error), best)
    if not usable.any():
        return best
    z = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1.0)
    distance = ((z[:, None] - z[None]) ** 2).sum(-1) / x.shape[1]
    for scale in _SCALES:
        values, vectors = np.linalg.eigh(np.exp(-0.5 * distance / scale**2))
        along = vectors.T @ Y
        for nugget in _NUGGETS:
            inverse = 1 / (np.maximum(values, 0.0) + nugget)
            left = (vectors @ (inverse[:, None] * along)) / ((vectors**2) @ inverse)[:, None]
            error = np.sqrt(np.mean((left * weight) ** 2, axis=0)) / spread
            best = np.where(usable, np.minimum(best, error), best)
    return best


def sums_and_differences(
    x: np.ndarray, y: np.ndarray, symbols: Sequence[sympy.Expr], same: Sequence[Sequence[int]]
) -> tuple[np.ndarray, list[sympy.Expr], list[int]]:
    """Pairs replaced by their difference or sum where that predicts better.

    `same` are groups of variables that may be added, those of one unit. Returns the variables
    (n, k), their expressions, and for each the index of the first variable that it came from.
    """
    columns, names, origin = list(x.T), list(symbols), list(range(x.shape[1]))
    if len(columns) < 2:
        return x, names, origin
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
                    if error < min(_BETTER * now, _PREDICTED) and (best is None or error < best[0]):
                        best = error, i, j, sign
        if best is None:
            return np.stack(columns, -1), names, origin
        now, i, j, sign = best
        columns[i] = columns[i] + sign * columns[j]
        names[i] = names[i] + sign * names[j]
        for held in (columns, names, origin):
            del held[j]


def without_powers(made: ReducedProblem, y: np.ndarray, join: bool = True) -> ReducedProblem:
    """Powers of single variables divided out where the rest is then predicted better without.

    The variable itself goes, or, where variables may `join`, enters in quotients with (or products
    by) another only.
    """
    while True:
        now = float(predictability(made.variables, y, [made.factor])[0])
        best: tuple[float, ReducedProblem] | None = None
        for rest, i in _without(made, join):
            column = made.variables[:, i]
            powers = [p for p in (0, *_POWERS) if p == int(p) or (column > 0).all()]
            with np.errstate(all="ignore"):
                factors = [made.factor * column**p for p in powers]
            errors = predictability(rest.variables, y, factors)
            order = int(np.argmin(errors))
            if errors[order] < min(_BETTER * now, _PREDICTED) and (
                best is None or errors[order] < best[0]
            ):
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


def _without(made: ReducedProblem, join: bool) -> list[tuple[ReducedProblem, int]]:
    """The same with one variable fewer, and which: left out, or joined to another."""
    x, names = made.variables, made.expressions
    out = []
    for i in range(x.shape[1]):
        others = [k for k in range(x.shape[1]) if k != i]
        fewer = replace(made, variables=x[:, others], expressions=tuple(names[k] for k in others))
        out.append((fewer, i))
        if not join or len(others) >= _PAIRED or not (x[:, i] > 0).all():
            continue
        for position, j in enumerate(others):
            for power in (-1, 1):
                columns, words = fewer.variables.copy(), list(fewer.expressions)
                columns[:, position] = x[:, j] * x[:, i] ** power
                words[position] = names[j] * names[i] ** power
                out.append((replace(made, variables=columns, expressions=tuple(words)), i))
    return out


def reduce(
    x: np.ndarray,
    y: np.ndarray,
    symbols: Sequence[sympy.Symbol],
    units: Sequence[Unit] | None,
    target: Unit | None,
) -> list[ReducedProblem]:
    """Ways of writing y (n,) by fewer variables than x (n, d) has, the best first."""
    # Powers of single variables first: they are the surest, and leave fewer for all that follows.
    start = ReducedProblem(
        factor=np.ones(len(y)),
        factor_expression=sympy.Integer(1),
        variables=x,
        expressions=tuple(symbols),
    )
    given = [tuple(u) for u in units] if units is not None else [()] * x.shape[1]
    plain, origin, own = _joined(without_powers(start, y), y, symbols, given)
    k = len(plain.expressions)
    options = [Reduction(prefactor=np.zeros(k), groups=np.eye(k))]
    if units is not None and target is not None and k:
        left = _unit_of(target, plain.factor_expression, symbols, given)
        options = reductions([own[i] for i in origin], left)[:_REDUCTIONS] or options
    made: list[tuple[float, ReducedProblem]] = []
    for option in options:
        one = _grouped(plain, option)
        # Simpler products first: one that is longer must predict clearly better.
        error = float(predictability(one.variables, y, [one.factor])[0])
        made.append((error * 1.1 ** len(made), one))
    made.sort(key=lambda m: m[0])
    alternatives = []
    for _, one in made[:_KEPT]:
        # What has no units may be added; few variables show more than many did.
        fewer, *_ = _joined(without_powers(one, y), y, symbols, [()] * x.shape[1])
        alternatives.append(without_powers(fewer, y))
    # Where a division misleads: units alone, if they leave few variables.
    if units is not None and target is not None:
        alone = [_grouped(start, option) for option in reductions(given, target)[:1]]
        alternatives += [one for one in alone if one.variables.shape[1] <= _UNITS_ALONE]
    # Where a join misleads, as where waves are predicted badly: the variables themselves, if few.
    if any(e not in symbols for one in alternatives for e in one.expressions):
        apart = without_powers(start, y, join=False)
        if len(apart.expressions) <= _APART:
            alternatives.append(apart)
    return list({reduced.expressions: reduced for reduced in reversed(alternatives)}.values())[::-1]


def _joined(
    made: ReducedProblem, y: np.ndarray, symbols: Sequence[sympy.Symbol], given: Sequence[Unit]
) -> tuple[ReducedProblem, list[int], list[Unit]]:
    """Sums and differences of variables of one unit; whence each comes, and all units before."""
    own = [_unit_of((0,) * len(given[0]), 1 / e, symbols, given) for e in made.expressions]
    alike: dict[Unit, list[int]] = {}
    for position, unit in enumerate(own):
        alike.setdefault(unit, []).append(position)
    variables, names, origin = sums_and_differences(
        made.variables, y / made.factor, made.expressions, list(alike.values())
    )
    fewer = ReducedProblem(
        factor=made.factor,
        factor_expression=made.factor_expression,
        variables=variables,
        expressions=tuple(names),
    )
    return fewer, origin, own


def _grouped(made: ReducedProblem, option: Reduction) -> ReducedProblem:
    prefactor, groups = option.values(made.variables)
    front, inner = option.expressions(made.expressions)
    return ReducedProblem(
        factor=made.factor * prefactor,
        factor_expression=made.factor_expression * front,
        variables=groups,
        expressions=tuple(inner),
    )


def _unit_of(
    target: Unit, factor: sympy.Expr, symbols: Sequence[sympy.Symbol], units: Sequence[Unit]
) -> Unit:
    """The target's unit over that of a product of powers of the variables."""
    powers = factor.as_powers_dict()
    taken = [Fraction(str(powers.get(s, 0))) for s in symbols]
    pairs = list(zip(taken, units, strict=True))
    return tuple(
        Fraction(t) - sum((p * Fraction(u[i]) for p, u in pairs), Fraction())
        for i, t in enumerate(target)
    )
