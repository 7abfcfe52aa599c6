"""Other people's models: .pt2, TorchScript, ONNX, a Python factory, or a checkpoint of ours.

The file is opened by its format; `Adapted` applies the user's declaration, so that the result takes
(q, v, tau) in our order and units.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discover.artifacts import refuse_pointer
from discover.blackbox.contract import WithoutGradients, unchanged
from discover.errors import CheckpointError, ModelError
from discover.models.checkpoint import load_checkpoint
from discover.models.external.archives import kind_of_archive
from discover.models.external.declaration import ANSWERS, DTYPES, Declaration, declare
from discover.models.external.input_order import input_order
from discover.models.external.openers import (
    Opened,
    open_factory,
    open_onnx,
    open_pt2,
    open_torchscript,
)
from discover.models.external.sanity import check
from discover.models.external.weights import with_weights
from discover.models.layout import Layout, advance

DEGREES = 180 / torch.pi


def load(path: Path | str, *, sanity: bool = True, module: Any = None, **declared: Any) -> Any:
    """A model from a file, ready to be examined: a callable (q, v, tau) -> answer.

    path: `.safetensors` of ours, `.pt2` (torch.export), TorchScript `.pt`, `.onnx`, or
    `file.py:factory`, where factory() gives the callable (that one runs the user's own code).
    declared: the fields of `models.external.declaration.Declaration` (outputs, dt, order, joined,
    dtype, angles, input_scale, …), which may also stand in a TOML file beside the model.
    sanity: ask a few states and compare the answers with what is declared.
    module: a `torch.nn.Module` of yours, whose state_dict the file holds (`.safetensors`, or
    `.pt` by torch.save, of which nothing but numbers is read).

    The result has `.outputs` ("acceleration" or "next_state") and `.dt`; increments are turned
    into next states. Raises ModelError or CheckpointError, one line each.
    """
    if module is not None:
        return _adapt(_with_weights(module, Path(path)), Path(path), declared, sanity)
    text = str(path)
    file, _, factory = text.rpartition(":")
    if file.endswith(".py"):
        return _adapt(open_factory(Path(file), factory), Path(file), declared, sanity)
    path = Path(path)
    if path.suffix == ".py":
        raise ModelError(f"expected file.py:factory, found {path}; name the factory after a colon")
    if not path.is_file():
        kind = CheckpointError if path.suffix == ".safetensors" else ModelError
        raise kind(f"expected a model at {path}, found no such file")
    refuse_pointer(path, ModelError)
    if path.suffix == ".safetensors":
        return _own(path, declared)
    if path.suffix == ".onnx":
        return _adapt(open_onnx(path), path, declared, sanity)
    opener = {"pt2": open_pt2, "torchscript": open_torchscript}[kind_of_archive(path)]
    return _adapt(opener(path), path, declared, sanity)


def _with_weights(module: Any, path: Path) -> Opened:
    whole = with_weights(module, path)
    weights = [p for p in whole.parameters() if p.is_floating_point()]
    dtype = weights[0].dtype if weights else None
    return Opened(call=whole, source=path.name, dtype=dtype, modules=(whole,))


def _own(path: Path, declared: dict[str, Any]) -> Any:
    """A checkpoint of ours declares itself; only the dtype may be asked for."""
    given = {key: value for key, value in declared.items() if value is not None}
    dtype = given.pop("dtype", None)
    model = load_checkpoint(path, DTYPES.get(dtype, dtype) if dtype is not None else None)
    layout = model.layout
    about = {**model.describe(), "nq": layout.nq, "nv": layout.nv, "kinds": layout.kinds}
    for key, value in given.items():
        if key == "outputs" and value == "next_state" and model.outputs == "increment":
            model.outputs = "next_state"  # the same regression, composed with the state
        elif key not in about or about[key] != _settled(value):
            raise ModelError(
                f"{path} carries its own declaration ({key} = {about.get(key, 'not declared')}), "
                f"asked was {key} = {value}; leave it out"
            )
    return model


def _adapt(opened: Opened, path: Path, declared: dict[str, Any], sanity: bool) -> Adapted:
    model = Adapted(opened, declare(path, declared))
    if sanity:
        layout = model.declaration.layout()
        if layout is None:
            raise ModelError(
                f"{opened.source}: the number of coordinates is not declared; give nv=… (and "
                "kinds=… where there are quaternions), or sanity=False to skip the check"
            )
        check(model, layout, model.declaration)
    return model


class Adapted:
    """A model under its user's declaration: (q, v, tau) -> a, or (q_next, v_next).

    Inputs (…, nq) and (…, nv) in rad, m, s, N; the answer in the dtype and on the device of q.
    """

    def __init__(self, opened: Opened, declaration: Declaration) -> None:
        self.opened = opened
        self.declaration = declaration
        self.outputs = "acceleration" if declaration.outputs == "acceleration" else "next_state"
        self.dt = declaration.dt
        dtype = DTYPES[declaration.dtype] if declaration.dtype else opened.dtype
        self.dtype = dtype or torch.float32
        self.order = input_order(opened.source, opened.names, declaration)
        self._call = WithoutGradients(opened.call)

    def __call__(self, q: Any, v: Any, tau: Any) -> Any:
        q, v, tau = (torch.as_tensor(x) for x in (q, v, tau))
        batch = torch.broadcast_shapes(q.shape[:-1], v.shape[:-1], tau.shape[:-1])
        inputs = {
            name: x.expand(*batch, x.shape[-1]).reshape(-1, x.shape[-1])
            for name, x in (("q", q), ("v", v), ("tau", tau))
        }
        layout = self.declaration.layout() or Layout.plain(v.shape[-1])
        ready = {name: self._inward(name, x, layout) for name, x in inputs.items()}
        arguments = [torch.cat([ready[name] for name in part], dim=-1) for part in self.order]
        copies = [x.clone() for x in arguments]
        answer = self._in_batches(arguments, len(inputs["q"]))
        if not all(unchanged(x, y) for x, y in zip(copies, arguments, strict=True)):
            raise ModelError(
                f"{self.opened.source} changed its inputs in place: copy them inside the model"
            )
        parts = self._parts(answer, layout)
        out = [
            self._outward(name, y.to(q), layout).reshape(*batch, -1)
            for name, y in zip(ANSWERS[self.declaration.outputs], parts, strict=True)
        ]
        if self.declaration.outputs == "acceleration":
            return out[0]
        if self.declaration.outputs == "increment":
            start_q, start_v = (inputs[n].reshape(*batch, -1) for n in ("q", "v"))
            return advance(layout, start_q, out[0]), start_v + out[1]
        return out[0], out[1]

    def _in_batches(self, ready: list[Tensor], n: int) -> Any:
        size = self.opened.batch
        # Where the caller takes gradients they pass through.
        call = self.opened.call if torch.is_grad_enabled() else self._call
        if size is None:
            return call(*ready)
        answers = []
        for i in range(0, n, size):  # a fixed batch: the last one is filled up with its first row
            part = [x[i : i + size] for x in ready]
            count = len(part[0])
            part = [torch.cat((x, x[:1].expand(size - count, -1))) for x in part]
            out = call(*part)
            out = tuple(out) if isinstance(out, tuple | list) else (out,)
            answers.append(tuple(y[:count] for y in out))
        return tuple(torch.cat(columns) for columns in zip(*answers, strict=True))

    def _parts(self, answer: Any, layout: Layout) -> Sequence[Tensor]:
        """The answer as one tensor (accelerations) or two (positions, velocities)."""
        parts = list(answer) if isinstance(answer, tuple | list) else [answer]
        if any(not isinstance(y, Tensor | np.ndarray) for y in parts):
            found = ", ".join(type(y).__name__ for y in parts)
            raise ModelError(f"{self.opened.source} answers {found}; expected tensors")
        parts = [torch.as_tensor(y) for y in parts]
        wide = layout.nq if self.declaration.outputs == "next_state" else layout.nv
        expected = [layout.nv] if self.declaration.outputs == "acceleration" else [wide, layout.nv]
        if len(parts) == 1 and len(expected) == 2 and parts[0].shape[-1:] == (sum(expected),):
            parts = list(parts[0].split(expected, dim=-1))
        found_widths = [y.shape[-1] if y.ndim else 0 for y in parts]
        if found_widths != expected:
            hint = (
                "it looks like next states or increments: declare outputs and dt"
                if self.declaration.outputs == "acceleration" and sum(found_widths) > layout.nv
                else "check outputs, nq and nv"
            )
            raise ModelError(
                f"{self.opened.source}: declared outputs '{self.declaration.outputs}' have "
                f"{' + '.join(map(str, expected))} columns, found "
                f"{' + '.join(map(str, found_widths))}; {hint}"
            )
        return parts

    def _inward(self, name: str, x: Tensor, layout: Layout) -> Tensor:
        x = x.to(torch.float64)
        if self.declaration.angles == "deg" and name != "tau":
            x = x * _degrees(layout, len_of=name).to(x)
        if name in self.declaration.input_shift:
            x = x - torch.as_tensor(self.declaration.input_shift[name]).to(x)
        if name in self.declaration.input_scale:
            x = x / torch.as_tensor(self.declaration.input_scale[name]).to(x)
        return x.to(self.dtype)

    def _outward(self, name: str, y: Tensor, layout: Layout) -> Tensor:
        if name in self.declaration.output_scale:
            y = y * torch.as_tensor(self.declaration.output_scale[name]).to(y)
        if name in self.declaration.output_shift:
            y = y + torch.as_tensor(self.declaration.output_shift[name]).to(y)
        if self.declaration.angles == "deg":
            wide = "q" if name == "q" and self.declaration.outputs == "next_state" else "v"
            y = y / _degrees(layout, len_of=wide).to(y)
        return y


def _settled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _degrees(layout: Layout, len_of: str) -> Tensor:
    """180/pi where a coordinate is an angle, 1 where it is a length or part of a quaternion."""
    factors: list[float] = []
    for kind, iq, iv in layout.joints():
        if kind in ("revolute", "continuous"):
            factors.append(DEGREES)
        elif len_of == "q":
            factors += [1.0] * (iq.stop - iq.start)
        else:
            trigonometry = 3 if kind in ("spherical", "free") else 0
            factors += [DEGREES] * trigonometry + [1.0] * (iv.stop - iv.start - trigonometry)
    return torch.tensor(factors, dtype=torch.float64)
