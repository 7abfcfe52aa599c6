"""A rigid-body law as formulas, source text and programs, all from one trace of the recursions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy

from discover.laws import latex
from discover.laws.family import without_joint_terms
from discover.laws.lean_bodies import lean_bodies
from discover.laws.quantities import needs_mechanics, place_points
from discover.laws.terms import Term, symbols
from kinematics import Robot
from kinematics.crba import crba
from kinematics.programs import Graph, Program, compile_trace, make_program, robot_program, trace
from kinematics.programs.from_sympy import nodes_from_sympy
from kinematics.rnea import bias

if TYPE_CHECKING:
    from discover.laws.rigid_body import RigidBodyLaw

TARGETS = ("sympy", "python", "torch", "c", "latex")
FLAT_JOINTS = 3  # joints up to which a formula without intermediates is short enough to read
ROUNDING = 1e-9  # identified coefficients below this, relative to the largest, are rounding


@dataclass(frozen=True, kw_only=True)
class Formulas:
    """SymPy objects of one law; `intermediates` are shared definitions, in order of use."""

    symbols: dict[str, tuple[sympy.Symbol, ...]]
    intermediates: list[tuple[sympy.Symbol, sympy.Expr]]
    mass_matrix: sympy.Matrix
    bias: sympy.Matrix
    potential: sympy.Expr
    lagrangian: sympy.Expr


def derive(robot: Robot) -> Formulas:
    """H, bias, potential and Lagrangian of `robot`, flat up to three joints.

    Beyond that the flat forms explode (a 6R arm's mass matrix has 1,913 Fourier terms): there the
    entries are written in `intermediates`.
    """
    # Quaternions make more coordinates than velocities.
    names = symbols(robot.nv) | {"q": symbols(robot.nq)["q"]}
    flat = robot.nv <= FLAT_JOINTS and robot.nq == robot.nv
    intermediates: list[tuple[sympy.Symbol, sympy.Expr]] = []

    def form(what: str, prefix: str) -> Any:
        traced = trace(robot, what).sympy()
        if flat:
            whole = traced.flat()
            return whole.applyfunc(tidy) if isinstance(whole, sympy.MatrixBase) else tidy(whole)
        rename = {
            s: sympy.Symbol(f"{prefix}{s.name[1:]}", real=True) for s, _ in traced.intermediates
        }
        intermediates.extend((rename[s], e.xreplace(rename)) for s, e in traced.intermediates)
        return traced.outputs.xreplace(rename)

    H, c, V = form("crba", "h"), form("bias", "b"), form("potential", "u")
    velocity = sympy.Matrix(names["v"])
    kinetic = (velocity.T * H * velocity)[0] / 2
    return Formulas(
        symbols=names,
        intermediates=intermediates,
        mass_matrix=H,
        bias=c,
        potential=V,
        lagrangian=(sympy.expand(kinetic) if flat else kinetic) - V,
    )


def tidy(expression: sympy.Expr) -> sympy.Expr:
    """Leave out summands whose coefficient is rounding beside the largest."""
    parts = [t.as_coeff_Mul() for t in sympy.Add.make_args(sympy.expand(expression))]
    largest = max((abs(c) for c, _ in parts), default=0)
    return sympy.Add(*(c * rest for c, rest in parts if abs(c) > ROUNDING * largest))


def program(robot: Robot, extra: Sequence[Term]) -> Program:
    """Forward dynamics of the law as one straight-line program."""
    if not extra:
        return robot_program(robot, "aba")
    graph = Graph()
    ports = {
        "q": graph.inputs("q", robot.nq),
        "v": graph.inputs("v", robot.nv),
        "tau": graph.inputs("tau", robot.nv),
    }
    H = crba(robot, ports["q"])
    rest = ports["tau"] - bias(robot, ports["q"], ports["v"])
    named = {f"{n}{i + 1}": x for n, nodes in ports.items() for i, x in enumerate(nodes)}
    size = robot.nv

    def at(term: Term, a: np.ndarray, rows: Sequence[sympy.Expr]) -> np.ndarray:
        words = {s.name for row in rows for s in row.free_symbols}
        held = {**named, **{f"a{i + 1}": x for i, x in enumerate(a)}}
        held |= _words(robot, term, words, graph, ports, a)
        return np.array(nodes_from_sympy(list(rows), graph, held), dtype=object)

    zero = np.array([graph.const(0.0)] * size, dtype=object)
    implicit = [t for t in extra if t.nonlinear_in_acceleration]
    for term in extra:
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
    a = _solve(H, rest)
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
        a = a - _solve(J, left)
    return make_program("law", graph, ports, a)


_STEPS = 8  # of Newton's method, where the acceleration stands inside a term


def _slope(row: sympy.Expr, symbol: sympy.Symbol) -> sympy.Expr:
    """The derivative, with the sign's own slope left out."""
    slope = row.diff(symbol).replace(sympy.DiracDelta, lambda *_: sympy.Integer(0))
    return slope.replace(sympy.Heaviside, lambda x, *_: (1 + sympy.sign(x)) / 2).doit()


def elementary(row: sympy.Expr) -> sympy.Expr:
    """The same in functions that programs have: no erf, no asinh.

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


def _words(
    robot: Robot, term: Term, words: set[str], graph: Graph, ports: dict[str, Any], a: np.ndarray
) -> dict[str, Any]:
    """Nodes of what mechanics makes of the state, for the words that a term uses."""
    held: dict[str, Any] = {}
    q, v = ports["q"], ports["v"]
    if term.points:
        held |= place_points(
            robot, term.points, list(q), list(v),
            lambda x: graph.call("sin", x), lambda x: graph.call("cos", x),
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


def _solve(A: np.ndarray, b: np.ndarray) -> np.ndarray:
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


def operations(robot: Robot, extra: Sequence[Term]) -> dict[str, int]:
    """Scalar operations of one evaluation."""
    return program(robot, extra).operations


def compile_law(robot: Robot, extra: Sequence[Term], dtype: str):
    """The law through the same door as `kinematics.compile`."""
    if not extra:
        import kinematics

        return kinematics.compile(lean_bodies(robot), "aba", dtype=dtype)
    return compile_trace(program(robot, extra), dtype=dtype)


def export(robot: Robot, extra: Sequence[Term], target: str) -> str:
    """The law as text. Raises ValueError for an unknown target."""
    if target not in TARGETS:
        raise ValueError(f"expected a target of {TARGETS}, found {target!r}")
    if target == "sympy":
        return _sympy_source(robot, extra)
    if target == "latex":
        return _latex(robot, extra)
    return program(robot, extra).source(target)


def _sympy_source(robot: Robot, extra: Sequence[Term]) -> str:
    """A Python module that builds the SymPy objects of the law."""
    held = derive(robot)
    every = [s for group in held.symbols.values() for s in group]
    lines = [
        "from sympy import *",
        "",
        f"{', '.join(s.name for s in every)} = symbols("
        f"'{' '.join(s.name for s in every)}', real=True)",
    ]
    lines += [f"{s} = {sympy.sstr(e, full_prec=True)}" for s, e in held.intermediates]
    for name in ("mass_matrix", "bias", "potential", "lagrangian"):
        lines.append(f"{name} = {sympy.sstr(getattr(held, name), full_prec=True)}")
    terms = ", ".join(sympy.sstr(t.expression, full_prec=True) for t in extra)
    lines.append(f"terms = [{terms}]  # added to mass_matrix * a + bias = tau, on the left")
    return "\n".join(lines) + "\n"


def _latex(robot: Robot, extra: Sequence[Term]) -> str:
    held = derive(robot)
    lines = [r"\tau &= H(q)\,a + b(q, v)" + (r" + f(q, v, a, \tau)" if extra else "")]
    for s, e in held.intermediates:
        lines += latex.equation(sympy.latex(s), e)
    lines += latex.equation("H(q)", held.mass_matrix)
    lines += latex.equation("V(q)", held.potential)
    lines += latex.equation("b(q, v)", held.bias)
    if extra:
        force = sum((t.expression for t in extra), sympy.zeros(robot.nv, 1))
        lines += latex.equation(r"f(q, v, a, \tau)", force)
    # Long derivations go over pages: align* may break between its lines.
    body = " \\\\\n".join(lines)
    return "\\allowdisplaybreaks\n\\begin{align*}\n" + body + "\n\\end{align*}\n"


def passes(robot: Robot, extra: Sequence[Term]) -> str:
    """The law as passes over its tree. The recursion is the family's own, not a finding."""
    lines = ["tree:"]
    for i, (name, kind, parent) in enumerate(
        zip(robot.joint_names, robot.kinds, robot.parents, strict=True)
    ):
        above = "base" if parent < 0 else robot.joint_names[parent]
        lines.append(f"  {i + 1}  {name} ({kind}) on {above}")
    lines += [
        "outward, from the base:",
        "  twist_i = X_i twist_p + S_i v_i",
        "  acc_i   = X_i acc_p + S_i a_i + twist_i × S_i v_i          (acc_base = -gravity)",
        "  f_i     = I_i acc_i + twist_i ×* I_i twist_i",
        "inward, from the leaves:",
        "  tau_i   = S_iᵀ f_i + joint terms",
        "  f_p    += X_iᵀ f_i",
    ]
    if extra:
        lines.append("beside the tree:")
        lines += [f"  {t.name}: {sympy.sstr(t.expression.T.evalf(6))}" for t in extra]
    return "\n".join(lines)


def markdown(law: RigidBodyLaw) -> str:
    """How a law shows itself in a notebook."""
    lines = [f"**{law.family}** on *{law.robot.name}*, {law.complexity}"]
    if law.domain is not None:
        reach = ", ".join(
            f"{axis} {'≥ ' if axis in law.domain.at_least else ''}{r:.2g}×"
            for axis, r in law.domain.reach.items()
        )
        lines.append(f"holds to {law.domain.tolerance:.0%} out to {reach} half-widths")
    if law.robot.nv <= FLAT_JOINTS and law.robot.nq == law.robot.nv:
        short = {n: _rounded(getattr(law, n)) for n in ("mass_matrix", "potential")}
        lines.append(f"$$H = {sympy.latex(short['mass_matrix'])}$$")
        lines.append(f"$$V = {sympy.latex(short['potential'])}$$")
    lines += [f"$${sympy.latex(_rounded(t))}$$" for t in law.terms]
    return "\n\n".join(lines)


def _rounded(expression: Any) -> Any:
    return expression.evalf(5)
