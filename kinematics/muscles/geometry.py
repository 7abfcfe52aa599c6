"""Lengths of muscles, their rates and moment arms, and the joint forces of their tensions.

Tensions act as wrenches on the bodies that a path touches; a rate of length is the same wrenches on
the bodies' twists. Moment arms are made for reports and never used in dynamics. All this is exact
at every state, since a string's length is stationary in the points where it touches a surface:

    tau · v = - Σ tension · dL/dt,      r = - ∂L/∂q

Where points move on their bodies, the joints that move them feel the length change by that, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinematics.arrays import lazy
from kinematics.errors import RobotError
from kinematics.muscles.frames import Frames, Tree
from kinematics.muscles.muscles import Muscles
from kinematics.muscles.paths import Paths
from kinematics.muscles.strings import varying
from kinematics.muscles.wraps import touch
from kinematics.recursion.inputs import as_array, check_width, common_batch, normalise
from kinematics.robot.tree import Robot, check_robot


def muscle_lengths(robot: Robot, q: Any) -> Tensor:
    """Path lengths L(q) (..., nm) [m] of ``robot.muscles``; q (..., nq) [rad | m].

    Differentiable. Raises RobotError on wrong shapes, and for a robot without muscles.
    """
    state = enter(robot, q=q)
    return state.out(Strings(state).lengths)


def muscle_rates(robot: Robot, q: Any, v: Any) -> Tensor:
    """Rates dL/dt (..., nm) [m/s] of the path lengths, sums of point velocities along the strings;
    q (..., nq), v (..., nv)."""
    state = enter(robot, q=q, v=v)
    return state.out(Strings(state).rates(state.given["v"]))


def moment_arms(robot: Robot, q: Any) -> Tensor:
    """Moment arms r = -∂L/∂q (..., nm, nv) [m | 1]: the joint forces of unit tensions.

    Of joints with several velocities the derivative is along these. The force that a joint feels is
    Σ r · tension, as in OpenSim; MuJoCo's ``actuator_moment`` is -r.
    """
    state = enter(robot, q=q)
    return state.out(Strings(state).arms(), tail=2)


def muscle_joint_forces(robot: Robot, q: Any, tensions: Any) -> Tensor:
    """Joint forces (..., nv) [N·m | N] of tensions (..., nm) [N], positive where they pull."""
    state = enter(robot, q=q, tensions=tensions)
    return state.out(Strings(state).joint_forces(state.given["tensions"]))


@dataclass(frozen=True, kw_only=True)
class State:
    """Checked inputs with one flat batch axis."""

    robot: Robot
    muscles: Muscles
    given: dict[str, Tensor]
    batch: tuple[int, ...]

    def out(self, x: Tensor, tail: int = 1) -> Tensor:
        """A result (B, ...) with the caller's batch axes."""
        return x.reshape(*self.batch, *x.shape[x.ndim - tail :])


def enter(robot: Any, **given: Any) -> State:
    """Check q, v, tensions, u and z against a robot with muscles, agree on dtype and flatten the
    batch. z may be None, and is left out then."""
    check_robot(robot)
    muscles = robot.muscles
    if muscles is None:
        raise RobotError(
            f"expected a robot with muscles, found none in {robot.name}; load a description that "
            "has some, or give them by robot.replace(muscles=...)"
        )
    for name in given:
        if given[name] is None and name != "z":
            raise RobotError(
                f"expected {name} as a tensor or an array of numbers, found None; give it"
            )
    widths = {"q": robot.nq, "v": robot.nv, "tensions": muscles.nm, "u": muscles.nm}
    widths["z"] = muscles.nz
    arrays: dict[str, Tensor] = {}
    for name, x in given.items():
        if x is None:
            continue
        array = as_array(name, x)
        if isinstance(array, np.ndarray):
            raise RobotError(
                f"expected {name} as numbers, found expressions; muscles are computed from numbers"
            )
        check_width(robot, name, array, widths[name])
        arrays[name] = array
    dtype = arrays["q"].dtype
    for x in arrays.values():
        dtype = torch.promote_types(dtype, x.dtype)
    device = arrays["q"].device
    batch = common_batch([*arrays], [tuple(x.shape[:-1]) for x in arrays.values()])
    count = math.prod(batch)
    flat = {
        name: x.to(dtype=dtype, device=device)
        .expand(*batch, x.shape[-1])
        .reshape(count, x.shape[-1])
        for name, x in arrays.items()
    }
    if robot.quaternion_slices:
        flat["q"] = normalise(robot, flat["q"])
    return State(robot=robot, muscles=muscles, given=flat, batch=batch)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Laid:
    """A robot's tree and paths as tensors of one dtype on one device."""

    tree: Tree
    point_bodies: Tensor
    points: Tensor
    wrap_bodies: Tensor
    wrap_centres: Tensor
    wrap_rotations: Tensor
    wrap_radii: Tensor
    spheres: Tensor
    muscle: Tensor  # of each span
    first: Tensor
    last: Tensor
    weights: Tensor
    over: Tensor  # the spans with a surface
    wrap: Tensor  # their surfaces
    side: Tensor  # their side points, 0 where there is none
    sided: Tensor
    side_at: Tensor  # where it stands in the surface's frame
    steady: Tensor  # if both are on one body
    joint_q: Tensor  # (nm, nq of the full tree)
    joint_v: Tensor  # (nm, nv of the full tree)
    offsets: Tensor
    varying: varying.Laid | None

    @classmethod
    def of(cls, robot: Robot, paths: Paths, like: Tensor) -> _Laid:
        tree = robot.unmimicked if robot.mimic else robot
        spans = np.array(paths.spans, dtype=np.int64).reshape(-1, 5)
        over = np.flatnonzero(spans[:, 3] >= 0)
        wrap, side = spans[over, 3], np.maximum(spans[over, 4], 0)
        turns, away = paths.wrap_rotations[wrap], paths.points[side] - paths.wrap_centres[wrap]

        def index(x: Any) -> Tensor:
            return torch.as_tensor(np.asarray(x, dtype=np.int64), device=like.device)

        def rows(bodies: tuple[int, ...]) -> Tensor:
            return index([tree.nb if b < 0 else b for b in bodies])

        def belt(width: int, slices: tuple[slice, ...]) -> Tensor:
            out = torch.zeros(paths.nm, width, dtype=like.dtype, device=like.device)
            if paths.joints:
                muscle, joint = zip(*paths.joints, strict=True)
                at = index([slices[j].start for j in joint])
                out = out.index_put((index(muscle), at), paths.joint_weights.to(like), True)
            return out

        point_bodies = rows(paths.point_bodies)
        moves = None
        if paths.varying.joints():
            moves = varying.Laid.of(
                paths.varying, spans, point_bodies, tree.q_slices, tree.v_slices, like
            )
        return cls(
            tree=Tree.of(robot, like.dtype, like.device),
            varying=moves,
            point_bodies=point_bodies,
            points=paths.points.to(like),
            wrap_bodies=rows(paths.wrap_bodies),
            wrap_centres=paths.wrap_centres.to(like),
            wrap_rotations=paths.wrap_rotations.to(like),
            wrap_radii=paths.wrap_radii.to(like),
            spheres=torch.tensor(
                [k == "sphere" for k in paths.wrap_kinds], dtype=torch.bool, device=like.device
            ),
            muscle=index(spans[:, 0]),
            first=index(spans[:, 1]),
            last=index(spans[:, 2]),
            weights=paths.span_weights.to(like),
            over=index(over),
            wrap=index(wrap),
            side=index(side),
            sided=torch.as_tensor(spans[over, 4] >= 0, device=like.device),
            side_at=(turns.transpose(-1, -2) @ away[..., None])[..., 0].to(like),
            steady=index(paths.point_bodies)[side] == index(paths.wrap_bodies)[wrap],
            joint_q=belt(max((s.stop for s in tree.q_slices), default=0), tree.q_slices),
            joint_v=belt(max((s.stop for s in tree.v_slices), default=0), tree.v_slices),
            offsets=paths.offsets.to(like),
        )


def _laid(state: State) -> _Laid:
    """The constants, kept with the robot unless something is differentiated by them."""
    like, robot, paths = state.given["q"], state.robot, state.muscles.paths
    key = ("muscles", like.dtype, like.device)
    if key in robot._cache:
        return robot._cache[key]
    made = _Laid.of(robot, paths, like)
    varied = (paths.points, paths.wrap_centres, paths.wrap_rotations, paths.wrap_radii,
              paths.span_weights, paths.joint_weights, paths.offsets, paths.varying.directions,
              robot.tree_rotation, robot.tree_offset, robot.axes)  # fmt: skip
    if not any(x.requires_grad for x in varied):
        robot._cache[key] = made
    return made


class Strings:
    """The paths of a robot's muscles at configurations (B, nq)."""

    def __init__(self, state: State) -> None:
        self.state, self.laid = state, _laid(state)
        self.nm = state.muscles.nm
        self.frames = Frames(state.robot, self.laid.tree, state.given["q"])
        self._stretch()

    def _stretch(self) -> None:
        """Where the strings run: of each span its length, and the unit vectors with which it leaves
        its first point and reaches its last one."""
        laid, frames = self.laid, self.frames
        at, self.weights = laid.points, laid.weights
        if laid.varying is not None:
            at = laid.varying.moved(at, frames.q)
            self.weights = laid.varying.counted(laid.weights, frames.q)
        points = frames.points(laid.point_bodies, at)
        self.first, self.last = points[:, laid.first], points[:, laid.last]
        line = self.last - self.first
        self.wrapped = None
        if len(laid.over):
            start, end = self.first[:, laid.over], self.last[:, laid.over]
            body = laid.wrap_bodies[laid.wrap]
            turn = frames.rotation[:, body] @ laid.wrap_rotations[laid.wrap]
            centre = frames.points(body, laid.wrap_centres[laid.wrap])

            def local(x: Tensor) -> Tensor:
                return (turn.transpose(-1, -2) @ (x - centre)[..., None])[..., 0]

            met = touch(
                local(start),
                local(end),
                torch.where(laid.steady[:, None], laid.side_at, local(points[:, laid.side])),
                laid.wrap_radii[laid.wrap],
                sphere=laid.spheres[laid.wrap],
                sided=laid.sided,
                rule=self.state.muscles.paths.rule,
            )
            here = met.wrapped[..., None]
            onto = (turn @ met.first[..., None])[..., 0] + centre
            off = (turn @ met.last[..., None])[..., 0] + centre
            bent = line[:, laid.over]
            leaving = line.index_copy(1, laid.over, torch.where(here, onto - start, bent))
            arriving = line.index_copy(1, laid.over, torch.where(here, end - off, bent))
            extra = torch.where(met.wrapped, met.arc, torch.zeros_like(met.arc))
            self.wrapped = met.wrapped.to(line.dtype)
            span, leaving = _length_and_unit(leaving)
            more, arriving = _length_and_unit(arriving)
            more = torch.where(met.wrapped, more[:, laid.over] + extra, torch.zeros_like(extra))
            self.span = span.index_add(1, laid.over, more)
        else:
            self.span, leaving = _length_and_unit(line)
            arriving = leaving
        self.leaving, self.arriving = leaving, arriving

    def _by_muscle(self, x: Tensor) -> Tensor:
        """Sums (B, nm, ...) over the spans (B, ns, ...) of each muscle."""
        return x.new_zeros((len(x), self.nm, *x.shape[2:])).index_add(1, self.laid.muscle, x)

    @lazy
    def lengths(self) -> Tensor:
        """(B, nm) [m]."""
        whole = self._by_muscle(self.span * self.weights) + self.laid.offsets
        return whole + self.frames.q @ self.laid.joint_q.T

    @lazy
    def pulls(self) -> tuple[Tensor, Tensor]:
        """The wrenches (B, ns, 6) of a unit of each muscle's tension on the bodies of its spans'
        first points; and of last points, which are to be subtracted."""
        w = self.weights[..., None]
        return (
            torch.cat((torch.linalg.cross(self.first, self.leaving), self.leaving), -1) * w,
            torch.cat((torch.linalg.cross(self.last, self.arriving), self.arriving), -1) * w,
        )

    @lazy
    def _ends(self) -> Tensor:
        """Of each moving end (B, ne) what its muscle lengthens by a unit of its joint's coordinate;
        asked where points vary."""
        moves, frames = self.laid.varying, self.frames
        assert moves is not None
        first, last = (x[..., 3:] for x in self.pulls)
        return moves.slopes(first, last, frames.rotation, frames.q)

    @lazy
    def _surface(self) -> Tensor:
        """The wrench (B, spans with a surface, 6) on the surface's body."""
        first, last = (x[:, self.laid.over] for x in self.pulls)
        assert self.wrapped is not None
        return (last - first) * self.wrapped[..., None]

    def rates(self, v: Tensor) -> Tensor:
        """dL/dt (B, nm) [m/s] at velocities v (B, nv)."""
        laid, frames = self.laid, self.frames
        full = frames.velocities(v)
        twists = frames.twists(full)
        first, last = self.pulls
        body = laid.point_bodies
        rate = (last * twists[:, body[laid.last]]).sum(-1)
        rate = rate - (first * twists[:, body[laid.first]]).sum(-1)
        if self.wrapped is not None:
            on = twists[:, laid.wrap_bodies[laid.wrap]]
            rate = rate.index_add(1, laid.over, -(self._surface * on).sum(-1))
        whole = self._by_muscle(rate) + full @ laid.joint_v.T
        if laid.varying is not None:
            moves = laid.varying
            whole = whole.index_add(1, moves.end_muscle, self._ends * full[:, moves.end_v])
        return whole

    def joint_forces(self, tensions: Tensor) -> Tensor:
        """Joint forces (B, nv) of tensions (B, nm)."""
        laid, frames = self.laid, self.frames
        first, last = self.pulls
        each = tensions[:, laid.muscle, None]
        body = laid.point_bodies
        wrenches = first.new_zeros(len(first), laid.tree.below.shape[0] + 1, 6)
        wrenches = wrenches.index_add(1, body[laid.first], first * each)
        wrenches = wrenches.index_add(1, body[laid.last], -last * each)
        if self.wrapped is not None:
            pull = self._surface * each[:, laid.over]
            wrenches = wrenches.index_add(1, laid.wrap_bodies[laid.wrap], pull)
        belts = tensions @ laid.joint_v
        if laid.varying is not None:
            moves = laid.varying
            pull = self._ends * tensions[:, moves.end_muscle]
            belts = belts.index_add(1, moves.end_v, pull)
        return frames.joint_forces(wrenches) - frames.reduced(belts)

    def arms(self) -> Tensor:
        """Moment arms (B, nm, nv)."""
        laid, frames = self.laid, self.frames
        below = torch.cat((laid.tree.below, torch.zeros_like(laid.tree.below[:1])))
        motions = frames.motions.transpose(-1, -2)
        first, last = self.pulls
        body = laid.point_bodies
        own = (first @ motions) * below[body[laid.first]]
        own = own - (last @ motions) * below[body[laid.last]]
        if self.wrapped is not None:
            on = (self._surface @ motions) * below[laid.wrap_bodies[laid.wrap]]
            own = own.index_add(1, laid.over, on)
        arms = self._by_muscle(own) - laid.joint_v
        if laid.varying is not None:
            moves = laid.varying
            at = moves.end_muscle * arms.shape[-1] + moves.end_v
            arms = arms.flatten(1).index_add(1, at, -self._ends).reshape(arms.shape)
        return frames.reduced(arms)


def _length_and_unit(x: Tensor) -> tuple[Tensor, Tensor]:
    """|x| and x / |x| (..., 3); points that coincide have no direction."""
    square = (x * x).sum(-1)
    there = square > 0
    length = torch.where(there, square, torch.ones_like(square)).sqrt()
    unit = torch.where(there[..., None], x / length[..., None], torch.zeros_like(x))
    return torch.where(there, length, torch.zeros_like(square)), unit
