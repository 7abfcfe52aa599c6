# ruff: noqa: E501
"""Second list: fifteen laws, written down before the search had been run on any. Its results on them
were reported from 2026-11-22 and read since; one law was replaced on 2026-11-26, when the search had
learned its variable. Last looked at: 2026-11-30.

Some are nothing that force directions and features can say (a magnetic force at a point, an angle
q1 + 3 q2): there a tabulated function, or no law, is right.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kinematics import Robot
from tests.bench.laws.planting import AtTip, PlantedLaw, kinetic_energy, on_joint


def laws(robot: Robot) -> list[PlantedLaw]:
    """The fifteen, for a chain of two or more hinges."""
    n = robot.nv
    last = n - 1
    F, M, D, A = "force", "inertia", "drive", "answer"

    def at_point(force, place=(-0.12, 0.0, -0.5)):
        return AtTip(robot, force, place)

    def pushed(x: Tensor) -> Tensor:
        return on_joint(0, x, n) - on_joint(1, x, n)

    def slack(x: Tensor) -> Tensor:
        return x.sign() * (x.abs() - 0.5).clamp_min(0)

    def turned(dx: Tensor) -> Tensor:
        return torch.stack([dx[:, 2], dx[:, 1] * 0, -dx[:, 0]], -1)

    return [
        PlantedLaw("drag |v|^0.6", F, lambda q, v, H: on_joint(0, v[:, 0].sign() * v[:, 0].abs() ** 0.6, n)),
        PlantedLaw("fading spring", F, lambda q, v, H: on_joint(last, q[:, last] * torch.exp(-1.5 * q[:, last].abs()), n)),
        PlantedLaw("arctangent spring", F, lambda q, v, H: on_joint(0, torch.atan(3 * q[:, 0]), n)),
        PlantedLaw("drag switched by the other angle", F, lambda q, v, H: on_joint(0, v[:, 0] * (1 + 0.8 * torch.tanh(2 * q[:, 1])), n)),
        PlantedLaw("slack between angles", F, lambda q, v, H: pushed(slack(q[:, 0] - q[:, 1]))),
        PlantedLaw("lift that fades with height", F, at_point(lambda x, dx: on_joint(2, torch.exp(-2 * x[:, 2]), 3))),
        PlantedLaw("magnetic force at a point", F, at_point(lambda x, dx: turned(dx))),
        PlantedLaw("inertia 1+|q|", M, lambda q, v, H: torch.diag_embed(on_joint(last, 1 + q[:, last].abs(), n))),
        PlantedLaw("inertia with speed", M, lambda q, v, H: H * (0.2 * v.square().sum(-1))[:, None, None]),
        PlantedLaw("dead drive", D, lambda q, v, tau: -on_joint(0, tau[:, 0].clamp(-0.8, 0.8), n), fixed=True),
        PlantedLaw("drive geared by the angle", D, lambda q, v, tau: on_joint(0, 0.3 * tau[:, 0] * q[:, 0], n), fixed=True),
        PlantedLaw("drag with the energy's tanh", F, lambda q, v, H: v * torch.tanh(0.5 * kinetic_energy(v, H))[:, None]),
        PlantedLaw("angle q1 + 3 q2", F, lambda q, v, H: on_joint(0, torch.sin(q[:, 0] + 3 * q[:, 1]), n), outside=True),
        PlantedLaw("one-sided Coriolis", F, lambda q, v, H: on_joint(0, v[:, 1] ** 2 * torch.sin(q[:, 1]), n)),
        PlantedLaw("answer stirred by speed", A, lambda q, v, a, H: -0.3 * a * torch.exp(-v.square().sum(-1) / 2)[:, None], fixed=True),
    ]  # fmt: skip
