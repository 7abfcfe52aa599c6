"""Compiled programs inside torch code: called on tensors, differentiable to any order, under
`torch.vmap`, `torch.func` and `torch.compile`.

There are two doors to the same kernels. `torch.compile` records calls as one node of its graph and
asks for an operator (``worldlaw::program``); elsewhere an `autograd.Function` serves, which alone
knows how to be mapped and nested by `torch.func`. Gradients of both are the compiled pullback,
called by the same door.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinematics.programs.compiler.compiled import CompiledProgram, pullback_of
from kinematics.programs.program import ProgramError

Door = Callable[[int, Sequence[Tensor]], Tensor]


def call_with_tensors(program: CompiledProgram, arrays: tuple[Any, ...]) -> Any:
    """``program`` on torch tensors; gradients flow through compiled derivatives.

    The answer has the dtype and device of the first tensor of floating-point numbers; of the
    program's own dtype where there is none.
    """
    program.check(arrays)
    tensors = [a for a in arrays if isinstance(a, Tensor)]
    if any(x.is_complex() for x in tensors):
        raise ProgramError(f"{program.name}: expected real numbers, found complex ones")
    like = next((x for x in tensors if x.is_floating_point()), None)
    dtype = getattr(torch, program.dtype) if like is None else like.dtype
    device = tensors[0].device
    same = [torch.as_tensor(a, dtype=dtype, device=device) for a in arrays]
    if any(x.shape[:-1] != same[0].shape[:-1] for x in same):
        try:
            torch.broadcast_shapes(*(x.shape[:-1] for x in same))
        except RuntimeError:
            raise ProgramError(program.complaint(arrays)) from None
    if torch.compiler.is_compiling():
        return _traced(program.handle, same)
    transformed = torch._C._functorch.peek_interpreter_stack() is not None
    recorded = torch.is_grad_enabled() and any(x.requires_grad for x in same)
    if transformed or recorded or same[0].is_meta:
        return _eager(program.handle, same)
    return _answer(same, program.handle)  # twice as fast


def _answer(tensors: Sequence[Tensor], handle: int) -> Tensor:
    """The numbers, computed where the tensors are."""
    program = CompiledProgram.registry[handle]
    if tensors[0].is_cuda:
        return program.cuda(*tensors).to(tensors[0].dtype)
    result = program.call_numpy(*(x.detach().cpu().numpy() for x in tensors))
    return torch.from_numpy(np.ascontiguousarray(result)).to(tensors[0])


def _pulled(door: Door, handle: int, tensors: Sequence[Tensor], grad: Tensor) -> list[Tensor]:
    """The gradients by the compiled vector-Jacobian product."""
    batch = torch.broadcast_shapes(*(x.shape[:-1] for x in tensors))
    wide = [x.expand(*batch, x.shape[-1]) for x in tensors]
    weights = grad.reshape(*batch, -1)
    whole = door(pullback_of(CompiledProgram.registry[handle]).handle, [*wide, weights])
    parts = whole.split([x.shape[-1] for x in tensors], dim=-1)
    return [part.sum_to_size(x.shape) for part, x in zip(parts, tensors, strict=True)]


class _Call(torch.autograd.Function):
    """A call outside of `torch.compile`."""

    @staticmethod
    def forward(handle: int, *tensors: Tensor) -> Tensor:
        return _empty(tensors, handle) if tensors[0].is_meta else _answer(tensors, handle)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.handle, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return None, *_pulled(_eager, ctx.handle, ctx.saved_tensors, grad)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], handle: int, *tensors: Tensor) -> Any:
        """The mapped axis is one more batch axis, the first of those that have it."""
        dims = in_dims[1:]
        plain = max(x.ndim - (d is not None) for x, d in zip(tensors, dims, strict=True))
        moved = []
        for x, d in zip(tensors, dims, strict=True):
            if d is not None:
                x = x.movedim(d, 0)
                x = x.reshape(x.shape[0], *[1] * (plain - x.ndim + 1), *x.shape[1:])
            moved.append(x)
        return _eager(handle, moved), 0


def _eager(handle: int, tensors: Sequence[Tensor]) -> Tensor:
    found: Tensor = _Call.apply(handle, *tensors)
    return found


def _empty(tensors: Sequence[Tensor], handle: int) -> Tensor:
    """Shape and type of the answer."""
    batch = torch.broadcast_shapes(*(x.shape[:-1] for x in tensors))
    return tensors[0].new_empty((*batch, *CompiledProgram.registry[handle].output_shape))


def _register() -> Any:
    """``worldlaw::program(Tensor[] inputs, int handle) -> Tensor``, registered once."""

    @torch.library.custom_op("worldlaw::program", mutates_args=())
    def program(inputs: list[Tensor], handle: int) -> Tensor:
        return _answer(inputs, handle)

    program.register_fake(_empty)

    def setup(ctx: Any, inputs: Any, output: Any) -> None:
        tensors, ctx.handle = inputs
        ctx.save_for_backward(*tensors)

    def backward(ctx: Any, grad: Tensor) -> Any:
        return _pulled(_traced, ctx.handle, ctx.saved_tensors, grad), None

    program.register_autograd(backward, setup_context=setup)
    return program


_OPERATOR = _register()  # this module is imported by the first call with tensors


def _traced(handle: int, tensors: Sequence[Tensor]) -> Tensor:
    found: Tensor = _OPERATOR(list(tensors), handle)
    return found
