"""Joint forces are linear in the inertial parameters: tau = Y(q, v, a) pi."""

from __future__ import annotations

from typing import Any

from kinematics import spatial
from kinematics.arrays import Array
from kinematics.inputs import Inputs, enter
from kinematics.placement import Placement
from kinematics.rnea import motions
from kinematics.tree import Robot


def regressor(robot: Robot, q: Any, v: Any, a: Any) -> Array:
    """Y (..., nv, 10·nb) with Y @ robot.pi.flatten() = rnea(robot, q, v, a) less joint terms.

    q (..., nq) [rad | m], v (..., nv) [rad/s | m/s], a (..., nv) [rad/s² | m/s²]. Columns: ten for
    each body in the robot's order, as in ``robot.pi``. Joint terms are ``joint_forces``.
    Atkeson, An & Hollerbach (1986).
    """
    return enter(robot, q, v, a).run(_columns)


def _columns(given: Inputs) -> Array:
    place = Placement(given.read, given.q)
    own = body_columns(given, motions(given, place))
    projected = place.project_columns(given.read.parameter_columns, own)
    return given.rows(projected)


def body_columns(given: Inputs, moving: Array) -> Array:
    """The wrench of each body for each unit parameter: (10·nb, 6, B), ten rows a body."""
    xp, read = given.xp, given.read
    twist, acceleration = moving[:, :, 0], moving[:, :, 1]
    w, alpha = twist[:, :3], acceleration[:, :3]
    lift = acceleration[:, 3:] + spatial.cross(w, twist[:, 3:])
    n, batch = lift.shape[0], lift.shape[-1]
    spin = spatial.skew(w)
    turn = spatial.skew(alpha) + spatial.multiply(spin, spin)  # force of the first moment
    inertia = _six(xp, alpha) + spatial.multiply(spin, _six(xp, w))
    moment = xp.concat((xp.zeros((n, 3, 1, batch), like=lift), -spatial.skew(lift), inertia), 2)
    force = xp.concat((lift[:, :, None], turn, xp.zeros((n, 3, 6, batch), like=lift)), 2)
    columns = xp.concat((moment, force), 1).swapaxes(1, 2)
    if read.parameter_frame is not None:
        columns = xp.linear(read.parameter_frame, columns)
    return columns.reshape(n * 10, 6, batch)


def _six(xp: Any, x: Array) -> Array:
    """L(x) (n, 3, 6, B) with L(x) (Ixx, Ixy, Iyy, Ixz, Iyz, Izz) = I x."""
    a, b, c = x[:, 0], x[:, 1], x[:, 2]
    o = xp.zeros(a.shape, like=a)
    rows = ((a, b, o, c, o, o), (o, a, b, o, c, o), (o, o, o, a, b, c))
    return xp.stack([xp.stack(row, axis=1) for row in rows], axis=1)
