"""A robot's constants laid out for the recursions: numpy's work, done once.

Once for torch of each dtype and device, and once for numpy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from kinematics.arrays import maps, spatial
from kinematics.arrays.operations import NUMPY, TORCH, Array, untransformed
from kinematics.arrays.reading import Columns, Level, Placed, Reading, Slot
from kinematics.arrays.topology import ColumnRows, Topology, identity, topology
from kinematics.robot import joints
from kinematics.robot.tree import Robot


def reading(robot: Robot, like: Array) -> Reading:
    """The constants of ``robot`` as arrays like ``like``; kept once made."""
    torched = isinstance(like, torch.Tensor)
    key = ("reading", like.dtype, like.device) if torched else ("reading", "numpy")
    found = robot._cache.get(key)
    if found is not None:
        return found
    with untransformed():
        rows = robot._cache.get(("topology",)) or topology(robot)
        made = _Maker(robot, rows, like).reading()
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
        _ = (
            robot.active_terms,
            robot.turning_springs,
            robot.coupling,
        )  # read off the robot's numbers as well
        reading(
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


class _Maker:
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
            np.eye(3) if kind in joints.QUATERNION else maps.to_z(axis)
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

    def reading(self) -> Reading:
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
        to_frame = [maps.parameters(f, np.zeros(3)) for f in self.frames]
        return Reading(
            xp=TORCH if self.torched else NUMPY,
            nb=robot.nb,
            nv=robot.nv,
            levels=tuple(levels),
            body_sizes=tuple(x.bodies.stop - x.bodies.start for x in rows.levels),
            dof_sizes=tuple(x.dofs.stop - x.dofs.start for x in rows.levels),
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
        x = maps.motion(*tree)
        basis, partner = maps.PARAMETER_BASIS, maps.PARAMETER_PARTNER
        a_basis, a_partner = maps.ARTICULATED_BASIS, maps.ARTICULATED_PARTNER
        slides = self.kinds[body] not in joints.TURNING
        product = np.zeros((6, 6))
        up = maps.VECTOR_PARTNER
        if slides:
            # w × z moves the linear part; the wrench's moment follows
            step = maps.motion(np.eye(3), np.array([0.0, 0.0, 1.0])) - np.eye(6)
            up, down = step.T, step
            product[3, 1], product[4, 0] = 1.0, -1.0
            p = maps.polynomial(lambda q: maps.parameters(np.eye(3), np.array([0, 0, q])))
            a = maps.polynomial(lambda q: maps.articulated(np.eye(3), np.array([0, 0, q])))
            p1 = np.concatenate([basis @ term for term in p])
            a1 = np.concatenate([a_basis @ term @ maps.SYMMETRISE for term in a])
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
            "p2": maps.parameters(*tree) @ maps.PARAMETER_UNSORT,
            "a1": a1,
            "a2": maps.articulated(*tree) @ maps.ARTICULATED_UNSORT,
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
