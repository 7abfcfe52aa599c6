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


def _kinetic(given: Inputs) -> Array:
    twist = twists(given, Placement(given.layout, given.q))
    momentum = spatial.momentum(_wide(given), twist)
    total = (momentum * twist).sum(0).sum(0) * 0.5
    armature = joint_terms.present(given, "armature")
    if armature is not None:
        velocity = given.public["v"].T
        total = total + (armature * velocity * velocity).sum(0) * 0.5
    return total


def potential_energy(robot: Robot, q: Any) -> Array:
    """Energy of gravity and joint springs (...,) [J]; gravity's is zero at the base origin."""
    return enter(robot, q).run(_potential)


def _potential(given: Inputs) -> Array:
    total = whole(given)
    total = -(total[0, 1:4] * -given.layout.fall[0, 3:]).sum(0)
    stiffness = joint_terms.present(given, "stiffness")
    if stiffness is not None:
        reference = joint_terms.constant(given, given.robot.spring_reference)
        total = total + joint_terms.spring_energy(given, stiffness, reference)
    return total


def centre_of_mass(robot: Robot, q: Any) -> Array:
    """Centre of mass of the moving bodies in the base frame (..., 3) [m]."""
    return enter(robot, q).run(_centre)


def _centre(given: Inputs) -> Array:
    total = whole(given)
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


def _momentum(given: Inputs) -> Array:
    place = Placement(given.layout, given.q)
    own = spatial.momentum(_wide(given), twists(given, place))
    roots = place.inward(own, place.carry_wrench)[0]
    return place.to_base(place.carry_wrench, roots)[0]


def twists(given: Inputs, place: Placement) -> Array:
    """Twist of every body (nb, 6, B), root to leaf."""
    joint_v = given.layout.joint_motion(given.v)

    def step(level: Level, parent: Array | None) -> Array:
        own = joint_v[level.bodies]
        return own if parent is None else place.motion_down(level, parent) + own

    return concat_levels(given.xp, place.outward(step))


def whole(given: Inputs) -> Array:
    """Inertial parameters (1, 10, B) of all moving bodies together, in the base frame."""
    place = Placement(given.layout, given.q)
    roots = composites(given, place)[given.layout.levels[0].bodies]
    return place.to_base(place.carry_parameters, roots)


def _wide(given: Inputs) -> Array:
    return given.xp.broadcast(given.pi, (*given.pi.shape[:-1], given.count))


def joint_momentum(robot: Robot, q: Any, v: Any) -> Array:
    """p = H(q) v (..., nv) [kg·m²/s | kg·m/s], armature included, without forming H."""
    return enter(robot, q, v).run(_joint_momentum)


def momentum_rate(robot: Robot, q: Any, v: Any) -> Array:
    """d(H v)/dt (..., nv) where tau = 0, joint terms included: ∂L/∂q, less what joints dissipate.

    With h the momentum and g the weight of all that a joint carries, S·(g - twist ×* h): S is
    constant in the body frame, so in an inertial one it turns with the twist.
    """
    return enter(robot, q, v).run(_momentum_rate)


def _joint_momentum(given: Inputs) -> Array:
    place = Placement(given.layout, given.q)
    carried = _carried(given, place, spatial.momentum(_wide(given), twists(given, place)))
    p = given.forces(given.layout.joint_forces(carried))
    armature = joint_terms.present(given, "armature")
    return p if armature is None else p + armature * given.public["v"].T


def _momentum_rate(given: Inputs) -> Array:
    place = Placement(given.layout, given.q)
    pi, twist = _wide(given), twists(given, place)
    h = _carried(given, place, spatial.momentum(pi, twist))

    # a base held against gravity accelerates by -g; the weight is minus what that would need
    def fall(level: Level, parent: Array | None) -> Array:
        return place.motion_down(level, given.layout.fall if parent is None else parent)

    lift = concat_levels(given.xp, place.outward(fall))
    weight = _carried(given, place, -spatial.momentum(pi, lift))
    rate = given.forces(given.layout.joint_forces(weight - spatial.wrench_cross(twist, h)))
    passive = joint_terms.velocity_forces(given)
    return rate if passive is None else rate - passive


def _carried(given: Inputs, place: Placement, own: Array) -> Array:
    return concat_levels(given.xp, place.inward(own, place.carry_wrench))
