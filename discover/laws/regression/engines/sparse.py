"""The built-in engine for one variable: sparse regression on the library of basis functions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import sympy

from discover.judgement.thresholds import whole
from discover.laws.regression.engines.contract import Engine, Front, formula_length
from discover.laws.search.basis_search import Target, search

_POINTS = whole("regression.engine_points")


class Sparse(Engine):
    """Sums of at most two basis functions of one variable, by exhaustion; alike for every seed."""

    name = "sparse"
    variables = 1

    def fit(
        self, x: np.ndarray, y: np.ndarray, symbols: Sequence[sympy.Symbol], seed: int = 0
    ) -> Front:
        """See Engine.fit; `seed` changes nothing."""
        self.check(x, y, symbols)
        z = x[:, 0]
        few = np.linspace(0, len(z) - 1, min(len(z), _POINTS)).round().astype(int)
        size = float(np.abs(z).max()) or 1.0
        floor = 1e-12 * (float(np.sqrt(np.mean(y**2))) or 1.0)

        def target(rows: np.ndarray) -> Target:
            return Target(z[rows], lambda f: f, y[rows], 0.0, len(rows), floor, size)

        length = partial(formula_length, floor=floor)
        found = search(target(few), target(np.arange(len(z))), length, keep=12)
        u = symbols[0] / sympy.Float(size)
        members = []
        for f in found:
            pairs = zip(f.functions, f.constants, f.coefficients, strict=True)
            expression = sum(c * s.expression(u, k) for s, k, c in pairs)
            members.append((sympy.sympify(expression), f.error))
        return Front.of(members)
