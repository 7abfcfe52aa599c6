"""The mass matrix by the composite-rigid-body algorithm, and the joints that leave it singular."""

from __future__ import annotations

from typing import Any

import torch

from kinematics.algorithms import joint_terms
from kinematics.arrays import Array
from kinematics.recursion.inputs import Inputs, enter
from kinematics.recursion.placement import Placement, concat_levels
from kinematics.robot.random import random_state
from kinematics.robot.tree import Robot


def crba(robot: Robot, q: Any) -> Array:
    """Mass matrix H(q) (..., nv, nv), symmetric, armature included.

    q (..., nq) [rad | m]; entries in kg·m², kg·m or kg as the coordinates are angles or lengths.
    Featherstone (2008), table 6.2. Raises RobotError on wrong shapes.
    """
    return enter(robot, q).run(
        lambda inputs: mass_matrix(inputs, Placement(inputs.layout, inputs.q))
    )


def mass_matrix(inputs: Inputs, place: Placement) -> Array:
    """The mass matrix (nv, nv, B) in the robot's order."""
    layout, xp = inputs.layout, inputs.xp
    held = xp.take(composites(inputs, place), layout.dof_body)
    own = xp.linear(layout.axis_momentum, held)
    matrix = place.project_columns(layout.dof_columns, own)
    if inputs.robot.mimic:
        matrix = inputs.rows(inputs.rows(matrix).swapaxes(0, 1)).swapaxes(0, 1)
    armature = joint_terms.present(inputs, "armature")
    return matrix if armature is None else matrix + _diagonal(inputs.xp, armature)


def composites(inputs: Inputs, place: Placement) -> Array:
    """Inertial parameters (nb, 10, B) of each body with all that it carries, in its frame."""
    return concat_levels(inputs.xp, place.inward(inputs.pi, place.carry_parameters))


def _diagonal(xp: Any, x: Array) -> Array:
    """(n, 1) to (n, n, 1)."""
    n = x.shape[0]
    zero = xp.zeros((1, 1), like=x)
    rows = [xp.concat((zero,) * i + (x[i : i + 1],) + (zero,) * (n - 1 - i)) for i in range(n)]
    return xp.stack(rows, axis=0)


_ZERO = 1e-12  # of the mass matrix's eigenvalues, its diagonal scaled to one
_SHARE = 1e-6  # of a unit motion: what belongs to it, and what is rounding


def joints_without_inertia(robot: Robot) -> tuple[str, ...]:
    """The joints that take part in a motion in which nothing with inertia moves, at a random
    configuration: their accelerations are not determined.

    It takes a body without inertia: at a tip, or between two joints that move alike (a free joint
    put on a massless base beside a hinge). With inertia everywhere nothing is computed.
    """
    pi = robot.pi
    if not isinstance(pi, torch.Tensor) or pi.ndim != 2 or bool((pi[:, [0, 4, 6, 9]] != 0).all()):
        return ()
    q, _, _ = random_state(robot, 1)
    plain = robot.to(dtype=torch.float64)
    H = crba(plain, q)[0].detach()
    size = H.diagonal().clamp_min(0).sqrt()
    scale = torch.where(size > 0, 1 / size, 1.0)
    values, motions = torch.linalg.eigh(scale[:, None] * H * scale)
    still = (motions[:, values < _ZERO] * scale[:, None]).abs()
    moving = (still > _SHARE * still.amax(0, keepdim=True)).any(1) if still.numel() else size < 0
    return tuple(
        name for name in robot.independent_names if bool(moving[robot.v_slice(name)].any())
    )
