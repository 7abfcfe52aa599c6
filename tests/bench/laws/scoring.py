"""Is an identified law the planted one? Scored by numbers, on states that were not queried.

*Structure*: functions of the identified features, along the identified force directions, span the
planted force (up to what bodies can produce), and the law predicts inside the region. So an
equivalent law in another form counts, and so do the right direction and feature with an inexact
function. A law that is no force beside the bodies (input/output nonlinearities, surrogate
trigonometry) counts if it predicts inside and far out. *Closed form*: no tabulated function, and
the planted simulator is predicted far out to a relative 0.002.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

import kinematics
from discover.blackbox import sampling
from discover.blackbox.contract import Answers, relative_error
from discover.blackbox.region import Region
from discover.laws.extensions.tabulated import Basis
from discover.laws.extensions.terms import Term, forces, joint_terms
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit
from discover.laws.search.force_directions import (
    Feature,
    ForceDirection,
    joint_candidates,
    point_candidates,
)
from discover.laws.search.variables import Mechanics
from kinematics import Robot

CLOSED = 2e-3  # relative error far out of a law in closed form
_SPANNED = 0.99  # share of the planted force that the found structure must be able to make up
_WORTH = 0.15  # times the rigid body's error inside, the error of a law that has the structure
_TELLS = 0.2  # times the rigid body's error far out, the error of a table that predicts there
_FAR = (2.5, 3.0)
_STATES, _KNOTS = 1200, 40
_POINT = re.compile(
    r"a point of body \d+(?: \(\d+\)|, from an anchor|, in a flow|, in axes turned by its \w+"
    r"|, settled by its \w+)?"
)


@dataclass(frozen=True, kw_only=True)
class Score:
    """Score of an identified law; errors are relative, on noise-free answers to new states.

    spanned    share of the planted force in the span of force directions × functions of features
    inside, far          errors of the law in the region, and at 2.5 to 3 half-widths
    bodies_inside, bodies_far   errors of the best rigid bodies with joint terms
    """

    structure: bool
    closed: bool
    tabulated: bool
    predictive: bool
    spanned: float
    inside: float
    far: float
    bodies_inside: float
    bodies_far: float
    found: list[str]

    def record(self) -> dict:
        """JSON-able."""
        return asdict(self)


def score(law: Callable | None, truth: Callable, robot: Robot, region: Region) -> Score:
    """Score `law`, an exam's law or None, against the noise-free simulator `truth`."""
    box = region.resolve(robot.nv)
    inner = _answers(truth, sampling.sample(box, robot, _STATES, 90210))
    outer = _answers(truth, sampling.shell(box, robot, 300, *_FAR, axis="joint", seed=90211))
    plain = Family.of(robot, joint_terms(robot))
    bodies = fit(plain, inner[:600])
    errors = {
        "bodies_inside": relative_error(bodies.predict(inner.q, inner.v, inner.tau), inner.a),
        "bodies_far": relative_error(bodies.predict(outer.q, outer.v, outer.tau), outer.a),
    }
    inside = far = float("inf")
    extra: tuple[Term, ...] = ()
    spanned = 0.0
    if law is not None:
        inside = relative_error(law(inner.q, inner.v, inner.tau), inner.a)
        far = relative_error(law(outer.q, outer.v, outer.tau), outer.a)
        extra = tuple(getattr(law, "extra", ()))
        if extra:
            spanned = span(robot, extra, inner, plain)
    around = tuple(getattr(law, "non_additive", ()))
    tabulated = any(x.tables for x in (*extra, *around))
    altered = bool(extra or around)
    closed = altered and not tabulated and far < CLOSED and inside < CLOSED
    predictive = altered and far <= _TELLS * errors["bodies_far"]
    placed = predictive if around else spanned >= _SPANNED
    good = placed and inside <= _WORTH * errors["bodies_inside"]
    return Score(
        structure=closed or good,
        closed=closed,
        tabulated=tabulated,
        predictive=predictive,
        spanned=spanned,
        inside=inside,
        far=far,
        found=[*(told(t) for t in extra), *(x.description for x in around)],
        **errors,
    )


def span(robot: Robot, extra: tuple[Term, ...], answers: Answers, plain: Family) -> float:
    """Share of the planted force in the span of force directions × functions of features.

    Forces are weighted by their effect on accelerations, and projected orthogonally to what bodies
    and joint terms can produce.
    """
    x = answers
    H = kinematics.crba(robot, x.q)
    scale = x.a.square().mean(0).sqrt()
    rest = x.tau - (H @ x.a.unsqueeze(-1)).squeeze(-1) - kinematics.bias(robot, x.q, x.v)

    def white(columns: Tensor) -> Tensor:
        out = torch.linalg.solve(H, columns) / scale[:, None]
        return torch.nan_to_num(out).flatten(0, 1)

    Y = kinematics.regressor(robot, x.q, x.v, x.a) @ plain.basis
    joints = forces(plain.terms, x.q, x.v, x.a, x.tau, robot)
    U = _orthonormal(white(torch.cat([Y, joints], -1)))
    y = white(rest.unsqueeze(-1))[:, 0]
    y = y - U @ (U.T @ y)
    parts = []
    for term in extra:
        direction, feature = structure_of(term, robot)
        words = [direction.term(), feature.term(robot.nv)]
        mechanics = Mechanics.of(robot, x.q, x.v, words[0].names | words[1].names)
        both = forces(words, x.q, x.v, x.a, x.tau, robot, mechanics)
        z = torch.nan_to_num(both[:, : feature.slots, 1])
        values = Basis.over(z.flatten(), _KNOTS)(z.flatten()).reshape(*z.shape, -1)
        parts.append(both[..., :1] * values)
    directions = white(torch.cat(parts, -1))
    directions = _orthonormal(directions - U @ (U.T @ directions))
    left = y - directions @ (directions.T @ y)
    return 1.0 - float(left.square().sum() / y.square().sum().clamp_min(1e-300))


def structure_of(term: Term, robot: Robot) -> tuple[ForceDirection, Feature]:
    """Force direction and feature of an identified term by its name; a listed term itself and 1."""
    nv = robot.nv
    itself = ForceDirection(term.name, tuple(term.shape), term.points)
    constant = Feature("1", sum(x for row in term.shape for x in row.free_symbols) * 0)
    if term.points:
        point = _POINT.search(term.name)
        places = point_candidates(nv, term.points[0], point.group() if point else "a point")
    else:
        places = joint_candidates(robot)
    directions = {c.name: c for c in places.directions}
    features = {f.name: f for f in places.features}
    direction, _, feature = term.name.partition(", function of ")
    if direction in directions and feature in features:
        return directions[direction], features[feature]
    return directions.get(term.name, itself), constant


def told(term: Term) -> str:
    """A term in words and, rounded, as a formula."""
    rows = [str(row.evalf(4)) for row in term.shape if row != 0]
    return f"{term.name}: {term.coefficient:.4g} · {rows[0]}"


def _answers(truth: Callable, states: sampling.Batch) -> Answers:
    return Answers(q=states.q, v=states.v, tau=states.tau, a=truth(*states))


def _orthonormal(A: Tensor) -> Tensor:
    norms = A.norm(dim=0)
    U, s, _ = torch.linalg.svd(A / torch.where(norms > 0, norms, 1.0), full_matrices=False)
    return U[:, s > 1e-7 * s[0]] if len(s) and float(s[0]) > 0 else U[:, :0]
