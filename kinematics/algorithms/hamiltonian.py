"""The same mechanics in momenta: p = H(q) v and its rate, in one pass each."""

from __future__ import annotations

from typing import Any

from kinematics.algorithms import terms
from kinematics.algorithms.energy import twists
from kinematics.arrays import spatial
from kinematics.arrays.inputs import Inputs, enter
from kinematics.arrays.operations import Array
from kinematics.arrays.placement import Placement, concat_levels
from kinematics.arrays.reading import Level
from kinematics.robot.tree import Robot


def joint_momentum(robot: Robot, q: Any, v: Any) -> Array:
    """p = H(q) v (..., nv) [kg·m²/s | kg·m/s], armature included, without forming H."""
    return enter(robot, q, v).run(_momentum)


def momentum_rate(robot: Robot, q: Any, v: Any) -> Array:
    """d(H v)/dt (..., nv) where tau = 0, joint terms included: ∂L/∂q, less what joints dissipate.

    With h the momentum and g the weight of all that a joint carries, S·(g - twist ×* h): S is
    constant in the body frame, so in an inertial one it turns with the twist.
    """
    return enter(robot, q, v).run(_rate)


def _momentum(given: Inputs) -> Array:
    place = Placement(given.read, given.q)
    carried = _carried(given, place, spatial.momentum(_wide(given), twists(given, place)))
    p = given.forces(given.read.joint_forces(carried))
    armature = terms.present(given, "armature")
    return p if armature is None else p + armature * given.public["v"].T


def _rate(given: Inputs) -> Array:
    place = Placement(given.read, given.q)
    pi, twist = _wide(given), twists(given, place)
    h = _carried(given, place, spatial.momentum(pi, twist))

    # a base held against gravity accelerates by -g; the weight is minus what that would need
    def fall(level: Level, parent: Array | None) -> Array:
        return place.motion_down(level, given.read.fall if parent is None else parent)

    lift = concat_levels(given.xp, place.outward(fall))
    weight = _carried(given, place, -spatial.momentum(pi, lift))
    rate = given.forces(given.read.joint_forces(weight - spatial.wrench_cross(twist, h)))
    passive = terms.velocity_forces(given)
    return rate if passive is None else rate - passive


def _carried(given: Inputs, place: Placement, own: Array) -> Array:
    return concat_levels(given.xp, place.inward(own, place.carry_wrench))


def _wide(given: Inputs) -> Array:
    return given.xp.broadcast(given.pi, (*given.pi.shape[:-1], given.count))
