"""Random states of a robot, for tests, identification and benchmarks."""

from __future__ import annotations

import torch
from torch import Tensor

from kinematics.arrays.arguments import check_robot
from kinematics.errors import RobotError
from kinematics.robot.tree import Robot


def random_state(
    robot: Robot, count: int, *, seed: int = 0, q: float = torch.pi, v: float = 1.0, a: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Random q (count, nq), v and a (count, nv), float64: uniform in ±q, ±v, ±a.

    Rotations of spherical and free joints are uniform over all orientations.
    """
    check_robot(robot)
    if count < 0:
        raise RobotError(f"expected a count >= 0, found {count}; ask for some states")
    generator = torch.Generator().manual_seed(seed)

    def uniform(width: int, half: float) -> Tensor:
        return half * (2 * torch.rand(count, width, generator=generator, dtype=torch.float64) - 1)

    configuration = uniform(robot.nq, q)
    for where in robot.quaternion_slices:
        quaternion = torch.randn(count, 4, generator=generator, dtype=torch.float64)
        configuration[:, where] = quaternion / quaternion.norm(dim=-1, keepdim=True)
    for kind, at in zip(robot.kinds, robot.q_slices, strict=True):
        if kind == "free":
            configuration[:, at.start : at.start + 3] /= max(q, 1.0)
    return configuration, uniform(robot.nv, v), uniform(robot.nv, a)
