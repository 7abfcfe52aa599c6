"""Functions written in torch, traced: expression nodes behind the interface of tensors.

The laws of muscles choose by conditions and look numbers up in tables, which the recursions over
nodes and numbers (`kinematics.arrays`) do not. Under `tracing` they run as they stand: every torch
function that meets a `TracedTensor` is done on object arrays of nodes by the table below; the rest
is torch's own. A function that is missing there says so in one line.
"""

from __future__ import annotations

import builtins
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from kinematics.programs.graph import CONDITIONS, Graph, Node
from kinematics.programs.program import ProgramError

_HANDLERS: dict[str, Callable[..., Any]] = {}


class TracedTensor:
    """Nodes in the shape of a tensor of double precision."""

    dtype = torch.float64
    device = torch.device("cpu")
    requires_grad = False
    __array_ufunc__ = None

    def __init__(self, graph: Graph, nodes: np.ndarray) -> None:
        self.graph, self.nodes = graph, nodes

    @classmethod
    def of(cls, graph: Graph, x: Any) -> TracedTensor:
        """From numbers, nodes, tensors or arrays of them."""
        if isinstance(x, TracedTensor):
            return x
        if isinstance(x, Tensor):
            x = x.detach().cpu().numpy()
        array = np.asarray(x, dtype=object)
        out = np.empty(array.shape, dtype=object)
        for at in np.ndindex(array.shape):
            out[at] = graph.lifted(float(array[at]) if isinstance(array[at], bool) else array[at])
        return cls(graph, out)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in _HANDLERS:
            raise AttributeError(name)
        return functools.partial(_HANDLERS[name], self)

    @property
    def shape(self) -> torch.Size:
        return torch.Size(self.nodes.shape)

    @property
    def ndim(self) -> int:
        return self.nodes.ndim

    @property
    def T(self) -> TracedTensor:
        return TracedTensor(self.graph, self.nodes.T)

    def __eq__(self, other: object) -> Any:
        return _HANDLERS["eq"](self, other)

    __hash__ = object.__hash__

    def __len__(self) -> int:
        return len(self.nodes)

    def __bool__(self) -> bool:
        return bool(self.nodes.item())

    def __getitem__(self, index: Any) -> TracedTensor:
        return _getitem(self, index)


def _operator(name: str, reflected: bool = False) -> Callable[[TracedTensor, Any], TracedTensor]:
    def method(self: TracedTensor, *others: Any) -> TracedTensor:
        function = _HANDLERS[name]
        return function(others[0], self) if reflected else function(self, *others)

    return method


for _name in ("add", "sub", "mul", "truediv", "pow", "matmul", "and", "or"):
    setattr(TracedTensor, f"__{_name}__", _operator(_name))
    setattr(TracedTensor, f"__r{_name}__", _operator(_name, reflected=True))
for _name in ("neg", "invert", "lt", "le", "gt", "ge", "abs"):
    setattr(TracedTensor, f"__{_name}__", _operator(_name))


class _Mode(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def tracing() -> TorchFunctionMode:
    """A context in which torch's functions take `TracedTensor`."""
    return _Mode()


def _run(func: Any, args: Any, kwargs: Any) -> Any:
    if _graph_of((args, kwargs)) is None:
        return func(*args, **kwargs)
    name = func.__name__
    name = name if name in _HANDLERS else name.strip("_")
    if name not in _HANDLERS:
        raise ProgramError(f"expected functions that can be traced, found torch's {name}")
    return _HANDLERS[name](*args, **kwargs)


def _graph_of(x: Any) -> Graph | None:
    """The graph of the first traced tensor in any nest of arguments."""
    if isinstance(x, TracedTensor):
        return x.graph
    if isinstance(x, dict):
        x = list(x.values())
    if isinstance(x, list | tuple):
        return next((g for g in map(_graph_of, x) if g is not None), None)
    return None


def _plain(x: Any, graph: Graph) -> Any:
    """Arguments as object arrays of nodes."""
    return TracedTensor.of(graph, x).nodes


def _handles(*names: str) -> Callable[[Any], Any]:
    def keep(function: Any) -> Any:
        for name in names:
            _HANDLERS[name] = function
        return function

    return keep


def _elementwise(function: Callable[..., Node], count: int) -> Callable[..., TracedTensor]:
    """A function of nodes (the graph first), over arrays that broadcast."""

    def run(*args: Any, **_: Any) -> TracedTensor:
        graph = _graph_of(args)
        assert graph is not None
        each = np.frompyfunc(functools.partial(function, graph), count, 1)
        out = each(*(_plain(x, graph) for x in args[:count]))
        return TracedTensor(graph, np.asarray(out, dtype=object))

    return run


def _one(name: str) -> Callable[..., TracedTensor]:
    return _elementwise(lambda g, x: g.call(name, x), 1)


def _less(g: Graph, a: Node, b: Node) -> Node:
    return g.condition("lt", a, b)


def _arsinh(g: Graph, x: Node) -> Node:
    """sign x · ln(|x| + √(x² + 1)): of a small x absolutely, not relatively, exact."""
    size = g.call("abs", x)
    value = g.call("log", size + g.call("sqrt", x * x + 1.0))
    return g.select(_less(g, x, g.zero), -value, value)


def _remainder(g: Graph, x: Node, y: Node) -> Node:
    return x - y * g.call("floor", x / y)


for _names, _count, _function in (
    ("add", 2, lambda g, a, b: a + b),
    ("sub", 2, lambda g, a, b: a - b),
    ("rsub", 2, lambda g, a, b: b - a),
    ("mul", 2, lambda g, a, b: a * b),
    ("div truediv", 2, lambda g, a, b: a / b),
    ("pow", 2, lambda g, a, b: g.power(a, b)),
    ("neg", 1, lambda g, x: -x),
    ("lt", 2, _less),
    ("le", 2, lambda g, a, b: g.condition("le", a, b)),
    ("gt", 2, lambda g, a, b: _less(g, b, a)),
    ("ge", 2, lambda g, a, b: g.condition("le", b, a)),
    ("eq", 2, lambda g, a, b: g.condition("eq", a, b)),
    ("and", 2, lambda g, a, b: g.condition("and", a, b)),
    ("or", 2, lambda g, a, b: g.condition("or", a, b)),
    ("invert", 1, lambda g, x: g.condition("not", x)),
    ("where", 3, lambda g, c, a, b: g.select(c, a, b)),
    ("atan2", 2, lambda g, a, b: g.call2("atan2", a, b)),
    ("minimum", 2, lambda g, a, b: g.call2("min", a, b)),
    ("maximum", 2, lambda g, a, b: g.call2("max", a, b)),
    ("expm1", 1, lambda g, x: g.call("exp", x) - 1.0),  # absolutely exact, which forces need
    ("asinh", 1, _arsinh),
    ("remainder", 2, _remainder),
    ("zeros_like", 1, lambda g, x: g.zero),
    ("ones_like", 1, lambda g, x: g.one),
    ("isfinite", 1, lambda g, x: g.const(math.isfinite(float(x)))),
):
    for _key in _names.split():
        _HANDLERS[_key] = _elementwise(_function, _count)
for _key in ("sin", "cos", "tan", "asin", "acos", "atan", "exp", "log", "sqrt", "abs", "sign",
             "sinh", "cosh", "tanh", "floor"):  # fmt: skip
    _HANDLERS[_key] = _one(_key)


@_handles("to", "as_tensor", "detach", "double", "clone", "contiguous", "nan_to_num", "long")
def _same(x: Any, *rest: Any, **_: Any) -> Any:
    """Conversions: nodes have one type. Whole numbers are as good as any."""
    graph = _graph_of((x, rest))
    assert graph is not None
    x = TracedTensor.of(graph, x)
    return TracedTensor(graph, _counted(x)) if builtins.any(r is torch.float64 for r in rest) else x


@_handles("is_floating_point")
def _is_floating_point(x: TracedTensor) -> bool:
    return True


@_handles("clamp")
def _clamp(x: TracedTensor, min: Any = None, max: Any = None) -> TracedTensor:
    if min is not None:
        x = _HANDLERS["maximum"](x, min)
    return x if max is None else _HANDLERS["minimum"](x, max)


@_handles("clamp_min")
def _clamp_min(x: TracedTensor, min: Any) -> TracedTensor:
    return _clamp(x, min)


@_handles("full_like")
def _full_like(x: TracedTensor, value: float) -> TracedTensor:
    return TracedTensor.of(x.graph, np.full(x.shape, float(value)))


@_handles("new_zeros", "new_ones")
def _new_zeros(x: TracedTensor, *shape: Any) -> TracedTensor:
    shape = shape[0] if isinstance(shape[0], tuple) else shape
    return TracedTensor.of(x.graph, np.zeros(shape))


@_handles("new_tensor")
def _new_tensor(x: TracedTensor, value: Any) -> TracedTensor:
    return TracedTensor.of(x.graph, value)


def _summed(x: np.ndarray, axis: int) -> np.ndarray:
    """Sums of nodes; truths count one."""
    graph_sum = np.frompyfunc(lambda a, b: a + b, 2, 1)
    return np.asarray(functools.reduce(graph_sum, np.moveaxis(x, axis, 0)), dtype=object)


def _counted(x: TracedTensor) -> np.ndarray:
    """Nodes as numbers: conditions as one or zero."""
    g = x.graph
    count = np.frompyfunc(lambda n: g.select(n, g.one, g.zero) if n.op in CONDITIONS else n, 1, 1)
    return np.asarray(count(x.nodes), dtype=object)


@_handles("sum")
def _sum(x: TracedTensor, dim: int = -1, **_: Any) -> TracedTensor:
    return TracedTensor(x.graph, _summed(_counted(x), dim))


@_handles("any")
def _any(x: TracedTensor) -> TracedTensor:
    """One truth of all, where it is the same at every state."""
    known = [n.op == "const" for n in x.nodes.ravel()]
    if not builtins.all(known):
        raise ProgramError("expected choices that each state makes for itself, found one for all")
    return TracedTensor.of(x.graph, float(builtins.any(bool(n.value) for n in x.nodes.ravel())))


@_handles("matmul")
def _matmul(a: Any, b: Any) -> TracedTensor:
    graph = _graph_of((a, b))
    assert graph is not None
    x, y = _plain(a, graph), _plain(b, graph)
    inner = np.frompyfunc(lambda p, q: p * q, 2, 1)
    if y.ndim == 1:
        return TracedTensor(graph, _summed(inner(x, y), -1))
    return TracedTensor(graph, _summed(inner(x[..., :, :, None], y[..., None, :, :]), -2))


@_handles("linalg_cross", "cross")
def _cross(a: Any, b: Any, dim: int = -1) -> TracedTensor:
    graph = _graph_of((a, b))
    assert graph is not None
    x, y = np.broadcast_arrays(_plain(a, graph), _plain(b, graph))
    rows = [x[..., i] * y[..., j] - x[..., j] * y[..., i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return TracedTensor(graph, np.stack(rows, -1))


def _index(index: Any) -> Any:
    """An index as numpy takes it; traced numbers in it have to be known."""
    if isinstance(index, tuple):
        return tuple(map(_index, index))
    if isinstance(index, TracedTensor):
        return np.array([int(float(n)) for n in index.nodes.ravel()]).reshape(index.shape)
    return index.detach().cpu().numpy() if isinstance(index, Tensor) else index


@_handles("getitem")
def _getitem(x: Any, index: Any) -> TracedTensor:
    graph = _graph_of((x, index))
    assert graph is not None
    nodes = _plain(x, graph)
    if isinstance(index, TracedTensor) and any(n.op != "const" for n in index.nodes.ravel()):
        return TracedTensor(graph, _looked_up(graph, nodes, index.nodes))
    return TracedTensor(graph, np.asarray(nodes[_index(index)], dtype=object))


def _looked_up(graph: Graph, rows: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Rows of known numbers at places that are expressions."""
    columns = rows.reshape(len(rows), -1).T
    tables = [tuple(float(n) for n in column) for column in columns]
    out = np.empty((*index.shape, len(tables)), dtype=object)
    for at in np.ndindex(index.shape):
        place: Any = index[at]
        out[at] = [graph.entry(table, place) for table in tables]
    return out.reshape((*index.shape, *rows.shape[1:]))


@_handles("gather")
def _gather(x: Any, dim: int, index: Any) -> TracedTensor:
    graph = _graph_of((x, index))
    assert graph is not None
    nodes = np.moveaxis(_plain(x, graph), dim, -1)
    places = np.moveaxis(_plain(index, graph), dim, -1)
    out = np.empty(places.shape, dtype=object)
    for at in np.ndindex(places.shape):
        out[at] = _looked_up(graph, nodes[at[:-1]], np.asarray(places[at], dtype=object)).item()
    return TracedTensor(graph, np.moveaxis(out, -1, dim))


@_handles("argmax")
def _argmax(x: TracedTensor, dim: int, keepdim: bool = False) -> TracedTensor:
    g = x.graph
    nodes = np.moveaxis(x.nodes, dim, -1)
    out = np.empty(nodes.shape[:-1], dtype=object)
    for at in np.ndindex(out.shape):
        best, place = nodes[at][0], g.zero
        for k, n in builtins.list(enumerate(nodes[at]))[1:]:
            more = _less(g, best, n)
            best, place = g.select(more, n, best), g.select(more, g.const(k), place)
        out[at] = place
    return TracedTensor(g, np.expand_dims(out, dim) if keepdim else out)


@_handles("scatter")
def _scatter(x: TracedTensor, dim: int, index: Any, value: float) -> TracedTensor:
    g = x.graph
    nodes = np.moveaxis(x.nodes, dim, -1).copy()
    places = np.moveaxis(_plain(index, g), dim, -1)
    for at in np.ndindex(nodes.shape):
        for place in places[at[:-1]]:
            here = g.condition("eq", place, g.const(at[-1]))
            old: Any = nodes[at]
            nodes[at] = g.select(here, g.const(value), old)
    return TracedTensor(g, np.moveaxis(nodes, -1, dim))


@_handles("index_add", "index_select")
def _index_add(x: Any, dim: int, index: Tensor, source: Any = None) -> TracedTensor:
    """Rows added to those that an index names; without rows, those rows."""
    graph = _graph_of((x, source))
    assert graph is not None
    nodes = np.moveaxis(_plain(x, graph), dim, 0).copy()
    places = index.tolist()
    if source is None:
        return TracedTensor(graph, np.moveaxis(nodes[places], 0, dim))
    for place, row in zip(places, np.moveaxis(_plain(source, graph), dim, 0), strict=True):
        nodes[place] = nodes[place] + row
    return TracedTensor(graph, np.moveaxis(nodes, 0, dim))


@_handles("index_put")
def _index_put(x: Any, at: tuple[Tensor, ...], values: Any, accumulate: bool) -> TracedTensor:
    graph = _graph_of((x, values))
    assert graph is not None
    nodes = _plain(x, graph).copy()
    for place, value in zip(zip(*(i.tolist() for i in at), strict=True),
                            _plain(values, graph), strict=True):  # fmt: skip
        nodes[place] = nodes[place] + value if accumulate else value
    return TracedTensor(graph, nodes)


@_handles("index_copy")
def _index_copy(x: Any, dim: int, index: Tensor, source: Any) -> TracedTensor:
    graph = _graph_of((x, source))
    assert graph is not None
    nodes = np.moveaxis(_plain(x, graph), dim, 0).copy()
    nodes[index.tolist()] = np.moveaxis(_plain(source, graph), dim, 0)
    return TracedTensor(graph, np.moveaxis(nodes, 0, dim))


def _joined(function: Callable[..., np.ndarray]) -> Callable[..., TracedTensor]:
    def run(parts: Sequence[Any], dim: int = 0) -> TracedTensor:
        graph = _graph_of(builtins.list(parts))
        assert graph is not None
        return TracedTensor(graph, function([_plain(x, graph) for x in parts], dim))

    return run


_HANDLERS["cat"] = _joined(np.concatenate)
_HANDLERS["stack"] = _joined(np.stack)


@_handles("unbind")
def _unbind(x: TracedTensor, dim: int = 0) -> tuple[TracedTensor, ...]:
    return tuple(TracedTensor(x.graph, part) for part in np.moveaxis(x.nodes, dim, 0))


def _reshaping(function: Callable[..., np.ndarray]) -> Callable[..., TracedTensor]:
    def run(x: Any, *args: Any) -> TracedTensor:
        return TracedTensor(x.graph, function(x.nodes, *args))

    return run


def _expanded(x: np.ndarray, *shape: Any) -> np.ndarray:
    shape = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    padded = (1,) * (len(shape) - x.ndim) + x.shape
    whole = [b if a == -1 else a for a, b in zip(shape, padded, strict=True)]
    return np.broadcast_to(x, whole)


_HANDLERS["expand"] = _reshaping(_expanded)
_HANDLERS["transpose"] = _reshaping(np.swapaxes)
_HANDLERS["movedim"] = _reshaping(np.moveaxis)
_HANDLERS["permute"] = _reshaping(lambda x, *axes: np.transpose(x, axes))
_HANDLERS["reshape"] = _reshaping(lambda x, *shape: x.reshape(*shape))
_HANDLERS["flatten"] = _reshaping(lambda x: x.reshape(-1))


@_handles("expand_as")
def _expand_as(x: Any, like: Any) -> TracedTensor:
    graph = _graph_of((x, like))
    assert graph is not None
    return TracedTensor(graph, _expanded(_plain(x, graph), *like.shape))
