"""Robots that the benches draw at random: arms of hinges, and trees as machines have them."""

from __future__ import annotations

import numpy as np

from kinematics import Robot
from kinematics.robot.random import random_inertia, random_tree
from kinematics.robot.tree import build

SHAPES = ("planar", "spatial")


def arm(shape: str, joints: int, seed: int) -> Robot:
    """A chain of hinges with random lengths and bodies.

    "planar": parallel axes, gravity in the plane. "spatial": axes at random. "right-angled": each
    axis parallel or at right angles to the one before, as most arms that are sold.
    """
    if shape == "spatial":
        return random_tree(joints, 0.0, seed=seed, kinds=("revolute",))
    rng = np.random.default_rng(seed)
    rotations = []
    for _ in range(joints):
        quarter = shape == "right-angled" and rng.random() < 0.7
        rotations.append(_about_x(rng.choice([-1, 1])) if quarter else np.eye(3))
    if shape == "planar":
        rotations[0] = _about_x(1)  # z horizontal: gravity lies in the plane
    offset = rng.uniform(-0.4, 0.4, (joints, 3))
    return build(
        f"{shape}_{joints}_{seed}",
        kinds=["revolute"] * joints,
        parents=list(range(-1, joints - 1)),
        tree_rotation=np.array(rotations),
        tree_offset=offset,
        axes=np.tile([0.0, 0.0, 1.0], (joints, 1)),
        pi=np.array([random_inertia(rng) for _ in range(joints)]),
    )


def _about_x(sign: int) -> np.ndarray:
    return np.array([[1.0, 0, 0], [0, 0, -sign], [0, sign, 0]])


def machine_like(nb: int, seed: int, *, prismatic: float = 0.25) -> Robot:
    """A tree as machines have: axes along x, y or z, offsets along a body's axes, often zero, so
    that axes are parallel, meet, or lie in one line; one to three roots."""
    rng = np.random.default_rng([seed, 5])
    parents = [-1]
    for i in range(1, nb):
        draw = rng.random()
        parents.append(-1 if draw < 0.07 else int(rng.integers(0, i)) if draw < 0.3 else i - 1)
    offsets = np.zeros((nb, 3))
    for i in range(nb):
        if rng.random() < 0.8:
            offsets[i, rng.integers(3)] = rng.choice([-1, 1]) * rng.uniform(0.1, 0.4)
    return build(
        f"machine_{nb}_{seed}",
        kinds=["prismatic" if rng.random() < prismatic else "revolute" for _ in range(nb)],
        parents=parents,
        tree_rotation=np.array([np.eye(3)] * nb),
        tree_offset=offsets,
        axes=np.eye(3)[rng.integers(0, 3, nb)],
        pi=np.array([random_inertia(rng) for _ in range(nb)]),
    )


def trial_tree(seed: int, *, least: int = 2, most: int = 12) -> Robot:
    """Random trees for even seeds, machine-like ones for odd, of `least` to `most` joints."""
    nb = range(least, most + 1)[(seed // 2) % (most + 1 - least)]
    return machine_like(nb, seed) if seed % 2 else random_tree(nb, branching=0.4, seed=seed)
