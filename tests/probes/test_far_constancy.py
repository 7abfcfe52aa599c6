"""Models that stand still far out, and models that are flat there but go on answering."""

import pytest
import torch

import discover
import kinematics
from discover.probes.far_curvature import constant_far_out
from tests.examination import query_sessions

ROBOT = kinematics.load("double_pendulum")
REGION = discover.Region(q=0.8, v=2.0, tau=5.0).resolve(2)


def stops_at_a_speed(q, v, tau):
    left = (1 - v.square().sum(-1, keepdim=True) / 80).clamp_min(0)
    return kinematics.aba(ROBOT, q, v, tau) * left


def stops_along_one_direction(q, v, tau):
    left = (1 - ((v[:, :1] + 0.5 * v[:, 1:]) / 8).square()).clamp_min(0)
    return kinematics.aba(ROBOT, q, v, tau) * left


def network(q, v, tau):
    generator = torch.Generator().manual_seed(0)
    inward, out = (
        torch.randn(*n, generator=generator, dtype=torch.float64) for n in ((6, 64), (64, 2))
    )
    return torch.tanh(torch.cat([q, v / 2, tau / 5], -1) @ inward) @ out


def linear_in_forces(q, v, tau):
    return tau


@pytest.mark.parametrize(
    ("model", "still"),
    [
        (stops_at_a_speed, True),
        (stops_along_one_direction, True),
        (network, False),
        (linear_in_forces, False),
    ],
)
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_what_stands_still_is_told_from_what_is_flat(model, still, noise):
    generator = torch.Generator().manual_seed(1)
    scale = torch.full((2,), 5.0, dtype=torch.float64)

    def asked(q, v, tau):
        a = model(q, v, tau)
        return a + noise * scale * torch.randn(a.shape, generator=generator, dtype=a.dtype)

    session = query_sessions.session(asked, ROBOT, REGION)
    assert constant_far_out(session, scale, noise) is still
