"""Basis functions from an engine of symbolic regression, where the library has none good enough.

The flexible function is sampled, the engine writes a front of formulas, and their numbers become
free constants: such a formula is a start, to be optimised like any function of the library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy
import torch

from discover.errors import RecipeError
from discover.judgement.thresholds import whole
from discover.laws.regression.engines import ENGINES, Engine, Operon
from discover.laws.regression.formula_constants import representable
from discover.laws.search.basis_functions import BasisFunction, SympyFunctions
from discover.laws.search.basis_search import (
    BasisExpansion,
    Length,
    Target,
    with_optimised_constants,
)
from discover.laws.search.pair_fit import FlexiblePair

_SAMPLES = whole("search.engine_samples")
_SYMBOLS, _CONSTANTS = whole("search.engine_symbols"), whole("search.engine_constants")
_TRIED = whole("search.engine_formulas")
_IDLE = 1e-5  # a summand this small beside the largest is rounding
_U = sympy.Symbol("u", real=True)


def engine_named(name: str) -> Engine | None:
    """The engine beside the basis functions: "auto" is Operon where installed, "sparse" is none.

    Raises RecipeError for a name that is no engine. "auto" starts no download.
    """
    if name == "auto":
        return Operon(generations=40, population=500, length=26) if Operon.available() else None
    if name not in ENGINES:
        raise RecipeError(f"expected an engine of auto, {', '.join(ENGINES)}, found {name!r}")
    return None if name == "sparse" else ENGINES[name]()


def engine_functions(
    engine: Engine, smooth: FlexiblePair, fine: Target, length: Length, keep: int, seed: int = 0
) -> list[BasisExpansion]:
    """The engine's formulas for the flexible function, constants optimised, shortest first."""
    z = np.unique(fine.z)
    z = z[np.linspace(0, len(z) - 1, min(len(z), _SAMPLES)).round().astype(int)]
    y = (smooth.basis(torch.from_numpy(z)) @ smooth.joined.coefficients).numpy()
    size = float(np.abs(y).max())
    if not np.isfinite(size) or size == 0.0:
        return []
    front = engine.fit((z / fine.size)[:, None], y / size, [_U], seed)
    functions = [basis_function_of(m.expression) for m in front.members if m.symbols <= _SYMBOLS]
    usable = [s for s in functions if s is not None][-_TRIED:]
    out = []
    for function, constants in usable:
        one = with_optimised_constants(fine, (function,), (constants,), length)
        if np.isfinite(one.length):
            out.append(one)
    return sorted(out, key=lambda f: f.length)[:keep]


def basis_function_of(formula: sympy.Expr) -> tuple[BasisFunction, tuple[float, ...]] | None:
    """A formula in u as a basis function, and its constants; None without u or with too many."""
    formula = representable(_tidy(formula))
    _, formula = formula.as_coeff_Mul()  # the coefficient is fitted with the bodies
    numbers = sorted(formula.atoms(sympy.Float), key=sympy.default_sort_key)
    if not formula.has(_U) or len(numbers) > _CONSTANTS or formula.has(sympy.I, sympy.zoo):
        return None
    names = [sympy.Symbol(f"k{i}", real=True) for i in range(len(numbers))]
    template = formula.xreplace(dict(zip(numbers, names, strict=True)))
    evaluate = sympy.lambdify((_U, *names), template, "numpy")
    constants = tuple(float(x) for x in numbers)
    function = BasisFunction(
        name=str(template),
        function=_reading(template, names, evaluate),
        grids=tuple((c,) for c in constants),
        cost=sum(1 for _ in sympy.preorder_traversal(template)),
    )
    return function, constants


def _reading(
    template: sympy.Expr, names: list[sympy.Symbol], evaluate: Callable[..., Any]
) -> Callable[..., Any]:
    def function(m: Any, u: Any, *constants: Any) -> Any:
        if m is SympyFunctions:
            return template.xreplace({_U: u, **dict(zip(names, constants, strict=True))})
        return evaluate(u, *constants)

    return function


def _tidy(formula: sympy.Expr) -> sympy.Expr:
    """Summands that are rounding left out, numbers that are whole made so."""
    parts = sympy.Add.make_args(formula)
    sizes = [abs(float(p.as_coeff_Mul()[0])) for p in parts]
    kept = [p for p, s in zip(parts, sizes, strict=True) if s > _IDLE * max(sizes)]
    formula = sympy.Add(*kept)
    whole = {
        x: sympy.Integer(round(float(x)))
        for x in formula.atoms(sympy.Float)
        if abs(float(x) - round(float(x))) < 1e-6 and round(float(x)) != 0
    }
    return formula.xreplace(whole)
