"""What a law leaves over: on which carrier does it act, and of which scalar is it a function?

Every pair carrier × feature is given a flexible function of the feature. The columns are brought to
acceleration units (whitened by J⁻¹ at the law's own accelerations, so that no tautology scores),
what the bodies can explain is projected out of them, and pairs are ranked by what they explain.
The best are then fitted together with the bodies, and ranked again by what they predict.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from discover.dynamics import Answers
from discover.laws.carriers import (
    Carrier,
    Feature,
    Places,
    candidate_points,
    joint_places,
    point_places,
)
from discover.laws.family import slope
from discover.laws.fields import framed_points
from discover.laws.fit import Fit, design_of, evaluation_point
from discover.laws.joint_fit import Added, Columns, Joined, JointProblem
from discover.laws.quantities import Mechanics, needs_mechanics
from discover.laws.splines import Basis
from discover.laws.terms import Term, forces
from kinematics import Robot

_COARSE, _FINE = 9, 22  # knots, when ranking and when fitting
_ROUGH = 4  # knots while a point is looked for
_COUNTED = 600  # pairs whose symbols are counted
_ROWS = 1500  # rows (states × joints) that ranking looks at
_EIGEN = 1e-9
_STILL = 1e-9
_CLEAR = 0.97  # a pair that explains this share needs no other look


@dataclass(frozen=True, kw_only=True)
class Pair:
    """carrier × φ(feature); `explained` is the share of the residual that a flexible φ takes.

    start     the parameters of the law beside which it was seen
    replaces  the term of the law that it takes the place of, being that term times φ
    """

    carrier: Carrier
    feature: Feature
    explained: float
    start: Tensor | None = field(default=None, compare=False, repr=False)
    replaces: Term | None = field(default=None, compare=False, repr=False)

    @functools.cached_property
    def cost(self) -> int:
        """Symbols in carrier and feature."""
        return self.carrier.term(self.feature.through(lambda z: z)).symbol_count

    @property
    def implicit(self) -> bool:
        """Whether the feature holds the acceleration."""
        return any(s.name[0] in "ah" for s in self.feature.free_symbols)

    @property
    def name(self) -> str:
        return f"{self.carrier.name}, function of {self.feature.name}"


@dataclass(frozen=True, kw_only=True)
class Smooth:
    """A pair with its flexible function, fitted together with the bodies."""

    pair: Pair
    basis: Basis
    joined: Joined
    held_out: float
    problem: JointProblem


@dataclass(frozen=True)
class Whitened:
    """A law's residual, its slopes and its words, at a set of answers."""

    residual: Tensor  # (n, nv)
    known: Tensor  # (n, nv, p), slopes of what is already in the law, orthonormal
    inverse: Tensor  # (n, nv, nv), J⁻¹ / scale
    q: Tensor
    v: Tensor
    a: Tensor
    tau: Tensor
    mechanics: Mechanics
    theta: Tensor

    @functools.cached_property
    def rest(self) -> Tensor:
        """The residual without what is already in the law (n, nv)."""
        y = self.residual
        return y - self.known @ torch.einsum("nip,ni->p", self.known, y)

    @property
    def beyond_known(self) -> float:
        """The sum of its squares."""
        return float(self.rest.square().sum())

    def evaluate(self, terms: Sequence[Term], robot: Robot) -> Tensor:
        """Columns of terms (n, nv, m) at the law's accelerations."""
        return forces(terms, self.q, self.v, self.a, self.tau, robot, self.mechanics)


def whiten(fitted: Fit, answers: Answers) -> Whitened:
    """The residual of a law and all that is needed to see what explains it."""
    family, scale = fitted.family, fitted.scale
    q, v = evaluation_point(answers, family.robot, fitted.integrator, fitted.dt)
    design = design_of(family, answers, fitted.integrator, fitted.dt)
    r = fitted.residual(answers)
    good = torch.isfinite(r).all(-1)
    r = torch.where(good[:, None], r, 0.0)
    a = answers.a - r * scale
    J = design.inertia(fitted.theta)
    if any(t.nonlinear_in_acceleration for t in family.terms):
        c = fitted.theta[family.basis.shape[1] :]
        H = J - torch.zeros_like(J)

        def left(x: Tensor) -> Tensor:
            return (design.mechanics(fitted.theta).H @ x.unsqueeze(-1)).squeeze(-1) + forces(
                family.terms, q, v, x, answers.tau, family.bodies
            ) @ c

        J = slope(left, a) if H is not None else J
        k = family.basis.shape[1]
        bodies = design.bias_columns[..., :k] + torch.einsum(
            "nijp,nj->nip", design.inertia_columns[..., :k], a
        )
        own = forces(family.terms, q, v, a, answers.tau, family.bodies)
        columns = torch.cat([bodies, own], -1)
    else:
        columns = design.columns(a)
    eye = torch.eye(J.shape[-1], dtype=J.dtype).expand_as(J)
    inverse, info = torch.linalg.solve_ex(J, eye)
    inverse = torch.where(((info == 0) & good)[:, None, None], inverse, 0.0) / scale[:, None]
    known = inverse @ columns
    n, nv, p = known.shape
    flat = known.reshape(n * nv, p)
    norms = flat.norm(dim=0).clamp_min(1e-300)
    U, s, _ = torch.linalg.svd(flat / norms, full_matrices=False)
    U = U[:, s > 1e-11 * s[0]]
    return Whitened(
        residual=r,
        known=U.reshape(n, nv, -1),
        inverse=inverse,
        q=q,
        v=v,
        a=a,
        tau=answers.tau,
        mechanics=design.mechanics(fitted.theta),
        theta=fitted.theta,
    )


def rank_pairs(
    fitted: Fit, answers: Answers, *, beside: Fit | None = None, fields: bool = True
) -> list[Pair]:
    """All pairs by what a flexible function of the feature explains, best first.

    Shares are of what `beside` leaves over, another fit of the same family; of `fitted` itself by
    default. With `fields`, points are looked at once more in the frames that fields ask for.
    Of pairs that explain the same within a per cent of what is left, the shorter comes first.
    """
    robot = fitted.family.bodies
    few = answers[: max(80, min(len(answers), _ROWS // robot.nv))]
    seen = whiten(fitted, few)
    total = (seen if beside is None else whiten(beside, few)).beyond_known
    pairs = _score(seen, robot, joint_places(robot), total)
    for r, point in enumerate(candidate_points(robot)):
        name = f"a point of body {point.body + 1}" + (f" ({r + 1})" if r else "")
        pairs += _score(seen, robot, point_places(robot.nv, point, name), total)
    clear = max((p.explained for p in pairs), default=1.0) > _CLEAR
    for term in fitted.family.terms if fields else ():
        if not term.physical and not term.tables:
            own = modulated(robot, term)
            pairs += [
                replace(p, replaces=term, start=None) for p in _score(seen, robot, own, total)
            ]
    for framed in framed_points(fitted, answers) if fields and not clear else ():
        places = point_places(robot.nv, framed.point, framed.name)
        pairs += _score(whiten(replace(fitted, theta=framed.theta), few), robot, places, total)
    return in_order(pairs)


def in_order(pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs by merit, each once: the best that was seen of it."""
    found: dict[str, Pair] = {}
    for p in sorted(pairs, key=lambda x: -x.explained):
        found.setdefault(p.name, p)
    kept = list(found.values())
    # Counting symbols takes longer than fitting: only for those that could come first.
    first = sorted(kept[:_COUNTED], key=lambda x: (-_merit(x), x.cost, x.name))
    return first + kept[_COUNTED:]


def modulated(robot: Robot, term: Term) -> Places:
    """A term of the law as a carrier, and what it may be a function of besides."""
    features = list(joint_places(robot).features)
    if term.points:
        features += point_places(robot.nv, term.points[0], "its point").features
    one = [f for f in features if f.slots == 1]
    return Places((Carrier(f"({term.name})", term.shape, term.points),), tuple(one))


def _merit(pair: Pair) -> float:
    """log of the share that is left, minus a price for symbols."""
    return -math.log(max(1.0 - pair.explained, 1e-7)) - 0.02 * pair.cost


def _score(seen: Whitened, robot: Robot, places: Places, total: float) -> list[Pair]:
    nv = robot.nv
    rows = torch.nan_to_num(seen.evaluate([c.term() for c in places.carriers], robot))
    alone = [f for f in places.features if f.slots == 1]
    z = torch.nan_to_num(seen.evaluate([f.term(nv) for f in alone], robot)[:, 0])
    # What does not vary, as the height of a point that moves in a plane, is rounding.
    varies = z.std(0) > _STILL * z.std(0).max()
    alone = [f for f, v in zip(alone, varies.tolist(), strict=True) if v]
    z = z[:, varies]
    pushed = seen.inverse @ rows  # (n, nv, carriers)
    U, y, own = seen.known, seen.rest, seen.beyond_known
    if total == 0.0:
        return []
    bases = [Basis.over(z[:, f], _COARSE) for f in range(z.shape[1])]
    width = _COARSE + 2
    B = z.new_zeros(len(bases), len(z), width)
    for f, basis in enumerate(bases):
        B[f, :, : basis.size] = basis(z[:, f])
    n_rows = y.numel() - U.shape[-1]
    pairs = []

    def judge(
        carrier: Carrier, features: Sequence[Feature], gram: Tensor, spanned: Tensor, target: Tensor
    ) -> None:
        gram = gram - spanned.mT @ spanned
        size = gram.diagonal(dim1=1, dim2=2).amax(-1).clamp_min(1e-300)
        values, vectors = torch.linalg.eigh(gram / size[:, None, None])
        along = torch.einsum("fmk,fm->fk", vectors, target)
        usable = values > _EIGEN
        gain = torch.where(usable, along.square() / values.clamp_min(_EIGEN), 0.0).sum(-1) / size
        rest, counts = ((own - gain) / total).tolist(), usable.sum(-1).tolist()
        for feature, left, used in zip(features, rest, counts, strict=True):
            left = max(left, 0.0) * n_rows / max(n_rows - used, 1)
            share = 1.0 - left
            pairs.append(Pair(carrier=carrier, feature=feature, explained=share, start=seen.theta))

    for k, carrier in enumerate(places.carriers):
        x = pushed[:, :, k]
        weight = x.square().sum(-1)
        if float(weight.sum()) <= 0:
            continue
        gram = (B * weight[:, None]).mT @ B
        spanned = torch.einsum("nip,ni->np", U, x).T @ B  # (features, p, width)
        judge(carrier, alone, gram, spanned, torch.einsum("fnm,n->fm", B, (x * y).sum(-1)))
    for feature in (f for f in places.features if f.slots > 1):
        each = torch.nan_to_num(seen.evaluate([feature.term(nv)], robot)[..., 0])
        basis = Basis.over(each.flatten(), _COARSE)
        values = basis(each.flatten()).reshape(*each.shape, -1)  # (n, nv, width)
        for k, carrier in enumerate(places.carriers):
            if carrier.alike:
                columns = (seen.inverse @ (rows[..., k, None] * values)).flatten(0, 1)
                spanned = U.flatten(0, 1).T @ columns
                judge(
                    carrier,
                    [feature],
                    (columns.T @ columns)[None],
                    spanned[None],
                    (columns.T @ y.flatten())[None],
                )
    return pairs


def _moved(pair: Pair, place: Tensor) -> Pair:
    """The pair with its point elsewhere on the body."""
    points = pair.carrier.points or pair.feature.points
    moved = (points[0].moved(place.tolist()),)
    return replace(
        pair,
        carrier=replace(pair.carrier, points=moved),
        feature=replace(pair.feature, points=moved),
    )


def _place(pair: Pair) -> Tensor:
    points = pair.carrier.points or pair.feature.points
    return torch.tensor([x for p in points for x in p.numbers], dtype=torch.float64)


def _added(fitted: Fit, answers: Answers, pair: Pair, basis: Basis) -> Added:
    """The pair's flexible function as columns; its point, where it has one, as constants."""
    robot = fitted.family.bodies
    terms = [pair.carrier.term(), pair.feature.term(robot.nv)]
    names = terms[0].names | terms[1].names
    q, v = evaluation_point(answers, fitted.family.robot, fitted.integrator, fitted.dt)
    moving = any(n[0] in "ah" for n in names)
    of_bodies = needs_mechanics(names)
    kept: list[Tensor] = []

    def columns(mechanics: Mechanics, a: Tensor, place: Tensor) -> Tensor:
        if kept:
            return kept[0]
        own = terms
        if len(place):
            there = _moved(pair, place)
            own = [there.carrier.term(), there.feature.term(robot.nv)]
        x = forces(own, q, v, a, answers.tau, robot, mechanics)
        z = x[:, : pair.feature.slots, 1]
        out = x[..., :1] * basis(z.flatten()).reshape(*z.shape, -1)
        if not moving and not of_bodies and not len(place):
            kept.append(out)
        return out

    return Added(
        columns=columns,
        size=basis.size,
        of_bodies=of_bodies,
        of_acceleration=moving,
        affine=not any(n[0] in "ah" for n in terms[1].names)
        and not terms[0].nonlinear_in_acceleration,
    )


def _basis(fitted: Fit, answers: Answers, pair: Pair, knots: int) -> Basis:
    robot = fitted.family.bodies
    seen = whiten(fitted, answers)
    z = seen.evaluate([pair.feature.term(robot.nv)], robot)[:, : pair.feature.slots, 0]
    return Basis.over(z[torch.isfinite(z)], knots)


def _held_at(added: Added, place: Tensor) -> Columns:
    """The columns with their point where it is."""
    return lambda mechanics, a, _: added.columns(mechanics, a, place)


def fit_pair(
    fitted: Fit,
    answers: Answers,
    held: Answers,
    pair: Pair,
    *,
    knots: int = _FINE,
    iterations: int = 6,
) -> Smooth:
    """The pair's flexible function and the bodies, fitted; and its error on held-out answers.

    A point on a body is moved to where it fits best; the function is then laid anew.
    """
    theta = fitted.theta if pair.start is None else pair.start
    fitted = replace(fitted, theta=theta)
    place, none = _place(pair), theta.new_zeros(0)
    for count in (_ROUGH, knots) if len(place) else (knots,):
        basis = _basis(fitted, answers, pair, count)
        added = _added(fitted, answers, pair, basis)
        problem, c = JointProblem(fitted, answers, added), theta.new_zeros(basis.size)
        if len(place):
            fixed = replace(added, columns=_held_at(added, place))
            start = JointProblem(fitted, answers, fixed).solve(theta, c, none, 3)
            theta, c = start.theta, start.coefficients
        start = problem.solve(theta, c, place, iterations + 4 * (len(place) // 3))
        if len(place):
            theta, place = start.theta, start.constants
            pair = _moved(pair, place)
    tested = JointProblem(fitted, held, _added(fitted, held, pair, basis))
    kappa = start.constants if len(start.constants) else place
    result, _ = tested.at(start.theta, start.coefficients, kappa)
    r = torch.nan_to_num(result.residual, nan=float("inf"))
    return Smooth(
        pair=pair,
        basis=basis,
        joined=replace(start, constants=kappa),
        held_out=float(r.square().mean().sqrt()),
        problem=problem,
    )
