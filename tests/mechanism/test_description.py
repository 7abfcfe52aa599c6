"""The account of a structure: from answers alone, held against a description, stored and drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from black_boxes import black_box, sampler

import discover
import kinematics
from discover.blackbox.contract import relative_error
from discover.mechanism.description import MechanismDescription
from discover.mechanism.factorisation import pattern_of, positive_factors
from discover.mechanism.geometry.gauge import laid_on, mirror, move
from discover.mechanism.geometry.robots import screw_tree
from discover.mechanism.geometry.skeleton import Skeleton, compare
from discover.report import tree_figures
from discover.study.inspection import prepare


@pytest.fixture(scope="module")
def alone():
    """An examination of a branched robot with its coordinates renumbered, from answers alone."""
    robot = kinematics.random_tree(4, branching=0.9, seed=3)
    order = [2, 0, 3, 1]
    model = black_box(robot, order)
    region = discover.Region(q=[1.0] * 4, v=2.0, tau=5.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinematics, "load", None)  # nobody may read a description
        exam = discover.examine(model, None, region)
    return robot, order, model, exam


def test_all_stages_follow_from_the_black_box_alone(alone):
    robot, order, model, exam = alone
    account = exam.account
    assert exam.verdict == "physics"
    assert account.good
    assert account.equals
    assert account.described is None
    back = [order.index(i) for i in range(4)]
    names = [f"q{back[i] + 1}" for i in range(4)]  # the model's names of the robot's joints
    parents = {account.skeleton.names[j]: p for j, p in enumerate(account.skeleton.parents)}
    for i, p in enumerate(robot.parents):
        found = parents[names[i]]
        assert (found < 0) == (p < 0)
        assert p < 0 or account.skeleton.names[found] == names[p]
    generator = torch.Generator().manual_seed(4)
    states = [3 * torch.rand(50, 4, generator=generator).double() - 1.5 for _ in range(3)]
    carried = [int(n[1:]) - 1 for n in exam.law.robot.joint_names]
    answered = exam.law(*(x[:, carried] for x in states))
    assert relative_error(answered, model(*states)[:, carried]) < 1e-8
    compiled = exam.law.compile()(*(x[:, carried].numpy() for x in states))
    assert relative_error(torch.as_tensor(compiled), answered) < 1e-8


@pytest.mark.slow
def test_the_report_draws_what_was_found(alone, tmp_path):
    *_, exam = alone
    exam.save(tmp_path)
    for name in ("trees", "joints", "zeros"):
        assert (tmp_path / "figures" / f"{name}.png").stat().st_size > 5000
    text = (tmp_path / "report.md").read_text()
    for words in ("## Structure", "outward, from the base", "The prediction holds", "cheapest"):
        assert words in text
    again = discover.load(tmp_path)
    assert again.account.to_dict() == exam.account.to_dict()
    _, banner = prepare(tmp_path)
    assert "inferred from the answers" in banner
    assert exam.account.inverse.splitlines()[-1] in banner


@pytest.mark.slow
def test_a_description_is_held_against_the_answers():
    robot = kinematics.load("double_pendulum")
    longer = robot.replace(tree_offset=1.1 * robot.tree_offset)
    region = discover.Region(q=1.0, v=2.0, tau=5.0)
    same = discover.examine(black_box(robot), robot, region).account
    assert same.comparison.differs == ((), ())
    other = discover.examine(black_box(longer), robot, region, mechanism=True).account
    assert other.comparison.differs == ((), ("length",))
    assert "1.1 m and 1 m apart" in other.comparison.sentences[0]


def _seen(robot, seed=0):
    pose = np.random.default_rng(seed).uniform(-0.6, 0.6, robot.nv)
    return Skeleton.of(*screw_tree(robot, pose), robot.joint_names)


def test_differences_are_named():
    robot = kinematics.random_tree(5, branching=0.0, seed=1, kinds=("revolute",))
    skeleton = _seen(robot)
    assert not any(compare(skeleton, skeleton, 1e-6).differs)
    hung = replace(skeleton, parents=(-1, 0, 0, 2, 3), turning=(True, True, True, False, True))
    found = compare(hung, skeleton, 1e-6)
    assert found.differs == ((), (), ("parent",), ("kind",), ())
    assert "the description hangs it on joint1" in found.sentences[0]
    points = skeleton.points.copy()
    points[4] += 0.1
    assert compare(replace(skeleton, points=points), skeleton, 1e-6).differs[4] == ("length",)


def test_what_no_torque_shows_is_taken_from_the_other():
    robot = kinematics.random_tree(5, branching=0.4, seed=2)
    _, screws = screw_tree(robot, np.zeros(5))
    strange = mirror(move(screws, 1.234, np.array([0.3, -0.2, 0.7])))
    assert np.abs(laid_on(strange, screws) - screws).max() < 1e-6


@pytest.mark.parametrize("joints", [2, 18])
def test_drawings_of_two_to_eighteen_joints(joints):
    robot = kinematics.random_tree(joints, branching=0.5, seed=2)
    record = _seen(robot).to_dict()
    figure = tree_figures.trees(record, record, [("parent",)] + [()] * (joints - 1))
    labels = [t.get_text() for panel in figure.axes for t in panel.texts]
    assert all(labels.count(name) == 2 for name in robot.joint_names)
    width, height = figure.get_size_inches()
    assert width <= 16
    assert height <= 12
    assert len(tree_figures.skeletons(record, record).axes) == 1


def test_an_account_is_kept_whole(alone):
    *_, exam = alone
    record = exam.account.to_dict()
    assert MechanismDescription.from_dict(record).to_dict() == record


def test_factors_of_a_noisy_matrix_are_positive_and_keep_the_zeros():
    robot = kinematics.random_tree(5, branching=0.7, seed=4)
    source = sampler(black_box(robot, noise="a", level=0.05), 5)
    dynamics = source.at(source.draw(6), replicates=4)
    L, D, missed = positive_factors(dynamics.H, dynamics.H_deviation, robot.parents)
    assert (D > 0).all()
    _, lower = pattern_of(robot.parents)
    assert not L[:, ~lower].any()
    again = np.einsum("nki,nk,nkj->nij", L, D, L)
    exact = kinematics.crba(robot, torch.from_numpy(dynamics.q)).numpy()
    size = np.sqrt(np.einsum("nii->ni", exact))
    apart = [np.abs(H - exact) / size[:, :, None] / size[:, None] for H in (again, dynamics.H)]
    assert apart[0].mean() < apart[1].mean()  # the zeros that are known help
    assert 0.2 < missed.mean() < 3
    wrong = (-1, 0, 0, 0, 0)
    assert wrong != robot.parents
    assert positive_factors(dynamics.H, dynamics.H_deviation, wrong)[2].mean() > 3 * missed.mean()
