"""The wrenches of a reference motion: the velocity terms and gravity of forward dynamics.

Forward dynamics is linear in the accelerations, so it may be done about any reference
acceleration. The one taken here makes terms vanish: about each revolute axis (and freely for a
spherical or free joint) the angular acceleration is such that an entry of
``U = [α]x + [ω]x[ω]x`` is zero; along a prismatic axis, and for a free joint, the acceleration of
the body's origin is zero. One force pass towards the base then serves as the bias of all joints.

Gravity is an acceleration of the base. Wrenches come from second moments (Khalil's moment form):
force U h + m a, moment the axial vector of U J - (U J)ᵀ plus h x a.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kinematics.programs.elimination.frames import Move, Vector, add, cross, down, vector_up
from kinematics.programs.elimination.mechanism import Mechanism
from kinematics.programs.graph import Graph, Node
from kinematics.robot.joints import TURNING


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Reference joint accelerations (nv) and the wrench (moment, force) that each body needs."""

    accelerations: list[Any]
    wrenches: list[tuple[Vector, Vector]]


def reference_motion(
    graph: Graph,
    model: Mechanism,
    moments: list[np.ndarray],
    chains: list[list[Move]],
    q: list[Node],
    v: list[Node],
    choice: dict[int, str],
) -> Reference:
    """Root to leaf; ``choice`` of each revolute joint: "xy" or "yx", the entry of U that
    vanishes, or "rest" for no joint acceleration."""
    zero = graph.zero
    accelerations: list[Any] = [zero] * model.robot.nv
    motion: list[tuple[Vector, Vector, Vector, list[list[Any]]]] = []
    wrenches = []
    fall: Vector = tuple(graph.const(-x) for x in model.gravity)
    for body in model.bodies:
        chain = chains[body.index]
        velocity = v[body.v]
        offset: list[Any] = [graph.const(x) for x in body.offset]
        if body.parent < 0:
            spin: Vector = (zero, zero, zero)
            turn: Vector = (zero, zero, zero)
            push = fall
            shape = [[zero] * 3 for _ in range(3)]
        else:
            spin, turn, push, shape = motion[body.parent]
        if body.kind == "free":
            offset = [o + p for o, p in zip(offset, _turned(chain, q[body.q][:3]), strict=True)]
        elif body.kind == "prismatic":
            offset = offset if body.parent >= 0 else [zero] * 3
        push = tuple(  # acceleration of the joint's place, in the parent's coordinates
            a + _sum(graph, [u * o for u, o in zip(row, offset, strict=True)])
            for a, row in zip(push, shape, strict=True)
        )
        carried, alpha, a = down(chain, spin), down(chain, turn), down(chain, push)
        at = body.v.start
        if body.kind in TURNING:
            (rate,) = velocity
            omega = (carried[0], carried[1], carried[2] + rate)
            alpha = (alpha[0] + carried[1] * rate, alpha[1] - carried[0] * rate, alpha[2])
            mode = choice.get(body.index, "xy")
            if mode != "rest":
                product = omega[0] * omega[1]
                wanted = product if mode == "xy" else -product
                accelerations[at] = wanted - alpha[2]
                alpha = (alpha[0], alpha[1], wanted)
        elif body.kind == "prismatic":
            (rate,) = velocity
            omega = carried
        elif body.kind == "spherical":
            omega = add(carried, velocity)
            natural = add(alpha, cross(carried, tuple(velocity)))
            alpha = _triangular(omega)
            for k in range(3):
                accelerations[at + k] = alpha[k] - natural[k]
        else:
            angular, linear = tuple(velocity[:3]), tuple(velocity[3:])
            omega = add(carried, angular)
            natural = add(alpha, cross(carried, angular))
            alpha = _triangular(omega)
            whirl = add(add(carried, carried), angular)
            moving = add(a, cross(whirl, linear))
            for k in range(3):
                accelerations[at + k] = alpha[k] - natural[k]
                accelerations[at + 3 + k] = -moving[k]
            a = (zero, zero, zero)
        shape = _shape(omega, alpha)
        if body.kind == "prismatic":
            reach = q[body.q][0]
            double = rate + rate
            a = (
                a[0] + shape[0][2] * reach + omega[1] * double,
                a[1] + shape[1][2] * reach - omega[0] * double,
                a[2] + shape[2][2] * reach,
            )
            accelerations[at] = -a[2]
            a = (a[0], a[1], zero)
        motion.append((omega, alpha, a, shape))
        wrenches.append(_wrench(graph, moments[body.index], omega, shape, a))
    return Reference(accelerations=accelerations, wrenches=wrenches)


def _turned(chain: list[Move], position: list[Any]) -> Vector:
    """A free joint's position in the parent's coordinates."""
    x: Vector = tuple(position)
    for move in chain:
        if move.kind in ("turn", "permute"):
            x = vector_up(move, x)
    return x


def _sum(graph: Graph, parts: list[Any]) -> Any:
    total: Any = graph.zero
    for part in parts:
        total = total + part
    return total


def _triangular(omega: Vector) -> Vector:
    """The angular acceleration for which U has zeros above its diagonal."""
    x, y, z = omega
    return y * z, -(x * z), x * y


def _shape(omega: Vector, alpha: Vector) -> list[list[Any]]:
    """U = [α]x + [ω]x[ω]x: accelerations about the origin are U r."""
    x, y, z = omega
    xx, yy, zz = x * x, y * y, z * z
    xy, xz, yz = x * y, x * z, y * z
    ax, ay, az = alpha
    return [
        [-(yy + zz), xy - az, xz + ay],
        [xy + az, -(xx + zz), yz - ax],
        [xz - ay, yz + ax, -(xx + yy)],
    ]


def _wrench(
    graph: Graph, moments: np.ndarray, omega: Vector, u: list[list[Any]], a: Vector
) -> tuple[Vector, Vector]:
    """Moment about the origin and force of a body in the motion (U, a)."""
    x, y, z = omega
    xx, yy, zz = x * x, y * y, z * z
    j = [[graph.const(moments[r, c]) for c in range(3)] for r in range(3)]
    h = [graph.const(moments[r, 3]) for r in range(3)]
    m = graph.const(moments[3, 3])
    force = tuple(_sum(graph, [u[r][c] * h[c] for c in range(3)] + [m * a[r]]) for r in range(3))
    couple = cross(tuple(h), a)
    # differences of U's diagonal are differences of squares
    moment = (
        u[2][0] * j[0][1]
        - u[1][0] * j[0][2]
        + u[2][1] * j[1][1]
        - u[1][2] * j[2][2]
        + (zz - yy) * j[1][2]
        + couple[0],
        u[0][1] * j[1][2]
        - u[2][1] * j[0][1]
        + u[0][2] * j[2][2]
        - u[2][0] * j[0][0]
        + (xx - zz) * j[0][2]
        + couple[1],
        u[1][2] * j[0][2]
        - u[0][2] * j[1][2]
        + u[1][0] * j[0][0]
        - u[0][1] * j[1][1]
        + (yy - xx) * j[0][1]
        + couple[2],
    )
    return moment, force
