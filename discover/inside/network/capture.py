"""A network as a graph of operations that can be run again from the middle.

`torch.export` traces the network once (what it refuses, `make_fx` may trace);
`torch.fx.Interpreter.run_node` runs what was traced, so that any intermediate value can be read or
replaced, whether or not a module of its own stands there. What cannot be traced is addressed by
hooks on its modules instead.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx

from discover.blackbox.sampling import Batch
from discover.errors import ModelError

Values = dict[Any, Any]  # by node of the graph, or by name of a module


class Part(NamedTuple):
    """One value of a site: its node (or module), its shape with `rows` states on axis `axis`. An
    axis that holds several rows of each state (states outermost) is split first."""

    node: Any
    shape: tuple[int, ...]
    axis: int

    def flat(self, value: Tensor, rows: int) -> Tensor:
        """(rows, width)"""
        if self.shape[self.axis] == rows:
            return value.movedim(self.axis, 0).reshape(rows, -1)
        return value.reshape(rows, -1)

    def restored(self, flat: Tensor, rows: int) -> Tensor:
        """The inverse of `flat`."""
        if self.shape[self.axis] != rows:
            return flat.reshape(self.shape)
        moved = [rows, *(n for k, n in enumerate(self.shape) if k != self.axis)]
        return flat.reshape(moved).movedim(0, self.axis)


@dataclass(frozen=True, kw_only=True)
class Site:
    """A place in a network: one value, or all that are alive between two operations.

    name   of the module and operation that end there
    depth  its place among all operations, 0 … 1
    alone  whether everything from the inputs to the output passes through this one value
    images names of what linear operations make of it and nothing else reads: the same site
    """

    name: str
    parts: tuple[Part, ...]
    depth: float
    alone: bool
    width: int = field(default=0)
    images: tuple[str, ...] = ()


# Nodes whose values are given, and a function of these values.
Plan = tuple[list[fx.Node], Callable[..., tuple[Tensor, ...]]]

_ATEN = torch.ops.aten
# What is linear in one of its operands, the others being constant.
LINEAR = {
    *(getattr(_ATEN, n).default for n in ("linear", "addmm", "mm", "matmul", "bmm", "neg")),
    *(getattr(_ATEN, n).Tensor for n in ("add", "sub", "mul")),
    *(getattr(_ATEN, n).default for n in ("view", "reshape", "permute", "clone", "unsqueeze")),
    *(_ATEN.expand.default, _ATEN._to_copy.default, _ATEN.t.default, _ATEN._unsafe_view.default),
    *(_ATEN.slice.Tensor, _ATEN.select.int, _ATEN.transpose.int, _ATEN.squeeze.dim),
}


def _operands(node: fx.Node) -> list[fx.Node]:
    """The nodes that an operation is given, as often as it is given them."""
    found: list[fx.Node] = []
    fx.map_arg((node.args, node.kwargs), found.append)
    return found


class Traced:
    """A network of (q, v, tau), each (rows, nv), that answers (rows, nv), as a graph.

    `rows` is the only number of states that a pass takes.
    """

    def __init__(
        self, network: nn.Module, rows: int, nv: int, dtype: torch.dtype, *, export: bool = True
    ) -> None:
        self.rows, self.nv, self.dtype = rows, nv, dtype
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        example, other = (_probing(rows, nv, dtype, seed) for seed in (0, 1))
        with _quiet():
            if export:
                exported = torch.export.export(network, example, strict=False)
                self.module = exported.run_decompositions({}).module()
            else:
                self.module = make_fx(torch.func.functionalize(network))(*example)
        graph = self.module.graph
        self.inputs = [n for n in graph.nodes if n.op == "placeholder"]
        self.nodes = [n for n in graph.nodes if n.op not in ("placeholder", "output")]
        self.nodes = [n for n in self.nodes if n.users or n.op != "call_module"]  # no guards
        result = next(n for n in graph.nodes if n.op == "output").args[0]
        self.answer = result[0] if isinstance(result, tuple | list) else result
        self._plans: dict[tuple[str, ...], Plan] = {}
        self._interpreter = fx.Interpreter(self.module, garbage_collect_values=False)
        with torch.no_grad():  # a trace holds the branches that the example took
            expected = network(*other)
            traced = self.output(self.run(Batch(*other)))
        if not torch.allclose(traced, expected, rtol=1e-3, atol=1e-4, equal_nan=True):
            raise ModelError("what it computes depends on the states in ways that a trace loses")

    def run(self, states: Batch) -> Values:
        """All intermediate values of one pass, without gradients."""
        values: Values = dict(zip(self.inputs, (x.to(self.dtype) for x in states), strict=True))
        with torch.no_grad():
            return self._continued(values, self.nodes)

    def output(self, values: Values) -> Tensor:
        """The network's answer (rows, nv) among the values of a pass."""
        return values[self.answer]

    def again(self, values: Values, replaced: Values, site: Site | None = None) -> Tensor:
        """The answer (rows, nv), or the values at a site (rows, width), with some values replaced;
        gradients flow from them."""
        targets = [self.answer] if site is None else [p.node for p in site.parts]
        key = tuple(n.name for n in (*replaced, *targets))
        if key not in self._plans:
            self._plans[key] = self._planned(replaced, targets)
        given, compute = self._plans[key]
        at = {**values, **replaced}
        found = dict(zip(targets, compute(*(at[n] for n in given)), strict=True))
        return found[self.answer] if site is None else read(site, found, self.rows)

    def parameters(self) -> list[Tensor]:
        """The weights."""
        return list(self.module.parameters())

    def _planned(self, replaced: Values, targets: list[fx.Node]) -> Plan:
        """The nodes to run again as one function: an interpreter takes longer over each of them
        than most operations on some hundred states."""
        nodes = self._needed(replaced, targets)
        own = set(nodes)
        needed = [n for node in nodes for n in node.all_input_nodes] + targets
        given = [n for n in dict.fromkeys(needed) if n not in own]
        graph = fx.Graph()
        copies = {n: graph.placeholder(f"given_{k}") for k, n in enumerate(given)}
        for node in nodes:
            copies[node] = graph.node_copy(node, copies.__getitem__)
        graph.output(tuple(copies[n] for n in targets))
        return given, fx.GraphModule(self.module, graph)

    def _needed(self, replaced: Values, targets: list[fx.Node]) -> list[fx.Node]:
        """The nodes to run again: they depend on what is replaced, and a target on them."""
        changed = set(replaced)
        for node in self.nodes:
            if any(n in changed for n in node.all_input_nodes):
                changed.add(node)
        wanted, open_ = set(), list(targets)
        while open_:
            node = open_.pop()
            if node in wanted or node in replaced or node not in changed:
                continue
            wanted.add(node)
            open_ += node.all_input_nodes
        return [n for n in self.nodes if n in wanted]

    def _continued(self, values: Values, nodes: Sequence[fx.Node]) -> Values:
        self._interpreter.env = values
        for node in nodes:
            values[node] = self._interpreter.run_node(node)
        return values

    # ---- sites ------------------------------------------------------------------------------

    def candidates(self) -> list[Site]:
        """All places between inputs and output, from the first to the last.

        After each operation that depends on the state, the values are collected that later ones
        still read. A linear operation on the only value that it replaces makes no new place: what
        can be exchanged behind it can be exchanged before it.
        """
        parts = self._parts()
        position = {n: k for k, n in enumerate(self.nodes)}
        last = {
            n: max((position.get(u, len(position)) for u in n.users), default=-1) for n in parts
        }
        found: list[Site] = []
        ends: dict[fx.Node, int] = {}  # values that a site found, or a linear image of it, ends at
        seen: set[frozenset[str]] = set()
        pending = set(self.inputs)
        for k, node in enumerate(self.nodes):
            if node not in parts or node is self.answer:
                continue
            before = [n for n in _operands(node) if n in parts]
            if len(before) == 1 and last[before[0]] == k and node.target in LINEAR:
                place = ends.get(before[0])  # the same as the site before it
                if place is not None and found[place].alone:
                    ends[node] = place
                    images = (*found[place].images, _name(node))
                    found[place] = replace(found[place], images=images)
                continue
            alive = [n for n in parts if position[n] <= k < last[n] and n is not self.answer]
            key = frozenset(n.name for n in alive)
            if not alive or key in seen:
                continue
            seen.add(key)
            late = any(position.get(u, 0) > k for n in pending for u in n.users)
            site = Site(
                name=_name(node),
                parts=tuple(parts[n] for n in alive),
                depth=k / len(self.nodes),
                alone=len(alive) == 1 and not late,
                width=sum(_width(parts[n], self.rows) for n in alive),
            )
            ends[node] = len(found)
            found.append(site)
        return found

    def named(self, wanted: Sequence[str]) -> list[Site]:
        """The sites of these names: of nodes, or of modules, whose last value is meant. Raises
        ModelError."""
        parts = self._parts()
        position = {n: k for k, n in enumerate(self.nodes)}
        found = []
        for name in wanted:
            fitting = [n for n in parts if n.name == name or _name(n) == name]
            fitting = fitting or [n for n in parts if _path(n) == name]
            if not fitting:
                known = ", ".join(dict.fromkeys(_path(n) or n.name for n in parts))
                raise ModelError(f"sites: expected one of {known}, found {name!r}")
            node = fitting[-1]
            width = _width(parts[node], self.rows)
            depth = position[node] / len(self.nodes)
            found.append(
                Site(name=name, parts=(parts[node],), depth=depth, alone=False, width=width)
            )
        return found

    def _parts(self) -> dict[fx.Node, Part]:
        """The values that depend on the state, and on which axis their states stand: found by
        changing one state."""
        first = _probing(self.rows, self.nv, self.dtype, 0)
        second = [x.clone() for x in first]
        for x in second:
            x[1] += 0.37
        before, after = self.run(Batch(*first)), self.run(Batch(*second))
        reached = self._reaching()
        found = {}
        for node in self.nodes:
            x, y = before[node], after[node]
            if node not in reached or not isinstance(x, Tensor) or not x.is_floating_point():
                continue
            moved = (x != y) & ~(x.isnan() & y.isnan())
            if not moved.any():
                continue
            axis = _axis(moved, self.rows)
            if axis is not None:
                found[node] = Part(node, tuple(x.shape), axis)
        return found

    def _reaching(self) -> set[fx.Node]:
        reached, open_ = set(), [self.answer]
        while open_:
            node = open_.pop()
            if node not in reached:
                reached.add(node)
                open_ += node.all_input_nodes
        return reached


def _probing(rows: int, nv: int, dtype: torch.dtype, seed: int) -> tuple[Tensor, ...]:
    """Three random inputs (rows, nv) in 0 … 1."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(rows, nv, generator=generator).to(dtype) for _ in range(3))


def _axis(moved: Tensor, rows: int) -> int | None:
    """The axis of states, told from what the second state alone has changed; None where there is
    none."""
    for axis, size in enumerate(moved.shape):
        if size == rows:
            others = moved.movedim(axis, 0).reshape(rows, -1).any(dim=1)
            return axis if others.nonzero().flatten().tolist() == [1] else None
    if moved.ndim and moved.shape[0] % rows == 0:
        others = moved.reshape(rows, -1).any(dim=1)
        return 0 if others.nonzero().flatten().tolist() == [1] else None
    return None


def _width(part: Part, rows: int) -> int:
    total = 1
    for n in part.shape:
        total *= n
    return total // rows


def _path(node: fx.Node) -> str:
    """The module in which an operation stands, as `named_modules` calls it."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = str(stack[-1][0]) if stack else ""
    return path.removeprefix("L['self'].").removeprefix("network.").removeprefix("network")


def _name(node: fx.Node) -> str:
    path = _path(node)
    return f"{path}/{node.name}" if path else node.name


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings and logs of PyTorch's own tracing."""
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


class Hooked:
    """The same of a network that cannot be traced: sites are the answers of its modules."""

    def __init__(self, network: nn.Module, rows: int, nv: int, dtype: torch.dtype) -> None:
        self.network = network
        self.rows, self.nv, self.dtype = rows, nv, dtype
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        self._modules = {n: m for n, m in network.named_modules() if n}

    def run(self, states: Batch) -> Values:
        """The answers of all modules that were called once, the states, and the answer itself."""
        inputs = [x.to(self.dtype) for x in states]
        with torch.no_grad():
            return self._called(inputs, {}, record=True)

    def output(self, values: Values) -> Tensor:
        """The network's answer (rows, nv)."""
        return values["answer"]

    def again(self, values: Values, replaced: Values, site: Site | None = None) -> Tensor:
        """The answer (rows, nv), or the values at a site (rows, width), with the answers of some
        modules replaced; what was answered before them is not computed again."""
        order = list(values)
        first = min(order.index(n) for n in replaced)
        earlier = {n: values[n] for n in order[:first]}
        for name, value in earlier.items():
            self._modules[name].forward = lambda *_a, _value=value, **_k: _value
        try:
            found = self._called(values["inputs"], replaced, record=site is not None)
        finally:
            for name in earlier:
                del self._modules[name].forward
        return found["answer"] if site is None else read(site, found, self.rows)

    def parameters(self) -> list[Tensor]:
        """The weights."""
        return list(self.network.parameters())

    def _called(self, inputs: list[Tensor], replaced: Values, record: bool) -> Values:
        calls: dict[str, list[Any]] = {}

        def hook(name: str) -> Any:
            def after(_module: Any, _inputs: Any, out: Any) -> Any:
                calls.setdefault(name, []).append(out)
                return replaced.get(name)

            return after

        handles = [
            m.register_forward_hook(hook(n))
            for n, m in self._modules.items()
            if record or n in replaced
        ]
        try:
            answer = self.network(*inputs)
        finally:
            for handle in handles:
                handle.remove()
        once = {n: c[0] for n, c in calls.items() if len(c) == 1 and isinstance(c[0], Tensor)}
        return {**once, "inputs": inputs, "answer": answer}

    def candidates(self) -> list[Site]:
        """The answers of all modules in the order of the calls."""
        first = _probing(self.rows, self.nv, self.dtype, 0)
        second = [x.clone() for x in first]
        for x in second:
            x[1] += 0.37
        before, after = self.run(Batch(*first)), self.run(Batch(*second))
        names = [n for n in before if n not in ("inputs", "answer")]
        found = []
        for k, name in enumerate(names):
            x, y = before[name], after[name]
            axis = _axis(x != y, self.rows) if x.is_floating_point() and (x != y).any() else None
            if axis is None or x is before["answer"]:
                continue
            part = Part(name, tuple(x.shape), axis)
            found.append(
                Site(
                    name=name.removeprefix("network."),
                    parts=(part,),
                    depth=k / len(names),
                    alone=False,
                    width=_width(part, self.rows),
                )
            )
        return found

    def named(self, wanted: Sequence[str]) -> list[Site]:
        """The sites of these modules. Raises ModelError."""
        known = {s.name: s for s in self.candidates()}
        for name in wanted:
            if name not in known:
                raise ModelError(f"sites: expected one of {', '.join(known)}, found {name!r}")
        return [known[name] for name in wanted]


Network = Traced | Hooked


def captured(network: nn.Module, rows: int, nv: int, dtype: torch.dtype) -> tuple[Network, str]:
    """A copy of a network, in evaluation mode, that can be run again from the middle; and a remark
    where it could not be traced. Raises ModelError where its sites cannot be addressed."""
    own = copy.deepcopy(network).eval()
    reason = ""
    with torch.no_grad():  # what is computed once and kept would end a trace
        try:
            own(*_probing(rows, nv, dtype, 0))
        except Exception as error:  # somebody else's code
            raise ModelError(
                f"the network raised {type(error).__name__} on three inputs of shape "
                f"({rows}, {nv}): {(str(error).strip().splitlines() or [''])[0][:120]}"
            ) from error
    for export in (True, False):
        try:
            return Traced(own, rows, nv, dtype, export=export), ""
        except Exception as error:  # somebody else's code, traced by torch: it may raise anything
            said = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
            reason = reason or said
    hooked = Hooked(own, rows, nv, dtype)
    try:
        sites = hooked.candidates()
    except Exception as error:
        raise ModelError(
            f"sites cannot be addressed: torch.export says {reason}; the network itself "
            f"{type(error).__name__}: {str(error)[:120]}"
        ) from error
    if not sites:
        raise ModelError(
            f"sites cannot be addressed: torch.export says {reason}, and no module of the network "
            "answers once a pass with one row a state; export it to .pt2"
        )
    return hooked, f"not traced ({reason}): sites are the answers of modules, by hooks"


def read(site: Site, values: Values, rows: int) -> Tensor:
    """The values at a site side by side, (rows, width)."""
    return torch.cat([p.flat(values[p.node], rows) for p in site.parts], dim=-1)


def written(site: Site, flat: Tensor, rows: int) -> Values:
    """What to replace so that the site holds these values: the inverse of `read`."""
    widths = [_width(p, rows) for p in site.parts]
    pieces = flat.split(widths, dim=-1)
    return {p.node: p.restored(x, rows) for p, x in zip(site.parts, pieces, strict=True)}
