"""Screws come out of answers at rest, up to what no torque can show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from black_boxes import REGION, black_box, parents_in, sampler, screws_in

import discover
import kinematics
from discover.blackbox.contract import BlackBox, relative_error
from discover.errors import RegionError
from discover.mechanism.geometry.gauge import mirror, move
from discover.mechanism.geometry.projection import Problem
from discover.mechanism.geometry.robots import robot_of
from discover.mechanism.geometry.screws import ScrewTree
from discover.mechanism.inference import infer_robot
from discover.mechanism.tree.floating import FloatingTree
from tests.bench.mechanism import geometry as inferred_geometry


def _structure(robot, order=None, noise=None):
    order = list(range(robot.nv)) if order is None else order
    model = black_box(robot, order, noise=noise)
    return infer_robot(BlackBox(model, robot.nv, robot.nv), REGION)


def test_the_screw_model_is_the_simulator():
    robot = kinematics.random_tree(5, branching=0.5, seed=2)
    q = np.random.default_rng(0).normal(size=(40, 5))
    tree, screws = screws_in(robot, range(5), q[0])
    H = kinematics.crba(robot, torch.from_numpy(q)).numpy()
    force = kinematics.bias(robot, torch.from_numpy(q), torch.zeros(40, 5).double()).numpy()
    rows = tree.regressor(screws, q).reshape(-1, 50)
    y = np.concatenate([H, force[..., None]], 2).ravel()
    x = np.linalg.lstsq(rows, y, rcond=1e-10)[0]
    assert np.abs(rows @ x - y).max() < 1e-11


@pytest.mark.parametrize(
    ("name", "order"), [("double_pendulum", [0, 1]), ("planar_3r", [2, 0, 1]), ("panda", range(7))]
)
def test_a_bundled_robot_comes_out_and_answers_far_outside(name, order):
    robot = kinematics.load(name)
    found = _structure(robot, list(order))
    assert found.geometry.good
    assert found.tree.parents == parents_in(robot, order)
    q, v, tau = (3 * torch.randn(50, robot.nv, generator=_generator()).double() for _ in range(3))
    keep = list(found.order)
    mine = kinematics.aba(robot_of(found.geometry), q[:, keep], v[:, keep], tau[:, keep])
    assert relative_error(mine, black_box(robot, order)(q, v, tau)[:, keep]) < 1e-8


def test_a_random_tree_of_turning_and_sliding_joints_comes_out():
    robot = kinematics.random_tree(6, branching=0.5, seed=11)
    found = _structure(robot, [3, 1, 5, 0, 4, 2])
    assert found.geometry.good
    assert found.renumbered
    assert found.geometry.held_out < 1e-9


@pytest.mark.parametrize("name", ["double_pendulum", pytest.param("panda", marks=pytest.mark.slow)])
def test_a_model_in_narrow_numbers_has_a_geometry(name):
    robot = kinematics.load(name)
    narrow = robot.to(dtype=torch.float32)

    def model(q, v, tau):
        return kinematics.aba(narrow, q.float(), v.float(), tau.float()).double()

    found = infer_robot(BlackBox(model, robot.nv, robot.nv), REGION)
    assert list(found.tree.parents) == robot.parents
    assert found.geometry.good
    assert found.geometry.held_out < 1e-5


def test_gauge_moves_change_no_answer():
    robot = kinematics.random_tree(4, branching=0.3, seed=1)
    source = sampler(black_box(robot), 4)
    reference = source.draw(1)[0]
    tree, screws = screws_in(robot, range(4), reference)
    problem = Problem.of(tree, source.at(source.draw(30)), whitened=False)

    def left(s):
        return float(np.sqrt(np.mean(problem.project(s).residual ** 2)))

    assert left(screws) < 1e-12
    assert left(move(screws, 1.1, np.array([0.3, -2.0, 0.7]))) < 1e-12
    assert left(mirror(screws)) < 1e-12
    assert left(screws + 1e-3) > 1e-6


def test_wrenches_summed_inwards_give_the_derivative_by_a_complex_step():
    rng = np.random.default_rng(0)
    robot = kinematics.random_tree(5, branching=0.5, seed=3)
    q = rng.normal(size=(6, 5))
    fixed, screws = screws_in(robot, range(5), q[0])
    free = FloatingTree.over(fixed.parents, fixed.turning, fixed.reference)
    for tree, s, at in (
        (fixed, screws, q),
        (free, free.with_base(screws), np.concatenate([q[:, :1], q], 1)),
    ):
        pi = rng.normal(size=(len(s), 10))
        index = np.arange(s.size)
        moved = np.repeat(s[None].astype(complex), s.size, 0)
        moved[index, index // 6, index % 6] += 1e-30j
        expected = tree.forces(tree.unit(moved), pi, at).imag / 1e-30
        assert np.abs(tree.sensitivity(s, pi, at) - expected).max() < 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize("number", [1008, 1009, 1012, 1013])
def test_under_noise_predictions_err_as_their_covariance_says(number):
    record = inferred_geometry.run({"robot": number, "noise": "tau"})
    assert record["good"]
    assert 0.6 < np.sqrt(record["spread"]) < 1.6


def test_a_tree_with_wrong_parents_does_not_fit():
    robot = kinematics.random_tree(4, branching=0.0, seed=1, kinds=("revolute",))
    source = sampler(black_box(robot), 4)
    tree, screws = screws_in(robot, range(4), source.draw(1)[0])
    wrong = ScrewTree(parents=(-1, 0, 1, 1), turning=tree.turning, reference=tree.reference)
    problem = Problem.of(wrong, source.at(source.draw(30)), whitened=False)
    assert np.sqrt(np.mean(problem.project(screws).residual ** 2)) > 1e-3


@pytest.mark.slow
def test_noise_on_torque_leaves_a_geometry_within_its_deviations():
    found = _structure(kinematics.load("planar_branched"), noise="tau")
    assert found.geometry.good
    assert found.tree.parents == tuple(kinematics.load("planar_branched").parents)


def test_examine_without_a_robot_finds_physics_and_the_law():
    robot = kinematics.load("double_pendulum")
    region = discover.Region(q=[1.5, 1.5], v=2.0, tau=5.0)
    exam = discover.examine(black_box(robot, [1, 0]), None, region)
    assert exam.verdict == "physics"
    assert exam.law is not None
    assert exam.law.robot.parents == [-1, 0]
    q, v, tau = (torch.randn(20, 2, generator=_generator()).double() for _ in range(3))
    assert relative_error(exam.law(q, v, tau), kinematics.aba(robot, q, v, tau)) < 1e-7


@pytest.mark.slow
def test_examine_without_a_robot_does_not_mistake_a_table():
    robot = kinematics.load("double_pendulum")
    generator = _generator()
    states = [(torch.rand(2000, 2, generator=generator).double() * 2 - 1) * s for s in (1.5, 2, 5)]
    answers = kinematics.aba(robot, *states)
    points = torch.cat([x / s for x, s in zip(states, (1.5, 2, 5), strict=True)], 1)

    def nearest(q, v, tau):
        return answers[torch.cdist(torch.cat([q / 1.5, v / 2, tau / 5], 1), points).argmin(1)]

    exam = discover.examine(nearest, None, discover.Region(q=[1.5, 1.5], v=2.0, tau=5.0))
    assert exam.verdict != "physics"
    assert any("No geometry" in note for note in exam.notes)


def test_without_a_robot_the_region_must_say_how_many_joints():
    with pytest.raises(RegionError, match="one value a coordinate"):
        discover.examine(lambda q, v, tau: tau, None, discover.Region(q=1.0, v=1.0, tau=1.0))


def _generator():
    return torch.Generator().manual_seed(1)
