"""A rigid-body law as formulas and source text, all from one trace of the recursions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy
import torch

from discover.errors import LawError
from discover.judgement.thresholds import whole
from discover.laws.export import latex
from discover.laws.export.straight_line import program
from discover.laws.extensions import LawExtension, of_kind
from discover.laws.extensions.surrogate_trigonometry import SurrogateTrigonometry
from discover.laws.extensions.tabulated import Table
from discover.laws.extensions.terms import Term, joint_shapes, symbols
from kinematics import Robot
from kinematics.programs import trace
from kinematics.programs.symbolic import SympyForm

TARGETS = ("sympy", "python", "torch", "jax", "c", "latex")
_FLAT_PRODUCTS = whole("fit.flat_products")
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
    """Whether formulas without intermediates take no longer than a few seconds to write down."""
    return _are_flat(robot, [trace(robot, what).sympy() for what in ("crba", "potential")])


def _are_flat(robot: Robot, forms: Sequence[SympyForm]) -> bool:
    return robot.nq == robot.nv and all(form.products <= _FLAT_PRODUCTS for form in forms)


def derive(
    robot: Robot,
    trigonometry: SurrogateTrigonometry | None = None,
    smallest_force: float = 0.0,
) -> Formulas:
    """H, bias, potential and Lagrangian of `robot`.

    In flat formulas summands are left out that are rounding beside the largest of all entries, and
    forces below `smallest_force` [N·m | N], which whatever `robot` was fitted to does not show.

    Flat where `has_flat_formulas`; elsewhere flat forms explode (a 6R arm's mass matrix has 1,913
    Fourier terms) and the entries are written in `intermediates`.
    """
    if trigonometry is not None:
        return _derive_with_surrogates(robot, trigonometry)
    # Quaternions make more coordinates than velocities.
    names = symbols(robot.nv) | {"q": symbols(robot.nq)["q"]}
    velocity = sympy.Matrix(names["v"])
    mass_matrix, potential = (trace(robot, what).sympy() for what in ("crba", "potential"))
    intermediates: list[tuple[sympy.Symbol, sympy.Expr]] = []
    if _are_flat(robot, (mass_matrix, potential)):
        H, V = mass_matrix.flat(_FLAT_PRODUCTS), potential.flat(_FLAT_PRODUCTS)
        inertia = _largest(H)
        H = H.applyfunc(lambda e: tidy(e, inertia))
        c = _lagranges_bias(robot, H, V, names)
        force = max(_largest(c), _largest(V))
        c, V = c.applyfunc(lambda e: tidy(e, force)), tidy(V, force)
        c = c.applyfunc(lambda e: _shown(e, smallest_force, set(velocity)))
        V = _shown(V, smallest_force, set())
        kinetic = sympy.expand((velocity.T * H * velocity)[0] / 2)
    else:
        outputs = []
        bias = trace(robot, "bias").sympy()
        for form, prefix in ((mass_matrix, "h"), (bias, "b"), (potential, "u")):
            rename = {
                s: sympy.Symbol(f"{prefix}{s.name[1:]}", real=True) for s, _ in form.intermediates
            }
            intermediates.extend((rename[s], e.xreplace(rename)) for s, e in form.intermediates)
            outputs.append(form.outputs.xreplace(rename))
        H, c, V = outputs
        kinetic = (velocity.T * H * velocity)[0] / 2
    return Formulas(
        symbols=names,
        intermediates=intermediates,
        mass_matrix=H,
        bias=c,
        potential=V,
        lagrangian=kinetic - V,
    )


def _lagranges_bias(
    robot: Robot, H: sympy.Matrix, V: sympy.Expr, names: dict[str, tuple[sympy.Symbol, ...]]
) -> sympy.Matrix:
    """The forces at a = 0 by Lagrange's equations, d/dt(H v) - ∂(½ vᵀ H v - V)/∂q, with damping and
    friction beside them: seconds where expanding the recursion takes minutes."""
    v = sympy.Matrix(names["v"])
    slopes = [H.diff(x) for x in names["q"]]
    turning = sum((s * x for s, x in zip(slopes, v, strict=True)), sympy.zeros(*H.shape))
    rows = list(turning * v)
    for i, (slope, x) in enumerate(zip(slopes, names["q"], strict=True)):
        rows[i] += V.diff(x) - (v.T * slope * v)[0] / 2
    none = torch.zeros_like(robot.armature)  # rotors are in H, springs in V
    for i, shape in joint_shapes(robot.replace(armature=none, stiffness=none)):
        rows[i] += shape
    return sympy.Matrix([tidy(row) for row in rows])


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


def tidy(expression: sympy.Expr, largest: float = 0.0) -> sympy.Expr:
    """The expression without summands whose coefficient is rounding beside the largest of its own
    and of what stands beside it."""
    parts = _summands(expression)
    largest = max([largest, *(abs(c) for c, _ in parts)])
    return sympy.Add(*(c * rest for c, rest in parts if abs(c) > ROUNDING * largest))


def _summands(expression: sympy.Expr) -> list[tuple[sympy.Expr, sympy.Expr]]:
    return [t.as_coeff_Mul() for t in sympy.Add.make_args(sympy.expand(expression))]


def _largest(expressions: sympy.MatrixBase | sympy.Expr) -> float:
    """The largest coefficient of all entries."""
    entries = expressions if isinstance(expressions, sympy.MatrixBase) else [expressions]
    return max((float(abs(c)) for e in entries for c, _ in _summands(e)), default=0.0)


def _shown(expression: sympy.Expr, least: float, speeds: set[sympy.Symbol]) -> sympy.Expr:
    """The expression without forces below `least`; those that grow with speed are kept, for their
    coefficients are no forces."""
    parts = sympy.Add.make_args(expression)
    return sympy.Add(
        *(t for t in parts if t.free_symbols & speeds or abs(t.as_coeff_Mul()[0]) >= least)
    )


def export(robot: Robot, extensions: Sequence[LawExtension], target: str) -> str:
    """The law as text. Raises LawError for an unknown target."""
    if target not in TARGETS:
        raise LawError(f"expected a target of {', '.join(TARGETS)}, found {target!r}")
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
