"""Formulas whose numbers are fitted in double precision, and made round where nothing is lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import sympy

from discover.judgement.thresholds import threshold, whole
from discover.laws.contract import ALPHABET_SIZE, EFFECTIVE_SAMPLES
from discover.laws.regression.engines.contract import symbols_used

_WHOLE = 2.0**53  # beyond it every double is whole: to be close to a whole number says nothing
_LARGEST = 1e100  # of a residual, relative
_CONSTANTS = whole("regression.constants")
_WORSE = threshold("regression.round_cost")
_MEANT = threshold("regression.meant")
_CLOSE = threshold("regression.round_difference")
_STEPS = whole("regression.fit_steps")


def optimise_constants(
    formula: sympy.Expr, x: np.ndarray, y: np.ndarray, symbols: Sequence[sympy.Symbol]
) -> tuple[sympy.Expr, float] | None:
    """The formula with its numbers fitted and made round where that is free; its error."""
    template = _Template.of(formula, symbols)
    if template is None:
        return None
    values, error = template.fit(x, y)
    if not math.isfinite(error):
        return None
    floor = 1e-9 * float(np.sqrt(np.mean(y**2)))
    held: dict[int, sympy.Rational] = {}
    for i in range(len(values)):
        for rounded in _round(float(values[i])):
            trial = {**held, i: rounded}
            fresh, new = template.fit(x, y, values, trial)
            meant = abs(float(rounded) - float(values[i])) <= _MEANT * abs(float(values[i]))
            if new <= max(_WORSE * error, floor) and (
                meant
                or _saved(rounded)
                > EFFECTIVE_SAMPLES * math.log(max(new, floor) / max(error, floor))
            ):
                values, held, error = fresh, trial, max(min(new, error), min(new, floor))
                break
    out = template.filled(values, held)
    return None if out.has(sympy.zoo, sympy.nan, sympy.oo) else (out, error)


def _saved(number: sympy.Rational) -> float:
    """Nats by which a round number is shorter than a fitted one."""
    return (
        (2 - symbols_used(number)) * math.log(ALPHABET_SIZE)
        if number
        else 3 * math.log(ALPHABET_SIZE)
    )


def refitted(
    formula: sympy.Expr, x: np.ndarray, y: np.ndarray, symbols: Sequence[sympy.Symbol]
) -> tuple[sympy.Expr, float]:
    """The formula with its numbers fitted, and its error; infinite where it has too many."""
    template = _Template.of(formula, symbols)
    if template is None:
        return formula, math.inf
    values, error = template.fit(x, y)
    return template.filled(values, {}), error


@dataclass(frozen=True, kw_only=True)
class _Template:
    """A formula with names for its numbers, and how to evaluate it."""

    formula: sympy.Expr
    names: tuple[sympy.Symbol, ...]
    start: np.ndarray
    function: Callable

    @classmethod
    def of(cls, formula: sympy.Expr, symbols: Sequence[sympy.Symbol]) -> _Template | None:
        formula = representable(formula)
        numbers = sorted(formula.atoms(sympy.Float), key=float)
        if len(numbers) > _CONSTANTS or formula.has(sympy.zoo, sympy.nan):
            return None
        names = tuple(sympy.symbols(f"_k1:{len(numbers) + 1}", real=True)) if numbers else ()
        template = formula.xreplace(dict(zip(numbers, names, strict=True)))
        function = sympy.lambdify([*symbols, *names], template, ["scipy", "numpy"])
        start = np.array([float(n) for n in numbers])
        return cls(formula=template, names=names, start=start, function=function)

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        start: np.ndarray | None = None,
        held: Mapping[int, sympy.Rational] | None = None,
    ) -> tuple[np.ndarray, float]:
        """Numbers (those of `held` as they are) and the root mean square error."""
        values = (self.start if start is None else start).copy()
        for i, number in (held or {}).items():
            values[i] = float(number)
        free = [i for i in range(len(values)) if i not in (held or {})]
        scale = float(np.sqrt(np.mean(y**2))) or 1.0
        columns = list(x.T)

        def residual(some: np.ndarray) -> np.ndarray:
            full = values.copy()
            full[free] = some
            with np.errstate(all="ignore"):
                r = (np.broadcast_to(self.function(*columns, *full), y.shape) - y) / scale
            # Squares of what is larger would overflow.
            return np.where(np.isfinite(r), np.clip(r, -_LARGEST, _LARGEST), 1e3)

        if free:
            from scipy.optimize import least_squares  # imported late: half a second

            first = values[free]
            found = least_squares(residual, first, x_scale=np.abs(first) + 1e-3, max_nfev=_STEPS)
            values[free] = found.x
        return values, float(np.sqrt(np.mean(residual(values[free]) ** 2))) * scale

    def filled(self, values: np.ndarray, held: Mapping[int, sympy.Rational]) -> sympy.Expr:
        """The formula with its numbers in it."""
        numbers = [held.get(i, sympy.Float(float(v), 17)) for i, v in enumerate(values)]
        return representable(self.formula.xreplace(dict(zip(self.names, numbers, strict=True))))


def representable(formula: sympy.Expr) -> sympy.Expr:
    """The formula with whole numbers and fractions that no double holds exactly as floats.

    Arrays cannot take such integers: evaluating the formula would raise OverflowError.
    """
    large = {
        x: sympy.Float(x, 17)
        for x in formula.atoms(sympy.Rational)
        if abs(x.p) > _WHOLE or x.q > _WHOLE
    }
    return formula.xreplace(large) if large else formula


def _round(value: float) -> list[sympy.Rational]:
    """Round numbers close to a value, the roundest first."""
    if abs(value) >= _WHOLE:
        return []
    out: list[sympy.Rational] = [sympy.Integer(0)] if abs(value) < 1e-2 else []
    for denominator in (1, 2, 3, 4, 6, 8):
        candidate = sympy.Rational(round(value * denominator), denominator)
        if candidate != 0 and abs(float(candidate) / value - 1) < _CLOSE:
            out.append(candidate)
    return list(dict.fromkeys(out))
