"""Vectors, wrenches and inertias through a chain of elementary frame moves, scalar by scalar.

Everything here works on single nodes and keeps the structure that makes moves cheap: turns about
one coordinate axis, signed permutations that cost nothing, shifts along one axis. A symmetric
3 x 3 block is (xx, yy, zz, xy, xz, yz).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kinematics.programs.elimination.steps import Step
from kinematics.programs.graph import Graph, Node

Vector = tuple[Any, ...]  # three
Symmetric = tuple[Any, ...]  # six

PLACE = ((0, 3, 4), (3, 1, 5), (4, 5, 2))  # where entry (i, j) of a symmetric block stands


@dataclass(frozen=True, kw_only=True)
class Move:
    """A step with its numbers as nodes: a turn (c, s), a permutation, a shift or a rotation."""

    kind: str
    axis: int = 2
    c: Any = None
    s: Any = None
    amount: Any = None
    order: tuple[int, ...] = (0, 1, 2)
    signs: tuple[int, ...] = (1, 1, 1)
    matrix: Any = None  # 3 rows of nodes
    vector: Any = None


def moves(graph: Graph, steps: list[Step], q: Sequence[Node]) -> list[Move]:
    """The moves of a body whose joint has the coordinates ``q``."""
    out = []
    for step in steps:
        if step.kind == "joint":
            angle = q[0] + step.offset
            out.append(Move(kind="turn", axis=2, c=angle.cos(), s=angle.sin()))
        elif step.kind == "turn":
            c, s = graph.const(step.cosine), graph.const(step.sine)
            out.append(Move(kind="turn", axis=step.axis, c=c, s=s))
        elif step.kind == "permute":
            out.append(Move(kind="permute", order=step.order, signs=step.signs))
        elif step.kind == "shift":
            out.append(Move(kind="shift", axis=step.axis, amount=graph.const(step.amount)))
        elif step.kind == "slide":
            out.append(Move(kind="shift", axis=2, amount=q[0]))
        elif step.kind == "quaternion":
            out.append(Move(kind="matrix", matrix=quaternion_matrix(q[-4:])))
        elif step.kind == "position":
            out += [Move(kind="shift", axis=k, amount=q[k]) for k in range(3)]
    return out


def quaternion_matrix(q: Sequence[Node]) -> tuple[Vector, Vector, Vector]:
    """The rotation (rows) of a unit quaternion wxyz, body to parent coordinates."""
    w, x, y, z = q
    x2, y2, z2 = x + x, y + y, z + z
    xx, yy, zz = x * x2, y * y2, z * z2
    xy, xz, yz = x * y2, x * z2, y * z2
    wx, wy, wz = w * x2, w * y2, w * z2
    return (
        (1.0 - (yy + zz), xy - wz, xz + wy),
        (xy + wz, 1.0 - (xx + zz), yz - wx),
        (xz - wy, yz + wx, 1.0 - (xx + yy)),
    )


def cross(a: Vector, b: Vector) -> Vector:
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


def add(a: Sequence[Any], b: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def dot(a: Sequence[Any], b: Sequence[Any]) -> Any:
    total = a[0] * b[0]
    for x, y in zip(a[1:], b[1:], strict=True):
        total = total + x * y
    return total


def _signed(sign: int, x: Any) -> Any:
    return x if sign > 0 else -x


def vector_up(move: Move, x: Vector) -> Vector:
    """A free vector, child to parent coordinates."""
    if move.kind == "turn":
        i, j = (move.axis + 1) % 3, (move.axis + 2) % 3
        out = list(x)
        out[i] = move.c * x[i] - move.s * x[j]
        out[j] = move.s * x[i] + move.c * x[j]
        return tuple(out)
    if move.kind == "permute":
        return tuple(_signed(e, x[k]) for e, k in zip(move.signs, move.order, strict=True))
    if move.kind == "matrix":
        return tuple(dot(row, x) for row in move.matrix)
    return x


def vector_down(move: Move, x: Vector) -> Vector:
    """A free vector, parent to child coordinates."""
    if move.kind == "turn":
        i, j = (move.axis + 1) % 3, (move.axis + 2) % 3
        out = list(x)
        out[i] = move.c * x[i] + move.s * x[j]
        out[j] = move.c * x[j] - move.s * x[i]
        return tuple(out)
    if move.kind == "permute":
        out = [None, None, None]
        for row, (sign, k) in enumerate(zip(move.signs, move.order, strict=True)):
            out[k] = _signed(sign, x[row])
        return tuple(out)
    if move.kind == "matrix":
        return tuple(dot([row[k] for row in move.matrix], x) for k in range(3))
    return x


def down(chain: list[Move], x: Vector) -> Vector:
    """A free vector through all moves, parent to child."""
    for move in reversed(chain):
        x = vector_down(move, x)
    return x


def motion_down(chain: list[Move], angular: Vector, linear: Vector) -> tuple[Vector, Vector]:
    """A motion (angular, linear at the origin), parent to child."""
    for move in reversed(chain):
        if move.kind == "shift":
            i, j = (move.axis + 1) % 3, (move.axis + 2) % 3
            shifted = list(linear)  # α × (a e): the linear part at a point further along e
            shifted[i] = linear[i] + move.amount * angular[j]
            shifted[j] = linear[j] - move.amount * angular[i]
            linear = tuple(shifted)
        else:
            angular, linear = vector_down(move, angular), vector_down(move, linear)
    return angular, linear


def wrench_up(chain: list[Move], moment: Vector, force: Vector) -> tuple[Vector, Vector]:
    """A wrench (moment about the origin, force), child to parent."""
    for move in chain:
        if move.kind == "shift":
            i, j = (move.axis + 1) % 3, (move.axis + 2) % 3
            shifted = list(moment)  # (a e) × f
            shifted[i] = moment[i] - move.amount * force[j]
            shifted[j] = moment[j] + move.amount * force[i]
            moment = tuple(shifted)
        else:
            moment, force = vector_up(move, moment), vector_up(move, force)
    return moment, force


def symmetric_up(move: Move, a: Symmetric) -> Symmetric:
    """A symmetric tensor, child to parent coordinates (turns and permutations)."""
    if move.kind == "turn":
        k = move.axis
        i, j = (k + 1) % 3, (k + 2) % 3
        c, s = move.c, move.s
        ii, jj, ij = a[PLACE[i][i]], a[PLACE[j][j]], a[PLACE[i][j]]
        ik, jk = a[PLACE[i][k]], a[PLACE[j][k]]
        u = s * (ii - jj) + (c + c) * ij
        moved = s * u
        out = list(a)
        out[PLACE[i][i]] = ii - moved
        out[PLACE[j][j]] = jj + moved
        out[PLACE[i][j]] = c * u - ij
        out[PLACE[i][k]] = c * ik - s * jk
        out[PLACE[j][k]] = s * ik + c * jk
        return tuple(out)
    if move.kind == "permute":
        out = [None] * 6
        for i in range(3):
            for j in range(i, 3):
                sign = move.signs[i] * move.signs[j]
                out[PLACE[i][j]] = _signed(sign, a[PLACE[move.order[i]][move.order[j]]])
        return tuple(out)
    if move.kind == "matrix":
        rows = [vector_up(move, (a[PLACE[0][k]], a[PLACE[1][k]], a[PLACE[2][k]])) for k in range(3)]
        # rows[k] is R times column k; the other side is the same by symmetry
        out = [None] * 6
        for i in range(3):
            for j in range(i, 3):
                out[PLACE[i][j]] = dot([rows[k][i] for k in range(3)], move.matrix[j])
        return tuple(out)
    return a


def general_up(move: Move, a: list[list[Any]]) -> list[list[Any]]:
    """A 3 x 3 tensor, child to parent coordinates (turns and permutations)."""
    if move.kind == "turn":
        k = move.axis
        i, j = (k + 1) % 3, (k + 2) % 3
        c, s = move.c, move.s
        out = [list(row) for row in a]
        u = s * (a[i][i] - a[j][j]) + c * (a[i][j] + a[j][i])
        moved, other = s * u, c * u
        out[i][i] = a[i][i] - moved
        out[j][j] = a[j][j] + moved
        out[i][j] = other - a[j][i]
        out[j][i] = other - a[i][j]
        out[i][k] = c * a[i][k] - s * a[j][k]
        out[j][k] = s * a[i][k] + c * a[j][k]
        out[k][i] = c * a[k][i] - s * a[k][j]
        out[k][j] = s * a[k][i] + c * a[k][j]
        return out
    if move.kind == "permute":
        return [
            [
                _signed(move.signs[i] * move.signs[j], a[move.order[i]][move.order[j]])
                for j in range(3)
            ]
            for i in range(3)
        ]
    if move.kind == "matrix":
        half = [
            [dot(move.matrix[i], [a[k][j] for k in range(3)]) for j in range(3)] for i in range(3)
        ]
        return [[dot(half[i], move.matrix[j]) for j in range(3)] for i in range(3)]
    return a
