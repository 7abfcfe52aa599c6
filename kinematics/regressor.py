"""Joint forces are linear in the inertial parameters: tau = Y(q, v, a) pi."""

from __future__ import annotations

from typing import Any

from kinematics import spatial
from kinematics.arrays import Array
from kinematics.inputs import Inputs, enter
from kinematics.rnea import motions
from kinematics.spatial import Pair
from kinematics.tree import Robot


def regressor(robot: Robot, q: Any, v: Any, a: Any) -> Array:
    """Y (..., nv, 10·nb) with Y @ robot.pi.flatten() = rnea(robot, q, v, a) less joint terms.

    q (..., nq) [rad | m], v (..., nv) [rad/s | m/s], a (..., nv) [rad/s² | m/s²]. Columns: ten for
    each body in the robot's order, as in ``robot.pi``. Joint terms are ``joint_forces``.
    Atkeson, An & Hollerbach (1986).
    """
    given = enter(robot, q, v, a)
    return given.leave_last(rigid_regressor(given))


def rigid_regressor(given: Inputs) -> Array:
    """Y (nv, 10·nb, B) in the robot's order."""
    read = given.read
    rotation, offset = read.placements(given.q)
    twist, acceleration = motions(given, rotation, offset)
    own = body_columns(read.xp, twist, acceleration)
    return read.project_columns(
        read.parameter_columns, own, rotation, offset, spatial.wrench_to_parent
    )


def body_columns(xp: Any, twist: Pair, acceleration: Pair) -> Pair:
    """The wrench of each body for each unit parameter: (10·nb, 3, B), ten rows a body."""
    w, alpha = twist.angular, acceleration.angular
    lift = acceleration.linear + spatial.cross(w, twist.linear)
    nothing = xp.zeros((lift.shape[0], 3, 1, lift.shape[2]), like=lift)
    spin = spatial.skew(w)
    turn = spatial.skew(alpha) + spatial.multiply(spin, spin)  # force of the first moment
    inertia = _six(xp, alpha) + spatial.multiply(spin, _six(xp, w))
    six = xp.zeros((lift.shape[0], 3, 6, lift.shape[2]), like=lift)
    moment = xp.concat((nothing, -spatial.skew(lift), inertia), axis=2)
    force = xp.concat((lift[:, :, None], turn, six), axis=2)
    return Pair(_rows(moment), _rows(force))


def _six(xp: Any, x: Array) -> Array:
    """L(x) (n, 3, 6, B) with L(x) (Ixx, Ixy, Iyy, Ixz, Iyz, Izz) = I x."""
    a, b, c = x[:, 0], x[:, 1], x[:, 2]
    o = xp.zeros(a.shape, like=a)
    rows = ((a, b, o, c, o, o), (o, a, b, o, c, o), (o, o, o, a, b, c))
    return xp.stack([xp.stack(row, axis=1) for row in rows], axis=1)


def _rows(x: Array) -> Array:
    """(n, 3, 10, B) to (10 n, 3, B)."""
    return x.swapaxes(1, 2).reshape(x.shape[0] * 10, 3, x.shape[-1])
