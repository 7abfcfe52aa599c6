"""C source of a program: one function a state, and a loop over row-major (B, n) arrays."""

from __future__ import annotations

from kinematics.programs.graph import Node
from kinematics.programs.program import Program

INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
RENAMED = {"abs": "fabs", "min": "fmin", "max": "fmax"}


def c_source(program: Program, dtype: str = "float64") -> str:
    """A self-contained C99 file: ``<name>_one`` for a state, ``<name>`` for a batch of them."""
    real = "double" if dtype == "float64" else "float"
    suffix = "" if dtype == "float64" else "f"
    name: dict[int, str] = {}
    for port in program.ports:
        for k, node in enumerate(port.nodes):
            name[node.id] = f"{port.name}[{k}]"
    body = []
    for node in program.nodes:
        if node.op == "const":
            text = repr(node.value)
            if suffix:
                text = text + "f" if any(c in text for c in ".en") else text + ".0f"
            name[node.id] = text if node.value >= 0 else f"({text})"
        elif node.op != "input":
            name[node.id] = f"t{node.id}"
            body.append(f"    const {real} t{node.id} = {_expression(node, name, suffix)};")
    outputs = [
        f"    out[{k}] = {name[n.id]};" for k, n in enumerate(program.outputs.ravel().tolist())
    ]
    arguments = ", ".join(f"const {real} *restrict {p.name}" for p in program.ports)
    columns = ", ".join(f"{p.name}[{p.size}]" for p in program.ports)
    size = program.outputs.size
    forward = ", ".join(f"{p.name} + {p.size} * i" for p in program.ports)
    count = ", ".join(f"{v} {k}" for k, v in program.operations.items() if v)
    return "\n".join(
        [
            "#include <math.h>",
            "#include <stddef.h>",
            "",
            f"/* {program.name}: {columns} -> out[{size}]; operations: {count or 'none'} */",
            f"static inline void {program.name}_one({arguments}, {real} *restrict out)",
            "{",
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


def _expression(node: Node, name: dict[int, str], suffix: str) -> str:
    args = [name[a.id] for a in node.args]
    if node.op in INFIX:
        return f"{args[0]} {INFIX[node.op]} {args[1]}"
    if node.op == "neg":
        return f"-{args[0]}"
    if node.op == "sign":
        return f"({args[0]} > 0) - ({args[0]} < 0)"
    return f"{RENAMED.get(node.op, node.op)}{suffix}({', '.join(args)})"
