"""One scalar expression, which behaves like a number."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinematics.programs.graph import Graph

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
}
"""Functions of one argument, each with its meaning on a Python float."""

BINARY: dict[str, Callable[[float, float], float]] = {
    "pow": math.pow,
    "atan2": math.atan2,
    "min": min,
    "max": max,
}

ARITHMETIC = frozenset({"add", "sub", "mul", "div", "neg", "fma", "fms", "fnma"})


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

    def __bool__(self) -> bool:
        raise TypeError(
            "an expression has no truth value: a traced recursion may not branch on its inputs; "
            "use a smooth or min/max form"
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
