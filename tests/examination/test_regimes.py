"""Joint limits, contacts and resets are told from a smooth law; nothing else is taken for them."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor

import discover
import kinematics
from discover.blackbox.contract import BlackBox
from discover.blackbox.sampling import sample
from discover.calibration.planted.catalogue import planted_cases
from discover.examination.opening.described_limits import without_described_limits
from discover.examination.opening.regimes import find_regimes
from discover.examination.opening.screen import screening
from discover.examination.opening.trimmed import consensus
from discover.laws.extensions.terms import joint_terms
from discover.laws.rigid_body.family import Family
from tests.examination.query_sessions import session

ROBOT = kinematics.load("double_pendulum")
REGION = discover.Region(q=1.0, v=2.0, tau=5.0)


def stopped(q, v, tau, k=2000.0):
    """One-sided springs on the elbow, beyond 0.7 and -0.8 rad."""
    force = torch.zeros_like(v)
    force[:, 1] = k * ((-0.8 - q[:, 1]).clamp(min=0) - (q[:, 1] - 0.7).clamp(min=0))
    return kinematics.aba(ROBOT, q, v, tau + force)


@pytest.fixture(scope="module")
def exam():
    return discover.examine(stopped, ROBOT, REGION, mechanism=False)


def test_springs_at_a_joints_limits_are_told_and_the_law_is_exact(exam):
    assert exam.verdict == "physics"
    below, above = sorted(exam.regimes, key=lambda r: r.threshold)
    assert below.threshold == pytest.approx(-0.8, abs=0.01)
    assert above.threshold == pytest.approx(0.7, abs=0.01)
    assert (below.side, below.force) == ("below", "positive")
    assert (above.side, above.force) == ("above", "negative")
    assert below.share == pytest.approx(0.1, abs=0.02)
    assert above.share == pytest.approx(0.15, abs=0.02)
    states = (torch.zeros(3, 2), torch.ones(3, 2), torch.ones(3, 2))
    states = tuple(x.double() for x in states)
    assert torch.allclose(exam.law(*states), kinematics.aba(ROBOT, *states), atol=1e-8)
    share = {e.name: e.value for e in exam.evidence}["share of other regimes"]
    assert share == pytest.approx(0.25, abs=0.02)


def test_regimes_are_stored_and_reported(exam, tmp_path):
    exam.save(tmp_path)
    assert discover.load(tmp_path).regimes == exam.regimes
    assert "Another regime: where q[1] (elbow) > 0.7" in (tmp_path / "report.md").read_text()


def mujoco_step(xml: str):
    model = mujoco.MjModel.from_xml_string(xml)
    data = mujoco.MjData(model)

    def step(q, v, command):
        ends = []
        for a, b, c in zip(q.numpy(), v.numpy(), command.numpy(), strict=True):
            mujoco.mj_resetData(model, data)
            data.qpos[:], data.qvel[:], data.qfrc_applied[:] = a, b, c
            mujoco.mj_step(model, data)
            ends.append((data.qpos.copy(), data.qvel.copy()))
        return tuple(torch.tensor(np.array(x)) for x in zip(*ends, strict=True))

    return step, model.opt.timestep


BALL = """<mujoco><option timestep="0.005"/><worldbody><geom type="plane" size="5 5 .1"/>
<body><joint name="x" type="slide" axis="1 0 0"/><joint name="z" type="slide" axis="0 0 1"/>
<geom type="sphere" size=".1" mass="1"/></body></worldbody></mujoco>"""

LIMITS = """<mujoco><compiler autolimits="true"/><option timestep="0.005" integrator="RK4">
<flag contact="disable"/></option><worldbody><body pos="0 0 1">
<joint name="a" axis="0 1 0" range="-50 50" damping=".05"/>
<geom type="capsule" fromto="0 0 0 0 0 -.5" size=".04"/><body pos="0 0 -.5">
<joint name="b" axis="0 1 0" range="-45 50" damping=".02"/>
<geom type="capsule" fromto="0 0 0 0 0 -.4" size=".03"/></body></body></worldbody></mujoco>"""


def test_mujocos_ball_over_a_floor_is_physics_beside_a_contact():
    step, dt = mujoco_step(BALL)
    region = discover.Region(q=([-1.0, 0.0], [1.0, 1.0]), v=1.0, tau=5.0)
    exam = discover.examine(
        step, kinematics.load(BALL), region, outputs="next_state", dt=dt, mechanism=False
    )
    assert exam.verdict == "physics"
    (floor,) = exam.regimes
    assert floor.scalar == "q[1] (z)"
    assert floor.threshold == pytest.approx(0.1, abs=0.01)
    assert floor.force == "positive"


@pytest.mark.slow
def test_mujocos_joint_limits_are_told_by_name_and_the_rest_is_physics():
    step, dt = mujoco_step(LIMITS)
    region = discover.Region(q=1.0, v=2.0, tau=1.0)
    exam = discover.examine(
        step, kinematics.load(LIMITS), region, outputs="next_state", dt=dt, mechanism=False
    )
    assert exam.verdict == "physics"
    found = {(r.scalar, r.side): r.threshold for r in exam.regimes}
    assert all("the joint limit of the description" in str(r) for r in exam.regimes)
    for (scalar, side), degrees in {
        ("q[0] (a)", "above"): 50,
        ("q[0] (a)", "below"): -50,
        ("q[1] (b)", "above"): 50,
        ("q[1] (b)", "below"): -45,
    }.items():
        assert found[scalar, side] == pytest.approx(np.deg2rad(degrees), abs=0.03)


@pytest.mark.parametrize("budget", ["quick", "standard"])
@pytest.mark.parametrize("side", [0.85, 0.7])
@pytest.mark.slow
def test_an_environment_that_resets_is_physics_elsewhere(budget, side):
    def step(q, v, tau, dt=0.01):
        v_next = v + dt * kinematics.aba(ROBOT, q, v, tau)
        q_next = q + dt * v_next
        over = q[:, :1].abs() > side
        start = 0.05 * torch.sin(40 * q + 7 * v)
        return torch.where(over, start, q_next), torch.where(over, 0 * v, v_next)

    exam = discover.examine(
        step, ROBOT, REGION, outputs="next_state", dt=0.01, mechanism=False, budget=budget
    )
    assert exam.verdict == "physics"
    assert {r.kind for r in exam.regimes} == {"reset"}


def test_joint_limits_outside_the_region_are_told_by_name():
    def model(q, v, tau):
        force = torch.zeros_like(v)
        force[:, 1] = 2000.0 * ((-1.3 - q[:, 1]).clamp(min=0) - (q[:, 1] - 1.4).clamp(min=0))
        return kinematics.aba(ROBOT, q, v, tau + force)

    ends = ROBOT.lower.clone(), ROBOT.upper.clone()
    ends[0][1], ends[1][1] = -1.3, 1.4
    limited = ROBOT.replace(lower=ends[0], upper=ends[1])
    for robot, named in ((limited, True), (ROBOT, False)):
        exam = discover.examine(model, robot, REGION, mechanism=False)
        assert exam.verdict == "physics"
        assert sorted(r.threshold for r in exam.regimes) == pytest.approx([-1.3, 1.4], abs=0.02)
        assert all(r.share == 0 for r in exam.regimes)
        assert all((r.described is not None) == named for r in exam.regimes)


FEET = """<mujoco><option timestep="0.01"/><worldbody><geom type="plane" size="5 5 .1"/>
<body name="trunk"><joint name="x" type="slide" axis="1 0 0"/>
<joint name="z" type="slide" axis="0 0 1"/><joint name="pitch" axis="0 1 0"/>
<geom type="capsule" fromto="-.4 0 0 .4 0 0" size=".05"/>
<body name="leg" pos=".3 0 0"><joint name="hip" axis="0 1 0" damping=".1"/>
<geom type="capsule" fromto="0 0 0 0 0 -.4" size=".04"/></body></body></worldbody></mujoco>"""


@pytest.mark.slow
def test_feet_on_the_ground_are_told_by_the_height_of_bodies():
    step, dt = mujoco_step(FEET)
    region = discover.Region(q=([-1.0, 0.2, -0.6, -0.8], [1.0, 0.9, 0.6, 0.8]), v=1.0, tau=5.0)
    exam = discover.examine(
        step, kinematics.load(FEET), region, outputs="next_state", dt=dt, mechanism=False
    )
    assert exam.verdict == "physics"
    assert any(r.scalar.startswith("height of") and r.force == "positive" for r in exam.regimes)


@pytest.mark.parametrize(
    "kind", ["nearest", "network", pytest.param("forest", marks=pytest.mark.slow)]
)
def test_tables_of_steps_have_no_regimes(kind):
    """Trimming finds no law in a table, whatever part of its answers is kept."""
    step, dt = mujoco_step(FEET)
    robot = kinematics.load(FEET)
    region = discover.Region(q=([-1.0, 0.2, -0.6, -0.8], [1.0, 0.9, 0.6, 0.8]), v=1.0, tau=5.0)
    states = sample(region.resolve(4), robot, 2000, 1)
    after = torch.cat(step(*states), -1) - torch.cat(states[:2], -1)
    regressor = {
        "nearest": KNeighborsRegressor(1),
        "network": MLPRegressor(hidden_layer_sizes=(32, 32), max_iter=60, random_state=0),
        "forest": RandomForestRegressor(20, random_state=0),
    }[kind].fit(torch.cat(states, -1).numpy(), after.numpy())

    def table(q, v, tau):
        change = torch.from_numpy(regressor.predict(torch.cat([q, v, tau], -1).numpy()))
        return q + change[:, :4], v + change[:, 4:]

    asked = session(table, robot, region.resolve(4))
    box = BlackBox(table, 4, 4, outputs="next_state", dt=dt)
    asked, screen = screening(replace(asked, blackbox=box))
    assert find_regimes(asked, screen) == ()


def regimes_of(model, robot, region):
    asked, screen = screening(session(model, robot, region.resolve(robot.nv)))
    return find_regimes(asked, screen)


@pytest.mark.parametrize(
    "kind",
    [
        "nearest neighbour",
        "Gaussian kernel",
        "local splines",
        "table of H and gravity",
        "cubic spring",
        "saturated actuators",
        "alternative law, silent outside",
        "physics and memorised residuals",
        "one joint's force stops",
    ],
)
def test_tables_and_smooth_laws_are_no_regimes(kind):
    cases = planted_cases(["double pendulum"])
    planted = next(c for c in cases if c.planted.kind == kind and c.planted.noise == "clean")
    setting = planted.setting
    assert regimes_of(planted.planted.model, setting.robot, setting.region) == ()


@pytest.mark.parametrize("power", [3, 5, 9])
def test_a_spring_that_hardens_smoothly_is_no_limit(power):
    def hardening(q, v, tau):
        return kinematics.aba(ROBOT, q, v, tau - 30.0 * q**power)

    assert regimes_of(hardening, ROBOT, REGION) == ()


def test_no_question_is_put_in_a_regime():
    asked, screen = screening(session(stopped, ROBOT, REGION.resolve(2)))
    smooth = asked.without(find_regimes(asked, screen))
    for batch in (
        smooth.draw("some", 200),
        smooth.support.shell("joint", 2.0, 20.0, 200, 1),
        smooth.support.shell("q", 1.0, 3.0, 200, 2),
    ):
        assert bool(((batch.q[:, 1] < 0.7) & (batch.q[:, 1] > -0.8)).all())
    assert float(smooth.support.shell("q", 2.0, 3.0, 200, 2).q[:, 0].abs().max()) > 2.0


def rippled(q, v, tau):
    """`stopped` with what a trained network leaves: a few per cent, of no law."""
    a = stopped(q, v, tau)
    return a + 0.4 * torch.sin(23 * q + 11 * v.flip(-1) + 1.7 * tau)


def ignorant(q, v, tau):
    """The same of a network that knows of no stops."""
    return kinematics.aba(ROBOT, q, v, tau) + 0.4 * torch.sin(23 * q + 11 * v.flip(-1) + 1.7 * tau)


@pytest.mark.parametrize(
    ("model", "learned"),
    [(rippled, True), pytest.param(ignorant, False, marks=pytest.mark.slow)],
)
@pytest.mark.slow
def test_limits_of_recordings_are_set_apart_where_a_noisy_model_has_learned_them(model, learned):
    q, v, tau = sample(REGION.resolve(2), ROBOT, 600, 3)
    data = {"q": q, "v": v, "tau": tau, "a": stopped(q, v, tau)}
    exam = discover.examine(model, ROBOT, REGION, data=data, mechanism=False)
    assert len(exam.held_out.regimes) == 2
    assert [r.side for r in sorted(exam.regimes, key=lambda r: r.threshold)] == (
        ["below", "above"] if learned else []
    )
    if learned:
        states = sample(REGION.resolve(2), ROBOT, 200, 5)
        free = (states.q[:, 1] < 0.7) & (states.q[:, 1] > -0.8)
        states = tuple(x[free] for x in states)
        truth = kinematics.aba(ROBOT, *states)
        error, own = ((y(*states) - truth).square().mean().sqrt() for y in (exam.law, model))
        assert error < 0.3 * own


@pytest.mark.parametrize(("model", "learned"), [(rippled, True), (ignorant, False)])
def test_described_limits_are_set_apart_where_a_noisy_model_has_learned_them(model, learned):
    """Without recordings: the description says where joints end."""
    end = torch.tensor([torch.inf, 0.7], dtype=torch.float64)
    robot = ROBOT.replace(lower=torch.tensor([-torch.inf, -0.8], dtype=torch.float64), upper=end)
    asked, screen = screening(session(model, robot, REGION.resolve(2)))
    smooth = without_described_limits(asked, screen, None, None)[0]
    assert [(r.side, r.described) for r in sorted(smooth.regimes, key=lambda r: r.threshold)] == (
        [(-1, -0.8), (1, 0.7)] if learned else []
    )


def _wild_above(threshold):
    """A law but where a wave through positions and speeds is high: wild answers there."""

    def model(q, v, tau):
        wild = torch.sin(7 * q[:, :1] + 5 * v[:, 1:]) > threshold
        return torch.where(
            wild, 20 * torch.sin(40 * (q + v + tau)), kinematics.aba(ROBOT, q, v, tau)
        )

    return model


@pytest.mark.parametrize("threshold", [pytest.param(0.6, marks=pytest.mark.slow), 0.9])
@pytest.mark.slow
def test_a_law_in_a_part_that_no_threshold_sets_apart_is_no_table(threshold):
    exam = discover.examine(_wild_above(threshold), ROBOT, REGION, mechanism=False)
    assert exam.verdict == "undetermined"
    assert any("a law's to rounding" in note for note in exam.notes)


@pytest.mark.parametrize("threshold", [0.6, 0.9])
def test_few_answers_that_agree_show_which_are_a_laws(threshold):
    answers = session(_wild_above(threshold), ROBOT, REGION.resolve(2)).inside("some", 200)
    law = kinematics.aba(ROBOT, answers.q, answers.v, answers.tau)
    family = Family.of(ROBOT, joint_terms(ROBOT))
    found = consensus(family, answers, 0)
    assert found is not None
    assert bool((found == ((answers.a - law).abs().amax(-1) < 1e-9)).all())
    noise = torch.randn(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert consensus(family, replace(answers, a=noise), 0) is None
