"""Forward dynamics by the articulated-body algorithm.

Joints with several velocities are eliminated one velocity at a time, all in the same body frame:
every elimination is then a rank-one downdate with a scalar pivot, whatever the joint.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kinematics import spatial, terms
from kinematics.arrays import Array
from kinematics.inputs import Inputs, enter
from kinematics.spatial import Pair
from kinematics.traversal import Level
from kinematics.tree import Robot


class Articulated(NamedTuple):
    """Articulated inertia [[J, H], [Hᵀ, M]] in 3 x 3 blocks, and bias wrench."""

    j: Array
    h: Array
    m: Array
    bias: Pair


class Pivot(NamedTuple):
    """What the outward pass needs of one eliminated velocity."""

    gain: Pair  # U / D
    drive: Array  # u / D


def aba(robot: Robot, q: Any, v: Any, tau: Any, f_ext: Any = None) -> Array:
    """Forward dynamics: the accelerations (..., nv) [rad/s² | m/s²] that ``tau`` causes.

    q (..., nq) [rad | m], v (..., nv) [rad/s | m/s], tau (..., nv) [N·m | N]; f_ext (..., nb, 6)
    is the wrench on each body in its own frame about its origin, moment then force [N·m, N].
    Featherstone (2008), table 7.1. Raises RobotError on wrong shapes.
    """
    given = enter(robot, q, v, tau=tau, f_ext=f_ext)
    read = given.read
    force = given.tau - terms.velocity_forces(robot, given)
    armature = terms.present(robot, given, "armature")

    rotation, offset = read.placements(given.q)
    bodies = read.inertias(given.pi)
    joint_v = read.joint_motion(given.v)
    twist = twists(given, rotation, offset, joint_v)
    drift = spatial.motion_cross(twist, joint_v)
    wrench = spatial.velocity_wrench(bodies, twist)
    if given.f_ext is not None:
        wrench = Pair(wrench.angular - given.f_ext[:, :3], wrench.linear - given.f_ext[:, 3:])
    h = spatial.skew(bodies.moment)
    m = spatial.diagonal(bodies.mass[:, 0])
    zero = read.xp.zeros((1, given.count), like=force)
    padded = read.xp.concat((force, zero))
    rotor = None if armature is None else read.xp.concat((armature, zero[:, :1]))

    def slot_rows(x: Array, level: Level, k: int) -> Array:
        return x[level.dofs] if level.plain else read.xp.take(x, level.slots[k])

    def inward(level: Level, children: Articulated | None) -> tuple[Any, Any]:
        here = level.bodies
        body = Articulated(
            bodies.inertia[here], h[here], m[here],
            Pair(wrench.angular[here], wrench.linear[here]),
        )  # fmt: skip
        if children is not None:
            body = _add(body, children)
        pivots = []
        for k, s in enumerate(level.motions):
            tau_k = slot_rows(padded, level, k)
            rotor_k = None if rotor is None else slot_rows(rotor, level, k)
            pivot, body = _eliminate(body, s, tau_k, rotor_k, level.absent[k])
            pivots.append(pivot)
        r, p = rotation[here], offset[here]
        if level.number == 0:
            return tuple(pivots), body
        c = Pair(drift.angular[here], drift.linear[here])
        return tuple(pivots), _to_parent(r, p, body, c)

    pivots = _inward_levels(read, inward)

    parent: Pair | None = None
    found: list[Array] = []
    for level, stages in zip(read.levels, pivots, strict=True):
        here = level.bodies
        r, p = rotation[here], offset[here]
        if parent is None:
            fall = spatial.rotate_back(r, -read.gravity)
            motion = Pair(read.xp.zeros(fall.shape, like=fall), fall)
        else:
            if level.parents is not None:
                parent = Pair(*(read.xp.take(x, level.parents) for x in parent))
            motion = spatial.motion_to_child(r, p, parent)
            motion = motion + Pair(drift.angular[here], drift.linear[here])
        own = []
        for s, pivot in zip(reversed(level.motions), reversed(stages), strict=True):
            a = pivot.drive - spatial.dot(pivot.gain, motion)
            motion = motion + Pair(s.angular * a[:, None], s.linear * a[:, None])
            own.append(a)
        found.append(_level_dofs(read, level, own[::-1]))
        parent = motion
    return given.leave(read.xp.concat(found))


def twists(given: Inputs, rotation: Array, offset: Array, joint_v: Pair) -> Pair:
    """Twist of every body, root to leaf."""

    def step(level: Level, parent: Pair | None) -> Pair:
        here = level.bodies
        own = Pair(joint_v.angular[here], joint_v.linear[here])
        if parent is None:
            return own
        return spatial.motion_to_child(rotation[here], offset[here], parent) + own

    return given.read.outward(step)


def _inward_levels(read: Any, step: Any) -> list[Any]:
    """As ``Reading.inward``, but the kept values stay a list of levels."""
    kept: list[Any] = []

    def keep(level: Level, children: Any) -> tuple[Any, Any]:
        values, carried = step(level, children)
        kept.append(values)
        return (), carried

    read.inward(keep)
    return kept[::-1]


def _add(a: Articulated, b: Articulated) -> Articulated:
    return Articulated(a.j + b.j, a.h + b.h, a.m + b.m, a.bias + b.bias)


def _eliminate(
    body: Articulated, s: Pair, tau: Array, rotor: Array | None, absent: Array | None
) -> tuple[Pivot, Articulated]:
    """Eliminate one velocity: U = I S, D = S·U, I - U Uᵀ/D, bias + U (tau - S·bias)/D."""
    u = Pair(
        spatial.rotate(body.j, s.angular) + spatial.rotate(body.h, s.linear),
        spatial.rotate_back(body.h, s.angular) + spatial.rotate(body.m, s.linear),
    )
    d = spatial.dot(s, u)
    if rotor is not None:
        d = d + rotor
    if absent is not None:
        d = d + absent
    inverse = 1 / d
    gain = Pair(u.angular * inverse[:, None], u.linear * inverse[:, None])
    rest = tau - spatial.dot(s, body.bias)
    after = Articulated(
        body.j - u.angular[:, :, None] * gain.angular[:, None],
        body.h - u.angular[:, :, None] * gain.linear[:, None],
        body.m - u.linear[:, :, None] * gain.linear[:, None],
        body.bias + Pair(gain.angular * rest[:, None], gain.linear * rest[:, None]),
    )
    return Pivot(gain, inverse * rest), after


def _to_parent(r: Array, p: Array, body: Articulated, c: Pair) -> Articulated:
    """The articulated body as its parent feels it; ``c`` is the velocity-product acceleration."""
    wrench = Pair(
        body.bias.angular + spatial.rotate(body.j, c.angular) + spatial.rotate(body.h, c.linear),
        body.bias.linear
        + spatial.rotate_back(body.h, c.angular)
        + spatial.rotate(body.m, c.linear),
    )
    back = spatial.transpose(r)
    j = spatial.multiply(spatial.multiply(r, body.j), back)
    h = spatial.multiply(spatial.multiply(r, body.h), back)
    m = spatial.multiply(spatial.multiply(r, body.m), back)
    arm = spatial.skew(p)
    moved = h + spatial.multiply(arm, m)
    # J + P Hᵀ - (H + P M) P
    j = j + spatial.multiply(arm, spatial.transpose(h)) - spatial.multiply(moved, arm)
    return Articulated(j, moved, m, spatial.wrench_to_parent(r, p, wrench))


def _level_dofs(read: Any, level: Level, own: list[Array]) -> Array:
    """Accelerations of a level's slots as rows in level order."""
    if level.plain:
        return own[0]
    flat = read.xp.concat(own)
    return read.xp.take(flat, level.unpack)
