"""Which numbers of a geometry the answers show, and how well; which are guesses and are named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from black_boxes import REGION, black_box, parents_in, sampler, screws_in

import discover
import kinematics
from discover.blackbox.contract import BlackBox, relative_error
from discover.mechanism.geometry.measures import Measure
from discover.mechanism.geometry.projection import Problem
from discover.mechanism.geometry.uncertainty import measures
from discover.mechanism.inference import infer_robot
from discover.study.inspection import prepare
from kinematics.robot.inertial_parameters import about_origin
from kinematics.robot.random import random_inertia
from kinematics.robot.tree import build

_PLACE = np.array([0.3, 0.0, 0.1])


def wrist(shift=(0.0, 0.0, 0.0)) -> kinematics.Robot:
    """Three turning joints; the last body is symmetric about its joint, so that this line may lie
    anywhere parallel if the body before it is made to carry the mass where it was."""
    rng = np.random.default_rng(0)
    pi = np.array([random_inertia(rng) for _ in range(3)])
    pi[2] = about_origin(0.7, np.zeros(3), np.diag([0.002, 0.001, 0.001]))
    moved = _PLACE + np.asarray(shift)
    nothing = np.zeros((3, 3))
    pi[1] += about_origin(0.7, _PLACE, nothing) - about_origin(0.7, moved, nothing)
    return build(
        "wrist",
        kinds=["revolute"] * 3,
        parents=[-1, 0, 1],
        tree_rotation=np.array([np.eye(3)] * 3),
        tree_offset=np.array([[0, 0, 0], [0.1, 0.2, 0.3], moved]),
        axes=np.array([[0, 0, 1.0], [0, 1.0, 0], [1.0, 0, 0]]),
        pi=pi,
    )


@pytest.mark.slow
def test_two_robots_that_answer_the_same_differ_in_what_is_called_free():
    one, other = wrist(), wrist([0.0, 0.07, 0.05])
    states = [torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).double()] * 3
    assert relative_error(kinematics.aba(one, *states), kinematics.aba(other, *states)) < 1e-12
    found = infer_robot(BlackBox(black_box(one), 3, 3), REGION)
    assert found.geometry.good
    measures = {(m.joint, m.quantity): m for m in found.geometry.measures}
    free = {key for key, m in measures.items() if m.free}
    assert {(2, "distance"), (2, "offset")} == free
    assert all(m.deviation < 1e-8 for key, m in measures.items() if key not in free)
    assert any("distance between the axes of q3 and q2" in note for note in found.notes)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.slow
def test_what_is_called_known_is_right(seed):
    robot = kinematics.random_tree(4, branching=0.4, seed=seed)
    source = sampler(black_box(robot), 4)
    tree, screws = screws_in(robot, range(4), source.draw(1)[0])
    problem = Problem.of(tree, source.at(source.draw(30)), whitened=False)
    true = measures(problem, tree.unit(screws), problem.parameters(screws))
    found = infer_robot(BlackBox(black_box(robot), 4, 4), REGION)
    assert found.tree.parents == parents_in(robot, range(4))
    values = {(m.joint, m.quantity): abs(m.value) for m in true}
    for m in found.geometry.measures:
        if not m.free and m.quantity != "turn":  # the pose is another one
            assert abs(abs(m.value) - values[m.joint, m.quantity]) < 1e-7


def test_under_noise_errors_are_what_deviations_say():
    robot = kinematics.load("planar_3r")
    found = infer_robot(BlackBox(black_box(robot, noise="tau"), 3, 3), REGION)
    assert found.geometry.good
    measures = [m for m in found.geometry.measures if m.quantity == "distance" and not m.free]
    true = robot.tree_offset.norm(dim=1)[1:].numpy()
    off = [abs(m.value - true[m.joint - 1]) / m.deviation for m in measures]
    assert len(measures) == 2
    assert max(off) < 4
    assert min(m.deviation for m in measures) > 1e-6


@pytest.mark.slow
def test_law_report_and_session_name_what_is_a_guess(tmp_path):
    exam = discover.examine(black_box(wrist()), None, discover.Region(q=[1.5] * 3, v=2.0, tau=5.0))
    assert exam.verdict == "physics"
    for text in (str(exam.law.program), prepare(exam.save(tmp_path))[1]):
        assert "from q2 (free, no answer depends on it)" in text
        assert "± " in text
    told = (tmp_path / "report.md").read_text()
    assert "No answer depends on the distance between the axes of q3 and q2" in told
    again = discover.load(tmp_path)
    assert again.account.measures == exam.account.measures
    assert all(isinstance(m, Measure) for m in again.account.measures)


@pytest.mark.slow
def test_a_free_distance_is_no_difference_from_a_description():
    region = discover.Region(q=[1.5] * 3, v=2.0, tau=5.0)
    exam = discover.examine(black_box(wrist()), wrist([0.0, 0.07, 0.05]), region, mechanism=True)
    assert exam.account.comparison.differs == ((), (), ())


def leaning(robot: kinematics.Robot, lean: float) -> kinematics.Robot:
    """The double pendulum in a plane that leans against gravity, with a shorter upper arm and
    bodies that make up for it."""
    c = np.cos(lean)
    pi = robot.pi.clone()
    arm = robot.tree_offset[1].clone()
    m = pi[1, 0]
    pi[1, 1:4] /= c
    pi[0, 1:4] = (pi[0, 1:4] + m * arm) / c - m * c * arm
    pi[0, 6] += m * float(arm @ arm) * (1 - c**2)  # Iyy, about the hinge
    gravity = robot.gravity.norm() * torch.tensor([0.0, np.sin(lean), -c], dtype=torch.float64)
    offset = robot.tree_offset.clone()
    offset[1] = c * arm
    return robot.replace(pi=pi, gravity=gravity, tree_offset=offset)


def test_a_plane_of_hinges_may_lean_and_its_tilt_is_told_as_free():
    robot = kinematics.load("double_pendulum")
    other = leaning(robot, 0.3)
    states = kinematics.random_state(robot, 50, seed=2)
    assert relative_error(kinematics.rnea(other, *states), kinematics.rnea(robot, *states)) < 1e-12
    found = infer_robot(BlackBox(black_box(robot), 2, 2), REGION)
    measures = {(m.joint, m.quantity): m for m in found.geometry.measures}
    assert measures[0, "angle"].free
    assert not measures[1, "angle"].free
    assert measures[1, "distance"].deviation < 1e-8  # of a plane that stands upright


@pytest.mark.slow
def test_where_a_rotor_could_make_up_for_an_angle_it_says_so():
    """A level arm of two links: askew axes, a heavier second link and no rotor answer the same."""
    arm = kinematics.load("double_pendulum")
    arm = arm.replace(
        gravity=torch.zeros(3, dtype=torch.float64),
        armature=torch.tensor([0.0, 1.0], dtype=torch.float64),
    )
    found = infer_robot(BlackBox(black_box(arm), 2, 2), REGION)
    (angle,) = (m for m in found.geometry.measures if (m.joint, m.quantity) == (1, "angle"))
    assert angle.free or angle.rotorless
    assert not found.geometry.known
    spatial = kinematics.random_tree(4, branching=0.0, seed=1, kinds=("revolute",))
    found = infer_robot(BlackBox(black_box(spatial), 4, 4), REGION)
    assert found.geometry.known
