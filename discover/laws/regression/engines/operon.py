"""Operon, by its Python bindings: genetic programming with coefficients fitted at every step.

A fixed number of generations and one thread, never a time limit: the same seed gives the same
front. Its constants are single precision, so what it finds is a start for a fit of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import sympy

from discover.errors import RecipeError
from discover.laws.regression.engines.contract import Engine, Front

_SYMBOLS = "add,sub,mul,div,sin,cos,exp,log,sqrt,tanh,square,abs,constant,variable"


@dataclass(frozen=True, kw_only=True)
class Operon(Engine):
    """generations × population evaluations of trees of at most `length` symbols."""

    name = "operon"
    extra = "operon"
    generations: int = 60
    population: int = 500
    length: int = 30

    @classmethod
    def available(cls) -> bool:
        """Whether pyoperon is installed."""
        return find_spec("pyoperon") is not None

    def fit(
        self, x: np.ndarray, y: np.ndarray, symbols: Sequence[sympy.Symbol], seed: int = 0
    ) -> Front:
        """See Engine.fit. Raises RecipeError where Operon is not installed."""
        self.check(x, y, symbols)
        if not self.available():
            raise RecipeError(
                "operon: expected pyoperon, found that it is not installed: "
                "pip install 'worldlaw[operon]', or use engine 'sparse'"
            )
        from pyoperon.sklearn import SymbolicRegressor

        regressor = SymbolicRegressor(
            allowed_symbols=_SYMBOLS,
            objectives=["r2", "length"],
            optimizer_iterations=5,
            max_length=self.length,
            population_size=self.population,
            generations=self.generations,
            max_evaluations=10**9,
            n_threads=1,
            random_state=seed,
        )
        # Names as X1, X2, …: Operon's own, which SymPy reads as nothing else.
        regressor.fit(np.ascontiguousarray(x, dtype=float), np.asarray(y, dtype=float))
        names = {f"X{i + 1}": s for i, s in enumerate(symbols)}
        names |= {"square": lambda e: e**2, "abs": sympy.Abs}
        found = []
        for member in regressor.pareto_front_:
            text = regressor.get_model_string(member["tree"], 17, list(names)[: len(symbols)])
            formula = sympy.sympify(text.replace("^", "**"), locals=names)
            predicted = np.broadcast_to(sympy.lambdify(symbols, formula, "numpy")(*x.T), y.shape)
            found.append((formula, float(np.sqrt(np.mean((predicted - y) ** 2)))))
        return Front.of(found)
