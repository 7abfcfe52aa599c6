"""Screws and inertial parameters as a Robot, in plain or canonical frames; a Robot's screws.

Torques don't determine the frames of a robot's bodies; in some frames its constants vanish and its
programs are short. In the canonical form each joint has its axis along z and x along the common
normal with its parent's axis, the origin on that normal (the frames of Denavit and Hartenberg, for
a tree); then angles near multiples of a quarter turn and offsets near zero are made exact. Whether
that may be done is for the caller to decide, on held-out answers (`bodies`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from discover.laws.export.elimination import rounded
from discover.mechanism.geometry.identification import Geometry
from discover.mechanism.geometry.screws import Array, ScrewTree, point_on, rigid, skew
from discover.mechanism.tree.floating import BASE_V, FloatingTree
from kinematics import Robot
from kinematics.robot.joints import TURNING
from kinematics.robot.tree import build
from kinematics.spatial.rotations import about_axis


def screw_tree(robot: Robot, reference: Array) -> tuple[ScrewTree, Array]:
    """The tree and unit screws (nv, 6) of a robot, in the reference frame of `ScrewTree`.

    robot      joints of one coordinate each
    reference  (nv,) the pose at which screws are taken [rad | m]
    """
    tree = ScrewTree(
        parents=tuple(robot.parents),
        turning=tuple(kind in TURNING for kind in robot.kinds),
        reference=np.asarray(reference, dtype=float),
    )
    rotations: list[Array] = []
    origins: list[Array] = []
    screws = np.zeros((robot.nv, 6))
    for j in range(robot.nb):
        R, p = np.eye(3), np.zeros(3)
        if robot.parents[j] >= 0:
            R, p = rotations[robot.parents[j]], origins[robot.parents[j]]
        rotation, offset = (x[j].numpy() for x in (robot.tree_rotation, robot.tree_offset))
        axis = robot.axes[j].numpy()
        p, R = p + R @ offset, R @ rotation
        world = R @ axis
        angle = float(tree.reference[j])
        if tree.turning[j]:
            screws[j] = np.concatenate([world, np.cross(p, world)])
            R = R @ about_axis(axis, angle)
        else:
            screws[j, 3:] = world
            p = p + world * angle
        rotations.append(R)
        origins.append(p)
    return tree, screws @ np.kron(np.eye(2), _upright(robot.gravity)).T


def _upright(gravity: torch.Tensor) -> Array:
    """The rotation that turns `gravity` to -z; the identity where there is no gravity."""
    g = gravity.numpy().astype(float)
    size = np.linalg.norm(g)
    if size == 0.0:
        return np.eye(3)
    down, axis = np.array([0, 0, -1.0]), np.cross(g / size, [0, 0, -1.0])
    sine, cosine = np.linalg.norm(axis), float(down @ g / size)
    if sine < 1e-15:
        return np.eye(3) if cosine > 0 else np.diag([1.0, -1.0, -1.0])
    return about_axis(axis / sine, float(np.arctan2(sine, cosine)))


def robot_of(geometry: Geometry, name: str = "inferred") -> Robot:
    """A geometry as a Robot: each body's frame on its joint's axis, upright at the reference pose.

    Inertial parameters are those of least norm: they predict the same torques as possible bodies.
    """
    return robot_from_screws(geometry.tree, geometry.screws, geometry.pi, name=name)


def robot_from_screws(
    tree: ScrewTree,
    screws: Array,
    pi: Array,
    *,
    gravity: Sequence[float] | None = None,
    name: str = "inferred",
) -> Robot:
    """A Robot from screws (nb, 6) and inertial parameters (nb, 10) in the tree's reference frame.

    Its joints stand parents first (`tree.order`); gravity (3,) [m/s²] is the tree's unless given.
    """
    order = tree.order
    points = np.zeros((len(order), 3))
    for j in order:
        points[j] = point_on(tree, screws, j, points)
    rotations, offsets, axes, moved = [], [], [], []
    for j in order:
        p, s = tree.parents[j], screws[j]
        above = points[p] if p >= 0 else np.zeros(3)
        if tree.turning[j]:
            rotations.append(about_axis(s[:3], -tree.reference[j]))
            offsets.append(points[j] - above)
            axes.append(s[:3])
        else:
            rotations.append(np.eye(3))
            offsets.append(points[j] - above - s[3:] * tree.reference[j])
            axes.append(s[3:])
        moved.append(_about(pi[j], points[j]))
    return _built(tree, rotations, np.array(offsets), axes, moved, gravity, name)


def _built(
    tree: ScrewTree,
    rotations: list[Array],
    offsets: Array,
    axes: list[Array],
    pi: list[Array],
    gravity: Sequence[float] | None,
    name: str,
) -> Robot:
    """A Robot from the frames of its bodies, listed in the tree's order."""
    order = tree.order
    place = {j: k for k, j in enumerate(order)}
    return build(
        name,
        kinds=[_kind(tree, j) for j in order],
        parents=[place[tree.parents[j]] if tree.parents[j] >= 0 else -1 for j in order],
        joint_names=[_label(tree, j, "q", "base") for j in order],
        body_names=[_label(tree, j, "link", "trunk") for j in order],
        tree_rotation=np.array(rotations),
        tree_offset=offsets,
        axes=np.array(axes),
        pi=np.array(pi),
        gravity=[0.0, 0.0, -tree.gravity] if gravity is None else list(gravity),
        notes=("inferred from a black box; the frame's yaw, its origin and a mirror are free",),
    )


def _is_free(tree: ScrewTree, body: int) -> bool:
    """Whether the body is a free base."""
    return isinstance(tree, FloatingTree) and body == 0


def _kind(tree: ScrewTree, body: int) -> str:
    """The kind of the joint that carries a body."""
    if _is_free(tree, body):
        return "free"
    return "revolute" if tree.turning[body] else "prismatic"


def _label(tree: ScrewTree, body: int, letter: str, base: str) -> str:
    """After the model's coordinate, counted from 1; a free base has six of its own."""
    if not isinstance(tree, FloatingTree):
        return f"{letter}{body + 1}"
    return base if body == 0 else f"{letter}{body + BASE_V}"


def _about(pi: Array, point: Array) -> Array:
    """Ten inertial parameters about another origin (3,), axes parallel."""
    back = np.eye(6)
    back[3:, :3] = skew(point)
    m = back.T @ rigid(pi[None])[0] @ back
    h = np.array([m[2, 4], m[0, 5], m[1, 3]])
    return np.array([m[5, 5], *h, m[0, 0], m[0, 1], m[1, 1], m[0, 2], m[1, 2], m[2, 2]])


_Z = np.array([0.0, 0.0, 1.0])
_FLAT = 1e-9  # sine below which two axes count as parallel whatever the tolerance
_ASKEW = 1e-4  # and below which their common normal, which may be anywhere, places no frame


def canonical_robot(
    tree: ScrewTree,
    screws: Array,
    pi: Array,
    tolerance: float,
    *,
    gravity: Sequence[float] | None = None,
    name: str = "inferred",
) -> Robot:
    """A Robot in canonical frames from screws (nb, 6) and inertial parameters (nb, 10).

    tolerance  angles [rad], and offsets over the reach, this close to special values are made exact

    A free base keeps its frame, in which the model gives its twist. See `robot_from_screws`.
    """
    order = tree.order
    turning = np.asarray(tree.turning)
    directions = np.where(turning[:, None], screws[:, :3], screws[:, 3:])
    rotation, origin = _frames(tree, screws, directions, tolerance)
    reach = max(float(np.ptp(origin, axis=0).max()), 1e-3)
    room = tolerance * reach
    base = np.eye(3) if _is_free(tree, order[0]) else _base(tree, rotation)
    rotations: list[Array] = []
    shifts: list[Array] = []
    for j in order:
        p = tree.parents[j]
        if _is_free(tree, j):
            rotations.append(np.eye(3))
            shifts.append(np.zeros(3))
            continue
        R, t = (rotation[p], origin[p]) if p >= 0 else (base, origin[order[0]])
        relative, offset = R.T @ rotation[j], R.T @ (origin[j] - t)
        if turning[j]:
            relative = relative @ _about_z(-float(tree.reference[j]))
        else:
            offset = offset - relative @ (_Z * float(tree.reference[j]))
        rotations.append(_snapped(relative, tolerance))
        shifts.append(np.where(np.abs(offset) < room, 0.0, offset))
    offsets = _alike(np.array(shifts), room)
    axes = [_Z] * len(order)
    moved = [_seen_from(pi[j], rotation[j], origin[j]) for j in order]
    return _built(tree, rotations, offsets, axes, moved, gravity, name)


def _frames(tree: ScrewTree, screws: Array, axes: Array, tolerance: float) -> tuple[Array, Array]:
    """World frames (nv, 3, 3) and origins (nv, 3) of the joints at the reference pose."""
    nv = len(tree.parents)
    rotation, origin = np.zeros((nv, 3, 3)), np.zeros((nv, 3))
    for j in tree.order:
        p, z = tree.parents[j], axes[j]
        if _is_free(tree, j):
            rotation[j] = np.eye(3)
            continue
        above = rotation[p] if p >= 0 else np.eye(3)
        start = origin[p] if p >= 0 else np.zeros(3)
        normal = np.cross(above[:, 2], z)
        parallel = np.linalg.norm(normal) < max(tolerance, _ASKEW)
        if not parallel:
            x = normal / np.linalg.norm(normal)
        else:
            x = above[:, 0] if p >= 0 else _root_x(tree, axes, screws, j, tolerance)
            x = x - z * (z @ x)
            x = x / np.linalg.norm(x)
        # x belongs to the joint's own zero; but an upright root's zero is free.
        free = p < 0 and parallel
        turn = float(tree.reference[j]) if tree.turning[j] and not free else 0.0
        rotation[j] = np.stack([x, np.cross(z, x), z], 1) @ _about_z(turn)
        origin[j] = start + z * float(tree.reference[j])
        if tree.turning[j]:
            foot = np.cross(screws[j, :3], screws[j, 3:])
            along = z @ (start - foot)
            if not parallel and p >= 0 and tree.turning[p]:
                # Where the common normal of the two axes meets this one.
                w = above[:, 2]
                gap, c = start - foot, float(w @ z)
                along = (gap @ z - c * (gap @ w)) / float(normal @ normal)
            origin[j] = foot + z * along
    return rotation, origin


def _root_x(tree: ScrewTree, axes: Array, screws: Array, root: int, tolerance: float) -> Array:
    """The free direction of an upright root: towards the first joint that it carries."""
    z = axes[root]
    for j in tree.order:
        if tree.parents[j] == root:
            normal = np.cross(z, axes[j])
            if np.linalg.norm(normal) > max(tolerance, _FLAT):
                return normal
            if tree.turning[j] and tree.turning[root]:
                gap = np.cross(screws[j, :3], screws[j, 3:]) - np.cross(
                    screws[root, :3], screws[root, 3:]
                )
                flat = gap - z * (z @ gap)
                if np.linalg.norm(flat) > 1e-6:
                    return flat
    return np.array([1.0, 0.0, 0.0])


def _alike(offsets: Array, room: float) -> Array:
    """Offsets with sizes within `room` of each other made equal: a program shares constants."""
    sizes = np.abs(offsets).ravel()
    order = np.argsort(sizes, kind="stable")
    start = 0
    for k in range(1, len(order) + 1):
        if k == len(order) or sizes[order[k]] - sizes[order[start]] > room:
            group = order[start:k]
            sizes[group] = np.median(sizes[group])
            start = k
    return np.copysign(rounded(sizes, room).reshape(offsets.shape), offsets) + 0.0


def _base(tree: ScrewTree, rotation: Array) -> Array:
    """The base's frame, upright, with x along that of the first root at its own zero."""
    root = tree.order[0]
    turn = float(tree.reference[root]) if tree.turning[root] else 0.0
    x = (rotation[root] @ _about_z(-turn))[:, 0]
    x = np.array([x[0], x[1], 0.0]) / np.hypot(x[0], x[1])
    return np.stack([x, np.cross(_Z, x), _Z], 1)


def _snapped(rotation: Array, tolerance: float) -> Array:
    """The rotation with its three angles (z, x, z) near multiples of a quarter turn made exact."""
    sine = float(np.hypot(rotation[0, 2], rotation[1, 2]))
    tilt = float(np.arctan2(sine, rotation[2, 2]))
    if sine < max(tolerance, _FLAT):
        flip = rotation[2, 2] < 0
        total = float(np.arctan2(rotation[1, 0], rotation[0, 0]))
        return _about_z(_quarter(total, tolerance)) @ (
            np.diag([1.0, -1.0, -1.0]) if flip else np.eye(3)
        )
    first = float(np.arctan2(rotation[0, 2], -rotation[1, 2]))
    last = float(np.arctan2(rotation[2, 0], rotation[2, 1]))
    a, b, c = (_quarter(x, tolerance) for x in (first, tilt, last))
    return _about_z(a) @ _about_x(b) @ _about_z(c)


def _quarter(angle: float, tolerance: float) -> float:
    near = round(angle / (np.pi / 2)) * (np.pi / 2)
    return float(near) if abs(angle - near) < tolerance else angle


def _exact(angle: float) -> tuple[float, float]:
    """Cosine and sine, exact at multiples of a quarter turn."""
    c, s = float(np.cos(angle)), float(np.sin(angle))
    return tuple(float(np.round(x)) if abs(x - np.round(x)) < 1e-15 else x for x in (c, s))  # type: ignore[return-value]


def _about_z(angle: float) -> Array:
    c, s = _exact(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _about_x(angle: float) -> Array:
    c, s = _exact(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def _seen_from(pi: Array, rotation: Array, origin: Array) -> Array:
    """Ten inertial parameters in the frame with this rotation (3, 3) and origin (3,)."""
    xx, xy, yy, xz, yz, zz = pi[4:]
    inertia = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    moments = np.empty((4, 4))
    moments[:3, :3] = 0.5 * np.trace(inertia) * np.eye(3) - inertia
    moments[:3, 3] = moments[3, :3] = pi[1:4]
    moments[3, 3] = pi[0]
    back = np.eye(4)
    back[:3, :3] = rotation.T
    back[:3, 3] = -rotation.T @ origin
    moved = back @ moments @ back.T
    second = moved[:3, :3]
    about_origin = np.trace(second) * np.eye(3) - second
    entries = about_origin[[0, 0, 1, 0, 1, 2], [0, 1, 1, 2, 2, 2]]
    return np.array([moved[3, 3], *moved[:3, 3], *entries])
