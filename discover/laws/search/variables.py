"""The words that laws are written in, beside q, v, a and tau: what mechanics makes of them.

    p = H v  (momentum)     h = H a  (inertia force)     g, c  (gravity and velocity forces)
    H1_2     (entries of the mass matrix)     T, V  (kinetic and potential energy)
    x1, y1, z1   position of point 1 in the base frame,    dx1, dy1, dz1   its velocity,
    jx1_2, ...   its Jacobian: d(x of point 1) / d(coordinate 2)
    bx1, ...     its acceleration where no joint accelerates,    wx1, ...   its body's angular
    velocity,    kx1_2, ...   the Jacobian of that,    ux1_3, ...   the third axis of its body

All are of the *bodies alone*, without armature, springs or friction. The same functions run over
torch tensors and over the nodes of an expression graph: a law that names them can be evaluated,
differentiated and compiled.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from torch import Tensor

import kinematics
from kinematics import Robot

DYNAMIC = ("p", "h", "g", "c")
AXES = ("x", "y", "z")


Triple = tuple[float, float, float]
Frames = dict[int, tuple[list, list, list]]  # of a body: rotation, origin, joint axis in the base


@dataclass(frozen=True)
class Point:
    """A point fixed on a body, in the body's frame [m], and the frame that it is seen from.

    That is the base frame, unless it has an `origin` elsewhere [m], moves at a steady `flow` [m/s]
    or is turned, `turn` being its rotation vector in the base [rad]. Positions, velocities and
    Jacobians of the point are those in this frame: x = Rᵀ (x_base - origin), dx = Rᵀ (dx_base -
    flow).
    """

    body: int
    place: Triple
    origin: Triple | None = None
    flow: Triple | None = None
    turn: Triple | None = None

    @property
    def numbers(self) -> tuple[float, ...]:
        """What may be fitted: the place, and of the frame what differs from the base's."""
        vectors = (self.place, self.origin, self.flow, self.turn)
        return tuple(x for part in vectors if part is not None for x in part)

    def moved(self, numbers: Sequence[float]) -> Point:
        """The same with other `numbers`."""
        rest = iter(float(x) for x in numbers)

        def next_for(part: Triple | None) -> Triple | None:
            return None if part is None else (next(rest), next(rest), next(rest))

        place = next_for(self.place)
        assert place is not None
        origin, flow, turn = (next_for(part) for part in (self.origin, self.flow, self.turn))
        return Point(self.body, place, origin, flow, turn)

    @property
    def in_words(self) -> str:
        """Where it is and what it is seen from."""

        def numbers(x: Triple) -> str:
            return "(" + ", ".join(f"{c:.4g}" for c in x) + ")"

        words = f"the point {numbers(self.place)} m of body {self.body + 1}"
        if self.origin is not None:
            words += f", seen from the anchor {numbers(self.origin)} m of the base"
        if self.flow is not None:
            words += f", seen from a flow of {numbers(self.flow)} m/s"
        if self.turn is not None:
            words += f", in axes turned by {numbers(self.turn)} rad"
        return words

    def to_list(self) -> list:
        """JSON-able form."""
        frame = {n: list(getattr(self, n)) for n in ("origin", "flow", "turn") if getattr(self, n)}
        return [self.body, list(self.place), *([frame] if frame else [])]

    @classmethod
    def from_list(cls, record: Sequence) -> Point:
        """The inverse of `to_list`."""
        frame = {n: tuple(x) for n, x in (record[2] if len(record) > 2 else {}).items()}
        return cls(record[0], tuple(record[1]), **frame)


@functools.lru_cache(maxsize=64)
def vocabulary(nv: int, points: int = 0) -> dict[str, sympy.Symbol]:
    """Every symbol that a term of nv coordinates and some points may use, by name."""
    names = [f"{group}{i + 1}" for group in ("q", "v", "a", "tau", *DYNAMIC) for i in range(nv)]
    names += [f"H{i + 1}_{j + 1}" for i in range(nv) for j in range(nv)]
    names += ["T", "V"]
    for r in range(1, points + 1):
        for axis in AXES:
            names += [f"{kind}{axis}{r}" for kind in ("", "d", "b", "w")]
            names += [f"{kind}{axis}{r}_{i + 1}" for kind in "jk" for i in range(nv)]
            names += [f"u{axis}{r}_{i + 1}" for i in range(3)]
    return {name: sympy.Symbol(name, real=True) for name in names}


@dataclass(frozen=True, kw_only=True)
class Mechanics:
    """H (n, nv, nv), gravity and velocity forces (n, nv), potential (n,) of bodies at states."""

    H: Tensor
    gravity: Tensor
    velocity: Tensor
    potential: Tensor | None

    @classmethod
    def of(cls, robot: Robot, q: Tensor, v: Tensor, names: Iterable[str]) -> Mechanics:
        """Computed by the recursions; the potential only where it is named."""
        H = kinematics.crba(robot, q)
        gravity = kinematics.bias(robot, q, torch.zeros_like(v))
        potential = kinematics.potential_energy(robot, q) if "V" in set(names) else None
        return cls(
            H=H,
            gravity=gravity,
            velocity=kinematics.bias(robot, q, v) - gravity,
            potential=potential,
        )


def needs_mechanics(names: Iterable[str]) -> bool:
    """Whether any of the names depends on the bodies' inertia."""
    return any(n in ("T", "V") or n[0] == "H" or n[0] in DYNAMIC for n in names)


def values(
    names: Sequence[str],
    q: Tensor,
    v: Tensor,
    a: Tensor,
    tau: Tensor,
    mechanics: Mechanics | None,
    placed: dict[str, Tensor],
) -> list[Tensor]:
    """The named quantities at n states, each (n,); q has one entry a velocity coordinate."""
    held: dict[str, Tensor] = dict(placed)
    if mechanics is not None:
        named = {name[0] for name in names}
        groups = {"g": mechanics.gravity, "c": mechanics.velocity}
        if named & {"p", "T"}:
            groups["p"] = (mechanics.H @ v.unsqueeze(-1)).squeeze(-1)
        if "h" in named:
            groups["h"] = (mechanics.H @ a.unsqueeze(-1)).squeeze(-1)
        for group, x in groups.items():
            held |= {f"{group}{i + 1}": x[..., i] for i in range(v.shape[-1])}
        if "T" in named:
            held["T"] = 0.5 * (v * groups["p"]).sum(-1)
        if mechanics.potential is not None:
            held["V"] = mechanics.potential
    for group, x in {"q": q, "v": v, "a": a, "tau": tau}.items():
        held |= {f"{group}{i + 1}": x[..., i] for i in range(v.shape[-1])}
    out = []
    for name in names:
        if name in held:
            out.append(held[name])
        else:
            assert mechanics is not None
            i, j = (int(k) - 1 for k in name[1:].split("_"))
            out.append(mechanics.H[..., i, j])
    return out


def place_points(
    robot: Robot,
    points: Sequence[Point],
    q: Sequence[Any],
    v: Sequence[Any],
    sin: Callable,
    cos: Callable,
    frames: Frames | None = None,
    names: Iterable[str] | None = None,
) -> dict[str, Any]:
    """Positions, velocities and Jacobians of points, by name; scalars of any algebra.

    q, v: one scalar a coordinate. Only trees of hinges and sliders have them. `frames` are those
    of the bodies that carry the points, where they are known; what turns and accelerates with a
    point is computed where one of the `names` asks for it, or none are given.
    """
    asked = {(n[0], n.split("_")[0][-1]) for n in names} if names is not None else None
    if frames is None:
        frames = frames_of(robot, {p.body for p in points}, q, sin, cos)
    held: dict[str, Any] = {}
    for r, point in enumerate(points, 1):
        turn, origin, _ = frames[point.body]
        x = _moved(origin, turn, point.place)
        columns: dict[int, list] = {}
        body = point.body
        while body >= 0:
            _, at, axis = frames[body]
            if robot.kinds[body] == "prismatic":
                columns[body] = axis
            else:
                arm = [x[i] - at[i] for i in range(3)]
                columns[body] = _cross(axis, arm)
            body = robot.parents[body]
        zero = 0 * v[0]
        dx = [sum((c[i] * v[j] for j, c in columns.items()), zero) for i in range(3)]
        for kind, vectors in _turning(robot, frames, point.body, columns, v, zero, asked, r):
            if point.turn is not None:
                vectors = [_seen_turned(point.turn, c) for c in vectors]
            for k, c in enumerate(vectors, 1):
                for i, letter in enumerate(AXES):
                    suffix = "" if kind in "bw" else f"_{k}"
                    held[f"{kind}{letter}{r}{suffix}"] = c[i] + zero
        if point.origin is not None:
            x = [x[i] - point.origin[i] for i in range(3)]
        if point.flow is not None:
            dx = [dx[i] - point.flow[i] for i in range(3)]
        if point.turn is not None:
            x, dx = _seen_turned(point.turn, x), _seen_turned(point.turn, dx)
            columns = {j: _seen_turned(point.turn, c) for j, c in columns.items()}
        for i, name in enumerate(AXES):
            held[f"{name}{r}"] = x[i] + zero
            held[f"d{name}{r}"] = dx[i] + zero
            for j in range(robot.nv):
                held[f"j{name}{r}_{j + 1}"] = columns[j][i] + zero if j in columns else zero
    return held


def _turning(
    robot: Robot,
    frames: Frames,
    body: int,
    columns: dict[int, list],
    v: Sequence[Any],
    zero: Any,
    asked: set[tuple[str, str]] | None,
    r: int,
) -> Iterator[tuple[str, list[list]]]:
    """What turns and accelerates with point r: (kind of word, its vectors in the base).

    columns  those of the point's Jacobian, by coordinate
    """

    def wanted(kind: str) -> bool:
        return asked is None or (kind, str(r)) in asked

    hinges = {j: frames[j][2] for j in columns if robot.kinds[j] != "prismatic"}
    if wanted("w"):
        yield "w", [[sum((z[i] * v[j] for j, z in hinges.items()), zero) for i in range(3)]]
    if wanted("k"):
        yield "k", [hinges.get(j, [0.0, 0.0, 0.0]) for j in range(robot.nv)]
    if wanted("u"):
        turn = frames[body][0]
        yield "u", [[turn[i][k] for i in range(3)] for k in range(3)]
    if wanted("b"):
        # J̇ v: every hinge turns its own share of the velocity, and twice that of those after it.
        b, after = [zero] * 3, [zero] * 3
        for j in sorted(columns, reverse=True):
            own = [columns[j][i] * v[j] for i in range(3)]
            if j in hinges:
                turned = _cross(
                    [x * v[j] for x in hinges[j]], [own[i] + 2 * after[i] for i in range(3)]
                )
                b = [b[i] + turned[i] for i in range(3)]
            after = [after[i] + own[i] for i in range(3)]
        yield "b", [b]


def _seen_turned(turn: Triple, x: Sequence[Any]) -> list:
    """A vector of the base in axes that are turned by a rotation vector."""
    angle = math.sqrt(sum(c * c for c in turn))
    axis = [c / angle for c in turn] if angle > 0 else [1.0, 0.0, 0.0]
    R = _turn(axis, math.sin(angle), math.cos(angle))
    return [sum(R[k][i] * x[k] for k in range(3)) for i in range(3)]


def frames_of(
    robot: Robot, bodies: Iterable[int], q: Sequence[Any], sin: Callable, cos: Callable
) -> Frames:
    """(rotation, origin, joint axis) in the base frame, as lists of scalars, of some bodies and of
    those that carry them."""
    carrying: set[int] = set()
    for body in bodies:
        while body >= 0:
            carrying.add(body)
            body = robot.parents[body]
    out: Frames = {}
    for k in sorted(carrying):
        parent = robot.parents[k]
        turn0 = robot.tree_rotation[k].tolist()
        offset = robot.tree_offset[k].tolist()
        axis = robot.axes[k].tolist()
        if parent < 0:
            turn, origin = turn0, offset
        else:
            above, at, _ = out[parent]
            turn = _matmul(above, turn0)
            origin = _moved(at, above, offset)
        world = _moved([0.0, 0.0, 0.0], turn, axis)
        if robot.kinds[k] == "prismatic":
            origin = [origin[i] + world[i] * q[k] for i in range(3)]
        else:
            turn = _matmul(turn, _turn(axis, sin(q[k]), cos(q[k])))
        out[k] = turn, origin, world
    return out


def _turn(axis: Sequence[float], s: Any, c: Any) -> list[list]:
    """Rodrigues' formula."""
    x, y, z = axis
    skew = [[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]
    return [
        [_dot((1.0 * (i == j), skew[i][j], axis[i] * axis[j]), (c, s, 1 - c)) for j in range(3)]
        for i in range(3)
    ]


def _matmul(A: list[list], B: list[list]) -> list[list]:
    columns = list(zip(*B, strict=True))
    return [[_dot(row, column) for column in columns] for row in A]


def _moved(start: Sequence[Any], turn: list[list], by: Sequence[float]) -> list[Any]:
    """start + turn @ by."""
    return [x + _dot(row, by) for x, row in zip(start, turn, strict=True)]


def _dot(a: Sequence[Any], b: Sequence[Any]) -> Any:
    """Σ a_i b_i, what is nothing or one left out: most numbers of a description are."""
    total: Any = 0.0
    for x, y in zip(a, b, strict=True):
        if not (_is(x, 0.0) or _is(y, 0.0)):
            product = y if _is(x, 1.0) else x if _is(y, 1.0) else x * y
            total = product if _is(total, 0.0) else total + product
    return total


def _is(x: Any, number: float) -> bool:
    return isinstance(x, float) and x == number


def _cross(a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
    return [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]


def moved_points(points: Sequence[Point], numbers: Sequence[float]) -> tuple[Point, ...]:
    """The points with other `numbers`, those of the first one first."""
    out, start = [], 0
    for point in points:
        end = start + len(point.numbers)
        out.append(point.moved(numbers[start:end]))
        start = end
    return tuple(out)


def has_points(robot: Robot) -> bool:
    """Whether the tree is made of hinges and sliders only, one coordinate each."""
    return robot.nq == robot.nv == robot.nb and not robot.mimic
