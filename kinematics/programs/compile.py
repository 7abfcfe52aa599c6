"""`compile`: from a robot, or any program, to machine code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kinematics.algorithms.crba import joints_without_inertia
from kinematics.programs.compiler.compiled import CompiledProgram, compile_program
from kinematics.programs.elimination.search import cheapest_program
from kinematics.programs.fastest import fastest_order
from kinematics.programs.forward import CompiledForward
from kinematics.programs.graph import Graph
from kinematics.programs.muscles import check_muscles, trace_forward
from kinematics.programs.program import Program, ProgramError, make_program
from kinematics.programs.tracing import PORTS, check_what, trace, trace_coupled
from kinematics.robot.tree import check_robot

ORDERS = ("auto", "search", "aba", "crba", "traced")


def compile_robot(
    robot: Any,
    what: str = "aba",
    dtype: str = "float64",
    threads: int = 1,
    *,
    extra_force: Sequence[Any] | None = None,
    order: str = "auto",
) -> CompiledProgram | CompiledForward:
    """Machine code of "aba", "rnea", "crba", "bias", "potential", "kinetic" or "forward" for
    ``robot``.

    "forward" is `kinematics.forward`: of a robot with muscles, ``program(q, v, u) -> a`` and
    ``program(q, v, u, z) -> (a, dz/dt)``, see `CompiledForward`.

    The result is called with numpy arrays or torch tensors, (B, n) each or (n,) for one state:
    ``program(q, v, tau) -> a``. Quaternions must be of unit length. ``threads`` share a batch.

    ``order`` chooses the elimination order of "aba": "auto" looks for a while for the one with the
    fewest operations and "search" for long, "fastest" times the cheapest few on this machine and
    keeps the winner in the cache, "aba" and "crba" name the two classical ones, "traced" is the
    simulator's own recursion as it stands.

    ``extra_force``: nv SymPy expressions in q1…, v1…, tau1… that are added to the generalised
    force: with "aba" they act beside tau; with "rnea" and "bias" they are subtracted from it.
    """
    check_robot(robot)
    if what == "forward":
        if extra_force is not None:
            raise ProgramError("expected no extra_force with forward, found one; use aba")
        return compile_forward(robot, dtype=dtype, threads=threads, order=order)
    check_what(what, "forward")
    content = {
        "robot": robot.to_dict(),
        "what": what,
        "extra": None if extra_force is None else [str(e) for e in extra_force],
    }

    def made(order: str) -> CompiledProgram:
        return compile_program(
            lambda: robot_program(robot, what, extra_force=extra_force, order=order),
            content={**content, "order": order},
            dtype=dtype,
            threads=threads,
        )

    if order != "fastest":
        return made(order)
    if what != "aba" or robot.mimic:  # there is but one order
        return made("auto")
    return made(fastest_order(made, {**content, "dtype": dtype})[0])


def compile_forward(
    robot: Any, *, dtype: str = "float64", threads: int = 1, order: str = "auto"
) -> CompiledForward:
    """Machine code of `kinematics.forward`. Raises ProgramError where a muscle cannot be traced."""
    if order == "fastest":
        raise ProgramError(
            f"expected an order among {', '.join(ORDERS)} with forward, found fastest; choose one"
        )
    content = {"robot": robot.to_dict(), "what": "forward", "order": order}
    muscles = robot.muscles
    if muscles is not None:
        check_muscles(muscles)

    def made(internal: bool) -> CompiledProgram:
        return compile_program(
            lambda: trace_forward(
                robot, robot_program(robot, "aba", order=order), internal=internal
            ),
            content={**content, "internal": internal},
            dtype=dtype,
            threads=threads,
        )

    nm = 0 if muscles is None else muscles.nm
    nz = 0 if muscles is None else muscles.nz
    return CompiledForward(made, name=robot.name, nv=robot.nv, nz=nz, nf=nz - nm)


def robot_program(
    robot: Any, what: str, *, extra_force: Sequence[Any] | None = None, order: str = "auto"
) -> Program:
    """The program that `compile_robot` compiles; "fastest", which needs timing, is not accepted."""
    check_robot(robot)
    check_what(what)
    if order not in ORDERS:
        raise ProgramError(
            f"expected an order among {', '.join(ORDERS)} or fastest, found {order!r}"
        )
    if robot.turning_springs and what not in ("crba", "kinetic"):
        raise ProgramError(
            f"{robot.name}: expected springs along single coordinates, found those of "
            f"{', '.join(robot.joint_names[j] for j in robot.turning_springs)}; set their "
            "stiffness to zero and give their torque from outside"
        )
    try:
        if what == "aba" and robot.mimic:
            return trace_coupled(robot, extra_force=extra_force)
        if what != "aba" or order == "traced":
            return trace(robot, what, extra_force=extra_force)
        return cheapest_program(robot, order=order, extra_force=extra_force)
    except ZeroDivisionError as error:
        moving = ", ".join(joints_without_inertia(robot)) or "a joint"
        raise ProgramError(
            f"{robot.name}: expected inertia at every joint, found none that {moving} would move "
            "by itself; give its body or its rotor some"
        ) from error


def compile_trace(
    source: Program | Callable[..., Any],
    *,
    sizes: dict[str, int] | None = None,
    dtype: str = "float64",
    threads: int = 1,
    name: str = "program",
) -> CompiledProgram:
    """Machine code of a `Program`, or of any function of arrays.

    A function is traced: it is called with one object array of expression nodes an entry of
    ``sizes`` (name to number of columns) and returns nodes or an array of them. It may use
    ``+ - * / **``, numpy's elementary functions and indexing, and may not branch on its inputs.
    """
    if isinstance(source, Program):
        return compile_program(lambda: source, dtype=dtype, threads=threads)
    if not sizes:
        raise ProgramError(
            "expected sizes={name: columns} for a function to be traced, found none; "
            f"for a robot's forward dynamics they are {', '.join(PORTS['aba'])}"
        )
    graph = Graph()
    ports = {key: graph.inputs(key, count) for key, count in sizes.items()}
    program = make_program(name, graph, ports, source(*ports.values()))
    return compile_program(lambda: program, dtype=dtype, threads=threads)
