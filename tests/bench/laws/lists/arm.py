# ruff: noqa: E501
"""Arm list: fourteen laws for an arm of seven hinges. Last looked at: 2026-11-30."""

from __future__ import annotations

import torch

from kinematics import Robot
from tests.bench.laws.planting import AtTip, PlantedLaw, kinetic_energy, on_joint


def laws(robot: Robot) -> list[PlantedLaw]:
    """Fourteen, for a chain of at least seven hinges."""
    n = robot.nv
    F, M, D = "force", "inertia", "drive"

    def at_tip(force, place=(0.05, 0.0, 0.12)):
        return AtTip(robot, force, place)

    return [
        PlantedLaw("drag |v|^1.5 on joint 4", F, lambda q, v, H: on_joint(3, v[:, 3].sign() * v[:, 3].abs() ** 1.5, n)),
        PlantedLaw("logarithmic drag on joint 1", F, lambda q, v, H: on_joint(0, v[:, 0].sign() * torch.log1p(2 * v[:, 0].abs()), n)),
        PlantedLaw("quintic spring on joint 6", F, lambda q, v, H: on_joint(5, q[:, 5] ** 5, n)),
        PlantedLaw("sin 3q on joint 3", F, lambda q, v, H: on_joint(2, torch.sin(3 * q[:, 2]), n)),
        PlantedLaw("slack spring on joint 5", F, lambda q, v, H: on_joint(4, q[:, 4].sign() * (q[:, 4].abs() - 0.4).clamp_min(0), n)),
        PlantedLaw("cubic drag between joints 3 and 4", F, lambda q, v, H: on_joint(2, (v[:, 2] - v[:, 3]) ** 3, n) - on_joint(3, (v[:, 2] - v[:, 3]) ** 3, n)),
        PlantedLaw("side wind at the hand", F, at_tip(lambda x, dx: on_joint(0, torch.ones_like(x[:, 0]), 3))),
        PlantedLaw("quadratic drag at the hand", F, at_tip(lambda x, dx: dx * dx.norm(dim=-1, keepdim=True))),
        PlantedLaw("wall before the hand", F, at_tip(lambda x, dx: on_joint(0, (x[:, 0] - 0.3).clamp_min(0) ** 2, 3))),
        PlantedLaw("drag by momentum", F, lambda q, v, H: (H @ v.unsqueeze(-1)).squeeze(-1)),
        PlantedLaw("inertia of joint 3 with its speed", M, lambda q, v, H: torch.diag_embed(on_joint(2, v[:, 2] ** 2, n))),
        PlantedLaw("inertia of joint 5 with cos 2q", M, lambda q, v, H: torch.diag_embed(on_joint(4, 1 + torch.cos(2 * q[:, 4]), n))),
        PlantedLaw("inertia with energy", M, lambda q, v, H: H * (0.3 * kinetic_energy(v, H))[:, None, None]),
        PlantedLaw("drive of joint 2 saturates", D, lambda q, v, tau: on_joint(1, 30 * torch.tanh(tau[:, 1] / 30) - tau[:, 1], n), fixed=True),
    ]  # fmt: skip
