"""Regions that contacts cover: undetermined, with the place where a law could be judged."""

from __future__ import annotations

import pytest
import torch

import discover
import kinematics
from discover.examination.opening.covered import covered_region
from discover.examination.opening.screen import screening
from tests.examination.query_sessions import session as opened

ROD = """<mujoco><option timestep="0.002"/><worldbody><body>
<joint name="height" type="slide" axis="0 0 1"/><joint name="pitch" axis="0 1 0"/>
<geom type="capsule" fromto="-.5 0 0 .5 0 0" size=".05"/></body></worldbody></mujoco>"""
ROBOT = kinematics.load(ROD)


def pushed(q, v):
    """Forces (n, 2) of stiff ground at height 0 on both ends of the rod, and on its middle."""
    total = torch.zeros_like(q)
    for arm in (-0.5, 0.0, 0.5):
        slope = -arm * torch.cos(q[:, 1])
        height = q[:, 0] - arm * torch.sin(q[:, 1])
        speed = v[:, 0] + slope * v[:, 1]
        depth = (-height).clamp_min(0.0)
        force = (4e4 * depth**1.5 * (1 - 0.5 * speed)).clamp_min(0.0)
        total += torch.stack([force, slope * force], -1)
    return total


def accelerations(q, v, tau):
    return kinematics.aba(ROBOT, q, v, tau + pushed(q, v))


def steps(q, v, tau):
    """One step of 4 ms, in two of MuJoCo's Euler."""
    for _ in range(2):
        v = v + 0.002 * accelerations(q, v, tau)
        q = q + 0.002 * v
    return q, v


def region(low, high):
    return discover.Region(q=([low, -1.0], [high, 1.0]), v=1.0, tau=5.0)


@pytest.mark.parametrize("stepped", [False, True])
@pytest.mark.parametrize("top", [-0.05, pytest.param(0.15, marks=pytest.mark.slow)])
def test_a_region_full_of_contacts_is_undetermined_and_told(stepped, top):
    given = {"outputs": "next_state", "dt": 0.004} if stepped else {}
    model = steps if stepped else accelerations
    exam = discover.examine(
        model, ROBOT, region(-1.2, top), budget="quick", mechanism=False, **given
    )
    assert exam.verdict == "undetermined"
    assert exam.law is None
    told = next(note for note in exam.notes if "covers the region" in note)
    assert "q[0] (height) >" in told
    assert any("q[0] (height) is above" in note for note in exam.notes)
    share = next(e.value for e in exam.evidence if e.name == "share of other regimes")
    assert share == 1.0 if top < 0 else 0.8 < share < 1.0


def table(q, v, tau):
    """Smooth, and nowhere a law."""
    x = torch.cat([q, v, tau], -1)
    mixing = torch.randn(6, 40, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return 30 * torch.tanh(x @ mixing) @ mixing[:2].T


def elsewhere(q, v, tau):
    """The table in the region; about it another robot, which is not the described one."""
    heavier = ROBOT.replace(pi=1.2 * ROBOT.pi)
    far = (q[:, :1] > -0.05).expand(-1, 2)
    return torch.where(far, kinematics.aba(heavier, q, v, tau), table(q, v, tau))


@pytest.mark.parametrize("model", [table, elsewhere])
def test_what_is_no_law_beside_the_region_either_is_not_covered(model):
    session, screen = screening(opened(model, ROBOT, region(-1.2, -0.05)))
    before = session.blackbox.queries
    assert covered_region(session, screen, None, None) is None
    assert session.blackbox.queries - before <= 2 * ROBOT.nv * 4


def test_a_model_that_the_description_explains_is_not_asked_further():
    session, screen = screening(opened(accelerations, ROBOT, region(0.8, 1.6)))
    before = session.blackbox.queries
    assert covered_region(session, screen, None, None) is None
    assert session.blackbox.queries == before
