"""Who takes part in the time ledger: simulator, compiled program, model, law, other engines."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from discover.blackbox.contract import Dynamics
from discover.blackbox.sampling import Batch
from discover.errors import WorldlawError
from discover.evaluation.ledger import Contender, from_torch, name_of
from discover.evaluation.simulators import contender as engines
from discover.models.external.openers import open_session
from discover.study.stages import simulator
from kinematics import Robot
from kinematics.programs import CompiledProgram

ROOM_FOR_NETWORKS = 256  # compiled versions of one `forward`
UNEXPORTABLE = (torch.onnx.errors.OnnxExporterError, RuntimeError, WorldlawError)


def line_up(
    robot: Robot,
    model: Dynamics | Mapping[str, Dynamics] | None,
    law: Any | None,
    *,
    torch_compile: bool = False,
    compile_simulator: bool = True,
) -> list[Contender]:
    """All that can answer forward dynamics here, by name.

    model: one, or several by name. torch_compile: also models (and the simulator, unless
    compile_simulator forbids) through `torch.compile`, which needs a C++ compiler and takes a
    minute or, for a simulator of many joints, many.
    """
    models = model if isinstance(model, Mapping) else {} if model is None else {"model": model}
    found = simulators(robot, torch_compile=torch_compile and compile_simulator)
    for name, own in models.items():
        found += networks(name, own, robot, torch_compile=torch_compile)
    if law is not None:
        more: dict[str, Any] = {"kind": "law", "family": "law"}
        found.append(from_torch("law, torch eager", law, **more))
        program = law.compile()
        found.append(_program("law, compiled", program, program.run, **more))
    return found + engines.installed(robot)


def simulators(robot: Robot, *, torch_compile: bool = False) -> list[Contender]:
    """Our own: as torch runs it, and as a compiled program, batched and one state at a time."""
    import kinematics

    eager = simulator(robot)
    program = kinematics.compile(robot, "aba", dtype="float64")

    found = [from_torch("simulator, torch eager", eager, family="torch")]
    if torch_compile:
        compiled = torch.compile(kinematics.aba, dynamic=False)

        def fused(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
            return compiled(robot, q, v, tau)

        # Constants of the robot are no inference tensors, which torch.compile's guards mind.
        more: dict[str, Any] = {"family": "torch", "without_gradients": torch.no_grad}
        found.append(from_torch("simulator, torch.compile", fused, **more))
    if torch.cuda.is_available():
        found.append(from_torch("simulator, torch eager, CUDA", eager, device="cuda"))
    one = {"family": "one state at a time"}  # another kernel: its own rounding
    found.append(_program("simulator, compiled", program, program.run, family="compiled program"))
    name = "simulator, compiled, one state at a time"
    found.append(_program(name, program, program.run_one_by_one, **one))
    return found


def _program(name: str, program: CompiledProgram, run: Callable[..., None], **more: Any):
    """A compiled program into an array that is there already, as the engines' batches are."""

    def prepare(batch: Batch) -> Callable[[], Any]:
        ready = [np.ascontiguousarray(x.numpy(), dtype=program.dtype) for x in batch]
        out = np.empty_like(ready[1])

        def call() -> np.ndarray:
            run(ready, out, len(out))
            return out

        return call

    return Contender(name=name, prepare=prepare, dtype=program.dtype, **more)


def networks(
    name: str, model: Dynamics, robot: Robot, *, torch_compile: bool = False
) -> list[Contender]:
    """A model as it is, and faster ways to run the same network."""
    dtype = dtype_of(model)
    more: dict[str, Any] = {"kind": "model", "family": name}
    if not isinstance(model, torch.nn.Module):
        return [from_torch(name, model, dtype=dtype, **more)]
    note = type(model).__name__
    found = [from_torch(name, model, dtype=dtype, note=note, **more)]
    if torch_compile:
        compiled = compiled_network(model)
        found.append(from_torch(f"{name}, torch.compile", compiled, dtype=dtype, note=note, **more))
    if find_spec("onnxruntime") is not None and find_spec("onnxscript") is not None:
        session = onnx_session(model, robot, dtype)
        if session is not None:
            told = {**more, "note": note}
            found.append(_from_session(f"{name}, ONNX Runtime", session, name_of(dtype), told))
    if torch.cuda.is_available() and next(model.parameters(), None) is not None:
        import copy

        moved = copy.deepcopy(model).to("cuda")
        found.append(
            from_torch(f"{name}, CUDA", moved, dtype=dtype, device="cuda", note=note, **more)
        )
    return found


def compiled_network(model: torch.nn.Module) -> Callable[..., Tensor]:
    """A network through `torch.compile`, however many there are: all share one `forward`, whose
    versions torch counts together, and beyond eight it would silently run the next one eagerly."""
    limit = torch._dynamo.config.recompile_limit
    torch._dynamo.config.recompile_limit = max(limit, ROOM_FOR_NETWORKS)
    return cast(Callable[..., Tensor], torch.compile(model))


def onnx_session(model: torch.nn.Module, robot: Robot, dtype: torch.dtype) -> Any | None:
    """The model in ONNX Runtime on one thread; None where it cannot be exported."""
    states = [torch.zeros(2, n, dtype=dtype) + 0.1 for n in (robot.nq, robot.nv, robot.nv)]
    batch = torch.export.Dim("batch")
    names = ("q", "v", "tau")
    written = io.BytesIO()
    with _quiet(), contextlib.suppress(*UNEXPORTABLE):
        told = torch.onnx.export(
            model.eval(),
            tuple(states),
            input_names=list(names),
            dynamic_shapes=[{0: batch}] * 3,
            dynamo=True,
            verbose=False,
        )
        if told is None:
            return None
        told.save(cast(Any, written))  # a file is as good as a path
        session = open_session(written.getvalue(), threads=1)
        # Some models export for the batch of the example only: the axis is then a number.
        free = [isinstance(port.shape[0], str) for port in session.get_inputs()]
        return session if free == [True] * len(names) else None
    return None  # a family that ONNX has no operators for


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporting talks at length about what it does without."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _from_session(name: str, session: Any, dtype: str, more: dict[str, Any]) -> Contender:
    inputs = [port.name for port in session.get_inputs()]

    def prepare(batch: Batch) -> Callable[[], Any]:
        ready = {
            key: np.ascontiguousarray(x.numpy(), dtype=dtype)
            for key, x in zip(inputs, batch, strict=True)
        }
        return lambda: session.run(None, ready)[0]

    return Contender(name=name, prepare=prepare, dtype=dtype, **more)


def dtype_of(model: Any) -> torch.dtype:
    """The precision a network computes in; float64 for anything else."""
    if isinstance(model, torch.nn.Module):
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                return tensor.dtype
    return torch.float64
