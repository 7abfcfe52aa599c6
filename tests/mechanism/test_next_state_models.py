"""Models that answer with next states, known to nobody: the step is taken off the acceleration."""

from __future__ import annotations

import pytest
import torch

import discover
import kinematics
from discover.blackbox.contract import BlackBox
from discover.mechanism.inference import infer_robot, infer_robot_from_steps

DT = 0.01


def stepper(robot: kinematics.Robot):
    def model(q, v, tau):
        path = kinematics.simulate(robot, q, v, tau, DT, 1, integrator="rk4")
        return path.q[1], path.v[1]

    return model


@pytest.mark.slow
def test_steps_of_runge_and_kutta_are_physics():
    robot = kinematics.load("double_pendulum")
    region = discover.Region(q=[1.5, 1.5], v=2.0, tau=5.0)
    exam = discover.examine(stepper(robot), None, region, outputs="next_state", dt=DT)
    assert exam.verdict == "physics"
    assert exam.law.integrator == "rk4"
    assert exam.account.good


def infer_once(model) -> int:
    """How many questions one inference asks."""
    blackbox = BlackBox(model, 2, 2, outputs="next_state", dt=DT)
    infer_robot(blackbox, discover.Region(q=1.0, v=1.0, tau=1.0).resolve(2))
    return blackbox.queries


def test_what_does_not_step_a_law_is_left_as_it_is():
    generator = torch.Generator().manual_seed(0)

    def model(q, v, tau):
        return q + DT * v, v + DT * torch.randn(v.shape, generator=generator).double()

    blackbox = BlackBox(model, 2, 2, outputs="next_state", dt=DT)
    found = infer_robot_from_steps(blackbox, discover.Region(q=1.0, v=1.0, tau=1.0).resolve(2))
    assert found.tree.noise > 0.5
    assert blackbox.queries == infer_once(model)
