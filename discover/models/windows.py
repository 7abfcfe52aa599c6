"""Stretches of consecutive samples: the past that a memory reads, the future of a rollout."""

from __future__ import annotations

import torch
from torch import Tensor

from discover.errors import DatasetError


def stretches(trajectory: Tensor, t: Tensor, dt: float, back: int, ahead: int) -> Tensor:
    """Rows i (M,) whose `back` predecessors and `ahead` successors stand next to them in the same
    trajectory, dt apart. Raises DatasetError where there is none.

    trajectory, t [s]: (N,).
    """
    follows = (trajectory[1:] == trajectory[:-1]) & ((t[1:] - t[:-1] - dt).abs() < 0.01 * dt)
    # joined[i]: how many unbroken links lead up to row i
    breaks = torch.cat((torch.ones(1, dtype=torch.bool), ~follows.cpu()))
    count = torch.arange(len(trajectory))
    last_break = torch.where(breaks, count, torch.zeros_like(count)).cummax(0).values
    joined = count - last_break
    rows = count[back : len(count) - ahead]
    rows = rows[(joined[rows] >= back) & (joined[rows + ahead] >= back + ahead)]
    if not len(rows):
        raise DatasetError(
            f"expected stretches of {back + ahead + 1} samples {dt:g} s apart in one trajectory, "
            "found none; use a data set of trajectories, or a shorter history or rollout"
        )
    return rows
