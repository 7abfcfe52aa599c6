"""Who takes part in the time ledger of a graphics card.

Inputs lie on the card already and answers stay there; every call is waited for, and the clock on
the wall counts. A CUDA graph replays a network's kernels without starting them one by one.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import torch

import kinematics
from discover.blackbox.contract import Dynamics
from discover.blackbox.sampling import Batch
from discover.evaluation.contenders import compiled_network, dtype_of
from discover.evaluation.ledger import Contender, from_torch, name_of
from discover.study.stages import simulator
from kinematics import Robot
from kinematics.programs import CompiledProgram

DEVICE = "cuda"
WARM_UP = 3  # calls before a graph is captured


def on_the_card(
    robot: Robot,
    models: Mapping[str, Dynamics],
    law: Any | None = None,
    *,
    torch_compile: bool = False,
    compile_simulator: bool = False,
    plain: Collection[str] = (),
    threads: int = 1,
) -> list[Contender]:
    """Simulator, compiled program, models and law on the CUDA device, and the compiled program on
    the processor with so many threads beside them.

    plain: the models that do not differentiate themselves in their forward pass; these are
    replayed as CUDA graphs too, and go through `torch.compile` where it is asked for.
    """
    eager = simulator(robot)
    more: dict[str, Any] = {"device": DEVICE, "family": "torch"}
    found = [from_torch("simulator, torch eager", eager, **more)]
    if compile_simulator:
        fused = torch.compile(kinematics.aba, dynamic=True)

        def compiled(q: Any, v: Any, tau: Any) -> Any:
            return fused(robot, q, v, tau)

        more["without_gradients"] = torch.no_grad
        found.append(from_torch("simulator, torch.compile", compiled, **more))
    for dtype in ("float64", "float32"):
        program = kinematics.compile(robot, "aba", dtype=dtype)
        family = f"compiled program, {dtype}"
        name = "simulator, compiled" + (", float32" if dtype == "float32" else "")
        found.append(card_program(name, program, family=family))
    for name, model in models.items():
        found += networks(
            name, model, torch_compile=torch_compile and name in plain, graphed=name in plain
        )
    if law is not None:
        found.append(card_program("law, compiled", law.compile(), kind="law", family="law"))
    for count in sorted({1, threads}):
        found.append(processor_program(robot, count))
    return found


def card_program(name: str, program: CompiledProgram, **more: Any) -> Contender:
    """A compiled program as a CUDA kernel, into a tensor that is there already."""

    def prepare(batch: Batch) -> Callable[[], Any]:
        dtype = getattr(torch, program.dtype)
        ready = [x.to(DEVICE, dtype).contiguous() for x in batch]
        out = torch.full_like(ready[1], torch.nan)
        kernel = program.cuda

        def call() -> torch.Tensor:
            kernel.run(ready, out, len(out))
            torch.cuda.synchronize()
            return out

        return call

    return Contender(
        name=name, prepare=prepare, dtype=program.dtype, clock=time.perf_counter, **more
    )


def processor_program(robot: Robot, threads: int) -> Contender:
    """The compiled program on the processor, for comparison by the same clock."""
    program = kinematics.compile(robot, "aba", threads=threads)

    def prepare(batch: Batch) -> Callable[[], Any]:
        ready = [np.ascontiguousarray(x.numpy(), dtype=np.float64) for x in batch]
        out = np.empty_like(ready[1])

        def call() -> np.ndarray:
            program.run(ready, out, len(out))
            return out

        return call

    many = f"{threads} threads" if threads > 1 else "one thread"
    return Contender(
        name=f"simulator, compiled, processor, {many}",
        prepare=prepare,
        dtype="float64",
        threads=threads,
        family="compiled program, processor",
        clock=time.perf_counter,
    )


def networks(
    name: str, model: Dynamics, *, torch_compile: bool = False, graphed: bool = False
) -> list[Contender]:
    """A network moved to the card: eager, as a CUDA graph, and through `torch.compile`."""
    if not isinstance(model, torch.nn.Module):
        return []
    dtype = dtype_of(model)
    moved = copy.deepcopy(model).to(DEVICE).eval()
    more: dict[str, Any] = {"kind": "model", "family": name, "note": type(model).__name__}
    found = [from_torch(name, moved, dtype=dtype, device=DEVICE, **more)]
    if graphed:
        found.append(graph(f"{name}, CUDA graph", moved, dtype, **more))
    if torch_compile:
        fused = compiled_network(moved)
        found.append(
            from_torch(f"{name}, torch.compile", fused, dtype=dtype, device=DEVICE, **more)
        )
    return found


def graph(name: str, model: torch.nn.Module, dtype: torch.dtype, **more: Any) -> Contender:
    """A network captured once a batch size, and replayed."""

    def prepare(batch: Batch) -> Callable[[], Any]:
        states = [x.to(DEVICE, dtype) for x in batch]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.no_grad(), torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                model(*states)
        torch.cuda.current_stream().wait_stream(stream)
        captured = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(captured):
            found = model(*states)

        def call() -> Any:
            captured.replay()
            torch.cuda.synchronize()
            return found

        return call

    return Contender(
        name=name, prepare=prepare, dtype=name_of(dtype), clock=time.perf_counter, **more
    )
