"""The reference simulator as a black box: the control of every study."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import kinematics
from discover.errors import ModelError
from kinematics import Robot


def simulator(
    robot: Robot, *, outputs: str = "acceleration", dt: float | None = None
) -> Callable[..., Any]:
    """`kinematics.aba` as a model, or one Runge–Kutta step of dt [s] for outputs="next_state".

    Raises ModelError where next states are wanted without a step.
    """

    @functools.lru_cache(maxsize=4)
    def moved(dtype: torch.dtype, device: torch.device) -> Robot:
        """The robot in the dtype and on the device of the states, cached."""
        return robot.to(dtype=dtype, device=device)

    def acceleration(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return kinematics.aba(moved(q.dtype, q.device), q, v, tau)

    if outputs == "acceleration":
        return acceleration

    if dt is None:
        raise ModelError("a control that answers next states: expected dt > 0, found none")

    def step(q: Tensor, v: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
        path = kinematics.simulate(moved(q.dtype, q.device), q, v, tau, dt, 1, integrator="rk4")
        return path.q[1], path.v[1]

    return step
