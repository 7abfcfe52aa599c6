"""Short expressions of a few variables without units: what formulas are put together from.

Products of powers; sums and differences of two; the common functions of these; and products of one
of each. They are listed by length up to a number that a search over pairs can afford, and two that
say the same on the samples are listed once. Numbers are
1, 2 and 1/2, and a grid of them in waves and exponentials of the simplest: fits start there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, partial

import numpy as np
import sympy

from discover.judgement.thresholds import threshold, whole

_DEGREES = (  # by variables
    whole("regression.degrees_1"),
    whole("regression.degrees_2"),
    whole("regression.degrees_3"),
    whole("regression.degrees_4"),
)
_LARGEST = threshold("regression.largest_value")
_SMALL, _LONGEST = whole("regression.inner_symbols"), whole("regression.longest")
_SCANNED = whole("regression.scanned_arguments")
_WAVES, _PHASE = whole("regression.waves"), threshold("regression.wave_phase")
_RATES = whole("regression.rates")
_POLYNOMIAL = whole("regression.polynomial_library")

_FUNCTIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[..., sympy.Expr]]] = {
    "exp": (np.exp, sympy.exp),
    "sin": (np.sin, sympy.sin),
    "cos": (np.cos, sympy.cos),
    "tanh": (np.tanh, sympy.tanh),
    "log": (np.log, sympy.log),
}


@dataclass(frozen=True, eq=False)
class Expression:
    """An expression as a tree: head and parts, its symbols, its values (n,) on the samples.

    head   "product" (parts: powers), "scale" (number, block), "sum" (block, sign, block or 1),
           "times" (block, block), "power" (block, power), or the name of a function (block)
    """

    head: str
    parts: tuple
    cost: int
    value: Callable[[], np.ndarray] = field(repr=False)

    @cached_property
    def values(self) -> np.ndarray:
        """NaN or infinite where the expression is."""
        with np.errstate(all="ignore"):
            return self.value()

    @property
    def scanned(self) -> bool:
        """Whether it has a number from a grid inside, which a fit has yet to move."""
        return any(
            p.scanned if isinstance(p, Expression) else isinstance(p, float) for p in self.parts
        )

    def expression(self, names: Sequence[sympy.Expr], free: bool = False) -> sympy.Expr:
        """In SymPy; `free`: with numbers inside functions and sums that a fit may move."""
        one = sympy.Float(1, 17) if free else sympy.Integer(1)
        match self.head, self.parts:
            case "product", powers:
                return sympy.Mul(
                    *(n ** sympy.Rational(str(p)) for n, p in zip(names, powers, strict=True))
                )
            case "scale", (number, inner):
                exact = isinstance(number, Fraction)
                factor = one * sympy.Rational(str(number)) if exact else sympy.Float(number, 17)
                return factor * inner.expression(names, free)
            case "sum", (first, sign, second):
                left = first.expression(names, free)
                if isinstance(second, Expression):
                    return left + sign * one * second.expression(names, free)
                return sign * one + left
            case "times", (first, second):
                return first.expression(names, free) * second.expression(names, free)
            case "power", (inner, power):
                return inner.expression(names, free) ** sympy.Rational(str(power))
            case function, (inner,):
                return _FUNCTIONS[function][1](one * inner.expression(names, free))
        raise AssertionError(self.head)


@dataclass(frozen=True)
class ExpressionLibrary:
    """Expressions to be added up, expressions whose powers are to be multiplied, the variables
    themselves, and the terms of a polynomial."""

    summands: list[Expression]
    factors: list[Expression]
    leaves: list[Expression]
    polynomial: list[Expression]


def expression_library(variables: np.ndarray, most: int) -> ExpressionLibrary:
    """At most `most` expressions of variables (n, k) of each kind, the shortest first."""
    for longest in range(4, _LONGEST + 1):
        summands, factors = _listed(variables, longest)
        if len(summands) > 1.5 * most:
            break
    return ExpressionLibrary(
        summands=_distinct(summands, most, lambda x: x),
        factors=_distinct(factors, most, lambda x: np.log(np.abs(x))),
        leaves=[_leaf(variables, i) for i in range(variables.shape[1])],
        polynomial=_polynomial(variables),
    )


def _listed(variables: np.ndarray, longest: int) -> tuple[list[Expression], list[Expression]]:
    """All expressions of up to `longest` symbols: to be added up, and to be multiplied."""
    k = variables.shape[1]

    def short(expressions: Iterable[Expression], symbols: int = longest) -> list[Expression]:
        return [b for b in expressions if b.cost <= symbols]

    def products(first: Sequence[Expression], second: Sequence[Expression]) -> list[Expression]:
        return [_times(a, b) for a in first for b in second if a.cost + b.cost < longest]

    simple = short(sorted(_products(variables, k), key=lambda b: b.cost))
    small = short((m for m in simple if _whole(m)), _SMALL)
    leaves = short(small, 1)
    terms = short(small, 3 if k <= 3 else 1)
    between = short(_sum(a, s, b) for a, b in itertools.combinations(terms, 2) for s in (1, -1))
    gaps = short(between, 3)
    arguments = [*small, *(between if k <= 2 else gaps), *products(leaves, gaps)]
    arguments += [_scaled(a, s) for a in arguments if a.cost <= 5 for s in ("1/2", "2")]
    functions = short(f for a in arguments if a.cost < longest for f in _functions(a))
    functions += short(f for a in small[: _SCANNED // k] for f in _scanned(a))
    plain = short(functions, 3)
    mixed = products(leaves, plain)
    ones = short(_sum(m, s, 1) for m in [*small, *functions, *mixed] for s in (1, -1))
    ones += short(_sum(_scaled(m, -1), 1, 1) for m in small)
    ones += short(_sum(f, s, m) for f in plain for m in leaves for s in (1, -1))
    doubled = [_scaled(m, s) for m in leaves for s in ("2", "1/2")]
    ones += short(_sum(m, s, 1) for m in doubled for s in (1, -1))
    sums = [*ones, *between]
    powers = (Fraction(1, 2), -1, Fraction(-1, 2), -2, 2)
    inside = short(sums, longest - 1)
    roots = short([_power(b, p) for b in inside for p in powers])
    roots += [_function("log", b) for b in inside]
    bent = [*functions, *(_power(f, 2) for f in short(functions, longest - 1)), *sums, *roots]
    made = [*simple, *bent, *products(short(simple, _SMALL), bent)]
    made += [_times(f, g) for f, g in itertools.combinations(plain, 2)]
    made += products(plain, roots)
    return short(made), [*functions, *sums]


def _whole(entry: Expression) -> bool:
    return all(p == int(p) for p in entry.parts)


def _products(variables: np.ndarray, k: int) -> Iterable[Expression]:
    """Π variable^power, of limited degree; roots of positive variables only."""
    degree = _DEGREES[min(k, len(_DEGREES)) - 1]
    half = Fraction(1, 2)
    positive = [bool((x > 0).all()) for x in variables.T]
    whole = [Fraction(p) for p in range(-degree, degree + 1)]
    for chosen in range(1, min(k, degree) + 1):
        for which in itertools.combinations(range(k), chosen):
            options = [
                [p for p in whole if p]
                + ([half, -half, 3 * half, -3 * half] if positive[i] else [])
                for i in which
            ]
            for powers in itertools.product(*options):
                if sum(abs(p) for p in powers) > degree:
                    continue
                full, cost = [Fraction(0)] * k, chosen - 1
                for i, p in zip(which, powers, strict=True):
                    full[i] = p
                    cost += 1 + (p not in (1, -1)) + (p < 0) + (abs(p) > 2) + (p != int(p))
                yield Expression("product", tuple(full), cost, partial(_product, variables, full))


def _product(variables: np.ndarray, powers: Sequence[Fraction]) -> np.ndarray:
    out = np.ones(len(variables))
    for column, p in zip(variables.T, powers, strict=True):
        out = out * _raised(column, p) if p else out
    return out


def _leaf(variables: np.ndarray, i: int) -> Expression:
    powers = [Fraction(int(i == k)) for k in range(variables.shape[1])]
    return Expression("product", tuple(powers), 1, lambda: variables[:, i])


def _polynomial(variables: np.ndarray) -> list[Expression]:
    """Products of whole powers of the highest degree for which there are few enough."""
    n, k = variables.shape
    degree = next(
        (d for d in (6, 5, 4, 3, 2) if math.comb(k + d, d) <= min(_POLYNOMIAL, n // 3)), 1
    )
    out = []
    for powers in itertools.product(range(degree + 1), repeat=k):
        if 0 < sum(powers) <= degree:
            full = [Fraction(p) for p in powers]
            cost = sum(bool(p) + (p > 1) for p in powers)
            out.append(Expression("product", tuple(full), cost, partial(_product, variables, full)))
    return out


def _raised(x: np.ndarray, p: Fraction) -> np.ndarray:
    return x ** int(p) if p == int(p) else np.where(x > 0, x, np.nan) ** float(p)


def _function(name: str, inner: Expression) -> Expression:
    return Expression(name, (inner,), inner.cost + 1, lambda: _FUNCTIONS[name][0](inner.values))


def _functions(inner: Expression) -> list[Expression]:
    out = [_function(name, inner) for name in ("exp", "sin", "cos")]
    out.append(_function("exp", _scaled(inner, -1)))
    if inner.head != "scale":
        out += [_function("tanh", inner), _function("log", inner)]
    return out


def _scanned(inner: Expression) -> list[Expression]:
    """Waves and exponentials of `inner` with numbers before it, close enough for a fit to start."""
    x = inner.values
    if not np.isfinite(x).all() or np.ptp(x) == 0:
        return []
    step = _PHASE / float(np.ptp(x))
    waves = [k * step for k in range(1, _WAVES + 1)]
    size = float(np.median(np.abs(x))) or float(np.abs(x).max())
    rates = [float(s * r) / size for r in np.geomspace(0.1, 12.0, _RATES) for s in (1, -1)]
    out = [_function(name, _scaled(inner, c)) for c in waves for name in ("sin", "cos")]
    out += [_function("exp", _scaled(inner, c)) for c in rates]
    return out + [_function("tanh", _scaled(inner, c)) for c in rates[::2]]


def _scaled(inner: Expression, factor: str | int | float) -> Expression:
    number = factor if isinstance(factor, float) else Fraction(factor)
    cost = inner.cost + (3 if isinstance(factor, float) else 1)
    return Expression("scale", (number, inner), cost, lambda: float(number) * inner.values)


def _sum(first: Expression, sign: int, second: Expression | int) -> Expression:
    if isinstance(second, int):
        return Expression("sum", (first, sign, 1), first.cost + 2, lambda: first.values + sign)
    cost = first.cost + second.cost + 1
    return Expression(
        "sum", (first, sign, second), cost, lambda: first.values + sign * second.values
    )


def _times(first: Expression, second: Expression) -> Expression:
    cost = first.cost + second.cost + 1
    return Expression("times", (first, second), cost, lambda: first.values * second.values)


def _power(inner: Expression, power: Fraction | int) -> Expression:
    p = Fraction(power)
    cost = inner.cost + 1 + (p != int(p))
    return Expression("power", (inner, p), cost, lambda: _raised(inner.values, p))


def _distinct(
    made: Sequence[Expression], most: int, seen_as: Callable[[np.ndarray], np.ndarray]
) -> list[Expression]:
    """The shortest of those that differ in more than an offset and a factor, in order of cost."""
    kept: list[Expression] = []
    seen: set[bytes] = set()
    for entry in sorted(made, key=lambda b: b.cost):
        with np.errstate(all="ignore"):
            key = _key(seen_as(entry.values))
        if key is not None and key not in seen:
            seen.add(key)
            kept.append(entry)
            if len(kept) == most:
                break
    return kept


def _key(values: np.ndarray) -> bytes | None:
    """What is the same for all offsets and factors; None for what cannot be used."""
    if not np.isfinite(values).all() or np.abs(values).max() > _LARGEST:
        return None
    away = values - values.mean()
    size = float(np.sqrt(away @ away))
    if size <= 1e-9 * (float(np.abs(values).max()) * len(values) ** 0.5 + 1e-300):
        return None
    away = away / size
    sign = 1.0 if away[np.argmax(np.abs(away) > 1e-3 / len(away) ** 0.5)] > 0 else -1.0
    return np.round(sign * away[:12], 7).tobytes()
