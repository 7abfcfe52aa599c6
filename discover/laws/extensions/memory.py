"""Memory: a dependence of the answer on the query before.

    a = law(q, v, tau - m)   or   a = law(q, v, tau) + m,
    m = m(q, v, tau, a; q', v', tau', a' of the query before)

where a is the answer of the law without memory. m vanishes where a query follows itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import sympy
import torch
from torch import Tensor

from discover.laws.expressions import parse_expression, to_torch
from discover.laws.extensions.contract import LawExtension
from discover.laws.regression.engines.contract import symbols_used

GROUPS = ("q", "v", "tau", "a")
BEFORE = "_before"


def memory_symbols(nv: int) -> dict[str, sympy.Symbol]:
    """The symbols of a memory law by name: q1, v1, tau1, a1 and q1_before … a1_before."""
    now = [f"{g}{j + 1}" for g in GROUPS for j in range(nv)]
    then = [f"{g}{j + 1}{BEFORE}" for g in GROUPS for j in range(nv)]
    return {n: sympy.Symbol(n, real=True) for n in (*now, *then)}


@dataclass(frozen=True, kw_only=True)
class Query:
    """States (n, nv) in joint coordinates and the accelerations a (n, nv) answered there."""

    q: Tensor
    v: Tensor
    tau: Tensor
    a: Tensor

    @property
    def columns(self) -> list[Tensor]:
        """One (n,) a coordinate, in the order of `memory_symbols`."""
        return [c for g in GROUPS for c in getattr(self, g).unbind(-1)]


@dataclass(frozen=True, kw_only=True)
class MemoryLaw(LawExtension):
    """The dependence m on the query before, nv rows of SymPy in the symbols of `memory_symbols`.

    is_force: whether m is a generalised force on the left side [N·m | N]; else it is an
    acceleration beside that of the law [rad/s² | m/s²].
    """

    rows: tuple[sympy.Expr, ...]
    is_force: bool

    label = "memory"
    key = "memory"
    several = False
    additive = True

    def __call__(self, before: Query, now: Query) -> Tensor:
        """m (n, nv) [N·m | N, or rad/s² | m/s²]."""
        evaluate = _compiled(self.rows)
        return torch.stack(evaluate(*now.columns, *before.columns), -1)

    @property
    def symbol_count(self) -> int:
        """Symbols and numbers in the rows."""
        return sum(symbols_used(r) for r in self.rows if r != 0)

    @property
    def number_count(self) -> int:
        """Fitted numbers in the rows."""
        return len(set().union(*(row.atoms(sympy.Float) for row in self.rows)))

    @property
    def description(self) -> str:
        """Its rows, numbers rounded."""
        rows = "; ".join(sympy.sstr(row.evalf(4)) for row in self.rows)
        return f"{'force' if self.is_force else 'acceleration'} of the query before: {rows}"

    @property
    def equations(self) -> list[sympy.Basic]:
        """Its rows that are not zero."""
        return [row for row in self.rows if row != 0]

    @property
    def symbol_notes(self) -> list[str]:
        """What `_before` marks, and what the rows act on."""
        note = "*_before* marks what was asked and answered just before; "
        if self.is_force:
            return [note + "terms of it are forces, on the left side"]
        return [note + "terms of it are accelerations, beside those of the law (a1, a2 …)"]

    def to_dict(self) -> dict:
        """JSON-able form."""
        rows = [sympy.sstr(r, full_prec=True) for r in self.rows]
        return {"rows": rows, "is_force": self.is_force}

    @classmethod
    def from_dict(cls, record: dict) -> MemoryLaw:
        """The inverse of `to_dict`; parsed, never executed."""
        names = memory_symbols(len(record["rows"]))
        rows = tuple(parse_expression(r, names) for r in record["rows"])
        return cls(rows=rows, is_force=record["is_force"])


@functools.lru_cache(maxsize=16)
def _compiled(rows: tuple[sympy.Expr, ...]) -> Callable[..., list[Tensor]]:
    return to_torch(rows, list(memory_symbols(len(rows)).values()))
