"""SymPy expressions to nodes of an expression graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kinematics.programs.graph import Graph
from kinematics.programs.node import UNARY, Node
from kinematics.programs.program import ProgramError


def nodes_from_sympy(expressions: list[Any], graph: Graph, symbols: dict[str, Node]) -> list[Node]:
    """Nodes of SymPy expressions whose symbols are named in ``symbols``."""
    import sympy

    names = {"Abs": "abs", "Min": "min", "Max": "max"}
    known: dict[Any, Node] = {}

    def convert(e: Any) -> Node:
        if e not in known:
            known[e] = build(e)
        return known[e]

    def build(e: Any) -> Node:
        if e.is_Symbol:
            if e.name not in symbols:
                raise ProgramError(
                    f"expected the symbols {', '.join(list(symbols)[:4])}, …; found {e.name}"
                )
            return symbols[e.name]
        if e.is_number:
            return graph.const(float(e))
        args = e.args
        if e.is_Add:
            total = convert(args[0])
            for a in args[1:]:
                total = total + convert(a)
            return total
        if e.is_Mul:
            top, bottom = sympy.fraction(e, exact=True)
            if bottom != 1:
                return convert(top) / convert(bottom)
            product = convert(args[0])
            for a in args[1:]:
                product = product * convert(a)
            return product
        if e.is_Pow:
            if e.base is sympy.E:
                return graph.call("exp", convert(e.exp))
            return convert(e.base) ** convert(e.exp)
        name = type(e).__name__
        name = names.get(name, name)
        if name in UNARY and len(args) == 1:
            return graph.call(name, convert(args[0]))
        if name in ("min", "max", "atan2"):
            total = convert(args[0])
            for a in args[1:]:
                total = graph.call2(name, total, convert(a))
            return total
        raise ProgramError(f"expected elementary functions, found {name} in {e}")

    return [convert(sympy.sympify(e)) for e in expressions]


def extra_nodes(
    extra_force: Sequence[Any], nv: int, graph: Graph, ports: dict[str, Any]
) -> list[Node]:
    """The nodes of nv joint forces given in SymPy; their symbols are the columns of ``ports``."""
    if len(extra_force) != nv:
        raise ProgramError(f"expected {nv} expressions in extra_force, found {len(extra_force)}")
    symbols = {str(n.value): n for nodes in ports.values() for n in nodes}
    return nodes_from_sympy(list(extra_force), graph, symbols)
