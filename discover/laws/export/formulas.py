"""A rigid-body law as formulas and source text, all from one trace of the recursions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sympy

from discover.laws.export import latex
from discover.laws.export.straight_line import program
from discover.laws.extensions.io_nonlinearity import StaticNonlinearity
from discover.laws.extensions.surrogate_trigonometry import SurrogateTrigonometry
from discover.laws.extensions.terms import Term, symbols
from kinematics import Robot
from kinematics.programs import trace

if TYPE_CHECKING:
    from discover.laws.rigid_body.law import RigidBodyLaw

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


def derive(robot: Robot, trigonometry: SurrogateTrigonometry | None = None) -> Formulas:
    """H, bias, potential and Lagrangian of `robot`, flat up to three joints.

    Beyond that the flat forms explode (a 6R arm's mass matrix has 1,913 Fourier terms): there the
    entries are written in `intermediates`.
    """
    if trigonometry is not None:
        return _derive_turned(robot, trigonometry)
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


def _derive_turned(robot: Robot, trigonometry: SurrogateTrigonometry) -> Formulas:
    """The same of bodies that turn by other functions: these have no potential, nor Lagrangian."""
    names = symbols(robot.nv)
    v, a = sympy.Matrix(names["v"]), sympy.Matrix(names["a"])
    plain = trace(robot, "rnea").sympy().substituted()
    forces = trigonometry.written(plain)
    still, rest = dict.fromkeys(a, 0), dict.fromkeys([*a, *v], 0)

    def of(part: str) -> Any:
        return forces if part in trigonometry.parts else plain

    gravity, moving = of("gravity").subs(rest), of("velocity").subs(still)
    H = of("inertia").jacobian(a).subs(dict.fromkeys(v, 0))
    if trigonometry.composites and "inertia" in trigonometry.parts:
        H = trigonometry.written(trace(robot, "crba").sympy().substituted())
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
    """Leave out summands whose coefficient is rounding beside the largest."""
    parts = [t.as_coeff_Mul() for t in sympy.Add.make_args(sympy.expand(expression))]
    largest = max((abs(c) for c, _ in parts), default=0)
    return sympy.Add(*(c * rest for c, rest in parts if abs(c) > ROUNDING * largest))


def export(
    robot: Robot,
    extra: Sequence[Term],
    target: str,
    nonlinearities: Sequence[StaticNonlinearity] = (),
    trigonometry: SurrogateTrigonometry | None = None,
) -> str:
    """The law as text. Raises ValueError for an unknown target."""
    if target not in TARGETS:
        raise ValueError(f"expected a target of {TARGETS}, found {target!r}")
    if target == "sympy":
        return _sympy_source(robot, extra, nonlinearities, trigonometry)
    if target == "latex":
        return _latex(robot, extra, nonlinearities, trigonometry)
    return program(robot, extra, nonlinearities, trigonometry).source(target)


def _sympy_source(
    robot: Robot,
    extra: Sequence[Term],
    nonlinearities: Sequence[StaticNonlinearity],
    trigonometry: SurrogateTrigonometry | None,
) -> str:
    """A Python module that builds the SymPy objects of the law."""
    held = derive(robot, trigonometry)
    every = [s for group in held.symbols.values() for s in group]
    lines = [
        "from sympy import *",
        "",
        f"{', '.join(s.name for s in every)} = symbols("
        f"'{' '.join(s.name for s in every)}', real=True)",
    ]
    parts = (*extra, *nonlinearities, *(() if trigonometry is None else (trigonometry,)))
    for table in dict.fromkeys(t for part in parts for t in part.tables):
        samples = list(zip(table.z, table.values, strict=True))
        lines.append(f"{table.name} = Function({table.name!r}, real=True)")
        lines.append(f"{table.name}_samples = {samples}  # a cubic spline, straight beyond them")
    lines += [f"{s} = {sympy.sstr(e, full_prec=True)}" for s, e in held.intermediates]
    for name in ("mass_matrix", "bias", "potential", "lagrangian"):
        lines.append(f"{name} = {sympy.sstr(getattr(held, name), full_prec=True)}")
    terms = ", ".join(sympy.sstr(t.expression, full_prec=True) for t in extra)
    lines.append(f"terms = [{terms}]  # added to mass_matrix * a + bias = tau, on the left")
    for c in nonlinearities:
        rows = sympy.sstr(list(c.rows), full_prec=True)
        told = "answered for a" if c.place == "a" else f"felt of {c.place}"
        lines.append(f"{c.place}_channel = {rows}  # what is {told}")
    return "\n".join(lines) + "\n"


def _latex(
    robot: Robot,
    extra: Sequence[Term],
    nonlinearities: Sequence[StaticNonlinearity],
    trigonometry: SurrogateTrigonometry | None,
) -> str:
    held = derive(robot, trigonometry)
    lines = [r"\tau &= H(q)\,a + b(q, v)" + (r" + f(q, v, a, \tau)" if extra else "")]
    for s, e in held.intermediates:
        lines += latex.equation(sympy.latex(s), e)
    lines += latex.equation("H(q)", held.mass_matrix)
    lines += latex.equation("V(q)", held.potential)
    lines += latex.equation("b(q, v)", held.bias)
    if extra:
        force = sum((t.expression for t in extra), sympy.zeros(robot.nv, 1))
        lines += latex.equation(r"f(q, v, a, \tau)", force)
    for equation in (e for c in nonlinearities for e in c.equations):
        lines += latex.equation(sympy.latex(equation.lhs), equation.rhs)
    # Long derivations go over pages: align* may break between its lines.
    body = " \\\\\n".join(lines)
    return "\\allowdisplaybreaks\n\\begin{align*}\n" + body + "\n\\end{align*}\n"


def passes(
    robot: Robot,
    extra: Sequence[Term],
    nonlinearities: Sequence[StaticNonlinearity] = (),
    trigonometry: SurrogateTrigonometry | None = None,
) -> str:
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
    if trigonometry is not None:
        lines.append(f"turns: {trigonometry.in_words}")
    if nonlinearities:
        lines.append("between the bodies and the question:")
        lines += [f"  {c.in_words}" for c in nonlinearities]
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
