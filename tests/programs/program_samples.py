"""States, errors and a robot with every joint, for the tests of programs."""

from __future__ import annotations

import numpy as np


def draw(robot, count, seed=0, angle=3.0):
    """q, v and a third vector (count, n), quaternions of unit length."""
    rng = np.random.default_rng(seed)
    q = rng.uniform(-angle, angle, (count, robot.nq))
    for kind, where in zip(robot.kinds, robot.q_slices, strict=True):
        if kind == "prismatic":
            q[:, where] *= 1.0 / angle
    for where in robot.quaternion_slices:
        quaternion = rng.normal(size=(count, 4))
        q[:, where] = quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)
    return q, rng.normal(size=(count, robot.nv)), rng.normal(size=(count, robot.nv))


def worst(found, reference):
    """Largest difference relative to the largest value."""
    found, reference = np.asarray(found), np.asarray(reference)
    return float(np.abs(found - reference).max() / np.abs(reference).max())


def mixed_robot(seed=3):
    """A branched tree with every kind of joint and all joint terms."""
    from kinematics.robot.tree import build

    rng = np.random.default_rng(seed)
    kinds = ["free", "revolute", "prismatic", "spherical", "revolute", "continuous", "prismatic"]
    parents = [-1, 0, 1, 1, 3, 0, 5]
    rotations, pi = [], []
    for _ in kinds:
        basis, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        rotations.append(basis * np.sign(np.linalg.det(basis)))
        mass, centre = rng.uniform(0.5, 2), rng.normal(size=3) * 0.1
        second = rng.normal(size=(3, 3)) * 0.1
        second = second @ second.T + 0.01 * np.eye(3) + mass * np.outer(centre, centre)
        inertia = np.trace(second) * np.eye(3) - second
        moment = inertia[[0, 0, 1, 0, 1, 2], [0, 1, 1, 2, 2, 2]]
        pi.append([mass, *(mass * centre), *moment])
    axes = rng.normal(size=(len(kinds), 3))
    nv = 6 + 1 + 1 + 3 + 1 + 1 + 1
    return build(
        "mixed",
        kinds=kinds,
        parents=parents,
        tree_rotation=np.array(rotations),
        tree_offset=rng.normal(size=(len(kinds), 3)) * 0.3,
        axes=axes / np.linalg.norm(axes, axis=1, keepdims=True),
        pi=np.array(pi),
        armature=rng.uniform(0, 0.1, nv),
        damping=rng.uniform(0, 0.1, nv),
        friction=rng.uniform(0, 0.1, nv),
        stiffness=[0.0] * 6 + [0.5, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.5],  # of single coordinates
        spring_reference=rng.normal(size=nv) * 0.1,
    )
