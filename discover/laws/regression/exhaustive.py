"""Formulas of few variables by exhaustion: sums, quotients and products of short expressions.

In each view the target f is laid against all pairs of blocks, and more by beam:
f = c0 + Σ c e, f = (c0 + Σ c e) / (1 - Σ d e), and f = c Π z^q Π |e|^p with powers q of all
variables; and against polynomials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy

from discover.laws.regression.beam_search import Columns, Combination
from discover.laws.regression.expression_library import Bank, Block, building_blocks
from discover.laws.regression.sparse_regression import select_several
from discover.laws.regression.target_transforms import VIEWS, View

_KEPT = 12  # combinations of each search
_TERMS = 4  # of a sum; of a product or quotient three
_PAIRED = 0.4  # of the blocks are tried in pairs,
_FEWER = 0.2  # in unusual views
_ABOVE, _BELOW = 400, 250  # blocks above and below the line of a quotient
_ROUND = 0.02
_POLYNOMIAL = 12  # terms

_Parts = tuple[tuple[float, Block], ...]  # numbers and blocks


@dataclass(frozen=True, eq=False)
class Candidate:
    """A formula found on the samples: its error there (rms) and its length in symbols.

    The view of it is (offset + Σ over) / (1 - Σ under), or offset · Π |e|^power.
    """

    error: float
    symbols: int
    view: View
    over: _Parts = ()
    under: _Parts = ()
    offset: float = 0.0
    powers: _Parts = ()

    @property
    def scanned(self) -> bool:
        """Whether it is little more than one block with a number from a grid inside."""
        blocks = [b for _, b in (*self.over, *self.under, *self.powers) if b.cost > 1]
        return len(blocks) == 1 and blocks[0].scanned

    def expression(self, names: Sequence[sympy.Expr], free: bool) -> sympy.Expr:
        """In the names of the variables; `free`: numbers inside the blocks as a fit may move."""

        def total(parts: _Parts) -> sympy.Expr:
            return sympy.Add(*(_number(c) * b.expression(names, free) for c, b in parts))

        if self.powers:
            raised = [_raised(b.expression(names, free), b, p) for p, b in self.powers]
            return self.view.back(sympy.Mul(_number(self.offset), *raised))
        inner = _number(self.offset) + total(self.over)
        return self.view.back(inner / (1 - total(self.under)) if self.under else inner)


def _number(value: float) -> sympy.Float:
    return sympy.Float(float(value), 17)


def _raised(expression: sympy.Expr, block: Block, power: float) -> sympy.Expr:
    """|e|^p with a whole or half power where it is close, without the bars where e has a sign."""
    exponent, twice = _number(power), round(2 * power)
    if abs(2 * power - twice) < _ROUND:
        exponent = sympy.Rational(twice, 2)
    if exponent.is_Integer or (block.values > 0).all():
        return expression**exponent
    return (-expression if (block.values < 0).all() else sympy.Abs(expression)) ** exponent


def candidates(variables: np.ndarray, y: np.ndarray, blocks: int) -> list[Candidate]:
    """Formulas of variables (n, k) for y (n,), from the search over `blocks`."""
    bank = building_blocks(variables, blocks)
    seen = [v for v in VIEWS if v.sees(y)]
    values = np.stack([b.values for b in bank.summands], 1)
    cost = np.array([b.cost for b in bank.summands])
    out: list[Candidate] = []
    with np.errstate(all="ignore"):
        for view in seen:
            f = view.forward(y)
            paired = int((_PAIRED if view.usual else _FEWER) * blocks)
            columns = Columns(values, cost, paired, weight=1 / np.abs(view.slope(y)))
            out += [_sum(view, bank.summands, c, y) for c in columns.search(f, _KEPT, _TERMS)]
            if view.own:
                out += _quotients(view, bank, values, cost, f, y)
                out += _products(view, bank, variables, f, y)
        out += _polynomials(seen, bank.polynomial, y)
    return [c for c in out if np.isfinite(c.error)]


def _error(predicted: np.ndarray, y: np.ndarray) -> float:
    return float(np.sqrt(np.mean((predicted - y) ** 2)))


def _evaluated(parts: _Parts) -> np.ndarray:
    return np.asarray(sum((c * b.values for c, b in parts), 0.0))


def _sum(view: View, blocks: Sequence[Block], found: Combination, y: np.ndarray) -> Candidate:
    over = tuple((float(c), blocks[i]) for c, i in zip(found.coefficients, found.members,
                                                       strict=True))  # fmt: skip
    offset = float(found.beside[0])
    return Candidate(
        error=_error(view.inverse(offset + _evaluated(over)), y),
        symbols=view.cost + 1 + sum(b.cost + 3 for _, b in over),
        view=view,
        over=over,
        offset=offset,
    )


def _quotients(
    view: View, bank: Bank, values: np.ndarray, cost: np.ndarray, f: np.ndarray, y: np.ndarray
) -> list[Candidate]:
    """f (1 - Σ d e) = c0 + Σ c e is linear in c and d."""
    above, below = min(_ABOVE, len(cost)), min(_BELOW, len(cost))
    columns = np.concatenate([values[:, :above], f[:, None] * values[:, :below]], 1)
    if not np.isfinite(columns).all():
        return []
    out = []
    for found in Columns(columns, np.concatenate([cost[:above], cost[:below]])).search(f, _KEPT, 3):
        pairs = list(zip(found.coefficients, found.members, strict=True))
        over = tuple((float(c), bank.summands[i]) for c, i in pairs if i < above)
        under = tuple((float(c), bank.summands[i - above]) for c, i in pairs if i >= above)
        if under:
            offset = float(found.beside[0])
            predicted = view.inverse((offset + _evaluated(over)) / (1 - _evaluated(under)))
            out.append(
                Candidate(
                    error=_error(predicted, y),
                    symbols=view.cost + 5 + sum(b.cost + 3 for _, b in (*over, *under)),
                    view=view,
                    over=over,
                    under=under,
                    offset=offset,
                )
            )
    return out


def _products(
    view: View, bank: Bank, variables: np.ndarray, f: np.ndarray, y: np.ndarray
) -> list[Candidate]:
    """log |f| is linear in the powers."""
    if (f == 0).any() or not bank.factors or (variables == 0).any():
        return []
    values = np.stack([b.values for b in bank.factors], 1)
    cost = np.array([b.cost for b in bank.factors])
    logs = Columns(
        np.log(np.abs(values)),
        cost,
        beside=np.log(np.abs(variables)),
        weight=np.abs(f / view.slope(y)),
    )
    out = []
    for found in logs.search(np.log(np.abs(f)), _KEPT, 3):
        chosen = [*bank.leaves, *(bank.factors[i] for i in found.members)]
        pairs = zip([*found.beside[1:], *found.coefficients], chosen, strict=True)
        powers = tuple((float(p), b) for p, b in pairs if abs(p) > _ROUND / 2)
        whole = tuple((round(2 * p) / 2, b) for p, b in powers if round(2 * p))
        for some in dict.fromkeys((powers, whole)):
            out.append(_product(view, some, f, y))
    return out


def _product(view: View, powers: _Parts, f: np.ndarray, y: np.ndarray) -> Candidate:
    """The product of some powers, its factor fitted."""
    size = np.ones(len(y))
    for p, b in powers:
        odd = (b.values < 0).any() and round(p) % 2 == 1 and abs(p - round(p)) < _ROUND
        size = size * np.abs(b.values) ** p * (np.sign(b.values) if odd else 1.0)
    weight = 1 / np.abs(view.slope(y))
    factor = float((weight * size) @ (weight * f) / max((weight * size) @ (weight * size), 1e-300))
    return Candidate(
        error=_error(view.inverse(factor * size), y),
        symbols=view.cost + 1 + sum(b.cost + 1 + (p != 1) + (p % 0.5 != 0) for p, b in powers),
        view=view,
        offset=factor,
        powers=powers,
    )


def _polynomials(seen: Sequence[View], blocks: Sequence[Block], y: np.ndarray) -> list[Candidate]:
    """Sums of products of whole powers, as many as it takes."""
    usable = [b for b in blocks if np.isfinite(b.values).all()]
    A = np.stack([np.ones(len(y)), *(b.values for b in usable)], 1)
    views = [v for v in seen if v.usual and np.isfinite(v.forward(y)).all()]
    Y = np.stack([v.forward(y) for v in views], 1)
    out = []
    for view, found in zip(views, select_several(A, Y, most=_POLYNOMIAL), strict=True):
        if not found.support or len(found.support) > _POLYNOMIAL:
            continue
        parts = dict(zip(found.support, found.coefficients, strict=True))
        offset = float(parts.pop(0, 0.0))
        over = tuple((float(c), usable[i - 1]) for i, c in parts.items())
        out.append(
            Candidate(
                error=_error(view.inverse(offset + _evaluated(over)), y),
                symbols=view.cost + 1 + sum(b.cost + 3 for _, b in over),
                view=view,
                over=over,
                offset=offset,
            )
        )
    return out
