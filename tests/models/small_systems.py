"""Small mechanical systems in closed form, so that the models' tests need no simulator."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Rows:
    q: Tensor
    v: Tensor
    tau: Tensor
    a: Tensor | None = None
    q_next: Tensor | None = None
    v_next: Tensor | None = None
    trajectory: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    t: Tensor = field(default_factory=lambda: torch.zeros(0))


@dataclass(frozen=True)
class Split:
    parts: dict[str, Rows]

    def part(self, split: str) -> Rows:
        return self.parts[split]


def pendulum(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """A point mass of 1 kg on a massless rod of 1 m, hanging at q = 0, with viscous friction."""
    return tau - 9.81 * torch.sin(q) - 0.1 * v


def double_pendulum(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Two point masses of 1 kg on massless rods of 1 m, hanging; q relative joint angles."""
    q1, q2 = q.unbind(-1)
    v1, v2 = v.unbind(-1)
    c2, s2 = torch.cos(q2), torch.sin(q2)
    h11, h12, h22 = 3 + 2 * c2, 1 + c2, torch.ones_like(c2)
    f1 = tau[..., 0] + s2 * (2 * v1 * v2 + v2 * v2)
    f2 = tau[..., 1] - s2 * v1 * v1
    f1 = f1 - 9.81 * (2 * torch.sin(q1) + torch.sin(q1 + q2))
    f2 = f2 - 9.81 * torch.sin(q1 + q2)
    determinant = h11 * h22 - h12 * h12
    a1, a2 = h22 * f1 - h12 * f2, h11 * f2 - h12 * f1
    return torch.stack((a1, a2), dim=-1) / determinant.unsqueeze(-1)


def rows(system, nv: int, n: int, seed: int, half=(1.0, 2.0, 5.0)) -> Rows:
    """n uniform samples in the box |q| < half[0], |v| < half[1], |tau| < half[2]."""
    draw = torch.Generator().manual_seed(seed)
    q, v, tau = (h * (2 * torch.rand(n, nv, generator=draw, dtype=torch.float64) - 1) for h in half)
    return Rows(q=q, v=v, tau=tau, a=system(q, v, tau))


def step(system, q: Tensor, v: Tensor, tau: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """One dt of the system by many small Runge-Kutta steps, torques held."""
    h = dt / 20
    for _ in range(20):
        a1 = system(q, v, tau)
        v2 = v + h / 2 * a1
        a2 = system(q + h / 2 * v, v2, tau)
        v3 = v + h / 2 * a2
        a3 = system(q + h / 2 * v2, v3, tau)
        v4 = v + h * a3
        a4 = system(q + h * v3, v4, tau)
        q = q + h / 6 * (v + 2 * v2 + 2 * v3 + v4)
        v = v + h / 6 * (a1 + 2 * a2 + 2 * a3 + a4)
    return q, v


def dataset(system, nv: int, n: int, seed: int = 0, dt: float | None = None, **box) -> Split:
    """n training and n/4 validation samples; with dt also the next states."""
    parts = {}
    for shift, (name, count) in enumerate({"train": n, "validation": max(1, n // 4)}.items()):
        part = rows(system, nv, count, 2 * seed + shift, **box)
        if dt is not None:
            q_next, v_next = step(system, part.q, part.v, part.tau, dt)
            part = Rows(**{**vars(part), "q_next": q_next, "v_next": v_next})
        parts[name] = part
    return Split(parts)


def trajectories(system, nv: int, starts: int, length: int, dt: float, seed: int = 0) -> Split:
    """Free motions from random starts; torques new at every step."""
    parts = {}
    for shift, (name, count) in enumerate({"train": starts, "validation": 1 + starts // 4}.items()):
        start = rows(system, nv, count, 2 * seed + shift)
        draw = torch.Generator().manual_seed(100 + shift)
        q, v, met = start.q, start.v, []
        for _ in range(length):
            tau = 4 * torch.rand(count, nv, generator=draw, dtype=torch.float64) - 2
            q_next, v_next = step(system, q, v, tau, dt)
            met.append((q, v, tau, q_next, v_next))
            q, v = q_next, v_next
        columns = [torch.stack(x, dim=1).flatten(0, 1) for x in zip(*met, strict=True)]
        names = ("q", "v", "tau", "q_next", "v_next")
        parts[name] = Rows(
            **dict(zip(names, columns, strict=True)),
            trajectory=torch.arange(count).repeat_interleave(length),
            t=(dt * torch.arange(length)).repeat(count),
        )
    return Split(parts)
