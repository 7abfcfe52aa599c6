"""A description's own screws, and what was inferred held against them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from discover.mechanism.geometry.screws import Array, ScrewTree
from discover.mechanism.tree.skeleton import Skeleton
from kinematics import Robot
from kinematics.robot.joints import TURNING
from kinematics.spatial.rotations import about_axis


def screw_tree(robot: Robot, reference: Array) -> tuple[ScrewTree, Array]:
    """The tree and the screws (nv, 6) of a robot of one-velocity joints at a reference pose."""
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
        own, offset = (x[j].numpy() for x in (robot.tree_rotation, robot.tree_offset))
        axis = robot.axes[j].numpy()
        p, R = p + R @ offset, R @ own
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


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """An inferred mechanism beside the described one.

    differs    for each joint the things that differ: "parent", "kind", "axis", "length"
    sentences  the same in words; one that says so where nothing differs
    """

    differs: tuple[tuple[str, ...], ...]
    sentences: tuple[str, ...]


def compare(
    found: Skeleton,
    described: Skeleton,
    room: float,
    rooms: Mapping[tuple[int, str], float] | None = None,
) -> Comparison:
    """What differs: parents, kinds, and between lines of neighbours angles [rad] above `room` and
    distances above `room` times the reach; or above what (joint, "angle" or "distance") may be off
    by `rooms`, infinite where nothing shows it."""
    rooms = rooms or {}
    differs, sentences = [], []
    names = described.names
    reach = 1.0
    if described.points is not None and len(names) > 1:
        reach = float(np.ptp(described.points, axis=0).max()) or 1.0
    for j, name in enumerate(names):
        own: list[str] = []
        p, mine = described.parents[j], found.parents[j]
        if p != mine:
            own.append("parent")
            sentences.append(
                f"{name} is carried by {_named(names, mine)}; the description hangs it on "
                f"{_named(names, p)}."
            )
        if described.turning[j] != found.turning[j]:
            own.append("kind")
            what = "turns" if found.turning[j] else "slides"
            told = "turn" if described.turning[j] else "slide"
            sentences.append(f"{name} {what}; the description lets it {told}.")
        lines = found.axes is not None and described.axes is not None
        alike = not own and p >= 0 and found.turning[p] == described.turning[p]
        if lines and alike:
            pairs = [_between(s, p, j) for s in (found, described)]
            angle = max(room, rooms.get((j, "angle"), 0.0))
            distance = max(room * reach, rooms.get((j, "distance"), 0.0))
            if abs(pairs[0][0] - pairs[1][0]) > angle:
                own.append("axis")
                angles = " and ".join(f"{np.degrees(a):.4g}°" for a, _ in pairs)
                sentences.append(
                    f"The axes of {name} and {names[p]} stand at {angles} (found, described)."
                )
            elif abs(pairs[0][1] - pairs[1][1]) > distance:
                own.append("length")
                apart = " and ".join(f"{d:.4g} m" for _, d in pairs)
                sentences.append(
                    f"The axes of {name} and {names[p]} are {apart} apart (found, described)."
                )
        differs.append(tuple(own))
    if not sentences:
        agree = "parents and kinds"
        if found.axes is not None:
            agree += f", angles and distances between neighbouring axes to {room:.1g}"
        sentences = [f"Nothing differs from the description: {agree} agree."]
    return Comparison(differs=tuple(differs), sentences=tuple(sentences))


def _between(skeleton: Skeleton, first: int, second: int) -> tuple[float, float]:
    """Angle of two joints' lines, 0 to π/2, and their distance [m], zero unless both turn."""
    assert skeleton.axes is not None
    assert skeleton.points is not None
    a, b = skeleton.axes[first], skeleton.axes[second]
    normal = np.cross(a, b)
    sine = float(np.linalg.norm(normal))
    angle = float(np.arctan2(sine, abs(a @ b)))
    if not (skeleton.turning[first] and skeleton.turning[second]):
        return angle, 0.0
    gap = skeleton.points[second] - skeleton.points[first]
    if sine < 1e-6:
        return angle, float(np.linalg.norm(gap - a * (a @ gap)))
    return angle, abs(float(gap @ normal)) / sine


def _named(names: tuple[str, ...], joint: int) -> str:
    return "the base" if joint < 0 else names[joint]
