"""Search for a memory law: sparse sums of differences first, then formulas in a few variables."""

from __future__ import annotations

import numpy as np
import sympy
import torch
from torch import Tensor

from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.memory import BEFORE, Query, memory_symbols
from discover.laws.regression.engines.contract import description
from discover.laws.regression.formula_search import find_formula
from discover.numerics import plain_least_squares

_SUM_SUFFICES = threshold("fit.memory_sum_suffices")
_PRESENT = threshold("fit.memory_present")
_SUM_AT_NOISE = threshold("fit.memory_sum_at_noise")
_VARIABLES = whole("fit.memory_variables")
_SECONDS = threshold("fit.memory_formula_seconds")
_FINEST = 1e-9  # of its size, to which a force is known: rounding of the queries it was made from


def search_memory(
    before: Query, now: Query, target: Tensor, noise: Tensor, seed: int
) -> tuple[sympy.Expr, ...]:
    """Formulas in `memory_symbols` of the target (n, nv), whose noise is (nv,), row by row."""
    symbols = tuple(memory_symbols(target.shape[-1]).values())
    x = torch.stack([*now.columns, *before.columns], -1).numpy()
    rows = []
    for y, floor in zip(target.T.numpy(), noise.tolist(), strict=True):
        size = float(np.sqrt(np.mean(y**2)))
        if size <= _PRESENT * floor or size <= _FINEST:
            rows.append(sympy.Integer(0))
        else:
            rows.append(_row(x, y, symbols, max(floor, _FINEST * size), seed))
    return tuple(rows)


def _row(
    x: np.ndarray, f: np.ndarray, symbols: tuple[sympy.Symbol, ...], floor: float, seed: int
) -> sympy.Expr:
    plain, error = _sum_of_columns(x, f, symbols, floor)
    size = float(np.sqrt(np.mean(f**2)))
    if error <= max(_SUM_SUFFICES * size, _SUM_AT_NOISE * floor):
        return plain
    from sklearn.ensemble import ExtraTreesRegressor  # imported late: seconds

    trees = ExtraTreesRegressor(200, random_state=seed, min_samples_leaf=3).fit(x, f)
    most = np.sort(np.argsort(-trees.feature_importances_)[:_VARIABLES])
    front = find_formula(x[:, most], f, [symbols[i] for i in most], seed=seed, seconds=_SECONDS)
    best = front.best(floor, n=len(f))
    shorter = description(max(best.error, floor), best.symbols, len(f))
    terms = len(plain.free_symbols)
    return best.expression if shorter < description(error, 3 * terms + 1, len(f)) else plain


def _sum_of_columns(
    x: np.ndarray, f: np.ndarray, symbols: tuple[sympy.Symbol, ...], floor: float
) -> tuple[sympy.Expr, float]:
    """A sparse sum of symbols and of differences to the query before, and its error.

    Forward selection by description length; a difference counts as one column.
    """
    by_name = {s.name: i for i, s in enumerate(symbols)}
    candidates: list[tuple[sympy.Expr, np.ndarray]] = []
    for name, i in by_name.items():
        candidates.append((symbols[i], x[:, i]))
        if name + BEFORE in by_name:
            j = by_name[name + BEFORE]
            candidates.append((symbols[j] - symbols[i], x[:, j] - x[:, i]))
    chosen: list[int] = []
    best = (sympy.Integer(0), float(np.sqrt(np.mean(f**2))))
    length = description(best[1], 0, len(f))
    while len(chosen) < len(candidates):
        trials = []
        for k in range(len(candidates)):
            if k not in chosen:
                A = np.stack([candidates[i][1] for i in (*chosen, k)], -1)
                c = plain_least_squares(A, f)
                trials.append((float(np.sqrt(np.mean((f - A @ c) ** 2))), k, c))
        error, k, c = min(trials, key=lambda t: (t[0], t[1]))
        longer = description(max(error, floor), 3 * (len(chosen) + 1), len(f))
        if longer >= length:
            break
        chosen.append(k)
        length = longer
        terms = [
            sympy.Float(float(b), 17) * candidates[i][0] for b, i in zip(c, chosen, strict=True)
        ]
        best = (sympy.Add(*terms), error)
    return best
