"""Motions that move no inertia: joints for whose acceleration the equations of motion have no
answer."""

from __future__ import annotations

import torch

from kinematics.algorithms.crba import crba
from kinematics.robot.states import random_state
from kinematics.robot.tree import Robot

ZERO = 1e-12  # of the mass matrix's eigenvalues, its diagonal scaled to one
SHARE = 1e-6  # of a unit motion: what belongs to it, and what is rounding


def idle_joints(robot: Robot) -> tuple[str, ...]:
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
    still = (motions[:, values < ZERO] * scale[:, None]).abs()
    moving = (still > SHARE * still.amax(0, keepdim=True)).any(1) if still.numel() else size < 0
    mimicking = {m.joint for m in robot.mimic}
    return tuple(
        name
        for name, at in zip(robot.joint_names, robot.v_slices, strict=True)
        if name not in mimicking and bool(moving[at].any())
    )
