"""Three laws for simulators that networks are taught by."""

from __future__ import annotations

import torch
from planted_laws import _on

from kinematics import Robot
from tests.bench.laws.planting import PlantedLaw


def laws(robot: Robot) -> list[PlantedLaw]:
    """A drag, a spring and a force of two angles, for a chain of two or more hinges."""
    n = robot.nv

    def drag(q, v, H):
        return _on(0, v[:, 0].sign() * v[:, 0].abs() ** 1.5, n)

    def spring(q, v, H):
        return _on(1, torch.atan(4 * q[:, 1]), n)

    return [
        PlantedLaw("drag |v|^1.5", "force", drag),
        PlantedLaw(
            "arctangent spring", "force", lambda q, v, H: _on(1, torch.atan(4 * q[:, 1]), n)
        ),
        PlantedLaw("product of angles", "force", lambda q, v, H: _on(0, q[:, 0] * q[:, 1], n)),
    ]
