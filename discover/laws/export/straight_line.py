"""A law as one straight-line program: bodies, terms, input and output nonlinearities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy

import kinematics
from discover.laws.extensions import LawExtension, of_kind
from discover.laws.extensions.surrogate_trigonometry import ANGLE, Angle, SurrogateTrigonometry
from discover.laws.extensions.tabulated import write_out
from discover.laws.extensions.terms import Term, joint_shapes, without_joint_terms
from discover.laws.rigid_body.sparsity import lean_bodies
from discover.laws.search.variables import needs_mechanics, place_points
from kinematics import Robot
from kinematics.algorithms.crba import crba
from kinematics.algorithms.rnea import bias, rnea
from kinematics.programs import (
    CompiledProgram,
    Graph,
    Program,
    compile_trace,
    make_program,
    robot_program,
)
from kinematics.programs.symbolic import nodes_from_sympy


def program(robot: Robot, extensions: Sequence[LawExtension] = ()) -> Program:
    """Forward dynamics (q, v, tau) -> a of the law as one straight-line program.

    Extensions that depend on earlier queries (memory) cannot be part of it.
    """
    if not extensions:
        return robot_program(robot, "aba")
    graph = Graph()
    inputs = {
        "q": graph.inputs("q", robot.nq),
        "v": graph.inputs("v", robot.nv),
        "tau": graph.inputs("tau", robot.nv),
    }
    named = {f"{n}{i + 1}": x for n, nodes in inputs.items() for i, x in enumerate(nodes)}

    def evaluated(rows: Sequence[sympy.Expr], named: dict[str, Any]) -> np.ndarray:
        return np.array(nodes_from_sympy(list(rows), graph, named), dtype=object)

    functions = [
        (signal, [elementary(write_out(row, x.tables)) for row in rows])
        for x in extensions
        for signal, rows in x.rows_by_signal.items()
    ]
    ports = dict(inputs)
    for signal, rows in functions:
        if signal in ports:
            ports[signal] = evaluated(rows, named)
    terms = of_kind(extensions, Term)
    trigonometry = next(iter(of_kind(extensions, SurrogateTrigonometry)), None)
    a = _accelerations(robot, terms, graph, ports, trigonometry)
    for signal, rows in functions:
        if signal not in ports:
            a = evaluated(rows, named | {f"a{i + 1}": x for i, x in enumerate(a)})
    return make_program("law", graph, inputs, a)


def _accelerations(
    robot: Robot,
    terms: Sequence[Term],
    graph: Graph,
    ports: dict[str, np.ndarray],
    trigonometry: SurrogateTrigonometry | None,
) -> np.ndarray:
    """Nodes of the accelerations of bodies and terms at the bodies' inputs."""
    if trigonometry is None:
        H, b = crba(robot, ports["q"]), bias(robot, ports["q"], ports["v"])
    else:
        H, b = _with_surrogates(robot, trigonometry, graph, ports)
    rest = ports["tau"] - b
    named = {f"{n}{i + 1}": x for n, nodes in ports.items() for i, x in enumerate(nodes)}
    size = robot.nv

    def at(term: Term, a: np.ndarray, rows: Sequence[sympy.Expr]) -> np.ndarray:
        words = {s.name for row in rows for s in row.free_symbols}
        held = {**named, **{f"a{i + 1}": x for i, x in enumerate(a)}}
        held |= _quantities(robot, term, words, graph, ports, a)
        return np.array(nodes_from_sympy(list(rows), graph, held), dtype=object)

    zero = np.array([graph.const(0.0)] * size, dtype=object)
    implicit = [t for t in terms if t.nonlinear_in_acceleration]
    for term in terms:
        if term in implicit:
            continue
        rows = [sympy.Float(term.coefficient) * elementary(row) for row in term.written_out()]
        still = at(term, zero, rows)
        rest = rest - still
        if term.moves_with_acceleration:
            for j in range(size):
                unit = zero.copy()
                unit[j] = graph.const(1.0)
                H[:, j] = H[:, j] + (at(term, unit, rows) - still)
    a = solve(H, rest)
    for _ in range(_STEPS if implicit else 0):
        left, J = H @ a - rest, H.copy()
        for term in implicit:
            rows = [sympy.Float(term.coefficient) * elementary(row) for row in term.written_out()]
            left = left + at(term, a, rows)
            moving = [s for s in sympy.Matrix(rows).free_symbols if s.name[0] in "ah"]
            for s in sorted(moving, key=str):
                slopes = at(term, a, [_slope(row, s) for row in rows])
                i = int(s.name[1:]) - 1
                inner = _bodies_matrix(robot, ports)[i] if s.name[0] == "h" else None
                for j in range(size):
                    factor = inner[j] if inner is not None else (1.0 if i == j else 0.0)
                    J[:, j] = J[:, j] + slopes * factor
        a = a - solve(J, left)
    return a


def _with_surrogates(
    robot: Robot, trigonometry: SurrogateTrigonometry, graph: Graph, ports: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """H and bias of bodies with surrogate trigonometry."""
    bare, zero = without_joint_terms(robot), np.array([graph.const(0.0)] * robot.nv, dtype=object)
    angles = np.empty(robot.nv, dtype=object)
    sides = [elementary(side) for side in trigonometry.written_out()]
    for j, q in enumerate(ports["q"]):
        angles[j] = Angle(*nodes_from_sympy(sides, graph, {ANGLE.name: q}))

    def of(part: str) -> np.ndarray:
        return angles if part in trigonometry.parts else ports["q"]

    at = of("velocity")
    b = bias(bare, at, ports["v"])
    if of("gravity") is not at:
        b = b + (bias(bare, of("gravity"), zero) - bias(bare, at, zero))
    at = of("inertia")
    if trigonometry.composites or "inertia" not in trigonometry.parts:
        H = crba(bare, at)
    else:
        still = rnea(bare, at, zero, zero)
        units = [np.array([graph.const(x) for x in e], dtype=object) for e in np.eye(robot.nv)]
        H = np.stack([rnea(bare, at, zero, e) - still for e in units], 1)
    unit = {f"a{j + 1}": graph.const(1.0) for j in range(robot.nv)}
    named = {f"{n}{i + 1}": x for n, nodes in ports.items() for i, x in enumerate(nodes)} | unit
    for j, shape in joint_shapes(robot):
        (node,) = nodes_from_sympy([shape], graph, named)
        if shape.has(sympy.Symbol(f"a{j + 1}", real=True)):
            H[j, j] = H[j, j] + node
        else:
            b[j] = b[j] + node
    return H, b


_STEPS = 8  # of Newton's method, where the acceleration stands inside a term


def _slope(row: sympy.Expr, symbol: sympy.Symbol) -> sympy.Expr:
    """The derivative, with the sign's own slope left out."""
    slope = row.diff(symbol).replace(sympy.DiracDelta, lambda *_: sympy.Integer(0))
    return slope.replace(sympy.Heaviside, lambda x, *_: (1 + sympy.sign(x)) / 2).doit()


def elementary(row: sympy.Expr) -> sympy.Expr:
    """The expression in functions that programs have: no erf, no asinh.

    erf(x) = 2x/√π ∫₀¹ exp(-x²t²) dt by Gauss–Legendre, |x| held at 6 where erf is 1: to 1e-14.
    """
    nodes, weights = np.polynomial.legendre.leggauss(28)
    square = [
        ((0.5 * (t + 1)) ** 2, w / math.sqrt(math.pi)) for t, w in zip(nodes, weights, strict=True)
    ]

    def erf(x: sympy.Expr) -> sympy.Expr:
        y = sympy.Max(-6, sympy.Min(6, x))
        return y * sum(
            sympy.Float(w, 17) * sympy.exp(-sympy.Float(t, 17) * y**2) for t, w in square
        )

    def asinh(x: sympy.Expr) -> sympy.Expr:
        size = sympy.Abs(x)
        return sympy.sign(x) * sympy.log(size + sympy.sqrt(size**2 + 1))

    return row.replace(sympy.erf, erf).replace(sympy.asinh, asinh)


def _bodies_matrix(robot: Robot, ports: dict[str, Any]) -> np.ndarray:
    return crba(without_joint_terms(robot), ports["q"])


def _quantities(
    robot: Robot, term: Term, words: set[str], graph: Graph, ports: dict[str, Any], a: np.ndarray
) -> dict[str, Any]:
    """Nodes of the mechanical quantities (momenta, energies, points) that a term names."""
    held: dict[str, Any] = {}
    q, v = ports["q"], ports["v"]
    if term.points:
        held |= place_points(
            robot, term.points, list(q), list(v),
            lambda x: graph.call("sin", x), lambda x: graph.call("cos", x), names=words,
        )  # fmt: skip
        held = {n: x if hasattr(x, "graph") else graph.const(float(x)) for n, x in held.items()}
    if not needs_mechanics(words):
        return held
    bodies = without_joint_terms(robot)
    H = crba(bodies, q)
    zero = np.array([graph.const(0.0)] * robot.nv, dtype=object)
    momentum = H @ v
    groups = {"p": momentum, "h": H @ a}
    if any(w[0] in "gc" for w in words):
        groups["g"] = bias(bodies, q, zero)
        groups["c"] = bias(bodies, q, v) - groups["g"]
    for group, x in groups.items():
        held |= {f"{group}{i + 1}": n for i, n in enumerate(x)}
    for i in range(robot.nv):
        held |= {f"H{i + 1}_{j + 1}": H[i, j] for j in range(robot.nv)}
    held["T"] = 0.5 * (v @ momentum)
    return held


def solve(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Gaussian elimination without pivots, for matrices close to positive definite ones."""
    A, b = A.copy(), b.copy()
    n = len(b)
    for k in range(n):
        for i in range(k + 1, n):
            ratio = A[i, k] / A[k, k]
            A[i, k:] = A[i, k:] - ratio * A[k, k:]
            b[i] = b[i] - ratio * b[k]
    x = np.empty(n, dtype=object)
    for k in reversed(range(n)):
        x[k] = (b[k] - sum(A[k, j] * x[j] for j in range(k + 1, n))) / A[k, k]
    return x


def compile_law(robot: Robot, extensions: Sequence[LawExtension], dtype: str) -> CompiledProgram:
    """The law as machine code, as `kinematics.compile`."""
    if not extensions:
        return kinematics.compile(lean_bodies(robot), "aba", dtype=dtype)
    return compile_trace(program(robot, extensions), dtype=dtype)
