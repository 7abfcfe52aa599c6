"""A robot's constants laid out level by level, in the caller's kind of array.

Every recursion only slices, blends and multiplies these. All rows are in level order (see
`kinematics.recursion.levels`). They are computed by numpy, once for torch of each dtype and device
and once for numpy, and kept with the robot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from kinematics.arrays import NUMPY, TORCH, Array, untransformed
from kinematics.recursion.levels import ColumnRows, Topology, identity, topology
from kinematics.robot import joints
from kinematics.robot.tree import Robot
from kinematics.spatial import algebra as spatial
from kinematics.spatial import transforms


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
    """Columns of wrenches carried to the base; see levels.ColumnRows."""

    bodies: tuple[Array, ...]
    gather: Array


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The constants of one robot, and the way from its order to level order and back."""

    xp: Any
    nb: int
    nv: int
    levels: tuple[Level, ...]
    body_sizes: tuple[int, ...]  # bodies of each level
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


def layout_of(robot: Robot, like: Array) -> Layout:
    """The constants of ``robot`` as arrays like ``like``; kept once made."""
    torched = isinstance(like, torch.Tensor)
    key = ("layout", like.dtype, like.device) if torched else ("layout", "numpy")
    found = robot._cache.get(key)
    if found is not None:
        return found
    with untransformed():
        rows = robot._cache.get(("topology",)) or topology(robot)
        made = _LayoutBuilder(robot, rows, like).build()
    robot._cache[("topology",)], robot._cache[key] = rows, made
    return made


def prepare(robot: Robot, like: Array) -> None:
    """Make the constants while torch.compile traces; nothing otherwise.

    They are numpy's work on the robot's numbers, which must not become part of the graph. It has
    to happen before the trace first looks into the robot's store, which it sees as it was then.
    """
    if torch.compiler.is_dynamo_compiling():
        from torch._dynamo.comptime import comptime

        comptime(_prepare_now)


def _prepare_now(trace: Any) -> None:
    from torch.utils._python_dispatch import _disable_current_modes

    variable = trace.get_local("robot")._i_will_not_complain_if_bc_breaks_VariableTracker()
    if variable.source is None:  # made within the trace: there is no such robot yet
        return
    robot, like = variable.realize().value, trace.get_local("like").as_fake()
    with _disable_current_modes():
        _ = (robot.active_terms, robot.turning_springs, robot.coupling)  # also the robot's numbers
        layout_of(
            robot.unmimicked if robot.mimic else robot,
            torch.empty(0, dtype=like.dtype, device=like.device),
        )


# For each of the six unit motions: inertial parameters -> momentum, (6, 6, 10).
_MOMENTUM = np.stack(
    [
        spatial.momentum(np.eye(10)[..., None], np.eye(6)[k][None, :, None])[..., 0].T
        for k in range(6)
    ]
)


class _LayoutBuilder:
    """Computes the constants in numpy float64 and converts them at the end."""

    def __init__(self, robot: Robot, rows: Topology, like: Array) -> None:
        self.robot, self.rows, self.like = robot, rows, like
        self.torched = isinstance(like, torch.Tensor)
        self.order = rows.body_order
        self.kinds = [robot.kinds[b] for b in self.order]
        axes = robot.axes.detach().cpu().double().numpy()[self.order]
        rotation = robot.tree_rotation.detach().cpu().double().numpy()
        offset = robot.tree_offset.detach().cpu().double().numpy()
        frames = [
            np.eye(3) if kind in joints.QUATERNION else transforms.to_z(axis)
            for kind, axis in zip(self.kinds, axes, strict=True)
        ]
        place = {body: row for row, body in enumerate(self.order)}
        self.frames = frames
        self.rotation, self.offset = [], []
        for row, body in enumerate(self.order):
            parent = robot.parents[body]
            turn = np.eye(3) if parent < 0 else frames[place[parent]]
            self.rotation.append(turn @ rotation[body] @ frames[row].T)
            self.offset.append(turn @ offset[body])

    def number(self, x: Any) -> Array:
        x = np.asarray(x, dtype=float) + 0.0  # no negative zeros
        if self.torched:
            return torch.as_tensor(x).to(dtype=self.like.dtype, device=self.like.device)
        return x

    def index(self, x: Any) -> Array:
        flat = np.asarray(x, dtype=np.int64)
        return torch.as_tensor(flat, device=self.like.device) if self.torched else flat

    def permutation(self, x: Any) -> Array | None:
        return None if identity(x) else self.index(x)

    def build(self) -> Layout:
        rows, robot = self.rows, self.robot
        is_sorted = [
            not any(
                self.kinds[b] in joints.QUATERNION for b in range(*level.bodies.indices(1 << 30))
            )
            for level in rows.levels
        ]
        sorted_bodies = [
            b
            for level, good in zip(rows.levels, is_sorted, strict=True)
            if good
            for b in range(level.bodies.start, level.bodies.stop)
        ]
        placed_bodies = [b for b in range(robot.nb) if b not in set(sorted_bodies)]
        starts = [robot.q_slices[b].start for b in self.order]
        turning = [b for b in sorted_bodies if self.kinds[b] in joints.TURNING]
        sliding = [b for b in sorted_bodies if self.kinds[b] not in joints.TURNING]
        both = turning + sliding
        levels, at_sorted, at_placed = [], 0, 0
        for number, good in enumerate(is_sorted):
            size = rows.levels[number].bodies.stop - rows.levels[number].bodies.start
            where = slice(at_sorted, at_sorted + size) if good else None
            levels.append(self.level(number, where, slice(at_placed, at_placed + size)))
            at_sorted, at_placed = at_sorted + size * good, at_placed + size * (not good)
        velocity_rows = np.full((robot.nb, 6), robot.nv)
        dof_rows = np.zeros(robot.nv, dtype=int)
        seen: dict[int, int] = {}
        for dof, body in enumerate(rows.dof_body):
            component = self.component(body, seen.setdefault(body, 0))
            seen[body] += 1
            velocity_rows[body, component] = dof
            dof_rows[dof] = 6 * body + component
        plain = all(np.array_equal(f, np.eye(3)) for f in self.frames)
        gravity = robot.gravity.detach().cpu().double().numpy()
        to_frame = [transforms.parameters(f, np.zeros(3)) for f in self.frames]
        return Layout(
            xp=TORCH if self.torched else NUMPY,
            nb=robot.nb,
            nv=robot.nv,
            levels=tuple(levels),
            body_sizes=tuple(x.bodies.stop - x.bodies.start for x in rows.levels),
            sorted_sizes=tuple(
                (x.bodies.stop - x.bodies.start) * good
                for x, good in zip(rows.levels, is_sorted, strict=True)
            ),
            turning_q=self.index([starts[b] for b in turning]),
            sliding_q=self.index([starts[b] for b in sliding]),
            basis_order=self.permutation([both.index(b) for b in sorted_bodies]),
            placed=self.placed(placed_bodies, starts),
            velocity_rows=self.index(velocity_rows.ravel()),
            dof_rows=self.index(dof_rows),
            dof_body=self.index(rows.dof_body),
            axis_momentum=self.number([_MOMENTUM[row % 6] for row in dof_rows]),
            dof_order=self.permutation(rows.dof_order),
            dof_return=self.permutation(np.argsort(rows.dof_order).tolist()),
            body_order=self.permutation(self.order),
            frame=None if plain else self.number(self.frames),
            frame_parameters=None if plain else self.number(to_frame),
            fall=self.number(np.concatenate((np.zeros(3), -gravity))[None, :, None]),
            dof_columns=self.columns(rows.dof_columns),
            frame_back=None if plain else self.number(np.swapaxes(self.frames, 1, 2)),
            axis_rows=self.index(rows.axis_rows.ravel()),
        )

    def component(self, body: int, k: int) -> int:
        """Which component of the 6-vector the k-th velocity of a body is."""
        if self.kinds[body] in joints.QUATERNION:
            return k
        return 2 if self.kinds[body] in joints.TURNING else 5

    def columns(self, x: ColumnRows) -> Columns:
        return Columns(bodies=tuple(self.index(b) for b in x.bodies), gather=self.index(x.gather))

    def level(self, number: int, where: slice | None, placed: slice) -> Level:
        level = self.rows.levels[number]
        bodies = range(level.bodies.start, level.bodies.stop)
        slots = []
        for k, slot in enumerate(level.slots):
            has = np.array([dof < self.robot.nv for dof in slot])
            component = np.array(
                [self.component(b, k) if ok else 0 for b, ok in zip(bodies, has, strict=True)]
            )
            n = np.arange(len(slot))
            motion = np.zeros((len(slot), 6, 1))
            motion[n[has], component[has], 0] = 1.0
            uniform = bool(has.all()) and len(set(component.tolist())) == 1
            slots.append(
                Slot(
                    row=int(component[0]) if uniform else None,
                    dofs=self.index(slot),
                    rows6=self.index(6 * n + component),
                    rows7=self.index(7 * n + component),
                    motion=self.number(motion),
                    present=None if has.all() else self.number(has[:, None]),
                )
            )
        flat = [row for slot in level.slots for row in slot]
        unpack = [flat.index(row) for row in range(level.dofs.start, level.dofs.stop)]
        carried = [self.carriers(b) for b in bodies] if where is not None else []
        stacked = {
            key: self.number(np.stack([c[key] for c in carried])) if carried else self.number([])
            for key in ("cross", "motion", "w1", "w2", "p1", "p2", "a1", "a2")
        }
        return Level(
            number=number,
            bodies=level.bodies,
            dofs=level.dofs,
            parents=None if level.parents is None else self.index(level.parents),
            slots=tuple(slots),
            unpack=None if len(level.slots) == 1 else self.index(unpack),
            sorted=where,
            placed=placed,
            slides=any(self.kinds[b] not in joints.TURNING for b in bodies),
            velocity_product=stacked["cross"],
            motion_down=stacked["motion"],
            wrench_up=(stacked["w1"], stacked["w2"]),
            parameters_up=(stacked["p1"], stacked["p2"]),
            articulated_up=(stacked["a1"], stacked["a2"]),
        )

    def carriers(self, body: int) -> dict[str, np.ndarray]:
        """The constant matrices on either side of one body's joint."""
        tree = (self.rotation[body], self.offset[body])
        x = transforms.motion(*tree)
        basis, partner = transforms.PARAMETER_BASIS, transforms.PARAMETER_PARTNER
        a_basis, a_partner = transforms.ARTICULATED_BASIS, transforms.ARTICULATED_PARTNER
        slides = self.kinds[body] not in joints.TURNING
        product = np.zeros((6, 6))
        up = transforms.VECTOR_PARTNER
        if slides:
            one, z = np.eye(3), np.array([0.0, 0.0, 1.0])
            # w × z moves the linear part; the wrench's moment follows
            step = transforms.motion(one, z) - np.eye(6)
            up, down = step.T, step
            product[3, 1], product[4, 0] = 1.0, -1.0
            p = transforms.polynomial(lambda q: transforms.parameters(one, q * z))
            a = transforms.polynomial(lambda q: transforms.articulated(one, q * z))
            p1 = np.concatenate([basis @ term for term in p])
            a1 = np.concatenate([a_basis @ term @ transforms.SYMMETRISE for term in a])
        else:
            down = up.T
            for o in (0, 3):
                product[o, o + 1], product[o + 1, o] = 1.0, -1.0
            p1 = np.concatenate((basis, partner @ basis, np.zeros((10, 10))))
            a1 = np.concatenate((a_basis, a_partner @ a_basis, np.zeros((27, 42))))
        return {
            "cross": product,
            "motion": np.concatenate((x, down @ x)),
            "w1": np.concatenate((np.eye(6), up)),
            "w2": x.T,
            "p1": p1,
            "p2": transforms.parameters(*tree) @ transforms.PARAMETER_UNSORT,
            "a1": a1,
            "a2": transforms.articulated(*tree) @ transforms.ARTICULATED_UNSORT,
        }

    def placed(self, bodies: list[int], starts: list[int]) -> Placed:
        scalar = [b for b in bodies if self.kinds[b] not in joints.QUATERNION]
        quaternion = [b for b in bodies if self.kinds[b] in joints.QUATERNION]
        free = [b for b in quaternion if self.kinds[b] == "free"]
        stops = [self.robot.q_slices[b].stop for b in self.order]
        both = scalar + quaternion
        turning = [float(self.kinds[b] in joints.TURNING) for b in scalar]
        return Placed(
            count=len(bodies),
            scalar_q=self.index([starts[b] for b in scalar]),
            turning=self.number(np.reshape(turning, (-1, 1, 1, 1))),
            quaternion_q=self.index([stops[b] - 4 + j for b in quaternion for j in range(4)]),
            position_q=self.index([starts[b] + j for b in free for j in range(3)]),
            position_rows=self.index([1 + free.index(b) if b in free else 0 for b in quaternion]),
            order=self.permutation([both.index(b) for b in bodies]),
            rotation=self.number(
                np.array([self.rotation[b] for b in bodies]).reshape(-1, 3, 3)[..., None]
            ),
            offset=self.number(
                np.array([self.offset[b] for b in bodies]).reshape(-1, 3)[..., None]
            ),
        )
