"""Compiled programs inside torch code: one custom operator, differentiable to any order."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from kinematics.programs.compiled import CompiledProgram, pullback_of


def _register() -> Any:
    """``worldlaw::program(Tensor[] inputs, int handle) -> Tensor``, registered once."""

    @torch.library.custom_op("worldlaw::program", mutates_args=())
    def program(inputs: list[torch.Tensor], handle: int) -> torch.Tensor:
        own = CompiledProgram.registry[handle]
        if inputs[0].is_cuda:
            return own.cuda(*inputs).to(inputs[0].dtype)
        arrays = [x.detach().cpu().numpy() for x in inputs]
        result = own.call_numpy(*arrays)
        return torch.from_numpy(np.ascontiguousarray(result)).to(
            dtype=inputs[0].dtype, device=inputs[0].device
        )

    @program.register_fake
    def _(inputs: list[torch.Tensor], handle: int) -> torch.Tensor:
        batch = torch.broadcast_shapes(*(x.shape[:-1] for x in inputs))
        return inputs[0].new_empty((*batch, *CompiledProgram.registry[handle].output_shape))

    def setup(ctx: Any, inputs: Any, output: Any) -> None:
        tensors, ctx.handle = inputs
        ctx.save_for_backward(*tensors)

    def backward(ctx: Any, grad: Any) -> Any:
        tensors = ctx.saved_tensors
        source = CompiledProgram.registry[ctx.handle]
        batch = torch.broadcast_shapes(*(x.shape[:-1] for x in tensors))
        wide = [x.expand(*batch, x.shape[-1]) for x in tensors]
        weights = grad.reshape(*batch, -1)
        whole = program([*wide, weights], pullback_of(source).handle)
        parts = whole.split([x.shape[-1] for x in tensors], dim=-1)
        return [part.sum_to_size(x.shape) for part, x in zip(parts, tensors, strict=True)], None

    program.register_autograd(backward, setup_context=setup)
    return program


_OPERATOR = _register()  # this module is imported by the first call with tensors


def call_with_tensors(program: CompiledProgram, arrays: tuple[Any, ...]) -> Any:
    """``program`` on torch tensors; gradients flow through compiled derivatives."""
    program.check(arrays)
    like = next(a for a in arrays if isinstance(a, torch.Tensor))
    tensors = [torch.as_tensor(a, dtype=like.dtype, device=like.device) for a in arrays]
    return _OPERATOR(tensors, program.handle)
