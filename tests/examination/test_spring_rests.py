"""Springs that are at rest elsewhere than at zero, or than described, are joint terms like others;
a constant force without a spring is none."""

import numpy as np
import pytest
import torch

import discover
import kinematics
from discover import Region
from discover.laws.extensions.terms import REST, joint_terms, spring_rests, stated
from tests.examination.test_steps import LEG, MujocoStep
from tests.identification.conftest import recorded

REGION = Region(q=1.0, v=2.0, tau=20.0)


def sprung(rest):
    """A double pendulum with springs at rest at `rest`, with friction and a rotor."""
    return kinematics.load("double_pendulum").replace(
        stiffness=[3.0, 1.5], spring_reference=rest, damping=[0.3, 0.1], armature=[0.0, 0.05]
    )


def examined(truth, robot):
    return discover.examine(
        lambda q, v, tau: kinematics.aba(truth, q, v, tau), robot, REGION, budget="quick"
    )


@pytest.mark.parametrize("described", [[0.4, -0.3], [0.0, 0.0], [-0.2, 0.5]])
def test_springs_at_rest_elsewhere_are_physics(described):
    truth = sprung([0.4, -0.3])
    exam = examined(truth, truth.replace(spring_reference=described))
    assert exam.verdict == "physics"
    assert exam.queries <= 200
    assert not exam.law.terms
    assert exam.law.robot.spring_reference.tolist() == pytest.approx([0.4, -0.3], abs=1e-9)
    assert exam.law.robot.stiffness.tolist() == pytest.approx([3.0, 1.5], abs=1e-9)


def test_a_constant_force_without_a_spring_is_no_joint_term():
    robot = kinematics.load("double_pendulum")
    push = torch.tensor([1.5, 0.0], dtype=torch.float64)
    exam = discover.examine(
        lambda q, v, tau: kinematics.aba(robot, q, v, tau + push), robot, REGION, budget="quick"
    )
    assert exam.verdict == "alternative law"
    assert [str(t) for t in exam.law.terms] != []


def test_springs_at_rest_elsewhere_in_noise():
    """A hundredth of noise: the rests within a few per cent, and the verdict physics."""
    truth = sprung([0.4, -0.3])
    noise = torch.Generator().manual_seed(3)

    def model(q, v, tau):
        a = kinematics.aba(truth, q, v, tau)
        return a + 0.01 * 20 * torch.randn(a.shape, generator=noise, dtype=a.dtype)

    exam = discover.examine(model, truth.replace(spring_reference=[0.0, 0.0]), REGION)
    assert exam.verdict == "physics"
    assert exam.law.robot.spring_reference.tolist() == pytest.approx([0.4, -0.3], abs=0.06)


def test_mujocos_step_with_a_spring_at_rest_elsewhere_is_physics():
    text = LEG.format(integrator="RK4").replace('stiffness="3"', 'stiffness="3" springref="25"')
    robot = kinematics.load(text)
    assert float(robot.spring_reference.abs().max()) > 0.4
    exam = discover.examine(MujocoStep(text, 2), robot, Region(q=0.6, v=2.0, u=0.5), budget="quick")
    assert exam.verdict == "physics"
    assert np.deg2rad(25) == pytest.approx(float(exam.law.robot.spring_reference[1]), abs=1e-6)


def test_identify_takes_a_spring_from_where_it_is_described_at_rest():
    """Before, the law was off by the spring's force at zero."""
    truth = sprung([0.4, -0.3])
    generator = np.random.default_rng(2)
    logs = [recorded(truth, generator, f"log {k}", seconds=10.0) for k in range(2)]
    found = discover.identify(logs, truth.replace(stiffness=[0.0, 0.0]))
    q, v, tau = (torch.randn(50, 2, dtype=torch.float64) for _ in range(3))
    a = kinematics.aba(truth, q, v, 5 * tau)
    error = found.law(q, v, 5 * tau) - a
    assert float(error.square().mean().sqrt()) < 0.05 * float(a.square().mean().sqrt())


def test_stated_moves_the_rest_by_force_over_stiffness():
    robot = sprung([0.4, -0.3])
    springs = [t for t in joint_terms(robot) if t.joint_term == "stiffness"]
    rests = spring_rests(springs)
    assert [t.joint_term for t in rests] == [REST, REST]
    moved = stated(robot, [springs[0], rests[0], rests[1]], [1.0, 2.0, -3.0])
    assert moved.stiffness.tolist() == [4.0, 1.5]
    assert moved.spring_reference.tolist() == pytest.approx([0.4 - 2.0 / 4.0, -0.3 + 3.0 / 1.5])
    q = torch.tensor([0.3, 0.2], dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)
    force = kinematics.rnea(moved, q, zero, zero) - kinematics.rnea(robot, q, zero, zero)
    added = torch.tensor([1.0 * (0.3 - 0.4) + 2.0, -3.0], dtype=torch.float64)
    assert torch.allclose(force, added)
