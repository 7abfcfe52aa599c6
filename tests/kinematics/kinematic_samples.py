"""Robots and comparisons that several tests use."""

import torch

import kinematics

MIXED = ("revolute", "continuous", "prismatic", "spherical")


def sample_robots() -> list[kinematics.Robot]:
    """Bundled robots and random trees of every joint kind, fixed and floating."""
    return [
        *(kinematics.load(name) for name in ("double_pendulum", "planar_branched", "panda")),
        kinematics.random_tree(6, branching=0.7, seed=1, kinds=("revolute",)),
        kinematics.random_tree(5, branching=0.4, seed=2, kinds=("prismatic", "continuous")),
        kinematics.random_tree(5, branching=0.6, seed=3, kinds=MIXED),
        kinematics.random_tree(4, branching=0.5, seed=4, kinds=MIXED, root="free"),
        kinematics.random_tree(4, branching=1.0, seed=5, kinds=("free", "revolute")),
    ]


def worst(found, expected) -> float:
    """Largest error over the largest entry."""
    found, expected = torch.as_tensor(found), torch.as_tensor(expected)
    scale = max(float(expected.abs().max()), 1e-12)
    return float((found - expected).abs().max()) / scale
