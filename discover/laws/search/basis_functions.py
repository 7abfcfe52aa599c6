"""Basis functions of one variable: atoms, functions of atoms, products; with free constants.

Each is one Python function that runs over numpy arrays and over SymPy expressions alike. The
argument u is the feature over its largest size, so that constants of order one matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy

POSITIVE = tuple(np.geomspace(0.15, 20.0, 48))
WAVES = tuple(np.linspace(0.2, 16.0, 64))
MANY_WAVES = tuple(np.linspace(0.2, 32.0, 65))
SIGNED = tuple(np.concatenate([-np.geomspace(8.0, 0.2, 16), np.geomspace(0.2, 8.0, 16)]))
POWERS = tuple(np.linspace(0.25, 4.0, 16))
PLACES = tuple(np.linspace(-0.9, 0.9, 37))
LEVELS = tuple(np.linspace(0.04, 0.92, 34))


class NumpyFunctions:
    """What basis functions are made of, over numpy."""

    abs, sign, sqrt, exp, log = np.abs, np.sign, np.sqrt, np.exp, np.log
    sin, cos, tanh, atan, sinh, asinh = np.sin, np.cos, np.tanh, np.arctan, np.sinh, np.arcsinh
    maximum, minimum = np.maximum, np.minimum

    @staticmethod
    def erf(x: Any) -> Any:
        """The error function."""
        from scipy.special import erf  # imported late: few searches come here

        return erf(x)

    @staticmethod
    def power(x: Any, p: Any) -> Any:
        """|x|^p."""
        return np.abs(x) ** p


class SympyFunctions:
    """What basis functions are made of, over SymPy."""

    abs, sign, sqrt, exp, log = sympy.Abs, sympy.sign, sympy.sqrt, sympy.exp, sympy.log
    sin, cos, tanh, atan = sympy.sin, sympy.cos, sympy.tanh, sympy.atan
    sinh, asinh, erf = sympy.sinh, sympy.asinh, sympy.erf
    maximum, minimum = sympy.Max, sympy.Min

    @staticmethod
    def power(x: Any, p: Any) -> Any:
        """|x|^p."""
        return sympy.Abs(x) ** p


Function = Callable[..., Any]  # (functions, u, constants...) -> value
Row = tuple[Any, ...]  # the arguments of a basis function


@dataclass(frozen=True)
class BasisFunction:
    """name; function(m, u, *constants); where each constant is first looked for; symbols used.

    parity: 1 even, -1 odd, 0 neither. side: 1, -1 where it is zero for u < 0, for u > 0; else 0.
    """

    name: str
    function: Function = field(compare=False)
    grids: tuple[tuple[float, ...], ...] = ()
    cost: int = 1
    parity: int = 0
    side: int = 0
    atom: str = ""

    def values(self, u: np.ndarray, constants: Any) -> np.ndarray:
        """On samples u (n,), constants (k,) or (k, m) -> (n,) or (n, m)."""
        with np.errstate(all="ignore"):
            out = self.function(NumpyFunctions, u, *constants)
        return np.asarray(out, dtype=float) + 0 * u

    def expression(self, u: sympy.Expr, constants: Any) -> sympy.Expr:
        """As SymPy."""
        return sympy.sympify(self.function(SympyFunctions, u, *constants))


def _atoms() -> list[BasisFunction]:
    """Basis functions of one step."""
    rows: tuple[Row, ...] = (
        ("1", lambda m, u: 1 + 0 * u, (), 1, 1),
        ("u", lambda m, u: u, (), 1, -1),
        ("|u|", lambda m, u: m.abs(u), (), 2, 1),
        ("sign u", lambda m, u: m.sign(u), (), 2, -1),
        ("u²", lambda m, u: u * u, (), 3, 1),
        ("u|u|", lambda m, u: u * m.abs(u), (), 4, -1),
        ("u³", lambda m, u: u * u * u, (), 3, -1),
        ("|u|³", lambda m, u: m.abs(u) * u * u, (), 4, 1),
        ("u⁴", lambda m, u: u**4, (), 3, 1),
        ("|u|^p", lambda m, u, p: m.power(u, p), (POWERS,), 4, 1),
        ("sign(u)|u|^p", lambda m, u, p: m.sign(u) * m.power(u, p), (POWERS,), 6, -1),
        ("sin bu", lambda m, u, b: m.sin(b * u), (WAVES,), 4, -1),
        ("cos bu", lambda m, u, b: m.cos(b * u), (WAVES,), 4, 1),
        ("tanh bu", lambda m, u, b: m.tanh(b * u), (POSITIVE,), 4, -1),
        ("atan bu", lambda m, u, b: m.atan(b * u), (POSITIVE,), 4, -1),
        ("erf bu", lambda m, u, b: m.erf(b * u), (POSITIVE,), 4, -1),
        ("sinh bu", lambda m, u, b: m.sinh(b * u), (POSITIVE[:36],), 4, -1),
        ("asinh bu", lambda m, u, b: m.asinh(b * u), (POSITIVE,), 4, -1),
        ("exp bu", lambda m, u, b: m.exp(b * u), (SIGNED,), 4, 0),
        ("exp -b|u|", lambda m, u, b: m.exp(-b * m.abs(u)), (POSITIVE,), 5, 1),
        ("exp -bu²", lambda m, u, b: m.exp(-b * u * u), (POSITIVE,), 6, 1),
        ("log(1+b|u|)", lambda m, u, b: m.log(1 + b * m.abs(u)), (POSITIVE,), 7, 1),
        ("log(1+bu²)", lambda m, u, b: m.log(1 + b * u * u), (POSITIVE,), 8, 1),
        ("1/(1+b|u|)", lambda m, u, b: 1 / (1 + b * m.abs(u)), (POSITIVE,), 7, 1),
        ("1/(1+bu²)", lambda m, u, b: 1 / (1 + b * u * u), (POSITIVE,), 8, 1),
        ("√(1+bu²)", lambda m, u, b: m.sqrt(1 + b * u * u), (POSITIVE,), 8, 1),
        ("max(0,|u|-b)", lambda m, u, b: m.maximum(0 * b, m.abs(u) - b), (LEVELS,), 6, 1),
        ("min(|u|,b)", lambda m, u, b: m.minimum(b + 0 * u, m.abs(u)), (LEVELS,), 5, 1),
        ("max(0,u-b)", lambda m, u, b: m.maximum(0 * b, u - b), (PLACES,), 5, 0),
        ("|u-b|", lambda m, u, b: m.abs(u - b), (PLACES,), 4, 0),
    )
    return [BasisFunction(*row) for row in rows]


def _after(inner: BasisFunction) -> list[BasisFunction]:
    """Functions of an atom that need no constant of their own."""
    f, grids, c, p = inner.function, inner.grids, inner.cost, inner.parity
    return [
        BasisFunction(f"({inner.name})²", lambda m, u, *k: f(m, u, *k) ** 2, grids, c + 2, p * p),
        BasisFunction(f"({inner.name})³", lambda m, u, *k: f(m, u, *k) ** 3, grids, c + 2, p),
        BasisFunction(
            f"√|{inner.name}|", lambda m, u, *k: m.sqrt(m.abs(f(m, u, *k))), grids, c + 2, p * p
        ),
        BasisFunction(f"|{inner.name}|", lambda m, u, *k: m.abs(f(m, u, *k)), grids, c + 1, p * p),
    ]


def _one_sided(inner: BasisFunction) -> list[BasisFunction]:
    """An atom on one side of zero and nothing on the other: a law need not treat both signs alike.

    It is continuous at zero; a jump there is a sign beside it.
    """

    def made(side: str, sign: int) -> BasisFunction:
        def f(m: Any, u: Any, *k: Any) -> Any:
            ahead = m.maximum(0 * u, sign * u)
            return inner.function(m, ahead, *k) - inner.function(m, 0 * u, *k)

        return BasisFunction(
            f"{inner.name} {side}", f, inner.grids, inner.cost + 1, 0, sign, inner.name
        )

    return [made("above 0", 1), made("below 0", -1)]


def _around(inner: BasisFunction) -> list[BasisFunction]:
    """Functions of an atom with a constant of their own."""
    f, c, p = inner.function, inner.cost, inner.parity
    grids = tuple(g[::2] if len(g) < 20 else g[::3] for g in inner.grids)

    def made(
        name: str, g: Function, cost: int, parity: int, grid: tuple[float, ...]
    ) -> BasisFunction:
        return BasisFunction(
            name.replace("_", inner.name),
            lambda m, u, b, *k: g(m, b, f(m, u, *k)),
            (tuple(grid), *grids),
            c + cost,
            parity,
        )

    coarse, even = POSITIVE[::3], p * p
    return [
        made("sin b(_)", lambda m, b, x: m.sin(b * x), 3, p, coarse),
        made("cos b(_)", lambda m, b, x: m.cos(b * x), 3, even, coarse),
        made("tanh b(_)", lambda m, b, x: m.tanh(b * x), 3, p, coarse),
        made("erf b(_)", lambda m, b, x: m.erf(b * x), 3, p, coarse),
        made("exp b(_)", lambda m, b, x: m.exp(b * x), 3, 1 if p == 1 else 0, SIGNED[::2]),
        made("1/(1+b|_|)", lambda m, b, x: 1 / (1 + b * m.abs(x)), 6, even, coarse),
        made("log(1+b|_|)", lambda m, b, x: m.log(1 + b * m.abs(x)), 6, even, coarse),
        made("√(1+b|_|)", lambda m, b, x: m.sqrt(1 + b * m.abs(x)), 6, even, coarse),
        made("|_|^b", lambda m, b, x: m.power(x, b), 3, even, POWERS),
        made("sign(_)|_|^b", lambda m, b, x: m.sign(x) * m.power(x, b), 6, p, POWERS),
        made("max(0,|_|-b)", lambda m, b, x: m.maximum(0 * b, m.abs(x) - b), 5, even, LEVELS[::2]),
        made("1/(b+_)", lambda m, b, x: 1 / (b + x), 4, 1 if p == 1 else 0, (1.2, 1.6, 2.2, 3.0)),
    ]


def _product(first: BasisFunction, second: BasisFunction) -> BasisFunction:
    n, f, g = len(first.grids), first.function, second.function
    coarse = n + len(second.grids) > 1
    grids = tuple(
        (x[::2] if len(x) < 20 else x[::3]) if coarse else x for x in (*first.grids, *second.grids)
    )
    return BasisFunction(
        f"{first.name} · {second.name}",
        lambda m, u, *k: f(m, u, *k[:n]) * g(m, u, *k[n:]),
        grids,
        first.cost + second.cost + 1,
        first.parity * second.parity,
    )


def _phased() -> list[BasisFunction]:
    """Basis functions centred away from zero."""
    coarse, places = POSITIVE[::3], PLACES[::2]
    phases = tuple(np.linspace(0, np.pi, 9)[:-1])
    rows: tuple[Row, ...] = (
        ("sin(bu+d)", lambda m, u, b, d: m.sin(b * u + d), (MANY_WAVES, phases), 6),
        ("sin²(bu+d)", lambda m, u, b, d: m.sin(b * u + d) ** 2, (WAVES[::2], phases), 8),
        ("sin³(bu+d)", lambda m, u, b, d: m.sin(b * u + d) ** 3, (WAVES[::2], phases), 8),
        ("|sin(bu+d)|", lambda m, u, b, d: m.abs(m.sin(b * u + d)), (WAVES[::2], phases), 7),
        ("exp -b(u-d)²", lambda m, u, b, d: m.exp(-b * (u - d) ** 2), (coarse, places), 8),
        ("tanh b(u-d)", lambda m, u, b, d: m.tanh(b * (u - d)), (coarse, places), 6),
        ("atan b(u-d)", lambda m, u, b, d: m.atan(b * (u - d)), (coarse, places), 6),
        ("erf b(u-d)", lambda m, u, b, d: m.erf(b * (u - d)), (coarse, places), 6),
        ("asinh b(u-d)", lambda m, u, b, d: m.asinh(b * (u - d)), (coarse, places), 6),
        ("exp -b|u-d|", lambda m, u, b, d: m.exp(-b * m.abs(u - d)), (coarse, places), 7),
        ("1/(1+b(u-d)²)", lambda m, u, b, d: 1 / (1 + b * (u - d) ** 2), (coarse, places), 9),
        ("|u-d|^p", lambda m, u, p, d: m.power(u - d, p), (POWERS, places), 6),
        (
        "exp b sin(u+d)", lambda m, u, b, w, d: m.exp(b * m.sin(w * u + d)),
        ((-2.0, -1.0, -0.5, 0.5, 1.0, 2.0), POSITIVE[::6], phases[::2]), 9,
    ),
    )  # fmt: skip
    return [BasisFunction(*row) for row in rows]


def basis_functions() -> list[BasisFunction]:
    """All basis functions of up to two steps and three constants, simple ones first."""
    atoms = _atoms()
    bare = {s.name: s for s in atoms if not s.grids}
    free = [s for s in atoms if s.grids]
    functions = list(atoms)
    inner = [s for s in atoms if s.name not in ("1", "u", "|u|")]
    for s in inner:
        functions += _after(s)
    functions += [_product(bare[n], s) for n in ("u", "|u|", "sign u", "u²") for s in free]
    functions += _phased()
    # On one side of zero |u| and u are the same.
    alike = ("1", "u", "sign u", "u|u|", "|u|³", "sign(u)|u|^p")
    for s in atoms:
        functions += _one_sided(s) if s.parity and s.name not in alike else []
    base = [s for s in atoms if s.name not in ("1", "u", "|u|", "sign u", "u⁴", "|u|³", "u|u|")]
    for s in base:
        functions += _around(s)
    names = ("sin bu", "cos bu", "tanh bu", "exp -b|u|", "exp -bu²", "log(1+b|u|)", "1/(1+bu²)",
            "|u|^p", "sign(u)|u|^p", "exp bu")  # fmt: skip
    chosen = [s for s in free if s.name in names]
    for i, s in enumerate(chosen):
        functions += [_product(s, t) for t in chosen[i:] if s.name != t.name or "sin" in s.name]
    return functions
