"""What a recursion reads of a robot: its constants, level by level, in the caller's kind of array.

Every recursion only slices, blends and multiplies these. All rows are in level order (see
topology); `kinematics.arrays.layout` makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kinematics.arrays.operations import Array


@dataclass(frozen=True, kw_only=True)
class Slot:
    """The k-th velocity of each body of a level."""

    row: int | None  # the component of the 6-vector it moves, where all bodies have the same
    dofs: Array  # the velocity's row for each body; nv for none
    rows6: Array  # else rows of (n·6, B) and of (n·7, B) arrays, a row for each body
    rows7: Array
    motion: Array  # S (n, 6, 1): a unit vector, zero where the body has no such velocity
    present: Array | None  # (n, 1) ones and zeros; None where all bodies have it


@dataclass(frozen=True, kw_only=True)
class Level:
    """One depth of the tree."""

    number: int
    bodies: slice
    dofs: slice
    parents: Array | None  # rows of the level above; None where the rows coincide
    slots: tuple[Slot, ...]
    unpack: Array | None  # from concatenated slots to the rows of ``dofs``; None: in place
    sorted: slice | None  # rows among the bodies moved by sorted maps; None: placed by (R, p)
    placed: slice  # rows among the bodies placed by (R, p)
    slides: bool  # some joint of the level slides
    velocity_product: Array  # (n, 6, 6): motion -> motion × S, for one-velocity joints
    motion_down: Array  # (n, 12, 6)
    wrench_up: tuple[Array, Array]  # before the blend, after it
    parameters_up: tuple[Array, Array]
    articulated_up: tuple[Array, Array]


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Columns of wrenches carried to the base; see topology.ColumnRows."""

    bodies: tuple[Array, ...]
    gather: Array


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The constants of one robot."""

    xp: Any
    nb: int
    nv: int
    levels: tuple[Level, ...]
    body_sizes: tuple[int, ...]  # bodies of each level
    dof_sizes: tuple[int, ...]  # velocities of each level
    sorted_sizes: tuple[int, ...]  # bodies moved by sorted maps, by level; 0 where there are none
    turning_q: Array  # coordinates of turning joints moved by sorted maps
    sliding_q: Array
    basis_order: Array | None  # from [turning, sliding] to the sorted bodies' order
    placed: Placed
    velocity_rows: Array  # (nb·6): which velocity makes each component of S v; nv for none
    dof_rows: Array  # (nv): rows of (nb·6, B) that the joint forces are
    dof_body: Array  # (nv): the body that each velocity moves
    axis_momentum: Array  # (nv, 6, 10): inertial parameters -> momentum of that body at unit speed
    dof_order: Array | None
    dof_return: Array | None
    body_order: Array | None
    frame: Array | None  # (nb, 3, 3): body frame to canonical frame; None where they coincide
    frame_parameters: Array | None  # (nb, 10, 10)
    fall: Array  # (1, 6, 1): acceleration of a base that is held against gravity
    dof_columns: Columns
    frame_back: Array | None  # (nb, 3, 3): canonical frame to body frame
    axis_rows: Array  # (nv·nb): rows of ``Placement.axes`` for each velocity and each body

    def dofs(self, x: Array) -> Array:
        """(B, nv) in the robot's order to (nv, B) in level order."""
        return x.T if self.dof_order is None else self.xp.take(x.T, self.dof_order)

    def public_dofs(self, x: Array) -> Array:
        """(nv, B) in level order to (nv, B) in the robot's order."""
        return x if self.dof_return is None else self.xp.take(x, self.dof_return)

    def bodies(self, x: Array) -> Array:
        """(B or 1, nb, k) in the robot's order to (nb, k, B or 1) in level order."""
        rows = x.swapaxes(0, 1).swapaxes(1, 2)
        return rows if self.body_order is None else self.xp.take(rows, self.body_order)

    def parameters(self, pi: Array) -> Array:
        """Inertial parameters (B or 1, nb, 10) as (nb, 10, B or 1) in canonical frames."""
        rows = self.bodies(pi)
        if self.frame_parameters is None:
            return rows
        return self.xp.linear(self.frame_parameters, rows)

    def own_frames(self, motions: Array, bodies: slice) -> Array:
        """Motions (n, 6, k, B) of some bodies, from canonical frames to the bodies' own."""
        if self.frame_back is None:
            return motions
        back = self.frame_back[bodies]
        parts = (self.xp.linear(back, motions[:, :3]), self.xp.linear(back, motions[:, 3:]))
        return self.xp.concat(parts, axis=1)

    def wrenches(self, f: Array) -> Array:
        """Wrenches on bodies (B, nb, 6) as (nb, 6, B) in canonical frames."""
        rows = self.bodies(f)
        if self.frame is None:
            return rows
        parts = (self.xp.linear(self.frame, rows[:, :3]), self.xp.linear(self.frame, rows[:, 3:]))
        return self.xp.concat(parts, axis=1)

    def joint_motion(self, v: Array) -> Array:
        """S v of each body (nb, 6, B), from v (nv, B) in level order."""
        padded = self.xp.concat((v, self.xp.zeros((1, v.shape[1]), like=v)))
        return self.xp.take(padded, self.velocity_rows).reshape(self.nb, 6, v.shape[1])

    def joint_forces(self, f: Array) -> Array:
        """Sᵀ f (nv, B) of the wrench on each body (nb, 6, B)."""
        return self.xp.take(f.reshape(self.nb * 6, f.shape[-1]), self.dof_rows)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Bodies of levels with spherical or free joints: their placements are (R, p) themselves."""

    count: int
    scalar_q: Array
    turning: Array  # (count of scalars, 1, 1, 1) ones for turning joints, zeros for sliding ones
    quaternion_q: Array
    position_q: Array  # with zeros prepended: row of the position of each quaternion joint
    position_rows: Array
    order: Array | None  # from [scalar, quaternion] to the rows of placed bodies
    rotation: Array  # R_tree (count, 3, 3, 1)
    offset: Array  # p_tree (count, 3, 1)
