"""Formulas of few variables by exhaustion: sums, quotients and products of short expressions.

Each transform f of the target is compared with all pairs of expressions, more by beam search:
f = c0 + Σ c e, f = (c0 + Σ c e) / (1 - Σ d e), and f = c Π z^q Π |e|^p with powers q of all
variables; and against polynomials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy

from discover.judgement.thresholds import threshold, whole
from discover.laws.regression.beam_search import Columns, SparseSum
from discover.laws.regression.expression_library import (
    Expression,
    ExpressionLibrary,
    expression_library,
)
from discover.laws.regression.sparse_regression import select_several
from discover.laws.regression.target_transforms import TARGET_TRANSFORMS, TargetTransform

_KEPT = whole("regression.sums_kept")
_TERMS, _FACTORS = whole("regression.sum_terms"), whole("regression.quotient_terms")
_PAIRED, _FEWER = threshold("regression.paired"), threshold("regression.paired_unusual")
_ABOVE, _BELOW = whole("regression.numerators"), whole("regression.denominators")
_ROUND = threshold("regression.round_power")
_POLYNOMIAL = whole("regression.polynomial_terms")

_Parts = tuple[tuple[float, Expression], ...]  # numbers and expressions


@dataclass(frozen=True, eq=False)
class Candidate:
    """A formula fitted to the samples: its error there (rms) and its length in symbols.

    Its transform is (offset + Σ over) / (1 - Σ under), or offset · Π |e|^power.
    """

    error: float
    symbols: int
    transform: TargetTransform
    over: _Parts = ()
    under: _Parts = ()
    offset: float = 0.0
    powers: _Parts = ()

    @property
    def scanned(self) -> bool:
        """Whether it is little more than one block with a number from a grid inside."""
        expressions = [b for _, b in (*self.over, *self.under, *self.powers) if b.cost > 1]
        return len(expressions) == 1 and expressions[0].scanned

    def expression(self, names: Sequence[sympy.Expr], free: bool) -> sympy.Expr:
        """In the names of the variables; `free`: numbers inside them that a fit may move."""

        def total(parts: _Parts) -> sympy.Expr:
            return sympy.Add(*(_number(c) * b.expression(names, free) for c, b in parts))

        if self.powers:
            raised = [_raised(b.expression(names, free), b, p) for p, b in self.powers]
            return self.transform.back(sympy.Mul(_number(self.offset), *raised))
        inner = _number(self.offset) + total(self.over)
        return self.transform.back(inner / (1 - total(self.under)) if self.under else inner)


def _number(value: float) -> sympy.Float:
    return sympy.Float(float(value), 17)


def _raised(expression: sympy.Expr, entry: Expression, power: float) -> sympy.Expr:
    """|e|^p with a whole or half power where it is close, without the bars where e has a sign."""
    exponent, twice = _number(power), round(2 * power)
    if abs(2 * power - twice) < _ROUND:
        exponent = sympy.Rational(twice, 2)
    if exponent.is_Integer or (entry.values > 0).all():
        return expression**exponent
    return (-expression if (entry.values < 0).all() else sympy.Abs(expression)) ** exponent


def candidates(variables: np.ndarray, y: np.ndarray, expressions: int) -> list[Candidate]:
    """Formulas of variables (n, k) for y (n,), from the search over so many `expressions`."""
    library = expression_library(variables, expressions)
    seen = [v for v in TARGET_TRANSFORMS if v.applies_to(y)]
    values = np.stack([b.values for b in library.summands], 1)
    cost = np.array([b.cost for b in library.summands])
    out: list[Candidate] = []
    with np.errstate(all="ignore"):
        for transform in seen:
            f = transform.forward(y)
            paired = int((_PAIRED if transform.usual else _FEWER) * expressions)
            columns = Columns(values, cost, paired, weight=1 / np.abs(transform.slope(y)))
            out += [
                _sum(transform, library.summands, c, y) for c in columns.search(f, _KEPT, _TERMS)
            ]
            if transform.rational:
                out += _quotients(transform, library, values, cost, f, y)
                out += _products(transform, library, variables, f, y)
        out += _polynomials(seen, library.polynomial, y)
    return [c for c in out if np.isfinite(c.error)]


def _error(predicted: np.ndarray, y: np.ndarray) -> float:
    return float(np.sqrt(np.mean((predicted - y) ** 2)))


def _evaluated(parts: _Parts) -> np.ndarray:
    return np.asarray(sum((c * b.values for c, b in parts), 0.0))


def _sum(
    transform: TargetTransform,
    expressions: Sequence[Expression],
    found: SparseSum,
    y: np.ndarray,
) -> Candidate:
    over = tuple((float(c), expressions[i]) for c, i in zip(found.coefficients, found.members,
                                                       strict=True))  # fmt: skip
    offset = float(found.beside[0])
    return Candidate(
        error=_error(transform.inverse(offset + _evaluated(over)), y),
        symbols=transform.cost + 1 + sum(b.cost + 3 for _, b in over),
        transform=transform,
        over=over,
        offset=offset,
    )


def _quotients(
    transform: TargetTransform,
    library: ExpressionLibrary,
    values: np.ndarray,
    cost: np.ndarray,
    f: np.ndarray,
    y: np.ndarray,
) -> list[Candidate]:
    """f (1 - Σ d e) = c0 + Σ c e is linear in c and d."""
    above, below = min(_ABOVE, len(cost)), min(_BELOW, len(cost))
    columns = np.concatenate([values[:, :above], f[:, None] * values[:, :below]], 1)
    if not np.isfinite(columns).all():
        return []
    out = []
    for found in Columns(columns, np.concatenate([cost[:above], cost[:below]])).search(
        f, _KEPT, _FACTORS
    ):
        pairs = list(zip(found.coefficients, found.members, strict=True))
        over = tuple((float(c), library.summands[i]) for c, i in pairs if i < above)
        under = tuple((float(c), library.summands[i - above]) for c, i in pairs if i >= above)
        if under:
            offset = float(found.beside[0])
            predicted = transform.inverse((offset + _evaluated(over)) / (1 - _evaluated(under)))
            out.append(
                Candidate(
                    error=_error(predicted, y),
                    symbols=transform.cost + 5 + sum(b.cost + 3 for _, b in (*over, *under)),
                    transform=transform,
                    over=over,
                    under=under,
                    offset=offset,
                )
            )
    return out


def _products(
    transform: TargetTransform,
    library: ExpressionLibrary,
    variables: np.ndarray,
    f: np.ndarray,
    y: np.ndarray,
) -> list[Candidate]:
    """log |f| is linear in the powers."""
    if (f == 0).any() or not library.factors or (variables == 0).any():
        return []
    values = np.stack([b.values for b in library.factors], 1)
    cost = np.array([b.cost for b in library.factors])
    logs = Columns(
        np.log(np.abs(values)),
        cost,
        beside=np.log(np.abs(variables)),
        weight=np.abs(f / transform.slope(y)),
    )
    out = []
    for found in logs.search(np.log(np.abs(f)), _KEPT, _FACTORS):
        chosen = [*library.leaves, *(library.factors[i] for i in found.members)]
        pairs = zip([*found.beside[1:], *found.coefficients], chosen, strict=True)
        powers = tuple((float(p), b) for p, b in pairs if abs(p) > _ROUND / 2)
        whole = tuple((round(2 * p) / 2, b) for p, b in powers if round(2 * p))
        for some in dict.fromkeys((powers, whole)):
            out.append(_product(transform, some, f, y))
    return out


def _product(transform: TargetTransform, powers: _Parts, f: np.ndarray, y: np.ndarray) -> Candidate:
    """The product of some powers, its factor fitted."""
    size = np.ones(len(y))
    for p, b in powers:
        odd = (b.values < 0).any() and round(p) % 2 == 1 and abs(p - round(p)) < _ROUND
        size = size * np.abs(b.values) ** p * (np.sign(b.values) if odd else 1.0)
    weight = 1 / np.abs(transform.slope(y))
    factor = float((weight * size) @ (weight * f) / max((weight * size) @ (weight * size), 1e-300))
    return Candidate(
        error=_error(transform.inverse(factor * size), y),
        symbols=transform.cost + 1 + sum(b.cost + 1 + (p != 1) + (p % 0.5 != 0) for p, b in powers),
        transform=transform,
        offset=factor,
        powers=powers,
    )


def _polynomials(
    seen: Sequence[TargetTransform], expressions: Sequence[Expression], y: np.ndarray
) -> list[Candidate]:
    """Sums of products of whole powers, as many as it takes."""
    usable = [b for b in expressions if np.isfinite(b.values).all()]
    A = np.stack([np.ones(len(y)), *(b.values for b in usable)], 1)
    transforms = [v for v in seen if v.usual and np.isfinite(v.forward(y)).all()]
    Y = np.stack([v.forward(y) for v in transforms], 1)
    out = []
    for transform, found in zip(transforms, select_several(A, Y, most=_POLYNOMIAL), strict=True):
        if not found.support or len(found.support) > _POLYNOMIAL:
            continue
        parts = dict(zip(found.support, found.coefficients, strict=True))
        offset = float(parts.pop(0, 0.0))
        over = tuple((float(c), usable[i - 1]) for i, c in parts.items())
        out.append(
            Candidate(
                error=_error(transform.inverse(offset + _evaluated(over)), y),
                symbols=transform.cost + 1 + sum(b.cost + 3 for _, b in over),
                transform=transform,
                over=over,
                offset=offset,
            )
        )
    return out
