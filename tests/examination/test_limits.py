"""Answers and controls that are clipped inside a model are told; tables and smooth saturation are
not taken for them."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestRegressor
from sklearn.neighbors import KNeighborsRegressor

import discover
import kinematics
from discover.blackbox.sampling import sample
from discover.examination.opening.limits import clipped_answers, clipped_controls
from discover.laws.rigid_body import fit
from tests.examination.query_sessions import session

ROBOT = kinematics.load("double_pendulum")
REGION = discover.Region(q=1.0, v=2.0, tau=5.0)
DT = 0.01


def law(q, v, tau):
    return kinematics.aba(ROBOT, q, v, tau)


def spread():
    return law(*sample(REGION.resolve(2), ROBOT, 500, 5)).std(0)


def with_limited_speed(limit):
    def step(q, v, tau):
        v_next = (v + DT * law(q, v, tau)).clamp(-limit, limit)
        return q + DT * v_next, v_next

    return step


@pytest.mark.parametrize("times", [1.5, 3.0])
@pytest.mark.slow
def test_clipped_accelerations_are_told_and_the_law_ends_at_them(times):
    high, low = times * spread(), -1.2 * times * spread()

    def clipped(q, v, tau):
        return torch.minimum(torch.maximum(law(q, v, tau), low), high)

    exam = discover.examine(clipped, ROBOT, REGION, mechanism=False)
    assert exam.verdict == "alternative law"
    found = {(r.scalar, r.side): r for r in exam.regimes}
    assert {r.kind for r in exam.regimes} == {"limit of the answers"}
    for j, name in enumerate(ROBOT.joint_names):
        assert found[f"a[{j}] ({name})", "above"].threshold == pytest.approx(float(high[j]))
        assert found[f"a[{j}] ({name})", "below"].threshold == pytest.approx(float(low[j]))
    states = sample(REGION.resolve(2).scaled(2.0), ROBOT, 100, 3)
    assert torch.allclose(exam.law(*states), clipped(*states), atol=1e-6)


@pytest.mark.parametrize("limit", [pytest.param(1.8, marks=pytest.mark.slow), 2.5])
def test_a_limited_speed_is_told_and_the_rest_is_physics(limit, tmp_path):
    exam = discover.examine(
        with_limited_speed(limit), ROBOT, REGION, outputs="next_state", dt=DT, mechanism=False
    )
    assert exam.verdict == "physics"
    assert {(r.scalar[:9], r.side) for r in exam.regimes} == {
        (f"v_next[{j}]", side) for j in (0, 1) for side in ("above", "below")
    }
    assert [abs(r.threshold) for r in exam.regimes] == pytest.approx([limit] * 4)
    assert exam.reach["v"] == pytest.approx(max(1.0, limit / 2), rel=0.1)
    exam.save(tmp_path)
    assert "Clipped answers: v_next[0]" in (tmp_path / "report.md").read_text()


@pytest.mark.slow
def test_gymnasiums_pendulum_is_physics_with_limited_speed_and_torque():
    env = gymnasium.make("Pendulum-v1").unwrapped
    env.reset(seed=0)

    def step(q, v, tau):
        after = []
        for state, u in zip(torch.cat([q, v], -1).numpy(), tau.numpy(), strict=True):
            env.state = state.copy()
            env.step(u)
            after.append(env.state.copy())
        states = torch.tensor(np.array(after))
        return states[:, :1].clone(), states[:, 1:].clone()

    rod = """<mujoco><option gravity="0 0 -10"/><worldbody><body>
    <joint name="hinge" axis="0 1 0"/>
    <inertial pos="0 0 .5" mass="1" diaginertia=".08334 .08333 .0001"/>
    </body></worldbody></mujoco>"""
    region = discover.Region(q=np.pi, v=8.0, tau=2.5)
    exam = discover.examine(
        step, kinematics.load(rod), region, outputs="next_state", dt=0.05, mechanism=False
    )
    assert exam.verdict == "physics"
    found = {(r.scalar, r.side): r.threshold for r in exam.regimes}
    assert found == {
        ("v_next[0] (hinge)", "above"): pytest.approx(8.0),
        ("v_next[0] (hinge)", "below"): pytest.approx(-8.0),
        ("tau[0] (hinge)", "above"): pytest.approx(2.0, abs=1e-4),
        ("tau[0] (hinge)", "below"): pytest.approx(-2.0, abs=1e-4),
    }


@pytest.mark.parametrize("limit", [3.0, 6.0])
@pytest.mark.slow
def test_joint_forces_clipped_inside_the_model_are_told(limit):
    def saturated(q, v, tau):
        return law(q, v, torch.cat([tau[:, :1], tau[:, 1:].clamp(-limit, limit)], -1))

    exam = discover.examine(saturated, ROBOT, REGION, mechanism=False)
    assert exam.verdict == "physics"
    assert {r.kind for r in exam.regimes} == {"limit of the controls"}
    assert [abs(r.threshold) for r in exam.regimes] == pytest.approx([limit] * 2, abs=1e-5)
    share = max(0.0, (5.0 - limit) / 10.0)
    assert [r.share for r in exam.regimes] == pytest.approx([share] * 2, abs=1e-5)


@pytest.mark.parametrize(
    "force",
    [
        lambda v, tau: 3.0 * torch.tanh(tau / 3.0),
        lambda v, tau: 0.5 * torch.tanh(tau / 0.5),
        lambda v, tau: tau.sign() * torch.minimum(tau.abs(), 4.0 - v.abs()),
        lambda v, tau: tau,
    ],
    ids=["smooth", "steep", "fades with speed", "none"],
)
def test_smooth_saturation_and_limits_that_move_are_no_clips(force):
    def model(q, v, tau):
        return law(q, v, force(v, tau))

    assert _clipped(session(model, ROBOT, REGION.resolve(2))) == ()


def _clipped(asked):
    return clipped_controls(asked, fit.spread(asked.inside("screen", 50)))


def test_a_model_that_falls_silent_far_out_has_no_limits_and_costs_few_questions():
    def silent(q, v, tau):
        near = tau.abs().amax(-1, keepdim=True) < 7.0
        return torch.where(near, law(q, v, tau), torch.zeros_like(q))

    asked = session(silent, ROBOT, REGION.resolve(2))
    asked.inside("screen", 50)
    before = asked.blackbox.queries
    assert _clipped(asked) == ()
    assert asked.blackbox.queries - before <= 16


def _answers(model):
    asked = session(model, ROBOT, REGION.resolve(2))
    shells = [asked.shell("joint", lo, lo + 1, 60) for lo in (1.0, 2.0, 3.0)]
    return [asked.inside("some", 300), *shells]


@pytest.mark.parametrize(
    "table",
    [
        lambda: KNeighborsRegressor(1),
        lambda: KNeighborsRegressor(4, weights="distance"),
        lambda: RandomForestRegressor(30, random_state=0),
        lambda: RandomForestRegressor(1, max_leaf_nodes=40, random_state=0),
    ],
    ids=["nearest", "neighbours", "forest", "tree"],
)
def test_tables_have_no_limits(table):
    states = sample(REGION.resolve(2), ROBOT, 800, 1)
    fitted = table().fit(torch.cat(states, -1).numpy(), law(*states).numpy())

    def model(q, v, tau):
        return torch.from_numpy(fitted.predict(torch.cat([q, v, tau], -1).numpy()))

    for answers in _answers(model):
        assert clipped_answers(ROBOT, answers) == ()
    assert _clipped(session(model, ROBOT, REGION.resolve(2))) == ()


def test_a_table_with_clipped_answers_stays_a_table():
    states = sample(REGION.resolve(2), ROBOT, 1500, 1)
    fitted = KNeighborsRegressor(6, weights="distance")
    fitted.fit(torch.cat(states, -1).numpy(), law(*states).numpy())
    limit = 0.8 * spread()

    def model(q, v, tau):
        a = torch.from_numpy(fitted.predict(torch.cat([q, v, tau], -1).numpy()))
        return torch.minimum(torch.maximum(a, -limit), limit)

    exam = discover.examine(model, ROBOT, REGION, mechanism=False, budget="quick")
    assert exam.verdict not in ("physics", "alternative law")


def test_an_answer_that_never_changes_is_no_limit():
    def model(q, v, tau):
        return torch.stack([law(q, v, tau)[:, 0], torch.full_like(v[:, 0], 2.0)], -1)

    assert clipped_answers(ROBOT, _answers(model)[0]) == ()
