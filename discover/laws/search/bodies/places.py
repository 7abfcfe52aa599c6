"""Places of points, fitted while everything that is linear is projected out.

The residual of a law is explained by direction × φ(feature), φ a polynomial of low degree, so that
it does not hide that a place is wrong. Its coefficients and what the bodies could do are projected
out; what is left is a function of the places alone, minimised by least squares from several starts
(variable projection).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.terms import forces, frames_at, scalar_coordinates
from discover.laws.rigid_body.fit import Fit, Whitened, whiten
from discover.laws.search.bodies.grammar import (
    Candidate,
    along_distance,
    at_point,
    moving_masses,
)
from discover.laws.search.force_directions import candidate_points
from discover.laws.search.ranking import Pair, explained_pairs, ranked_pairs
from discover.laws.search.variables import Frames, Point, frames_of
from kinematics import Robot

_ROWS = whole("search.place_rows")
_STARTS = whole("search.place_starts")
_GOING_ON = whole("search.places_begun")
_EVALUATIONS = whole("search.place_evaluations")
_DEGREE = whole("search.place_degree")
_FAR = threshold("search.place_reach")
# of what is needed: what a pair explains where it starts, and after a few steps
_HOPEFUL = (threshold("search.place_begins"), threshold("search.place_goes_on"))


@dataclass(frozen=True)
class Screen:
    """A law's residual at some answers, what its bodies could make of it projected out."""

    whitened: Whitened
    robot: Robot

    @classmethod
    def of(cls, fitted: Fit, answers: Answers) -> Screen:
        """On as many answers as places are sought with."""
        robot = fitted.family.bodies
        few = answers.evenly(max(80, _ROWS // robot.nv))
        return cls(whiten(fitted, few), robot)

    @functools.cached_property
    def frames(self) -> Frames:
        """Those of all bodies: they do not move with the places."""
        everywhere = [Point(k, (0.0, 0.0, 0.0)) for k in range(self.robot.nb)]
        return frames_at(self.robot, everywhere, self.whitened.q)

    def columns(self, pair: Pair, smooth: Callable) -> np.ndarray:
        """What a pair's flexible function may add to the residual, (rows, m), beyond the bodies.

        smooth  z (n,) -> its functions and their slopes, each (n, m)
        """
        w = self.whitened
        x = forces(pair.parts, w.q, w.v, w.a, w.tau, self.robot, w.mechanics, frames=self.frames)
        values, slopes = smooth(x[:, 0, 1])
        made = x[..., :1] * values[:, None]
        if pair.slope is not None:
            made = made + x[..., 2:] * slopes[:, None]
        rows = torch.nan_to_num(w.inverse @ made).flatten(0, 1)
        U = w.known.flatten(0, 1)
        return (rows - U @ (U.T @ rows)).numpy()

    def left(self, pair: Pair, smooth: Callable) -> tuple[np.ndarray, int]:
        """The residual that the pair leaves (rows,), and how many columns count."""
        y = self.whitened.rest.flatten().numpy()
        A = self.columns(pair, smooth)
        size = np.linalg.norm(A, axis=0)
        good = size > 1e-12 * max(float(size.max(initial=0.0)), 1e-300)
        if not good.any():
            return y, 0
        Q, R = np.linalg.qr(A[:, good] / size[good])
        Q = Q[:, np.abs(np.diag(R)) > 1e-6]
        return y - Q @ (Q.T @ y), Q.shape[1]

    def explained(self, pair: Pair, smooth: Callable) -> float:
        """The share of the residual that the pair explains, less what chance would."""
        w, (left, used) = self.whitened, self.left(pair, smooth)
        rows = w.rest.numel() - w.known.shape[-1]
        used += sum(len(p.numbers) for p in pair.points)
        return 1.0 - float(left @ left) / max(w.beyond_known, 1e-300) * rows / max(rows - used, 1)


def polynomial(degree: int) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Powers of z up to a degree, z in units of its size, and their slopes."""

    def smooth(z: Tensor) -> tuple[Tensor, Tensor]:
        size = z.abs().max().clamp_min(1e-12)
        u = z / size
        values = torch.stack([u**k for k in range(degree + 1)], -1)
        slopes = [torch.zeros_like(u), *(k * u ** (k - 1) / size for k in range(1, degree + 1))]
        return values, torch.stack(slopes, -1)

    return smooth


def settled(screen: Screen, pair: Pair, evaluations: int = _EVALUATIONS) -> Pair:
    """The pair with its places where they fit best near where they are."""
    from scipy.optimize import least_squares  # imported late: half a second

    smooth = polynomial(_DEGREE)
    start = np.array([x for p in pair.points for x in p.numbers])
    reach = _FAR * _length(screen.robot)
    bound = np.maximum(np.abs(start) + 1e-9, reach)

    def left(numbers: np.ndarray) -> np.ndarray:
        return screen.left(pair.moved(numbers.tolist()), smooth)[0]

    found = least_squares(left, start, bounds=(-bound, bound), max_nfev=evaluations, x_scale=0.3)
    moved = pair.moved(found.x.tolist())
    return replace(moved, explained=screen.explained(moved, smooth))


def distances(screen: Screen, theta: Tensor, needed: float = -math.inf) -> list[Pair]:
    """Forces along the distance of two points, of any two bodies or of a body and the base, their
    places settled; the best first.

    Every pair of bodies is tried from several starts; the best go on, as far as they may come to
    explain the share `needed` of the residual.
    """
    robot, smooth = screen.robot, polynomial(_DEGREE)
    begun: list[Pair] = []
    for bodies in [*((k,) for k in range(robot.nb)), *combinations(range(robot.nb), 2)]:
        tried = []
        for points in _starts(screen, bodies):
            pair = made(along_distance(robot, points, _name(bodies)), theta)
            tried.append(replace(pair, explained=screen.explained(pair, smooth)))
        begun += _best_of(tried, 2)
    return _best_of(_settled(screen, begun, 2 * _GOING_ON, needed))


def at_points(screen: Screen, theta: Tensor, needed: float = -math.inf) -> list[Pair]:
    """Forces, torques and moving masses at one point of a body, the most promising with their
    places settled.

    All are ranked at the places where bodies end, each with a flexible function of every scalar.
    """
    robot, w = screen.robot, screen.whitened
    pairs: list[Pair] = []
    for r, point in enumerate(candidate_points(robot)):
        name = f"a point of body {point.body + 1} ({r + 1})"
        pairs += explained_pairs(w, robot, at_point(robot, point, name), w.beyond_known)
        for j in scalar_coordinates(robot):
            for mass in moving_masses(robot, point, name, j):
                pairs.append(_ranked(screen, made(mass, theta)))
    # The best of each kind of force on each body.
    kinds: dict[tuple[str, int], Pair] = {}
    for p in ranked_pairs([p for p in pairs if p.explained >= _HOPEFUL[0] * needed]):
        kinds.setdefault((p.direction.name.split(" at ")[0], p.points[0].body), p)
    return ranked_pairs(_settled(screen, list(kinds.values()), 4 * _GOING_ON, needed))


def _ranked(screen: Screen, pair: Pair) -> Pair:
    return replace(pair, explained=screen.explained(pair, polynomial(_DEGREE)))


def _best_of(pairs: Sequence[Pair], count: int | None = None) -> list[Pair]:
    return sorted(pairs, key=lambda p: -p.explained)[:count]


def _settled(screen: Screen, pairs: Sequence[Pair], count: int, needed: float) -> list[Pair]:
    """The best `count` pairs with their places moved a little, the best of these to the end.

    A pair that explains so little, where it starts or after a few steps, that its best place will
    not make it explain the share `needed` goes no further.
    """
    steps = ((count, 6), (_GOING_ON, _EVALUATIONS))
    for (most, evaluations), share in zip(steps, _HOPEFUL, strict=True):
        hopeful = [p for p in pairs if p.explained >= share * needed]
        pairs = [settled(screen, p, evaluations) for p in _best_of(hopeful, most)]
    return list(pairs)


def made(candidate: Candidate, theta: Tensor, explained: float = 0.0) -> Pair:
    """A candidate as a pair, seen beside the bodies theta."""
    return Pair(
        direction=candidate.direction,
        feature=candidate.feature,
        slope=candidate.slope,
        explained=explained,
        start=theta,
    )


def _name(bodies: Sequence[int]) -> str:
    one, *other = (f"a point of body {k + 1}" for k in bodies)
    return f"{one} from {other[0] if other else 'an anchor of the base'}"


def _length(robot: Robot) -> float:
    """The mean length of a body [m]."""
    lengths = [float(o.norm()) for o in robot.tree_offset if float(o.norm()) > 1e-9]
    return sum(lengths) / len(lengths) if lengths else 0.3


def _starts(screen: Screen, bodies: Sequence[int]) -> list[tuple[Point, ...]]:
    """Places to start from: low-discrepancy draws about the bodies, and about where they are."""
    length = _length(screen.robot)
    draws = torch.quasirandom.SobolEngine(6).draw(_STARTS, dtype=torch.float64).numpy()
    draws = 2.0 * length * (draws - 0.5)
    if len(bodies) == 2:
        return [
            (Point(bodies[0], tuple(d[:3])), Point(bodies[1], tuple(d[3:]))) for d in draws.tolist()
        ]
    middle = _middle(screen, bodies[0])
    anchors = middle + draws[:, 3:]
    return [
        (Point(bodies[0], tuple(place), origin=tuple(anchor)),)
        for place, anchor in zip(draws[:, :3].tolist(), anchors.tolist(), strict=True)
    ]


def _middle(screen: Screen, body: int) -> np.ndarray:
    """Where a body's origin is on average [m]: (3,)."""
    q = screen.whitened.q.unbind(-1)
    origin = frames_of(screen.robot, {body}, q, torch.sin, torch.cos)[body][1]
    return np.array([float(torch.as_tensor(x, dtype=torch.float64).mean()) for x in origin])
