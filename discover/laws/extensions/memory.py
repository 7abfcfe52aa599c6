"""A law of memory: what the question before adds to the forces of this one.

    a = law(q, v, tau - m)   or   a = law(q, v, tau) + m,
    m = m(q, v, tau, a; q', v', tau', a' of the question before)

where a is the law's own answer. m vanishes where a question follows itself. It is sought in plain
sums of differences first, then as a formula in the few variables that tell most of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import sympy
import torch
from sklearn.ensemble import ExtraTreesRegressor
from torch import Tensor

from discover.laws.expressions import parse_expression, to_torch
from discover.laws.regression.engines.contract import description, symbols_used
from discover.laws.regression.formula_search import find_formula

GROUPS = ("q", "v", "tau", "a")
BEFORE = "_before"
_ENOUGH = 0.02  # of a force's size that plain sums may leave before formulas are tried
_VARIABLES = 4
_SECONDS = 5.0
_FINEST = 1e-9


def words(nv: int) -> dict[str, sympy.Symbol]:
    """The symbols of a memory's law by name: q1, v1, tau1, a1 and q1_before … a1_before."""
    now = [f"{g}{j + 1}" for g in GROUPS for j in range(nv)]
    then = [f"{g}{j + 1}{BEFORE}" for g in GROUPS for j in range(nv)]
    return {n: sympy.Symbol(n, real=True) for n in (*now, *then)}


@dataclass(frozen=True, kw_only=True)
class Question:
    """States (n, nv) in joint coordinates and what was answered: a (n, nv)."""

    q: Tensor
    v: Tensor
    tau: Tensor
    a: Tensor

    @property
    def columns(self) -> list[Tensor]:
        """One (n,) a coordinate, in the order of `words`."""
        return [c for g in GROUPS for c in getattr(self, g).unbind(-1)]


@dataclass(frozen=True, kw_only=True)
class MemoryLaw:
    """m, nv rows of SymPy in the symbols of `words`: a force on the left side, or an acceleration
    beside the law's."""

    rows: tuple[sympy.Expr, ...]
    is_force: bool

    def __call__(self, before: Question, now: Question) -> Tensor:
        """m (n, nv) [N·m | N, or rad/s² | m/s²]."""
        evaluate = _compiled(self.rows)
        given = [*now.columns, *before.columns]
        return torch.stack(evaluate(*given), -1)

    @property
    def symbol_count(self) -> int:
        """How many symbols and numbers are written down."""
        return sum(symbols_used(r) for r in self.rows if r != 0)

    @property
    def in_words(self) -> str:
        """What its symbols are and what it acts on."""
        told = "*_before* marks what was asked and answered just before; "
        if self.is_force:
            return told + "terms of it are forces, on the left side"
        return told + "terms of it are accelerations, beside those of the law (a1, a2 …)"

    def to_dict(self) -> dict:
        """JSON-able form."""
        rows = [sympy.sstr(r, full_prec=True) for r in self.rows]
        return {"rows": rows, "is_force": self.is_force}

    @classmethod
    def from_dict(cls, record: dict) -> MemoryLaw:
        """The inverse of `to_dict`; parsed, never executed."""
        names = words(len(record["rows"]))
        rows = tuple(parse_expression(r, names) for r in record["rows"])
        return cls(rows=rows, is_force=record["is_force"])


@functools.lru_cache(maxsize=16)
def _compiled(rows: tuple[sympy.Expr, ...]) -> Callable[..., list[Tensor]]:
    return to_torch(rows, list(words(len(rows)).values()))


def search(
    before: Question, now: Question, wanted: Tensor, noise: Tensor, seed: int
) -> tuple[sympy.Expr, ...]:
    """Formulas of `wanted` (n, nv), whose noise is (nv,), row by row."""
    symbols = tuple(words(wanted.shape[-1]).values())
    x = torch.stack([*now.columns, *before.columns], -1).numpy()
    rows = []
    for y, floor in zip(wanted.T.numpy(), noise.tolist(), strict=True):
        size = float(np.sqrt(np.mean(y**2)))
        if size <= 1.5 * floor or size <= _FINEST:
            rows.append(sympy.Integer(0))
        else:
            rows.append(_row(x, y, symbols, max(floor, _FINEST * size), seed))
    return tuple(rows)


def _row(
    x: np.ndarray, f: np.ndarray, symbols: tuple[sympy.Symbol, ...], floor: float, seed: int
) -> sympy.Expr:
    plain, left = _sum_of_columns(x, f, symbols, floor)
    size = float(np.sqrt(np.mean(f**2)))
    if left <= max(_ENOUGH * size, 1.3 * floor):
        return plain
    trees = ExtraTreesRegressor(200, random_state=seed, min_samples_leaf=3).fit(x, f)
    most = np.sort(np.argsort(-trees.feature_importances_)[:_VARIABLES])
    front = find_formula(x[:, most], f, [symbols[i] for i in most], seed=seed, seconds=_SECONDS)
    best = front.best(floor, n=len(f))
    shorter = description(max(best.error, floor), best.symbols, len(f))
    terms = len(plain.free_symbols)
    return best.expression if shorter < description(left, 3 * terms + 1, len(f)) else plain


def _sum_of_columns(
    x: np.ndarray, f: np.ndarray, symbols: tuple[sympy.Symbol, ...], floor: float
) -> tuple[sympy.Expr, float]:
    """The sparse sum of what was before and of differences, and the error that it leaves.

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
                c, *_ = np.linalg.lstsq(A, f, rcond=None)
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
