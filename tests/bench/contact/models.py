"""Learned stand-ins of a task's simulator: one step, by a small network, plain or smoothed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.bench.contact.tasks import Task

WIDTH, STEPS, BATCH = 128, 2500, 512


class Network(nn.Module):
    """(q, v, u) -> (q', v'): the change of velocity by a network, positions by the new velocity."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        n = len(task.force)
        self.dt = task.dt
        self.layers = nn.Sequential(
            nn.Linear(3 * n, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(),
            nn.Linear(WIDTH, n),
        )  # fmt: skip
        for name, size in (("middle", 3 * n), ("spread", 3 * n), ("unit", n)):
            self.register_buffer(name, torch.ones(size))

    def forward(self, q: Tensor, v: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """One step."""
        x = (torch.cat((q, v, u), -1) - self.middle) / self.spread
        v_next = v + self.unit * self.layers(x)
        return q + self.dt * v_next, v_next


def transitions(task: Task, count: int, seed: int) -> tuple[Tensor, ...]:
    """(q, v, u, q', v') met in roll-outs under random controls, held for a few steps: states of
    motion, not of bodies within walls."""
    step, horizon = task.simulator(), task.horizon
    runs = -(-count // horizon)
    generator = torch.Generator().manual_seed(seed)
    q, v = task.starts(runs, seed)
    force = torch.tensor(task.force, dtype=torch.float64)
    rows = []
    u = torch.zeros_like(v)
    for k in range(horizon):
        if k % 4 == 0:
            u = force * (2 * torch.rand(v.shape, dtype=torch.float64, generator=generator) - 1)
        with torch.no_grad():
            q_next, v_next = step(q, v, u)
        rows.append((q, v, u, q_next, v_next))
        q, v = q_next, v_next
    return tuple(torch.cat(column)[:count] for column in zip(*rows, strict=True))


def smoothed(task: Task, rows: tuple[Tensor, ...], sigma: float, copies: int, seed: int):
    """The same transitions with targets E[f(x + σw) − σw], from `copies` further questions each;
    σ in standard deviations of the states and controls met."""
    step = task.simulator()
    generator = torch.Generator().manual_seed(seed)
    q, v, u = rows[:3]
    total = [torch.zeros_like(q), torch.zeros_like(v)]
    for _ in range(copies):
        noise = [
            sigma * x.std(0) * torch.randn(x.shape, dtype=x.dtype, generator=generator)
            for x in (q, v, u)
        ]
        with torch.no_grad():
            answers = step(q + noise[0], v + noise[1], u + noise[2])
        for k in range(2):
            total[k] += (answers[k] - noise[k]) / copies
    return q, v, u, *total


def trained(task: Task, rows: tuple[Tensor, ...], seed: int, steps: int = STEPS) -> Network:
    """A network trained for one step on transitions (q, v, u, q', v')."""
    torch.manual_seed(seed)
    q, v, u, _, v_next = (x.float() for x in rows)
    net = Network(task)
    inputs, change = torch.cat((q, v, u), -1), v_next - v
    net.middle.copy_(inputs.mean(0))
    net.spread.copy_(inputs.std(0).clamp(min=1e-6))
    net.unit.copy_(change.std(0).clamp(min=1e-6))
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        pick = torch.randint(len(q), (BATCH,), generator=generator)
        told = net(q[pick], v[pick], u[pick])[1]
        loss = ((told - v_next[pick]) / net.unit).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()
