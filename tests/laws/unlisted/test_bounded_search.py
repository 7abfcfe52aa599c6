"""The search for unlisted terms ends for robots of many coordinates, and says where it gave up."""

import pytest
import torch

import kinematics
from discover.blackbox import sampling
from discover.blackbox.contract import Answers
from discover.blackbox.region import Region
from discover.calibration.planted.catalogue import quadruped
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit, whiten
from discover.laws.search import additive as unlisted
from discover.laws.search import rounds as allowance
from discover.laws.search.force_directions import joint_places
from discover.laws.search.residual import coordinates_that_matter, rank_pairs
from discover.laws.search.rounds import Allowance, answers_for


def test_places_of_a_quadruped_are_about_as_many_as_those_of_an_arm():
    trunk = joint_places(quadruped(), range(17, -1, -1))
    arm = joint_places(kinematics.load("panda"), range(7))
    assert len(trunk.carriers) <= 1.1 * len(arm.carriers)
    assert len(trunk.features) <= 1.1 * len(arm.features)


def test_a_free_base_has_no_angles_of_its_own():
    features = joint_places(quadruped(), range(18)).features
    named = {s.name for f in features for s in f.free_symbols}
    assert not named & {f"q{j}" for j in range(1, 7)}
    assert {"v1", "q7"} <= named


@pytest.fixture(scope="module")
def far_apart():
    """A tree of ten hinges with a spring between two joints of different branches."""
    robot = kinematics.random_tree(10, 0.5, 4, kinds=("revolute",))
    i, j = 2, 9
    q, v, tau = sampling.sample(Region(q=1.0, v=1.0, tau=10.0).resolve(10), robot, 260, 3)

    def force(x):
        out = torch.zeros_like(x)
        out[:, i] = torch.sin(x[:, i] - x[:, j])
        out[:, j] = -out[:, i]
        return out

    H = kinematics.crba(robot, q)
    weight = 0.3 * H.diagonal(dim1=-2, dim2=-1).mean(0)[[i, j]].min()
    a = kinematics.aba(robot, q, v, tau - weight * force(q))
    answers = Answers(q=q, v=v, tau=tau, a=a)
    return robot, (i, j), answers, fit(Family.of(robot), answers[:180])


def test_joints_far_apart_are_paired_where_they_matter(far_apart):
    robot, (i, j), answers, fitted = far_apart
    first = coordinates_that_matter(whiten(fitted, answers[:150]), robot)
    assert sorted(first) == list(range(10))
    assert {i, j} <= set(first[:4])
    best = rank_pairs(fitted, answers[:180])[0]
    assert best.carrier.name == f"force between joints {i + 1} and {j + 1}"
    assert best.feature.name == f"q{i + 1} - q{j + 1}"


def test_work_not_time_is_counted():
    whole = Allowance.of(2000, 60, 3)
    assert not whole.short
    assert whole.rounds == 3
    less = Allowance.of(3600, 172, 3)
    assert less.short
    assert 3 <= less.whole < whole.whole
    assert less.rounds >= 1
    least = Allowance.of(10**6, 1000, 3)
    assert least.whole >= 1 <= least.shapes
    assert answers_for(3, 60, 720) == 720
    assert answers_for(18, 172, 720) < 250


@pytest.mark.parametrize("work", [1e2, 1e12])
def test_a_search_that_gives_up_says_so(monkeypatch, work):
    """Two joints stand in for many, by a smaller allowance; one law of two is then out of reach."""
    monkeypatch.setattr(allowance, "_WORK", work)
    robot = kinematics.load("double_pendulum")
    q, v, tau = sampling.sample(Region(q=1.0, v=2.0, tau=5.0).resolve(2), robot, 220, 3)
    odd = torch.stack([torch.sin(7 * q[:, 0] * v[:, 1]), torch.tanh(9 * tau[:, 0] * q[:, 1])], -1)
    answers = Answers(q=q, v=v, tau=tau, a=kinematics.aba(robot, q, v, tau - odd))
    base = fit(Family.of(robot), answers[:140])
    found = unlisted.explain(
        base, answers[:140], answers[140:], floor=1e-6, share=0.0, limit=1, engine="sparse"
    )
    assert found.best.fit.standardised_error(answers[140:]) > 1e-3
    assert found.short == (work < 1e6)
