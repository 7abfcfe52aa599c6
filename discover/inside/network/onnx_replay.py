"""An ONNX file as a PyTorch module: its operations one by one, so that gradients flow through.

ONNX Runtime answers, but has neither gradients nor replaceable intermediates. The operations are
those that feed-forward networks export to; another one is an error of one line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from discover.errors import ModelError

Operation = Callable[[Sequence[Any], Mapping[str, Any]], Any]


def _whole(x: Tensor) -> list[int]:
    """A tensor of numbers that say shapes or axes."""
    return [int(n) for n in x.flatten().tolist()]


def _axes(x: Sequence[Any], given: Mapping[str, Any], at: int = 1) -> list[int] | None:
    """Axes, which older versions hold as an attribute and newer ones as an input."""
    if len(x) > at and x[at] is not None:
        return _whole(x[at])
    return list(given["axes"]) if "axes" in given else None


def _gemm(x: Sequence[Any], given: Mapping[str, Any]) -> Tensor:
    a = x[0].mT if given.get("transA") else x[0]
    b = x[1].mT if given.get("transB") else x[1]
    y = given.get("alpha", 1.0) * (a @ b)
    return y if len(x) < 3 or x[2] is None else y + given.get("beta", 1.0) * x[2]


def _reshape(x: Sequence[Any], given: Mapping[str, Any]) -> Tensor:
    wanted = _whole(x[1])
    shape = [x[0].shape[k] if n == 0 else n for k, n in enumerate(wanted)]
    return x[0].reshape(wanted if given.get("allowzero") else shape)


def _slice(x: Sequence[Any], _given: Mapping[str, Any]) -> Tensor:
    starts, ends = _whole(x[1]), _whole(x[2])
    axes = _whole(x[3]) if len(x) > 3 and x[3] is not None else list(range(len(starts)))
    strides = _whole(x[4]) if len(x) > 4 and x[4] is not None else [1] * len(starts)
    index: list[Any] = [slice(None)] * x[0].ndim
    for start, end, axis, stride in zip(starts, ends, axes, strides, strict=True):
        index[axis] = slice(start, end, stride)
    return x[0][tuple(index)]


def _gather(x: Sequence[Any], given: Mapping[str, Any]) -> Tensor:
    axis = given.get("axis", 0) % x[0].ndim
    found = torch.index_select(x[0], axis, x[1].flatten())
    return found.reshape([*x[0].shape[:axis], *x[1].shape, *x[0].shape[axis + 1 :]])


def _split(x: Sequence[Any], given: Mapping[str, Any]) -> tuple[Tensor, ...]:
    axis = given.get("axis", 0)
    if len(x) > 1 and x[1] is not None:
        return torch.split(x[0], _whole(x[1]), dim=axis)
    sizes = given.get("split")
    count = given.get("num_outputs", given["_outputs"])
    return torch.split(x[0], sizes, dim=axis) if sizes else torch.chunk(x[0], count, dim=axis)


def _unsqueeze(x: Sequence[Any], given: Mapping[str, Any]) -> Tensor:
    y = x[0]
    for axis in sorted(_axes(x, given) or []):
        y = y.unsqueeze(axis)
    return y


def _reduced(by: Callable[..., Tensor]) -> Operation:
    def reduce(x: Sequence[Any], given: Mapping[str, Any]) -> Tensor:
        axes = _axes(x, given) or list(range(x[0].ndim))
        return by(x[0], dim=axes, keepdim=bool(given.get("keepdims", 1)))

    return reduce


def _layer_norm(x: Sequence[Any], given: Mapping[str, Any]) -> Tensor:
    shape = x[0].shape[given.get("axis", -1) :]
    return nn.functional.layer_norm(
        x[0], shape, x[1], x[2] if len(x) > 2 else None, given.get("epsilon", 1e-5)
    )


def _gelu(x: Sequence[Any], given: Mapping[str, Any]) -> Tensor:
    kind = given.get("approximate", b"none")
    return nn.functional.gelu(x[0], approximate=kind.decode() if isinstance(kind, bytes) else kind)


def _plain(function: Callable[..., Tensor]) -> Operation:
    return lambda x, _given: function(*x)


_PLAIN: dict[str, Callable[..., Tensor]] = {
    "Abs": torch.abs,
    "Add": torch.add,
    "Atan": torch.atan,
    "Cos": torch.cos,
    "Div": torch.div,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Identity": lambda x: x,
    "Log": torch.log,
    "MatMul": torch.matmul,
    "Max": torch.maximum,
    "Min": torch.minimum,
    "Mul": torch.mul,
    "Neg": torch.neg,
    "Pow": torch.pow,
    "Reciprocal": torch.reciprocal,
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Softplus": nn.functional.softplus,
    "Sqrt": torch.sqrt,
    "Sub": torch.sub,
    "Tanh": torch.tanh,
    "Where": lambda c, a, b: torch.where(c.bool(), a, b),
}

OPERATIONS: dict[str, Operation] = {
    **{name: _plain(function) for name, function in _PLAIN.items()},
    "Concat": lambda x, given: torch.cat(list(x), dim=given["axis"]),
    "Elu": lambda x, given: nn.functional.elu(x[0], given.get("alpha", 1.0)),
    "Expand": lambda x, _: x[0] * torch.ones(_whole(x[1]), dtype=x[0].dtype),
    "Flatten": lambda x, given: x[0].flatten(given.get("axis", 1)),
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda x, given: nn.functional.leaky_relu(x[0], given.get("alpha", 0.01)),
    "ReduceMean": _reduced(torch.mean),
    "ReduceSum": _reduced(torch.sum),
    "Reshape": _reshape,
    "Slice": _slice,
    "Softmax": lambda x, given: torch.softmax(x[0], dim=given.get("axis", -1)),
    "Split": _split,
    "Squeeze": lambda x, given: torch.squeeze(x[0], dim=tuple(_axes(x, given) or [])),
    "Transpose": lambda x, given: x[0].permute(given.get("perm", list(reversed(range(x[0].ndim))))),
    "Unsqueeze": _unsqueeze,
}


class Replay(nn.Module):
    """The operations of an ONNX graph: its inputs in order -> its first output."""

    def __init__(
        self, steps: list[Any], inputs: list[str], output: str, tensors: Mapping[str, Tensor]
    ) -> None:
        super().__init__()
        self.steps, self.inputs, self.answer = steps, inputs, output
        self.whole = {n: x for n, x in tensors.items() if not x.is_floating_point()}
        self.places: dict[str, str] = {}
        for k, (name, x) in enumerate(tensors.items()):
            if x.is_floating_point():
                self.register_parameter(f"weight{k}", nn.Parameter(x))
                self.places[name] = f"weight{k}"

    def forward(self, *given: Tensor) -> Tensor:
        values: dict[str, Any] = {**self.whole, **dict(zip(self.inputs, given, strict=True))}
        values |= {name: getattr(self, place) for name, place in self.places.items()}
        for kind, names, attributes, outputs in self.steps:
            y = OPERATIONS[kind]([values[n] if n else None for n in names], attributes)
            values |= zip(outputs, y if isinstance(y, tuple) else (y,), strict=False)
        return values[self.answer]


def replayed(path: Path | None) -> Replay:
    """The ONNX file as a module. Raises ModelError, one line, where it holds an operation that is
    not replayed."""
    try:
        import onnx
        from onnx import helper, numpy_helper
    except ImportError as error:
        raise ModelError("ONNX models need onnx: pip install 'worldlaw[onnx]'") from error
    assert path is not None  # what was opened as ONNX has a file
    graph = onnx.load(str(path)).graph
    tensors = {x.name: torch.from_numpy(numpy_helper.to_array(x).copy()) for x in graph.initializer}
    steps = []
    for node in graph.node:
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Constant":
            value: Any = next(iter(given.values()))
            array = numpy_helper.to_array(value) if hasattr(value, "dims") else value
            tensors[node.output[0]] = torch.as_tensor(array).clone()
            continue
        if node.op_type not in OPERATIONS:
            raise ModelError(
                f"{path}: the ONNX operation {node.op_type} is not replayed; export the network "
                "to .pt2 to look into it"
            )
        given["_outputs"] = len(node.output)
        steps.append((node.op_type, list(node.input), given, list(node.output)))
    inputs = [x.name for x in graph.input if x.name not in tensors]
    return Replay(steps, inputs, graph.output[0].name, tensors)
