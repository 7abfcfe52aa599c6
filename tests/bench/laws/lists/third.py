# ruff: noqa: E501
"""Third list: seventeen laws, written down after the first two lists had been used. The search was
scored on them on 2026-11-25; their misses have been read since. Last looked at: 2026-11-30.
"""

from __future__ import annotations

import torch
from torch import Tensor

import kinematics
from kinematics import Robot
from tests.bench.laws.planting import AtTip, PlantedLaw, on_joint

PLACE = (0.1, 0.0, -0.45)
F, M, D, A = "force", "inertia", "drive", "answer"


class Hand:
    """Forces at a point of the last body, and gravity, speed and potential terms of one robot."""

    def __init__(self, robot: Robot):
        self.robot, self.n = robot, robot.nv
        self.anchor = vector(0.4, 0.0, -0.6) if robot.nv == 2 else vector(0.5, 0.1, -0.3)

    def at(self, force):
        """The generalised force of force(x, dx) [N] at the point."""
        return AtTip(self.robot, force, PLACE)

    def on(self, j, f):
        """A force on one joint, f(q, v)."""
        return lambda q, v, H: on_joint(j, f(q, v), self.n)

    def gravity(self, q):
        return kinematics.bias(self.robot, q, torch.zeros_like(q))

    def coriolis(self, q, v):
        return kinematics.bias(self.robot, q, v) - self.gravity(q)

    def potential(self, q):
        return kinematics.potential_energy(self.robot, q)


def vector(*c: float) -> Tensor:
    return torch.tensor(c, dtype=torch.float64)


def norm(x: Tensor) -> Tensor:
    return x.norm(dim=-1, keepdim=True)


def laws(robot: Robot) -> list[PlantedLaw]:
    """The seventeen, for a chain of two or more hinges."""
    h, n = Hand(robot), robot.nv
    return [
        PlantedLaw("all joints tanh spring", F, lambda q, v, H: torch.tanh(2 * q)),
        PlantedLaw("efficiency by power", D, lambda q, v, tau: -on_joint(0, 0.4 * tau[:, 0] * torch.tanh(0.5 * tau[:, 0] * v[:, 0]), n), fixed=True),
        PlantedLaw("soft floor", F, h.at(lambda x, dx: -on_joint(2, (-0.3 - x[:, 2]).clamp_min(0) ** 1.5, 3))),
        PlantedLaw("spring to an anchor", F, h.at(lambda x, dx: x - h.anchor)),
        PlantedLaw("cos³ with phase", F, h.on(0, lambda q, v: torch.cos(2 * q[:, 0] + 0.5) ** 3)),
        PlantedLaw("speed limit", A, lambda q, v, a, H: a * ((1 - v.square().sum(-1, keepdim=True) / 80).clamp_min(0) ** 1.5 - 1), fixed=True),
        PlantedLaw("drag grows with |q|", F, lambda q, v, H: v * norm(q) ** 3),
        PlantedLaw("brake near a magnet", F, h.at(lambda x, dx: dx * torch.exp(-3 * norm(x - h.anchor) ** 2))),
        PlantedLaw("Coriolis 1.5", F, lambda q, v, H: h.coriolis(q, v)),
        PlantedLaw("oblique wall", F, h.at(lambda x, dx: vector(0.6, 0.0, -0.8) * ((x @ vector(0.6, 0.0, -0.8)) - 0.4).clamp_min(0)[:, None])),
        PlantedLaw("Duffing", F, h.on(0, lambda q, v: q[:, 0] ** 3 - 0.6 * q[:, 0])),
        PlantedLaw("magnet", F, h.at(lambda x, dx: (x - h.anchor) / (norm(x - h.anchor) ** 2 + 0.1) ** 2)),
        PlantedLaw("elastic band to an anchor", F, h.at(lambda x, dx: (x - h.anchor) * (1 - 0.3 / (norm(x - h.anchor) ** 2 + 0.01).sqrt()).clamp_min(0))),
        PlantedLaw("all joints log drag", F, lambda q, v, H: v.sign() * torch.log1p(4 * v.abs())),
        PlantedLaw("acceleration × 1-.3tanh|v|", A, lambda q, v, a, H: -0.3 * a * torch.tanh(norm(v)), fixed=True),
        PlantedLaw("Stribeck", F, h.on(0, lambda q, v: torch.tanh(12 * v[:, 0]) * (1 + 1.2 * torch.exp(-v[:, 0].abs() / 0.4)) + 0.5 * v[:, 0]), outside=True),
        PlantedLaw("inertia 1+|v|²", M, lambda q, v, H: H * (v.square().sum(-1))[:, None, None]),
    ]  # fmt: skip
