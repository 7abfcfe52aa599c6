"""Inverse dynamics by the recursive Newton-Euler algorithm."""

from __future__ import annotations

from typing import Any

from kinematics import spatial, terms
from kinematics.arrays import Array
from kinematics.inputs import Inputs, enter
from kinematics.spatial import Pair
from kinematics.traversal import Level
from kinematics.tree import Robot


def rnea(robot: Robot, q: Any, v: Any, a: Any, f_ext: Any = None) -> Array:
    """Inverse dynamics: tau = H(q) a + bias(q, v, f_ext).

    q (..., nq) [rad | m], v (..., nv) [rad/s | m/s], a (..., nv) [rad/s² | m/s²];
    f_ext (..., nb, 6) is the wrench on each body, in that body's frame about its origin,
    moment then force [N·m, N]. Returns joint forces (..., nv) [N·m | N]. Gravity enters as a base
    acceleration of -g. Featherstone (2008), table 5.1. Raises RobotError on wrong shapes.
    """
    given = enter(robot, q, v, a, f_ext=f_ext)
    tau = rigid_forces(given)
    tau = tau + terms.velocity_forces(robot, given)
    armature = terms.present(robot, given, "armature")
    if armature is not None:
        tau = tau + armature * given.a
    return given.leave(tau)


def bias(robot: Robot, q: Any, v: Any, f_ext: Any = None) -> Array:
    """Joint forces (..., nv) [N·m | N] that hold a = 0: velocity terms, gravity, joint terms."""
    given = enter(robot, q, v, f_ext=f_ext)
    return given.leave(rigid_forces(given) + terms.velocity_forces(robot, given))


def rigid_forces(given: Inputs) -> Array:
    """The rigid-body part of the joint forces, (nv, B) in level order; a = 0 where not given."""
    read = given.read
    rotation, offset = read.placements(given.q)
    bodies = read.inertias(given.pi)
    twist, acceleration = motions(given, rotation, offset)

    wrench = spatial.body_wrench(bodies, twist, acceleration)
    if given.f_ext is not None:
        wrench = Pair(wrench.angular - given.f_ext[:, :3], wrench.linear - given.f_ext[:, 3:])

    def step(level: Level, children: Pair | None) -> tuple[Pair, Pair | None]:
        own = Pair(wrench.angular[level.bodies], wrench.linear[level.bodies])
        total = own if children is None else own + children
        if level.number == 0:
            return total, total
        here = level.bodies
        return total, spatial.wrench_to_parent(rotation[here], offset[here], total)

    total = read.inward(step)
    carried = Pair(read.of_bodies(total.angular), read.of_bodies(total.linear))
    return spatial.dot(read.motion, carried)


def motions(given: Inputs, rotation: Array, offset: Array) -> tuple[Pair, Pair]:
    """Twist and acceleration of every body (gravity included), root to leaf."""
    read = given.read
    joint_v = read.joint_motion(given.v)
    joint_a = None if given.a is None else read.joint_motion(given.a)

    def step(level: Level, parent: tuple[Pair, Pair] | None) -> tuple[Pair, Pair]:
        here = level.bodies
        r, p = rotation[here], offset[here]
        own = Pair(joint_v.angular[here], joint_v.linear[here])
        if parent is None:
            twist = own
            fall = spatial.rotate_back(r, -read.gravity)
            acceleration = Pair(read.xp.zeros(fall.shape, like=fall), fall)
        else:
            twist = spatial.motion_to_child(r, p, parent[0]) + own
            acceleration = spatial.motion_to_child(r, p, parent[1])
            acceleration = acceleration + spatial.motion_cross(twist, own)
        if joint_a is not None:
            acceleration = acceleration + Pair(joint_a.angular[here], joint_a.linear[here])
        return twist, acceleration

    return read.outward(step)
