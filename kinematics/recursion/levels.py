"""The tree cut into levels: all bodies of one depth are handled by the same array operations.

Rows of bodies and of velocities are put in *level order* (depth by depth) inside the algorithms,
so that a level is a contiguous slice, and back in the robot's order on the way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinematics.robot.tree import Robot


@dataclass(frozen=True, kw_only=True)
class LevelRows:
    """One depth of the tree, as row numbers in level order."""

    bodies: slice
    dofs: slice
    parents: list[int] | None  # row within the level above; None where the rows coincide
    slots: list[list[int]]  # slot k: for each body its k-th velocity row, or nv (a row of zeros)


@dataclass(frozen=True, kw_only=True)
class ColumnRows:
    """Columns of wrenches carried from their owners to the base, and where products with S go.

    ``bodies[d]``: for each column alive at level d (its own first, then those from below) the row
    within the level of the body that carries it. ``gather`` (nv, columns): the place of each entry
    in the concatenated products, or one past their end where the entry is structurally zero.
    """

    bodies: list[list[int]]
    gather: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Topology:
    """Level order of a robot's bodies and velocities.

    ``axis_rows`` (nv, nb): where the motion that a velocity gives to a body stands among those of
    ``Placement.axes``, level by level, or one past their end where it gives none.
    """

    body_order: list[int]
    dof_order: list[int]
    dof_body: list[int]  # row of the body (level order) of each velocity (level order)
    levels: list[LevelRows]
    dof_columns: ColumnRows
    axis_rows: np.ndarray


def topology(robot: Robot) -> Topology:
    """The level order of ``robot``; made once a robot."""
    depth: list[int] = []
    for parent in robot.parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    by_level: list[list[int]] = [[] for _ in range(max(depth) + 1)]
    for body, level in enumerate(depth):
        by_level[level].append(body)
    # siblings' order follows their parents', so that chains side by side need no gathering
    place = {body: k for k, body in enumerate(by_level[0])}
    for bodies in by_level[1:]:
        bodies.sort(key=lambda b: (place[robot.parents[b]], b))
        place |= {body: k for k, body in enumerate(bodies)}

    body_order = [body for bodies in by_level for body in bodies]
    dof_order: list[int] = []
    dof_body: list[int] = []
    levels: list[LevelRows] = []
    start = 0
    for number, bodies in enumerate(by_level):
        first = len(dof_order)
        rows: list[list[int]] = []
        for k, body in enumerate(bodies):
            at = robot.v_slices[body]
            rows.append(list(range(len(dof_order), len(dof_order) + at.stop - at.start)))
            dof_order.extend(range(at.start, at.stop))
            dof_body.extend([start + k] * (at.stop - at.start))
        slots = [
            [row[k] if k < len(row) else robot.nv for row in rows]
            for k in range(max(len(row) for row in rows))
        ]
        parents = [place[robot.parents[b]] for b in bodies] if number else None
        above = len(by_level[number - 1]) if number else 1
        if parents == list(range(above)):
            parents = None
        levels.append(
            LevelRows(
                bodies=slice(start, start + len(bodies)),
                dofs=slice(first, len(dof_order)),
                parents=parents,
                slots=slots,
            )
        )
        start += len(bodies)
    return Topology(
        body_order=body_order,
        dof_order=dof_order,
        dof_body=dof_body,
        levels=levels,
        dof_columns=_dof_columns(levels, dof_body, dof_order),
        axis_rows=_axis_rows(levels, body_order, dof_order),
    )


def _axis_rows(levels: list[LevelRows], body_order: list[int], dof_order: list[int]) -> np.ndarray:
    nv = len(dof_order)
    moved: list[list[int]] = []  # for each body of the level above, the velocities that move it
    at: dict[tuple[int, int], int] = {}
    count = 0
    for level in levels:
        n = level.bodies.stop - level.bodies.start
        above = moved if level.parents is None else [moved[row] for row in level.parents]
        own = [[slot[row] for slot in level.slots] for row in range(n)]
        moved = [a + o for a, o in zip(above or [[]] * n, own, strict=True)]
        for row, dofs in enumerate(moved):
            for dof in dofs:
                at[dof, level.bodies.start + row] = count
                count += 1
    rows = np.full((nv, len(body_order)), count, dtype=np.int64)
    for (dof, body), row in at.items():
        if dof < nv:
            rows[dof_order[dof], body_order[body]] = row
    return rows


def _dof_columns(levels: list[LevelRows], dof_body: list[int], dof_order: list[int]) -> ColumnRows:
    """A column for each velocity, owned by the body that it moves; both triangles are filled."""
    nv = len(dof_order)
    bodies: list[list[int]] = [[] for _ in levels]
    alive: list[tuple[int, int]] = []  # (column, row within the level)
    values: list[tuple[int, int]] = []  # (velocity row, column) of each product, in order
    for d in reversed(range(len(levels))):
        level = levels[d]
        own = [
            (c, b - level.bodies.start)
            for c, b in enumerate(dof_body)
            if level.bodies.start <= b < level.bodies.stop
        ]
        alive = own + alive
        bodies[d] = [row for _, row in alive]
        for slot in level.slots:
            values.extend((slot[row], column) for column, row in alive)
        if level.parents is not None:
            alive = [(c, level.parents[row]) for c, row in alive]
    gather = np.full((nv, nv), len(values), dtype=np.int64)
    for at, (dof, column) in enumerate(values):
        if dof < nv:
            row, other = dof_order[dof], dof_order[column]
            gather[row, other] = gather[other, row] = at
    return ColumnRows(bodies=bodies, gather=gather)


def identity(order: Sequence[Any]) -> bool:
    """Whether an order leaves everything in place."""
    return list(order) == list(range(len(order)))
