"""A formula of several variables from samples: fewer variables first, evolution for what is left.

Units, differences and sums, and powers of single variables take out what they can. What remains is
searched by exhaustion, in several transforms of the target; what that does not explain goes to
basis functions in one variable and to an evolutionary engine in several. Constants are optimised in
double precision and made round where nothing is lost; the result is a Pareto front.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy

from discover.judgement.thresholds import threshold, whole
from discover.laws.contract import ALPHABET_SIZE
from discover.laws.regression.dimensional_analysis import Unit
from discover.laws.regression.engines import ENGINES, Engine, Front, Operon, Sparse
from discover.laws.regression.engines.contract import description, symbols_used
from discover.laws.regression.exhaustive import Candidate, candidates
from discover.laws.regression.formula_constants import optimise_constants, refitted
from discover.laws.regression.target_transforms import TARGET_TRANSFORMS
from discover.laws.regression.variable_reduction import ReducedProblem, predictability, reduce
from discover.threads import one_thread

SECONDS = threshold("regression.seconds")
EXACT = threshold("regression.exact")
NOTHING_LEFT = threshold("regression.nothing_left")
_EVOLVED = whole("regression.evolved_reductions")
_FEW_VARIABLES = whole("regression.few_variables")
_FREED, _REFITTED = whole("regression.freed"), whole("regression.refitted")
_SCANNED = whole("regression.scanned_formulas")
_FRONT_REFITTED = whole("regression.front_refitted")
_LISTED, _FINALISTS = whole("regression.listed"), whole("regression.finalists")
_BEYOND = threshold("regression.beyond")
_MORE = threshold("regression.ending_gain")
_SHORTER = threshold("regression.ending_symbols")
_FLOOR = threshold("regression.evidence_floor")
_FEW = whole("regression.searched_samples")
_SPEED = threshold("regression.evaluations_a_second")
_EVOLUTION = threshold("regression.evolution_share")
_COMPARED = threshold("regression.expressions_a_second")
_MOST_EXPRESSIONS = whole("regression.most_expressions")


@dataclass(frozen=True, kw_only=True)
class FormulaBudget:
    """What fits into a budget: fixed beforehand, so that the same seed gives the same formulas.

    expressions  short ones whose pairs are tried
    evaluations  of an evolutionary engine, in all
    """

    expressions: int
    evaluations: int

    @classmethod
    def within(cls, seconds: float) -> FormulaBudget:
        """For about `seconds` of one processor, as processors were about 2024."""
        return cls(
            expressions=int(min(_MOST_EXPRESSIONS, _COMPARED * seconds**0.5)),
            evaluations=int(_SPEED * _EVOLUTION * seconds),
        )


@one_thread()
def find_formula(
    x: np.ndarray,
    y: np.ndarray,
    symbols: Sequence[sympy.Symbol],
    *,
    units: Sequence[Unit] | None = None,
    target: Unit | None = None,
    seed: int = 0,
    engine: Engine | None = None,
    seconds: float = SECONDS,
) -> Front:
    """The front of y (n,) as formulas of x (n, d).

    units, target  exponents of base units of every variable and of y, where they are known
    engine         for what exhaustion leaves unexplained [Operon where it is installed]
    seconds        of one processor that the search may take, about
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    ENGINES["sparse"]().check(x[:, :1], y, symbols[:1])
    if float(np.ptp(y)) == 0.0:
        return Front.of([(sympy.Float(float(y[0]), 17), 0.0)])
    moving = np.ptp(x, axis=0) > 0
    if not moving.all():
        x, symbols = x[:, moving], [s for s, m in zip(symbols, moving, strict=True) if m]
        units = units if units is None else [u for u, m in zip(units, moving, strict=True) if m]
    budget = FormulaBudget.within(seconds)
    rows = np.linspace(0, len(y) - 1, min(len(y), _FEW)).round().astype(int)
    search = _Search(x[rows], y[rows], tuple(symbols))
    alternatives = reduce(x, y, symbols, units, target)
    for reduced in alternatives:
        search.exhaust(reduced, rows, budget)
        if search.settled(reduced, rows):
            break
    else:
        for number, reduced in enumerate(alternatives[:_EVOLVED]):
            search.evolve(reduced, rows, budget, seed + number, engine)
            if search.exact:
                break
    found = search.sorted()
    optimised = [optimise_constants(f, x, y, symbols) for f, _ in found[:_FINALISTS]]
    return Front.of([*(p for p in optimised if p is not None), *found[_FINALISTS:_LISTED]])


class _Search:
    """The formulas so far, refitted on the few samples."""

    def __init__(self, x: np.ndarray, y: np.ndarray, symbols: tuple[sympy.Symbol, ...]):
        self.x, self.y, self.symbols = x, y, symbols
        self.scale = float(np.sqrt(np.mean(y**2))) or 1.0
        self.found: list[tuple[sympy.Expr, float]] = []
        self.ending: list[tuple[sympy.Expr, float]] = []
        middle = 0.5 * (x.max(0) + x.min(0))
        signs = np.where((x > 0).all(0) | (x < 0).all(0), np.sign(x), 0.0)
        beyond = middle + _BEYOND * (x - middle)
        self.beyond = np.where(signs * beyond < 0, x, beyond)

    def add(self, formula: sympy.Expr) -> None:
        """Refit a formula and keep it."""
        formula, error = refitted(formula, self.x, self.y, self.symbols)
        if math.isfinite(error):
            (self.found if self._holds(formula) else self.ending).append((formula, error))

    def _holds(self, formula: sympy.Expr) -> bool:
        """Whether the formula has values beyond the samples, too."""
        with np.errstate(all="ignore"):
            values = sympy.lambdify(self.symbols, formula, ["scipy", "numpy"])(*self.beyond.T)
            return bool(np.isfinite(values).all())

    def sorted(self) -> list[tuple[sympy.Expr, float]]:
        """Shortest descriptions first; those that end at the samples only if they say more, or the
        same clearly more shortly: a root or an arcsine may well have an end there."""
        least = min((e for _, e in self.found), default=math.inf)
        shortest = min((self._length(f) for f in self.found), default=math.inf)
        shorter = shortest - _SHORTER * math.log(ALPHABET_SIZE)
        say = [
            f for f in self.ending
            if max(f[1], EXACT * self.scale) < least / _MORE or self._length(f) < shorter
        ]  # fmt: skip
        return sorted([*self.found, *say], key=self._length)

    def _length(self, found: tuple[sympy.Expr, float]) -> float:
        return _length(found[0], found[1] / self.scale)

    @property
    def exact(self) -> bool:
        """Whether anything describes the samples to rounding."""
        return min((error for _, error in self.found), default=math.inf) < EXACT * self.scale

    def settled(self, reduced: ReducedProblem, rows: np.ndarray) -> bool:
        """Whether the best leaves nothing that its variables could still predict."""
        ordered = self.sorted()
        if not ordered or self.exact:
            return bool(ordered)
        best, _ = ordered[0]
        with np.errstate(all="ignore"):
            rest = self.y - sympy.lambdify(self.symbols, best, ["scipy", "numpy"])(*self.x.T)
        if not np.isfinite(rest).all():
            return False
        left = [predictability(v, rest)[0] for v in (self.x, reduced.variables[rows])]
        return float(min(left)) >= NOTHING_LEFT

    def exhaust(self, reduced: ReducedProblem, rows: np.ndarray, budget: FormulaBudget) -> None:
        """Everything short in the variables of `way`."""
        rest = (self.y / reduced.factor[rows]).astype(float)
        if not np.isfinite(rest).all():
            return
        if reduced.variables.shape[1] == 0:
            self.add(reduced.factor_expression * sympy.Float(float(rest.mean()), 17))
            return
        expressions = budget.expressions // (
            1 if reduced.variables.shape[1] <= _FEW_VARIABLES else 2
        )
        made = candidates(reduced.variables[rows], rest, expressions)
        scale = float(np.sqrt(np.mean(rest**2)))
        # Numbers from a grid are not yet what they will be: they would lose to long series.
        scanned = _shortest([c for c in made if c.scanned], scale)[:_SCANNED]
        for place, one in enumerate([*_shortest(made, scale), *scanned]):
            # Others that are exact as they stand may be shorter, or better behaved far away.
            if self.exact and one.error > EXACT * scale:
                return
            for free in (False, True)[: 2 if place < _FREED else 1]:
                self.add(reduced.factor_expression * one.expression(reduced.expressions, free))
                if self.exact:
                    break

    def evolve(
        self,
        reduced: ReducedProblem,
        rows: np.ndarray,
        budget: FormulaBudget,
        seed: int,
        engine: Engine | None,
    ) -> None:
        """Formulas of an engine for the first transforms of the target."""
        rest = self.y / reduced.factor[rows]
        k = reduced.variables.shape[1]
        transforms = [v for v in TARGET_TRANSFORMS if v.usual and v.applies_to(rest)][
            : 2 if k > 1 else None
        ]
        if k == 0 or not np.isfinite(rest).all():
            return
        chosen: list[Engine] = [Sparse()] if k == 1 else []
        if engine is not None:
            chosen.append(engine)
        elif Operon.available():
            share = budget.evaluations / (_EVOLVED * len(transforms))
            chosen.append(Operon(generations=max(1, round(share / 300)), population=300, length=20))
        own = sympy.symbols(f"_z1:{k + 1}", real=True)
        inner = dict(zip(own, reduced.expressions, strict=True))
        for one, transform in itertools.product(chosen, transforms):
            y = transform.forward(rest)
            front = one.fit(reduced.variables[rows], y, own, seed)
            spread = float(y.std()) or 1.0
            best = sorted(front.members, key=lambda m: _length(m.expression, m.error / spread))
            for m in best[:_FRONT_REFITTED]:
                self.add(reduced.factor_expression * transform.back(m.expression.xreplace(inner)))
            if self.exact:
                return


def _shortest(made: Sequence[Candidate], scale: float) -> list[Candidate]:
    """Those with the shortest descriptions, of equal ones only the first."""

    def nats(c: Candidate) -> float:
        return description(max(c.error / scale, _FLOOR), c.symbols)

    out: dict[float, Candidate] = {}
    for c in sorted(made, key=nats):
        out.setdefault(round(nats(c), 4), c)
    return list(out.values())[:_REFITTED]


def _length(formula: sympy.Expr, error: float) -> float:
    return description(max(error, _FLOOR), symbols_used(formula))
