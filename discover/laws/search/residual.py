"""What a law leaves over: on which carrier does it act, and of which scalar is it a function?

Every pair carrier × feature is given a flexible function of the feature. The columns are brought to
acceleration units, what the bodies can explain is projected out of them, and pairs are ranked by
what they explain. The best are then fitted together with the bodies (`pair_fit`), and ranked again
by what they predict.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from discover.blackbox.contract import Answers
from discover.laws.extensions.terms import Term, scalar_coordinates
from discover.laws.rigid_body.fit import Fit, Whitened, whiten
from discover.laws.search.force_directions import (
    SMALL,
    Carrier,
    Places,
    candidate_points,
    joint_places,
    point_places,
    single_places,
)
from discover.laws.search.point_forces import framed_points
from discover.laws.search.ranking import Pair, explained_pairs
from kinematics import Robot

_COUNTED = 600  # pairs whose symbols are counted
_ROWS = 1500  # rows (states × joints) that ranking looks at
_CLEAR = 0.97  # a pair that explains this share needs no other look


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
    first = coordinates_that_matter(seen, robot)
    pairs = explained_pairs(seen, robot, joint_places(robot, first), total)
    for r, point in enumerate(candidate_points(robot)):
        name = f"a point of body {point.body + 1}" + (f" ({r + 1})" if r else "")
        pairs += explained_pairs(seen, robot, point_places(robot.nv, point, name), total)
    clear = max((p.explained for p in pairs), default=1.0) > _CLEAR
    for term in fitted.family.terms if fields else ():
        if not term.physical and not term.tables:
            own = modulated(robot, term, first)
            pairs += [
                replace(p, replaces=term, start=None)
                for p in explained_pairs(seen, robot, own, total)
            ]
    for framed in framed_points(fitted, answers) if fields and not clear else ():
        places = point_places(robot.nv, framed.point, framed.name)
        pairs += explained_pairs(
            whiten(replace(fitted, theta=framed.theta), few), robot, places, total
        )
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


def coordinates_that_matter(seen: Whitened, robot: Robot) -> tuple[int, ...]:
    """All coordinates, those first that a force acts on, or is a function of, by first sight; ()
    for the few of which all pairs are looked at.

    On how much a force of any kind could explain there, beyond what a direction at random would;
    and on what functions of one variable do.
    """
    nv = robot.nv
    if nv <= SMALL:
        return ()
    y, total = seen.rest, max(seen.beyond_known, 1e-300)
    along = torch.einsum("nij,ni->nj", seen.inverse, y).square()
    share = (along / seen.inverse.square().sum(1).clamp_min(1e-300)).sum(0) / total
    merit = ((share - 1.0 / nv) / (1.0 - 1.0 / nv)).tolist()
    places, told = single_places(nv, tuple(scalar_coordinates(robot)))
    for p in explained_pairs(seen, robot, places, total):
        for name in (p.carrier.name, p.feature.name):
            merit[told[name]] = max(merit[told[name]], p.explained)
    return tuple(sorted(range(nv), key=lambda j: -merit[j]))


def modulated(robot: Robot, term: Term, first: Sequence[int] = ()) -> Places:
    """A term of the law as a carrier, and what it may be a function of besides."""
    features = list(joint_places(robot, first).features)
    if term.points:
        features += point_places(robot.nv, term.points[0], "its point").features
    one = [f for f in features if f.slots == 1]
    return Places((Carrier(f"({term.name})", term.shape, term.points),), tuple(one))


def _merit(pair: Pair) -> float:
    """log of the share that is left, minus a price for symbols."""
    return -math.log(max(1.0 - pair.explained, 1e-7)) - 0.02 * pair.cost
