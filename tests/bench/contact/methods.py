"""Ways to lower a task's cost, each at the same number of simulated roll-outs a start.

Controls (S, K, nu) in units of their half-widths, within [-1, 1]; all starts at once, each on its
own. What counts is the best cost that the simulator itself has shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tests.bench.contact.tasks import Task

RATE, SIGMA, PAIRS = 0.1, 0.1, 8
Step = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(kw_only=True)
class Problem:
    """A task from S starts, and the count of its simulated roll-outs a start."""

    task: Task
    q: Tensor
    v: Tensor
    simulator: Step
    calls: int = 0
    best: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.best = torch.full((len(self.q),), torch.inf, dtype=torch.float64)

    def cost(self, u: Tensor, step: Step | None = None) -> Tensor:
        """(S, N) of controls (S, N, K, nu), by the simulator, which is counted and remembered, or
        by another step."""
        s, n, k, nu = u.shape
        force = torch.tensor(self.task.force, dtype=torch.float64)
        controls = (u * force).reshape(s * n, k, nu)
        q, v = (
            x[:, None].expand(s, n, -1).reshape(s * n, -1).to(torch.float64)
            for x in (self.q, self.v)
        )
        ask = step or self.simulator
        for i in range(k):
            q, v = ask(q, v, controls[:, i])
        value = self.task.goal(q, v).view(s, n)
        if step is None:
            self.calls += n
            shown = torch.nan_to_num(value.detach(), nan=torch.inf).amin(1)
            self.best = torch.minimum(self.best, shown)
        return value

    def gradient(self, u: Tensor, step: Step | None = None) -> Tensor:
        """The mean gradient (S, K, nu) over controls (S, N, K, nu)."""
        x = u.clone().requires_grad_()
        value = self.cost(x, step)
        return torch.nan_to_num(torch.autograd.grad(value.sum(), x)[0].mean(1))


def double(net: Step) -> Step:
    """A network of single precision asked in double precision."""

    def step(q: Tensor, v: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        a, b = net(q.float(), v.float(), u.float())
        return a.double(), b.double()

    return step


def exact(problem: Problem, net: Step | None, budget: int) -> None:
    """Adam on the simulator's own gradient."""
    _adam(problem, budget, lambda u, g: problem.gradient(u[:, None]))


def first_order(problem: Problem, net: Step | None, budget: int) -> None:
    """Adam on the mean of the simulator's gradients at noisy controls."""
    _adam(problem, budget, lambda u, g: problem.gradient(_noisy(u, PAIRS, g)), scored=True)


def zeroth_order(problem: Problem, net: Step | None, budget: int) -> None:
    """Adam on the smoothed gradient from antithetic values."""

    def direction(u: Tensor, g: torch.Generator) -> Tensor:
        w = torch.randn(len(u), PAIRS, *u.shape[1:], dtype=u.dtype, generator=g)
        with torch.no_grad():
            both = problem.cost(torch.cat((u[:, None] + SIGMA * w, u[:, None] - SIGMA * w), 1))
        slope = (both[:, :PAIRS] - both[:, PAIRS:]) / (2 * SIGMA)
        return torch.nan_to_num((slope[..., None, None] * w).mean(1))

    _adam(problem, budget, direction, scored=True)


def model(problem: Problem, net: Step | None, budget: int) -> None:
    """Adam on the model's gradient of the model's own roll-out; the simulator scores."""
    assert net is not None
    step = double(net)
    _adam(problem, budget, lambda u, g: problem.gradient(u[:, None], step), scored=True)


def forward_backward(problem: Problem, net: Step | None, budget: int) -> None:
    """Adam on roll-outs of the simulator, differentiated by the model at the simulator's states
    (decoupled forward and backward, arXiv 2509.00215)."""
    assert net is not None
    step = double(net)

    def mixed(q: Tensor, v: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        told = step(q, v, u)
        with torch.no_grad():
            true = problem.simulator(q.detach(), v.detach(), u.detach())
        a, b = (t + (x - t).detach() for t, x in zip(told, true, strict=True))
        return a, b

    def direction(u: Tensor, g: torch.Generator) -> Tensor:
        x = u[:, None].clone().requires_grad_()
        value = problem.cost(x, mixed)
        problem.calls += 1
        shown = torch.nan_to_num(value.detach()[:, 0], nan=torch.inf)
        problem.best = torch.minimum(problem.best, shown)
        return torch.nan_to_num(torch.autograd.grad(value.sum(), x)[0][:, 0])

    _adam(problem, budget, direction)


def within_radius(
    problem: Problem, net: Step | None, budget: int, radius: float = 0.1, pairs: int = 3
) -> None:
    """Steps against the model's gradient of at most the measured radius, which shrinks where the
    simulator's smoothed cost does not fall as promised and grows where it does."""
    assert net is not None
    step, u = double(net), _begin(problem)
    g = torch.Generator().manual_seed(0)
    length = torch.full((len(u), 1, 1), radius, dtype=u.dtype)
    size = u[0].numel() ** 0.5
    while problem.calls + 4 * pairs + 1 <= budget:
        slope = problem.gradient(u[:, None], step)
        norm = slope.flatten(1).norm(dim=1)[:, None, None].clamp(min=1e-12)
        trial = (u - length * size * slope / norm).clamp(-1, 1)
        with torch.no_grad():
            w = torch.randn(len(u), pairs, *u.shape[1:], dtype=u.dtype, generator=g)
            cloud = SIGMA * torch.cat((w, -w), 1)
            both = problem.cost(torch.cat((u[:, None] + cloud, trial[:, None] + cloud), 1))
            n = cloud.shape[1]
            fall = both[:, :n].mean(1) - both[:, n:].mean(1)
            told = problem.cost(torch.stack((u, trial), 1), step)
            ratio = fall / (told[:, 0] - told[:, 1]).clamp(min=1e-12)
            problem.cost(trial[:, None])
        good = (ratio > 0.25)[:, None, None]
        u = torch.where((fall > 0)[:, None, None], trial, u)
        length = torch.where(good, (1.5 * length).clamp(max=1.0), length / 2)


def path_integral(problem: Problem, net: Step | None, budget: int) -> None:
    """Model-predictive path integral control: exponentially weighted means of noisy controls."""
    u, g = _begin(problem), torch.Generator().manual_seed(0)
    samples = 2 * PAIRS
    while problem.calls + samples <= budget:
        noisy = _noisy(u, samples, g, 0.3).clamp(-1, 1)
        with torch.no_grad():
            cost = torch.nan_to_num(problem.cost(noisy), nan=1e9)
        scale = cost.std(1, keepdim=True).clamp(min=1e-12)
        weight = torch.softmax(-(cost - cost.amin(1, keepdim=True)) / (0.3 * scale), 1)
        u = (weight[..., None, None] * noisy).sum(1)


def _adam(
    problem: Problem,
    budget: int,
    direction: Callable[[Tensor, torch.Generator], Tensor],
    scored: bool = False,
) -> None:
    """Adam until the budget of roll-outs is spent; `scored`: each iterate is simulated besides."""
    u = _begin(problem)
    g = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam([u], lr=RATE)
    cost = 0
    while problem.calls + cost <= budget:
        before = problem.calls
        u.grad = direction(u.detach(), g)
        optimiser.step()
        with torch.no_grad():
            u.clamp_(-1, 1)
            if scored:
                problem.cost(u[:, None])
        cost = problem.calls - before


def _begin(problem: Problem) -> Tensor:
    """No control, which the simulator scores once."""
    shape = (len(problem.q), problem.task.horizon, len(problem.task.force))
    u = torch.zeros(shape, dtype=torch.float64)
    with torch.no_grad():
        problem.cost(u[:, None])
    return u


def _noisy(u: Tensor, count: int, g: torch.Generator, sigma: float = SIGMA) -> Tensor:
    w = torch.randn(len(u), count, *u.shape[1:], dtype=u.dtype, generator=g)
    return u[:, None] + sigma * w


SIMULATED = {
    "exact gradient": exact,
    "first order × 8": first_order,
    "zeroth order, 8 pairs": zeroth_order,
    "path integral": path_integral,
}
LEARNED = {
    "model": model,
    "model within radius": within_radius,
    "simulator forward, model backward": forward_backward,
}
