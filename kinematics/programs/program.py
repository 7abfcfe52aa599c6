"""A straight-line program: named inputs, one output array, and the nodes between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from kinematics.errors import WorldlawError
from kinematics.programs.graph import UNARY, Graph, Node, as_nodes, reachable

TRIG = frozenset({"sin", "cos", "tan"})

SOURCES: dict[str, Callable[[Program, str], str]] = {}
"""Languages of `Program.source`, each with its emitter: (program, dtype) to text.

This and `FORMS` are filled by `kinematics.programs`, since emitters stand above programs."""

FORMS: dict[str, Callable[[Program], Any]] = {}
"""What the methods `Program.numpy`, `Program.torch` and `Program.sympy` make of a program."""


class ProgramError(WorldlawError):
    """A program cannot be made, written or called as requested."""


@dataclass(frozen=True, kw_only=True)
class Port:
    """One input array of a program: its name, how many columns, and the node of each column."""

    name: str
    nodes: tuple[Node, ...]

    @property
    def size(self) -> int:
        return len(self.nodes)


@dataclass(frozen=True, kw_only=True)
class Program:
    """Inputs and outputs over one expression graph; everything unreachable is left out.

    ``ports`` are the input arrays in calling order, ``outputs`` an object array of nodes of any
    shape (``()`` for an energy, ``(nv,)`` for forces, ``(nv, nv)`` for a mass matrix).
    ``passes`` is the algorithm written as passes over the tree, where it is known.
    """

    name: str
    graph: Graph
    ports: tuple[Port, ...]
    outputs: np.ndarray
    passes: str = ""
    notes: tuple[str, ...] = field(default=())

    @cached_property
    def nodes(self) -> list[Node]:
        """The live nodes, operands before operations."""
        return reachable(self.outputs.ravel().tolist())

    @cached_property
    def operations(self) -> dict[str, int]:
        """How many multiplications, additions (and subtractions), divisions, trigonometric and
        other function calls one evaluation takes. Sign changes are free: they are absorbed in
        subtractions and fused forms."""
        count = {"mul": 0, "add": 0, "div": 0, "trig": 0, "other": 0}
        for node in self.nodes:
            if node.op == "mul":
                count["mul"] += 1
            elif node.op in ("add", "sub"):
                count["add"] += 1
            elif node.op == "div":
                count["div"] += 1
            elif node.op in TRIG:
                count["trig"] += 1
            elif node.op not in ("const", "input", "neg"):
                count["other"] += 1
        return count

    @property
    def arithmetic(self) -> int:
        """mul + add + div, the figure by which programs are compared."""
        return sum(self.operations[k] for k in ("mul", "add", "div"))

    def at(self, graph: Graph, *arrays: np.ndarray) -> np.ndarray:
        """The outputs as nodes of another graph, where the inputs are these nodes of it: one array
        (columns,) a port."""
        check_arguments(self, arrays)
        found: dict[int, Node] = {}
        for port, array in zip(self.ports, arrays, strict=True):
            found.update(zip((n.id for n in port.nodes), array, strict=True))
        for node in self.nodes:
            if node.op == "const":
                found[node.id] = graph.const(node.value)
            elif node.op != "input":
                args = tuple(found[a.id] for a in node.args)
                found[node.id] = graph.apply(node.op, args, node.value)
        out = np.empty(self.outputs.size, dtype=object)
        out[:] = [found[node.id] for node in self.outputs.ravel().tolist()]
        return out.reshape(self.outputs.shape)

    def numpy(self) -> Callable[..., np.ndarray]:
        """A function of numpy arrays (…, columns), one a port; returns (…, *output shape)."""
        function: Callable[..., np.ndarray] = FORMS["numpy"](self)
        return function

    def torch(self) -> Callable[..., Any]:
        """A function of torch tensors (…, columns); differentiable, any dtype and device."""
        function: Callable[..., Any] = FORMS["torch"](self)
        return function

    def sympy(self) -> Any:
        """The program as SymPy expressions with named intermediates, a `SympyForm`."""
        return FORMS["sympy"](self)

    def source(self, language: str = "c", dtype: str = "float64") -> str:
        """The program's source: "python" (numpy), "torch", "jax", "c", "cuda", "llvm" or
        "latex"."""
        if language not in SOURCES:
            raise ProgramError(
                f"expected a language among {', '.join(SOURCES)}, found {language!r}"
            )
        return SOURCES[language](self, dtype)


def make_program(
    name: str,
    graph: Graph,
    ports: dict[str, Any],
    outputs: Any,
    *,
    passes: str = "",
    notes: tuple[str, ...] = (),
) -> Program:
    """A `Program` from input node arrays by name and any nest of output nodes."""
    return Program(
        name=name,
        graph=graph,
        ports=tuple(
            Port(name=key, nodes=tuple(np.ravel(np.asarray(nodes, dtype=object))))
            for key, nodes in ports.items()
        ),
        outputs=as_nodes(graph, outputs),
        passes=passes,
        notes=notes,
    )


def evaluate(
    program: Program, *arrays: Any, functions: dict[str, Callable[..., Any]] | None = None
) -> np.ndarray:
    """Interpret the program node by node in float64 on numpy arrays (…, columns).

    Slow and plain: the oracle that the emitters are tested against. `functions` stand in for the
    operations that they are named after ("sin", …).
    """
    check_arguments(program, arrays)
    values: dict[int, Any] = {}
    for port, array in zip(program.ports, arrays, strict=True):
        for k, node in enumerate(port.nodes):
            values[node.id] = np.asarray(array, dtype=float)[..., k]
    known = _OPERATIONS | functions if functions else _OPERATIONS
    for node in program.nodes:
        if node.op == "const":
            values[node.id] = node.value
        elif node.op != "input":
            args = [values[a.id] for a in node.args]
            if node.op == "entry":
                args.append(node.value)
            values[node.id] = known[node.op](*args)
    outputs = program.outputs.ravel()
    batch = np.broadcast_shapes(*(np.shape(a)[:-1] for a in arrays))
    flat = np.empty((len(outputs), *batch))
    for k, node in enumerate(outputs):
        flat[k] = values[node.id]
    return np.moveaxis(flat, 0, -1).reshape(*batch, *program.outputs.shape)


_NAMES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "abs": "absolute"}
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "fma": lambda a, b, c: a * b + c,
    "fms": lambda a, b, c: a * b - c,
    "fnma": lambda a, b, c: c - a * b,
    "pow": np.power,
    "atan2": np.arctan2,
    "min": np.minimum,
    "max": np.maximum,
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "select": np.where,
    "entry": lambda index, table: np.take(
        table, np.clip(np.nan_to_num(index), 0, len(table) - 1).astype(int)
    ),
    **{key: getattr(np, _NAMES.get(key, key)) for key in UNARY},
}


def check_arguments(program: Program, arrays: tuple[Any, ...]) -> None:
    """Raise a one-line `ProgramError` unless there is one array a port with its columns."""
    expected = ", ".join(f"{p.name} (…, {p.size})" for p in program.ports)
    if len(arrays) != len(program.ports):
        raise ProgramError(f"{program.name}: expected {expected}; found {len(arrays)} arrays")
    for port, array in zip(program.ports, arrays, strict=True):
        shape = tuple(np.shape(array))
        if not shape or shape[-1] != port.size:
            raise ProgramError(
                f"{program.name}: expected {expected}; found {port.name} of shape {shape}"
            )
