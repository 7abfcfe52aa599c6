"""Programs to SymPy and back: named intermediates, flat trigonometric sums for small robots, and
SymPy expressions as nodes of an expression graph.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinematics.programs.graph import CONDITIONS, UNARY, Graph, Node
from kinematics.programs.program import TRIG, Program, ProgramError

FLAT_PRODUCTS = 250_000  # seconds of SymPy
ROUNDING = 1e-13


@dataclass(frozen=True, kw_only=True)
class SympyForm:
    """A program in SymPy.

    ``symbols`` by name (q1, v1, tau1, m1, …); ``intermediates`` as (symbol, expression) in order,
    each used more than once; ``outputs`` a Matrix, or one expression for an energy, in terms of
    both.
    """

    symbols: dict[str, Any]
    intermediates: list[tuple[Any, Any]]
    outputs: Any

    def substituted(self) -> Any:
        """The outputs with all intermediates put in, nothing else done."""
        values: dict[Any, Any] = {}
        for symbol, expression in self.intermediates:
            values[symbol] = expression.xreplace(values)
        return self.outputs.xreplace(values)

    @functools.cached_property
    def products(self) -> int:
        """How many products `flat` writes down before it collects like ones: its cost."""
        import sympy

        known: dict[Any, int] = {}

        def count(e: Any) -> int:
            if e not in known:
                inner = [count(x) for x in e.args]
                whole = e.is_Pow and e.exp.is_Integer
                known[e] = (
                    sum(inner)
                    if e.is_Add
                    else math.prod(inner)
                    if e.is_Mul
                    else inner[0] ** abs(int(e.exp))
                    if whole
                    else 2  # of exponentials of an angle
                    if isinstance(e, sympy.sin | sympy.cos)
                    else 1
                )
            return known[e]

        for symbol, expression in self.intermediates:
            known[symbol] = count(expression)
        return sum(count(e) for e in np.ravel(self.outputs))

    def flat(self, most: int = FLAT_PRODUCTS) -> Any:
        """The outputs without intermediates, as sums of sines and cosines of sums of angles.

        That is the form in which a person writes a small robot down: the mass matrix of the
        double pendulum is ``a + b·cos(q2)``. Numerical coefficients below 1e-13 of the largest
        are rounding and are left out. Raises ProgramError above ``most`` `products`, where flat
        forms explode; use ``intermediates`` there.
        """
        import sympy

        if self.products > most:
            raise ProgramError(
                f"expected a flat form of at most {most:,} products, found {self.products:,}; "
                "use intermediates and outputs"
            )
        inner = self.substituted()
        angles = sorted(
            {s for f in inner.atoms(sympy.sin, sympy.cos) for s in f.args[0].free_symbols},
            key=lambda s: (len(s.name), s.name),
        )
        if isinstance(inner, sympy.MatrixBase):
            return inner.applyfunc(lambda e: flat_fraction(e, angles))
        return flat_fraction(inner, angles)


def flat_fraction(expression: Any, angles: list[Any]) -> Any:
    """A quotient (or a sum) of trigonometric polynomials, each in Fourier form."""
    import sympy

    top, bottom = sympy.fraction(sympy.together(expression))
    if not bottom.free_symbols:
        return fourier(expression, angles)
    above, below = fourier(top, angles), fourier(bottom, angles)
    scale = max((abs(c) for c in _numbers(below)), default=1)
    if scale:
        above, below = sympy.expand(above / scale), sympy.expand(below / scale)
    return above / below


def _numbers(expression: Any) -> list[Any]:
    import sympy

    terms = sympy.Add.make_args(expression)
    return [c for c in (t.as_coeff_Mul()[0] for t in terms) if c.is_number]


def fourier(expression: Any, angles: list[Any]) -> Any:
    """A polynomial in sines and cosines of ``angles`` as a sum over sums of angles."""
    import sympy

    trigonometry = {a: sympy.Symbol(f"_z{k}", nonzero=True) for k, a in enumerate(angles)}
    half = sympy.Rational(1, 2)
    swap = {}
    for a, z in trigonometry.items():
        swap[sympy.cos(a)] = half * (z + 1 / z)
        swap[sympy.sin(a)] = -half * sympy.I * (z - 1 / z)
    expanded = sympy.expand(expression.xreplace(swap))
    harmonics: dict[tuple[int, ...], Any] = {}
    for term in sympy.Add.make_args(expanded):
        powers = term.as_powers_dict()
        key = tuple(int(powers.get(z, 0)) for z in trigonometry.values())
        rest = term / sympy.prod([z**k for z, k in zip(trigonometry.values(), key, strict=True)])
        harmonics[key] = harmonics.get(key, 0) + rest
    total = sympy.Integer(0)
    for key, coefficient in harmonics.items():
        lead = next((k for k in key if k), 0)
        if lead < 0:
            continue
        if not lead:
            total += sympy.expand(coefficient)
            continue
        other = harmonics.get(tuple(-k for k in key), sympy.Integer(0))
        angle = sum(k * a for k, a in zip(key, angles, strict=True))
        even = sympy.expand(coefficient + other)
        odd = sympy.expand(sympy.I * (coefficient - other))
        total += sympy.expand(even * sympy.cos(angle) + odd * sympy.sin(angle))
    return _without_rounding(total)


def _without_rounding(total: Any) -> Any:
    """Drop the terms that are rounding, and whole numbers' trailing zeros."""
    import sympy

    terms = [t.as_coeff_Mul() for t in sympy.Add.make_args(sympy.expand(total))]
    largest = max((abs(c) for c, _ in terms), default=0)
    kept = [
        (sympy.Integer(round(c)) if c.is_Float and c == round(c) and abs(c) < 1e6 else c) * rest
        for c, rest in terms
        if abs(c) > ROUNDING * largest
    ]
    return sympy.Add(*kept)


def sympy_form(program: Program) -> SympyForm:
    """``program`` as a `SympyForm`."""
    import sympy

    functions = {
        "asin": sympy.asin,
        "acos": sympy.acos,
        "atan": sympy.atan,
        "abs": sympy.Abs,
        "min": sympy.Min,
        "max": sympy.Max,
        "atan2": sympy.atan2,
        "lt": sympy.Lt,
        "le": sympy.Le,
        "eq": sympy.Eq,
        "and": sympy.And,
        "or": sympy.Or,
        "not": sympy.Not,
    }
    symbols = {
        str(n.value): sympy.Symbol(str(n.value), real=True) for p in program.ports for n in p.nodes
    }
    uses: dict[int, int] = {}
    for node in program.nodes:
        for arg in node.args:
            uses[arg.id] = uses.get(arg.id, 0) + 1
    for node in program.outputs.ravel():
        uses[node.id] = uses.get(node.id, 0) + 1
    value: dict[int, Any] = {}
    intermediates: list[tuple[Any, Any]] = []

    def build(node: Node) -> Any:
        args = [value[a.id] for a in node.args]
        match node.op:
            case "const":
                whole = float(node.value).is_integer() and abs(node.value) < 1e6
                return sympy.Integer(int(node.value)) if whole else sympy.Float(node.value)
            case "input":
                return symbols[str(node.value)]
            case "add":
                return args[0] + args[1]
            case "sub":
                return args[0] - args[1]
            case "mul":
                return args[0] * args[1]
            case "div":
                return args[0] / args[1]
            case "neg":
                return -args[0]
            case "pow":
                return args[0] ** args[1]
            case "select":
                return sympy.Piecewise((args[1], args[0]), (args[2], True))
            case "entry":
                whole = enumerate(node.value)
                return sympy.Piecewise(*((sympy.Float(x), sympy.Eq(args[0], k)) for k, x in whole))
        function = functions.get(node.op) or getattr(sympy, node.op)
        return function(*args)

    for node in program.nodes:
        expression = build(node)
        plain = node.op in ("const", "input", "neg") or (
            node.op in TRIG and node.args[0].op == "input"
        )
        plain = plain or node.op in CONDITIONS  # a symbol is a number
        if uses[node.id] > 1 and not plain:
            symbol = sympy.Symbol(f"x{len(intermediates) + 1}", real=True)
            intermediates.append((symbol, expression))
            expression = symbol
        value[node.id] = expression
    flat = [value[n.id] for n in program.outputs.ravel()]
    shape = program.outputs.shape
    if shape == ():
        outputs: Any = flat[0]
    else:
        rows = shape[0]
        outputs = sympy.Matrix(rows, int(np.prod(shape[1:], dtype=int)), flat)
    return SympyForm(symbols=symbols, intermediates=intermediates, outputs=outputs)


def latex_source(program: Program) -> str:
    """The program as a LaTeX ``align*``: intermediates first, then the outputs."""
    import sympy

    form = sympy_form(program)
    lines = [f"{sympy.latex(s)} &= {sympy.latex(e)}" for s, e in form.intermediates]
    letter = {"rnea": r"\tau", "bias": r"\tau", "aba": "a", "crba": "H"}.get(program.name, "y")
    if isinstance(form.outputs, sympy.MatrixBase):
        rows, columns = form.outputs.shape
        for i in range(rows):
            for j in range(columns):
                index = f"{i + 1}" if columns == 1 else f"{i + 1},{j + 1}"
                lines.append(f"{letter}_{{{index}}} &= {sympy.latex(form.outputs[i, j])}")
    else:
        lines.append(f"{letter} &= {sympy.latex(form.outputs)}")
    return "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}\n"


def nodes_from_sympy(expressions: list[Any], graph: Graph, symbols: dict[str, Node]) -> list[Node]:
    """Nodes of SymPy expressions whose symbols are named in ``symbols``."""
    import sympy

    names = {"Abs": "abs", "Min": "min", "Max": "max"}
    known: dict[Any, Node] = {}

    def convert(e: Any) -> Node:
        if e not in known:
            known[e] = build(e)
        return known[e]

    def build(e: Any) -> Node:
        if e.is_Symbol:
            if e.name not in symbols:
                raise ProgramError(
                    f"expected the symbols {', '.join(list(symbols)[:4])}, …; found {e.name}"
                )
            return symbols[e.name]
        if e.is_number:
            return graph.const(float(e))
        args = e.args
        if e.is_Add:
            total = convert(args[0])
            for a in args[1:]:
                total = total + convert(a)
            return total
        if e.is_Mul:
            top, bottom = sympy.fraction(e, exact=True)
            if bottom != 1:
                return convert(top) / convert(bottom)
            product = convert(args[0])
            for a in args[1:]:
                product = product * convert(a)
            return product
        if e.is_Pow:
            if e.base is sympy.E:
                return graph.call("exp", convert(e.exp))
            return convert(e.base) ** convert(e.exp)
        name = type(e).__name__
        name = names.get(name, name)
        if name in UNARY and len(args) == 1:
            return graph.call(name, convert(args[0]))
        if name in ("min", "max", "atan2"):
            total = convert(args[0])
            for a in args[1:]:
                total = graph.call2(name, total, convert(a))
            return total
        raise ProgramError(f"expected elementary functions, found {name} in {e}")

    return [convert(sympy.sympify(e)) for e in expressions]


def extra_nodes(
    extra_force: Sequence[Any], nv: int, graph: Graph, ports: dict[str, Any]
) -> list[Node]:
    """The nodes of nv joint forces given in SymPy; their symbols are the columns of ``ports``."""
    if len(extra_force) != nv:
        raise ProgramError(f"expected {nv} expressions in extra_force, found {len(extra_force)}")
    symbols = {str(n.value): n for nodes in ports.values() for n in nodes}
    return nodes_from_sympy(list(extra_force), graph, symbols)
