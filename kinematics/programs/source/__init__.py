"""Source text of programs in Python, C, CUDA and LLVM, and what their emitters share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kinematics.programs.graph import Node

INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/"}


def assignments(
    nodes: Iterable[Node],
    name: dict[int, str],
    *,
    number: Callable[[float], str],
    expression: Callable[[Node, list[str]], str],
) -> list[tuple[str, str]]:
    """(variable, expression) for each operation among ``nodes``, operands first.

    ``name`` holds the names of the inputs and takes up those of everything else. A variable is
    used for one node only, so any line of the source can be looked at by itself.
    """
    lines = []
    for node in nodes:
        if node.op == "const":
            name[node.id] = number(node.value)
        elif node.op != "input":
            text = expression(node, [name[a.id] for a in node.args])
            name[node.id] = f"t{node.id}"
            lines.append((name[node.id], text))
    return lines
