# ruff: noqa: E501
"""First list: forty laws, with which the search was built. Last looked at: 2026-11-30.

Forces that resist, inertias that are added, changes of the drive or of the answer, each in numbers
that `plant` scales to a chosen share of the accelerations.
"""

from __future__ import annotations

import torch

from kinematics import Robot
from tests.bench.laws.planting import AtTip, PlantedLaw, kinetic_energy, on_joint


def laws(robot: Robot) -> list[PlantedLaw]:
    """The forty, for a chain of two or more hinges."""
    n = robot.nv
    last = n - 1
    e = torch.exp

    def diagonal(j, value):
        return torch.diag_embed(on_joint(j, value, n))

    def point(force, along=0.63, side=0.21):
        """force(x, dx) in space, at a point of the last body."""
        return AtTip(robot, force, (side, 0.0, -along))

    F, M, D, A = "force", "inertia", "drive", "answer"
    return [
        # shapes of one step
        PlantedLaw("drag |v|^1.7", F, lambda q, v, H: on_joint(0, v[..., 0].sign() * v[..., 0].abs() ** 1.7, n), (0,), ("v1",)),
        PlantedLaw("tanh drag", F, lambda q, v, H: on_joint(last, torch.tanh(1.7 * v[..., last]), n), (last,), (f"v{n}",)),
        PlantedLaw("sin 3q", F, lambda q, v, H: on_joint(0, torch.sin(3 * q[..., 0]), n), (0,), ("q1",)),
        PlantedLaw("quintic spring", F, lambda q, v, H: on_joint(last, q[..., last] ** 5, n), (last,), (f"q{n}",)),
        PlantedLaw("quadratic drag on speed norm", F, lambda q, v, H: v * v.norm(dim=-1, keepdim=True), tuple(range(n)), ("v1", "v2")),
        PlantedLaw("gyroscopic", F, lambda q, v, H: on_joint(0, v[..., 1], n) - on_joint(1, v[..., 0], n), (0, 1), ("v1", "v2")),
        PlantedLaw("relative drag", F, lambda q, v, H: on_joint(0, (v[..., 0] - v[..., 1]) ** 3, n) - on_joint(1, (v[..., 0] - v[..., 1]) ** 3, n), (0, 1), ("v1", "v2")),
        PlantedLaw("momentum drag", F, lambda q, v, H: (H @ v.unsqueeze(-1)).squeeze(-1), tuple(range(n)), ("p1", "p2")),
        PlantedLaw("inertia 1+v²", M, lambda q, v, H: diagonal(0, v[..., 0] ** 2), (0,), ("a1", "v1")),
        PlantedLaw("inertia cos 2q", M, lambda q, v, H: diagonal(last, 1 + torch.cos(2 * q[..., last])), (last,), (f"a{n}", f"q{n}")),
        PlantedLaw("inertia with energy", M, lambda q, v, H: H * (0.3 * kinetic_energy(v, H))[..., None, None], tuple(range(n)), ("T", "h1")),
        PlantedLaw("saturated drive", D, lambda q, v, tau: 3.0 * torch.tanh(tau / 3.0) - tau, tuple(range(n)), ("tau1",), fixed=True),
        PlantedLaw("drive fades with speed", D, lambda q, v, tau: -on_joint(0, tau[..., 0] * v[..., 0].abs() / (3 + v[..., 0].abs()), n), (0,), ("tau1", "v1"), fixed=True),
        PlantedLaw("answer damped", A, lambda q, v, a, H: -on_joint(0, v[..., 0], n), tuple(range(n)), ("v1",)),
        PlantedLaw("constant side wind", F, point(lambda x, dx: on_joint(0, torch.ones_like(x[..., 0]), 3), 1.0, 0.0), tuple(range(n)), ()),
        PlantedLaw("linear drag at the tip", F, point(lambda x, dx: dx, 0.8, 0.0), tuple(range(n)), ()),
        PlantedLaw("gaussian bump", F, lambda q, v, H: on_joint(0, e(-4 * q[..., 0] ** 2), n), (0,), ("q1",)),
        PlantedLaw("logarithmic drag", F, lambda q, v, H: on_joint(0, v[..., 0].sign() * torch.log1p(2 * v[..., 0].abs()), n), (0,), ("v1",)),
        PlantedLaw("dead-zone spring", F, lambda q, v, H: on_joint(last, q[..., last].sign() * (q[..., last].abs() - 0.4).clamp_min(0), n), (last,), (f"q{n}",)),
        # compositions, products, kinks, points, groups
        PlantedLaw("log² drag", F, lambda q, v, H: on_joint(0, v[..., 0].sign() * torch.log1p(2 * v[..., 0].abs()) ** 2, n), (0,), ("v1",)),
        PlantedLaw("erf spring", F, lambda q, v, H: on_joint(last, torch.erf(1.8 * q[..., last]), n), (last,), (f"q{n}",)),
        PlantedLaw("quadratic drag at a point", F, point(lambda x, dx: dx * dx.norm(dim=-1, keepdim=True)), tuple(range(n)), ()),
        PlantedLaw("product of angles", F, lambda q, v, H: on_joint(0, q[..., 0] * q[..., 1], n), (0,), ("q1", "q2")),
        PlantedLaw("sin of product of angles", F, lambda q, v, H: on_joint(0, torch.sin(1.5 * q[..., 0] * q[..., 1]), n), (0,), ("q1", "q2")),
        PlantedLaw("inertia 1/(1+T^1.5)", M, lambda q, v, H: H / (1 + kinetic_energy(v, H) ** 1.5)[..., None, None], tuple(range(n)), ("T", "h1")),
        PlantedLaw("kinked power", F, lambda q, v, H: on_joint(0, v[..., 0].sign() * (v[..., 0].abs() - 0.7).clamp_min(0) ** 1.6, n), (0,), ("v1",)),
        PlantedLaw("cos³ 2q", F, lambda q, v, H: on_joint(last, torch.cos(2 * q[..., last]) ** 3, n), (last,), (f"q{n}",)),
        PlantedLaw("Stribeck friction", F, lambda q, v, H: on_joint(0, torch.tanh(20 * v[..., 0]) * (1 + 1.5 * e(-2 * v[..., 0] ** 2)), n), (0,), ("v1",), outside=True),
        PlantedLaw("resonant drag", F, lambda q, v, H: on_joint(0, v[..., 0] / (1 + (v[..., 0] ** 2 - 1) ** 2), n), (0,), ("v1",), outside=True),
        PlantedLaw("chirped potential", F, lambda q, v, H: on_joint(last, torch.sin(2 * q[..., last] ** 2), n), (last,), (f"q{n}",)),
        PlantedLaw("tanh of cube", F, lambda q, v, H: on_joint(0, torch.tanh(1.5 * q[..., 0] ** 3), n), (0,), ("q1",)),
        PlantedLaw("van der Pol", F, lambda q, v, H: on_joint(0, (q[..., 0] ** 2 - 0.5) * v[..., 0], n), (0,), ("v1", "q1")),
        PlantedLaw("drag with cos q", F, lambda q, v, H: on_joint(last, v[..., last] * (1 + torch.cos(3 * q[..., last])) ** 2, n), (last,), (f"v{n}", f"q{n}")),
        PlantedLaw("exp-sine potential", F, lambda q, v, H: on_joint(0, e(torch.sin(2 * q[..., 0])), n), (0,), ("q1",)),
        PlantedLaw("spring between angles", F, lambda q, v, H: on_joint(0, torch.sinh(q[..., 0] - q[..., 1]), n) - on_joint(1, torch.sinh(q[..., 0] - q[..., 1]), n), (0, 1), ("q1", "q2")),
        PlantedLaw("wall at a point", F, point(lambda x, dx: on_joint(0, (x[..., 0] - 0.5).clamp_min(0) ** 2, 3), 0.9, 0.15), tuple(range(n)), ()),
        PlantedLaw("drag fades with energy", F, lambda q, v, H: v * e(-0.15 * kinetic_energy(v, H))[..., None], tuple(range(n)), ("v1", "T")),
        PlantedLaw("power brake", F, lambda q, v, H: on_joint(0, v[..., 0] * (v[..., 1] ** 2 + 0.3).sqrt(), n), (0,), ("v1", "v2")),
        PlantedLaw("inertia |sin q|", M, lambda q, v, H: diagonal(0, torch.sin(2 * q[..., 0]).abs()), (0,), ("a1", "q1")),
        PlantedLaw("answer compressed", A, lambda q, v, a, H: -a * 0.3 * torch.tanh(a.norm(dim=-1, keepdim=True) / 20), tuple(range(n)), ("h1",), outside=True, fixed=True),
    ]  # fmt: skip
