"""Checks of a wrapped network's answers against its declaration, and what is worth a note."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import kinematics
from discover.errors import ModelError
from discover.judgement.thresholds import threshold
from discover.models.external.sanity import questions
from discover.models.layout import Layout
from discover.observations.model import ObservedModel
from discover.observations.readings import (
    Line,
    PlacePart,
    PointPart,
    QuaternionPart,
    TurnPart,
    Wave,
    Wrapped,
)


def check(model: ObservedModel, home: Any = None) -> list[str]:
    """Notes about the network. Raises ModelError, one line, where its answers contradict what is
    declared."""
    robot = model.robot
    layout = Layout.of(robot.independent_kinds, robot.independent_parents)
    q, v, _ = questions(layout, home)
    u = _commands(model, len(q))
    notes = []
    if model.network.left_training:
        notes.append(
            "the network was left in training mode (dropout, batch normalisation); it is asked in "
            "evaluation mode, and left as it was"
        )
    if model.network.half:
        notes.append(
            "the network computes in half precision: answers are rounded to about a thousandth of "
            "their size, which no law can undercut"
        )
    first, _ = model._answers(q, v, u)
    if not bool(first.isfinite().all()):
        raise ModelError(
            f"{model.name} answers NaN or infinity near its home state; check normaliser, or "
            "declare home"
        )
    again, _ = model._answers(q, v, u)
    size = first.std(dim=1).clamp_min(1e-12)
    different = float(((again - first).abs().mean(dim=1) / size).max())
    if different > 0:
        notes.append(
            f"the same question is answered differently each time, by {different:.2g} of the "
            "spread of answers (a sampled head, or dropout): told as noise; samples = n averages"
        )
    elif not model.network.half:
        _independent(model, q, v, u, first)
    seen = model.predicts.observe(q, v)
    _check_target(model, seen, first.mean(dim=0))
    _check_step(model, q, v, u)
    return notes


def _commands(model: ObservedModel, n: int) -> Tensor:
    draw = torch.Generator().manual_seed(11)
    u = 2 * torch.rand(n, len(model.action.names), generator=draw, dtype=torch.float64) - 1
    return model.action.controls(u[:, : model.action.size])


def _independent(model: ObservedModel, q: Tensor, v: Tensor, u: Tensor, whole: Tensor) -> None:
    few, _ = model._answers(q[:5], v[:5], u[:5])
    size = whole.abs().amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)
    if bool(((few - whole[:, :5]).abs() > threshold("observations.batch_dependence") * size).any()):
        raise ModelError(
            f"{model.name}: the answer to a state depends on the other states in the batch; call "
            ".eval() before exporting (batch normalisation in training mode?), or declare batch"
        )


def _check_target(model: ObservedModel, seen: Tensor, answer: Tensor) -> None:
    """Whether answers follow the observation, as next ones do and differences do not. Positions
    are looked at alone: velocities may change entirely within a step."""
    places = [
        k
        for k, reading in enumerate(model.predicts.readings)
        if isinstance(reading, _POSITIONS) and float(seen[:, k].std()) > 0
    ]
    if not places:
        return
    y = answer[:, places] - (seen[:, places] if model.target == "difference" else 0.0)
    follows = _steepest(y, seen[:, places])
    middle = threshold("observations.follows")
    if model.target == "next" and follows < middle:
        raise ModelError(
            f"{model.name}: declared target 'next', but the answers do not follow the observation "
            f"(slope {follows:.2g}); declare target='difference', check observation, inputs and "
            "normaliser, or sanity=False for a network that has not learned"
        )
    if model.target == "difference" and follows > middle:
        raise ModelError(
            f"{model.name}: declared target 'difference', but the answers follow the observation "
            f"(slope {follows:.2g}): they look like next ones; declare target='next'"
        )


def _steepest(y: Tensor, x: Tensor) -> float:
    """The largest slope of y against x, column by column: stiff joints forget where they were
    within a step, others do not."""
    y, x = y - y.mean(dim=0), x - x.mean(dim=0)
    return float(((y * x).sum(dim=0) / x.square().sum(dim=0)).max())


_POSITIONS = (Line, Wave, Wrapped, QuaternionPart, PlacePart, TurnPart, PointPart)


def _check_step(model: ObservedModel, q: Tensor, v: Tensor, u: Tensor) -> None:
    """Whether displacements are about v·dt, of the coordinates whose positions are observed."""
    known = model.predicts.determination
    seen = torch.as_tensor(known.q_seen_of_v & ~known.v_open)
    if not bool(seen.any()):
        return
    q_next, _ = model(q, v, u)
    moved = kinematics.difference(model.robot, q, q_next)[:, seen]
    ratio = _steepest(moved, v[:, seen]) / model.dt
    most = threshold("observations.wrong_step")
    if not 1 / most < ratio < most:
        raise ModelError(
            f"{model.name}: declared dt = {model.dt:g} s, but displacements are {ratio:.3g} times "
            f"v·dt; the step looks like {abs(ratio) * model.dt:.3g} s: check dt, observation, "
            "target and normaliser, declare home, or sanity=False for one that has not learned"
        )
