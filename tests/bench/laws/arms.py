"""Arms drawn at random: planar and spatial chains of hinges, and arms as industry builds them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

import kinematics
from kinematics import Robot
from kinematics.robot.random import random_inertia
from kinematics.robot.tree import build

SHAPES = ("planar", "spatial")


def arm(shape: str, joints: int, seed: int) -> Robot:
    """A chain of hinges with random lengths and bodies.

    "planar": parallel axes, gravity in the plane. "spatial": axes at random. "right-angled": each
    axis parallel or at right angles to the one before, as most arms that are sold.
    """
    if shape == "spatial":
        return kinematics.random_tree(joints, 0.0, seed=seed, kinds=("revolute",))
    rng = np.random.default_rng(seed)
    trigonometry = []
    for _ in range(joints):
        quarter = shape == "right-angled" and rng.random() < 0.7
        trigonometry.append(_about_x(rng.choice([-1, 1])) if quarter else np.eye(3))
    if shape == "planar":
        trigonometry[0] = _about_x(1)  # z horizontal: gravity lies in the plane
    offset = rng.uniform(-0.4, 0.4, (joints, 3))
    return build(
        f"{shape}_{joints}_{seed}",
        kinds=["revolute"] * joints,
        parents=list(range(-1, joints - 1)),
        tree_rotation=np.array(trigonometry),
        tree_offset=offset,
        axes=np.tile([0.0, 0.0, 1.0], (joints, 1)),
        pi=np.array([random_inertia(rng) for _ in range(joints)]),
    )


def _about_x(sign: int) -> np.ndarray:
    return np.array([[1.0, 0, 0], [0, 0, -sign], [0, sign, 0]])


def smooth_error(q: Tensor, size: float, seed: int) -> Tensor:
    """A random smooth function of q (n, d), as networks err: (n,), root mean square `size`.

    A sum of 60 waves of random direction with about half a turn over the region.
    """
    rng = np.random.default_rng(seed)
    waves = torch.from_numpy(rng.normal(size=(60, q.shape[-1])) * 1.2)
    phase = torch.from_numpy(rng.uniform(0, 2 * np.pi, 60))
    weight = torch.from_numpy(rng.normal(size=60))
    values = torch.cos(q @ waves.T + phase) @ weight
    return size * values / values.square().mean().sqrt()
