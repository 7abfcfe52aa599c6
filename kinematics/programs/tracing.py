"""Tracing: the simulator's own recursions, run over expression nodes instead of numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from kinematics.algorithms.aba import aba
from kinematics.algorithms.crba import crba
from kinematics.algorithms.energy import kinetic_energy, potential_energy
from kinematics.algorithms.rnea import bias, rnea
from kinematics.programs.graph import Graph, as_nodes
from kinematics.programs.program import Program, ProgramError, make_program
from kinematics.programs.symbolic import extra_nodes
from kinematics.robot.tree import PARAMETERS

PORTS: dict[str, tuple[str, ...]] = {
    "rnea": ("q", "v", "a"),
    "aba": ("q", "v", "tau"),
    "crba": ("q",),
    "bias": ("q", "v"),
    "potential": ("q",),
    "kinetic": ("q", "v"),
}
"""What can be traced, and the arrays each takes."""


def check_what(what: str, *more: str) -> None:
    """Raise a one-line `ProgramError` unless ``what`` can be traced, or is one of ``more``."""
    known = (*PORTS, *more)
    if what not in known:
        raise ProgramError(
            f"expected a function among {', '.join(known)}, found {what!r}; choose one"
        )


def make_inputs(graph: Graph, robot: Any, what: str) -> dict[str, np.ndarray]:
    """The input nodes of ``what``: q1…, v1…, a1… or tau1…, by port."""
    return {name: graph.inputs(name, robot.nq if name == "q" else robot.nv) for name in PORTS[what]}


def _recursion(what: str) -> Callable[..., Any]:
    found: dict[str, Callable[..., Any]] = {
        "rnea": rnea,
        "aba": aba,
        "crba": crba,
        "bias": bias,
        "potential": potential_energy,
        "kinetic": kinetic_energy,
    }
    return found[what]


def _with_extra_force(
    recursion: Callable[..., Any],
    robot: Any,
    what: str,
    graph: Graph,
    ports: dict[str, np.ndarray],
    extra_force: Sequence[Any] | None,
) -> Any:
    if extra_force is None:
        return recursion(robot, *ports.values())
    extra = np.array(extra_nodes(extra_force, robot.nv, graph, ports), dtype=object)
    if what == "aba":
        return recursion(robot, ports["q"], ports["v"], ports["tau"] + extra)
    if what in ("rnea", "bias"):
        return recursion(robot, *ports.values()) - extra
    raise ProgramError(f"expected aba, rnea or bias with an extra force, found {what}")


def trace(
    robot: Any,
    what: str,
    symbolic_parameters: bool = False,
    *,
    extra_force: Sequence[Any] | None = None,
) -> Program:
    """The straight-line program of "rnea", "crba", "aba", "bias", "potential" or "kinetic".

    The functions of `kinematics` run unchanged over object arrays of nodes. Inputs are named
    q1…, v1…, a1…, tau1… in the order of the robot's coordinates. With ``symbolic_parameters`` the
    inertial parameters are an input as well, ``pi`` (10·nb), named m1, mx1, … Izz1, m2, …
    Quaternions are taken to be of unit length. ``extra_force``: nv SymPy expressions in the names
    of the inputs, joint forces that act beside tau.
    """
    check_what(what)
    graph = Graph()
    ports = make_inputs(graph, robot, what)
    if symbolic_parameters:
        pi = np.empty((robot.nb, 10), dtype=object)
        for body in range(robot.nb):
            for k, name in enumerate(PARAMETERS):
                pi[body, k] = graph.input(f"{name}{body + 1}")
        robot = robot.replace(pi=pi)
    outputs = _with_extra_force(_recursion(what), robot, what, graph, ports, extra_force)
    if symbolic_parameters:
        ports["pi"] = pi.ravel()
    return make_program(what, graph, ports, outputs)


def trace_coupled(robot: Any, *, extra_force: Sequence[Any] | None = None) -> Program:
    """Forward dynamics of a robot whose joints are coupled (mimic joints): the columns of the
    mass matrix from inverse dynamics, then a sparse LᵀDL; (q, v, tau) to accelerations."""
    graph = Graph()
    ports = make_inputs(graph, robot, "aba")
    q, v = ports["q"], ports["v"]
    zero = as_nodes(graph, np.zeros(robot.nv))
    plain = robot.replace(gravity=torch.zeros(3), stiffness=torch.zeros(robot.nv))
    columns = [rnea(plain, q, zero, as_nodes(graph, e)) for e in np.eye(robot.nv)]
    rest = ports["tau"] - bias(robot, q, v)
    if extra_force is not None:
        rest = rest + np.array(extra_nodes(extra_force, robot.nv, graph, ports), dtype=object)
    return make_program("aba", graph, ports, solve_symmetric(graph, columns, rest))


def solve_symmetric(graph: Graph, columns: list[np.ndarray], rhs: np.ndarray) -> list[Any]:
    """x with H x = rhs for a symmetric positive definite H of nodes, last row first; exact zeros
    cost nothing."""
    n = len(columns)
    h = {(i, j): graph.lift(columns[j][i]) for i in range(n) for j in range(i + 1)}
    y: list[Any] = list(rhs)
    share: dict[tuple[int, int], Any] = {}
    for k in reversed(range(n)):
        pivot = graph.one / h[k, k]
        for j in range(k):
            share[k, j] = h[k, j] * pivot
            y[j] = y[j] - share[k, j] * y[k]
            for i in range(j + 1):
                h[j, i] = h[j, i] - share[k, j] * h[k, i]
        y[k] = y[k] * pivot
    for k in range(n):
        for j in range(k):
            y[k] = y[k] - share[k, j] * y[j]
    return y
