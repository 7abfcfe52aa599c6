"""Three laws of the simulators from which networks are distilled. Last looked at: 2026-11-30."""

from __future__ import annotations

import torch

from kinematics import Robot
from tests.bench.laws.planting import PlantedLaw, on_joint


def laws(robot: Robot) -> list[PlantedLaw]:
    """A drag, a spring and a force of two angles, for a chain of two or more hinges."""
    n = robot.nv

    def drag(q, v, H):
        return on_joint(0, v[:, 0].sign() * v[:, 0].abs() ** 1.5, n)

    def spring(q, v, H):
        return on_joint(1, torch.atan(4 * q[:, 1]), n)

    return [
        PlantedLaw("drag |v|^1.5", "force", drag),
        PlantedLaw("arctangent spring", "force", spring),
        PlantedLaw("product of angles", "force", lambda q, v, H: on_joint(0, q[:, 0] * q[:, 1], n)),
    ]
