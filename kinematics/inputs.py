"""What the caller hands over, checked and brought to one layout; and results brought back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinematics.arrays import Array
from kinematics.errors import RobotError
from kinematics.traversal import Reading, reading
from kinematics.tree import Robot


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Checked inputs: q (B, nq), v, a, tau (nv, B) in level order, f_ext (nb, 6, B), pi."""

    read: Reading
    batch: tuple[int, ...]
    q: Array
    v: Any
    a: Any
    tau: Any
    f_ext: Any
    pi: Array  # (B or 1, nb, 10)

    @property
    def count(self) -> int:
        """Batch elements, flattened."""
        return int(self.q.shape[0])

    def leave(self, x: Array) -> Array:
        """(nv, B) in level order to (*batch, nv)."""
        return self.read.public_dofs(x).reshape(*self.batch, x.shape[0])

    def leave_last(self, x: Array) -> Array:
        """(..., B) to (*batch, ...)."""
        moved = (
            x
            if x.ndim == 1
            else (x.movedim(-1, 0) if isinstance(x, Tensor) else np.moveaxis(x, -1, 0))
        )
        return moved.reshape((*self.batch, *x.shape[:-1]))


def enter(
    robot: Robot, q: Any, v: Any = None, a: Any = None, tau: Any = None, f_ext: Any = None
) -> Inputs:
    """Check shapes, agree on dtype, device and batch, and lay the inputs out for the tree.

    Numpy arrays of numbers become tensors; integers become float64; arrays of expression nodes
    stay numpy arrays. Quaternions in ``q`` are normalised (not in symbols: there they are unit by
    assumption).
    """
    given = {"q": q, "v": v, "a": a, "tau": tau}
    arrays = {name: as_array(name, x) for name, x in given.items() if x is not None}
    if f_ext is not None:
        arrays["f_ext"] = as_array("f_ext", f_ext)
    symbolic = robot_is_symbolic(robot) or any(isinstance(x, np.ndarray) for x in arrays.values())
    if symbolic:
        arrays = {name: _as_numpy(x) for name, x in arrays.items()}
        pi: Array = _as_numpy(robot.pi)
    else:
        arrays, pi = _agree(robot, arrays)
    for name, x in arrays.items():
        _check_shape(robot, name, x)
    tails = {"f_ext": 2}
    shapes = [x.shape[: x.ndim - tails.get(name, 1)] for name, x in arrays.items()]
    shapes.append(pi.shape[:-2])
    try:
        batch = torch.broadcast_shapes(*shapes)
    except RuntimeError:
        raise RobotError(
            f"expected batch axes that broadcast together, found {[tuple(s) for s in shapes]} for "
            f"{', '.join([*arrays, 'robot.pi'])}; reshape them"
        ) from None
    flat = {}
    for name, x in arrays.items():
        tail = x.shape[x.ndim - tails.get(name, 1) :]
        flat[name] = _flatten(x, batch, tail)
    pi = pi[None] if pi.ndim == 2 else _flatten(pi, batch, pi.shape[-2:])
    if not symbolic and robot.quaternion_slices:
        flat["q"] = normalise(robot, flat["q"])
    read = reading(robot, flat["q"])
    return Inputs(
        read=read,
        batch=tuple(batch),
        q=flat["q"],
        v=read.dofs(flat["v"]) if v is not None else None,
        a=read.dofs(flat["a"]) if a is not None else None,
        tau=read.dofs(flat["tau"]) if tau is not None else None,
        f_ext=read.bodies(flat["f_ext"]) if f_ext is not None else None,
        pi=pi,
    )


def as_array(name: str, x: Any) -> Array:
    """A floating-point tensor, or an object array of expression nodes."""
    if isinstance(x, np.ndarray) and x.dtype == object:
        return x
    if not isinstance(x, Tensor):
        try:
            x = torch.as_tensor(np.asarray(x))
        except (TypeError, ValueError) as error:
            raise RobotError(
                f"expected {name} as a tensor or an array of numbers, found {type(x).__name__} "
                f"({error}); convert it first"
            ) from error
    return x if x.is_floating_point() else x.to(torch.float64)


def robot_is_symbolic(robot: Robot) -> bool:
    """Whether the robot's inertial parameters are expression nodes."""
    return isinstance(robot.pi, np.ndarray)


def normalise(robot: Robot, q: Tensor) -> Tensor:
    """Configurations (..., nq) with unit quaternions."""
    parts, at = [], 0
    for where in robot.quaternion_slices:
        quaternion = q[..., where]
        parts += [q[..., at : where.start], quaternion / quaternion.norm(dim=-1, keepdim=True)]
        at = where.stop
    return torch.cat((*parts, q[..., at:]), dim=-1)


def _agree(robot: Robot, arrays: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    dtype = None
    for x in arrays.values():
        dtype = x.dtype if dtype is None else torch.promote_types(dtype, x.dtype)
    device = arrays["q"].device
    converted = {name: x.to(dtype=dtype, device=device) for name, x in arrays.items()}
    return converted, robot.pi.to(dtype=dtype, device=device)


def _as_numpy(x: Any) -> np.ndarray:
    return x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)


def _flatten(x: Array, batch: tuple[int, ...], tail: tuple[int, ...]) -> Array:
    shape = (*batch, *tail)
    wide = x.expand(shape) if isinstance(x, Tensor) else np.broadcast_to(x, shape)
    return wide.reshape(-1, *tail)


def _check_shape(robot: Robot, name: str, x: Array) -> None:
    expected = {"q": (robot.nq,), "f_ext": (robot.nb, 6)}.get(name, (robot.nv,))
    found = tuple(x.shape)
    if len(found) < len(expected) or found[len(found) - len(expected) :] != expected:
        raise RobotError(
            f"expected {name} of shape (..., {', '.join(map(str, expected))}) for {robot.name}, "
            f"found {found}; the last axis is the coordinate"
        )
