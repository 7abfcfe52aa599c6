"""The mass matrix by the composite-rigid-body algorithm."""

from __future__ import annotations

from typing import Any

from kinematics import spatial, terms
from kinematics.arrays import Array
from kinematics.inputs import Inputs, enter
from kinematics.spatial import RigidInertia
from kinematics.traversal import Level
from kinematics.tree import Robot


def crba(robot: Robot, q: Any) -> Array:
    """Mass matrix H(q) (..., nv, nv), symmetric, armature included.

    q (..., nq) [rad | m]; entries in kg·m², kg·m or kg as the coordinates are angles or lengths.
    Featherstone (2008), table 6.2. Raises RobotError on wrong shapes.
    """
    given = enter(robot, q)
    matrix = mass_matrix(given)
    armature = terms.present(robot, given, "armature")
    if armature is not None:
        read = given.read
        matrix = matrix + _diagonal(read.xp, read.public_dofs(armature).T)
    return given.leave_last(matrix)


def mass_matrix(given: Inputs) -> Array:
    """The rigid-body mass matrix (nv, nv, B) in the robot's order."""
    read = given.read
    rotation, offset = read.placements(given.q)
    composite = composites(given, rotation, offset)
    held = RigidInertia(*(read.of_bodies(x) for x in composite))
    own = spatial.momentum(held, read.motion)
    return read.project_columns(read.dof_columns, own, rotation, offset, spatial.wrench_to_parent)


def composites(given: Inputs, rotation: Array, offset: Array) -> RigidInertia:
    """Inertia of each body with all that it carries, in its frame, level order."""
    read = given.read
    bodies = read.inertias(given.pi)

    def step(level: Level, children: RigidInertia | None) -> tuple[RigidInertia, RigidInertia]:
        here = level.bodies
        total = RigidInertia(*(x[here] for x in bodies))
        if children is not None:
            total = RigidInertia(*(x + y for x, y in zip(total, children, strict=True)))
        if level.number == 0:
            return total, total
        return total, spatial.inertia_to_parent(rotation[here], offset[here], total)

    return read.inward(step)


def _diagonal(xp: Any, x: Array) -> Array:
    """(n, B) to (n, n, B)."""
    n = x.shape[0]
    zero = xp.zeros((1, *x.shape[1:]), like=x)
    rows = [xp.concat((zero,) * i + (x[i : i + 1],) + (zero,) * (n - 1 - i)) for i in range(n)]
    return xp.stack(rows, axis=0)
