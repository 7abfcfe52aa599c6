"""Planted networks: an exact elimination mixed obliquely, and two that use nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from discover.inside.counterfactuals import orders
from kinematics import Robot, aba, crba


def mixing(width: int, condition: float, generator: torch.Generator) -> Tensor:
    """An invertible matrix (width, width) of this condition number."""
    turn = [torch.linalg.qr(torch.randn(width, width, generator=generator))[0] for _ in range(2)]
    return (turn[0] * torch.logspace(0, -torch.tensor(condition).log10(), width)) @ turn[1]


class _Start(nn.Module):
    """Mass matrix and force of a robot, packed in an order of joints."""

    def __init__(self, robot: Robot, place: Tensor, mix: Tensor) -> None:
        super().__init__()
        self.robot, self.place, self.mix = robot, place, mix

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        H = crba(self.robot, q)
        f = (H @ aba(self.robot, q, v, tau).unsqueeze(-1)).squeeze(-1)
        i, j = torch.tril_indices(len(self.place), len(self.place))
        ordered = H[:, self.place][:, :, self.place]
        return torch.cat((ordered[:, i, j], f[:, self.place]), dim=-1) @ self.mix


class _Step(nn.Module):
    """One joint eliminated (k = 0, 1, …), or its acceleration substituted back (`back`)."""

    def __init__(self, n: int, k: int, back: bool, before: Tensor, after: Tensor) -> None:
        super().__init__()
        self.n, self.k, self.back = n, k, back
        self.unmix = nn.Parameter(torch.linalg.inv(before))
        self.mix = nn.Parameter(after)

    def forward(self, z: Tensor) -> Tensor:
        n, k = self.n, self.k
        x = z @ self.unmix
        place = {(i, j): i * (i + 1) // 2 + j for i in range(n) for j in range(i + 1)}
        S = {ij: x[:, m] for ij, m in place.items()}
        w = [x[:, len(place) + i] for i in range(n)]
        if self.back:
            w[k] = w[k] / S[k, k] - sum((S[i, k] * w[i] for i in range(k + 1, n)), 0 * w[k])
        else:
            L = {i: S[i, k] / S[k, k] for i in range(k + 1, n)}
            for i, multiplier in L.items():
                w[i] = w[i] - multiplier * w[k]
                for j in range(k + 1, i + 1):
                    S[i, j] = S[i, j] - multiplier * S[j, k]
            S |= {(i, k): multiplier for i, multiplier in L.items()}
        return torch.stack([*(S[ij] for ij in place), *w], dim=-1) @ self.mix


class ExactElimination(nn.Module):
    """Elimination of the joints in one order, one step a layer; between layers all numbers are
    mixed by a random oblique matrix."""

    def __init__(self, robot: Robot, order: str, condition: float = 3.0, seed: int = 0) -> None:
        super().__init__()
        place = torch.tensor(orders(robot)[order])
        n = robot.nv
        width = n * (n + 1) // 2 + n
        generator = torch.Generator().manual_seed(seed)
        mix = [mixing(width, condition, generator).double() for _ in range(2 * n)]
        self.start = _Start(robot, place, mix[0])
        plan = [(k, False) for k in range(n - 1)] + [(k, True) for k in reversed(range(n))]
        self.steps = nn.ModuleList(
            _Step(n, k, back, mix[m], mix[m + 1]) for m, (k, back) in enumerate(plan)
        )
        back = torch.argsort(place)
        self.register_buffer("readout", torch.linalg.inv(mix[len(plan)])[:, -n:][:, back])

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        z = self.start(q, v, tau)
        for step in self.steps:
            z = step(z)
        return z @ self.readout


class Untrained(nn.Module):
    """Random layers and a readout fitted to the accelerations."""

    def __init__(self, robot: Robot, states: tuple[Tensor, ...], seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        width = 64
        self.layers = nn.Sequential(
            nn.Linear(3 * robot.nv, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh()
        ).double()
        h = self.layers(torch.cat(states, dim=-1)).detach()
        h = torch.cat((h, torch.ones(len(h), 1)), dim=-1)
        found = torch.linalg.lstsq(h, aba(robot, *states)).solution
        self.readout = nn.Linear(width, robot.nv).double()
        with torch.no_grad():
            self.readout.weight.copy_(found[:-1].T)
            self.readout.bias.copy_(found[-1])

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return self.readout(self.layers(torch.cat((q, v, tau), dim=-1)))


class DeadIntermediates(Untrained):
    """The same, with the inverse mass matrix decodable in directions that nothing reads."""

    def __init__(self, robot: Robot, states: tuple[Tensor, ...], seed: int = 0) -> None:
        super().__init__(robot, states, seed)
        self.shown = _Shown(robot)
        n = robot.nv**2
        generator = torch.Generator().manual_seed(seed)
        self.mix = nn.Parameter(mixing(64 + n, 3.0, generator).double())
        self.mixed = nn.Identity()

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        h = self.layers(torch.cat((q, v, tau), dim=-1))
        mixed = self.mixed(torch.cat((h, self.shown(q)), dim=-1) @ self.mix)
        return self.readout((mixed @ torch.linalg.inv(self.mix))[:, : h.shape[-1]])


class _Shown(nn.Module):
    def __init__(self, robot: Robot) -> None:
        super().__init__()
        self.robot = robot

    def forward(self, q: Tensor) -> Tensor:
        return torch.linalg.inv(crba(self.robot, q)).flatten(1)


class Summed(nn.Module):
    """H, C and tau side by side, mixed obliquely in the output of `mixed`; then H⁻¹(tau − C)."""

    def __init__(self, robot: Robot, condition: float = 10.0, seed: int = 0) -> None:
        super().__init__()
        self.robot, n = robot, robot.nv
        generator = torch.Generator().manual_seed(seed)
        self.mix = nn.Parameter(mixing(n * n + 2 * n, condition, generator).double())
        self.mixed = nn.Identity()

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        n, H = self.robot.nv, crba(self.robot, q)
        C = tau - (H @ aba(self.robot, q, v, tau).unsqueeze(-1)).squeeze(-1)
        mixed = self.mixed(torch.cat((H.flatten(1), C, tau), dim=-1) @ self.mix)
        return self.answered(mixed @ torch.linalg.inv(self.mix), n)

    def answered(self, x: Tensor, n: int) -> Tensor:
        """The accelerations from what was mixed."""
        H, C, tau = x[:, : n * n].reshape(-1, n, n), x[:, n * n : -n], x[:, -n:]
        return torch.linalg.solve(H, (tau - C).unsqueeze(-1)).squeeze(-1)


class ConstantInertia(Summed):
    """The same with a mean mass matrix in the end: H is held, and nobody reads it."""

    def answered(self, x: Tensor, n: int) -> Tensor:
        """The accelerations, whatever H is."""
        mean = crba(self.robot, torch.zeros(1, n, dtype=x.dtype))[0]
        return (x[:, -n:] - x[:, n * n : -n]) @ torch.linalg.inv(mean)
