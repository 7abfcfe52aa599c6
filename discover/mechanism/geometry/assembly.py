"""Screws and inertial parameters in one frame, put together as a Robot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from discover.mechanism.geometry.geometry import Geometry
from discover.mechanism.geometry.screws import Array, ScrewTree, rigid, skew
from discover.mechanism.tree.floating import BASE_V, FloatingTree
from discover.mechanism.tree.skeleton import point_on
from kinematics import Robot
from kinematics.robot.tree import build
from kinematics.spatial.rotations import about_axis


def robot_of(geometry: Geometry, name: str = "inferred") -> Robot:
    """The mechanism as a Robot: one frame on each joint's axis, upright at the reference pose.

    Inertial parameters are those of least norm; torques do not tell them from possible ones.
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
    """Screws (nv, 6) and parameters (nv, 10) in one frame, as a Robot; parents before children."""
    order = tree.order
    place = {j: k for k, j in enumerate(order)}
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
    return build(
        name,
        kinds=[kind(tree, j) for j in order],
        parents=[place[tree.parents[j]] if tree.parents[j] >= 0 else -1 for j in order],
        joint_names=[label(tree, j, "q", "base") for j in order],
        body_names=[label(tree, j, "link", "trunk") for j in order],
        tree_rotation=np.array(rotations),
        tree_offset=np.array(offsets),
        axes=np.array(axes),
        pi=np.array(moved),
        gravity=[0.0, 0.0, -tree.gravity] if gravity is None else list(gravity),
        notes=("inferred from a black box; the frame's yaw, its origin and a mirror are free",),
    )


def is_free(tree: ScrewTree, body: int) -> bool:
    """Whether the body is a free base."""
    return isinstance(tree, FloatingTree) and body == 0


def kind(tree: ScrewTree, body: int) -> str:
    """The kind of the joint that carries a body."""
    if is_free(tree, body):
        return "free"
    return "revolute" if tree.turning[body] else "prismatic"


def label(tree: ScrewTree, body: int, letter: str, base: str) -> str:
    """After the model's coordinate, counted from 1; a free base has six of its own."""
    if not isinstance(tree, FloatingTree):
        return f"{letter}{body + 1}"
    return base if body == 0 else f"{letter}{body + BASE_V}"


def _about(pi: Array, point: Array) -> Array:
    """Ten inertial parameters about another origin of the same orientation."""
    back = np.eye(6)
    back[3:, :3] = skew(point)
    m = back.T @ rigid(pi[None])[0] @ back
    h = np.array([m[2, 4], m[0, 5], m[1, 3]])
    return np.array([m[5, 5], *h, m[0, 0], m[0, 1], m[1, 1], m[0, 2], m[1, 2], m[2, 2]])
