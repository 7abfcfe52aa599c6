"""A pair direction × feature: its flexible function fitted together with the bodies."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.judgement.thresholds import whole
from discover.laws.extensions.tabulated import Basis
from discover.laws.extensions.terms import forces, frames_at
from discover.laws.rigid_body.fit import Fit, evaluation_point, whiten
from discover.laws.rigid_body.joint_fit import Added, Columns, Joined, JointProblem
from discover.laws.search.force_directions import RATIO
from discover.laws.search.ranking import Pair
from discover.laws.search.variables import Mechanics, needs_mechanics

STEPS = whole("search.pair_steps")
_FINE = whole("search.pair_knots")
PAIR_COLUMNS = _FINE + 2  # with the jump and the kink
_ROUGH = whole("search.point_knots")


@dataclass(frozen=True, kw_only=True)
class FlexiblePair:
    """A pair with its flexible function, fitted together with the bodies."""

    pair: Pair
    basis: Basis
    joined: Joined
    held_out: float
    problem: JointProblem


def _place(pair: Pair) -> Tensor:
    return torch.tensor(pair.numbers, dtype=torch.float64)


def _added(fitted: Fit, answers: Answers, pair: Pair, basis: Basis) -> Added:
    """The pair's flexible function as columns; its points, where it has any, as constants."""
    robot = fitted.family.bodies
    terms, open_terms = pair.parts, pair.with_symbols.parts
    names = set().union(*(t.names for t in terms))
    q, v = evaluation_point(answers, fitted.family.robot, fitted.step)
    moving = any(n[0] in "ah" for n in names)
    of_bodies = needs_mechanics(names)
    frames = frames_at(robot, pair.points, q)
    kept: list[Tensor] = []

    def columns(mechanics: Mechanics, a: Tensor, place: Tensor) -> Tensor:
        if kept:
            return kept[0]
        pair_terms, constants = terms, {}
        if len(place) and pair.ridge is not None:
            pair_terms, constants = open_terms, {RATIO.name: float(place[0])}
        elif len(place):
            pair_terms = pair.moved(place.tolist()).parts
        given = (q, v, a, answers.tau, robot, mechanics, constants, frames)
        x = forces(pair_terms, *given)
        z = x[..., : pair.feature.slots, 1]
        out = x[..., :1] * basis(z.flatten()).reshape(*z.shape, -1)
        if pair.slope is not None:
            out = out + x[..., 2:] * basis.slopes(z.flatten()).reshape(*z.shape, -1)
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
    whitened = whiten(fitted, answers)
    z = whitened.evaluate([pair.feature.term(robot.nv)], robot)[:, : pair.feature.slots, 0]
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
    iterations: int = STEPS,
) -> FlexiblePair:
    """The pair's flexible function and the bodies, fitted; and its error on held-out answers.

    A point on a body is moved to where it fits best; the function is then laid anew. The ratio of a
    sum is fitted along.
    """
    theta = fitted.theta if pair.start is None else pair.start
    fitted = replace(fitted, theta=theta)
    place, none = _place(pair), theta.new_zeros(0)
    knots = pair.knots or knots
    for count in (_ROUGH, knots) if pair.points else (knots,):
        basis = _basis(fitted, answers, pair, count)
        added = _added(fitted, answers, pair, basis)
        problem, c = JointProblem(fitted, answers, added), theta.new_zeros(basis.size)
        if len(place):
            fixed = replace(added, columns=_held_at(added, place))
            start = JointProblem(fitted, answers, fixed).solve(theta, c, none, 3)
            theta, c = start.theta, start.coefficients
        steps, least = iterations + 4 * (len(place) // 3), pair.least_damping
        start = problem.solve(theta, c, place, steps, least=least)
        if len(place):
            theta, place = start.theta, start.constants
            pair = pair.moved(place.tolist())
    tested = JointProblem(fitted, held, _added(fitted, held, pair, basis))
    kappa = start.constants if len(start.constants) else place
    result = tested.at(start.theta, start.coefficients, kappa)
    r = torch.nan_to_num(result.residual, nan=float("inf"))
    return FlexiblePair(
        pair=pair,
        basis=basis,
        joined=replace(start, constants=kappa),
        held_out=float(r.square().mean().sqrt()),
        problem=problem,
    )
