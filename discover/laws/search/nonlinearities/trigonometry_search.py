"""Do the bodies turn by other functions than sine and cosine?

Where bodies, with whatever stands beside them or around them, leave something over, flexible
functions are put in place of sine and cosine: in gravity, in the velocity forces, in the mass
matrix, or in several of these. The parts in which they predict held-out answers go on. There the
sine is given the odd powers of the angle up to some order and the cosine the even ones, their
coefficients fitted together with the bodies, from where a power series would have them, and made
round where that makes the description shorter; and other formulas are looked for, as for the
functions of channels. Where none is found the two stay tables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import scipy.optimize
import sympy
import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.laws.extensions.surrogate_trigonometry import (
    ANGLE,
    PARTS,
    SurrogateTrigonometry,
    identifiable,
)
from discover.laws.extensions.tabulated import Basis
from discover.laws.rigid_body.fit import Fit, fit
from discover.laws.search.additive import prune
from discover.laws.search.basis_search import search
from discover.laws.search.basis_targets import laid_beside
from discover.laws.search.nonlinearities.io_fit import Function
from discover.laws.search.nonlinearities.io_functions import Formula, Splined
from discover.laws.search.nonlinearities.trigonometry_fit import TurnProblem
from discover.laws.search.rounds import length_of
from discover.laws.search.selection import _ALPHABET, EFFECTIVE_SAMPLES, Selection
from discover.laws.search.variables import has_points
from discover.numerics import robust_cost

ORDERS = range(1, 7)
JOINTS = 3  # up to which recursions with other functions are tried
_FEW, _FITTED, _TESTED = 160, 480, 360  # answers of the screening, of the search, held out
_ROUGH, _FINE = 8, 14  # knots
_PROMISING = 0.6
_CLOSE = 1.5  # times the least, parts that are looked at too
_HOPEFUL = 3.0  # times the least that a first step promises, parts that are fitted
_KNOTS = 0.05  # of what is left over without them, what knots and few steps leave
_MOST = 3  # parts that are looked at beside the best
_NOTHING_LEFT = 1.15
_SHAPES = 4  # formulas tried for a function
_TURNING = {"revolute", "continuous"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Flexible:
    """Functions in place of sine and cosine, fitted; `held_out` is their error elsewhere."""

    problem: TurnProblem
    x: Tensor
    held_out: float

    @property
    def trigonometry(self) -> SurrogateTrigonometry:
        """The two as expressions, with the tables that they name."""
        problem = self.problem
        _, *c = self.x.split(problem.split)
        sides, tables = [], []
        for name, function, k in zip(("s", "c"), problem.functions, c, strict=True):
            written, named = function.written(ANGLE, k, f"phi_{name}")  # type: ignore[attr-defined]
            sides.append(written)
            tables += named
        sine, cosine = sides
        return SurrogateTrigonometry(sine, cosine, problem.composites, problem.parts, tuple(tables))


def explain(
    base: Fit, best: Fit, answers: Answers, held: Answers, *, floor: float
) -> Selection | None:
    """The law of bodies turned by other functions that describes held-out answers more shortly than
    `best`, or None; arguments as for channels."""
    robot = base.family.robot
    hinges = set(robot.kinds) <= _TURNING and has_points(robot)
    if not hinges or robot.nv > JOINTS or base.integrator is not None:
        return None
    answers = answers[torch.isfinite(answers.a).all(-1)].evenly(_FITTED)
    held = held[torch.isfinite(held.a).all(-1)].evenly(_TESTED)
    before = best.standardised_error(held)
    if before <= _NOTHING_LEFT * floor:
        return None
    found: list[Selection] = []

    def told(law: Fit) -> bool:
        """Whether it leaves nothing over; kept where it leaves clearly less than without it."""
        error = law.standardised_error(held)
        if error <= _PROMISING * before:
            kept = Selection(fit=law, length=length_of(law, held, floor))
            found.append(prune(kept, answers, held, floor))
        return error <= _NOTHING_LEFT * floor

    promising = _promising(base, answers, held, before, floor)
    series = (_series_in(base, rough, answers, held, floor) for rough in promising)
    if not any(told(law) for law in series):
        for rough in sorted(promising, key=lambda f: f.held_out)[:1]:
            for law in _free_in(base, rough, answers, held, floor):
                told(law)
    shortest = min(found, key=lambda s: s.length, default=None)
    if shortest is None or shortest.length >= length_of(best, held, floor):
        return None
    return shortest


def _promising(
    base: Fit, answers: Answers, held: Answers, before: float, floor: float
) -> list[Flexible]:
    """Rough functions in those parts where they leave clearly less, the fewest parts first."""
    few, tested = answers.evenly(_FEW), held.evenly(_FEW)
    chosen = [parts for k in (1, 2, 3) for parts in combinations(PARTS, k)]
    ways = [(parts, by) for parts in chosen for by in (False, True) if "inertia" in parts or not by]
    problems = [_problem(base, few, parts, by, _ROUGH) for parts, by in ways]
    promised = [min(p.promises(x) for x in starts) for p, starts in problems]
    worth = min(_PROMISING * before, max(_HOPEFUL * min(promised), _KNOTS * before))
    hopeful = [own for own, left in zip(problems, promised, strict=True) if left <= worth]
    tried = [_solved(base, *own, tested, 8) for own in hopeful]
    if not tried:
        return []
    least = max(min(f.held_out for f in tried), floor)
    limit = min(_PROMISING * before, max(_CLOSE * least, _KNOTS * before))
    good = [f for f in tried if f.held_out <= limit]
    best = min(tried, key=lambda f: f.held_out)
    return [f for f in good if f in good[:_MOST] or f is best]


def _splined(
    base: Fit, answers: Answers, held: Answers, like: TurnProblem, knots: int, evaluations: int
) -> Flexible:
    """Splines in place of sine and cosine, in the parts of another problem."""
    own = _problem(base, answers, like.parts, like.composites, knots)
    return _solved(base, *own, held, evaluations)


def _problem(
    base: Fit, answers: Answers, parts: Sequence[str], composites: bool, knots: int
) -> tuple[TurnProblem, list[Tensor]]:
    """That of splines in place of sine and cosine, and where to start: from these, and from what
    they are for small angles."""
    basis = Basis.over(answers.q.flatten(), knots)
    function, at = Splined(replace(basis, kinks=False)), basis.knots
    problem = TurnProblem(base, answers, parts, composites, (function, function))
    small = SurrogateTrigonometry(ANGLE, sympy.Integer(1), composites, tuple(parts))
    starts = [
        (base, np.sin(at), np.cos(at)),
        (_turned(base, small, answers), at, np.ones_like(at)),
    ]
    return problem, [
        problem.start(law, (function.like(sine), function.like(cosine)))
        for law, sine, cosine in starts
    ]


def _solved(
    base: Fit, problem: TurnProblem, starts: Sequence[Tensor], held: Answers, evaluations: int
) -> Flexible:
    """The best that is reached from the starts."""
    tried = [_tested(base, problem, problem.solve(x, evaluations), held) for x in starts]
    return min(tried, key=lambda f: f.held_out)


def _tested(base: Fit, problem: TurnProblem, x: Tensor, held: Answers) -> Flexible:
    other = TurnProblem(base, held, problem.parts, problem.composites, problem.functions)
    error = math.sqrt(robust_cost(other.residual(x)))
    return Flexible(problem=problem, x=x, held_out=error)


def _series_in(base: Fit, rough: Flexible, answers: Answers, held: Answers, floor: float) -> Fit:
    """Polynomials in the parts of a rough fit."""
    problem = rough.problem
    how = SurrogateTrigonometry(ANGLE, sympy.Integer(1), problem.composites, problem.parts)
    tried = [(_turned(base, _polynomials(_series(n), n, how), answers), n) for n in ORDERS]
    law, order = min(tried, key=lambda t: t[0].standardised_error(held))
    numbers = _series(order)
    if law.standardised_error(held) > _NOTHING_LEFT * floor:
        law, numbers = _polished(law, numbers, answers)
    return _rounded(law, numbers, answers, held, floor)


def _free_in(
    base: Fit, rough: Flexible, answers: Answers, held: Answers, floor: float
) -> list[Fit]:
    """Tables and formulas in the parts of a rough fit."""
    problem = rough.problem
    fine = _splined(base, answers, held, problem, _FINE, 12)
    formula = _formulas(base, fine, held, floor)
    flexible = [f for f in (fine, formula) if math.isfinite(f.held_out)]
    return [_turned(base, f.trigonometry, answers, f) for f in flexible]


# ---- polynomials -------------------------------------------------------------------------------


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


def _turned(
    base: Fit, trigonometry: SurrogateTrigonometry, answers: Answers, like: Flexible | None = None
) -> Fit:
    """The member of the turned family that comes closest to the answers."""
    old, theta = base.family, base.theta
    k, from_basis = old.basis.shape[1], old.basis
    if like is not None:
        from_basis = like.problem.family.basis
        k, theta = from_basis.shape[1], like.x[: like.problem.family.size]
    basis = identifiable(old.robot, trigonometry)
    start = torch.cat([basis.T @ (from_basis @ theta[:k]), theta[k:]])
    family = replace(old, trigonometry=trigonometry, basis=basis)
    return fit(family, answers, start=start, scale=base.scale)


def _polished(law: Fit, numbers: list[float], answers: Answers) -> tuple[Fit, list[float]]:
    """The coefficients of the polynomials fitted, the bodies along with them."""
    order, trigonometry = len(numbers) + 1, law.family.trigonometry
    assert trigonometry is not None
    if not numbers:
        return law, numbers

    def fitted(x: Sequence[float]) -> Fit:
        return _turned(law, _polynomials([float(c) for c in x], order, trigonometry), answers)

    def residual(x: np.ndarray) -> np.ndarray:
        return torch.nan_to_num(fitted(x.tolist()).residual(answers), nan=1e3).flatten().numpy()

    found = scipy.optimize.least_squares(
        residual, numbers, diff_step=1e-4, x_scale="jac", max_nfev=6
    )
    return fitted(found.x.tolist()), found.x.tolist()


def _rounded(law: Fit, numbers: list[float], answers: Answers, held: Answers, floor: float) -> Fit:
    """Coefficients made round where that makes the description shorter."""
    trigonometry = law.family.trigonometry
    assert trigonometry is not None
    now: list[float | sympy.Expr] = list(numbers)
    length = length_of(law, held, floor)
    for k, x in enumerate(numbers):
        whole = sympy.Rational(1, round(1 / x)) if 1e-4 < abs(x) <= 1 else sympy.Integer(0)
        trial = [*now[:k], whole, *now[k + 1 :]]
        other = _turned(law, _polynomials(trial, len(now) + 1, trigonometry), answers)
        if (new := length_of(other, held, floor)) < length:
            law, length, now = other, new, trial
    return law


# ---- other formulas ----------------------------------------------------------------------------


def _formulas(base: Fit, flexible: Flexible, held: Answers, floor: float) -> Flexible:
    """Sine, then cosine, replaced by a formula, everything fitted again with each."""
    now, answers = flexible, flexible.problem.answers
    for which in range(2):
        tried = [
            trial
            for formula in _shapes_of(now, which, floor)
            if (trial := _replaced(base, now, which, formula, held)) is not None
        ]
        enough = [t for t in tried if t.held_out < 1.5 * max(now.held_out, floor)]
        if enough:
            now = min(
                enough,
                key=lambda t: length_of(_turned(base, t.trigonometry, answers, t), held, floor),
            )
    return now


def _shapes_of(now: Flexible, which: int, floor: float) -> list[tuple[Formula, Tensor]]:
    """Formulas that come close to one of the two, by what they make of the answers."""
    problem, x = now.problem, now.x
    q = problem.answers.q
    seen = problem.at(x)
    slopes = [seen.bodies, *seen.functions]
    del slopes[1 + which]
    _, *c = x.split(problem.split)
    value = problem.functions[which](q, c[which])
    known = torch.cat(slopes, -1)
    residual = torch.nan_to_num(problem.residual(x))
    coarse, fine = laid_beside(seen.pushed[which], q, value, known, residual, floor)

    def length(error: float, symbols: int, numbers: int) -> float:
        bits = EFFECTIVE_SAMPLES * math.log(max(error, fine.floor))
        return bits + symbols * math.log(_ALPHABET) + 0.5 * numbers * math.log(EFFECTIVE_SAMPLES)

    return [Formula.of(f, fine.size) for f in search(coarse, fine, length, _SHAPES)]


def _replaced(
    base: Fit, now: Flexible, which: int, formula: tuple[Formula, Tensor], held: Answers
) -> Flexible | None:
    """One of the two replaced by a formula, everything fitted together again."""
    problem = now.problem
    theta, *c = now.x.split(problem.split)
    functions: list[Function] = list(problem.functions)
    functions[which], c[which] = formula
    both = functions[0], functions[1]
    own = TurnProblem(base, problem.answers, problem.parts, problem.composites, both)
    start = torch.cat([theta, *c])
    if not bool(torch.isfinite(own.residual(start)).all()):
        return None
    found = _tested(base, own, own.solve(start, 10), held)
    # What is defined within the region alone may show no bodies where these are identified.
    shown = (
        found.held_out < math.inf
        and identifiable(base.family.robot, found.trigonometry).shape[1] > 0
    )
    return found if shown else None
