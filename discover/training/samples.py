"""From a data set to training samples: targets, and stretches of past and future samples."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from discover.errors import DatasetError
from discover.models.contract import Samples, WorldModel


class Rows(Protocol):
    """Rows of states and what followed: a, or next states, or both."""

    @property
    def q(self) -> Tensor: ...
    @property
    def v(self) -> Tensor: ...
    @property
    def tau(self) -> Tensor: ...
    @property
    def a(self) -> Tensor | None: ...
    @property
    def q_next(self) -> Tensor | None: ...
    @property
    def v_next(self) -> Tensor | None: ...
    @property
    def trajectory(self) -> Tensor: ...
    @property
    def t(self) -> Tensor: ...


class SplitDataset(Protocol):
    """What training asks of a data set: its rows of "train" and of "validation"."""

    def part(self, split: str, /) -> Rows: ...


def samples(dataset: SplitDataset, split: str, model: WorldModel, rollout: int = 1) -> Samples:
    """The rows of one split with the target that `model` regresses on.

    Where the model reads a history, or is trained on rollouts of several steps, only rows with
    enough past and future samples are taken, and these stand beside them. Raises DatasetError
    where the data set lacks what the model answers, and ModelError where rollouts are asked of a
    model of accelerations.
    """
    rows = dataset.part(split)
    if model.outputs == "acceleration":
        if rows.a is None:
            raise DatasetError(
                "a model that answers accelerations needs them in the data set, found next states "
                'only; build the model with outputs="next_state" and the data\'s dt'
            )
        target = rows.a
    else:
        if rows.q_next is None or rows.v_next is None:
            raise DatasetError(
                f"a model that answers {model.outputs} needs next states in the data set, found "
                "accelerations only; sample transitions, or train on accelerations"
            )
        target = model.target_of(rows.q, rows.v, rows.q_next, rows.v_next)
    chosen = Samples(q=rows.q, v=rows.v, tau=rows.tau, target=target)
    if not len(chosen):
        raise DatasetError(f"expected samples in split '{split}', found none; enlarge the data set")
    for name, x in vars(chosen).items():
        if x is not None and not bool(torch.isfinite(x).all()):
            raise DatasetError(f"{name} in split '{split}' holds NaN or infinity; clean the data")
    if model.history == rollout == 1:
        return chosen
    if model.dt is None or rows.q_next is None or rows.v_next is None:
        raise DatasetError(
            f"a rollout of {rollout} steps needs a model of steps, found one that answers "
            f'{model.outputs}; build it with outputs="next_state" and dt'
        )
    here = stretches(rows.trajectory, rows.t, model.dt, model.history - 1, rollout - 1)
    windows: dict[str, Tensor] = {}
    if model.history > 1:
        past = [here - k for k in range(model.history - 1, -1, -1)]
        windows["past"] = torch.stack([torch.cat((rows.q[i], rows.tau[i]), -1) for i in past], 1)
    if rollout > 1:
        ahead = [here + k for k in range(1, rollout)]
        windows["future"] = torch.stack(
            [torch.cat((rows.tau[i], rows.q_next[i], rows.v_next[i]), -1) for i in ahead], 1
        )
    return replace(chosen.take(here), **windows)


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
