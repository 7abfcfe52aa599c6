"""CUDA source of a program: one thread a state, rows staged through shared memory.

The arrays are row-major (B, n) as everywhere, so neighbouring threads would read and write numbers
that lie a row apart. A block of threads therefore copies its rows together, number after number,
into shared memory, and each thread takes its own from there; answers go back the same way.
"""

from __future__ import annotations

from kinematics.programs.graph import Node
from kinematics.programs.program import Program
from kinematics.programs.source import assignments
from kinematics.programs.source.c import c_expression, c_number, header_comment, real_type
from kinematics.programs.source.lowering import lower

SHARED_BYTES = 48 * 1024  # of shared memory a block may have without asking for more
BLOCKS = (128, 64, 32)  # threads


def threads_a_block(program: Program, dtype: str = "float64") -> int:
    """As many threads as the shared memory holds rows for; the fewest where it holds none."""
    for threads in BLOCKS:
        if threads * _shared_row(program, dtype) <= SHARED_BYTES:
            return threads
    return BLOCKS[-1]


def cuda_source(program: Program, dtype: str = "float64") -> str:
    """A CUDA file with one kernel ``<name>(in…, out, count)``, to be started with blocks of
    `threads_a_block` threads, one thread a state."""
    real = real_type(dtype)
    threads = threads_a_block(program, dtype)
    staged = threads * _shared_row(program, dtype) <= SHARED_BYTES
    size = int(program.outputs.size)
    arguments = "".join(f"const {real} *__restrict__ {p.name}, " for p in program.ports)
    lines = [
        header_comment(program),
        "#ifndef THREADS",
        f"#define THREADS {threads} /* a block */",
        "#endif",
        f'extern "C" __global__ void __launch_bounds__(THREADS) {program.name}(',
        f"    {arguments}{real} *__restrict__ out, const int count)",
        "{",
        "    const long long first = (long long)blockIdx.x * THREADS;",
        "    const int rows = count - first < THREADS ? (int)(count - first) : THREADS;",
        "    const int own = threadIdx.x;",
    ]
    if staged:
        for name, columns in _buffers(program).items():
            lines.append(f"    __shared__ {real} {name}_rows[THREADS * {_padded(columns)}];")
        for port in program.ports:
            lines.append(f"    for (int k = own; k < rows * {port.size}; k += THREADS)")
            lines.append(
                f"        {port.name}_rows[k / {port.size} * {_padded(port.size)} + "
                f"k % {port.size}] = {port.name}[first * {port.size} + k];"
            )
        lines.append("    __syncthreads();")
    lines.append("    if (own < rows) {")
    lines += [f"        {line}" for line in _body(program, dtype, staged)]
    lines.append("    }")
    if staged and size:
        lines += [
            "    __syncthreads();",
            f"    for (int k = own; k < rows * {size}; k += THREADS)",
            f"        out[first * {size} + k] = "
            f"out_rows[k / {size} * {_padded(size)} + k % {size}];",
        ]
    return "\n".join([*lines, "}", ""])


def _body(program: Program, dtype: str, staged: bool) -> list[str]:
    """What one thread does for its state, in the fused and ordered form of the other emitters."""
    real = real_type(dtype)
    name: dict[int, str] = {}
    steps = lower(program)
    at = {n.value: n.id for n in steps.order if n.op == "input"}
    lines = []
    for port in program.ports:
        where = f"{port.name}_rows + own * {_padded(port.size)}"
        if not staged:
            where = f"{port.name} + (first + own) * {port.size}"
        lines.append(f"const {real} *const {port.name}_own = {where};")
        for k, node in enumerate(port.nodes):
            if node.value in at:
                name[at[node.value]] = f"{port.name}_own[{k}]"
    pairs = _pairs(steps.order)
    write = c_expression(dtype)
    suffix = "" if dtype == "float64" else "f"

    def expression(node: Node, args: list[str]) -> str:
        if node.op in ("sin", "cos") and node.args[0].id in pairs:
            return f"{node.op}_{node.args[0].id}"
        return write(node, args)

    started: set[int] = set()
    operations = {f"t{n.id}": n for n in steps.order}
    for variable, text in assignments(
        steps.order, name, number=c_number(dtype), expression=expression
    ):
        node = operations[variable]
        if node.op in ("sin", "cos") and node.args[0].id in pairs:
            angle = node.args[0].id
            if angle not in started:
                started.add(angle)
                lines.append(f"{real} sin_{angle}, cos_{angle};")
                lines.append(f"sincos{suffix}({name[angle]}, &sin_{angle}, &cos_{angle});")
        lines.append(f"const {real} {variable} = {text};")
    size = int(program.outputs.size)
    where = f"out_rows + own * {_padded(size)}" if staged else f"out + (first + own) * {size}"
    lines.append(f"{real} *const out_own = {where};")
    lines += [f"out_own[{k}] = {name[n.id]};" for k, n in enumerate(steps.outputs)]
    return lines


def _pairs(order: list[Node]) -> set[int]:
    """The angles of which both sine and cosine are wanted."""
    sines = {n.args[0].id for n in order if n.op == "sin"}
    return sines & {n.args[0].id for n in order if n.op == "cos"}


def _buffers(program: Program) -> dict[str, int]:
    """Columns of each staged array."""
    return {**{p.name: p.size for p in program.ports}, "out": int(program.outputs.size)}


def _padded(columns: int) -> int:
    """An odd row length, so that neighbouring threads find their numbers in different banks."""
    return columns | 1


def _shared_row(program: Program, dtype: str) -> int:
    """Bytes of shared memory that one state takes."""
    width = 8 if dtype == "float64" else 4
    return width * sum(_padded(columns) for columns in _buffers(program).values())
