"""Joint forces are linear in the inertial parameters: tau = Y(q, v, a) pi."""

from __future__ import annotations

from typing import Any

from kinematics.algorithms.rnea import motions
from kinematics.arrays import Array, namespace
from kinematics.recursion.inputs import Inputs, enter
from kinematics.recursion.placement import Placement
from kinematics.robot.tree import Robot
from kinematics.spatial import algebra as spatial


def regressor(robot: Robot, q: Any, v: Any, a: Any) -> Array:
    """Y (..., nv, 10·nb) with Y @ robot.pi.flatten() = rnea(robot, q, v, a) less joint terms.

    q (..., nq) [rad | m], v (..., nv) [rad/s | m/s], a (..., nv) [rad/s² | m/s²]. Columns: ten for
    each body in the robot's order, as in ``robot.pi``. Joint terms are ``joint_forces``.
    Atkeson, An & Hollerbach (1986).
    """
    return enter(robot, q, v, a).run(_rows)


def _rows(inputs: Inputs) -> Array:
    """By virtual power: each body's wrench on the motions that the joints above it give to it."""
    layout, xp = inputs.layout, inputs.xp
    place = Placement(layout, inputs.q)
    wrenches = _wrenches(layout.own_frames(motions(inputs, place), slice(None)))
    powers = []
    for level, axes in zip(layout.levels, place.axes(), strict=True):
        axes = layout.own_frames(axes, level.bodies).swapaxes(1, 2)
        angular, linear = axes[:, :, :3], axes[:, :, 3:]
        force, turn, lever, moment = (x[level.bodies] for x in wrenches)
        first = spatial.multiply(linear, turn) + spatial.multiply(angular, lever)
        parts = (spatial.multiply(linear, force), first, spatial.multiply(angular, moment))
        powers.append(xp.concat(parts, axis=2).reshape(-1, 10, inputs.count))
    zero = xp.zeros((1, 10, inputs.count), like=inputs.q)
    rows = xp.take(xp.concat((*powers, zero)), layout.axis_rows)
    return inputs.rows(rows.reshape(layout.nv, 10 * layout.nb, inputs.count))


def _wrenches(moving: Array) -> tuple[Array, Array, Array, Array]:
    """What twist and acceleration (n, 6, 2, B) ask of a body, for each of its parameters.

    The force for a unit mass (n, 3, 1, B); force and moment for the first moments (n, 3, 3, B); the
    moment for the inertia (n, 3, 6, B).
    """
    twist, acceleration = moving[:, :, 0], moving[:, :, 1]
    w, alpha = twist[:, :3], acceleration[:, :3]
    spin = spatial.skew(w)
    lift = acceleration[:, 3:] + spatial.cross(w, twist[:, 3:])
    turn = spatial.skew(alpha) + spatial.multiply(spin, spin)
    moment = _six(alpha) + spatial.multiply(spin, _six(w))
    return lift[:, :, None], turn, -spatial.skew(lift), moment


def _six(x: Array) -> Array:
    """L(x) (n, 3, 6, B) with L(x) (Ixx, Ixy, Iyy, Ixz, Iyz, Izz) = I x."""
    xp = namespace(x)
    a, b, c = x[:, 0], x[:, 1], x[:, 2]
    o = xp.zeros(a.shape, like=a)
    rows = ((a, b, o, c, o, o), (o, a, b, o, c, o), (o, o, o, a, b, c))
    return xp.stack([xp.stack(row, axis=1) for row in rows], axis=1)
