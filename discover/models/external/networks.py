"""Networks (observation, action) -> answer, of any kind, asked in one way.

One or several inputs by name, ensembles, heads with a variance, sampled answers, hidden states,
one batch size only, half precision, modules left in training mode. What a network means by its
numbers is not known here.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from discover.artifacts import refuse_pointer
from discover.blackbox.contract import WithoutGradients
from discover.errors import ModelError
from discover.models.external.answers import Answer, checked_parts, flat, read_answer
from discover.models.external.archives import kind_of_archive
from discover.models.external.declaration import DTYPES
from discover.models.external.network_inputs import order_of_inputs
from discover.models.external.openers import (
    Opened,
    open_factory,
    open_onnx,
    open_pt2,
    open_torchscript,
)
from discover.models.external.weights import with_weights

SEQUENCES = {"batch first": 1, "time first": 0}
_HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How a network is asked; everything else it shows itself.

    inputs    its inputs in order, each a name or several whose numbers stand side by side
    answer    the parts of its answer in order (see `answers`)
    hidden    what a recurrent network starts from: shapes with None or "batch" for the batch
              (zeros), tensors for a batch of one, or a function of the batch size
    warm_up   so many earlier steps, on the straight line that leads to the state, are shown first
    sequence  "batch first" or "time first" where inputs have an axis of time; one step is shown
    batch     the only batch size it takes
    dtype     of the inputs, where the network does not show it
    samples   so many answers are averaged; the draws are those of `seed`, one after the other
    """

    inputs: Any = None
    answer: Any = None
    hidden: Any = None
    warm_up: int = 0
    sequence: str | None = None
    batch: int | None = None
    dtype: Any = None
    samples: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("warm_up", 0), ("samples", 1), ("batch", 1)):
            value = getattr(self, name)
            if name == "batch" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ModelError(
                    f"{name}: expected a whole number from {least} on, found {value!r}"
                )
        if self.sequence is not None and self.sequence not in SEQUENCES:
            raise ModelError(
                f"sequence: expected 'batch first' or 'time first', found {self.sequence!r}"
            )
        if self.warm_up and self.hidden is None:
            raise ModelError(
                "warm_up: expected a network with a hidden state; declare hidden, such as "
                'hidden = [[1, "batch", 64]] for one layer of 64'
            )


def open_network(
    net: Any, kind: Kind, widths: Mapping[str, int], size: int, *, module: Any = None
) -> Network:
    """A network from a callable, a module, a file, or a list of them: an ensemble.

    widths: how many numbers observation and action have; size: how many it answers.
    module: the PyTorch module that stored weights belong to. Raises ModelError.
    """
    if isinstance(net, list | tuple | nn.ModuleList):
        if not len(net):
            raise ModelError("expected at least one network, found an empty list")
        members = [Member(_opened(one, module), kind, widths, size) for one in net]
    else:
        members = [Member(_opened(net, module), kind, widths, size)]
    return Network(members, kind)


def _opened(net: Any, module: Any) -> Opened:
    if isinstance(net, str | Path):
        return _open_file(str(net), module)
    if isinstance(net, Mapping):
        raise ModelError(
            f"expected a network (a callable, a path, or a list of them), found a "
            f"{type(net).__name__} of weights without it; load them: net.load_state_dict(weights)"
        )
    if not callable(net):
        method = "; give its method: " + type(net).__name__ + ".predict"
        raise ModelError(
            f"expected a network (a callable, a path, or a list of them), found "
            f"{type(net).__name__}{method if hasattr(net, 'predict') else ''}"
        )
    modules = modules_behind(net)
    weights = [p for m in modules for p in (*m.parameters(), *m.buffers()) if p.is_floating_point()]
    return Opened(
        call=net,
        source=type(net).__name__ if isinstance(net, nn.Module) else _name_of(net),
        names=_arguments(net)[0],
        optional=_arguments(net)[1],
        dtype=weights[0].dtype if weights else None,
        modules=tuple(modules),
        device=weights[0].device if weights else None,
        python=True,
    )


def _open_file(text: str, module: Any) -> Opened:
    file, _, factory = text.rpartition(":")
    if file.endswith(".py"):
        opened = open_factory(Path(file), factory)
        return replace(_opened(opened.call, None), source=opened.source)
    path = Path(text)
    if module is not None:
        return replace(_opened(with_weights(module, path), None), source=path.name)
    if not path.is_file():
        raise ModelError(f"expected a network at {path}, found no such file")
    refuse_pointer(path, ModelError)
    if path.suffix == ".safetensors":
        raise ModelError(
            f"{path} holds weights without their network; give the module: wrap(…, module=Net()), "
            "or export to .pt2, TorchScript or ONNX"
        )
    if path.suffix == ".onnx":
        return open_onnx(path)
    return {"pt2": open_pt2, "torchscript": open_torchscript}[kind_of_archive(path)](path)


def _name_of(net: Any) -> str:
    return str(getattr(net, "__name__", type(net).__name__))


def _arguments(net: Any) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """(names of the arguments that a call needs, None where they are open; of those that are None
    by default)."""
    try:
        called = net.forward if isinstance(net, nn.Module) else net
        parameters = inspect.signature(called).parameters.values()
    except (TypeError, ValueError):
        return None, ()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        # compiled or in parallel: what is called stands behind
        inner = [getattr(net, x, None) for x in ("_orig_mod", "module")]
        behind = next((m for m in inner if isinstance(m, nn.Module) and m is not net), None)
        return (None, ()) if behind is None else _arguments(behind)
    placed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = tuple(p.name for p in placed if p.default is p.empty)
    return needed, tuple(p.name for p in placed if p.default is None)


def modules_behind(net: Any) -> list[nn.Module]:
    """The PyTorch modules that a callable is or evidently uses: of a closure, a method's object, a
    partial, or the globals that its code names."""
    if isinstance(net, nn.Module):
        return [net]
    found: list[Any] = []
    if isinstance(net, functools.partial):
        found += [*modules_behind(net.func), *net.args, *net.keywords.values()]
    owner = getattr(net, "__self__", None)
    if owner is not None:
        found += [owner, *_fields(owner)]
    function = getattr(net, "__func__", net)
    if not inspect.isroutine(function):  # an object that is called
        found += _fields(net)
        function = vars(type(net)).get("__call__")
    function = inspect.unwrap(function) if callable(function) else function
    code = getattr(function, "__code__", None)
    if code is not None:
        held = getattr(function, "__globals__", {})
        found += [held[name] for name in code.co_names if name in held]
        for cell in getattr(function, "__closure__", None) or ():
            with contextlib.suppress(ValueError):  # a cell that is still empty
                found.append(cell.cell_contents)
    out: list[nn.Module] = []
    for thing in found:
        parts = list(thing) if isinstance(thing, list | tuple) else [thing]
        if isinstance(thing, dict):
            parts = list(thing.values())
        out += [m for m in parts if isinstance(m, nn.Module) and all(m is not o for o in out)]
    return out


def _fields(owner: Any) -> list[Any]:
    return list(vars(owner).values()) if hasattr(owner, "__dict__") else []


@contextlib.contextmanager
def evaluating(modules: Sequence[nn.Module]) -> Iterator[None]:
    """The modules in evaluation mode; each of their parts is left as it was."""
    training = [part for m in modules for part in m.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


class Member:
    """One network: (observation (B, n), action (B, m)) -> Answer."""

    def __init__(self, opened: Opened, kind: Kind, widths: Mapping[str, int], size: int) -> None:
        self.opened, self.kind, self.size = opened, kind, size
        self.parts = checked_parts(kind.answer)
        if kind.hidden is not None and self.parts is None:
            self.parts = (("mean", None), ("hidden", None))
        self.order, self.carried = order_of_inputs(
            opened, kind.inputs, kind.hidden is not None, widths
        )
        given = DTYPES.get(kind.dtype, kind.dtype) if kind.dtype is not None else None
        if given is not None and not isinstance(given, torch.dtype):
            raise ModelError(f"dtype: expected {' or '.join(DTYPES)}, found {kind.dtype!r}")
        self.dtype: torch.dtype = given or opened.dtype or torch.float64
        self.batch = kind.batch or opened.batch
        self._without_gradients = WithoutGradients(opened.call)

    @property
    def left_training(self) -> bool:
        """Whether a part that answers otherwise in training was left in that mode."""
        return any(
            part.training and isinstance(part, _DIFFERENT_IN_TRAINING)
            for m in self.opened.modules
            for part in m.modules()
        )

    def __call__(self, steps: Sequence[tuple[Tensor, Tensor]]) -> Answer:
        """The answer to the last of `steps` (observation, action), the others being shown first."""
        rows = len(steps[-1][0])
        size = self.batch or rows
        with evaluating(self.opened.modules):
            parts = [
                self._rows([(o[i : i + size], a[i : i + size]) for o, a in steps], size)
                for i in range(0, rows, size)
            ]
        if len(parts) == 1:
            return parts[0]
        deviations = [p.deviation for p in parts if p.deviation is not None]
        return Answer(
            mean=torch.cat([p.mean for p in parts], dim=-2),
            deviation=torch.cat(deviations, dim=-2) if deviations else None,
        )

    def _rows(self, steps: list[tuple[Tensor, Tensor]], size: int) -> Answer:
        """Rows of one batch, filled up with the first to the only size that the network takes."""
        count = len(steps[-1][0])
        if count < size:
            steps = [
                (
                    torch.cat((o, o[:1].expand(size - count, -1))),
                    torch.cat((a, a[:1].expand(size - count, -1))),
                )
                for o, a in steps
            ]
        hidden = self._start(size)
        for observation, action in steps:
            answer = self._once(observation, action, hidden)
            hidden = list(answer.hidden)
        cut = answer.deviation
        return Answer(
            mean=answer.mean[..., :count, :],
            deviation=None if cut is None else cut[..., :count, :],
        )

    def _once(self, observation: Tensor, action: Tensor, hidden: list[Tensor]) -> Answer:
        named = {"observation": observation, "action": action}
        arguments = [
            torch.cat([named[n] for n in part], dim=-1).to(self.opened.device, self.dtype)
            for part in self.order
        ]
        axis = None if self.kind.sequence is None else SEQUENCES[self.kind.sequence]
        if axis is not None:
            arguments = [x.unsqueeze(axis) for x in arguments]
        out = self._call([*arguments, *self._packed(hidden)])
        if axis is not None:
            out = _without_time(out, axis, len(observation))
        return read_answer(out, self.parts, self.size, len(observation), self.opened.source)

    def _call(self, arguments: list[Any]) -> Any:
        try:
            return self._without_gradients(*arguments)
        except Exception as error:  # not our code: it may raise anything
            lines = str(error).strip().splitlines() or [""]
            shapes = ", ".join(str(tuple(x.shape)) for x in flat(arguments))
            half = " (half precision on a CPU? call .float() before)" if self.dtype in _HALF else ""
            raise ModelError(
                f"{self.opened.source} raised {type(error).__name__} on inputs {shapes}{half}: "
                f"{lines[0][:160]}; check inputs, hidden, sequence and batch"
            ) from error

    def _start(self, rows: int) -> list[Tensor]:
        """What a recurrent network carries before the first step, for so many rows."""
        given = self.kind.hidden
        if given is None:
            return []
        if callable(given):
            return [x.to(self.opened.device, self.dtype) for x in flat(given(rows))]
        alone = isinstance(given, Tensor) or any(
            n in (None, "batch") or isinstance(n, int) for n in given if not isinstance(n, Tensor)
        )
        out = []
        for entry in [given] if alone else given:
            if isinstance(entry, Tensor):
                x = _widened(entry, rows)
            else:
                shape = [rows if n in (None, "batch") else int(n) for n in entry]
                x = torch.zeros(shape)
            out.append(x.to(self.opened.device, self.dtype))
        return out

    def _packed(self, hidden: list[Tensor]) -> list[Any]:
        """Hidden states as the call takes them: one argument each, or all in one tuple."""
        if len(hidden) <= 1 or len(hidden) == self.carried:
            return list(hidden)
        return [tuple(hidden)]


_DIFFERENT_IN_TRAINING = (
    nn.modules.dropout._DropoutNd,
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
)


def _widened(x: Tensor, rows: int) -> Tensor:
    """A hidden state for one row, repeated for all: its axis of length one before the last."""
    shape = list(x.shape)
    if len(shape) < 2 or shape[-2] != 1:
        raise ModelError(
            f"hidden: expected tensors (…, 1, width) for a batch of one, found {tuple(x.shape)}"
        )
    shape[-2] = rows
    return x.expand(shape)


def _without_time(out: Any, axis: int, rows: int) -> Any:
    """Answers without their axis of time; hidden states, which have none, stay."""
    if isinstance(out, tuple | list):
        return (_without_time(out[0], axis, rows), *out[1:])
    if isinstance(out, Mapping):
        return {key: _without_time(x, axis, rows) for key, x in out.items()}
    if isinstance(out, Tensor) and out.ndim == 3 and out.shape[axis] == 1:
        return out.squeeze(axis)
    return out


class Network:
    """One network or several that answer the same: `each` gives (members, B, size)."""

    def __init__(self, members: list[Member], kind: Kind) -> None:
        self.members, self.kind = members, kind
        self._draws = torch.Generator().manual_seed(kind.seed).get_state()
        self.dtypes = {m.dtype for m in members}

    @property
    def left_training(self) -> bool:
        return any(m.left_training for m in self.members)

    @property
    def half(self) -> bool:
        """Whether numbers of half precision go in."""
        return bool(self.dtypes & set(_HALF))

    def each(self, steps: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor | None]:
        """(means, deviations or None), both (members, B, size) in float64; samples averaged."""
        total: Tensor | None = None
        spread: Tensor | None = None
        for _ in range(self.kind.samples):
            mean, deviation = self._ask(steps)
            total = mean if total is None else total + mean
            spread = deviation if spread is None or deviation is None else spread + deviation
        assert total is not None
        n = self.kind.samples
        return total / n, None if spread is None else spread / n

    def _ask(self, steps: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor | None]:
        with torch.random.fork_rng(devices=[]):
            torch.random.set_rng_state(self._draws)
            answers = [member(steps) for member in self.members]
            self._draws = torch.random.get_rng_state()
        means = [_stacked(a.mean) for a in answers]
        deviations = [_stacked(a.deviation) for a in answers if a.deviation is not None]
        return torch.cat(means), torch.cat(deviations) if len(deviations) == len(means) else None


def _stacked(x: Tensor) -> Tensor:
    x = x.detach().to("cpu", torch.float64)
    return x if x.ndim == 3 else x.unsqueeze(0)
