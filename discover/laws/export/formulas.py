"""A rigid-body law as formulas and source text, all from one trace of the recursions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy

from discover.judgement.thresholds import whole
from discover.laws.export import latex
from discover.laws.export.straight_line import program
from discover.laws.extensions import LawExtension, of_kind
from discover.laws.extensions.surrogate_trigonometry import SurrogateTrigonometry
from discover.laws.extensions.tabulated import Table
from discover.laws.extensions.terms import Term, symbols
from kinematics import Robot
from kinematics.programs import trace

TARGETS = ("sympy", "python", "torch", "jax", "c", "latex")
_FLAT_JOINTS = whole("fit.flat_joints")
_FLAT_OPERATIONS = whole("fit.flat_operations")
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


def has_flat_formulas(robot: Robot) -> bool:
    """Whether formulas without intermediates are short enough: few joints, or few operations."""
    if robot.nq != robot.nv:
        return False
    if robot.nv <= _FLAT_JOINTS:
        return True
    programs = (trace(robot, name) for name in ("crba", "bias", "potential"))
    return sum(p.operations["mul"] + p.operations["add"] for p in programs) <= _FLAT_OPERATIONS


def derive(robot: Robot, trigonometry: SurrogateTrigonometry | None = None) -> Formulas:
    """H, bias, potential and Lagrangian of `robot`.

    Flat where `has_flat_formulas`; elsewhere flat forms explode (a 6R arm's mass matrix has 1,913
    Fourier terms) and the entries are written in `intermediates`.
    """
    if trigonometry is not None:
        return _derive_with_surrogates(robot, trigonometry)
    # Quaternions make more coordinates than velocities.
    names = symbols(robot.nv) | {"q": symbols(robot.nq)["q"]}
    flat = has_flat_formulas(robot)
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


def _derive_with_surrogates(robot: Robot, trigonometry: SurrogateTrigonometry) -> Formulas:
    """The formulas of bodies with surrogate trigonometry: no potential, no Lagrangian."""
    names = symbols(robot.nv)
    v, a = sympy.Matrix(names["v"]), sympy.Matrix(names["a"])
    plain = trace(robot, "rnea").sympy().substituted()
    forces = trigonometry.substituted(plain)
    still, rest = dict.fromkeys(a, 0), dict.fromkeys([*a, *v], 0)

    def of(part: str) -> Any:
        return forces if part in trigonometry.parts else plain

    gravity, moving = of("gravity").subs(rest), of("velocity").subs(still)
    H = of("inertia").jacobian(a).subs(dict.fromkeys(v, 0))
    if trigonometry.composites and "inertia" in trigonometry.parts:
        H = trigonometry.substituted(trace(robot, "crba").sympy().substituted())
    b = gravity + moving - of("velocity").subs(rest)
    return Formulas(
        symbols=names,
        intermediates=[],
        mass_matrix=H.applyfunc(sympy.expand),
        bias=b.applyfunc(sympy.expand),
        potential=sympy.nan,
        lagrangian=sympy.nan,
    )


def tidy(expression: sympy.Expr) -> sympy.Expr:
    """The expression without summands whose coefficient is rounding beside the largest."""
    parts = [t.as_coeff_Mul() for t in sympy.Add.make_args(sympy.expand(expression))]
    largest = max((abs(c) for c, _ in parts), default=0)
    return sympy.Add(*(c * rest for c, rest in parts if abs(c) > ROUNDING * largest))


def export(robot: Robot, extensions: Sequence[LawExtension], target: str) -> str:
    """The law as text. Raises ValueError for an unknown target."""
    if target not in TARGETS:
        raise ValueError(f"expected a target of {TARGETS}, found {target!r}")
    if target == "sympy":
        return _sympy_source(robot, extensions)
    if target == "latex":
        return _latex(robot, extensions)
    return program(robot, extensions).source(target)


def _sympy_source(robot: Robot, extensions: Sequence[LawExtension]) -> str:
    """A Python module that builds the SymPy objects of the law."""
    held = derive(robot, next(iter(of_kind(extensions, SurrogateTrigonometry)), None))
    every = [s for group in held.symbols.values() for s in group]
    lines = [
        "from sympy import *",
        "",
        f"{', '.join(s.name for s in every)} = symbols("
        f"'{' '.join(s.name for s in every)}', real=True)",
    ]
    for table in dict.fromkeys(t for x in extensions for t in x.tables if isinstance(t, Table)):
        samples = list(zip(table.z, table.values, strict=True))
        lines.append(f"{table.name} = Function({table.name!r}, real=True)")
        lines.append(f"{table.name}_samples = {samples}  # a cubic spline, straight beyond them")
    lines += [f"{s} = {sympy.sstr(e, full_prec=True)}" for s, e in held.intermediates]
    for name in ("mass_matrix", "bias", "potential", "lagrangian"):
        lines.append(f"{name} = {sympy.sstr(getattr(held, name), full_prec=True)}")
    terms = ", ".join(sympy.sstr(t.expression, full_prec=True) for t in of_kind(extensions, Term))
    lines.append(f"terms = [{terms}]  # added to mass_matrix * a + bias = tau, on the left")
    for signal, rows in (item for x in extensions for item in x.rows_by_signal.items()):
        text = sympy.sstr(list(rows), full_prec=True)
        if signal == "a":
            lines.append(f"a_output = {text}  # of the law, where a are the bodies' accelerations")
        else:
            lines.append(f"{signal}_input = {text}  # of the bodies, in the place of {signal}")
    return "\n".join(lines) + "\n"


def _latex(robot: Robot, extensions: Sequence[LawExtension]) -> str:
    held = derive(robot, next(iter(of_kind(extensions, SurrogateTrigonometry)), None))
    terms = of_kind(extensions, Term)
    lines = [r"\tau &= H(q)\,a + b(q, v)" + (r" + f(q, v, a, \tau)" if terms else "")]
    for s, e in held.intermediates:
        lines += latex.equation(sympy.latex(s), e)
    lines += latex.equation("H(q)", held.mass_matrix)
    lines += latex.equation("V(q)", held.potential)
    lines += latex.equation("b(q, v)", held.bias)
    if terms:
        force = sum((t.expression for t in terms), sympy.zeros(robot.nv, 1))
        lines += latex.equation(r"f(q, v, a, \tau)", force)
    functions = [x for x in extensions if x.rows_by_signal]
    for equation in (e for x in functions for e in x.equations):
        lines += latex.equation(sympy.latex(equation.lhs), equation.rhs)
    # Long derivations go over pages: align* may break between its lines.
    body = " \\\\\n".join(lines)
    return "\\allowdisplaybreaks\n\\begin{align*}\n" + body + "\n\\end{align*}\n"
