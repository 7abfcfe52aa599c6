# ruff: noqa: E501
"""Laws as a stranger might write them, after everything else had been built.

`laws` are the seventeen that the search was scored on once and never changed for; `used` are the
thirty, drawn from the same list by lot, that its misses were looked at on.
"""

from __future__ import annotations

import torch
from planted_laws import _on, tip
from torch import Tensor

import kinematics
from kinematics import Robot
from tests.bench.laws.planting import PlantedLaw

PLACE = (0.1, 0.0, -0.45)
F, M, D, A = "force", "inertia", "drive", "answer"


class _Hand:
    """What the laws of one robot share: its last body's point, its size, its mechanics."""

    def __init__(self, robot: Robot):
        self.robot, self.n = robot, robot.nv
        self.anchor = _vec(0.4, 0.0, -0.6) if robot.nv == 2 else _vec(0.5, 0.1, -0.3)

    def at(self, force):
        """A force at the point, force(x, dx) in space."""

        def shape(q, v, H):
            x, dx, J = tip(self.robot, q, v, PLACE)
            return (J.mT @ force(x, dx).unsqueeze(-1)).squeeze(-1)

        return shape

    def on(self, j, f):
        """A force on one joint, f(q, v)."""
        return lambda q, v, H: _on(j, f(q, v), self.n)

    def gravity(self, q):
        return kinematics.bias(self.robot, q, torch.zeros_like(q))

    def coriolis(self, q, v):
        return kinematics.bias(self.robot, q, v) - self.gravity(q)

    def potential(self, q):
        return kinematics.potential_energy(self.robot, q)


def _vec(*c: float) -> Tensor:
    return torch.tensor(c, dtype=torch.float64)


def _size(x: Tensor) -> Tensor:
    return x.norm(dim=-1, keepdim=True)


def _kinetic(v, H):
    return 0.5 * (v * (H @ v.unsqueeze(-1)).squeeze(-1)).sum(-1)


def laws(robot: Robot) -> list[PlantedLaw]:
    """The seventeen, for a chain of two or more hinges."""
    h, n = _Hand(robot), robot.nv
    return [
        PlantedLaw("all joints tanh spring", F, lambda q, v, H: torch.tanh(2 * q)),
        PlantedLaw("efficiency by power", D, lambda q, v, tau: -_on(0, 0.4 * tau[:, 0] * torch.tanh(0.5 * tau[:, 0] * v[:, 0]), n), fixed=True),
        PlantedLaw("soft floor", F, h.at(lambda x, dx: -_on(2, (-0.3 - x[:, 2]).clamp_min(0) ** 1.5, 3))),
        PlantedLaw("spring to an anchor", F, h.at(lambda x, dx: x - h.anchor)),
        PlantedLaw("cos³ with phase", F, h.on(0, lambda q, v: torch.cos(2 * q[:, 0] + 0.5) ** 3)),
        PlantedLaw("speed limit", A, lambda q, v, a, H: a * ((1 - v.square().sum(-1, keepdim=True) / 80).clamp_min(0) ** 1.5 - 1), fixed=True),
        PlantedLaw("drag grows with |q|", F, lambda q, v, H: v * _size(q) ** 3),
        PlantedLaw("brake near a magnet", F, h.at(lambda x, dx: dx * torch.exp(-3 * _size(x - h.anchor) ** 2))),
        PlantedLaw("Coriolis 1.5", F, lambda q, v, H: h.coriolis(q, v)),
        PlantedLaw("oblique wall", F, h.at(lambda x, dx: _vec(0.6, 0.0, -0.8) * ((x @ _vec(0.6, 0.0, -0.8)) - 0.4).clamp_min(0)[:, None])),
        PlantedLaw("Duffing", F, h.on(0, lambda q, v: q[:, 0] ** 3 - 0.6 * q[:, 0])),
        PlantedLaw("magnet", F, h.at(lambda x, dx: (x - h.anchor) / (_size(x - h.anchor) ** 2 + 0.1) ** 2)),
        PlantedLaw("elastic band to an anchor", F, h.at(lambda x, dx: (x - h.anchor) * (1 - 0.3 / (_size(x - h.anchor) ** 2 + 0.01).sqrt()).clamp_min(0))),
        PlantedLaw("all joints log drag", F, lambda q, v, H: v.sign() * torch.log1p(4 * v.abs())),
        PlantedLaw("acceleration × 1-.3tanh|v|", A, lambda q, v, a, H: -0.3 * a * torch.tanh(_size(v)), fixed=True),
        PlantedLaw("Stribeck", F, h.on(0, lambda q, v: torch.tanh(12 * v[:, 0]) * (1 + 1.2 * torch.exp(-v[:, 0].abs() / 0.4)) + 0.5 * v[:, 0])),
        PlantedLaw("inertia 1+|v|²", M, lambda q, v, H: H * (v.square().sum(-1))[:, None, None]),
    ]  # fmt: skip


def used(robot: Robot) -> list[PlantedLaw]:
    """The thirty."""
    h, n, last = _Hand(robot), robot.nv, robot.nv - 1
    return [
        PlantedLaw("hand drag 1.5", F, h.at(lambda x, dx: dx * _size(dx).sqrt())),
        PlantedLaw("hand drag along x, quadratic", F, h.at(lambda x, dx: _on(0, dx[:, 0] * dx[:, 0].abs(), 3))),
        PlantedLaw("wind drag", F, h.at(lambda x, dx: (dx - _vec(0.8, 0.0, 0.3)) * _size(dx - _vec(0.8, 0.0, 0.3)))),
        PlantedLaw("friction by position", F, h.on(0, lambda q, v: torch.tanh(8 * v[:, 0]) * (1 + 0.6 * torch.sin(2 * q[:, 0])))),
        PlantedLaw("dead-zone drag", F, h.on(last, lambda q, v: v[:, last].sign() * (v[:, last].abs() - 0.6).clamp_min(0))),
        PlantedLaw("clipped torque", D, lambda q, v, tau: _on(last, tau[:, last].clamp(-2, 2) - tau[:, last], n), fixed=True),
        PlantedLaw("lopsided end stops", F, h.on(last, lambda q, v: (q[:, last] - 0.3).clamp_min(0) - (-q[:, last] - 0.6).clamp_min(0))),
        PlantedLaw("log spring", F, h.on(last, lambda q, v: q[:, last].sign() * torch.log1p(3 * q[:, last].abs()))),
        PlantedLaw("erf drag", F, h.on(0, lambda q, v: torch.erf(2 * v[:, 0]))),
        PlantedLaw("tanh of difference on one joint", F, h.on(0, lambda q, v: torch.tanh(3 * (q[:, 0] - q[:, 1])))),
        PlantedLaw("potential q1 q2²", F, lambda q, v, H: _on(0, q[:, 1] ** 2, n) + _on(1, 2 * q[:, 0] * q[:, 1], n)),
        PlantedLaw("potential sin sin", F, lambda q, v, H: _on(0, torch.cos(q[:, 0]) * torch.sin(q[:, 1]), n) + _on(1, torch.sin(q[:, 0]) * torch.cos(q[:, 1]), n)),
        PlantedLaw("inertia 1+kT", M, lambda q, v, H: H * _kinetic(v, H)[:, None, None] * 0.2),
        PlantedLaw("gravity fades with potential", F, lambda q, v, H: -h.gravity(q) * torch.tanh(0.3 * h.potential(q))[:, None]),
        PlantedLaw("gravity by hand height", F, lambda q, v, H: h.gravity(q) * (1 / (1 + 0.4 * (tip(robot, q, v, (0.0, 0.0, 0.0))[0][:, 2] + 1)) ** 2)[:, None]),
        PlantedLaw("sin 2q2 on joint 1", F, h.on(0, lambda q, v: torch.sin(2 * q[:, 1]))),
        PlantedLaw("acceleration × cos |q|", A, lambda q, v, a, H: 0.3 * a * torch.cos(2 * _size(q)), fixed=True),
        PlantedLaw("drag between, 1.5", F, lambda q, v, H: (lambda f: _on(0, f, n) - _on(1, f, n))((v[:, 0] - v[:, 1]).sign() * (v[:, 0] - v[:, 1]).abs() ** 1.5)),
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
        PlantedLaw("inertia sqrt(1+v²)", M, lambda q, v, H: torch.diag_embed(_on(last, (1 + 2 * v[:, last] ** 2).sqrt(), n))),
        PlantedLaw("Lorentz-like v1 v2", F, h.on(0, lambda q, v: v[:, 0] * v[:, 1])),
    ]  # fmt: skip
