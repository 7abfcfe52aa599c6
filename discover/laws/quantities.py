"""The words that laws are written in, beside q, v, a and tau: what mechanics makes of them.

    p = H v  (momentum)     h = H a  (inertia force)     g, c  (gravity and velocity forces)
    H1_2     (entries of the mass matrix)     T, V  (kinetic and potential energy)
    x1, y1, z1   position of point 1 in the base frame,    dx1, dy1, dz1   its velocity,
    jx1_2, ...   its Jacobian: d(x of point 1) / d(coordinate 2)

All are of the *bodies alone*, without armature, springs or friction. The same functions run over
torch tensors and over the nodes of an expression graph: a law that names them can be evaluated,
differentiated and compiled.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from torch import Tensor

import kinematics
from kinematics import Robot

DYNAMIC = ("p", "h", "g", "c")
AXES = ("x", "y", "z")


@dataclass(frozen=True)
class Point:
    """A point fixed on a body, in the body's frame [m]."""

    body: int
    place: tuple[float, float, float]


@functools.lru_cache(maxsize=64)
def vocabulary(nv: int, points: int = 0) -> dict[str, sympy.Symbol]:
    """Every symbol that a term of nv coordinates and some points may use, by name."""
    names = [f"{group}{i + 1}" for group in ("q", "v", "a", "tau", *DYNAMIC) for i in range(nv)]
    names += [f"H{i + 1}_{j + 1}" for i in range(nv) for j in range(nv)]
    names += ["T", "V"]
    for r in range(1, points + 1):
        for axis in AXES:
            names += [f"{axis}{r}", f"d{axis}{r}"]
            names += [f"j{axis}{r}_{i + 1}" for i in range(nv)]
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
        groups = {
            "p": (mechanics.H @ v.unsqueeze(-1)).squeeze(-1),
            "h": (mechanics.H @ a.unsqueeze(-1)).squeeze(-1),
            "g": mechanics.gravity,
            "c": mechanics.velocity,
        }
        for group, x in groups.items():
            held |= {f"{group}{i + 1}": x[..., i] for i in range(v.shape[-1])}
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
) -> dict[str, Any]:
    """Positions, velocities and Jacobians of points, by name; scalars of any algebra.

    q, v: one scalar a coordinate. Only trees of hinges and sliders have them.
    """
    frames = _frames(robot, q, sin, cos)
    held: dict[str, Any] = {}
    for r, point in enumerate(points, 1):
        turn, origin, _ = frames[point.body]
        x = [origin[i] + sum(turn[i][k] * point.place[k] for k in range(3)) for i in range(3)]
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
        for i, name in enumerate(AXES):
            held[f"{name}{r}"] = x[i] + zero
            held[f"d{name}{r}"] = sum((c[i] * v[j] for j, c in columns.items()), zero)
            for j in range(robot.nv):
                held[f"j{name}{r}_{j + 1}"] = columns[j][i] + zero if j in columns else zero
    return held


def _frames(robot: Robot, q: Sequence[Any], sin: Callable, cos: Callable) -> list[tuple]:
    """(rotation, origin, joint axis) of every body in the base frame, as lists of scalars."""
    out: list[tuple] = []
    for k, parent in enumerate(robot.parents):
        turn0 = robot.tree_rotation[k].tolist()
        offset = robot.tree_offset[k].tolist()
        axis = robot.axes[k].tolist()
        if parent < 0:
            turn, origin = turn0, offset
        else:
            above, at, _ = out[parent]
            turn = _matmul(above, turn0)
            origin = [at[i] + sum(above[i][m] * offset[m] for m in range(3)) for i in range(3)]
        world = [sum(turn[i][m] * axis[m] for m in range(3)) for i in range(3)]
        if robot.kinds[k] == "prismatic":
            origin = [origin[i] + world[i] * q[k] for i in range(3)]
        else:
            turn = _matmul(turn, _turn(axis, sin(q[k]), cos(q[k])))
        out.append((turn, origin, world))
    return out


def _turn(axis: Sequence[float], s: Any, c: Any) -> list[list]:
    """Rodrigues' formula."""
    x, y, z = axis
    skew = [[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]
    return [
        [
            (1.0 if i == j else 0.0) * c + skew[i][j] * s + axis[i] * axis[j] * (1 - c)
            for j in range(3)
        ]
        for i in range(3)
    ]


def _matmul(A: list[list], B: list[list]) -> list[list]:
    return [[sum(A[i][k] * B[k][j] for k in range(3)) for j in range(3)] for i in range(3)]


def _cross(a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
    return [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]


def has_points(robot: Robot) -> bool:
    """Whether the tree is made of hinges and sliders only, one coordinate each."""
    return robot.nq == robot.nv == robot.nb and not robot.mimic
