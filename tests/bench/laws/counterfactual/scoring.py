"""Was a counterfactual law recovered, and does a formula predict beyond the samples?

*Predicts*: its error over ranges twice as wide, relative to the spread there, is below
max(1e-4, noise/2). *Recovered*: numbers exist with which the formula is the law, and those that it
has are within one percent of them. Both are looked at over ranges twice as wide, without noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy
from numpy.typing import NDArray
from scipy.optimize import least_squares

from discover.laws.regression.formula_constants import representable
from tests.bench.laws.counterfactual.contract import CounterfactualLaw

Array = NDArray[np.float64]
SAME = 1e-6  # relative error over wider ranges at which a formula is the law
CLOSE = 0.01  # relative difference of a fitted number from the one that makes it the law
_LARGEST = 1e6  # of a residual over the spread
_STATES = 1000


@dataclass(frozen=True, kw_only=True)
class Score:
    """Of one formula: its relative error over wider ranges; how far its numbers must be moved
    (relative) to make it the law, infinite where none do."""

    error: float
    moved: float

    @property
    def recovered(self) -> bool:
        """Whether the law was recovered symbolically."""
        return self.moved <= CLOSE

    def predicts(self, noise: float) -> bool:
        """Whether the error is below what the noise excuses."""
        return self.error < limit(noise)


def limit(noise: float) -> float:
    """The error over wider ranges that the noise excuses."""
    return max(1e-4, noise / 2)


def score(formula: sympy.Expr | None, law: CounterfactualLaw, seed: int) -> Score:
    """Score a formula in the law's symbols (None: there is none)."""
    if formula is None:
        return Score(error=math.inf, moved=math.inf)
    x, y = _wider(law, seed)
    return Score(error=_error(formula, law.symbols, x, y), moved=_moved(formula, law.symbols, x, y))


def error(formula: sympy.Expr, law: CounterfactualLaw, seed: int) -> float:
    """The relative error alone."""
    return _error(formula, law.symbols, *_wider(law, seed))


def _wider(law: CounterfactualLaw, seed: int) -> tuple[Array, Array]:
    x = law.wider(_STATES, np.random.default_rng([seed, 90210]))
    return x, law(x)


def _error(formula: sympy.Expr, symbols: Sequence[sympy.Symbol], x: Array, y: Array) -> float:
    with np.errstate(all="ignore"):
        found = sympy.lambdify(symbols, formula, ["scipy", "numpy"])(*x.T)
        error = float(np.sqrt(np.mean((np.broadcast_to(found, y.shape) - y) ** 2) / np.var(y)))
    return error if math.isfinite(error) else math.inf


def _moved(formula: sympy.Expr, symbols: Sequence[sympy.Symbol], x: Array, y: Array) -> float:
    """Largest relative change of a number by a fit to the law, if that ends at the law."""
    formula = representable(formula)
    numbers = sorted(formula.atoms(sympy.Float), key=float)
    names = [sympy.Symbol(f"_k{i}", real=True) for i in range(len(numbers))]
    template = formula.xreplace(dict(zip(numbers, names, strict=True)))
    function = sympy.lambdify([*symbols, *names], template, ["scipy", "numpy"])
    start = np.array([float(n) for n in numbers])
    size = float(np.std(y))

    def residual(values: Array) -> Array:
        with np.errstate(all="ignore"):
            r = (np.broadcast_to(function(*x.T, *values), y.shape) - y) / size
        return np.where(np.isfinite(r), np.clip(r, -_LARGEST, _LARGEST), _LARGEST)

    values = start
    if len(start):
        found = least_squares(
            residual, start, x_scale=np.abs(start) + 1e-6, xtol=1e-15, ftol=1e-15, gtol=1e-15,
            max_nfev=200,
        )  # fmt: skip
        values = found.x
    if not float(np.sqrt(np.mean(residual(values) ** 2))) < SAME:
        return math.inf
    return float(np.max(np.abs(values - start) / (np.abs(values) + 1e-12), initial=0.0))


def wilson(good: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share (1927), 95 %."""
    if count == 0:
        return 0.0, 1.0
    share, w = good / count, z * z / count
    middle = (share + w / 2) / (1 + w)
    half = z / (1 + w) * math.sqrt(share * (1 - share) / count + w / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)
