"""Examinations of simulators in which one signal of the recursion is altered."""

from __future__ import annotations

import pytest
import torch

import discover
import kinematics

ROBOT = kinematics.load("planar_3r")
REGION = discover.Region(q=1.0, v=3.0, tau=[60.0, 25.0, 7.0])


def bodies(q, v, tau):
    return kinematics.aba(ROBOT, q, v, tau)


def yielding(q, v, tau):
    stiffness = torch.tensor([700.0, 280.0, 90.0], dtype=torch.float64)
    return bodies(q + tau / stiffness, v, tau)


def loaded(q, v, tau):
    return bodies(q, v, tau - 0.12 * tau.abs() * torch.tanh(v / 0.2))


def delayed_speed(q, v, tau):
    return bodies(q, v - 0.1 * torch.sin(2.0 * q), tau)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "place"), [(yielding, "q"), (loaded, "tau"), (delayed_speed, "v")]
)
def test_an_altered_signal_is_an_alternative_law_that_goes_on_far_out(model, place):
    exam = discover.examine(model, ROBOT, REGION, mechanism=False)
    assert exam.verdict == "alternative law"
    assert min(exam.reach.values()) == 3.0
    assert all(str(x.lhs).startswith(place) for x in exam.law.terms)
    states = [torch.rand(100, 3, dtype=torch.float64) * 2 - 1 for _ in range(3)]
    states = [x * w for x, w in zip(states, (1.0, 3.0, 7.0), strict=True)]
    error = (exam.law(*states) - model(*states)).square().mean().sqrt()
    assert error < 2e-3 * model(*states).std()
