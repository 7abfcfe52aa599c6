"""Motions and wrenches as lists of six scalars: tensors, nodes of a program, or numbers.

Exact zeros and ones are left out, so that a traced program has no operation for them.
"""

from __future__ import annotations

from typing import Any

Place = tuple[list[list[Any]], list[Any]]  # rows of the rotation, body to parent; the offset


def down(place: Place, m: list[Any]) -> list[Any]:
    """A motion of the parent's frame in the body's."""
    rotation, p = place
    w, u = m[:3], m[3:]
    lifted = [plus(x, y) for x, y in zip(u, cross3(w, p), strict=True)]
    return [_back(rotation, w, c) for c in range(3)] + [
        _back(rotation, lifted, c) for c in range(3)
    ]


def up(place: Place, f: list[Any]) -> list[Any]:
    """A wrench on the body in the parent's frame."""
    rotation, p = place
    n = [dot(row, f[3:]) for row in rotation]
    m = [plus(dot(row, f[:3]), x) for row, x in zip(rotation, cross3(p, n), strict=True)]
    return [*m, *n]


def _back(rotation: Any, x: list[Any], c: int) -> Any:
    return dot([rotation[r][c] for r in range(3)], x)


def cross(x: list[Any], y: list[Any]) -> list[Any]:
    """x × y of two motions."""
    w, u, z, t = x[:3], x[3:], y[:3], y[3:]
    low = [plus(p, r) for p, r in zip(cross3(w, t), cross3(u, z), strict=True)]
    return [*cross3(w, z), *low]


def cross3(x: Any, y: Any) -> list[Any]:
    """x × y of three scalars each."""

    def term(i: int, j: int) -> Any:
        return plus(times(x[i], y[j]), times(-1.0, times(x[j], y[i])))

    return [term(1, 2), term(2, 0), term(0, 1)]


def dot(x: Any, y: Any) -> Any:
    """Σ x y."""
    total: Any = 0.0
    for p, r in zip(x, y, strict=True):
        total = plus(total, times(p, r))
    return total


def times(x: Any, y: Any) -> Any:
    """x y, with exact zeros and ones left out."""
    for p, r in ((x, y), (y, x)):
        if isinstance(p, (int, float)):
            if p == 0:
                return 0.0
            if p == 1:
                return r
            if p == -1:
                return -r
            return r * float(p)
    return x * y


def plus(x: Any, y: Any) -> Any:
    """x + y, with exact zeros left out."""
    if isinstance(x, (int, float)) and x == 0:
        return y
    if isinstance(y, (int, float)) and y == 0:
        return x
    return x + y
