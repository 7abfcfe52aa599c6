"""Units and readable names of the symbols that laws are written in; terms from SymPy columns."""

from __future__ import annotations

from collections.abc import Sequence

import sympy
from sympy.core.function import AppliedUndef

from discover.laws.extensions.tabulated import Table
from discover.laws.extensions.terms import Term, symbols
from discover.laws.search.variables import AXES, Point, vocabulary
from kinematics import Robot

_ANGULAR = {"q": "rad", "v": "rad/s", "a": "rad/s²", "tau": "N·m"}
_LINEAR = {"q": "m", "v": "m/s", "a": "m/s²", "tau": "N"}
_DYNAMIC = {"p": "s", "h": "", "g": "", "c": ""}  # momenta and forces beside tau's unit


def units_by_symbol(robot: Robot) -> dict[str, str]:
    """The unit of q1…, v1…, a1…, tau1…, of momenta p, forces h, g, c, of H, T and V, by name."""
    angular = _is_angular(robot)
    out: dict[str, str] = {}
    for i, turns in enumerate(angular):
        units = _ANGULAR if turns else _LINEAR
        out |= {f"{group}{i + 1}": unit for group, unit in units.items()}
        force = units["tau"]
        out |= {f"{g}{i + 1}": f"{force}·{u}" if u else force for g, u in _DYNAMIC.items()}
        for j, other in enumerate(angular):
            out[f"H{i + 1}_{j + 1}"] = ("kg", "kg·m", "kg·m²")[turns + other]
    return {**out, "T": "J", "V": "J"}


def readable_symbols(robot: Robot) -> dict[sympy.Symbol, sympy.Symbol]:
    """Every symbol of q, v, a and tau with one that names its joint: q2 as q_elbow.

    Joints of several coordinates are numbered: v4 as v_ball_1. Characters that SymPy or LaTeX
    would read as something else become underscores.
    """
    words: list[str] = []
    for name in robot.independent_names:
        s = robot.v_slice(name)
        width = s.stop - s.start
        plain = "".join(c if c.isalnum() else "_" for c in name).strip("_") or "joint"
        words += [plain] if width == 1 else [f"{plain}_{k + 1}" for k in range(width)]
    groups = symbols(robot.nv)
    return {
        symbol: sympy.Symbol(f"{group}_{word}", real=True)
        for group, row in groups.items()
        for symbol, word in zip(row, words, strict=True)
    }


def _is_angular(robot: Robot) -> list[bool]:
    """Whether each velocity coordinate is an angular one."""
    out: list[bool] = []
    for name, kind in zip(robot.independent_names, robot.independent_kinds, strict=True):
        s = robot.v_slice(name)
        width = s.stop - s.start
        if width == 1:
            out.append(kind != "prismatic")
        else:  # free joints: angular, then linear
            out += [k < 3 for k in range(width)]
    return out


def terms_from_sympy(
    robot: Robot, columns: Sequence[sympy.Matrix], points: Sequence[Point], tables: Sequence[Table]
) -> tuple[Term, ...]:
    """One Term a column (nv, 1) of forces on the left side, in a law's symbols.

    Raises ValueError for symbols that no law has.
    """
    known = set(vocabulary(robot.nv, len(points)).values())
    terms = []
    for k, column in enumerate(columns):
        rows = tuple(sympy.sympify(row) for row in column)
        unknown = set().union(*(row.free_symbols for row in rows)) - known
        if len(rows) != robot.nv or unknown:
            raise ValueError(
                f"expected {robot.nv} rows in the symbols of law.symbols, found {len(rows)}"
                + (f" with {', '.join(sorted(map(str, unknown)))}" if unknown else "")
            )
        named = {f.func.__name__ for row in rows for f in row.atoms(AppliedUndef)}
        placed = tuple(points) if any(_of_points(row) for row in rows) else ()
        used = tuple(t for t in tables if t.name in named)
        terms.append(Term(name=f"term {k + 1}", shape=rows, points=placed, tables=used))
    return tuple(terms)


def _of_points(row: sympy.Expr) -> bool:
    """Whether the expression names the place, velocity or Jacobian of a point."""
    return any(s.name.lstrip("dj")[0] in AXES for s in row.free_symbols)
