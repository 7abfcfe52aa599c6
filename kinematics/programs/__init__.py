"""Straight-line programs: trace the recursions, count, print, minimise and compile them."""

from kinematics.programs.compile import compile_robot, compile_trace, robot_program
from kinematics.programs.compiler.compiled import CompiledProgram, compile_program
from kinematics.programs.derivative import pullback
from kinematics.programs.graph import Graph, Node
from kinematics.programs.program import (
    FORMS,
    SOURCES,
    Program,
    ProgramError,
    evaluate,
    make_program,
)
from kinematics.programs.source.c import c_source
from kinematics.programs.source.cuda import cuda_source
from kinematics.programs.source.llvm import llvm_source
from kinematics.programs.source.python import (
    jax_source,
    numpy_function,
    numpy_source,
    torch_function,
    torch_source,
)
from kinematics.programs.symbolic import latex_source, sympy_form
from kinematics.programs.tracing import trace

compile = compile_robot

SOURCES.update(
    {
        "python": lambda program, dtype: numpy_source(program),
        "torch": lambda program, dtype: torch_source(program),
        "jax": lambda program, dtype: jax_source(program),
        "c": c_source,
        "cuda": cuda_source,
        "llvm": llvm_source,
        "latex": lambda program, dtype: latex_source(program),
    }
)
FORMS.update({"numpy": numpy_function, "torch": torch_function, "sympy": sympy_form})

__all__ = [
    "CompiledProgram",
    "Graph",
    "Node",
    "Program",
    "ProgramError",
    "compile",
    "compile_program",
    "compile_robot",
    "compile_trace",
    "evaluate",
    "make_program",
    "pullback",
    "robot_program",
    "trace",
]
