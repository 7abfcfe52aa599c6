"""A description's own screws, to hold what was inferred against it."""

from __future__ import annotations

import numpy as np
import torch

from discover.structure.screws import Array, ScrewTree
from kinematics import Robot
from kinematics.joints import TURNING


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
            R = R @ _rotation(axis, angle)
        else:
            screws[j, 3:] = world
            p = p + world * angle
        rotations.append(R)
        origins.append(p)
    return tree, screws @ np.kron(np.eye(2), _upright(robot.gravity)).T


def _rotation(axis: Array, angle: float) -> Array:
    x, y, z = axis
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


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
    return _rotation(axis / sine, float(np.arctan2(sine, cosine)))
