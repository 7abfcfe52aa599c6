"""The tree comes out of a black box, whatever the numbering, and noise is survived."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from black_boxes import black_box, parents_in, sampler, screws_in

import kinematics
from discover.mechanism.geometry.least_squares import misfit
from discover.mechanism.tree.topology import infer_tree
from tests.bench.robots import trial_tree


@pytest.mark.parametrize(
    "noise", [None, *(pytest.param(x, marks=pytest.mark.slow) for x in ("tau", "a"))]
)
def test_random_trees_of_any_numbering_come_out(noise):
    for seed, nb in enumerate((2, 4, 5, 7, 12)):
        robot = kinematics.random_tree(nb, branching=0.4, seed=seed)
        order = np.random.default_rng(seed).permutation(nb).tolist()
        tree = infer_tree(sampler(black_box(robot, order, noise=noise), nb))
        assert tree.parents == parents_in(robot, order)
        for found, true in zip(tree.kinds, (robot.kinds[i] for i in order), strict=True):
            assert found in (true, "either")


def test_the_panda_comes_out():
    robot = kinematics.load("panda")
    tree = infer_tree(sampler(black_box(robot), robot.nv))
    assert list(tree.parents) == robot.parents
    assert set(tree.kinds) <= {"revolute", "either"}


def test_coaxial_joints_are_ordered_by_what_they_carry():
    robot = kinematics.random_tree(2, branching=0.0, seed=3, kinds=("revolute",))
    same_line = robot.replace(
        tree_rotation=np.array([np.eye(3)] * 2),
        tree_offset=np.zeros((2, 3)),
        axes=np.array([[0.0, 0.0, 1.0]] * 2),
    )
    for order in ([0, 1], [1, 0]):
        tree = infer_tree(sampler(black_box(same_line, order), 2))
        assert tree.parents == parents_in(same_line, order)
        assert tree.guessed


@pytest.mark.parametrize("slide_first", [True, False])
def test_a_slide_along_a_turning_axis_is_ordered_by_a_fit(slide_first):
    robot = kinematics.random_tree(3, branching=0.0, seed=5, kinds=("revolute",))
    kinds = ["revolute", *(["prismatic", "revolute"] if slide_first else ["revolute", "prismatic"])]
    rotation = robot.tree_rotation.clone()
    rotation[2] = torch.eye(3)
    in_line = robot.replace(
        kinds=kinds,
        tree_rotation=rotation,
        tree_offset=robot.tree_offset * torch.tensor([[1.0], [1.0], [0.0]]),
        axes=robot.axes[[0, 1, 1]],
    )
    order = [2, 1, 0]
    tree = infer_tree(sampler(black_box(in_line, order), 3))
    assert tree.parents == parents_in(in_line, order)
    assert not tree.guessed


@pytest.mark.slow
def test_machine_like_trees_come_out_or_one_that_answers_the_same():
    right = 0
    robots = [trial_tree(seed) for seed in range(1, 20, 2)]
    for robot in robots:
        nv = robot.nv
        order = np.random.default_rng(nv).permutation(nv).tolist()
        source = sampler(black_box(robot, order), nv)
        tree = infer_tree(source)
        if tree.parents == parents_in(robot, order):
            right += 1
            continue
        described, screws = screws_in(robot, order, source.draw(1)[0])
        rival = described.__class__(
            parents=tree.parents, turning=described.turning, reference=described.reference
        )
        right += (
            misfit(rival, screws, source.at(source.draw(8 * nv)), source.at(source.draw(20))) < 1e-8
        )
    assert right == len(robots)


def test_a_model_without_a_mass_matrix_still_gets_an_answer():
    tree = infer_tree(sampler(lambda q, v, tau: torch.zeros_like(tau), 3))
    assert len(tree.parents) == 3
