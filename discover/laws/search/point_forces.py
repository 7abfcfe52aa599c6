"""Point forces: the field of a force at a point of a body, and the frame in which it is simple.

The residual is fitted with a general field of forces there, a polynomial of the point's place or of
its velocity. Its values tell whether they lie along one line (a wall, a drag that acts one way),
point to one centre (a spring to an anchor, a magnet) or along the velocity relative to something
that moves (wind). The frames are starts: forces in them are ranked with all other candidates.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement, product

import torch
from torch import Tensor

from discover import numerics
from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.terms import forces, frames_at
from discover.laws.rigid_body.fit import Fit, design_of, evaluation_point
from discover.laws.rigid_body.joint_fit import Added, JointProblem
from discover.laws.search.force_directions import ForceCandidates, ForceDirection, point_candidates
from discover.laws.search.variables import AXES, Frames, Mechanics, Point, Triple, has_points
from kinematics import Robot

_DEGREE = whole("search.field_degree")
_HIGH = {  # by varying components
    1: whole("search.field_degrees_1"),
    2: whole("search.field_degrees_2"),
    3: whole("search.field_degrees_3"),
}
_STILL = 1e-6  # a coordinate that spreads less than this beside the others does not vary
_FEW, _ROWS = whole("search.field_rows"), whole("search.field_fit_rows")
_TURNS = whole("search.field_steps")
_DAMPING = 1e-4  # a field may say almost what bodies say
_SAME = 1e-9  # shares that differ by less are the same
_CUT = 1e-6  # relative singular value below which a direction of the field is not seen
_SHARE = threshold("search.field_share")
_ALONG = threshold("search.turned_axes")


@dataclass(frozen=True)
class Framed:
    """A point with the frame that the field at it asks for, and bodies fitted beside that field."""

    name: str
    point: Point
    theta: Tensor


def points_in_frames(fitted: Fit, answers: Answers) -> list[Framed]:
    """Points worth a look, as they are and in the frames that the fields at them ask for."""
    robot = fitted.family.bodies
    if not has_points(robot):
        return []
    few = answers[: max(80, _FEW // robot.nv)]
    answers = answers[: max(80, _ROWS // robot.nv)]
    framed = []
    for what in ("place", "velocity"):
        share, start = max(
            (_promise(fitted, few, body, what) for body in range(robot.nb)), key=lambda x: x[0]
        )
        if share < _SHARE:
            continue
        theta, point, x, force = _settled(fitted, answers, start, what)
        if not bool(torch.isfinite(force).all() & torch.isfinite(theta).all()):
            continue
        body = f"a point of body {point.body + 1}"
        framed.append(Framed(f"{body}, settled by its {what}", point, theta))
        turn = _turn_to(_line(force))
        if turn is not None:
            name = f"{body}, in axes turned by its {what}"
            framed.append(Framed(name, replace(point, turn=turn), theta))
        centre = _centre(x, force, robot.gravity)
        if what == "place":
            framed.append(Framed(f"{body}, from an anchor", replace(point, origin=centre), theta))
        else:
            framed.append(Framed(f"{body}, in a flow", replace(point, flow=centre), theta))
    return framed


def _promise(fitted: Fit, answers: Answers, body: int, what: str) -> tuple[float, Point]:
    """The best point of a coarse grid on a body: the share of what the law leaves over that a
    field there explains, with the bodies of the law."""
    family, law = fitted.family, fitted
    design = design_of(family, answers, law.step)
    r = torch.nan_to_num(law.residual(answers))
    known = design.columns(answers.a - r * law.scale)
    inverse = numerics.pinv(design.inertia(law.theta)) / law.scale[:, None]
    U = numerics.orthonormal((inverse @ known).flatten(0, 1))
    y = r.flatten()
    y = y - U @ (U.T @ y)
    total = float(y.square().sum())
    best = (0.0, Point(body, (0.0, 0.0, 0.0)))
    frames = _frames(law, answers, best[1])
    for place in _grid(family.bodies, body):
        point = Point(body, place)
        x, pulls = _seen(law, answers, point, what, frames)
        columns = _columns(inverse @ pulls, _Monomials.over(x, what, _DEGREE)(x)).flatten(0, 1)
        columns = columns - U @ (U.T @ columns)
        gram, along = columns.T @ columns, columns.T @ y
        values, vectors = numerics.eigh(gram)
        keep = values > _CUT * values[-1].clamp_min(1e-300)
        gain = float(((vectors[:, keep].T @ along).square() / values[keep]).sum())
        # As many columns as a field has explain something of anything: they are paid for.
        free = max(len(y) - U.shape[1], 1)
        left = (total - gain) * free / max(free - int(keep.sum()), 1)
        if total > 0 and 1.0 - left / total > best[0] + _SAME:
            best = 1.0 - left / total, point
    return best


def _grid(robot: Robot, body: int) -> list[Triple]:
    """Places on a body to start from: out to a length of the robot, less far along its axis."""
    lengths = [float(o.norm()) for o in robot.tree_offset if float(o.norm()) > 1e-9]
    length = sum(lengths) / len(lengths) if lengths else 0.3
    along = int(robot.axes[body].abs().argmax())
    steps = [(0.0,) if i == along and body == 0 else (-0.6, 0.0, 0.6) for i in range(3)]
    # The middle first: what does not matter stays there.
    grid = sorted(product(*steps), key=lambda x: sum(c * c for c in x))
    return [(length * x, length * y, length * z) for x, y, z in grid]


def _settled(
    fitted: Fit, answers: Answers, point: Point, what: str
) -> tuple[Tensor, Point, Tensor, Tensor]:
    """Bodies, place and field fitted: (theta, the point, its x or dx (n, 3), the forces (n, 3))."""
    frames = _frames(fitted, answers, point)
    monomials = _Monomials.over(_seen(fitted, answers, point, what, frames)[0], what)

    def columns(_: Mechanics, a: Tensor, place: Tensor) -> Tensor:
        x, pulls = _seen(fitted, answers, point.moved(place.tolist()), what, frames)
        return _columns(pulls, monomials(x))

    size = 3 * monomials(torch.zeros(1, 3, dtype=torch.float64)).shape[1]
    added = Added(
        columns=columns, size=size, of_bodies=False, of_acceleration=False, affine=True
    )  # fmt: skip
    theta, place = fitted.theta, torch.tensor(point.place, dtype=torch.float64)
    problem, none = JointProblem(fitted, answers, added), theta.new_zeros(size)
    # What a force does is nearly odd in its place: the opposite one may be the better start.
    both = [problem.solve(theta, none, x, _TURNS, damping=_DAMPING) for x in (place, -place)]
    joined = min(both, key=lambda j: j.error)
    point = point.moved(joined.constants.tolist())
    x, _ = _seen(fitted, answers, point, what, frames)
    return joined.theta, point, x, monomials(x) @ joined.coefficients.reshape(3, -1).T


def _frames(law: Fit, answers: Answers, point: Point) -> Frames:
    q, _ = evaluation_point(answers, law.family.robot, law.step)
    return frames_at(law.family.bodies, [point], q)


def _seen(
    law: Fit, answers: Answers, point: Point, what: str, frames: Frames
) -> tuple[Tensor, Tensor]:
    """A point's place or velocity (n, 3), and the joint forces of unit forces there (n, nv, 3)."""
    robot = law.family.bodies
    q, v = evaluation_point(answers, law.family.robot, law.step)
    places = _places(robot.nv, point.body)
    features = {f.name: f for f in places.features}
    terms = [_direction_along(places.directions, n).term() for n in AXES]
    before = "speed along " if what == "velocity" else ""
    terms += [features[f"{before}{n} of a point"].term(robot.nv) for n in AXES]
    terms = [replace(t, points=(point,)) for t in terms]
    zero = torch.zeros_like(v)
    values = forces(terms, q, v, zero, answers.tau, robot, frames=frames)
    return values[:, 0, 3:], values[..., :3]


@functools.lru_cache(maxsize=64)
def _places(nv: int, body: int) -> ForceCandidates:
    return point_candidates(nv, Point(body, (0.0, 0.0, 0.0)), "a point")


def _columns(pulls: Tensor, B: Tensor) -> Tensor:
    """Forces of every component times every function of the field: (n, nv, 3 m)."""
    return torch.einsum("nic,nm->nicm", pulls, B).flatten(2)


def _direction_along(directions: Sequence[ForceDirection], axis: str) -> ForceDirection:
    return next(c for c in directions if c.name == f"force along {axis} at a point")


@dataclass(frozen=True)
class _Monomials:
    """Products of up to `degree` varying components, in units of their spread; for velocities also
    their size times the shorter ones, for drags that are not smooth at rest."""

    varies: Tensor
    middle: Tensor
    size: Tensor
    degree: int
    kinked: bool

    @classmethod
    def over(cls, x: Tensor, what: str, degree: int | None = None) -> _Monomials:
        """For a sample x (n, 3)."""
        spread, kinked = x.std(0), what == "velocity"
        middle = torch.zeros_like(spread) if kinked else x.mean(0)
        varies = spread > max(_STILL * float(spread.max()), 1e-12)
        size = (x - middle).square().mean(0).sqrt()
        most = _DEGREE if kinked else _HIGH[max(1, int(varies.sum()))]
        return cls(varies, middle, size, degree or most, kinked)

    def __call__(self, x: Tensor) -> Tensor:
        """(n, 3) to (n, m)."""
        z = ((x - self.middle) / self.size)[:, self.varies]
        columns = [torch.ones_like(x[:, 0])]
        for degree in range(1, self.degree + 1):
            for chosen in combinations_with_replacement(range(z.shape[1]), degree):
                columns.append(z[:, list(chosen)].prod(-1))
        B = torch.stack(columns, -1)
        if not self.kinked:
            return B
        return torch.cat([B, z.norm(dim=-1, keepdim=True) * B[:, : 1 + z.shape[1]]], -1)


def _line(force: Tensor) -> Tensor:
    """The direction along which the forces vary most, a unit vector."""
    return numerics.svd(force - force.mean(0))[2][0]


def _turn_to(direction: Tensor) -> Triple | None:
    """The rotation vector that takes the x axis to a direction; None where it is an axis."""
    if float(direction[0]) < 0:
        direction = -direction
    if float(direction.abs().max()) > 1 - 0.5 * _ALONG**2:
        return None
    axis = torch.linalg.cross(direction.new_tensor([1.0, 0.0, 0.0]), direction)
    sine = float(axis.norm())
    turn = axis / sine * torch.atan2(axis.norm(), direction[0])
    x, y, z = turn.tolist()
    return x, y, z


def _centre(x: Tensor, force: Tensor, gravity: Tensor) -> Triple:
    """x0 with forces along x - x0: linear least squares of force × (x - x0) = 0.

    A constant force along gravity cannot be told from mass, so that one of unknown size is free.
    """
    eye = torch.eye(3, dtype=x.dtype)
    crosses = torch.stack([torch.linalg.cross(force, e.expand_as(force)) for e in eye], -1)
    heavy = torch.linalg.cross(gravity.to(x).expand_as(x), x)
    # force × x = force × x0 - c (gravity × x) + c (gravity × x0): the last is a constant vector.
    design = torch.cat([crosses, -heavy.unsqueeze(-1), eye.expand(len(x), 3, 3)], -1)
    solution = _solved(design.flatten(0, 1), torch.linalg.cross(force, x).flatten(), 1e-4)
    reach = x.abs().max().clamp_min(1e-9) * 10
    a, b, c = solution[:3].clamp(-reach, reach).tolist()
    return a, b, c


def _solved(A: Tensor, b: Tensor, cut: float = _CUT) -> Tensor:
    """Least squares with columns brought to equal length and small directions left alone."""
    norms = A.norm(dim=0)
    norms = torch.where(norms > cut * norms.max().clamp_min(1e-300), norms, torch.inf)
    left, s, right = numerics.svd(A / norms)
    keep = s > cut * s[0].clamp_min(1e-300)
    return (right[keep].T @ ((left[:, keep].T @ b) / s[keep])) / norms
