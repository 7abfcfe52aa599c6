"""A contender of the time ledger: the one contract of simulators, programs, networks and laws."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from discover.blackbox.sampling import Batch
from kinematics.programs import CompiledProgram


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to compute forward dynamics, to be timed and checked.

    prepare  converts a batch of states, outside the timed part, and returns the call to time; the
             call returns accelerations (B, nv), an array or a tensor
    read     from (batch, what the call returned) to accelerations in our coordinates, where
             they differ
    kind     "simulator" (ours), "engine" (another simulator), "model" or "law"
    family   contenders of one family compute the same numbers; their error is measured once
    answers  False where the call keeps no accelerations
    clock    the seconds that count: processor time, or the wall clock for a GPU
    """

    name: str
    prepare: Callable[[Batch], Callable[[], Any]]
    dtype: str = "float64"
    threads: int = 1
    note: str = ""
    kind: str = "simulator"
    family: str = ""
    read: Callable[[Batch, Any], np.ndarray] | None = None
    answers: bool = True
    clock: Callable[[], float] = time.process_time


def answer(contender: Contender, batch: Batch) -> np.ndarray | None:
    """The contender's accelerations (B, nv) in our coordinates; None where it answers states."""
    result = contender.prepare(batch)()
    if contender.read is not None:
        return contender.read(batch, result)
    if isinstance(result, tuple):
        return None
    return np.asarray(torch.as_tensor(result).to("cpu", torch.float64))


def from_torch(
    name: str,
    dynamics: Callable[..., Any],
    *,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
    without_gradients: Callable[[], Any] = torch.inference_mode,
    **more: Any,
) -> Contender:
    """A `Dynamics` on torch tensors; on a GPU each call is waited for."""

    def prepare(batch: Batch) -> Callable[[], Any]:
        q, v, tau = (x.to(device, dtype) for x in batch)

        def call() -> Any:
            with without_gradients():
                found = dynamics(q, v, tau)
            if device != "cpu":
                torch.cuda.synchronize()
            return found

        return call

    if device != "cpu":
        more["clock"] = time.perf_counter
    return Contender(name=name, prepare=prepare, dtype=name_of(dtype), **more)


def from_program(
    name: str, program: CompiledProgram, run: Callable[..., None] | None = None, **more: Any
) -> Contender:
    """A compiled program on the processor, into an array that is allocated beforehand, as the
    engines' batches are. run: `program.run` unless given."""
    run = run or program.run

    def prepare(batch: Batch) -> Callable[[], Any]:
        states = arrays(batch, program.dtype)
        out = np.empty_like(states[1])

        def call() -> np.ndarray:
            run(states, out, len(out))
            return out

        return call

    return Contender(name=name, prepare=prepare, dtype=program.dtype, **more)


def as_called(name: str, program: CompiledProgram, **more: Any) -> Contender:
    """A compiled program as a user calls it, ``program(q, v, tau)``: arguments are checked, and the
    answer is an array of its own."""

    def prepare(batch: Batch) -> Callable[[], Any]:
        states = arrays(batch, program.dtype)
        return lambda: program(*states)

    return Contender(name=name, prepare=prepare, dtype=program.dtype, **more)


def arrays(batch: Batch, dtype: str = "float64") -> list[np.ndarray]:
    """q (B, nq), v, tau (B, nv) as contiguous NumPy arrays."""
    return [np.ascontiguousarray(x.numpy(), dtype=dtype) for x in batch]


def name_of(dtype: torch.dtype) -> str:
    """ "float64" of `torch.float64`."""
    return str(dtype).removeprefix("torch.")
