"""Kinetic and potential energy."""

from __future__ import annotations

from typing import Any

from kinematics import spatial, terms
from kinematics.aba import twists
from kinematics.arrays import Array
from kinematics.inputs import enter
from kinematics.traversal import Level
from kinematics.tree import Robot


def kinetic_energy(robot: Robot, q: Any, v: Any) -> Array:
    """½ vᵀ H(q) v (...,) [J], rotor inertia (armature) included."""
    given = enter(robot, q, v)
    read = given.read
    rotation, offset = read.placements(given.q)
    twist = twists(given, rotation, offset, read.joint_motion(given.v))
    momentum = spatial.momentum(read.inertias(given.pi), twist)
    total = spatial.dot(momentum, twist).sum(0) * 0.5
    armature = terms.present(robot, given, "armature")
    if armature is not None:
        total = total + (armature * given.v * given.v).sum(0) * 0.5
    return given.leave_last(total)


def potential_energy(robot: Robot, q: Any) -> Array:
    """Energy of gravity and joint springs (...,) [J]; gravity's is zero at the base origin."""
    given = enter(robot, q)
    read = given.read
    rotation, offset = read.placements(given.q)
    bodies = read.inertias(given.pi)

    # g in body coordinates and g · (body origin) go outward; no world rotation is needed
    def step(level: Level, parent: tuple[Array, Array] | None) -> tuple[Array, Array]:
        here = level.bodies
        r, p = rotation[here], offset[here]
        field, height = (read.gravity, 0.0) if parent is None else parent
        return spatial.rotate_back(r, field), height + (field * p).sum(1)

    field, height = read.outward(step)
    drop = bodies.mass[:, 0] * height + (bodies.moment * field).sum(1)
    total = -drop.sum(0)
    stiffness = terms.present(robot, given, "stiffness")
    if stiffness is not None:
        stretched = terms.stretch(robot, given)
        total = total + (stiffness * stretched * stretched).sum(0) * 0.5
    return given.leave_last(total)
