"""Programs on a graphics card: CUDA source, built by NVRTC, started on torch's own stream."""

from __future__ import annotations

from typing import Any

import torch

from kinematics.programs.program import Program, ProgramError
from kinematics.programs.source.cuda import cuda_source, threads_a_block

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
    """The kernel by PyTorch's door to NVRTC, which comes with its CUDA wheels."""
    build = getattr(torch.cuda, "_compile_kernel", None)
    if build is None:
        raise ProgramError(
            f"expected PyTorch 2.9 or later for programs on CUDA, found {torch.__version__}: "
            "update it, or move the arrays to the CPU"
        )
    return build(source, name)
