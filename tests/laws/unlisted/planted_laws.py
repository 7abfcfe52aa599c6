# ruff: noqa: E501
"""Forty planted laws. The package never sees them: they live beside the tests.

Each is written as a force that resists, an inertia that is added, or a change of the answer, in
numbers scaled so that it changes the accelerations in the region by a chosen share. `place` says
what a finder has to name: the coordinates on which the term acts and those it depends on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kinematics import Robot
from tests.bench.laws.planting import PlantedLaw


def _on(j: int, value: Tensor, nv: int) -> Tensor:
    out = value.new_zeros(*value.shape, nv)
    out[..., j] = value
    return out


def tip(robot: Robot, q: Tensor, v: Tensor, place: tuple[float, float, float]):
    """Position, velocity and Jacobian of a point on the last body of a chain of hinges, by hand."""
    n = len(q)
    turn = torch.eye(3, dtype=q.dtype).expand(n, 3, 3)
    origin = q.new_zeros(n, 3)
    joints = []
    for j in range(q.shape[-1]):
        origin = origin + turn @ robot.tree_offset[j]
        turn = turn @ robot.tree_rotation[j]
        axis = robot.axes[j]
        joints.append((origin, turn @ axis))
        K = torch.tensor([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
        s, c = torch.sin(q[:, j])[:, None, None], torch.cos(q[:, j])[:, None, None]
        turn = turn @ (torch.eye(3, dtype=q.dtype) + s * K + (1 - c) * (K @ K))
    x = origin + turn @ torch.tensor(place, dtype=q.dtype)
    J = torch.stack([torch.linalg.cross(axis, x - at) for at, axis in joints], -1)
    return x, (J @ v.unsqueeze(-1)).squeeze(-1), J


def laws(robot: Robot) -> list[PlantedLaw]:
    """The forty, for a chain of two or more hinges."""
    n = robot.nv
    last = n - 1
    e = torch.exp

    def kinetic(q, v, H):
        return 0.5 * (v * (H @ v.unsqueeze(-1)).squeeze(-1)).sum(-1)

    def diagonal(j, value):
        return torch.diag_embed(_on(j, value, n))

    def point(force, along=0.63, side=0.21):
        """force(x, dx) in space, at a point of the last body."""

        def shape(q, v, H):
            x, dx, J = tip(robot, q, v, (side, 0.0, -along))
            return (J.mT @ force(x, dx).unsqueeze(-1)).squeeze(-1)

        return shape

    F, M, D, A = "force", "inertia", "drive", "answer"
    return [
        # shapes that any library would hold
        PlantedLaw("drag |v|^1.7", F, lambda q, v, H: _on(0, v[..., 0].sign() * v[..., 0].abs() ** 1.7, n), (0,), ("v1",)),
        PlantedLaw("tanh drag", F, lambda q, v, H: _on(last, torch.tanh(1.7 * v[..., last]), n), (last,), (f"v{n}",)),
        PlantedLaw("sin 3q", F, lambda q, v, H: _on(0, torch.sin(3 * q[..., 0]), n), (0,), ("q1",)),
        PlantedLaw("quintic spring", F, lambda q, v, H: _on(last, q[..., last] ** 5, n), (last,), (f"q{n}",)),
        PlantedLaw("quadratic drag on speed norm", F, lambda q, v, H: v * v.norm(dim=-1, keepdim=True), tuple(range(n)), ("v1", "v2")),
        PlantedLaw("gyroscopic", F, lambda q, v, H: _on(0, v[..., 1], n) - _on(1, v[..., 0], n), (0, 1), ("v1", "v2")),
        PlantedLaw("relative drag", F, lambda q, v, H: _on(0, (v[..., 0] - v[..., 1]) ** 3, n) - _on(1, (v[..., 0] - v[..., 1]) ** 3, n), (0, 1), ("v1", "v2")),
        PlantedLaw("momentum drag", F, lambda q, v, H: (H @ v.unsqueeze(-1)).squeeze(-1), tuple(range(n)), ("p1", "p2")),
        PlantedLaw("inertia 1+v²", M, lambda q, v, H: diagonal(0, v[..., 0] ** 2), (0,), ("a1", "v1")),
        PlantedLaw("inertia cos 2q", M, lambda q, v, H: diagonal(last, 1 + torch.cos(2 * q[..., last])), (last,), (f"a{n}", f"q{n}")),
        PlantedLaw("inertia with energy", M, lambda q, v, H: H * (0.3 * kinetic(q, v, H))[..., None, None], tuple(range(n)), ("T", "h1")),
        PlantedLaw("saturated drive", D, lambda q, v, tau: 3.0 * torch.tanh(tau / 3.0) - tau, tuple(range(n)), ("tau1",), fixed=True),
        PlantedLaw("drive fades with speed", D, lambda q, v, tau: -_on(0, tau[..., 0] * v[..., 0].abs() / (3 + v[..., 0].abs()), n), (0,), ("tau1", "v1"), fixed=True),
        PlantedLaw("answer damped", A, lambda q, v, a, H: -_on(0, v[..., 0], n), tuple(range(n)), ("v1",)),
        PlantedLaw("constant side wind", F, point(lambda x, dx: _on(0, torch.ones_like(x[..., 0]), 3), 1.0, 0.0), tuple(range(n)), ()),
        PlantedLaw("linear drag at the tip", F, point(lambda x, dx: dx, 0.8, 0.0), tuple(range(n)), ()),
        PlantedLaw("gaussian bump", F, lambda q, v, H: _on(0, e(-4 * q[..., 0] ** 2), n), (0,), ("q1",)),
        PlantedLaw("logarithmic drag", F, lambda q, v, H: _on(0, v[..., 0].sign() * torch.log1p(2 * v[..., 0].abs()), n), (0,), ("v1",)),
        PlantedLaw("dead-zone spring", F, lambda q, v, H: _on(last, q[..., last].sign() * (q[..., last].abs() - 0.4).clamp_min(0), n), (last,), (f"q{n}",)),
        # compositions, products, kinks, points, groups: outside
        PlantedLaw("log² drag", F, lambda q, v, H: _on(0, v[..., 0].sign() * torch.log1p(2 * v[..., 0].abs()) ** 2, n), (0,), ("v1",), True),
        PlantedLaw("erf spring", F, lambda q, v, H: _on(last, torch.erf(1.8 * q[..., last]), n), (last,), (f"q{n}",), True),
        PlantedLaw("quadratic drag at a point", F, point(lambda x, dx: dx * dx.norm(dim=-1, keepdim=True)), tuple(range(n)), (), True),
        PlantedLaw("product of angles", F, lambda q, v, H: _on(0, q[..., 0] * q[..., 1], n), (0,), ("q1", "q2"), True),
        PlantedLaw("sin of product of angles", F, lambda q, v, H: _on(0, torch.sin(1.5 * q[..., 0] * q[..., 1]), n), (0,), ("q1", "q2"), True),
        PlantedLaw("inertia 1/(1+T^1.5)", M, lambda q, v, H: H / (1 + kinetic(q, v, H) ** 1.5)[..., None, None], tuple(range(n)), ("T", "h1"), True),
        PlantedLaw("kinked power", F, lambda q, v, H: _on(0, v[..., 0].sign() * (v[..., 0].abs() - 0.7).clamp_min(0) ** 1.6, n), (0,), ("v1",), True),
        PlantedLaw("cos³ 2q", F, lambda q, v, H: _on(last, torch.cos(2 * q[..., last]) ** 3, n), (last,), (f"q{n}",), True),
        PlantedLaw("Stribeck friction", F, lambda q, v, H: _on(0, torch.tanh(20 * v[..., 0]) * (1 + 1.5 * e(-2 * v[..., 0] ** 2)), n), (0,), ("v1",), True),
        PlantedLaw("resonant drag", F, lambda q, v, H: _on(0, v[..., 0] / (1 + (v[..., 0] ** 2 - 1) ** 2), n), (0,), ("v1",), True),
        PlantedLaw("chirped potential", F, lambda q, v, H: _on(last, torch.sin(2 * q[..., last] ** 2), n), (last,), (f"q{n}",), True),
        PlantedLaw("tanh of cube", F, lambda q, v, H: _on(0, torch.tanh(1.5 * q[..., 0] ** 3), n), (0,), ("q1",), True),
        PlantedLaw("van der Pol", F, lambda q, v, H: _on(0, (q[..., 0] ** 2 - 0.5) * v[..., 0], n), (0,), ("v1", "q1"), True),
        PlantedLaw("drag with cos q", F, lambda q, v, H: _on(last, v[..., last] * (1 + torch.cos(3 * q[..., last])) ** 2, n), (last,), (f"v{n}", f"q{n}"), True),
        PlantedLaw("exp-sine potential", F, lambda q, v, H: _on(0, e(torch.sin(2 * q[..., 0])), n), (0,), ("q1",), True),
        PlantedLaw("spring between angles", F, lambda q, v, H: _on(0, torch.sinh(q[..., 0] - q[..., 1]), n) - _on(1, torch.sinh(q[..., 0] - q[..., 1]), n), (0, 1), ("q1", "q2"), True),
        PlantedLaw("wall at a point", F, point(lambda x, dx: _on(0, (x[..., 0] - 0.5).clamp_min(0) ** 2, 3), 0.9, 0.15), tuple(range(n)), (), True),
        PlantedLaw("drag fades with energy", F, lambda q, v, H: v * e(-0.15 * kinetic(q, v, H))[..., None], tuple(range(n)), ("v1", "T"), True),
        PlantedLaw("power brake", F, lambda q, v, H: _on(0, v[..., 0] * (v[..., 1] ** 2 + 0.3).sqrt(), n), (0,), ("v1", "v2"), True),
        PlantedLaw("inertia |sin q|", M, lambda q, v, H: diagonal(0, torch.sin(2 * q[..., 0]).abs()), (0,), ("a1", "q1"), True),
        PlantedLaw("answer compressed", A, lambda q, v, a, H: -a * 0.3 * torch.tanh(a.norm(dim=-1, keepdim=True) / 20), tuple(range(n)), ("h1",), True, fixed=True),
    ]  # fmt: skip
