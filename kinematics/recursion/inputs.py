"""Arguments checked and laid out for the recursions, and results brought back.

What cannot be used is refused in one line: arrays, shapes and batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinematics.arrays import NUMPY, TORCH, Array, lazy
from kinematics.errors import RobotError
from kinematics.recursion.layout import Layout, layout_of, prepare
from kinematics.robot.tree import Robot, check_robot


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


_TAIL = {"f_ext": 2}  # trailing axes that are not batch; one elsewhere

# Batches of up to SMALL states run over numpy, whose calls cost a third of torch's, when nothing
# is differentiated or traced and the intermediates fit the cache (measured on trees of 2 to 30
# bodies: twice as fast at 64 states, and as fast where SMALL or SMALL_BODIES is reached);
# batches on a CPU are cut into pieces of up to PIECE states, which keep the intermediates in cache.
# The recursions and their results are the same.
SMALL = 512
SMALL_BODIES = 4096  # states times bodies
PIECE = 1024


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Checked inputs with one flat batch axis, and the way of results to the caller's form.

    ``public`` holds them in the robot's order, (B, n). The properties are laid out for the
    recursions: q (B, nq) of the full tree, v, a, tau (nv, B) in level order, f_ext (nb, 6, B),
    pi (nb, 10, B or 1). Where joints mimic others, the full tree has more coordinates than the
    robot.
    """

    robot: Robot
    tree: Robot
    xp: Any
    batch: tuple[int, ...]
    public: dict[str, Array]
    parameters: Array  # (B or 1, nb, 10)
    result_dtype: (
        torch.dtype | None
    )  # of the tensors that results become; None: they stay as they are

    @property
    def count(self) -> int:
        """Batch elements, flattened."""
        return int(self.public["q"].shape[0])

    @lazy
    def layout(self) -> Layout:
        """The constants of the full tree."""
        return layout_of(self.tree, self.public["q"])

    @lazy
    def q(self) -> Array:
        q = self.public["q"]
        return self.robot.coupling.positions(self.xp, q) if self.robot.mimic else q

    @lazy
    def v(self) -> Array:
        return self._velocities("v")

    @lazy
    def a(self) -> Array | None:
        return self._velocities("a") if "a" in self.public else None

    @lazy
    def f_ext(self) -> Array | None:
        return self.layout.wrenches(self.public["f_ext"]) if "f_ext" in self.public else None

    @lazy
    def pi(self) -> Array:
        return self.layout.parameters(self.parameters)

    def _velocities(self, name: str) -> Array:
        x = self.public[name]
        if self.robot.mimic:
            x = self.robot.coupling.velocities(self.xp, x)
        return self.layout.dofs(x)

    def forces(self, x: Array) -> Array:
        """Joint forces (nv of the full tree, B) in level order to (nv, B) of the robot."""
        return self.rows(self.layout.public_dofs(x))

    def rows(self, x: Array) -> Array:
        """(nv of the full tree, ..., B) in the robot's order to (nv of the robot, ..., B)."""
        return self.robot.coupling.reduce(self.xp, x) if self.robot.mimic else x

    def run(self, function: Callable[[Inputs], Array]) -> Array:
        """``function`` of these inputs, (..., B), as the caller wants it: (*batch, ...)."""
        if self.count == 0:
            return self._empty(function)
        torched = isinstance(self.public["q"], Tensor)
        if torched and self.count > self._piece and not torch.compiler.is_compiling():
            on_cpu = self.public["q"].device.type == "cpu"
            parts = [function(part) for part in self._pieces()] if on_cpu else [function(self)]
        elif self.result_dtype is not None:
            with np.errstate(all="ignore"):  # a singular robot gives nan, as it does in torch
                parts = [function(self)]
        else:
            parts = [function(self)]
        if len(parts) > 1:
            x = torch.cat([_wide(p, n) for p, n in zip(parts, self._sizes(), strict=True)], dim=-1)
        else:
            x = parts[0]
        if self.result_dtype is not None:
            x = torch.as_tensor(x).to(self.result_dtype)
        count = self.count
        if x.shape[-1] != count:
            x = _wide(x, count)
        if x.ndim > 1:
            x = x.movedim(-1, 0) if isinstance(x, Tensor) else np.moveaxis(x, -1, 0)
        return x if x.ndim > 0 and len(self.batch) == 1 else x.reshape((*self.batch, *x.shape[1:]))

    def _empty(self, function: Callable[[Inputs], Array]) -> Array:
        """The empty results of an empty batch, shaped as those of one state."""
        one = self.public["q"].new_zeros if self.result_dtype is None else None
        public = {}
        for name, x in self.public.items():
            shape = (1, *x.shape[1:])
            public[name] = np.zeros(shape, x.dtype) if one is None else one(shape)
        pi = self.parameters
        if not pi.shape[0]:
            pi = np.zeros((1, *pi.shape[1:])) if one is None else one((1, *pi.shape[1:]))
        single = replace(self, public=public, parameters=pi, batch=(1,)).run(function)
        return single[:0].reshape((*self.batch, *single.shape[1:]))

    @property
    def _piece(self) -> int:
        """States a piece: fewer for robots of many bodies."""
        return max(PIECE // 8, min(PIECE, 32 * PIECE // self.tree.nb), 1)

    def _sizes(self) -> list[int]:
        count, piece = self.count, self._piece
        return [min(piece, count - start) for start in range(0, count, piece)]

    def _pieces(self) -> Iterator[Inputs]:
        for start, size in zip(range(0, self.count, self._piece), self._sizes(), strict=True):
            here = slice(start, start + size)
            pi = self.parameters
            yield replace(
                self,
                public={name: x[here] for name, x in self.public.items()},
                parameters=pi if pi.shape[0] == 1 else pi[here],
            )


def _wide(x: Array, count: int) -> Array:
    """Results that turned out not to depend on the batch, repeated over it."""
    if x.shape[-1] == count:
        return x
    shape = (*x.shape[:-1], count)
    return x.expand(shape) if isinstance(x, Tensor) else np.broadcast_to(x, shape)


def enter(
    robot: Robot, q: Any, v: Any = None, a: Any = None, tau: Any = None, f_ext: Any = None
) -> Inputs:
    """Check shapes, agree on dtype, device and batch, and flatten the batch.

    Numpy arrays of numbers become tensors; integers become float64; arrays of expression nodes
    stay numpy arrays. Quaternions in ``q`` are normalised (not in symbols: there they are unit by
    assumption).
    """
    check_robot(robot)
    given = {"q": q, "v": v, "a": a, "tau": tau, "f_ext": f_ext}
    if q is None:
        raise RobotError("expected q as a tensor or an array of numbers, found None; give it")
    arrays = {name: as_array(name, x) for name, x in given.items() if x is not None}
    symbolic = isinstance(robot.pi, np.ndarray) or any(
        isinstance(x, np.ndarray) for x in arrays.values()
    )
    result_dtype = None
    if symbolic:
        arrays = {name: as_numpy(x) for name, x in arrays.items()}
        pi: Array = as_numpy(robot.pi)
    else:
        arrays, pi = _agree(robot, arrays)
        prepare(robot, pi)
    batch = _batch(robot, arrays, pi)
    public = {name: _flatten(x, batch, _TAIL.get(name, 1)) for name, x in arrays.items()}
    pi = pi[None] if pi.ndim == 2 else _flatten(pi, batch, 2)
    if not symbolic and robot.quaternion_slices:
        public["q"] = normalise(robot, public["q"])
    count = public["q"].shape[0]
    small = count <= SMALL and count * robot.nb <= SMALL_BODIES
    if not symbolic and small and plain([*public.values(), pi]):
        result_dtype = public["q"].dtype
        public = {name: x.numpy() for name, x in public.items()}
        pi = pi.numpy()
    return Inputs(
        robot=robot,
        tree=robot.unmimicked if robot.mimic else robot,
        xp=TORCH if isinstance(public["q"], Tensor) else NUMPY,
        batch=batch,
        public=public,
        parameters=pi,
        result_dtype=result_dtype,
    )


def plain(arrays: list[Tensor]) -> bool:
    """Whether tensors may be read as numpy arrays: on a CPU, not differentiated, not traced."""
    if torch.compiler.is_compiling() or torch._C._functorch.peek_interpreter_stack() is not None:
        return False
    return all(
        type(x) in (Tensor, torch.nn.Parameter)
        and x.device.type == "cpu"
        and x.dtype in (torch.float64, torch.float32)
        and not (x.requires_grad and torch.is_grad_enabled())
        and not torch._C._functorch.is_functorch_wrapped_tensor(x)
        for x in arrays
    )


def _agree(robot: Robot, arrays: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    dtype = arrays["q"].dtype
    for x in arrays.values():
        if x.dtype != dtype:
            dtype = torch.promote_types(dtype, x.dtype)
    device = arrays["q"].device
    converted = {name: x.to(dtype=dtype, device=device) for name, x in arrays.items()}
    return converted, robot.pi.to(dtype=dtype, device=device)


def _batch(robot: Robot, arrays: dict[str, Array], pi: Array) -> tuple[int, ...]:
    shapes = []
    for name, x in arrays.items():
        _check_shape(robot, name, x)
        shapes.append(tuple(x.shape[: x.ndim - _TAIL.get(name, 1)]))
    shapes.append(tuple(pi.shape[:-2]))
    if all(shape == shapes[0] for shape in shapes[:-1]) and not shapes[-1]:
        return shapes[0]
    return common_batch([*arrays, "robot.pi"], shapes)


def _flatten(x: Array, batch: tuple[int, ...], tail: int) -> Array:
    last = tuple(x.shape[x.ndim - tail :])
    if tuple(x.shape[: x.ndim - tail]) != batch:
        shape = (*batch, *last)
        x = x.expand(shape) if isinstance(x, Tensor) else np.broadcast_to(x, shape)
    return x if len(batch) == 1 else x.reshape(math.prod(batch), *last)


def _check_shape(robot: Robot, name: str, x: Array) -> None:
    expected = {"q": (robot.nq,), "f_ext": (robot.nb, 6)}.get(name, (robot.nv,))
    found = tuple(x.shape)
    if len(found) < len(expected) or found[len(found) - len(expected) :] != expected:
        raise RobotError(
            f"expected {name} of shape (..., {', '.join(map(str, expected))}) for {robot.name}, "
            f"found {found}; the last axis is the coordinate"
        )
