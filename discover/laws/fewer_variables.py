"""What is left of a formula's variables once powers, sums and units have been taken out."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import sympy

from discover.laws.dimensions import Reduction, Unit, reductions
from discover.laws.symmetries import Reduced, divided, joined, predictability

_REDUCTIONS = 6  # ways of making groups that are compared by how well they predict
_WAYS = 2  # of them that are kept
_UNITS_ALONE = 4  # variables up to which units alone are enough


def reduce(
    x: np.ndarray,
    y: np.ndarray,
    symbols: Sequence[sympy.Symbol],
    units: Sequence[Unit] | None,
    target: Unit | None,
) -> list[Reduced]:
    """Ways of writing y (n,) by fewer variables than x (n, d) has, the best first."""
    # Powers of single variables first: they are the surest, and leave fewer for all that follows.
    start = Reduced(
        factor=np.ones(len(y)),
        factor_expression=sympy.Integer(1),
        variables=x,
        expressions=tuple(symbols),
    )
    given = [tuple(u) for u in units] if units is not None else [()] * x.shape[1]
    plain, origin, own = _joined(divided(start, y), y, symbols, given)
    k = len(plain.expressions)
    options = [Reduction(carrier=np.zeros(k), groups=np.eye(k))]
    if units is not None and target is not None and k:
        left = _unit_of(target, plain.factor_expression, symbols, given)
        options = reductions([own[i] for i in origin], left)[:_REDUCTIONS] or options
    made: list[tuple[float, Reduced]] = []
    for option in options:
        one = _grouped(plain, option)
        # Simpler products first: one that is longer must predict clearly better.
        error = float(predictability(one.variables, y, [one.factor])[0])
        made.append((error * 1.1 ** len(made), one))
    made.sort(key=lambda m: m[0])
    ways = []
    for _, one in made[:_WAYS]:
        # What has no units may be added; few variables show more than many did.
        fewer, *_ = _joined(divided(one, y), y, symbols, [()] * x.shape[1])
        ways.append(divided(fewer, y))
    # Where a division misleads: units alone, if they leave few variables.
    if units is not None and target is not None:
        alone = [_grouped(start, option) for option in reductions(given, target)[:1]]
        ways += [one for one in alone if one.variables.shape[1] <= _UNITS_ALONE]
    return list({way.expressions: way for way in reversed(ways)}.values())[::-1]


def _joined(
    made: Reduced, y: np.ndarray, symbols: Sequence[sympy.Symbol], given: Sequence[Unit]
) -> tuple[Reduced, list[int], list[Unit]]:
    """Sums and differences of variables of one unit; whence each comes, and all units before."""
    own = [_unit_of((0,) * len(given[0]), 1 / e, symbols, given) for e in made.expressions]
    alike: dict[Unit, list[int]] = {}
    for position, unit in enumerate(own):
        alike.setdefault(unit, []).append(position)
    variables, names, origin = joined(
        made.variables, y / made.factor, made.expressions, list(alike.values())
    )
    fewer = Reduced(
        factor=made.factor,
        factor_expression=made.factor_expression,
        variables=variables,
        expressions=tuple(names),
    )
    return fewer, origin, own


def _grouped(made: Reduced, option: Reduction) -> Reduced:
    carrier, groups = option.values(made.variables)
    front, inner = option.expressions(made.expressions)
    return Reduced(
        factor=made.factor * carrier,
        factor_expression=made.factor_expression * front,
        variables=groups,
        expressions=tuple(inner),
    )


def _unit_of(
    target: Unit, factor: sympy.Expr, symbols: Sequence[sympy.Symbol], units: Sequence[Unit]
) -> Unit:
    """The target's unit over that of a product of powers of the variables."""
    powers = factor.as_powers_dict()
    taken = [Fraction(str(powers.get(s, 0))) for s in symbols]
    pairs = list(zip(taken, units, strict=True))
    return tuple(
        Fraction(t) - sum((p * Fraction(u[i]) for p, u in pairs), Fraction())
        for i, t in enumerate(target)
    )
