"""The contenders of a time ledger: simulator, compiled program, models, law, other simulators.

`on_the_processor` and `on_the_card` list the contenders of one ledger each. On a graphics card
inputs lie there already and answers stay there, every call is waited for, and the wall clock
counts. A CUDA graph replays a network's kernels without starting them one by one.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib.util import find_spec
from typing import Any, cast

import torch
from torch import Tensor

import kinematics
from discover.blackbox.contract import Dynamics
from discover.blackbox.sampling import Batch
from discover.errors import WorldlawError
from discover.evaluation.contender import (
    Contender,
    arrays,
    as_called,
    from_program,
    from_torch,
    name_of,
)
from discover.evaluation.simulators import registry
from discover.evaluation.simulators.reference import simulator
from discover.models.external.openers import open_session
from kinematics import Robot
from kinematics.programs import CompiledProgram

CUDA = "cuda"
WARM_UP = 3  # calls before a CUDA graph is captured
COMPILED_NETWORKS = 256  # versions that torch.compile may keep of one `forward`
UNEXPORTABLE = (torch.onnx.errors.OnnxExporterError, RuntimeError, WorldlawError)


def on_the_processor(
    robot: Robot,
    model: Dynamics | Mapping[str, Dynamics] | None,
    law: Any | None,
    *,
    torch_compile: bool = False,
    compile_simulator: bool = True,
) -> list[Contender]:
    """All that can compute forward dynamics here; where there is a CUDA device, also simulator and
    networks in eager torch on it.

    model: one, or several by name. torch_compile: also models (and the simulator, unless
    compile_simulator forbids) through `torch.compile`, which needs a C++ compiler and takes a
    minute or, for a simulator of many joints, many.
    """
    models = model if isinstance(model, Mapping) else {} if model is None else {"model": model}
    found = _torch_simulator(robot, fused=torch_compile and compile_simulator)
    if torch.cuda.is_available():
        found.append(from_torch("simulator, torch eager, CUDA", simulator(robot), device=CUDA))
    program = kinematics.compile(robot, "aba", dtype="float64")
    name = "simulator, compiled"
    found.append(from_program(name, program, family="compiled program"))
    found.append(as_called(f"{name}, as called", program, family="compiled program"))
    one_by_one = program.run_one_by_one  # another kernel with its own rounding: its own family
    family = "one state at a time"
    found.append(from_program(f"{name}, one state at a time", program, one_by_one, family=family))
    for name, network in models.items():
        found += networks(name, network, robot, torch_compile=torch_compile)
    if law is not None:
        found.append(from_torch("law, torch eager", law, kind="law", family="law"))
        compiled = law.compile()
        found.append(from_program("law, compiled", compiled, kind="law", family="law"))
        found.append(as_called("law, compiled, as called", compiled, kind="law", family="law"))
    return found + registry.installed(robot)


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
    the processor, on one thread and on so many, beside them.

    plain: the models that do not differentiate themselves in their forward pass; these are
    replayed as CUDA graphs too, and go through `torch.compile` where it is asked for.
    """
    found = _torch_simulator(robot, device=CUDA, fused=compile_simulator)
    for dtype in ("float64", "float32"):
        program = kinematics.compile(robot, "aba", dtype=dtype)
        family = f"compiled program, {dtype}"
        name = "simulator, compiled" + (", float32" if dtype == "float32" else "")
        found.append(_kernel(name, program, family=family))
    for name, model in models.items():
        if isinstance(model, torch.nn.Module):
            moved = copy.deepcopy(model).to(CUDA).eval()
            more: dict[str, Any] = {"kind": "model", "family": name, "note": type(model).__name__}
            fused = torch_compile and name in plain
            eager, *compiled = _torch_network(name, moved, device=CUDA, fused=fused, **more)
            graphs = [_graph(f"{name}, CUDA graph", moved, **more)] if name in plain else []
            found += [eager, *graphs, *compiled]
    if law is not None:
        found.append(_kernel("law, compiled", law.compile(), kind="law", family="law"))
    for count in sorted({1, threads}):
        many = f"{count} threads" if count > 1 else "one thread"
        found.append(
            from_program(
                f"simulator, compiled, processor, {many}",
                kinematics.compile(robot, "aba", threads=count),
                threads=count,
                family="compiled program, processor",
                clock=time.perf_counter,
            )
        )
    return found


def networks(
    name: str, model: Dynamics, robot: Robot, *, torch_compile: bool = False
) -> list[Contender]:
    """A model as it is, and faster ways to run the same network on the processor."""
    more: dict[str, Any] = {"kind": "model", "family": name}
    if not isinstance(model, torch.nn.Module):
        return [from_torch(name, model, **more)]
    more["note"] = type(model).__name__
    found = _torch_network(name, model, fused=torch_compile, **more)
    if find_spec("onnxruntime") is not None and find_spec("onnxscript") is not None:
        session = onnx_session(model, robot, _dtype_of(model))
        if session is not None:
            found.append(_from_session(f"{name}, ONNX Runtime", session, _dtype_of(model), **more))
    if torch.cuda.is_available() and next(model.parameters(), None) is not None:
        moved = copy.deepcopy(model).to(CUDA)
        found += _torch_network(f"{name}, CUDA", moved, device=CUDA, **more)
    return found


def _torch_simulator(robot: Robot, *, device: str = "cpu", fused: bool) -> list[Contender]:
    """Our simulator in eager torch, and through `torch.compile` where `fused`."""
    more: dict[str, Any] = {"device": device, "family": "torch"}
    found = [from_torch("simulator, torch eager", simulator(robot), **more)]
    if fused:
        compiled = torch.compile(kinematics.aba, dynamic=device == CUDA)

        def call(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
            return compiled(robot, q, v, tau)

        # Constants of the robot are no inference tensors, which torch.compile's guards mind.
        more["without_gradients"] = torch.no_grad
        found.append(from_torch("simulator, torch.compile", call, **more))
    return found


def _torch_network(
    name: str, model: torch.nn.Module, *, device: str = "cpu", fused: bool = False, **more: Any
) -> list[Contender]:
    """A network on its device in eager torch, and through `torch.compile` where `fused`."""
    more |= {"dtype": _dtype_of(model), "device": device}
    found = [from_torch(name, model, **more)]
    if fused:
        # All networks share one `forward`, whose versions torch counts together; beyond eight it
        # would run the next one eagerly without a word.
        limit = torch._dynamo.config.recompile_limit
        torch._dynamo.config.recompile_limit = max(limit, COMPILED_NETWORKS)
        compiled = cast(Callable[..., Tensor], torch.compile(model))
        found.append(from_torch(f"{name}, torch.compile", compiled, **more))
    return found


def _kernel(name: str, program: CompiledProgram, **more: Any) -> Contender:
    """A compiled program as a CUDA kernel, into a tensor that is allocated beforehand."""

    def prepare(batch: Batch) -> Callable[[], Any]:
        dtype = getattr(torch, program.dtype)
        states = [x.to(CUDA, dtype).contiguous() for x in batch]
        out = torch.full_like(states[1], torch.nan)
        kernel = program.cuda

        def call() -> Tensor:
            kernel.run(states, out, len(out))
            torch.cuda.synchronize()
            return out

        return call

    dtype = program.dtype
    return Contender(name=name, prepare=prepare, dtype=dtype, clock=time.perf_counter, **more)


def _graph(name: str, model: torch.nn.Module, **more: Any) -> Contender:
    """A network on the card, captured as a CUDA graph once a batch size, and replayed."""
    dtype = _dtype_of(model)

    def prepare(batch: Batch) -> Callable[[], Any]:
        states = [x.to(CUDA, dtype) for x in batch]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.no_grad(), torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                model(*states)
        torch.cuda.current_stream().wait_stream(stream)
        captured = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(captured):
            out = model(*states)

        def call() -> Any:
            captured.replay()
            torch.cuda.synchronize()
            return out

        return call

    return Contender(
        name=name, prepare=prepare, dtype=name_of(dtype), clock=time.perf_counter, **more
    )


def onnx_session(model: torch.nn.Module, robot: Robot, dtype: torch.dtype) -> Any | None:
    """The model in ONNX Runtime on one thread; None where it cannot be exported."""
    states = [torch.zeros(2, n, dtype=dtype) + 0.1 for n in (robot.nq, robot.nv, robot.nv)]
    batch = torch.export.Dim("batch")
    names = ("q", "v", "tau")
    written = io.BytesIO()
    with _quiet(), contextlib.suppress(*UNEXPORTABLE):
        exported = torch.onnx.export(
            model.eval(),
            tuple(states),
            input_names=list(names),
            dynamic_shapes=[{0: batch}] * 3,
            dynamo=True,
            verbose=False,
        )
        if exported is None:
            return None
        exported.save(cast(Any, written))  # a file is as good as a path
        session = open_session(written.getvalue(), threads=1)
        # Some models export for the batch of the example only: the axis is then a number.
        free = [isinstance(port.shape[0], str) for port in session.get_inputs()]
        return session if free == [True] * len(names) else None
    return None  # a family that ONNX has no operators for


def _from_session(name: str, session: Any, dtype: torch.dtype, **more: Any) -> Contender:
    inputs = [port.name for port in session.get_inputs()]

    def prepare(batch: Batch) -> Callable[[], Any]:
        feed = dict(zip(inputs, arrays(batch, name_of(dtype)), strict=True))
        return lambda: session.run(None, feed)[0]

    return Contender(name=name, prepare=prepare, dtype=name_of(dtype), **more)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's many warnings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _dtype_of(model: torch.nn.Module) -> torch.dtype:
    """The precision that a network computes in."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            return tensor.dtype
    return torch.float64
