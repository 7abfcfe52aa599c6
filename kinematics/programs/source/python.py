"""Python source for numpy and torch, and the functions made from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kinematics.programs.node import Node
from kinematics.programs.program import Program, check_arguments
from kinematics.programs.source.lines import INFIX, assignments

RENAMED = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2"}


def expression(node: Node, args: list[str], module: str) -> str:
    """One operation, written in the names of its operands."""
    if node.op in INFIX:
        return f"{args[0]} {INFIX[node.op]} {args[1]}"
    if node.op == "neg":
        return f"-{args[0]}"
    if node.op == "pow":
        return f"{args[0]} ** {args[1]}"
    function, operands = RENAMED.get(node.op, node.op), list(node.args)
    if node.op in ("min", "max"):
        function = f"{node.op}imum"
        if operands[0].op == "const":  # torch wants its tensor first
            operands.reverse()
            args = args[::-1]
    if module == "torch" and all(a.op == "const" for a in operands[1:]) and len(operands) > 1:
        args[1:] = [f"torch.as_tensor({a}).to({args[0]})" for a in args[1:]]
    return f"{module}.{function}({', '.join(args)})"


def number(value: float) -> str:
    """A constant, to the last digit."""
    if value != value or abs(value) == float("inf"):
        return f'float("{value}")'
    return repr(value) if value >= 0 else f"({value!r})"


def _body(program: Program, module: str) -> list[str]:
    """The lines of the function."""
    name: dict[int, str] = {}
    lines = []
    live = {n.id for n in program.nodes}
    for port in program.ports:
        for k, node in enumerate(port.nodes):
            name[node.id] = str(node.value)
            if node.id in live:
                lines.append(f"{node.value} = {port.name}[..., {k}]")
    told = assignments(
        program.nodes, name, number=number, expression=lambda n, a: expression(n, a, module)
    )
    lines += [f"{variable} = {text}" for variable, text in told]
    outputs = ", ".join(name[n.id] for n in program.outputs.ravel())
    first = ", ".join(port.name for port in program.ports)
    shape = tuple(program.outputs.shape)
    if module == "numpy":
        lines.append(f"batch = numpy.broadcast_shapes(*(x.shape[:-1] for x in ({first},)))")
        lines.append(f"out = [numpy.broadcast_to(x, batch) for x in ({outputs},)]")
        lines.append(f"return numpy.stack(out, axis=-1).reshape(*batch, *{shape})")
    else:
        lines.append(f"batch = torch.broadcast_shapes(*(x.shape[:-1] for x in ({first},)))")
        lines.append(f"one = {program.ports[0].name}.new_ones(batch)")
        lines.append(f"out = [one * x for x in ({outputs},)]")
        lines.append(f"return torch.stack(out, dim=-1).reshape(*batch, *{shape})")
    return lines


def _source(program: Program, module: str) -> str:
    arguments = ", ".join(port.name for port in program.ports)
    columns = ", ".join(f"{p.name} (..., {p.size})" for p in program.ports)
    head = [
        f"import {module}",
        "",
        "",
        f"def {program.name}({arguments}):",
        f'    """{columns} -> (..., {", ".join(map(str, program.outputs.shape))})"""',
    ]
    return "\n".join(head + [f"    {line}" for line in _body(program, module)]) + "\n"


def numpy_source(program: Program) -> str:
    """A Python module with one function of numpy arrays."""
    return _source(program, "numpy")


def torch_source(program: Program) -> str:
    """A Python module with one function of torch tensors."""
    return _source(program, "torch")


def _function(program: Program, source: str) -> Callable[..., Any]:
    scope: dict[str, Any] = {}
    exec(compile(source, f"<{program.name}>", "exec"), scope)
    function: Callable[..., Any] = scope[program.name]
    return function


def numpy_function(program: Program) -> Callable[..., np.ndarray]:
    """The program as a function of numpy arrays (…, columns)."""
    inner = _function(program, numpy_source(program))

    def function(*arrays: Any) -> np.ndarray:
        check_arguments(program, arrays)
        result: np.ndarray = inner(*(np.asarray(a, dtype=float) for a in arrays))
        return result

    return function


def torch_function(program: Program) -> Callable[..., Any]:
    """The program as a differentiable function of torch tensors (…, columns)."""
    inner = _function(program, torch_source(program))

    def function(*tensors: Any) -> Any:
        check_arguments(program, tensors)
        return inner(*tensors)

    return function
