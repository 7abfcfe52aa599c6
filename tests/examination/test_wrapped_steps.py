"""Steps whose angles are told within one turn, or clamped at limits, are read as what they are."""

from __future__ import annotations

import ctypes
import json
import math
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

import discover
import kinematics
from discover.blackbox.contract import unwrapped
from discover.data.transitions import read_transitions
from discover.laws import from_dict

ROBOT = kinematics.load("double_pendulum")
DT = 0.02


def motion(q, v, tau):
    v_next = v + DT * kinematics.aba(ROBOT, q, v, tau)
    return q + DT * v_next, v_next


def symmetric(q, v, tau):
    """Angles that follow in [-π, π)."""
    q_next, v_next = motion(q, v, tau)
    return torch.remainder(q_next + math.pi, 2 * math.pi) - math.pi, v_next


def positive(q, v, tau):
    """Angles that follow in [0, 2π)."""
    q_next, v_next = motion(q, v, tau)
    return torch.remainder(q_next, 2 * math.pi), v_next


def clamped(q, v, tau):
    """Angles that end at ±0.8, whatever the speeds."""
    q_next, v_next = motion(q, v, tau)
    return q_next.clamp(-0.8, 0.8), v_next


def stopped(q, v, tau):
    """The same, and speeds with them."""
    q_next, v_next = motion(q, v, tau)
    ended = q_next.clamp(-0.8, 0.8)
    return ended, torch.where(ended == q_next, v_next, 0 * v_next)


def examined(model, half_width, **given):
    region = discover.Region(q=half_width, v=2.0, tau=5.0)
    return discover.examine(
        model, ROBOT, region, outputs="next_state", dt=DT, budget="quick", mechanism=False, **given
    )


@pytest.mark.parametrize(("model", "half_width"), [(symmetric, 4.0), (positive, 1.0)])
def test_angles_within_one_turn_are_physics_that_configurations_follow(model, half_width):
    exam = examined(model, half_width)
    assert exam.verdict == "physics"
    assert exam.regimes == []
    assert not any("do not follow" in note for note in exam.notes)
    answers_as(exam.law, model)
    # of a file, which knows nothing of the model
    answers_as(from_dict(json.loads(json.dumps(exam.law.to_dict()))), model)


def answers_as(law, model):
    """Steps of the law tell angles as the model does, by every way out of it."""
    q = torch.tensor([[3.139, -3.139], [0.001, -0.001], [6.28, 9.42]], dtype=torch.float64)
    v = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [0.9, 0.9]], dtype=torch.float64)
    u = torch.ones_like(q)
    q_next, v_next = model(q, v, u)
    again = model(q_next, v_next, u)
    for told, wanted in (
        (law.step(q, v, u), (q_next, v_next)),
        (law.step(q, v, u, steps=2), again),
    ):
        assert all(torch.allclose(x, y, atol=1e-8) for x, y in zip(told, wanted, strict=True))
    alive = law.step(q.requires_grad_(), v, u)[0]
    assert torch.allclose(alive, q_next, atol=1e-8)
    q = q.detach()
    for target in ("python", "torch"):
        space: dict = {}
        exec(law.export(target, of="step"), space)
        kind = np.asarray if target == "python" else torch.as_tensor
        out = space["step"](*(kind(x) for x in (q, v, u)))[0]
        assert np.allclose(np.asarray(out), q_next, atol=1e-8)
    assert np.allclose(by_c(law, q, v, u), q_next, atol=1e-8)


def by_c(law, q, v, u):
    """The next configurations of the law's C."""
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "law.c"), Path(folder, "law.so")
        source.write_text(law.export("c", of="step"))
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-lm"], check=True)
        step = ctypes.CDLL(str(library)).step
        out = []
        for row in zip(q.numpy().copy(), v.numpy().copy(), u.numpy().copy(), strict=True):
            step(*(x.ctypes.data_as(ctypes.POINTER(ctypes.c_double)) for x in row))
            out.append(row[0])
    return np.stack(out)


def test_a_law_behind_raw_angles_answers_within_the_turn_of_the_network():
    layout = {"observation": ["q", "v"], "dt": DT}

    def network(observation, action):
        q, v = observation[..., :2], observation[..., 2:]
        return torch.cat(symmetric(q, v, action), dim=-1)

    model = discover.wrap(network, ROBOT, **layout)
    region = discover.Region(q=4.0, v=2.0, tau=5.0)
    exam = discover.examine(model, ROBOT, region, budget="quick", mechanism=False)
    assert exam.verdict == "physics"
    draw = torch.Generator().manual_seed(2)
    unit = 2 * torch.rand(50, 6, generator=draw, dtype=torch.float64) - 1
    observation, action = 3.1 * unit[:, :4], 5 * unit[:, 4:]
    told = exam.law.as_model()(observation, action)
    assert torch.allclose(told, network(observation, action), atol=1e-8)


@pytest.mark.parametrize("model", [clamped, pytest.param(stopped, marks=pytest.mark.slow)])
def test_angles_clamped_at_limits_are_told_and_the_rest_is_physics(model):
    exam = examined(model, 1.0)
    assert exam.verdict == "physics"
    told = sorted((r.scalar, r.threshold) for r in exam.regimes)
    assert told == [
        (f"q_next[{j}] ({name})", pytest.approx(end))
        for j, name in enumerate(("shoulder", "elbow"))
        for end in (-0.8, 0.8)
    ]
    assert not any("do not follow" in note for note in exam.notes)


def test_recorded_angles_within_one_turn_are_no_resets():
    draw = torch.Generator().manual_seed(1)
    unit = 2 * torch.rand(400, 6, generator=draw, dtype=torch.float64) - 1
    q, v, tau = 3.5 * unit[:, :2], 2 * unit[:, 2:4], 5 * unit[:, 4:]
    q_next, v_next = symmetric(q, v, tau)
    data = {"q": q, "v": v, "tau": tau, "q_next": q_next, "v_next": v_next}
    assert torch.allclose(read_transitions(data, ROBOT).q_next, motion(q, v, tau)[0])
    exam = examined(symmetric, 3.5, data=data)
    assert exam.held_out.resets == 0
    assert max(e.model for e in exam.held_out.errors) < 1e-9


def test_lengths_and_angles_that_stay_are_not_turned():
    cart = kinematics.load(
        """<mujoco><worldbody><body><joint name="x" type="slide" axis="1 0 0"/>
        <geom size=".1"/><body><joint name="pole" axis="0 1 0"/>
        <geom type="capsule" fromto="0 0 0 0 0 .5" size=".05"/></body></body></worldbody>
        </mujoco>"""
    )
    q = torch.tensor([[0.0, 3.0], [0.0, 0.0]], dtype=torch.float64)
    q_next = torch.tensor([[7.0, -3.2], [-9.0, 3.1]], dtype=torch.float64)
    expected = torch.tensor([[7.0, 2 * math.pi - 3.2], [-9.0, 3.1]], dtype=torch.float64)
    assert torch.equal(unwrapped(cart, q, q_next), expected)
