"""The mass matrix by the composite-rigid-body algorithm."""

from __future__ import annotations

from typing import Any

from kinematics.algorithms import terms
from kinematics.arrays.inputs import Inputs, enter
from kinematics.arrays.operations import Array
from kinematics.arrays.placement import Placement, concat_levels
from kinematics.robot.tree import Robot


def crba(robot: Robot, q: Any) -> Array:
    """Mass matrix H(q) (..., nv, nv), symmetric, armature included.

    q (..., nq) [rad | m]; entries in kg·m², kg·m or kg as the coordinates are angles or lengths.
    Featherstone (2008), table 6.2. Raises RobotError on wrong shapes.
    """
    return enter(robot, q).run(lambda given: mass_matrix(given, Placement(given.read, given.q)))


def mass_matrix(given: Inputs, place: Placement) -> Array:
    """The mass matrix (nv, nv, B) in the robot's order."""
    read, xp = given.read, given.xp
    held = xp.take(composites(given, place), read.dof_body)
    own = xp.linear(read.axis_momentum, held)
    matrix = place.project_columns(read.dof_columns, own)
    if given.robot.mimic:
        matrix = given.rows(given.rows(matrix).swapaxes(0, 1)).swapaxes(0, 1)
    armature = terms.present(given, "armature")
    return matrix if armature is None else matrix + _diagonal(given.xp, armature)


def composites(given: Inputs, place: Placement) -> Array:
    """Inertial parameters (nb, 10, B) of each body with all that it carries, in its frame."""
    return concat_levels(given.xp, place.inward(given.pi, place.carry_parameters))


def _diagonal(xp: Any, x: Array) -> Array:
    """(n, 1) to (n, n, 1)."""
    n = x.shape[0]
    zero = xp.zeros((1, 1), like=x)
    rows = [xp.concat((zero,) * i + (x[i : i + 1],) + (zero,) * (n - 1 - i)) for i in range(n)]
    return xp.stack(rows, axis=0)
