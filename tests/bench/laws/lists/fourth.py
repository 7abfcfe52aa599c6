# ruff: noqa: E501
"""Fourth list: thirty laws, drawn by lot from the list of which the third is the rest, on which the
search's misses were read while it was extended. Last looked at: 2026-11-30.
"""

from __future__ import annotations

import torch

from kinematics import Robot
from tests.bench.laws.lists.third import PLACE, A, D, F, Hand, M, norm, vector
from tests.bench.laws.planting import PlantedLaw, kinetic_energy, on_joint, tip


def laws(robot: Robot) -> list[PlantedLaw]:
    """The thirty, for a chain of two or more hinges."""
    h, n, last = Hand(robot), robot.nv, robot.nv - 1
    return [
        PlantedLaw("hand drag 1.5", F, h.at(lambda x, dx: dx * norm(dx).sqrt())),
        PlantedLaw("hand drag along x, quadratic", F, h.at(lambda x, dx: on_joint(0, dx[:, 0] * dx[:, 0].abs(), 3))),
        PlantedLaw("wind drag", F, h.at(lambda x, dx: (dx - vector(0.8, 0.0, 0.3)) * norm(dx - vector(0.8, 0.0, 0.3)))),
        PlantedLaw("friction by position", F, h.on(0, lambda q, v: torch.tanh(8 * v[:, 0]) * (1 + 0.6 * torch.sin(2 * q[:, 0]))), outside=True),
        PlantedLaw("dead-zone drag", F, h.on(last, lambda q, v: v[:, last].sign() * (v[:, last].abs() - 0.6).clamp_min(0))),
        PlantedLaw("clipped torque", D, lambda q, v, tau: on_joint(last, tau[:, last].clamp(-2, 2) - tau[:, last], n), fixed=True),
        PlantedLaw("lopsided end stops", F, h.on(last, lambda q, v: (q[:, last] - 0.3).clamp_min(0) - (-q[:, last] - 0.6).clamp_min(0)), outside=True),
        PlantedLaw("log spring", F, h.on(last, lambda q, v: q[:, last].sign() * torch.log1p(3 * q[:, last].abs()))),
        PlantedLaw("erf drag", F, h.on(0, lambda q, v: torch.erf(2 * v[:, 0]))),
        PlantedLaw("tanh of difference on one joint", F, h.on(0, lambda q, v: torch.tanh(3 * (q[:, 0] - q[:, 1])))),
        PlantedLaw("potential q1 q2²", F, lambda q, v, H: on_joint(0, q[:, 1] ** 2, n) + on_joint(1, 2 * q[:, 0] * q[:, 1], n), outside=True),
        PlantedLaw("potential sin sin", F, lambda q, v, H: on_joint(0, torch.cos(q[:, 0]) * torch.sin(q[:, 1]), n) + on_joint(1, torch.sin(q[:, 0]) * torch.cos(q[:, 1]), n), outside=True),
        PlantedLaw("inertia 1+kT", M, lambda q, v, H: H * kinetic_energy(v, H)[:, None, None] * 0.2),
        PlantedLaw("gravity fades with potential", F, lambda q, v, H: -h.gravity(q) * torch.tanh(0.3 * h.potential(q))[:, None], outside=True),
        PlantedLaw("gravity by hand height", F, lambda q, v, H: h.gravity(q) * (1 / (1 + 0.4 * (tip(robot, q, v, (0.0, 0.0, 0.0))[0][:, 2] + 1)) ** 2)[:, None]),
        PlantedLaw("sin 2q2 on joint 1", F, h.on(0, lambda q, v: torch.sin(2 * q[:, 1]))),
        PlantedLaw("acceleration × cos |q|", A, lambda q, v, a, H: 0.3 * a * torch.cos(2 * norm(q)), fixed=True),
        PlantedLaw("drag between, 1.5", F, lambda q, v, H: (lambda f: on_joint(0, f, n) - on_joint(1, f, n))((v[:, 0] - v[:, 1]).sign() * (v[:, 0] - v[:, 1]).abs() ** 1.5)),
        PlantedLaw("gear ripple", F, h.on(0, lambda q, v: torch.sin(6 * q[:, 0] + 0.4))),
        PlantedLaw("Rayleigh", F, h.on(last, lambda q, v: v[:, last] * (v[:, last] ** 2 - 1))),
        PlantedLaw("v1² cos q2 on joint 2", F, h.on(1, lambda q, v: v[:, 0] ** 2 * torch.cos(q[:, 1]))),
        PlantedLaw("softplus spring", F, h.on(last, lambda q, v: torch.nn.functional.softplus(4 * q[:, last]))),
        PlantedLaw("quadratic drag by angle", F, h.on(0, lambda q, v: v[:, 0] * v[:, 0].abs() * (1 + 0.7 * torch.cos(2 * q[:, 0])))),
        PlantedLaw("motor dead zone", D, lambda q, v, tau: -tau.clamp(-0.7, 0.7), fixed=True),
        PlantedLaw("added mass at the hand by depth", M, lambda q, v, H: (lambda x, dx, J: J.mT @ J * torch.sigmoid(6 * (-0.4 - x[:, 2]))[:, None, None])(*tip(robot, q, v, PLACE))),
        PlantedLaw("v^3 of neighbour", F, h.on(0, lambda q, v: v[:, 1] ** 3)),
        PlantedLaw("double well", F, h.on(last, lambda q, v: torch.sin(3 * q[:, last]) * torch.exp(-q[:, last] ** 2))),
        PlantedLaw("mass matrix off-diagonals scaled", M, lambda q, v, H: -(H - torch.diag_embed(H.diagonal(dim1=-2, dim2=-1)))),
        PlantedLaw("inertia sqrt(1+v²)", M, lambda q, v, H: torch.diag_embed(on_joint(last, (1 + 2 * v[:, last] ** 2).sqrt(), n))),
        PlantedLaw("Lorentz-like v1 v2", F, h.on(0, lambda q, v: v[:, 0] * v[:, 1])),
    ]  # fmt: skip
