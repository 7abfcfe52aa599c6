"""Mechanisms as black boxes (renumbered, with other velocity terms, with noise), and models that
are no mechanism: a table, a network, a mass matrix that no tree has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

import kinematics
from discover.blackbox.contract import BlackBox
from discover.blackbox.region import Region
from discover.mechanism.geometry.robots import screw_tree
from discover.mechanism.geometry.screws import Array, ScrewTree
from discover.mechanism.local_dynamics import DynamicsSampler
from discover.mechanism.recursion.grammar import Block, Samples
from kinematics import Robot

REGION = Region(q=1.5, v=2.0, tau=5.0)
LEVEL = 0.01  # of the root mean square of each torque or acceleration


def sampler(model: Callable, nv: int, region: Region = REGION, seed: int = 0) -> DynamicsSampler:
    """Questions to a model of nv joints."""
    return DynamicsSampler(blackbox=BlackBox(model, nv, nv), region=region, seed=seed)


def black_box(
    robot: Robot,
    order: Sequence[int] | None = None,
    noise: str | None = None,
    level: float = LEVEL,
) -> Callable:
    """The robot's forward dynamics as a black box (q, v, tau) -> a.

    order  the black box's coordinate i is the robot's coordinate order[i]; None for the robot's own
    noise  on "tau" or on "a", white, of `level` times the root mean square of each column; or None
    """
    order = list(range(robot.nv)) if order is None else list(order)
    back = [order.index(i) for i in range(robot.nv)]
    scatter = _scatterer(level)

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        pushed = scatter(tau) if noise == "tau" else tau
        a = kinematics.aba(robot, q[:, back], v[:, back], pushed[:, back])[:, order]
        return scatter(a) if noise == "a" else a

    return model


def altered(robot: Robot, terms: Mapping[Block, float], noise: str | None = None) -> Callable:
    """A mechanism with the robot's H and gravity, and these velocity terms instead of its own."""
    tree, screws = screw_tree(robot, np.zeros(robot.nv))
    phi = in_one_frame(robot, tree, screws)
    scatter = _scatterer()

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        samples = Samples(tree, screws, q.numpy(), v.numpy())
        even = np.zeros(tuple(q.shape))
        for block, c in terms.items():
            even = even + c * (samples.block(block) @ phi)[..., 0]
        rest = kinematics.bias(robot, q, torch.zeros_like(v)) + torch.as_tensor(even)
        pushed = scatter(tau) if noise == "tau" else tau
        H = kinematics.crba(robot, q)
        a = torch.linalg.solve(H, (pushed - rest).unsqueeze(-1)).squeeze(-1)
        return scatter(a) if noise == "a" else a

    return model


def in_one_frame(robot: Robot, tree: ScrewTree, screws: Array) -> Array:
    """Inertial parameters in the frame of the screws, fitted to the robot's own H and forces."""
    q = np.random.default_rng(1).normal(size=(40, robot.nv))
    states = torch.from_numpy(q)
    H = kinematics.crba(robot, states).numpy()
    rest = kinematics.bias(robot, states, torch.zeros_like(states)).numpy()
    y = np.concatenate([H, rest[..., None]], 2)
    rows = tree.regressor(tree.unit(screws), q)
    return np.linalg.lstsq(rows.reshape(-1, rows.shape[-1]), y.ravel(), rcond=1e-10)[0]


def table(robot: Robot, count: int = 4000, region: Region = REGION) -> Callable:
    """The nearest of `count` kept answers."""
    points, answers = _recorded(robot, count, region)

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        states = torch.cat(_scaled(q, v, tau, region), -1)
        return answers[torch.cdist(states, points).argmin(-1)]

    return model


def network(robot: Robot, count: int = 8000, seconds: float = 20.0, seed: int = 0) -> Callable:
    """A plain network of two hidden layers, trained on random states of the region."""
    points, answers = _recorded(robot, count, REGION)
    torch.manual_seed(seed)
    size = answers.square().mean(0).sqrt()
    width = 128
    net = torch.nn.Sequential(
        torch.nn.Linear(points.shape[1], width), torch.nn.SiLU(),
        torch.nn.Linear(width, width), torch.nn.SiLU(),
        torch.nn.Linear(width, robot.nv),
    ).double()  # fmt: skip
    steps = int(60 * seconds)
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    slower = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = torch.randint(len(points), (512,), generator=generator)
        loss = (net(points[rows]) - answers[rows] / size).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        slower.step()

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        with torch.no_grad():
            return net(torch.cat(_scaled(q, v, tau, REGION), -1)) * size

    return model


def dense(robot: Robot, size: float = 0.1, seed: int = 0) -> Callable:
    """The robot with a constant full matrix added to H: no tree has such a mass matrix."""
    rng = np.random.default_rng(seed)
    root = torch.from_numpy(rng.normal(size=(robot.nv, robot.nv)))
    more = root @ root.T / robot.nv

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        H = kinematics.crba(robot, q)
        scale = H.diagonal(dim1=-2, dim2=-1).mean(tuple(range(H.ndim - 2))).sqrt()
        rest = kinematics.bias(robot, q, v)
        full = H + size * more * scale[:, None] * scale
        return torch.linalg.solve(full, (tau - rest).unsqueeze(-1)).squeeze(-1)

    return model


def parents_in(robot: Robot, order: Sequence[int]) -> tuple[int, ...]:
    """The robot's parents in the black box's coordinates."""
    order = list(order)
    return tuple(-1 if robot.parents[i] < 0 else order.index(robot.parents[i]) for i in order)


def screws_in(robot: Robot, order: Sequence[int], reference: Array) -> tuple[ScrewTree, Array]:
    """The robot's tree of screws in the black box's coordinates."""
    order = list(order)
    back = [order.index(i) for i in range(robot.nv)]
    tree, screws = screw_tree(robot, reference[back])
    return replace(
        tree,
        parents=parents_in(robot, order),
        turning=tuple(tree.turning[i] for i in order),
        reference=reference,
    ), screws[order]


def _scatterer(level: float = LEVEL) -> Callable[[Tensor], Tensor]:
    """Adds noise of `level` times the root mean square of each column."""
    generator = torch.Generator().manual_seed(0)

    def scatter(x: Tensor) -> Tensor:
        size = level * x.square().mean(0).sqrt()
        return x + size * torch.randn(x.shape, generator=generator, dtype=x.dtype)

    return scatter


def _recorded(robot: Robot, count: int, region: Region) -> tuple[Tensor, Tensor]:
    box = region.resolve(robot.nv)
    generator = torch.Generator().manual_seed(1)
    unit = torch.rand(count, 3 * robot.nv, generator=generator, dtype=torch.float64) * 2 - 1
    sides = (box.q, box.v, box.tau)
    parts = unit.split(robot.nv, 1)
    states = [s.centre + x * s.half_width for s, x in zip(sides, parts, strict=True)]
    return unit, kinematics.aba(robot, *states)


def _scaled(q: Tensor, v: Tensor, tau: Tensor, region: Region) -> list[Tensor]:
    box = region.resolve(q.shape[-1])
    pairs = zip((q, v, tau), (box.q, box.v, box.tau), strict=True)
    return [(x - side.centre) / side.half_width for x, side in pairs]
