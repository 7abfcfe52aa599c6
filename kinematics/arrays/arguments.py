"""What callers hand over: robots, arrays, shapes and batches, each refused in one line if wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinematics.arrays.operations import Array
from kinematics.errors import RobotError
from kinematics.robot.tree import Robot


def check_robot(robot: Any) -> None:
    """RobotError unless ``robot`` is one."""
    if not isinstance(robot, Robot):
        raise RobotError(
            f"expected a Robot first, found {type(robot).__name__}; make one by kinematics.load"
        )


def as_array(name: str, x: Any) -> Array:
    """A floating-point tensor, or an object array of expression nodes."""
    if isinstance(x, np.ndarray) and x.dtype.hasobject:
        return x
    if not isinstance(x, Tensor):
        try:
            x = torch.as_tensor(np.asarray(x))
        except (TypeError, ValueError) as error:
            raise RobotError(
                f"expected {name} as a tensor or an array of numbers, found {type(x).__name__} "
                f"({' '.join(str(error).split())[:80]}); convert it first"
            ) from error
    if x.is_complex():
        raise RobotError(f"expected real numbers as {name}, found {x.dtype}; take its real part")
    return x if x.is_floating_point() else x.to(torch.float64)


def as_numpy(x: Any) -> np.ndarray:
    """A numpy array, of whatever it holds."""
    return x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)


def common_batch(names: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The batch axes that these broadcast to; RobotError where they do not."""
    try:
        return tuple(np.broadcast_shapes(*shapes))
    except ValueError:
        found = ", ".join(f"{s} of {n}" for n, s in zip(names, shapes, strict=True))
        raise RobotError(
            f"expected batch axes that broadcast together, found {found}; reshape them"
        ) from None


def check_width(robot: Robot, name: str, x: Tensor, width: int) -> None:
    """RobotError unless the last axis of ``x`` is a coordinate of this width."""
    if x.ndim == 0 or x.shape[-1] != width:
        raise RobotError(
            f"expected {name} of shape (..., {width}) for {robot.name}, "
            f"found {tuple(x.shape)}; the last axis is the coordinate"
        )


def normalise(robot: Robot, q: Tensor) -> Tensor:
    """Configurations (..., nq) with unit quaternions."""
    parts, at = [], 0
    for where in robot.quaternion_slices:
        quaternion = q[..., where]
        parts += [q[..., at : where.start], quaternion / quaternion.norm(dim=-1, keepdim=True)]
        at = where.stop
    return torch.cat((*parts, q[..., at:]), dim=-1)
