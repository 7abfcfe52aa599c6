"""Inverse dynamics by the recursive Newton-Euler algorithm."""

from __future__ import annotations

from typing import Any

from kinematics.algorithms import joint_terms
from kinematics.arrays import Array
from kinematics.recursion.inputs import Inputs, enter
from kinematics.recursion.layout import Level
from kinematics.recursion.placement import Placement, concat_levels
from kinematics.robot.tree import Robot
from kinematics.spatial import algebra as spatial


def rnea(robot: Robot, q: Any, v: Any, a: Any, f_ext: Any = None) -> Array:
    """Inverse dynamics: tau = H(q) a + bias(q, v, f_ext).

    q (..., nq) [rad | m], v (..., nv) [rad/s | m/s], a (..., nv) [rad/s² | m/s²];
    f_ext (..., nb, 6) is the wrench on each body, in that body's frame about its origin,
    moment then force [N·m, N]. Returns joint forces (..., nv) [N·m | N]. Gravity enters as a base
    acceleration of -g. Featherstone (2008), table 5.1. Raises RobotError on wrong shapes.
    """
    return enter(robot, q, v, a, f_ext=f_ext).run(_forces)


def bias(robot: Robot, q: Any, v: Any, f_ext: Any = None) -> Array:
    """Joint forces (..., nv) [N·m | N] that hold a = 0: velocity terms, gravity, joint terms."""
    return enter(robot, q, v, f_ext=f_ext).run(_forces)


def _forces(inputs: Inputs) -> Array:
    tau = rigid_forces(inputs, Placement(inputs.layout, inputs.q))
    return joint_terms.add_forces(inputs, tau)


def rigid_forces(inputs: Inputs, place: Placement) -> Array:
    """The rigid-body part of the joint forces (nv, B) in the robot's order; a = 0 if not given."""
    wrench = body_wrenches(inputs, place)
    total = concat_levels(inputs.xp, place.inward(wrench, place.carry_wrench))
    return inputs.forces(inputs.layout.joint_forces(total))


def body_wrenches(inputs: Inputs, place: Placement) -> Array:
    """The wrench (nb, 6, B) each body needs to move as the joints say, less external ones."""
    wrench = spatial.body_wrench(inputs.pi, motions(inputs, place))
    return wrench if inputs.f_ext is None else wrench - inputs.f_ext


def motions(inputs: Inputs, place: Placement) -> Array:
    """Twist and acceleration (less gravity) of every body, (nb, 6, 2, B), root to leaf."""
    layout, xp = inputs.layout, inputs.xp
    joint_v = xp.split(layout.joint_motion(inputs.v), layout.body_sizes)
    joint_a = (
        None if inputs.a is None else xp.split(layout.joint_motion(inputs.a), layout.body_sizes)
    )

    def step(level: Level, parent: Array | None) -> Array:
        own = joint_v[level.number]
        if parent is None:
            twist = own
            acceleration = place.motion_down(level, layout.fall)
        else:
            carried = place.motion_down(level, parent)
            twist = carried[:, :, 0] + own
            acceleration = velocity_product(inputs, level, carried[:, :, 0], own, carried[:, :, 1])
        if joint_a is not None:
            acceleration = acceleration + joint_a[level.number]
        return xp.stack((twist, acceleration), axis=2)

    return concat_levels(xp, place.outward(step))


def velocity_product(
    inputs: Inputs, level: Level, carried: Array, own: Array, acceleration: Array
) -> Array:
    """acceleration + twist × S v; the twist may lack S v, whose product with itself is zero."""
    if level.sorted is None:
        return acceleration + spatial.motion_cross(carried, own)
    crossed = inputs.xp.linear(level.velocity_product, carried)
    return inputs.xp.add_product(acceleration, crossed, inputs.v[level.dofs][:, None])
