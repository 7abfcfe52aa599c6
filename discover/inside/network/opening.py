"""What is looked into, as one PyTorch module (q, v, tau) -> accelerations.

A module of the user's, a world model of ours, a file (.pt2, TorchScript, ONNX, `file.py:factory`, a
checkpoint) or what `discover.models.load` made of one, whose declaration is then applied. Of models
of steps the mean acceleration over the step is what is looked at.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from discover import models
from discover.errors import ModelError
from discover.inside.network.onnx_replay import replayed
from discover.judgement.thresholds import whole
from discover.models.contract import WorldModel
from discover.models.external.adapters import Adapted
from discover.models.layout import Layout
from kinematics import Robot


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A network to look into. rows: the only number of states that it takes, where it has one;
    remarks: what is worth knowing about how it was opened, a line each."""

    module: nn.Module
    name: str
    dtype: torch.dtype
    rows: int | None = None
    remarks: tuple[str, ...] = ()


def opened(network: Any, robot: Robot, outputs: str | None, dt: float | None) -> Opened:
    """The network as a module of accelerations. Raises ModelError, one line."""
    if isinstance(network, str | os.PathLike):
        declared: dict[str, Any] = {"outputs": outputs, "dt": dt}
        declared = {k: x for k, x in declared.items() if x is not None}
        if Path(network).suffix != ".safetensors":
            declared |= {"nq": robot.nq, "nv": robot.nv, "kinds": robot.independent_kinds}
        network = models.load(os.fspath(network), **declared)
    if isinstance(network, Adapted):
        return _adapted(network)
    if isinstance(network, WorldModel):
        if network.history > 1 or network.trained_by != "gradient":
            raise ModelError(
                f"expected a network of the present state, found the family {network.kind!r}, "
                "which remembers or stores samples: its inside is not layers"
            )
        return Opened(
            module=_Family(network),
            name=network.kind,
            dtype=network.target_scale.dtype,
            remarks=() if network.dt is None else (_OVER_A_STEP,),
        )
    if isinstance(network, torch.jit.ScriptModule):
        raise ModelError(
            "expected a module, or the path of a TorchScript file; found a loaded ScriptModule: "
            "save it, and give the path"
        )
    if not isinstance(network, nn.Module):
        raise ModelError(
            f"expected a torch.nn.Module or the path of a model, found {type(network).__name__}: "
            "only what has layers can be looked into"
        )
    if outputs not in (None, "acceleration") and dt is None:
        raise ModelError(f"outputs {outputs!r} need the model's step: give dt=… in seconds")
    steps = outputs not in (None, "acceleration")
    return Opened(
        module=_Own(network, robot, outputs or "acceleration", dt),
        name=type(network).__name__,
        dtype=_dtype(network) or torch.float64,
        remarks=(_OVER_A_STEP,) if steps else (),
    )


_OVER_A_STEP = (
    "a model of steps: its answer is taken as mean acceleration over the step, so that "
    "counterfactuals are right to first order in dt"
)


def _dtype(module: nn.Module) -> torch.dtype | None:
    tensors = [*module.parameters(), *module.buffers()]
    return next((x.dtype for x in tensors if x.is_floating_point()), None)


class _Family(nn.Module):
    """A world model of ours: what it regresses, in the units of accelerations."""

    def __init__(self, network: WorldModel) -> None:
        super().__init__()
        self.network = network

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        answer = self.network.respond(q, v, tau)
        if self.network.dt is None:
            return answer
        return answer[:, self.network.layout.nv :] / self.network.dt


class _Own(nn.Module):
    """A module of the user's; of steps, the gain of velocity over dt."""

    def __init__(self, network: nn.Module, robot: Robot, outputs: str, dt: float | None) -> None:
        super().__init__()
        self.network, self.outputs, self.dt, self.nv = network, outputs, dt, robot.nv

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        answer = self.network(q, v, tau)
        return _acceleration(answer, v, self.outputs, self.dt, self.nv)


def _acceleration(answer: Any, v: Tensor, outputs: str, dt: float | None, nv: int) -> Tensor:
    if outputs == "acceleration":
        return answer[0] if isinstance(answer, tuple | list) else answer
    last = answer[-1] if isinstance(answer, tuple | list) else answer[..., -nv:]
    return (last - v if outputs == "next_state" else last) / dt


class _Declared(nn.Module):
    """Somebody else's model under its declaration: order, scales and units of `Adapted`, as
    tensor operations that can be traced."""

    def __init__(self, network: nn.Module, model: Adapted) -> None:
        super().__init__()
        self.network, self.model = network, model
        declared = model.declaration
        self.layout = declared.layout() or Layout.plain(int(declared.nv or 0))

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        declared, model = self.model.declaration, self.model
        given = {"q": q, "v": v, "tau": tau}
        ready = {n: model._inward(n, x, self.layout) for n, x in given.items()}
        answer = self.network(*(torch.cat([ready[n] for n in p], dim=-1) for p in model.order))
        if declared.outputs == "acceleration":
            first = answer[0] if isinstance(answer, tuple | list) else answer
            return model._outward("a", first, self.layout)
        parts = answer if isinstance(answer, tuple | list) and len(answer) == 2 else None
        if parts is None:
            joined = answer[0] if isinstance(answer, tuple | list) else answer
            parts = joined.split([joined.shape[-1] - self.layout.nv, self.layout.nv], dim=-1)
        gain = model._outward("v", parts[1], self.layout)
        gain = gain - v if declared.outputs == "next_state" else gain
        assert declared.dt is not None  # a declaration of steps has it
        return gain / declared.dt


def _adapted(model: Adapted) -> Opened:
    found, declared = model.opened, model.declaration
    remarks = [] if declared.outputs == "acceleration" else [_OVER_A_STEP]
    call: Any = found.call
    if isinstance(call, torch.jit.ScriptModule):
        call = _from_torchscript(call, model)
        remarks.append("TorchScript, converted by PyTorch's own converter to a graph")
    elif found.source.endswith(".onnx"):
        call = replayed(found.path)
        remarks.append("ONNX, replayed operation by operation in PyTorch")
    if not isinstance(call, nn.Module):
        raise ModelError(
            f"{found.source}: expected layers (a torch.nn.Module), found "
            f"{type(call).__name__}: only what has layers can be looked into"
        )
    return Opened(
        module=_Declared(call, model),
        name=found.source,
        dtype=model.dtype,
        rows=found.batch,
        remarks=tuple(remarks),
    )


def _from_torchscript(call: torch.jit.ScriptModule, model: Adapted) -> nn.Module:
    """The graph of a TorchScript module. `torch.export` refuses these; the converter of PyTorch is
    private, and may go: then the mend is an export of the original. Raises ModelError."""
    layout = model.declaration.layout() or Layout.plain(int(model.declaration.nv or 0))
    widths = {"q": layout.nq, "v": layout.nv, "tau": layout.nv}
    rows = model.opened.batch or whole("inside.rows")
    example = tuple(
        torch.zeros(rows, sum(widths[n] for n in part), dtype=model.dtype) for part in model.order
    )
    try:
        from torch._export.converter import TS2EPConverter

        return TS2EPConverter(call, example).convert().module()
    except Exception as error:  # PyTorch's, private: anything
        raise ModelError(
            f"{model.opened.source}: this TorchScript file cannot be turned into a graph "
            f"({type(error).__name__}); export the network to .pt2"
        ) from error
