"""A formula of several variables from samples: fewer variables first, evolution for what is left.

Units take out what they can, differences and sums what they can, powers of single variables what
they can. What remains is searched as it is, squared, inverted and as a logarithm: by exhaustion in
one variable, by an evolutionary engine in several. What is found is polished in double precision,
its numbers made round where nothing is lost, and kept as a front.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import sympy
from scipy.optimize import least_squares

from discover.laws.dimensions import Reduction, Unit, reductions
from discover.laws.engines import ENGINES, Engine, Front, Operon, Sparse
from discover.laws.symmetries import Reduced, divided, joined, predictability

SMALL = Operon(generations=40, population=300, length=20)  # about a second
EXACT = 1e-7  # relative error at which nothing more is looked for
_REDUCTIONS = 6  # that are compared by how well the rest can be predicted
_POLISHED = 3  # members of an engine's front that are refitted
_FINALISTS = 4  # formulas whose numbers are made round
_ROUNDS = 2  # of evolution, where the first finds nothing exact
_CONSTANTS = 9
_FEW = 300  # samples that are searched with; all are polished with
_WORSE = 1.02  # what a round number may cost in error


@dataclass(frozen=True, kw_only=True)
class _View:
    """The target as it is searched: forward(y), and back from a formula of it."""

    name: str
    forward: Callable[[np.ndarray], np.ndarray]
    back: Callable[[sympy.Expr], sympy.Expr]
    positive: bool = False


VIEWS = (
    _View(name="as it is", forward=lambda y: y, back=lambda f: f),
    _View(name="square", forward=np.square, back=sympy.sqrt, positive=True),
    _View(name="reciprocal", forward=lambda y: 1 / y, back=lambda f: 1 / f),
    _View(name="logarithm", forward=np.log, back=sympy.exp, positive=True),
)


def find_formula(
    x: np.ndarray,
    y: np.ndarray,
    symbols: Sequence[sympy.Symbol],
    *,
    units: Sequence[Unit] | None = None,
    target: Unit | None = None,
    seed: int = 0,
    engine: Engine | None = None,
) -> Front:
    """The front of y (n,) as formulas of x (n, d).

    units, target  exponents of base units of every variable and of y, where they are known
    engine         for what is left of several variables [Operon where it is installed]
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    ENGINES["sparse"]().check(x[:, :1], y, symbols[:1])
    options = reduce(x, y, symbols, units, target)
    found: list[tuple[sympy.Expr, float]] = []
    scale = float(np.sqrt(np.mean(y**2))) or 1.0
    rows = np.linspace(0, len(y) - 1, min(len(y), _FEW)).round().astype(int)
    for again, reduced in enumerate((options * _ROUNDS)[:_ROUNDS]):
        rest = y / reduced.factor
        for view in (v for v in VIEWS if not (v.positive and (rest <= 0).any())):
            for formula in _searched(reduced, view.forward(rest), rows, seed + again, engine):
                whole = reduced.factor_expression * view.back(formula)
                found.append(_refitted(whole, x[rows], y[rows], symbols))
            if found and min(error for _, error in found) < EXACT * scale:
                break
        else:
            continue
        break
    found = [f for f in found if math.isfinite(f[1])]
    found.sort(key=lambda f: _length(f[0], f[1] / scale))
    polished = [polish(f, x, y, symbols) for f, _ in found[:_FINALISTS]]
    return Front.of([*(p for p in polished if p is not None), *found[_FINALISTS:]])


def _length(formula: sympy.Expr, error: float) -> float:
    symbols = sum(1 for _ in sympy.preorder_traversal(formula))
    return 200 * math.log(max(error, 1e-9)) + 3 * symbols


def reduce(
    x: np.ndarray,
    y: np.ndarray,
    symbols: Sequence[sympy.Symbol],
    units: Sequence[Unit] | None,
    target: Unit | None,
) -> list[Reduced]:
    """What is left to be searched once powers, sums and units have been taken out: best first."""
    d = x.shape[1]
    given = [tuple(u) for u in units] if units is not None else [()] * d
    # Powers of single variables first: they are the surest, and leave fewer for all that follows.
    start = Reduced(
        factor=np.ones(len(y)),
        factor_expression=sympy.Integer(1),
        variables=x,
        expressions=tuple(symbols),
    )
    plain = divided(start, y)
    own = [_unit_of((0,) * len(given[0]), 1 / e, symbols, given) for e in plain.expressions]
    alike: dict[Unit, list[int]] = {}
    for position, unit in enumerate(own):
        alike.setdefault(unit, []).append(position)
    rest = y / plain.factor
    variables, names, origin = joined(
        plain.variables, rest, plain.expressions, list(alike.values())
    )
    k = len(names)
    options = [Reduction(carrier=np.zeros(k), groups=np.eye(k))]
    if units is not None and target is not None and k:
        left = _unit_of(target, plain.factor_expression, symbols, given)
        options = reductions([own[i] for i in origin], left)[:_REDUCTIONS] or options
    made: list[tuple[float, Reduced]] = []
    for option in options:
        carrier, groups = option.values(variables)
        front, inner = option.expressions(names)
        one = Reduced(
            factor=plain.factor * carrier,
            factor_expression=plain.factor_expression * front,
            variables=groups,
            expressions=tuple(inner),
        )
        # Simpler products first: one that is longer must predict clearly better.
        error = float(predictability(groups, y / one.factor)[0])
        made.append((error * 1.1 ** len(made), one))
    made.sort(key=lambda m: m[0])
    return [divided(one, y) for _, one in made[:_ROUNDS]]


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


def _searched(
    reduced: Reduced, y: np.ndarray, rows: np.ndarray, seed: int, engine: Engine | None
) -> list[sympy.Expr]:
    """Formulas of what is left, in the original symbols, from short to long."""
    k = reduced.variables.shape[1]
    if not np.isfinite(y).all():
        return []
    if k == 0:
        return [sympy.Float(float(y.mean()))]
    own = sympy.symbols(f"_z1:{k + 1}", real=True)
    if k == 1:
        front = Sparse().fit(reduced.variables[rows], y[rows], own, seed)
    else:
        chosen = engine or (SMALL if Operon.available() else None)
        if chosen is None:
            return []
        front = chosen.fit(reduced.variables[rows], y[rows], own, seed)
    spread = float(y.std()) or 1.0
    best = sorted(front.members, key=lambda m: _length(m.expression, m.error / spread))
    inner = dict(zip(own, reduced.expressions, strict=True))
    return [m.expression.xreplace(inner) for m in best[:_POLISHED]]


def polish(
    formula: sympy.Expr, x: np.ndarray, y: np.ndarray, symbols: Sequence[sympy.Symbol]
) -> tuple[sympy.Expr, float] | None:
    """The formula with its numbers fitted in double precision and made round where that is free."""
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
            if new <= max(_WORSE * error, floor):
                values, held, error = fresh, trial, max(min(new, error), min(new, floor))
                break
    out = template.filled(values, held)
    return None if out.has(sympy.zoo, sympy.nan, sympy.oo) else (out, error)


def _refitted(
    formula: sympy.Expr, x: np.ndarray, y: np.ndarray, symbols: Sequence[sympy.Symbol]
) -> tuple[sympy.Expr, float]:
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
        numbers = sorted(formula.atoms(sympy.Float), key=float)
        if len(numbers) > _CONSTANTS or formula.has(sympy.zoo, sympy.nan):
            return None
        names = tuple(sympy.symbols(f"_k1:{len(numbers) + 1}", real=True)) if numbers else ()
        template = formula.xreplace(dict(zip(numbers, names, strict=True)))
        function = sympy.lambdify([*symbols, *names], template, "numpy")
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
            return np.where(np.isfinite(r), r, 1e3)

        if free:
            first = values[free]
            found = least_squares(residual, first, x_scale=np.abs(first) + 1e-3, max_nfev=20)
            values[free] = found.x
        return values, float(np.sqrt(np.mean(residual(values[free]) ** 2))) * scale

    def filled(self, values: np.ndarray, held: Mapping[int, sympy.Rational]) -> sympy.Expr:
        """The formula with its numbers in it."""
        numbers = [held.get(i, sympy.Float(float(v), 17)) for i, v in enumerate(values)]
        return self.formula.xreplace(dict(zip(self.names, numbers, strict=True)))


def _round(value: float) -> list[sympy.Rational]:
    """Round numbers close to a value, the roundest first."""
    out: list[sympy.Rational] = [sympy.Integer(0)] if abs(value) < 1e-2 else []
    for denominator in (1, 2, 3, 4, 6, 8):
        candidate = sympy.Rational(round(value * denominator), denominator)
        if candidate != 0 and abs(float(candidate) / value - 1) < 0.02:
            out.append(candidate)
    return list(dict.fromkeys(out))
