"""Python source for numpy, torch, JAX and plain floats, and the functions made from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from kinematics.programs.graph import Node
from kinematics.programs.program import Program, check_arguments
from kinematics.programs.source import INFIX, assignments

COMPARED = {"lt": "<", "le": "<=", "eq": "=="}
JOINED = ("and", "or", "not")
RENAMED = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2"}


def expression(node: Node, args: list[str], module: str) -> str:
    """One operation, written in the names of its operands."""
    if node.op in INFIX:
        return f"{args[0]} {INFIX[node.op]} {args[1]}"
    if node.op == "neg":
        return f"-{args[0]}"
    if node.op == "pow":
        return f"{args[0]} ** {args[1]}"
    if node.op in COMPARED:
        return f"{args[0]} {COMPARED[node.op]} {args[1]}"
    if node.op in JOINED:
        return f"{module}.logical_{node.op}({', '.join(args)})"
    if node.op == "select":
        chosen = [_choice(n, a, module) for n, a in zip(node.args[1:], args[1:], strict=True)]
        return f"{module}.where({args[0]}, {', '.join(chosen)})"
    if node.op == "entry":
        return _entry(node, args[0], module)
    function, operands = RENAMED.get(node.op, node.op), list(node.args)
    if node.op in ("min", "max"):
        function = f"{node.op}imum"
        if operands[0].op == "const":  # torch wants its tensor first
            operands.reverse()
            args = args[::-1]
    if module == "torch" and all(a.op == "const" for a in operands[1:]) and len(operands) > 1:
        args[1:] = [f"torch.as_tensor({a}).to({args[0]})" for a in args[1:]]
    return f"{module}.{function}({', '.join(args)})"


def _choice(node: Node, text: str, module: str) -> str:
    """What is chosen: torch takes two numbers for single precision, so others than those which
    that holds say theirs."""
    if module != "torch" or node.op != "const" or float(np.float32(node.value)) == node.value:
        return text
    return f"torch.tensor({text}, dtype=torch.float64)"


def _entry(node: Node, index: str, module: str) -> str:
    """A number from a table; NaN and what is outside count as the ends."""
    last = len(node.value) - 1
    if module == "torch":
        place = f"torch.nan_to_num({index}).clamp(0, {last}).long()"
        return f"{index}.new_tensor({node.value!r})[{place}]"
    if module == "math":
        return f"{node.value!r}[int(min(max(0.0, {index}), {last}.0))]"
    place = f"{module}.clip({module}.nan_to_num({index}), 0, {last}).astype(int)"
    return f"{module}.asarray({node.value!r})[{place}]"


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
    assigned = assignments(
        program.nodes, name, number=number, expression=lambda n, a: expression(n, a, module)
    )
    lines += [f"{variable} = {text}" for variable, text in assigned]
    outputs = ", ".join(name[n.id] for n in program.outputs.ravel())
    first = ", ".join(port.name for port in program.ports)
    shape = tuple(program.outputs.shape)
    if module in ("numpy", "jnp"):
        lines.append(f"batch = {module}.broadcast_shapes(*(x.shape[:-1] for x in ({first},)))")
        lines.append(f"out = [{module}.broadcast_to(x, batch) for x in ({outputs},)]")
        lines.append(f"return {module}.stack(out, axis=-1).reshape(*batch, *{shape})")
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
        "import jax.numpy as jnp" if module == "jnp" else f"import {module}",
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


def jax_source(program: Program) -> str:
    """A Python module with one function of JAX arrays, for jit, vmap and grad; in float64 where
    jax_enable_x64 is set."""
    return _source(program, "jnp")


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


def column_function(program: Program, module: str) -> Callable[..., list[Any]]:
    """A function of all input columns, in order, to the list of output columns.

    module: "torch" or "numpy" (columns are arrays of one shape), or "math" (floats). Unlike in the
    printed source, names are used again as soon as a value is dead: the few dozen columns that live
    at a time stay in cache, which is what makes a thousand small torch calls fast.
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
    scope: dict[str, Any] = {"math": math, "numpy": np, "torch": torch}
    exec(compile(source, f"<{program.name}>", "exec"), scope)
    function: Callable[..., list[Any]] = scope["function"]
    return function
