"""Joint terms: armature, viscous damping, smoothed Coulomb friction, springs."""

from __future__ import annotations

from typing import Any

import torch

from kinematics.algorithms import springs
from kinematics.arrays.inputs import Inputs, enter
from kinematics.arrays.operations import Array
from kinematics.robot.tree import Robot


def joint_forces(robot: Robot, q: Any, v: Any, a: Any) -> Array:
    """armature·a + damping·v + friction·tanh(v/speed) + stiffness·(q - reference), (..., nv).

    q [rad | m], v [rad/s | m/s], a [rad/s² | m/s²]; returns [N·m | N]: the part of ``rnea`` that
    is not rigid-body. ``speed`` is ``robot.friction_speed``. Springs of ball and free joints act
    on rotation vectors; see `kinematics.algorithms.springs`.
    """
    return enter(robot, q, v, a).run(_forces)


def _forces(given: Inputs) -> Array:
    return add_forces(given, given.xp.zeros((given.robot.nv, given.count), like=given.public["q"]))


def add_forces(given: Inputs, tau: Array) -> Array:
    """``tau`` (nv, B) plus the joint terms, with the acceleration's where it is given."""
    armature = present(given, "armature")
    if armature is not None and "a" in given.public:
        tau = tau + armature * given.public["a"].T
    passive = velocity_forces(given)
    return tau if passive is None else tau + passive


def velocity_forces(given: Inputs) -> Array | None:
    """The joint terms (nv, B) that do not depend on the acceleration; None where there are none."""
    parts = []
    v = given.public["v"].T if "v" in given.public else None
    damping = present(given, "damping")
    if damping is not None and v is not None:
        parts.append(damping * v)
    friction = present(given, "friction")
    if friction is not None and v is not None:
        parts.append(friction * given.xp.tanh(v / given.robot.friction_speed))
    stiffness = present(given, "stiffness")
    if stiffness is not None:
        reference = constant(given, given.robot.spring_reference)
        parts.append(springs.forces(given, stiffness, reference))
    total: Array | None = None
    for part in parts:
        total = part if total is None else total + part
    return total


def present(given: Inputs, name: str) -> Array | None:
    """A joint term (nv, 1) in the caller's arrays, or None where the robot has none of it."""
    robot = given.robot
    return constant(given, getattr(robot, name)) if name in robot.active_terms else None


def constant(given: Inputs, value: torch.Tensor) -> Array:
    """A constant (nv,) of the robot as (nv, 1) in the caller's arrays."""
    q = given.public["q"]
    if isinstance(q, torch.Tensor):
        return value.to(dtype=q.dtype, device=q.device)[:, None]
    return value.detach().cpu().numpy()[:, None]
