"""The search for unlisted terms ends for robots of many coordinates, and says where it gave up."""

import re

import pytest
import torch

import kinematics
from discover.blackbox import sampling
from discover.blackbox.contract import Answers
from discover.blackbox.region import Region
from discover.calibration.planted.catalogue import quadruped
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit, whiten
from discover.laws.search import greedy_search
from discover.laws.search.force_directions import candidate_points, joint_candidates
from discover.laws.search.greedy_search import SearchBudget, answers_within_budget
from discover.laws.search.nonlinearities.io_kinds import KINDS
from discover.laws.search.nonlinearities.io_search import IONonlinearities
from discover.laws.search.nonlinearities.trigonometry_search import Surrogates
from discover.laws.search.ranking import coordinates_by_relevance, rank_pairs
from discover.laws.search.residual_search import search_residual_forces


def test_places_of_a_quadruped_are_about_as_many_as_those_of_an_arm():
    trunk = joint_candidates(quadruped(), range(17, -1, -1))
    arm = joint_candidates(kinematics.load("panda"), range(7))
    assert len(trunk.directions) <= 1.1 * len(arm.directions)
    assert len(trunk.features) <= 1.1 * len(arm.features)


def kinds_of(names):
    """Names of candidates without the numbers of their joints."""
    return {re.sub(r"(?<![-\w])\d+|(?<=[a-z])\d+", "#", name) for name in names}


def serial_arm(nv):
    return kinematics.random_tree(nv, 0.0, 3, kinds=("revolute",))


def test_an_arm_of_eight_joints_gets_every_kind_of_candidate_that_one_of_three_gets():
    small, large = serial_arm(3), serial_arm(8)
    few, many = joint_candidates(small), joint_candidates(large, range(8))
    assert kinds_of(c.name for c in few.directions) == kinds_of(c.name for c in many.directions)
    assert kinds_of(f.name for f in few.features) == kinds_of(f.name for f in many.features)
    assert {p.body for p in candidate_points(large)} == set(range(8))


@pytest.fixture(scope="module")
def begun():
    """What the searches for nonlinearities begin with on the answers of arms of 3 and 8 joints."""
    out = {}
    for nv in (3, 8):
        robot = serial_arm(nv)
        q, v, tau = sampling.sample(Region(q=1.0, v=1.0, tau=5.0).resolve(nv), robot, 160, 3)
        a = kinematics.aba(robot, q, v, tau).clamp(-5, 5)
        answers = Answers(q=q, v=v, tau=tau, a=a)
        base = fit(Family.of(robot), answers[:100])
        out[nv] = {"answers": answers[:100], "held": answers[100:], "floor": 1e-9, "base": base}
    return out


@pytest.mark.slow
def test_nonlinearities_are_the_same_for_arms_of_three_and_of_eight_joints(begun):
    proposed = {}
    for nv, sets in begun.items():
        io = IONonlinearities(**sets).propose(sets["base"], 1e9)
        turns = Surrogates(**sets).propose(sets["base"], 1e9)
        parts = [(problem.parts, problem.composites) for problem, _ in turns]
        proposed[nv] = {kind for kind, *_ in io}, parts
    assert proposed[3] == proposed[8]
    assert proposed[8][0] == set(KINDS)
    assert len(proposed[8][1]) == 11


def test_a_free_base_has_no_angles_of_its_own():
    features = joint_candidates(quadruped(), range(18)).features
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


@pytest.mark.slow
def test_joints_far_apart_are_paired_where_they_matter(far_apart):
    robot, (i, j), answers, fitted = far_apart
    first = coordinates_by_relevance(whiten(fitted, answers[:150]), robot)
    assert sorted(first) == list(range(10))
    assert {i, j} <= set(first[:4])
    best = rank_pairs(fitted, answers[:180])[0]
    assert best.direction.name == f"force between joints {i + 1} and {j + 1}"
    assert best.feature.name == f"q{i + 1} - q{j + 1}"


def test_work_not_time_is_counted():
    whole = SearchBudget.of(2000, 60, 3)
    assert not whole.short
    assert whole.rounds == 3
    less = SearchBudget.of(3600, 172, 3)
    assert less.short
    assert 3 <= less.converged < whole.converged
    assert less.rounds >= 1
    least = SearchBudget.of(10**6, 1000, 3)
    assert least.converged >= 1 <= least.formulas
    assert answers_within_budget(3, 60, 720) == 720
    assert answers_within_budget(18, 172, 720) < 250


@pytest.mark.parametrize("work", [1e2, 1e12])
@pytest.mark.slow
def test_a_search_that_gives_up_says_so(monkeypatch, work):
    """Two joints stand in for many, by a smaller budget; one law of two is then out of reach."""
    monkeypatch.setattr(greedy_search, "_WORK", work)
    robot = kinematics.load("double_pendulum")
    q, v, tau = sampling.sample(Region(q=1.0, v=2.0, tau=5.0).resolve(2), robot, 220, 3)
    odd = torch.stack([torch.sin(7 * q[:, 0] * v[:, 1]), torch.tanh(9 * tau[:, 0] * q[:, 1])], -1)
    answers = Answers(q=q, v=v, tau=tau, a=kinematics.aba(robot, q, v, tau - odd))
    base = fit(Family.of(robot), answers[:140])
    found = search_residual_forces(
        base, answers[:140], answers[140:], floor=1e-6, share=0.0, limit=1, engine="sparse"
    )
    assert found.best.fit.standardised_error(answers[140:]) > 1e-3
    assert found.short == (work < 1e6)
