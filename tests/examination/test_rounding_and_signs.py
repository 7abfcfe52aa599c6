"""What rounding leaves is no evidence; and laws have parameters that joints and bodies can have."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import discover
import kinematics
from discover.blackbox.contract import Answers
from discover.laws.extensions.terms import JUMP, joint_terms
from discover.laws.rigid_body.consistency import complete, with_possible_bodies
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit
from discover.laws.search.selection import impossible_signs, possible, with_possible_signs
from kinematics import Robot

PENDULUM = kinematics.load("double_pendulum")
BRANCHED = kinematics.load("planar_branched")
REGION = discover.Region(q=1.0, v=2.0, tau=5.0)


def examined(model, robot):
    return discover.examine(model, robot, REGION, budget="quick")


# ---- friction that jumps, departures of rounding's size -----------------------------------------


def test_friction_that_jumps_is_physics_and_comes_out_right():
    size = torch.tensor([0.3, 0.9], dtype=torch.float64)

    def model(q, v, tau):
        return kinematics.aba(PENDULUM, q, v, tau - size * torch.sign(v) - 0.1 * v)

    exam = examined(model, PENDULUM)
    assert exam.verdict == "physics"
    assert exam.confidence > 0.9
    assert exam.law is not None
    torch.testing.assert_close(exam.law.robot.friction, size, rtol=1e-9, atol=1e-9)
    assert exam.law.robot.friction_speed == JUMP
    assert "sign(v1)" in exam.law.formula
    slow = torch.full((1, 2), 1e-5, dtype=torch.float64)
    torch.testing.assert_close(exam.law(slow, slow, slow), model(slow, slow, slow))


def test_friction_that_the_simulator_smooths_stays_smoothed():
    rubbing = PENDULUM.replace(friction=torch.tensor([0.3, 0.9], dtype=torch.float64))
    exam = examined(lambda *x: kinematics.aba(rubbing, *x), PENDULUM)
    assert exam.verdict == "physics"
    assert exam.law is not None
    assert exam.law.robot.friction_speed == PENDULUM.friction_speed


@pytest.mark.parametrize("size", [1e-9, 5e-8])
def test_a_departure_of_roundings_size_far_out_is_no_evidence_against_physics(size):
    def model(q, v, tau):
        beyond = torch.relu(q.abs().amax(-1, keepdim=True) - 1.2)
        return kinematics.aba(PENDULUM, q, v, tau) * (1 + size * beyond)

    exam = examined(model, PENDULUM)
    assert exam.verdict == "physics"
    assert exam.confidence > 0.9


# ---- signs --------------------------------------------------------------------------------------


def noisy_answers(robot: Robot, level: float, n: int = 300) -> Answers:
    g = torch.Generator().manual_seed(11)
    q, v, tau = (w * (2 * torch.rand(n, robot.nv, generator=g).double() - 1) for w in (1, 2, 5))
    a = kinematics.aba(robot, q, v, tau)
    a = a + level * a.std(0) * torch.randn(a.shape, generator=g, dtype=a.dtype)
    return Answers(q=q, v=v, tau=tau, a=a)


def test_joint_terms_below_zero_within_their_error_are_held_at_zero():
    answers = noisy_answers(PENDULUM, 0.05)
    terms = joint_terms(PENDULUM)
    free = fit(Family.of(PENDULUM, terms), answers)
    k = free.family.basis.shape[1]
    assert bool((free.theta[k:] < 0).any())
    held = with_possible_signs(free, answers)
    assert bool((held.theta[k:] >= 0).all())
    assert not impossible_signs(held)
    assert held.error < 1.02 * free.error


@pytest.mark.slow
def test_a_joint_that_drives_itself_is_told():
    def model(q, v, tau):
        return kinematics.aba(PENDULUM, q, v, tau + 0.4 * v * torch.tensor([0.0, 1.0]).double())

    exam = examined(model, PENDULUM)
    assert exam.verdict == "alternative law"
    assert exam.law is not None
    assert exam.law.terms  # a force beside the bodies: no robot is described with such damping
    assert not bool((exam.law.robot.damping < 0).any())


def test_a_negative_joint_term_beyond_its_error_is_named():
    driven = PENDULUM.replace(damping=torch.tensor([0.0, -0.4], dtype=torch.float64))
    answers = noisy_answers(driven, 0.02)
    damping = [t for t in joint_terms(PENDULUM) if t.joint_term == "damping"]
    law = with_possible_signs(fit(Family.of(PENDULUM, damping), answers), answers)
    assert not possible(law)
    ((term, value, error),) = impossible_signs(law)
    assert term.name == "damping, joint 2"
    assert abs(value + 0.4) < 5 * error < 0.2


# ---- bodies and rotors that stand in for each other ----------------------------------------------

_INERTIA = '<inertia ixx="{i}" iyy="{i}" izz="{i}" ixy="0" ixz="0" iyz="0"/>'
_STAGE = (
    '<robot name="stage"><link name="b"/>'
    + "".join(
        f'<link name="{name}"><inertial><origin xyz="{at}"/><mass value="{m}"/>'
        + _INERTIA.format(i=0.02)
        + "</inertial></link>"
        for name, m, at in (("x", 2, "0 0 0"), ("y", 1, "0 0 0"), ("arm", 0.4, "0 0 -.3"))
    )
    + "".join(
        f'<joint name="j{child}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
        f'<axis xyz="{axis}"/><limit lower="-9" upper="9" effort="9" velocity="9"/></joint>'
        for child, kind, parent, axis in (
            ("x", "prismatic", "b", "1 0 0"),
            ("y", "prismatic", "x", "0 1 0"),
            ("arm", "revolute", "y", "0 1 0"),
        )
    )
    + "</robot>"
)


@pytest.mark.parametrize("level", [0.0, 0.02])
def test_bodies_are_given_rotors_before_they_are_called_impossible(level):
    """A stage whose second drive has the heavy rotor: without rotors, its lower carriage would need
    a mass below zero."""
    stage = kinematics.load(_STAGE)
    geared = stage.replace(armature=torch.tensor([0.0, 4.0, 0.0], dtype=torch.float64))
    answers = noisy_answers(geared, level)
    bare = fit(Family.of(stage), answers)
    before = complete(bare, answers, stage.pi)
    assert before.armature is not None or not before.exact
    law = with_possible_bodies(bare, answers, stage.pi)
    after = complete(law, answers, stage.pi)
    assert after.armature is None
    assert after.cost <= 0.1 * max(law.error, 1e-6)
    assert bool((after.pi[:, 0] > 0).all())
    assert law.error <= max(1.1 * bare.error, 1e-7)
    k = law.family.basis.shape[1]
    assert bool((law.theta[k:] >= 0).all())


def test_possible_bodies_are_left_as_they_are():
    answers = noisy_answers(BRANCHED, 0.0)
    law = fit(Family.of(BRANCHED), answers)
    assert with_possible_bodies(law, answers, BRANCHED.pi) is law


def test_bodies_that_no_rotor_makes_possible_stay_impossible():
    pi = PENDULUM.pi.clone()
    pi[1, 0] = -1.5 * pi[1, 0]
    pi[1, 4:] = -pi[1, 4:]
    answers = noisy_answers(PENDULUM.replace(pi=pi), 0.0)
    bare = fit(Family.of(PENDULUM), answers)
    law = with_possible_bodies(bare, answers, PENDULUM.pi)
    assert complete(law, answers, PENDULUM.pi).cost > 1e-3


# ---- formulas -----------------------------------------------------------------------------------


def test_formulas_leave_out_what_the_fit_cannot_show():
    """Where there is no gravity, rounding of the answers must not look like some."""
    flat = kinematics.load(_STAGE).replace(gravity=torch.zeros(3, dtype=torch.float64))

    def single(q, v, tau):
        return kinematics.aba(flat, q, v, tau) * (1 + 1e-10 * torch.sin(3e5 * (q + v)))

    exam = discover.examine(single, flat, REGION, budget="quick")
    law = exam.law
    assert law is not None
    assert law.potential == 0
    assert law.smallest_force > 0
    again = discover.laws.from_dict(law.to_dict())
    assert again.smallest_force == law.smallest_force
    shown = replace(law, smallest_force=0.0).bias
    assert all(row.free_symbols & set(law.symbols["v"]) or row == 0 for row in law.bias), shown
