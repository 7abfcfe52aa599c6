"""Into the tree's own layout, along the tree, and out again.

``Reading`` holds a robot's constants in the arrays of the caller (torch of some dtype and device,
or numpy) and carries values root to leaf (``outward``) and leaf to root (``inward``), a level of
the tree at a time. Layout inside: (rows in level order, components, batch).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from kinematics import joints
from kinematics.arrays import NUMPY, TORCH, Array
from kinematics.rotations import matrix_of_quaternion
from kinematics.spatial import Pair, RigidInertia
from kinematics.topology import ColumnRows, Topology, identity, subspaces, topology
from kinematics.tree import Robot


@dataclass(frozen=True, kw_only=True)
class Level:
    """One depth of the tree: rows, and the index arrays that lead to the level above."""

    number: int
    bodies: slice
    dofs: slice
    parents: Array | None
    parent_count: int
    slots: tuple[Array, ...]  # for each body the row of its k-th velocity, nv where it has none
    motions: tuple[Pair, ...]  # S of those velocities, zero where there is none
    absent: tuple[Array | None, ...]  # 1 where a body has no k-th velocity; None: all have one
    plain: bool  # one velocity a body: slot 0 is the slice ``dofs``
    unpack: Array  # from concatenated slots to the rows of ``dofs``


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Index arrays of columns carried inward; see topology.ColumnRows."""

    bodies: tuple[Array, ...]
    gather: Array


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A robot's constants in the caller's kind of array."""

    xp: Any
    nb: int
    nv: int
    levels: tuple[Level, ...]
    scalar_q: Array  # coordinates of one-velocity joints
    quaternion_q: Array  # (count, 4) coordinates of quaternions
    position_q: Array  # (free joints, 3) coordinates of positions
    place: Array | None  # from [scalar joints, quaternion joints] to level order
    turn: tuple[Array, Array, Array]  # R = A + sin(q) B + cos(q) C of scalar joints
    slide: Array | None  # R_tree axis of prismatic joints, else zero
    quaternion_tree: Array  # R_tree of quaternion joints
    free_rows: Array | None  # which quaternion joints are free: rows into [zero, positions]
    offset: Array  # p_tree in level order
    motion: Pair  # S of every velocity, level order
    dof_order: Array | None
    dof_return: Array | None
    dof_body: Array | None  # None where each body has one velocity
    body_order: Array | None
    body_return: Array | None
    gravity: Array
    inertia_at: Array
    dof_columns: Columns
    parameter_columns: Columns

    # -- in and out ---------------------------------------------------------------------------

    def dofs(self, x: Array) -> Array:
        """(B, nv) in the robot's order to (nv, B) in level order."""
        return x.T if self.dof_order is None else self.xp.take(x.T, self.dof_order)

    def public_dofs(self, x: Array) -> Array:
        """(nv, B) in level order to (B, nv) in the robot's order."""
        return (x if self.dof_return is None else self.xp.take(x, self.dof_return)).T

    def bodies(self, x: Array) -> Array:
        """(B or 1, nb, k) in the robot's order to (nb, k, B or 1) in level order."""
        rows = x.swapaxes(0, 1).swapaxes(1, 2)
        return rows if self.body_order is None else self.xp.take(rows, self.body_order)

    def inertias(self, pi: Array) -> RigidInertia:
        """Inertial parameters (B or 1, nb, 10) as mass, first moment and inertia matrix."""
        rows = self.bodies(pi)
        return RigidInertia(rows[:, 0:1], rows[:, 1:4], rows[:, self.inertia_at])

    def of_bodies(self, x: Array) -> Array:
        """Rows of bodies repeated for each of their velocities."""
        return x if self.dof_body is None else self.xp.take(x, self.dof_body)

    def sum_dofs(self, x: Array) -> Array:
        """Rows of velocities summed into rows of bodies."""
        return x if self.dof_body is None else self.xp.segment_sum(x, self.dof_body, self.nb)

    # -- geometry -----------------------------------------------------------------------------

    def placements(self, q: Array) -> tuple[Array, Array]:
        """R (nb, 3, 3, B) and p (nb, 3, B) of each body in its parent, from q (B, nq)."""
        xp, columns = self.xp, q.T
        rotations, slides = [], []
        if len(self.scalar_q):
            angle = xp.take(columns, self.scalar_q)[:, None]
            turned = angle[:, None]
            a, b, c = self.turn
            rotations.append(a + xp.sin(turned) * b + xp.cos(turned) * c)
            if self.slide is not None:
                slides.append(self.slide * angle)
        if len(self.quaternion_q):
            count = self.quaternion_tree.shape[0]
            quaternion = xp.take(columns, self.quaternion_q).reshape(count, 4, q.shape[0])
            spin = matrix_of_quaternion(quaternion)
            tree = self.quaternion_tree
            rotations.append((tree[:, :, :, None] * spin[:, None]).sum(2))
            if self.slide is not None:
                moved = xp.take(columns, self.position_q).reshape(-1, 3, q.shape[0])
                moved = xp.concat((xp.zeros((1, 3, q.shape[0]), like=moved), moved))
                moved = xp.take(moved, self.free_rows)
                slides.append((tree * moved[:, None]).sum(2))
        rotation = xp.concat(rotations)
        if self.place is not None:
            rotation = xp.take(rotation, self.place)
        if self.slide is None:
            return rotation, self.offset
        slide = xp.concat(slides)
        if self.place is not None:
            slide = xp.take(slide, self.place)
        return rotation, self.offset + slide

    def joint_motion(self, v: Array) -> Pair:
        """S v of each body (nb, 3, B), from v (nv, B) in level order."""
        return Pair(
            self.sum_dofs(self.motion.angular * v[:, None]),
            self.sum_dofs(self.motion.linear * v[:, None]),
        )

    # -- along the tree -----------------------------------------------------------------------

    def outward(self, step: Callable[[Level, Any], Any]) -> Any:
        """Run ``step(level, values of the parents)`` root to leaf; all bodies' values.

        ``step`` gets None at the roots and returns a tuple of arrays with a row for each body.
        """
        values: list[Any] = []
        for level in self.levels:
            inherited = values[-1] if values else None
            if level.parents is not None and inherited is not None:
                inherited = each(partial(self._down, level), inherited)
            values.append(step(level, inherited))
        return merge(self.xp, values)

    def inward(self, step: Callable[[Level, Any], tuple[Any, Any]]) -> Any:
        """Run ``step(level, sum over the children)`` leaf to root; all bodies' values.

        ``step`` gets None at the last level and returns (values to keep, values for the parent).
        """
        kept: list[Any] = []
        carried: Any = None
        for level in reversed(self.levels):
            keep, carried = step(level, carried)
            kept.append(keep)
            if level.parents is not None:
                carried = each(partial(self._up, level), carried)
        return merge(self.xp, kept[::-1])

    def _down(self, level: Level, x: Array) -> Array:
        return self.xp.take(x, level.parents)

    def _up(self, level: Level, x: Array) -> Array:
        return self.xp.segment_sum(x, level.parents, level.parent_count)

    def project_columns(
        self, columns: Columns, own: Pair, rotation: Array, offset: Array, to_parent: Any
    ) -> Array:
        """Carry columns of wrenches to the base and dot them with every motion subspace met.

        ``own`` are the columns (count, 3, B) each expressed at its owner, level by level.
        Returns the matrix (nv, count, B) of S · wrench, in the robot's order.
        """
        xp, products = self.xp, []
        alive: Pair | None = None
        end = own.linear.shape[0]
        for level, carriers in zip(reversed(self.levels), reversed(columns.bodies), strict=True):
            begin = end - (carriers.shape[0] - (0 if alive is None else alive.linear.shape[0]))
            mine = Pair(own.angular[begin:end], own.linear[begin:end])
            end = begin
            alive = (
                mine
                if alive is None
                else Pair(
                    xp.concat((mine.angular, alive.angular)), xp.concat((mine.linear, alive.linear))
                )
            )
            for motion in level.motions:
                s = Pair(xp.take(motion.angular, carriers), xp.take(motion.linear, carriers))
                products.append(
                    (s.angular * alive.angular).sum(1) + (s.linear * alive.linear).sum(1)
                )
            if level.number:
                r, p = rotation[level.bodies], offset[level.bodies]
                alive = to_parent(xp.take(r, carriers), xp.take(p, carriers), alive)
        zero = xp.zeros((1, products[0].shape[-1]), like=products[0])
        entries = xp.take(xp.concat((*products, zero)), columns.gather.reshape(-1))
        return entries.reshape(*columns.gather.shape, entries.shape[-1])


def each(function: Callable[[Array], Array], value: Any) -> Any:
    """Apply a function to every array of a (nested) tuple."""
    if isinstance(value, tuple):
        parts = [each(function, x) for x in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return function(value)


def merge(xp: Any, values: list[Any]) -> Any:
    """Concatenate the arrays of equally shaped tuples along their rows."""
    first = values[0]
    if isinstance(first, tuple):
        parts = [merge(xp, [v[k] for v in values]) for k in range(len(first))]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    batch = max(v.shape[-1] for v in values)
    return xp.concat([xp.broadcast(v, (*v.shape[:-1], batch)) for v in values])


def reading(robot: Robot, like: Array) -> Reading:
    """The constants of ``robot`` as arrays like ``like``; kept once made."""
    key = (like.dtype, like.device) if isinstance(like, torch.Tensor) else "numpy"
    movable = any(
        isinstance(x, torch.Tensor) and x.requires_grad
        for x in (robot.tree_rotation, robot.tree_offset, robot.gravity)
    )
    if not movable and key in robot._cache:
        return robot._cache[key]
    if "topology" not in robot._cache:
        robot._cache["topology"] = topology(robot)
    made = _make(robot, robot._cache["topology"], like)
    if not movable:
        robot._cache[key] = made
    return made


def _make(robot: Robot, rows: Topology, like: Array) -> Reading:
    torched = isinstance(like, torch.Tensor)
    xp = TORCH if torched else NUMPY

    def number(x: Any) -> Array:
        if torched:
            return torch.as_tensor(x).to(dtype=like.dtype, device=like.device)
        return x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)

    def index(x: Any) -> Array:
        flat = np.asarray(x, dtype=np.int64)
        return torch.as_tensor(flat, device=like.device) if torched else flat

    def order(x: list[int]) -> Array | None:
        return None if identity(x) else index(x)

    axes = robot.axes.detach().cpu().numpy()
    kinds = [robot.kinds[b] for b in rows.body_order]
    scalar = [k for k, kind in enumerate(kinds) if kind not in joints.QUATERNION]
    quaternion = [k for k, kind in enumerate(kinds) if kind in joints.QUATERNION]
    free = [k for k in quaternion if kinds[k] == "free"]
    starts = [robot.q_slices[b] for b in rows.body_order]

    turning = np.array([[[float(kinds[k] in joints.TURNING)]] for k in scalar]).reshape(-1, 1, 1)
    a = axes[rows.body_order][scalar].reshape(-1, 3)
    k1 = np.stack([_skew(x) for x in a]) if len(a) else np.zeros((0, 3, 3))
    k2 = np.stack([np.outer(x, x) - np.eye(3) * (x @ x) for x in a]) if len(a) else k1
    tree = number(robot.tree_rotation)[index(rows.body_order)]
    own_tree = tree[index(scalar)]
    turn = (
        own_tree @ number(np.eye(3) + turning * k2),
        own_tree @ number(turning * k1),
        own_tree @ number(-turning * k2),
    )
    if not torched:
        turn = tuple(_exact(x) for x in turn)  # type: ignore[assignment]
    slides = bool(free) or bool((turning == 0).any())
    slide = (own_tree @ number((1 - turning) * a[:, :, None])) if slides else None

    s = subspaces(robot, axes, rows)
    motion = Pair(number(s[:-1, :3, None]), number(s[:-1, 3:, None]))
    levels = []
    for n, level in enumerate(rows.levels):
        slots = tuple(index(slot) for slot in level.slots)
        absent = [np.array([row == robot.nv for row in slot], float) for slot in level.slots]
        levels.append(
            Level(
                number=n,
                bodies=level.bodies,
                dofs=level.dofs,
                parents=None if level.parents is None else index(level.parents),
                parent_count=level.parent_count,
                slots=slots,
                motions=tuple(
                    Pair(number(s[slot, :3, None]), number(s[slot, 3:, None]))
                    for slot in level.slots
                ),
                absent=tuple(number(x[:, None]) if x.any() else None for x in absent),
                plain=len(slots) == 1,
                unpack=index(_unpack(level.slots, level.dofs)),
            )
        )

    def columns(x: ColumnRows) -> Columns:
        return Columns(bodies=tuple(index(b) for b in x.bodies), gather=index(x.gather))

    placed = np.argsort(np.array(scalar + quaternion)).tolist()
    return Reading(
        xp=xp,
        nb=robot.nb,
        nv=robot.nv,
        levels=tuple(levels),
        scalar_q=index([starts[k].start for k in scalar]),
        quaternion_q=index([starts[k].stop - 4 + j for k in quaternion for j in range(4)]),
        position_q=index([starts[k].start + j for k in free for j in range(3)]),
        place=order(placed),
        turn=tuple(x[..., None] for x in turn),  # type: ignore[arg-type]
        slide=slide,
        quaternion_tree=tree[index(quaternion)][..., None],
        free_rows=index([1 + free.index(k) if k in free else 0 for k in quaternion]),
        offset=number(robot.tree_offset)[index(rows.body_order)][..., None],
        motion=motion,
        dof_order=order(rows.dof_order),
        dof_return=order(np.argsort(rows.dof_order).tolist()),
        dof_body=order(rows.dof_body),
        body_order=order(rows.body_order),
        body_return=order(np.argsort(rows.body_order).tolist()),
        gravity=number(robot.gravity)[None, :, None],
        inertia_at=index([[4, 5, 7], [5, 6, 8], [7, 8, 9]]),
        dof_columns=columns(rows.dof_columns),
        parameter_columns=columns(rows.parameter_columns),
    )


def _unpack(slots: list[list[int]], dofs: slice) -> list[int]:
    flat = [row for slot in slots for row in slot]
    return [flat.index(row) for row in range(dofs.start, dofs.stop)]


def _skew(a: np.ndarray) -> np.ndarray:
    return np.array([[0, -a[2], a[1]], [a[2], 0, -a[0]], [-a[1], a[0], 0.0]])


def _exact(x: np.ndarray) -> np.ndarray:
    """Signed zeros as plain ones, so that tracing sees one zero."""
    return x + 0.0
