"""A program as one Python function that is quick to call: over tensor columns, or plain floats.

Unlike the printed source, names are used again as soon as a value is dead: the few dozen columns
that live at a time stay in cache, which is what makes a thousand small torch calls fast.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy

from kinematics.programs.program import Program
from kinematics.programs.source.python import expression, number


def lean_function(program: Program, module: str) -> Callable[..., list[Any]]:
    """A function of all input columns, in order, to the list of output columns.

    module: "torch" or "numpy" (columns are arrays of one shape), or "math" (floats).
    """
    names: dict[int, str] = {}
    arguments = [str(node.value) for port in program.ports for node in port.nodes]
    for port in program.ports:
        names.update({node.id: str(node.value) for node in port.nodes})
    outputs = list(program.outputs.ravel())
    kept = {node.id for node in outputs}
    last = {arg.id: i for i, node in enumerate(program.nodes) for arg in node.args}
    lines = []
    for i, node in enumerate(program.nodes):
        if node.op == "const":
            names[node.id] = number(node.value)
            continue
        if node.op == "input":
            continue
        text = expression(node, [names[a.id] for a in node.args], module)
        dying = [
            arg
            for arg in {a.id: a for a in node.args}.values()
            if last[arg.id] == i and arg.op not in ("const", "input") and arg.id not in kept
        ]
        name = names[dying[0].id] if dying else f"t{node.id}"
        lines.append(f"{name} = {text}")
        if len(dying) > 1:
            lines.append(f"del {', '.join(names[d.id] for d in dying[1:])}")
        names[node.id] = name
    body = [*lines, f"return [{', '.join(names[n.id] for n in outputs)}]"]
    source = f"def function({', '.join(arguments)}):\n" + "\n".join(f"    {x}" for x in body)
    scope: dict[str, Any] = {"math": math}
    if module == "numpy":
        scope["numpy"] = numpy
    if module == "torch":
        import torch

        scope["torch"] = torch
    exec(compile(source, f"<{program.name}>", "exec"), scope)
    function: Callable[..., list[Any]] = scope["function"]
    return function
