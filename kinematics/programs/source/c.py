"""C source of a program: one function a state, and a loop over row-major (B, n) arrays."""

from __future__ import annotations

from collections.abc import Callable

from kinematics.programs.graph import Node
from kinematics.programs.program import Program
from kinematics.programs.source import INFIX, assignments

COMPARED = {"lt": "<", "le": "<=", "eq": "==", "and": "&&", "or": "||"}
RENAMED = {"abs": "fabs", "min": "fmin", "max": "fmax"}


def c_source(program: Program, dtype: str = "float64") -> str:
    """A self-contained C99 file: ``<name>_one`` for a state, ``<name>`` for a batch of them."""
    real = real_type(dtype)
    name: dict[int, str] = {}
    for port in program.ports:
        for k, node in enumerate(port.nodes):
            name[node.id] = f"{port.name}[{k}]"
    body = [
        f"    const {real} {variable} = {text};"
        for variable, text in assignments(
            program.nodes, name, number=c_number(dtype), expression=c_expression(dtype)
        )
    ]
    outputs = [
        f"    out[{k}] = {name[n.id]};" for k, n in enumerate(program.outputs.ravel().tolist())
    ]
    arguments = ", ".join(f"const {real} *restrict {p.name}" for p in program.ports)
    size = program.outputs.size
    used = {n for n in program.nodes if n.op == "input"}
    forward = ", ".join(f"{p.name} + {p.size} * i" for p in program.ports)
    return "\n".join(
        [
            "#include <math.h>",
            "#include <stddef.h>",
            "",
            header_comment(program),
            f"static inline void {program.name}_one({arguments}, {real} *restrict out)",
            "{",
            *(f"    (void){p.name};" for p in program.ports if not used & set(p.nodes)),
            *body,
            *outputs,
            "}",
            "",
            "/* states begin to end - 1 of row-major arrays (B, n) */",
            f"void {program.name}({arguments}, {real} *restrict out, size_t begin, size_t end)",
            "{",
            "    for (size_t i = begin; i < end; ++i)",
            f"        {program.name}_one({forward}, out + {size} * i);",
            "}",
            "",
        ]
    )


def real_type(dtype: str) -> str:
    """C's name of a precision."""
    return "double" if dtype == "float64" else "float"


def header_comment(program: Program) -> str:
    """A comment with the program's columns and operations."""
    columns = ", ".join(f"{p.name}[{p.size}]" for p in program.ports)
    count = ", ".join(f"{v} {k}" for k, v in program.operations.items() if v)
    size = program.outputs.size
    return f"/* {program.name}: {columns} -> out[{size}]; operations: {count or 'none'} */"


def c_number(dtype: str) -> Callable[[float], str]:
    """How a constant is written, to the last digit."""

    def number(value: float) -> str:
        text = repr(value)
        if dtype != "float64":
            text = text + "f" if any(c in text for c in ".en") else text + ".0f"
        return text if value >= 0 else f"({text})"

    return number


def c_expression(dtype: str) -> Callable[[Node, list[str]], str]:
    """How an operation is written in the names of its operands."""
    suffix = "" if dtype == "float64" else "f"

    def expression(node: Node, args: list[str]) -> str:
        if node.op in INFIX:
            return f"{args[0]} {INFIX[node.op]} {args[1]}"
        if node.op == "neg":
            return f"-{args[0]}"
        if node.op == "sign":
            return f"({args[0]} > 0) - ({args[0]} < 0)"
        if node.op in COMPARED:
            return f"{args[0]} {COMPARED[node.op]} {args[1]}"
        if node.op == "not":
            return f"!({args[0]})"
        if node.op == "select":
            return f"{args[0]} ? {args[1]} : {args[2]}"
        if node.op == "entry":
            numbers = ", ".join(map(c_number(dtype), node.value))
            real = real_type(dtype)
            place = f"(int)fmin{suffix}(fmax{suffix}({args[0]}, 0), {len(node.value) - 1})"
            return f"((const {real}[{len(node.value)}]){{{numbers}}})[{place}]"
        if node.op == "fms":
            return f"fma{suffix}({args[0]}, {args[1]}, -{args[2]})"
        if node.op == "fnma":
            return f"fma{suffix}(-{args[0]}, {args[1]}, {args[2]})"
        return f"{RENAMED.get(node.op, node.op)}{suffix}({', '.join(args)})"

    return expression
