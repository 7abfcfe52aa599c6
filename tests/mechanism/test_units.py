"""The search is free of units and scale: millimetres, other planets, small regions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from black_boxes import black_box, parents_in
from test_equivalent_trees import made

import discover
import kinematics
from discover.blackbox.contract import BlackBox, relative_error
from discover.mechanism.inference import infer_robot


def distances(found) -> np.ndarray:
    return np.array([m.value for m in found.geometry.measures if m.quantity == "distance"])


@pytest.fixture(scope="module")
def arm():
    return kinematics.random_tree(3, branching=0.0, seed=18)  # a slide that carries two turns


@pytest.mark.slow
def test_millimetres_are_metres_a_thousandfold(arm):
    slides = np.array([kind == "prismatic" for kind in arm.kinds])
    masses = torch.tensor([1.0, *[1e3] * 3, *[1e6] * 6]).double()
    small = arm.replace(
        tree_offset=1e3 * arm.tree_offset, pi=arm.pi * masses, gravity=1e3 * arm.gravity
    )
    units = np.where(slides, 1e3, 1.0)
    forces = np.where(slides, 5e3, 5e6)
    region = discover.Region(q=1.5 * units, v=2.0 * units, tau=forces)
    found = infer_robot(BlackBox(black_box(small), 3, 3), region)
    metres = infer_robot(
        BlackBox(black_box(arm), 3, 3), discover.Region(q=[1.5] * 3, v=2.0, tau=5.0)
    )
    assert found.geometry.good
    assert metres.geometry.good
    assert np.allclose(distances(found), 1e3 * distances(metres), rtol=1e-6)
    assert found.geometry.tree.gravity == pytest.approx(9810.0)
    states = [torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).double()] * 3
    expected = kinematics.aba(small, *states)
    assert relative_error(kinematics.aba(found.exact, *states), expected) < 1e-7


@pytest.mark.slow
def test_slides_show_another_gravity(arm):
    moon = arm.replace(gravity=arm.gravity / 6)
    found = infer_robot(
        BlackBox(black_box(moon), 3, 3), discover.Region(q=[1.5] * 3, v=2.0, tau=5.0)
    )
    assert found.geometry.good
    assert not found.geometry.joint_terms
    assert found.geometry.tree.gravity == pytest.approx(9.81 / 6)
    assert any("gravity of 1.635" in note for note in found.notes)


@pytest.mark.slow
def test_a_chain_of_slides_elsewhere_is_physics():
    axes = [[0.6, 0, 0.8], [0, 0.8, 0.6], [0.6, 0.8, 0]]
    robot = made(["prismatic"] * 3, axes)
    model = black_box(robot.replace(gravity=robot.gravity / 6))
    exam = discover.examine(model, None, discover.Region(q=[1.0] * 3, v=2.0, tau=5.0))
    assert exam.verdict == "physics"


@pytest.mark.parametrize("width", [0.3, 0.05])
@pytest.mark.slow
def test_a_small_region_shows_the_geometry_too(width):
    robot = kinematics.load("panda")
    region = discover.Region(q=[width] * 7, v=2.0, tau=5.0)
    found = infer_robot(BlackBox(black_box(robot), 7, 7), region)
    assert found.tree.parents == parents_in(robot, range(7))
    assert found.geometry.good
    states = [torch.randn(20, 7, generator=torch.Generator().manual_seed(0)).double()] * 3
    expected = kinematics.aba(robot, *states)
    assert relative_error(kinematics.aba(found.exact, *states), expected) < 1e-6
