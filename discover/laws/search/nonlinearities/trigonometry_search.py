"""Search for functions in place of sine and cosine (surrogate trigonometry).

Where bodies, with any force terms or nonlinearities, leave something over, flexible functions are
put in place of sine and cosine: in gravity, in the velocity forces, in the mass matrix, or in
several of these. Where they predict held-out answers clearly better, the sine is given the odd
powers of the angle up to some order and the cosine the even ones, their coefficients fitted
together with the bodies from those of the power series, and made round where that shortens the
description; else other formulas are searched for. Where none is found the two stay tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np
import sympy
import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.surrogate_trigonometry import (
    ANGLE,
    PARTS,
    SurrogateTrigonometry,
    identifiable,
)
from discover.laws.extensions.tabulated import Basis
from discover.laws.regression.engines.contract import formula_length
from discover.laws.rigid_body.fit import Fit, fit
from discover.laws.search.basis_search import search
from discover.laws.search.basis_targets import function_targets
from discover.laws.search.greedy_search import (
    CandidateFamily,
    CandidateLaw,
    SearchBudget,
    affordable,
    explained,
    greedy_search,
)
from discover.laws.search.nonlinearities.io_fit import Function
from discover.laws.search.nonlinearities.io_functions import (
    Formula,
    Splined,
    formulas_one_by_one,
)
from discover.laws.search.nonlinearities.trigonometry_fit import TrigonometryProblem
from discover.laws.search.selection import Selection, candidate_length
from discover.laws.search.variables import has_points
from discover.numerics import robust_cost

_OPERATIONS = threshold("search.trigonometry_operations")
_ROWS_PER_COLUMN = whole("search.rows_per_column")
_ORDERS = range(1, whole("search.series_order") + 1)
_SCREENED = whole("search.trigonometry_screened_answers")
_FITTED = whole("search.trigonometry_fitted_answers")
_TESTED = whole("search.trigonometry_held_out_answers")
_ROUGH, _FINE = whole("search.rough_knots"), whole("search.trigonometry_fine_knots")
_PROMISING = threshold("search.flexible_gain")
_CLOSE = threshold("search.close_kind")
_HOPEFUL = threshold("search.hopeful_parts")
_SPLINE_ERROR = threshold("search.trigonometry_spline_error")
_MOST = whole("search.trigonometry_parts")
_FORMULAS = whole("search.trigonometry_formulas")
_LARGEST = 1e100  # of a standardised residual
_HINGES = {"revolute", "continuous"}

Begun = tuple[TrigonometryProblem, list[Tensor]]  # a problem and the starts of its fit


@dataclass(frozen=True, kw_only=True, eq=False)
class FlexibleTrigonometry:
    """Functions in place of sine and cosine, fitted; `held_out` is the held-out error.

    free  whether formulas of any kind are searched for, or only power series
    """

    problem: TrigonometryProblem
    x: Tensor
    held_out: float
    free: bool = False

    @property
    def trigonometry(self) -> SurrogateTrigonometry:
        """The two functions as expressions, with the tables that they name."""
        problem = self.problem
        _, *c = self.x.split(problem.split)
        sides, tables = [], []
        for name, function, k in zip(("s", "c"), problem.functions, c, strict=True):
            written, named = function.written(ANGLE, k, f"phi_{name}")  # type: ignore[attr-defined]
            sides.append(written)
            tables += named
        sine, cosine = sides
        return SurrogateTrigonometry(sine, cosine, problem.composites, problem.parts, tuple(tables))


def search_trigonometry(
    base: Fit, best: Fit, answers: Answers, held: Answers, *, floor: float
) -> Selection | None:
    """The law with other functions for sine and cosine that describes held-out answers more shortly
    than `best`, or None; `base` is the rigid body with its joint terms, fitted to `answers`."""
    robot = base.family.robot
    hinges = set(robot.kinds) <= _HINGES and has_points(robot)
    if not hinges or base.step is not None:
        return None
    # The slopes take a recursion over all bodies for each joint and answer.
    affordable_answers = _OPERATIONS / robot.nv**2
    least = _ROWS_PER_COLUMN * (base.family.size + 2 * _FINE) // robot.nv
    most = max(round(affordable_answers), least)
    answers = answers[torch.isfinite(answers.a).all(-1)].evenly(min(_FITTED, most))
    held = held[torch.isfinite(held.a).all(-1)].evenly(min(_TESTED, most))
    share = min(1.0, affordable_answers / _FITTED)
    parts = affordable(SearchBudget().converged, share, _MOST)
    budget = SearchBudget(rounds=1, converged=parts, short=share < 1.0)
    family = Surrogates(answers=answers, held=held, floor=floor, budget=budget, base=base)
    selected = greedy_search(family, Selection(fit=best, length=family.price(best))).best
    return None if selected.fit is best else selected


@dataclass(frozen=True, kw_only=True)
class Surrogates(CandidateFamily[Begun, FlexibleTrigonometry]):
    """Functions in place of sine and cosine in some parts of the equations of motion of `base`."""

    base: Fit

    def propose(self, current: Fit, error: float) -> list[Begun]:
        """The parts in which a first step, with few knots, promises to leave clearly less; the
        fewest parts first, as many as the budget allows."""
        few = self.answers.evenly(_SCREENED)
        parts = [chosen for k in (1, 2, 3) for chosen in combinations(PARTS, k)]
        variants = [(p, by) for p in parts for by in (False, True) if "inertia" in p or not by]
        problems = [_problem(self.base, few, p, by, _ROUGH) for p, by in variants]
        promised = [min(p.promises(x) for x in starts) for p, starts in problems]
        limits = (_HOPEFUL * min(promised), _SPLINE_ERROR * error)
        worth = min(_PROMISING * error, max(limits))
        ranked = sorted(range(len(problems)), key=lambda k: promised[k])[: self.budget.converged]
        return [problems[k] for k in sorted(ranked) if promised[k] <= worth]

    def fit_flexible(
        self, current: Fit, candidates: Sequence[Begun], error: float
    ) -> list[FlexibleTrigonometry]:
        """Few knots, few answers: the parts that leave about the least; last, the best once more
        for formulas of any kind."""
        tested = self.held.evenly(_SCREENED)
        tried = [_solved(self.base, *one, tested, 8) for one in candidates]
        if not tried:
            return []
        best = min(tried, key=lambda f: f.held_out)
        close = _CLOSE * max(best.held_out, self.floor)
        limit = min(_PROMISING * error, max(close, _SPLINE_ERROR * error))
        good = [f for f in tried if f.held_out <= limit]
        chosen = [f for f in good if f in good[:_MOST] or f is best]
        last = sorted(chosen, key=lambda f: f.held_out)[:1]
        return [*chosen, *(replace(f, free=True) for f in last)]

    def laws(
        self, current: Fit, flexible: FlexibleTrigonometry, error: float, place: int
    ) -> list[CandidateLaw]:
        """Power series, or tables and formulas, that leave clearly less than the law before."""
        args = self.base, flexible, self.answers, self.held, self.floor
        laws: Iterable[Fit] = _free_laws(*args) if flexible.free else [_series_law(*args)]
        return [
            CandidateLaw(fit=law, length=self.price(law), origin=flexible.problem.parts)
            for law in laws
            if law.standardised_error(self.held) <= _PROMISING * error
        ]

    def settled(self, laws: Sequence[CandidateLaw]) -> bool:
        """Whether one leaves nothing over."""
        return any(explained(x.fit.standardised_error(self.held), self.floor) for x in laws)


def _problem(
    base: Fit, answers: Answers, parts: Sequence[str], composites: bool, knots: int
) -> tuple[TrigonometryProblem, list[Tensor]]:
    """That of splines in place of sine and cosine, and where to start: from these, and from what
    they are for small angles."""
    basis = Basis.over(answers.q.flatten(), knots)
    function, at = Splined(replace(basis, kinks=False)), basis.knots
    problem = TrigonometryProblem(base, answers, parts, composites, (function, function))
    small = SurrogateTrigonometry(ANGLE, sympy.Integer(1), composites, tuple(parts))
    starts = [
        (base, np.sin(at), np.cos(at)),
        (_fitted(base, small, answers), at, np.ones_like(at)),
    ]
    return problem, [
        problem.start(law, (function.like(sine), function.like(cosine)))
        for law, sine, cosine in starts
    ]


def _solved(
    base: Fit,
    problem: TrigonometryProblem,
    starts: Sequence[Tensor],
    held: Answers,
    evaluations: int,
) -> FlexibleTrigonometry:
    """The best that is reached from the starts."""
    tried = [_tested(base, problem, problem.solve(x, evaluations), held) for x in starts]
    return min(tried, key=lambda f: f.held_out)


def _tested(
    base: Fit, problem: TrigonometryProblem, x: Tensor, held: Answers
) -> FlexibleTrigonometry:
    other = TrigonometryProblem(base, held, problem.parts, problem.composites, problem.functions)
    error = math.sqrt(robust_cost(other.residual(x)))
    return FlexibleTrigonometry(problem=problem, x=x, held_out=error)


def _series_law(
    base: Fit, rough: FlexibleTrigonometry, answers: Answers, held: Answers, floor: float
) -> Fit:
    """Power series in the parts of a rough fit."""
    problem = rough.problem
    like = SurrogateTrigonometry(ANGLE, sympy.Integer(1), problem.composites, problem.parts)
    tried = [(_fitted(base, _polynomials(_series(n), n, like), answers), n) for n in _ORDERS]
    law, order = min(tried, key=lambda t: t[0].standardised_error(held))
    numbers = _series(order)
    if not explained(law.standardised_error(held), floor):
        law, numbers = _optimised(law, numbers, answers)
    return _rounded(law, numbers, answers, held, floor)


def _free_laws(
    base: Fit, rough: FlexibleTrigonometry, answers: Answers, held: Answers, floor: float
) -> list[Fit]:
    """Tables and formulas in the parts of a rough fit."""
    problem = rough.problem
    fine = _solved(
        base, *_problem(base, answers, problem.parts, problem.composites, _FINE), held, 12
    )
    formula = formulas_one_by_one(
        fine,
        2,
        formulas=lambda now, which: _formulas_for(now, which, floor),
        replaced=lambda now, which, formula: _replaced(base, now, which, formula, held),
        length=lambda tried: candidate_length(
            _fitted(base, tried.trigonometry, answers, tried), held, floor
        ),
        floor=floor,
    )
    flexible = [f for f in (fine, formula) if math.isfinite(f.held_out)]
    return [_fitted(base, f.trigonometry, answers, f) for f in flexible]


def _series(order: int) -> list[float]:
    """Coefficients of sine's and cosine's power series beyond the first of each, up to `order`."""
    return [(-1) ** (k // 2) / math.factorial(k) for k in range(2, order + 1)]


def _polynomials(
    numbers: Sequence[float | sympy.Expr], order: int, like: SurrogateTrigonometry
) -> SurrogateTrigonometry:
    sine, cosine = ANGLE, sympy.Integer(1)
    for k, x in zip(range(2, order + 1), numbers, strict=True):
        number = sympy.Float(x, 17) if isinstance(x, float) else x
        if k % 2:
            sine += number * ANGLE**k
        else:
            cosine += number * ANGLE**k
    return SurrogateTrigonometry(sine, cosine, like.composites, like.parts)


def _fitted(
    base: Fit,
    trigonometry: SurrogateTrigonometry,
    answers: Answers,
    like: FlexibleTrigonometry | None = None,
) -> Fit:
    """The fit of the bodies with these functions for sine and cosine."""
    old, theta = base.family, base.theta
    k, from_basis = old.basis.shape[1], old.basis
    if like is not None:
        from_basis = like.problem.family.basis
        k, theta = from_basis.shape[1], like.x[: like.problem.family.size]
    basis = identifiable(old.robot, trigonometry)
    start = torch.cat([basis.T @ (from_basis @ theta[:k]), theta[k:]])
    family = replace(old, trigonometry=trigonometry, basis=basis)
    return fit(family, answers, start=start, scale=base.scale)


def _optimised(law: Fit, numbers: list[float], answers: Answers) -> tuple[Fit, list[float]]:
    """The coefficients of the polynomials fitted, the bodies along with them."""
    order, trigonometry = len(numbers) + 1, law.family.trigonometry
    assert trigonometry is not None
    if not numbers:
        return law, numbers

    def fitted_with(x: Sequence[float]) -> Fit:
        return _fitted(law, _polynomials([float(c) for c in x], order, trigonometry), answers)

    def residual(x: np.ndarray) -> np.ndarray:
        r = fitted_with(x.tolist()).residual(answers)
        # Squares of what is larger would overflow.
        return torch.nan_to_num(r, nan=1e3).clamp(-_LARGEST, _LARGEST).flatten().numpy()

    from scipy.optimize import least_squares  # imported late: half a second

    solution = least_squares(residual, numbers, diff_step=1e-4, x_scale="jac", max_nfev=6)
    return fitted_with(solution.x.tolist()), solution.x.tolist()


def _rounded(law: Fit, numbers: list[float], answers: Answers, held: Answers, floor: float) -> Fit:
    """Coefficients made round where that makes the description shorter."""
    trigonometry = law.family.trigonometry
    assert trigonometry is not None
    now: list[float | sympy.Expr] = list(numbers)
    length = candidate_length(law, held, floor)
    for k, x in enumerate(numbers):
        whole = sympy.Rational(1, round(1 / x)) if 1e-4 < abs(x) <= 1 else sympy.Integer(0)
        trial = [*now[:k], whole, *now[k + 1 :]]
        other = _fitted(law, _polynomials(trial, len(now) + 1, trigonometry), answers)
        if (new := candidate_length(other, held, floor)) < length:
            law, length, now = other, new, trial
    return law


def _formulas_for(
    now: FlexibleTrigonometry, which: int, floor: float
) -> list[tuple[Formula, Tensor]]:
    """Formulas that come close to one of the two, by what they make of the answers."""
    problem, x = now.problem, now.x
    q = problem.answers.q
    linearised = problem.at(x)
    slopes = [linearised.bodies, *linearised.functions]
    del slopes[1 + which]
    _, *c = x.split(problem.split)
    value = problem.functions[which](q, c[which])
    known = torch.cat(slopes, -1)
    residual = torch.nan_to_num(problem.residual(x))
    coarse, fine = function_targets(linearised.pushed[which], q, value, known, residual, floor)

    length = partial(formula_length, floor=fine.floor)
    return [Formula.of(f, fine.size) for f in search(coarse, fine, length, _FORMULAS)]


def _replaced(
    base: Fit, now: FlexibleTrigonometry, which: int, formula: tuple[Formula, Tensor], held: Answers
) -> FlexibleTrigonometry | None:
    """One of the two replaced by a formula, everything fitted together again."""
    problem = now.problem
    theta, *c = now.x.split(problem.split)
    functions: list[Function] = list(problem.functions)
    functions[which], c[which] = formula
    both = functions[0], functions[1]
    replaced = TrigonometryProblem(base, problem.answers, problem.parts, problem.composites, both)
    start = torch.cat([theta, *c])
    if not bool(torch.isfinite(replaced.residual(start)).all()):
        return None
    tested = _tested(base, replaced, replaced.solve(start, 10), held)
    # What is defined within the region alone may show no bodies where these are identified.
    shown = (
        tested.held_out < math.inf
        and identifiable(base.family.robot, tested.trigonometry).shape[1] > 0
    )
    return tested if shown else None
