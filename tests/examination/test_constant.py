"""Models that answer the same whatever they are asked."""

import pytest
import torch

import discover
import kinematics

REGION = discover.Region(q=1.0, v=2.0, tau=5.0)


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_a_constant_is_an_alternative_law_without_bodies(value, tmp_path):
    robot = kinematics.load("double_pendulum")
    exam = discover.examine(lambda q, v, tau: torch.full_like(v, value), robot, REGION)
    assert exam.verdict == "alternative law"
    assert exam.law.family == "constant"
    assert exam.law.values == (value, value)
    assert not hasattr(exam.law, "robot")
    assert all(r >= 3.0 for r in exam.reach.values())
    q, v, tau = (torch.zeros(5, 2, dtype=torch.float64) for _ in range(3))
    assert torch.equal(exam.law(q, v, tau), torch.full((5, 2), value, dtype=torch.float64))
    assert (exam.law.compile()(q.numpy(), v.numpy(), tau.numpy()) == value).all()
    exam.save(tmp_path)
    kept = discover.load(tmp_path)
    assert kept.law.values == exam.law.values
    assert "constant" in (tmp_path / "report.md").read_text().lower()


def test_a_constant_is_seen_through_noise():
    robot = kinematics.load("double_pendulum")
    generator = torch.Generator().manual_seed(0)

    def model(q, v, tau):
        noise = torch.randn(v.shape, generator=generator, dtype=v.dtype)
        return torch.tensor([2.0, -1.0], dtype=v.dtype) + 0.01 * noise

    exam = discover.examine(model, robot, REGION)
    assert exam.verdict == "alternative law"
    assert torch.tensor(exam.law.values).sub(torch.tensor([2.0, -1.0])).abs().max() < 0.01


def test_a_constant_inside_only_is_none():
    robot = kinematics.random_tree(1, seed=0)

    def model(q, v, tau):
        outside = (v.abs() > 2.5).any(-1, keepdim=True)
        return torch.where(outside, kinematics.aba(robot, q, v, tau), torch.ones_like(v))

    exam = discover.examine(model, robot, REGION, budget="quick")
    assert exam.law is None or exam.law.family != "constant"


def test_a_constant_of_many_joints_is_not_fitted_with_bodies():
    """A model of steps that stands still: no fit through integrators is needed to see it."""
    robot = kinematics.random_tree(6, 0.3, 1)
    region = discover.Region(q=[1.0] * 6, v=[1.0] * 6, tau=[1.0] * 6)
    exam = discover.examine(
        lambda q, v, tau: (q, v), robot, region, outputs="next_state", dt=0.01, mechanism=False
    )
    assert exam.law.values == (0.0,) * 6
    assert exam.seconds < 20
