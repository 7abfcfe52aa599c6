"""Robots as black boxes: coordinates in any order, answers with or without noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

import kinematics
from discover.blackbox.contract import BlackBox
from discover.blackbox.region import Region
from discover.mechanism.geometry.robots import screw_tree
from discover.mechanism.local_dynamics import DynamicsSampler

REGION = Region(q=1.5, v=2.0, tau=5.0)


def black_box(
    robot: kinematics.Robot,
    order: Sequence[int] | None = None,
    *,
    noise: str | None = None,
    level: float = 0.01,
) -> Callable:
    """The robot with its coordinate i standing for the robot's order[i]; noise on "tau" or "a"."""
    order = list(range(robot.nv)) if order is None else list(order)
    back = [order.index(i) for i in range(robot.nv)]
    generator = torch.Generator().manual_seed(0)

    def scatter(x: torch.Tensor) -> torch.Tensor:
        size = x.square().mean(0).sqrt()
        return x + level * size * torch.randn(x.shape, generator=generator, dtype=x.dtype)

    def model(q: torch.Tensor, v: torch.Tensor, tau: torch.Tensor) -> torch.Tensor:
        pushed = scatter(tau) if noise == "tau" else tau
        a = kinematics.aba(robot, q[:, back], v[:, back], pushed[:, back])[:, order]
        return scatter(a) if noise == "a" else a

    return model


def sampler(model: Callable, nv: int, region: Region = REGION, seed: int = 0) -> DynamicsSampler:
    """Questions to a model of nv joints."""
    return DynamicsSampler(blackbox=BlackBox(model, nv, nv), region=region, seed=seed)


def parents_in(robot: kinematics.Robot, order: Sequence[int]) -> tuple[int, ...]:
    """The robot's parents in the black box's coordinates."""
    order = list(order)
    mapped = [robot.parents[i] for i in order]
    return tuple(-1 if p < 0 else order.index(p) for p in mapped)


def screws_in(robot: kinematics.Robot, order: Sequence[int], reference: np.ndarray):
    """The description's tree of screws in the black box's coordinates."""
    order = list(order)
    back = [order.index(i) for i in range(robot.nv)]
    tree, screws = screw_tree(robot, reference[back])
    turning = tuple(tree.turning[i] for i in order)
    tree = replace(tree, parents=parents_in(robot, order), turning=turning, reference=reference)
    return tree, screws[order]
