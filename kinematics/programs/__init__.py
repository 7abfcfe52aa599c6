"""Straight-line programs: trace the recursions, count, print, minimise and compile them."""

from kinematics.programs.compile import compile_robot, compile_trace, robot_program
from kinematics.programs.compiler.compiled import CompiledProgram, compile_program
from kinematics.programs.derivative import pullback
from kinematics.programs.graph import Graph
from kinematics.programs.node import Node
from kinematics.programs.program import Program, ProgramError, evaluate, make_program
from kinematics.programs.tracing import trace

compile = compile_robot

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
