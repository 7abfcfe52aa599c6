"""Terms that a person wrote in SymPy, checked and made terms of a law."""

from __future__ import annotations

from collections.abc import Sequence

import sympy
from sympy.core.function import AppliedUndef

from discover.laws.quantities import AXES, Point, vocabulary
from discover.laws.tabulated import Table
from discover.laws.terms import Term
from kinematics import Robot


def written_by_hand(
    robot: Robot, columns: Sequence[sympy.Matrix], points: Sequence[Point], tables: Sequence[Table]
) -> tuple[Term, ...]:
    """One Term a column (nv, 1) of forces on the left side, in the words of `laws.quantities`.

    Raises ValueError for words that a law has not.
    """
    known = set(vocabulary(robot.nv, len(points)).values())
    terms = []
    for k, column in enumerate(columns):
        rows = tuple(sympy.sympify(row) for row in column)
        strange = set().union(*(row.free_symbols for row in rows)) - known
        if len(rows) != robot.nv or strange:
            raise ValueError(
                f"expected {robot.nv} rows in the symbols of law.symbols, found {len(rows)}"
                + (f" with {', '.join(sorted(map(str, strange)))}" if strange else "")
            )
        named = {f.func.__name__ for row in rows for f in row.atoms(AppliedUndef)}
        placed = tuple(points) if any(_of_points(row) for row in rows) else ()
        own = tuple(t for t in tables if t.name in named)
        terms.append(Term(name=f"term {k + 1}", shape=rows, points=placed, tables=own))
    return tuple(terms)


def _of_points(row: sympy.Expr) -> bool:
    """Whether the expression names the place, velocity or Jacobian of a point."""
    return any(s.name.lstrip("dj")[0] in AXES for s in row.free_symbols)
