"""Compiled programs on torch tensors: differentiable to any order, under `torch.vmap`,
`torch.func` and `torch.compile`, and on graphics cards.

There are two ways to the same kernels. `torch.compile` records calls as one node of its graph and
needs an operator (``worldlaw::program``); elsewhere an `autograd.Function` serves, which alone
can be mapped and nested by `torch.func`. Gradients of both are the compiled pullback, called the
same way.

On a graphics card the program is CUDA source, built by NVRTC and started on torch's own stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from kinematics.programs.program import Program, ProgramError
from kinematics.programs.source.cuda import cuda_source, threads_a_block

Call = Callable[[int, Sequence[Tensor]], Tensor]  # a program by number, on its inputs


class Compiled(Protocol):
    """What this module needs of a compiled program; see `compiler.compiled.CompiledProgram`."""

    name: str
    dtype: str
    handle: int
    output_shape: tuple[int, ...]

    def check(self, arrays: Any) -> None: ...
    def complaint(self, arrays: Any) -> str: ...
    def call_numpy(self, *arrays: Any, out: Any = None) -> np.ndarray: ...
    @property
    def cuda(self) -> CudaKernel: ...
    @property
    def pullback(self) -> Compiled: ...


_PROGRAMS: list[Compiled] = []  # by number: torch's operators take tensors and plain numbers only


def register(program: Compiled) -> int:
    """The number by which torch's operator refers to ``program``, which is kept from then on."""
    _PROGRAMS.append(program)
    return len(_PROGRAMS) - 1


def call_with_tensors(program: Compiled, arrays: tuple[Any, ...], out: Any = None) -> Any:
    """``program`` on torch tensors; gradients flow through compiled derivatives.

    The answer has the dtype and device of the first tensor of floating-point numbers; of the
    program's own dtype where there is none. ``out``, a tensor that no gradient flows through, is
    filled and returned.
    """
    program.check(arrays)
    if out is not None:
        return _into(program, arrays, out)
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


def _into(program: Compiled, arrays: tuple[Any, ...], out: Any) -> Tensor:
    """The numbers, in ``out``: at once where the machine code can write them there."""
    asked = [a for a in (*arrays, out) if isinstance(a, Tensor) and a.requires_grad]
    if not isinstance(out, Tensor) or (asked and torch.is_grad_enabled()):
        found = "tensors that ask for gradients" if asked else type(out).__name__
        raise ProgramError(
            f"{program.name}: expected a tensor as out of tensors without gradients, found "
            f"{found}; call it in torch.no_grad(), or without out"
        )
    tensors = [torch.as_tensor(a) for a in arrays]
    with torch.no_grad():
        if all(x.device.type == "cpu" and x.dtype == out.dtype for x in (*tensors, out)) and (
            out.dtype == TYPES[program.dtype]
        ):
            program.call_numpy(*(x.numpy() for x in tensors), out=out.numpy())
            return out
        found = call_with_tensors(program, arrays)
        if found.shape != out.shape:
            raise ProgramError(
                f"{program.name}: expected out of shape {tuple(found.shape)}, found "
                f"{tuple(out.shape)}; make it by torch.empty"
            )
        return out.copy_(found)


def _answer(tensors: Sequence[Tensor], handle: int) -> Tensor:
    """The numbers, computed where the tensors are."""
    program = _PROGRAMS[handle]
    if tensors[0].is_cuda:
        return program.cuda(*tensors).to(tensors[0].dtype)
    result = program.call_numpy(*(x.detach().cpu().numpy() for x in tensors))
    return torch.from_numpy(np.ascontiguousarray(result)).to(tensors[0])


def _pulled(call: Call, handle: int, tensors: Sequence[Tensor], grad: Tensor) -> list[Tensor]:
    """The gradients by the compiled vector-Jacobian product."""
    batch = torch.broadcast_shapes(*(x.shape[:-1] for x in tensors))
    wide = [x.expand(*batch, x.shape[-1]) for x in tensors]
    weights = grad.reshape(*batch, -1)
    whole = call(_PROGRAMS[handle].pullback.handle, [*wide, weights])
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
    return tensors[0].new_empty((*batch, *_PROGRAMS[handle].output_shape))


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


_OPERATOR = _register()


def _traced(handle: int, tensors: Sequence[Tensor]) -> Tensor:
    found: Tensor = _OPERATOR(list(tensors), handle)
    return found


TYPES = {"float64": torch.float64, "float32": torch.float32}
MOST = 2**31 - 1  # states in one start


class CudaKernel:
    """A program as a kernel of the current CUDA device; called with CUDA tensors (B, columns)."""

    def __init__(self, program: Program, dtype: str):
        self.program = program
        self.dtype = TYPES[dtype]
        self.threads = threads_a_block(program, dtype)
        self._kernels: dict[int, Any] = {}  # one a device
        self._source = cuda_source(program, dtype)

    def __call__(self, *tensors: torch.Tensor) -> torch.Tensor:
        batch = torch.broadcast_shapes(*(x.shape[:-1] for x in tensors))
        ready = [
            x.detach().expand(*batch, x.shape[-1]).to(self.dtype).contiguous() for x in tensors
        ]
        out = torch.empty(
            (*batch, self.program.outputs.size), dtype=self.dtype, device=ready[0].device
        )
        self.run(ready, out, batch.numel())
        return out.reshape(*batch, *self.program.outputs.shape)

    def run(self, ready: list[torch.Tensor], out: torch.Tensor, count: int) -> None:
        """Fill ``out`` from contiguous CUDA tensors of the right type; does not wait."""
        if count > MOST:
            raise ProgramError(f"expected at most {MOST} states at a time, found {count}")
        if not count or not out.numel():
            return
        device = out.device.index or 0
        with torch.cuda.device(device):
            if device not in self._kernels:
                self._kernels[device] = _build(self._source, self.program.name)
            blocks = -(-count // self.threads)
            self._kernels[device](
                grid=(blocks, 1, 1), block=(self.threads, 1, 1), args=[*ready, out, count]
            )


def _build(source: str, name: str) -> Any:
    """The kernel, built by NVRTC, which comes with PyTorch's CUDA wheels."""
    build = getattr(torch.cuda, "_compile_kernel", None)
    if build is None:
        raise ProgramError(
            f"expected PyTorch 2.9 or later for programs on CUDA, found {torch.__version__}: "
            "update it, or move the arrays to the CPU"
        )
    return build(source, name)
