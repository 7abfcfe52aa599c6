"""The expression graph: hash-consed scalar nodes that behave like numbers.

A node is a number, an input or an operation on earlier nodes. Equal expressions are the same
node, so common subexpressions are shared by construction. Only *exact* zeros and ones are
folded: a computed 1e-17 stays, because snapping it would change the answer.

Nodes may stand inside numpy object arrays: ``+ - * / ** @`` work elementwise, and ``np.sin`` and
its kin call the method of the same name, as numpy does for objects. A comparison of nodes is a
*condition*, a node too, which `Graph.select` chooses by; `&`, `|` and `~` join conditions.
"""

from __future__ import annotations

import contextlib
import gc
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

UNARY: dict[str, Callable[[float], float]] = {
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "tanh": math.tanh,
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "abs": abs,
    "sign": lambda x: math.copysign(1.0, x) if x else 0.0,
    "floor": math.floor,
}
"""Functions of one argument, each with its meaning on a Python float."""

BINARY: dict[str, Callable[[float, float], float]] = {
    "pow": math.pow,
    "atan2": math.atan2,
    "min": min,
    "max": max,
}


CONDITIONS: dict[str, Callable[..., bool]] = {
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "eq": lambda a, b: a == b,
    "and": lambda a, b: bool(a and b),
    "or": lambda a, b: bool(a or b),
    "not": lambda a: not a,
}
"""Operations that are true or false: comparisons of numbers, then what joins conditions."""


class Node:
    """One scalar expression; made by a `Graph` and by arithmetic on other nodes."""

    __slots__ = ("args", "graph", "id", "op", "value")

    def __init__(self, graph: Graph, ident: int, op: str, args: tuple[Node, ...], value: Any):
        self.graph = graph
        self.id = ident
        self.op = op
        self.args = args
        self.value = value

    def __add__(self, other: Any) -> Any:
        other = self.graph.lift(other)
        return NotImplemented if other is None else self.graph.add(self, other)

    def __radd__(self, other: Any) -> Any:
        return self.__add__(other)

    def __sub__(self, other: Any) -> Any:
        other = self.graph.lift(other)
        return NotImplemented if other is None else self.graph.sub(self, other)

    def __rsub__(self, other: Any) -> Any:
        other = self.graph.lift(other)
        return NotImplemented if other is None else self.graph.sub(other, self)

    def __mul__(self, other: Any) -> Any:
        other = self.graph.lift(other)
        return NotImplemented if other is None else self.graph.mul(self, other)

    def __rmul__(self, other: Any) -> Any:
        return self.__mul__(other)

    def __truediv__(self, other: Any) -> Any:
        other = self.graph.lift(other)
        return NotImplemented if other is None else self.graph.div(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        other = self.graph.lift(other)
        return NotImplemented if other is None else self.graph.div(other, self)

    def __pow__(self, other: Any) -> Any:
        other = self.graph.lift(other)
        return NotImplemented if other is None else self.graph.power(self, other)

    def __rpow__(self, other: Any) -> Any:
        other = self.graph.lift(other)
        return NotImplemented if other is None else self.graph.power(other, self)

    def __neg__(self) -> Node:
        return self.graph.neg(self)

    def __pos__(self) -> Node:
        return self

    def __abs__(self) -> Node:
        return self.graph.call("abs", self)

    def __lt__(self, other: Any) -> Node:
        return self.graph.condition("lt", self, self.graph.lifted(other))

    def __le__(self, other: Any) -> Node:
        return self.graph.condition("le", self, self.graph.lifted(other))

    def __gt__(self, other: Any) -> Node:
        return self.graph.condition("lt", self.graph.lifted(other), self)

    def __ge__(self, other: Any) -> Node:
        return self.graph.condition("le", self.graph.lifted(other), self)

    def __and__(self, other: Any) -> Node:
        return self.graph.condition("and", self, self.graph.lifted(other))

    def __or__(self, other: Any) -> Node:
        return self.graph.condition("or", self, self.graph.lifted(other))

    def __invert__(self) -> Node:
        return self.graph.condition("not", self)

    def __bool__(self) -> bool:
        if self.op == "const":
            return bool(self.value)
        raise TypeError(
            "an expression has no truth value: a traced recursion may not branch on its inputs; "
            "use Graph.select, or a smooth or min/max form"
        )

    def __float__(self) -> float:
        if self.op == "const":
            return float(self.value)
        raise TypeError(f"expected a number, found the expression {self!r}: evaluate it first")

    def __repr__(self) -> str:
        if self.op == "const":
            return repr(self.value)
        if self.op == "input":
            return str(self.value)
        return f"{self.op}({', '.join(f'n{a.id}' for a in self.args)})"

    def conjugate(self) -> Node:
        """The node itself: everything here is real (numpy's `vdot` and `norm` ask for it)."""
        return self

    @property
    def is_zero(self) -> bool:
        return self.op == "const" and self.value == 0.0


def _unary_method(name: str) -> Callable[[Node], Node]:
    def method(self: Node) -> Node:
        return self.graph.call(name, self)

    method.__name__ = name
    method.__doc__ = f"{name} of this expression."
    return method


for _name in UNARY:
    _alias = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "abs": "fabs"}.get(_name, _name)
    setattr(Node, _alias, _unary_method(_name))


class Graph:
    """A store of nodes in which equal expressions are one node."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._table: dict[tuple, Node] = {}
        self.zero = self.const(0.0)
        self.one = self.const(1.0)

    def _node(self, op: str, args: tuple[Node, ...], value: Any = None) -> Node:
        key = (op, value, *[a.id for a in args])
        node = self._table.get(key)
        return self._made(key, op, args, value) if node is None else node

    def _pair(self, op: str, a: Node, b: Node) -> Node:
        """`_node` of two operands, which nearly all are: half the time of a trace is spent here."""
        key = (op, None, a.id, b.id)
        node = self._table.get(key)
        return self._made(key, op, (a, b), None) if node is None else node

    def _made(self, key: tuple, op: str, args: tuple[Node, ...], value: Any) -> Node:
        node = Node(self, len(self.nodes), op, args, value)
        self.nodes.append(node)
        self._table[key] = node
        return node

    def forget(self) -> None:
        """Drop all nodes, so that those not referenced elsewhere are freed at once: a graph and its
        nodes reference each other, and would wait for the garbage collector."""
        self.nodes.clear()
        self._table.clear()

    def const(self, value: float) -> Node:
        """The node of a number; -0.0 is read as 0.0."""
        return self._node("const", (), float(value) + 0.0)

    def input(self, name: str) -> Node:
        """The node of a named input."""
        return self._node("input", (), name)

    def inputs(self, prefix: str, count: int) -> np.ndarray:
        """An object array of inputs ``prefix1 … prefix<count>``, shape (count,)."""
        out = np.empty(count, dtype=object)
        for k in range(count):
            out[k] = self.input(f"{prefix}{k + 1}")
        return out

    def lift(self, value: Any) -> Node | None:
        """A node for a number or a node; None for anything else (numpy then broadcasts)."""
        if type(value) is Node:
            return value
        if isinstance(value, (int, float, np.floating, np.integer)):
            return self.const(float(value))
        if isinstance(value, np.ndarray) and value.ndim == 0:
            return self.lift(value.item())
        return None

    def lifted(self, value: Any) -> Node:
        """A node for a number or a node; TypeError for anything else."""
        node = self.lift(value)
        if node is None:
            raise TypeError(f"expected a number or an expression, found {type(value).__name__}")
        return node

    def condition(self, op: str, *args: Node) -> Node:
        """A comparison ("lt", "le", "eq") of two numbers, or what joins conditions ("and", "or",
        "not"); with NaN every comparison is false."""
        if all(a.op == "const" for a in args):
            return self.const(CONDITIONS[op](*(a.value for a in args)))
        if op == "not":
            inner = args[0]
            return inner.args[0] if inner.op == "not" else self._node(op, args)
        a, b = args
        if op in ("and", "or"):
            if a is b:
                return a
            for one, other in ((a, b), (b, a)):
                if one.op == "const":
                    return other if bool(one.value) == (op == "and") else one
        if op in ("and", "or", "eq") and a.id > b.id:
            a, b = b, a
        return self._pair(op, a, b)

    def select(self, condition: Node, a: Node, b: Node) -> Node:
        """``a`` where the condition holds, ``b`` elsewhere; of numbers, or of conditions."""
        if condition.op == "const":
            return a if condition.value else b
        if a is b:
            return a
        if condition.op == "not":
            return self.select(condition.args[0], b, a)
        if a.op in CONDITIONS or b.op in CONDITIONS:
            return (condition & a) | (~condition & b)
        return self._node("select", (condition, a, b))

    def entry(self, table: tuple[float, ...], index: Node) -> Node:
        """The number at a place of a table; ``index`` is a whole number inside it."""
        if index.op == "const":
            return self.const(table[int(index.value)])
        if len(set(table)) == 1:
            return self.const(table[0])
        return self._node("entry", (index,), table)

    def add(self, a: Node, b: Node) -> Node:
        if a.op == "const":
            if a.value == 0.0:
                return b
            if b.op == "const":
                return self.const(a.value + b.value)
            if a.value < 0.0:
                return self.sub(b, self.const(-a.value))
        if b.op == "const":
            if b.value == 0.0:
                return a
            if b.value < 0.0:
                return self.sub(a, self.const(-b.value))
        if b.op == "neg":
            return self.sub(a, b.args[0])
        if a.op == "neg":
            return self.sub(b, a.args[0])
        if a.id > b.id:
            a, b = b, a
        return self._pair("add", a, b)

    def sub(self, a: Node, b: Node) -> Node:
        if b.op == "const":
            if b.value == 0.0:
                return a
            if a.op == "const":
                return self.const(a.value - b.value)
            if b.value < 0.0:
                return self.add(a, self.const(-b.value))
        if a is b:
            return self.zero
        if a.op == "const":
            if a.value == 0.0:
                return self.neg(b)
            if a.value < 0.0:
                return self.neg(self.add(self.const(-a.value), b))
        if b.op == "neg":
            return self.add(a, b.args[0])
        if a.op == "neg":
            return self.neg(self.add(a.args[0], b))
        swapped = self._table.get(("sub", None, b.id, a.id))
        if swapped is not None:
            return self._node("neg", (swapped,))
        return self._pair("sub", a, b)

    def neg(self, a: Node) -> Node:
        if a.op == "const":
            return self.const(-a.value)
        if a.op == "neg":
            return a.args[0]
        return self._node("neg", (a,))

    def mul(self, a: Node, b: Node) -> Node:
        if b.op == "const":
            a, b = b, a
        if a.op == "const":
            if b.op == "const":
                return self.const(a.value * b.value)
            if a.value == 0.0:
                return self.zero
            if a.value == 1.0:
                return b
            if a.value < 0.0:
                return self.neg(self.mul(self.const(-a.value), b))
        if a.op == "neg":
            return self.neg(self.mul(a.args[0], b))
        if b.op == "neg":
            return self.neg(self.mul(a, b.args[0]))
        for x, y in ((a, b), (b, a)):  # a condition as a number
            if x.op == "select" and x.args[1] is self.one and x.args[2] is self.zero:
                return self.select(x.args[0], y, self.zero)
        if a.id > b.id:
            a, b = b, a
        return self._pair("mul", a, b)

    def div(self, a: Node, b: Node) -> Node:
        if b.op == "const":
            if a.op == "const":
                return self.const(a.value / b.value)
            if b.value == 1.0:
                return a
            if b.value == 0.0:
                raise ZeroDivisionError(
                    "expected a divisor that is not identically zero, found 0: a joint moves "
                    "nothing; give its body or its rotor some inertia"
                )
        if a.op == "const" and a.value == 0.0:
            return self.zero
        if a is b:
            return self.one
        if a.op == "neg":
            return self.neg(self.div(a.args[0], b))
        if b.op == "neg":
            return self.neg(self.div(a, b.args[0]))
        return self._pair("div", a, b)

    def power(self, a: Node, b: Node) -> Node:
        if b.op == "const":
            exponent = b.value
            if exponent == 0.0:
                return self.one
            if exponent == 0.5:
                return self.call("sqrt", a)
            if exponent == int(exponent) and abs(exponent) <= 16:
                whole = self._whole_power(a, abs(int(exponent)))
                return whole if exponent > 0 else self.div(self.one, whole)
        return self.call2("pow", a, b)

    def _whole_power(self, a: Node, n: int) -> Node:
        if n == 1:
            return a
        half = self._whole_power(a, n // 2)
        square = self.mul(half, half)
        return self.mul(square, a) if n % 2 else square

    def call(self, name: str, a: Node) -> Node:
        """A function of one argument; odd and even functions pass a sign through."""
        if a.op == "const":
            return self.const(UNARY[name](a.value))
        if a.op == "neg":
            if name in ("sin", "tan", "asin", "atan", "sinh", "tanh", "sign"):
                return self.neg(self.call(name, a.args[0]))
            if name in ("cos", "cosh", "abs"):
                return self.call(name, a.args[0])
        if name == "abs" and a.op in ("abs", "sqrt", "exp"):
            return a
        return self._node(name, (a,))

    def call2(self, name: str, a: Node, b: Node) -> Node:
        """A function of two arguments."""
        if a.op == "const" and b.op == "const":
            return self.const(BINARY[name](a.value, b.value))
        if name in ("min", "max"):
            open_ = math.inf if name == "min" else -math.inf
            if a is b or (b.op == "const" and b.value == open_):
                return a
            if a.op == "const" and a.value == open_:
                return b
        return self._node(name, (a, b))

    def apply(self, op: str, args: tuple[Node, ...], value: Any = None) -> Node:
        """The node of ``op`` on ``args``, folded as the arithmetic operators fold; ``value`` is
        what the operation holds beside them, a table."""
        if op in ("add", "sub", "mul", "div", "neg"):
            return getattr(self, op)(*args)
        if op in UNARY:
            return self.call(op, args[0])
        if op in BINARY:
            return self.power(*args) if op == "pow" else self.call2(op, *args)
        if op in CONDITIONS:
            return self.condition(op, *args)
        if op == "select":
            return self.select(*args)
        return self.entry(value, args[0]) if op == "entry" else self._node(op, args)


@contextlib.contextmanager
def many_nodes() -> Iterator[None]:
    """Garbage collection held back while very many nodes are made: it would walk over everything
    the process holds again and again, and take several times as long as the tracing itself."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def reachable(outputs: Iterable[Node]) -> list[Node]:
    """The nodes that the outputs need, in the order in which they were made."""
    seen: dict[int, Node] = {}
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node.id not in seen:
            seen[node.id] = node
            stack.extend(node.args)
    return [seen[k] for k in sorted(seen)]


def as_nodes(graph: Graph, values: Any) -> np.ndarray:
    """An object array of nodes from numbers, nodes or nested sequences of both."""
    array = np.asarray(values, dtype=object)
    out = np.empty(array.shape, dtype=object)
    for index in np.ndindex(array.shape):
        node = graph.lift(array[index])
        if node is None:
            raise TypeError(f"expected numbers or expressions, found {type(array[index]).__name__}")
        out[index] = node
    return out
