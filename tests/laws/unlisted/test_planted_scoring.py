"""The score of a search is itself tested: on the truth, on a wrong law, on a tautology."""

from dataclasses import replace

import pytest
import sympy
import torch

import kinematics
from discover import Region
from discover.blackbox import sampling
from discover.laws import RigidBodyLaw
from discover.laws.extensions.terms import symbols
from discover.laws.search.force_directions import joint_candidates
from tests.bench.laws.lists import first
from tests.bench.laws.planting import plant, with_noise
from tests.bench.laws.scoring import score

REGION = Region(q=1.0, v=2.0, tau=5.0)


@pytest.fixture(scope="module")
def robot():
    return kinematics.load("double_pendulum")


@pytest.fixture(scope="module")
def truth(robot):
    law = next(x for x in first.laws(robot) if x.name == "sin 3q")
    return plant(robot, law, REGION)


def _law(robot, shape, coefficient, name):
    direction = next(c for c in joint_candidates(robot).directions if c.name == "force on joint 1")
    term = replace(direction.term(shape), name=name).with_coefficient(coefficient)
    return RigidBodyLaw(robot=robot, extensions=(term,), size=9)


def _size(robot, truth):
    q = torch.tensor([[0.5, 0.2]], dtype=torch.float64)
    zero = torch.zeros_like(q)
    rest = (kinematics.crba(robot, q) @ truth(q, zero, zero).unsqueeze(-1)).squeeze(-1)
    return float((-rest - kinematics.bias(robot, q, zero))[0, 0] / torch.sin(3 * q[0, 0]))


def test_the_truth_scores_whatever_it_is_called(robot, truth):
    q1 = symbols(2)["q"][0]
    size = _size(robot, truth)
    other_words = 3 * sympy.sin(q1) - 4 * sympy.sin(q1) ** 3
    for shape, name in ((sympy.sin(3 * q1), "x"), (other_words, "force on joint 1")):
        found = score(_law(robot, shape, size, name), truth, robot, REGION)
        assert found.closed
        assert found.structure
        assert found.predictive


def test_a_right_place_with_a_function_that_is_off_is_structure_only(robot, truth):
    q1 = symbols(2)["q"][0]
    near = 3 * q1 - 4.4 * q1**3 + 1.7 * q1**5
    name = "force on joint 1, function of q1"
    found = score(_law(robot, near, _size(robot, truth), name), truth, robot, REGION)
    assert found.spanned > 0.99
    assert not found.closed


def test_a_wrong_feature_a_bare_body_and_nothing_score_nothing(robot, truth):
    q2 = symbols(2)["q"][1]
    wrong = _law(robot, sympy.sin(3 * q2), 1.0, "force on joint 1, function of q2")
    for law in (wrong, RigidBodyLaw(robot=robot, size=9), None):
        found = score(law, truth, robot, REGION)
        assert not found.structure
        assert not found.closed


def test_a_tautology_spans_everything_and_still_scores_nothing(robot, truth):
    """The force itself as a carrier makes up any force, since it is what the equation says."""
    tau = symbols(2)["tau"]
    term = replace(
        _law(robot, sympy.Integer(1), 0.5, "").extra[0],
        name="force share on all joints",
        shape=(tau[0], tau[1]),
    )
    found = score(RigidBodyLaw(robot=robot, extensions=(term,), size=9), truth, robot, REGION)
    assert not found.structure


def test_noise_is_of_the_size_asked_for_and_never_the_same(robot, truth):
    states = sampling.sample(REGION.resolve(2), robot, 2000, 5)
    clean = truth(*states)
    noisy = with_noise(truth, robot, REGION, 0.01, 3)
    first, second = noisy(*states), noisy(*states)
    level = (first - clean).square().mean(0).sqrt() / clean.square().mean(0).sqrt()
    assert torch.allclose(level, torch.full((2,), 0.01, dtype=torch.float64), rtol=0.15)
    assert not torch.equal(first, second)
