"""Joint terms: armature, viscous damping, smoothed Coulomb friction, linear springs."""

from __future__ import annotations

from typing import Any

from kinematics import joints
from kinematics.arrays import Array
from kinematics.inputs import Inputs, enter
from kinematics.tree import Robot


def joint_forces(robot: Robot, q: Any, v: Any, a: Any) -> Array:
    """armature·a + damping·v + friction·tanh(v/speed) + stiffness·(q - reference), (..., nv).

    q [rad | m], v [rad/s | m/s], a [rad/s² | m/s²]; returns [N·m | N]: the part of ``rnea`` that
    is not rigid-body. ``speed`` is ``robot.friction_speed``. Springs act on one-velocity joints.
    """
    given = enter(robot, q, v, a)
    force = velocity_forces(robot, given)
    inertial = present(robot, given, "armature")
    if inertial is not None:
        force = force + inertial * given.a
    return given.leave(force)


def velocity_forces(robot: Robot, given: Inputs) -> Array:
    """The joint terms that do not depend on the acceleration, (nv, B) in level order."""
    xp = given.read.xp
    total = xp.zeros((robot.nv, given.count), like=given.q)
    damping = present(robot, given, "damping")
    if damping is not None and given.v is not None:
        total = total + damping * given.v
    friction = present(robot, given, "friction")
    if friction is not None and given.v is not None:
        total = total + friction * xp.tanh(given.v / robot.friction_speed)
    stiffness = present(robot, given, "stiffness")
    if stiffness is not None:
        total = total + stiffness * stretch(robot, given)
    return total


def stretch(robot: Robot, given: Inputs) -> Array:
    """q - reference of each one-velocity joint, zero for the others, (nv, B) in level order."""
    xp, q = given.read.xp, given.q
    columns: list[Array] = []
    for kind, at in zip(robot.kinds, robot.q_slices, strict=True):
        if joints.NV[kind] == 1:
            columns.append(q[:, at.start])
        else:
            columns += [xp.zeros((q.shape[0],), like=q)] * joints.NV[kind]
    reference = constant(given, robot.spring_reference)
    return given.read.dofs(xp.stack(columns, axis=1)) - reference


def present(robot: Robot, given: Inputs, name: str) -> Array | None:
    """A joint term as (nv, 1) in level order, or None where the robot has none of it."""
    key = ("has", name)
    value = getattr(robot, name)
    if key not in robot._cache:
        robot._cache[key] = bool(value.requires_grad or (value != 0).any())
    return constant(given, value) if robot._cache[key] else None


def constant(given: Inputs, value: Any) -> Array:
    """A constant (nv,) of the robot as (nv, 1) in level order, in the caller's arrays."""
    if given.read.xp.__class__.__name__ == "TorchArrays":
        value = value.to(dtype=given.q.dtype, device=given.q.device)
    else:
        value = value.detach().cpu().numpy()
    return given.read.dofs(value[None])
