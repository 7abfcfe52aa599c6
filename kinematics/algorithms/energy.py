"""Kinetic and potential energy, centre of mass, momentum of the whole and of each joint."""

from __future__ import annotations

from typing import Any

from kinematics.algorithms import joint_terms
from kinematics.algorithms.crba import composites
from kinematics.arrays import Array
from kinematics.recursion.inputs import Inputs, enter
from kinematics.recursion.layout import Level
from kinematics.recursion.placement import Placement, concat_levels
from kinematics.robot.tree import Robot, check_robot
from kinematics.spatial import algebra as spatial


def kinetic_energy(robot: Robot, q: Any, v: Any) -> Array:
    """½ vᵀ H(q) v (...,) [J], rotor inertia (armature) included."""
    return enter(robot, q, v).run(_kinetic)


def _kinetic(inputs: Inputs) -> Array:
    twist = twists(inputs, Placement(inputs.layout, inputs.q))
    momentum = spatial.momentum(_wide(inputs), twist)
    total = (momentum * twist).sum(0).sum(0) * 0.5
    armature = joint_terms.present(inputs, "armature")
    if armature is not None:
        velocity = inputs.public["v"].T
        total = total + (armature * velocity * velocity).sum(0) * 0.5
    return total


def potential_energy(robot: Robot, q: Any) -> Array:
    """Energy of gravity and joint springs (...,) [J]; gravity's is zero at the base origin."""
    return enter(robot, q).run(_potential)


def _potential(inputs: Inputs) -> Array:
    total = whole(inputs)
    total = -(total[0, 1:4] * -inputs.layout.fall[0, 3:]).sum(0)
    stiffness = joint_terms.present(inputs, "stiffness")
    if stiffness is not None:
        reference = joint_terms.constant(inputs, inputs.robot.spring_reference)
        total = total + joint_terms.spring_energy(inputs, stiffness, reference)
    return total


def centre_of_mass(robot: Robot, q: Any) -> Array:
    """Centre of mass of the moving bodies in the base frame (..., 3) [m]."""
    return enter(robot, q).run(_centre)


def _centre(inputs: Inputs) -> Array:
    total = whole(inputs)
    return total[0, 1:4] / total[0, :1]


def total_mass(robot: Robot) -> Array:
    """Mass of the moving bodies [kg]."""
    check_robot(robot)
    return robot.pi[..., 0].sum(-1)


def momentum(robot: Robot, q: Any, v: Any) -> Array:
    """Momentum about the base origin, in the base frame (..., 6): angular, then linear.

    [kg·m²/s, kg·m/s]. Without joint forces on the base, external wrenches and gravity it is kept.
    """
    return enter(robot, q, v).run(_momentum)


def _momentum(inputs: Inputs) -> Array:
    place = Placement(inputs.layout, inputs.q)
    own = spatial.momentum(_wide(inputs), twists(inputs, place))
    roots = place.inward(own, place.carry_wrench)[0]
    return place.to_base(place.carry_wrench, roots)[0]


def twists(inputs: Inputs, place: Placement) -> Array:
    """Twist of every body (nb, 6, B), root to leaf."""
    joint_v = inputs.layout.joint_motion(inputs.v)

    def step(level: Level, parent: Array | None) -> Array:
        own = joint_v[level.bodies]
        return own if parent is None else place.motion_down(level, parent) + own

    return concat_levels(inputs.xp, place.outward(step))


def whole(inputs: Inputs) -> Array:
    """Inertial parameters (1, 10, B) of all moving bodies together, in the base frame."""
    place = Placement(inputs.layout, inputs.q)
    roots = composites(inputs, place)[inputs.layout.levels[0].bodies]
    return place.to_base(place.carry_parameters, roots)


def _wide(inputs: Inputs) -> Array:
    return inputs.xp.broadcast(inputs.pi, (*inputs.pi.shape[:-1], inputs.count))


def joint_momentum(robot: Robot, q: Any, v: Any) -> Array:
    """p = H(q) v (..., nv) [kg·m²/s | kg·m/s], armature included, without forming H."""
    return enter(robot, q, v).run(_joint_momentum)


def momentum_rate(robot: Robot, q: Any, v: Any) -> Array:
    """d(H v)/dt (..., nv) where tau = 0, joint terms included: ∂L/∂q, less what joints dissipate.

    With h the momentum and g the weight of all that a joint carries, S·(g - twist ×* h): S is
    constant in the body frame, so in an inertial one it turns with the twist.
    """
    return enter(robot, q, v).run(_momentum_rate)


def _joint_momentum(inputs: Inputs) -> Array:
    place = Placement(inputs.layout, inputs.q)
    carried = _carried(inputs, place, spatial.momentum(_wide(inputs), twists(inputs, place)))
    p = inputs.forces(inputs.layout.joint_forces(carried))
    armature = joint_terms.present(inputs, "armature")
    return p if armature is None else p + armature * inputs.public["v"].T


def _momentum_rate(inputs: Inputs) -> Array:
    place = Placement(inputs.layout, inputs.q)
    pi, twist = _wide(inputs), twists(inputs, place)
    h = _carried(inputs, place, spatial.momentum(pi, twist))

    # a base held against gravity accelerates by -g; the weight is minus what that would need
    def fall(level: Level, parent: Array | None) -> Array:
        return place.motion_down(level, inputs.layout.fall if parent is None else parent)

    lift = concat_levels(inputs.xp, place.outward(fall))
    weight = _carried(inputs, place, -spatial.momentum(pi, lift))
    rate = inputs.forces(inputs.layout.joint_forces(weight - spatial.wrench_cross(twist, h)))
    passive = joint_terms.velocity_forces(inputs)
    return rate if passive is None else rate - passive


def _carried(inputs: Inputs, place: Placement, own: Array) -> Array:
    return concat_levels(inputs.xp, place.inward(own, place.carry_wrench))
