"""Finding terms that nobody listed: carrier, feature, shape, one term after the other.

A round ranks all pairs carrier × feature, fits a flexible function to the best, looks for the
formula of that function, and polishes the formula together with the bodies. What wins is the
shortest description of answers that nothing was fitted to; where no formula is found, the function
stays a table, and that is a law too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import sympy
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from discover.dynamics import Answers
from discover.laws.family import Family
from discover.laws.fit import Fit
from discover.laws.joint_fit import Added, JointProblem
from discover.laws.leftover import Pair, Smooth, fit_pair, rank_pairs
from discover.laws.quantities import Mechanics, Point, needs_mechanics
from discover.laws.selection import (
    _ALPHABET,
    EFFECTIVE_SAMPLES,
    Selection,
    description_length,
    possible,
    refit,
)
from discover.laws.shape_search import Found, Target, search
from discover.laws.terms import Term, forces, whole_numbers

PAIRS = 14  # pairs that are fitted with a flexible function
FINALISTS = 3  # pairs whose function is looked up
SHAPES = 4  # shapes a pair that are polished with the bodies
CHOICES = 1500  # about as many pairs as there are to choose from
_GRID = 41
_FITTED, _TESTED = 720, 480  # answers that a search looks at
_POINTS = 3  # pairs at points that are fitted beside the best
_IMPLICIT = 3  # such pairs fitted in a round
_WORTH = 0.6  # a flexible function must bring the held-out error below this share
_NOTHING_LEFT = 1.15  # times the noise: a residual that needs no explaining
_KNOTS = 3e-3  # what splines leave of a smooth function
_SHARE = 0.35  # the best pair must explain this share of the residual's power


@dataclass(frozen=True, kw_only=True)
class Rival:
    """One law that was tried: its fit, its description length, and the pair it came from."""

    fit: Fit
    length: float
    pair: Pair
    tabulated: bool = False
    fresh: int = 1


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The best law found, all rivals tried by length, and the pairs of the first round."""

    best: Selection
    rivals: tuple[Rival, ...]
    pairs: tuple[Pair, ...]


def explain(
    base: Fit,
    answers: Answers,
    held: Answers,
    *,
    floor: float,
    limit: int = 3,
    pairs: int = PAIRS,
) -> Explanation:
    """Add unlisted terms to `base` while the description of held-out answers gets shorter."""
    best = Selection(fit=base, length=_length(base, held, floor))
    rivals: list[Rival] = []
    first: tuple[Pair, ...] = ()
    for _ in range(limit):
        before = best.fit.standardised_error(held)
        if before <= 1.5 * floor:
            break
        ranked = _shortlist(rank_pairs(best.fit, answers), pairs)
        first = first or tuple(ranked)
        if not ranked or ranked[0].explained < _SHARE:
            break
        tried = _round(best, answers, held, ranked, floor)
        rivals += tried
        if not tried:
            break
        improved = [r for r in tried if r.length < best.length]
        if not improved:
            break
        winner = min(improved, key=lambda r: r.length)
        best = _prune(Selection(fit=winner.fit, length=winner.length), answers, held, floor)
    rivals.sort(key=lambda r: r.length)
    return Explanation(best=best, rivals=tuple(rivals), pairs=first)


def _shortlist(ranked: list[Pair], count: int) -> list[Pair]:
    """The best pairs, and the best at points wherever they stand: their place is still a guess."""
    points = [p for p in ranked[count:] if p.carrier.points and p.explained > _SHARE]
    return ranked[:count] + points[:_POINTS]


def beside(
    physics: Fit, listed: Fit, answers: Answers, held: Answers, *, floor: float, limit: int
) -> Explanation:
    """The better of a law from the list of known shapes and of a search without a list.

    Where the listed law leaves nothing over beyond `floor`, nothing is searched.
    """
    length = _length(listed, held, floor)
    best = Selection(fit=listed, length=length)
    nothing = Explanation(best=best, rivals=(), pairs=())
    done = listed.standardised_error(held) <= _NOTHING_LEFT * floor
    if done and len(listed.family.terms) <= len(physics.family.terms) + 1:
        return nothing
    fewer, tested = _some(answers, _FITTED), _some(held, _TESTED)
    if not done and listed is not physics:
        ranked = rank_pairs(listed, fewer)
        if not ranked or ranked[0].explained < 0.5 * (1 + _SHARE):
            return nothing
    found = explain(physics, fewer, tested, floor=floor, limit=limit)
    if not found.rivals or found.best.fit is physics:
        return replace(found, best=best)
    fitted = refit(found.best.fit, answers, found.best.fit.family.terms)
    if (new := _length(fitted, held, floor)) < length:
        return replace(found, best=Selection(fit=fitted, length=new))
    return replace(found, best=best)


def _some(answers: Answers, count: int) -> Answers:
    """At most so many answers, drawn evenly over their order."""
    if len(answers) <= count:
        return answers
    return answers[torch.linspace(0, len(answers) - 1, count).round().long()]


def _length(fitted: Fit, held: Answers, floor: float) -> float:
    return description_length(fitted, held, floor, CHOICES)


def _round(
    current: Selection, answers: Answers, held: Answers, ranked: Sequence[Pair], floor: float
) -> list[Rival]:
    before = current.fit.standardised_error(held)
    smooth: list[Smooth] = []
    implicit = 0
    for k, pair in enumerate(ranked):
        # Features that hold the acceleration need an equation to be solved at every step.
        implicit += pair.implicit
        if pair.implicit and implicit > _IMPLICIT:
            continue
        smooth.append(fit_pair(current.fit, answers, held, pair))
        best = min(s.held_out for s in smooth)
        if k >= 5 and best <= max(1.1 * floor, _KNOTS * before):
            break
    smooth = [s for s in smooth if s.held_out < _WORTH * before]
    # Below a share of the residual a flexible function is limited by its knots: no evidence.
    level = max(floor, _KNOTS * before)
    smooth.sort(key=lambda s: math.log(max(s.held_out, level)) + 0.03 * s.pair.cost)
    rivals: list[Rival] = []
    for s in smooth[:FINALISTS]:
        rivals += _formulas(current.fit, answers, held, s, floor)
        reached = min((r.fit.standardised_error(held) for r in rivals), default=math.inf)
        if reached <= 1.06 * floor:
            break
    for s in smooth[:1]:
        table = _tabulated(current.fit, answers, held, s, floor)
        rivals += [table] if table else []
    return rivals


def _formulas(
    base: Fit, answers: Answers, held: Answers, smooth: Smooth, floor: float
) -> list[Rival]:
    """The shapes of a flexible function, each polished with the bodies."""
    coarse, fine = _targets(smooth, floor)

    def length(error: float, symbols: int, numbers: int) -> float:
        bits = EFFECTIVE_SAMPLES * math.log(max(error, fine.floor))
        return bits + symbols * math.log(_ALPHABET) + 0.5 * numbers * math.log(EFFECTIVE_SAMPLES)

    rivals = []
    for found in search(coarse, fine, length, SHAPES):
        fitted = polish(base, answers, smooth, found, fine.size)
        if fitted is None:
            continue
        rivals.append(
            Rival(
                fit=fitted,
                length=_length(fitted, held, floor),
                pair=smooth.pair,
                fresh=len(found.shapes),
            )
        )
    rivals.sort(key=lambda r: r.length)
    snapped = []
    for r in rivals[:2]:
        fitted = snap(r.fit, answers, held, floor, fresh=r.fresh)
        snapped.append(replace(r, fit=fitted, length=_length(fitted, held, floor)))
    return snapped + rivals[2:]


def _targets(smooth: Smooth, floor: float) -> tuple[Target, Target]:
    """The flexible function on a grid and at the states, as its effect on accelerations."""
    problem, joined = smooth.problem, smooth.joined
    robot = problem.family.bodies
    terms = [smooth.pair.carrier.term(), smooth.pair.feature.term(robot.nv)]
    mechanics = problem.design.mechanics(joined.theta)
    x = problem.answers
    a = torch.nan_to_num(joined.a)
    both = torch.nan_to_num(forces(terms, x.q, x.v, a, x.tau, robot, mechanics))
    _, J = problem.accelerations(joined.theta, joined.coefficients, joined.constants)
    inverse = torch.linalg.pinv(torch.nan_to_num(J)) / problem.scale[:, None]
    pushed = (inverse @ both[..., :1]).squeeze(-1)  # (n, nv)
    feature = both[:, 0, 1]
    known = (inverse @ problem.design.columns(a)).flatten(0, 1)
    U, s, _ = torch.linalg.svd(known / known.norm(dim=0).clamp_min(1e-300), full_matrices=False)
    U = U[:, s > 1e-11 * s[0]]
    own = (pushed.unsqueeze(-1) * smooth.basis(feature).unsqueeze(1)).flatten(0, 1)
    r = torch.nan_to_num(joined.residual).flatten()
    y = own @ joined.coefficients - r
    y = y - U @ (U.T @ y)
    left = r - U @ (U.T @ r)
    # A formula may leave less than the flexible function did; what limits it is the linearisation.
    level = max(float(left.square().mean()), floor, 1e-7)
    count = y.numel()

    grid, columns = _grid(feature)
    rows = (pushed.unsqueeze(-1) * columns.unsqueeze(1)).flatten(0, 1)
    rows = rows - U @ (U.T @ rows)
    values, vectors = torch.linalg.eigh(rows.T @ rows)
    keep = values > 1e-13 * values.max()
    root = (vectors[:, keep] * values[keep].sqrt()).T
    short = (vectors[:, keep] / values[keep].sqrt()).T @ (rows.T @ y)
    size = float(feature.abs().max())
    L = root.numpy()
    coarse = Target(
        z=grid.numpy(),
        push=lambda f: L @ f,
        y=short.numpy(),
        rest=max(float(y @ y - short @ short), 0.0),
        count=count,
        floor=max(level, 3e-5),
        size=size,
    )
    W, B = pushed.numpy(), U.numpy()

    def push(f: np.ndarray) -> np.ndarray:
        out = (W[:, :, None] * f[:, None, :]).reshape(-1, f.shape[1])
        return out - B @ (B.T @ out)

    fine = Target(
        z=feature.numpy(), push=push, y=y.numpy(), rest=0.0, count=count, floor=level, size=size
    )
    return coarse, fine


def _grid(z: Tensor) -> tuple[Tensor, Tensor]:
    """Grid points, dense about zero, and the columns that interpolate from them at z.

    The two sides of zero are interpolated apart, so that jumps and kinks there stay sharp.
    """
    low, high = float(z.min()), float(z.max())
    if high - low < 1e-9 * max(abs(low), abs(high), 1e-300):
        high = low + max(abs(low), 1.0) * 1e-6
    steps = np.linspace(0, 1, _GRID)
    points, columns = [], []
    sides = [(low, high)] if low >= 0 or high <= 0 else [(low, 0.0), (0.0, high)]
    for a, b in sides:
        if a <= 0 <= b or min(abs(a), abs(b)) < 0.05 * max(abs(a), abs(b)):
            spaced = 0.5 * steps + 0.5 * steps**3
        else:
            spaced = steps
        x = a + (b - a) * (spaced if abs(a) <= abs(b) else (1 - spaced)[::-1])
        inside = (z.numpy() >= a) & (z.numpy() <= b) if len(sides) > 1 else np.ones(len(z), bool)
        if len(sides) > 1 and b == 0.0:
            inside &= z.numpy() < 0
        W = np.zeros((len(z), _GRID))
        W[inside] = CubicSpline(x, np.eye(_GRID))(z.numpy()[inside])
        x = x.copy()
        x[x == 0.0] = 1e-12 if abs(a) <= abs(b) else -1e-12
        points.append(x)
        columns.append(W)
    return torch.from_numpy(np.concatenate(points)), torch.from_numpy(np.concatenate(columns, 1))


def polish(base: Fit, answers: Answers, smooth: Smooth, found: Found, size: float) -> Fit | None:
    """The bodies, coefficients, constants (and the point, where there is one) fitted together."""
    pair, family = smooth.pair, base.family
    points = pair.carrier.points or pair.feature.points
    u = pair.feature.expression / sympy.Float(size)
    templates: list[Term] = []
    names: list[str] = []
    start: list[float] = []
    for shape, first in zip(found.shapes, found.constants, strict=True):
        own = [f"k{len(names) + i + 1}" for i in range(len(first))]
        phi = shape.expression(u, [sympy.Symbol(n, real=True) for n in own])
        term = pair.carrier.term(phi)
        constant = not phi.free_symbols & pair.feature.expression.free_symbols
        name = pair.carrier.name if constant else pair.name
        templates.append(replace(term, name=name, points=points))
        names += own
        start += list(first)
    kappa = torch.tensor([*start, *(x for p in points for x in p.place)], dtype=torch.float64)
    words = set().union(*(t.names for t in templates))
    robot = family.bodies

    def at(values: Tensor) -> tuple[list[Term], dict[str, float]]:
        constants = dict(zip(names, values.tolist(), strict=False))
        if not points:
            return templates, constants
        place = values[len(names) :].tolist()
        moved = (Point(points[0].body, (place[0], place[1], place[2])),)
        return [replace(t, points=moved) for t in templates], constants

    x = smooth.problem.answers

    def columns(mechanics: Mechanics, a: Tensor, values: Tensor) -> Tensor:
        terms, constants = at(values)
        return forces(terms, x.q, x.v, a, x.tau, robot, mechanics, constants)

    added = Added(
        columns=columns,
        size=len(templates),
        of_bodies=needs_mechanics(words - set(names)),
        of_acceleration=any(t.moves_with_acceleration for t in templates),
        affine=not any(t.nonlinear_in_acceleration for t in templates),
    )
    problem = JointProblem(base, answers, added)
    # First with the constants held, for the bodies must follow from the flexible function.
    c = torch.tensor(found.coefficients, dtype=torch.float64)
    still = replace(added, columns=lambda mechanics, a, _: columns(mechanics, a, kappa))
    none = kappa.new_zeros(0)
    joined = JointProblem(base, answers, still).solve(smooth.joined.theta, c, none, 4)
    if len(kappa):
        joined = problem.solve(joined.theta, joined.coefficients, kappa, 25)
    if not len(kappa):
        joined = replace(joined, constants=kappa)
    if not math.isfinite(joined.error):
        return None
    terms, constants = at(joined.constants)
    frozen = []
    for t in terms:
        values = {sympy.Symbol(n, real=True): sympy.Float(c, 17) for n, c in constants.items()}
        frozen.append(replace(t, shape=tuple(row.subs(values) for row in t.shape)))
    frozen, coefficients = _normalised(frozen, joined.coefficients)
    mechanics = problem.design.mechanics(joined.theta)
    if not bool(torch.isfinite(forces(frozen, x.q, x.v, x.a, x.tau, robot, mechanics)).all()):
        return None
    theta = torch.cat([joined.theta, coefficients])
    reference = family.member(joined.theta) if added.of_bodies else family.reference
    whole = family.with_terms([*family.terms, *frozen], reference)
    return _settled(base, whole, theta, answers)


def _normalised(terms: list[Term], coefficients: Tensor) -> tuple[list[Term], Tensor]:
    """Number factors moved from the shapes to the coefficients."""
    out, numbers = [], coefficients.clone()
    for k, term in enumerate(terms):
        rows = [sympy.sympify(r) for r in term.shape]
        factors = [r.as_coeff_Mul()[0] for r in rows if r != 0]
        first = factors[0] if factors else sympy.Integer(1)
        same = first != 0 and all(abs(abs(f / first) - 1) < 1e-12 for f in factors)
        if same and (first.is_Float or abs(first) != 1):
            signs = iter(sympy.Integer(1 if f / first > 0 else -1) for f in factors)
            rows = [r if r == 0 else next(signs) * r.as_coeff_Mul()[1] for r in rows]
            numbers[k] = numbers[k] * float(first)
        out.append(replace(term, shape=tuple(whole_numbers(r) for r in rows)))
    return out, numbers


def _settled(base: Fit, family: Family, theta: Tensor, answers: Answers) -> Fit:
    """The fit of a family whose constants stand, started where it was found."""
    start = replace(base, family=family, theta=theta)
    return refit(start, answers, family.terms)


def _tabulated(
    base: Fit, answers: Answers, held: Answers, smooth: Smooth, floor: float
) -> Rival | None:
    """carrier × φ(feature) with φ as it was found: a table, and a jump and a kink if they pay."""
    pair, family = smooth.pair, base.family
    count = sum(len(t.tables) for t in family.terms)
    table, jump, kink = smooth.basis.table(f"phi{count + 1}", smooth.joined.coefficients)
    z = pair.feature.expression
    phi = table.function(z) + sympy.Float(jump, 17) * sympy.sign(z)
    phi += sympy.Float(kink, 17) * sympy.Abs(z)
    term = replace(
        pair.carrier.term(phi),
        name=pair.name,
        tables=(table,),
        points=pair.carrier.points or pair.feature.points,
    )
    words = term.names
    reference = family.member(smooth.joined.theta) if needs_mechanics(words) else None
    whole = family.with_terms([*family.terms, term], reference)
    theta = torch.cat([smooth.joined.theta, smooth.joined.theta.new_ones(1)])
    fitted = _settled(base, whole, theta, answers)
    if not math.isfinite(fitted.standardised_error(held)):
        return None
    length = _length(fitted, held, floor)
    return Rival(fit=fitted, length=length, pair=pair, tabulated=True)


def snap(fitted: Fit, answers: Answers, held: Answers, floor: float, fresh: int) -> Fit:
    """Numbers in the last `fresh` terms made round where the description gets shorter."""
    length = _length(fitted, held, floor)
    for k in range(len(fitted.family.terms) - fresh, len(fitted.family.terms)):
        for number in sorted(_floats(fitted.family.terms[k]), key=float):
            for rounded in _round_numbers(float(number)):
                terms = list(fitted.family.terms)
                if number not in _floats(terms[k]):
                    break
                shape = tuple(row.subs(number, rounded) for row in terms[k].shape)
                if any(row.has(sympy.zoo, sympy.nan) for row in shape) or not any(shape):
                    continue
                terms[k] = replace(terms[k], shape=shape)
                theta = fitted.theta.clone()
                trial = _settled(fitted, fitted.family.with_terms(terms), theta, answers)
                new = _length(trial, held, floor)
                if new < length:
                    fitted, length = trial, new
                    break
    return fitted


def _floats(term: Term) -> set[sympy.Float]:
    return set().union(*(row.atoms(sympy.Float) for row in term.shape))


def _round_numbers(x: float) -> list[sympy.Rational]:
    """Round numbers close to x: small fractions, then two and three digits."""
    out: list[sympy.Rational] = [sympy.Integer(0)] if abs(x) < 1e-2 else []
    if not 1e-3 < abs(x) < 1e4:
        return out
    for denominator in (1, 2, 3, 4):
        candidate = sympy.Rational(round(x * denominator), denominator)
        if candidate != 0 and abs(float(candidate) / x - 1) < 0.03:
            out.append(candidate)
    for digits in (1, 2):
        scale = 10 ** (digits - math.floor(math.log10(abs(x))))
        candidate = sympy.Rational(round(x * scale), scale) if scale >= 1 else None
        if candidate and abs(float(candidate) / x - 1) < 0.01:
            out.append(candidate)
    return list(dict.fromkeys(out))


def _prune(current: Selection, answers: Answers, held: Answers, floor: float) -> Selection:
    """Terms that no longer pay are taken out, the latest last."""
    improved = True
    while improved:
        improved = False
        terms = current.fit.family.terms
        for k in range(len(terms)):
            trial = refit(current.fit, answers, [*terms[:k], *terms[k + 1 :]])
            length = _length(trial, held, floor)
            if possible(trial) and length <= current.length:
                current, improved = Selection(fit=trial, length=length), True
                break
    return current
