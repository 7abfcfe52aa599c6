"""Kinetic and potential energy, momentum and centre of mass."""

from __future__ import annotations

from typing import Any

from kinematics.algorithms import springs, terms
from kinematics.algorithms.crba import composites
from kinematics.arrays import spatial
from kinematics.arrays.arguments import check_robot
from kinematics.arrays.inputs import Inputs, enter
from kinematics.arrays.operations import Array
from kinematics.arrays.placement import Placement, concat_levels
from kinematics.arrays.reading import Level
from kinematics.robot.tree import Robot


def kinetic_energy(robot: Robot, q: Any, v: Any) -> Array:
    """½ vᵀ H(q) v (...,) [J], rotor inertia (armature) included."""
    return enter(robot, q, v).run(_kinetic)


def _kinetic(given: Inputs) -> Array:
    twist = twists(given, Placement(given.read, given.q))
    momentum = spatial.momentum(_wide(given), twist)
    total = (momentum * twist).sum(0).sum(0) * 0.5
    armature = terms.present(given, "armature")
    if armature is not None:
        velocity = given.public["v"].T
        total = total + (armature * velocity * velocity).sum(0) * 0.5
    return total


def potential_energy(robot: Robot, q: Any) -> Array:
    """Energy of gravity and joint springs (...,) [J]; gravity's is zero at the base origin."""
    return enter(robot, q).run(_potential)


def _potential(given: Inputs) -> Array:
    total = whole(given)
    total = -(total[0, 1:4] * -given.read.fall[0, 3:]).sum(0)
    stiffness = terms.present(given, "stiffness")
    if stiffness is not None:
        reference = terms.constant(given, given.robot.spring_reference)
        total = total + springs.energy(given, stiffness, reference)
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
    place = Placement(given.read, given.q)
    own = spatial.momentum(_wide(given), twists(given, place))
    roots = place.inward(own, place.carry_wrench)[0]
    return place.to_base(place.carry_wrench, roots)[0]


def twists(given: Inputs, place: Placement) -> Array:
    """Twist of every body (nb, 6, B), root to leaf."""
    joint_v = given.read.joint_motion(given.v)

    def step(level: Level, parent: Array | None) -> Array:
        own = joint_v[level.bodies]
        return own if parent is None else place.motion_down(level, parent) + own

    return concat_levels(given.xp, place.outward(step))


def whole(given: Inputs) -> Array:
    """Inertial parameters (1, 10, B) of all moving bodies together, in the base frame."""
    place = Placement(given.read, given.q)
    roots = composites(given, place)[given.read.levels[0].bodies]
    return place.to_base(place.carry_parameters, roots)


def _wide(given: Inputs) -> Array:
    return given.xp.broadcast(given.pi, (*given.pi.shape[:-1], given.count))
