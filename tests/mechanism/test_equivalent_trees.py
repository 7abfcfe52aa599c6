"""Where several trees answer alike, all of them are named; where one does, none besides."""

from __future__ import annotations

import numpy as np
import pytest
from black_boxes import REGION, black_box

import kinematics
from discover.blackbox.contract import BlackBox
from discover.mechanism.inference import infer_robot
from kinematics.robot.random import random_inertia
from kinematics.robot.tree import build


def made(kinds, axes, offsets=None, parents=None, seed=0) -> kinematics.Robot:
    rng = np.random.default_rng(seed)
    nb = len(kinds)
    return build(
        "made",
        kinds=list(kinds),
        parents=list(range(-1, nb - 1)) if parents is None else parents,
        tree_rotation=np.array([np.eye(3)] * nb),
        tree_offset=np.zeros((nb, 3)) if offsets is None else np.array(offsets, dtype=float),
        axes=np.array(axes, dtype=float),
        pi=np.array([random_inertia(rng) for _ in range(nb)]),
    )


def trees_of(robot: kinematics.Robot) -> set[tuple[int, ...]]:
    found = infer_robot(BlackBox(black_box(robot), robot.nv, robot.nv), REGION)
    assert found.geometry.good
    return {found.tree.parents, *found.equivalent}


def test_a_cartesian_gantry_may_be_hung_in_every_way():
    """Slides at right angles move no inertia that the others feel: any forest of three."""
    trees = trees_of(made(["prismatic"] * 3, np.eye(3)))
    assert len(trees) == 16
    assert (-1, 0, 1) in trees


def test_slides_at_other_angles_have_one_order():
    """What one slide feels of another is the mass that both move."""
    axes = [[1, 0, 0], [0.6, 0.8, 0], [0.6, 0, 0.8]]
    assert trees_of(made(["prismatic"] * 3, axes)) == {(-1, 0, 1)}


def test_a_turn_and_a_slide_in_one_line():
    trees = trees_of(made(["revolute", "prismatic"], [[0, 0, 1], [0, 0, 1]]))
    assert {(-1, 0), (1, -1), (-1, -1)} == trees


@pytest.mark.parametrize("axis", [[0, 0, 1.0], [0, 1.0, 0]])
def test_parallel_turns_have_one_tree(axis):
    assert trees_of(made(["revolute"] * 2, [axis] * 2, [[0, 0, 0], [0.3, 0, 0]])) == {(-1, 0)}


def test_a_joint_between_massless_links():
    robot = made(["revolute"] * 3, np.eye(3), [[0, 0, 0], [0.1, 0.2, 0], [0.3, 0, 0.1]])
    pi = robot.pi.clone()
    pi[:2] = 0
    assert (-1, 0, 1) in trees_of(robot.replace(pi=pi))


def test_a_random_tree_has_no_equal():
    robot = kinematics.random_tree(5, branching=0.5, seed=2, kinds=("revolute",))
    assert trees_of(robot) == {tuple(robot.parents)}


def test_under_noise_a_coupling_that_is_not_seen_leaves_both_trees():
    """Two slides almost at right angles: noise hides which carries which."""
    axes = [[1, 0, 0], [0.0005, 1, 0], [0, 0, 1]]
    robot = made(["prismatic", "prismatic", "revolute"], axes, parents=[-1, 0, 0])
    model = black_box(robot, noise="tau")
    found = infer_robot(BlackBox(model, 3, 3), REGION)
    trees = {found.tree.parents, *found.equivalent}
    assert len(trees) > 1
    assert (-1, 0, 0) in trees
