"""Counterfactual laws: known laws of physics, altered, hidden behind an experiment.

Nobody can know such a law by heart, so that only what the answers say can lead to it. The idea is
NewtonBench's (HKUST-KnowComp 2025); no law is taken from there. An experiment sets the variables
within their ranges and reads one number with noise; constants of nature are part of the law and are
not told, nor are units: an altered power has none that help.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sympy
from numpy.typing import NDArray

Array = NDArray[np.float64]
_BELOW, _TRIED = 0.05, 4000


@dataclass(frozen=True)
class CounterfactualLaw:
    """One law.

    domain     of physics
    depth      1: a power or a constant is another; 2: an operator, a function or a term, too;
               3: several of these at once
    canonical  the law that was altered, as text
    text       the law
    variables  name, least and largest value of each, in the order of the samples' columns
    """

    domain: str
    depth: int
    canonical: str
    text: str
    variables: tuple[tuple[str, float, float], ...]

    @property
    def name(self) -> str:
        """Unique in a list."""
        return f"{self.domain}: {self.text}"

    @cached_property
    def symbols(self) -> tuple[sympy.Symbol, ...]:
        """The variables: all are positive."""
        return tuple(sympy.Symbol(name, positive=True) for name, *_ in self.variables)

    @cached_property
    def expression(self) -> sympy.Expr:
        """The law in SymPy."""
        return sympy.sympify(self.text, locals={s.name: s for s in self.symbols})

    @cached_property
    def function(self) -> Callable:
        """The law on columns of numbers."""
        return sympy.lambdify(self.symbols, self.expression, "numpy")

    @property
    def ranges(self) -> tuple[Array, Array]:
        """Least and largest values, each (d,)."""
        low, high = zip(*((a, b) for _, a, b in self.variables), strict=True)
        return np.array(low, dtype=float), np.array(high, dtype=float)

    def experiments(
        self, count: int, noise: float, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Settings (n, d), uniform in the ranges, and readings (n,); the standard deviation of the
        noise is `noise` times that of the readings."""
        low, high = self.ranges
        x = rng.uniform(low, high, (count, len(low)))
        clean = self(x)
        return x, clean + noise * clean.std() * rng.normal(size=count)

    def __call__(self, x: Array) -> Array:
        """The law at settings x (n, d)."""
        with np.errstate(all="ignore"):
            return np.array(np.broadcast_to(self.function(*x.T), len(x)), dtype=float)

    def wider(self, count: int, rng: np.random.Generator) -> Array:
        """Settings (n, d) in ranges twice as wide about the same middles, positive, where the law
        has values; the largest hundredth of the values is left out."""
        low, high = self.ranges
        middle, half = 0.5 * (low + high), high - low
        x = np.maximum(rng.uniform(middle - half, middle + half, (_TRIED, len(low))), _BELOW * low)
        y = self(x)
        good = np.isfinite(y)
        good &= np.abs(y) <= np.quantile(np.abs(y[good]), 0.99)
        return x[good][:count]
