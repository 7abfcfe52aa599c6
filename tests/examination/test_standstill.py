"""Joints that dry friction may hold are set apart; beside them MuJoCo's friction is physics."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch

import discover
import kinematics

ARM = """<mujoco><option timestep="0.005" integrator="{integrator}">
<flag contact="disable"/></option>
<worldbody><body pos="0 0 1"><joint name="a" axis="0 1 0" damping=".05" {first}/>
<geom type="capsule" fromto="0 0 0 0 0 -.5" size=".04"/><body pos="0 0 -.5">
<joint name="b" axis="0 1 0" damping=".1" frictionloss="{second}"/>
<geom type="capsule" fromto="0 0 0 0 0 -.4" size=".03" density="{density}"/></body></body>
</worldbody>
<actuator>{motors}</actuator></mujoco>"""
MOTORS = '<motor joint="a" gear="20"/><motor joint="b" gear="4"/>'


def step_of(xml: str, skip: int):
    """MuJoCo's own step of a description, and its dt."""
    model = mujoco.MjModel.from_xml_string(xml)
    data = mujoco.MjData(model)

    def step(q, v, u):
        ends = []
        for a, b, c in zip(q.numpy(), v.numpy(), u.numpy(), strict=True):
            mujoco.mj_resetData(model, data)
            data.qpos[:], data.qvel[:], data.ctrl[:] = a, b, c
            mujoco.mj_step(model, data, skip)
            ends.append((data.qpos.copy(), data.qvel.copy()))
        return tuple(torch.tensor(np.array(x)) for x in zip(*ends, strict=True))

    return step, skip * model.opt.timestep


def examined(xml: str, skip: int, robot: str | None = None):
    step, dt = step_of(xml, skip)
    region = discover.Region(q=1.0, v=5.0, u=1.0)
    tree = kinematics.load(robot or xml)
    return discover.examine(
        step, tree, region, outputs="next_state", dt=dt, budget="quick", mechanism=False
    )


def arm(integrator="Euler", first="", second=0.2, density=1000, motors=MOTORS):
    return ARM.format(
        integrator=integrator, first=first, second=second, density=density, motors=motors
    )


@pytest.mark.parametrize(
    ("xml", "skip", "joints"),
    [
        (arm(), 1, {"v[1] (b)"}),
        pytest.param(
            arm(first='frictionloss=".5"'), 2, {"v[0] (a)", "v[1] (b)"}, marks=pytest.mark.slow
        ),
        pytest.param(arm("RK4"), 2, {"v[1] (b)"}, marks=pytest.mark.slow),
    ],
)
def test_mujocos_frictionloss_is_physics_beside_joints_that_it_holds(xml, skip, joints):
    exam = examined(xml, skip)
    assert exam.verdict == "physics"
    assert {r.scalar.split("|")[1] for r in exam.regimes} == joints
    assert all(r.kind == "dry friction" and 0 < r.share < 0.3 for r in exam.regimes)
    friction = {p["name"]: p["value"] for p in exam.parameters if "friction" in p["name"]}
    assert friction["friction, joint 2"] == pytest.approx(0.2, rel=1e-6)
    assert any(str(r) in exam.notes for r in exam.regimes)


LIMITED = 'limited="true" range="-40 40"'


@pytest.mark.parametrize(
    ("xml", "skip", "joints"),
    [
        (arm(first=LIMITED), 1, {"v[1] (b)"}),
        pytest.param(
            arm(first=LIMITED + ' frictionloss=".5"'),
            2,
            {"v[0] (a)", "v[1] (b)"},
            marks=pytest.mark.slow,
        ),
        pytest.param(arm("RK4", first=LIMITED), 2, {"v[1] (b)"}, marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_joint_limits_and_friction_that_holds_are_told_apart(xml, skip, joints):
    exam = examined(xml, skip)
    assert exam.verdict == "physics"
    held = [r for r in exam.regimes if r.kind == "dry friction"]
    assert {r.scalar.split("|")[1] for r in held} == joints
    limits = {r.side: r for r in exam.regimes if r.kind == "limit or contact"}
    assert limits["above"].described == pytest.approx(np.deg2rad(40))
    assert limits["below"].described == pytest.approx(-np.deg2rad(40))
    friction = {p["name"]: p["value"] for p in exam.parameters if "friction" in p["name"]}
    assert friction["friction, joint 2"] == pytest.approx(0.2, rel=1e-6)


@pytest.mark.slow
def test_a_spring_about_rest_beside_a_joint_limit_is_no_friction():
    robot = kinematics.load("double_pendulum")
    region = discover.Region(q=1.0, v=2.0, tau=5.0)

    def model(q, v, tau):
        stop = -500.0 * (q - 0.7).clamp_min(0.0)
        return kinematics.aba(robot, q, v, tau + stop + 3.0 * (v.abs() < 0.15) * torch.cos(9 * q))

    exam = discover.examine(model, robot, region, budget="quick", mechanism=False)
    assert not any(r.kind == "dry friction" for r in exam.regimes)
    assert exam.verdict == "undetermined"


@pytest.mark.slow
def test_a_description_of_other_bodies_does_not_hide_the_friction():
    exam = examined(arm(), 1, robot=arm(density=1400, second=0.4))
    assert exam.verdict == "physics"
    assert [r.kind for r in exam.regimes] == ["dry friction"]
    friction = {p["name"]: p["value"] for p in exam.parameters}["friction, joint 2"]
    assert friction == pytest.approx(0.2, rel=1e-6)


@pytest.mark.slow
def test_friction_that_sets_in_with_speed_holds_no_joint():
    """A smooth law of speed, wide or with a force that fades: nothing is left out of it."""
    robot = kinematics.load("double_pendulum")
    region = discover.Region(q=1.0, v=2.0, tau=5.0)
    for width in (0.1, 0.5):

        def model(q, v, tau, width=width):
            return kinematics.aba(robot, q, v, tau - 0.4 * torch.tanh(v / width))

        exam = discover.examine(model, robot, region, budget="quick", mechanism=False)
        assert exam.regimes == []
        assert exam.verdict != "lookup table"


def test_a_spring_about_rest_is_no_friction():
    """What slow joints meet beside a law must be a force that its friction can make up for."""
    robot = kinematics.load("double_pendulum")
    region = discover.Region(q=1.0, v=2.0, tau=5.0)

    def model(q, v, tau):
        return kinematics.aba(robot, q, v, tau + 3.0 * (v.abs() < 0.15) * torch.cos(9 * q))

    exam = discover.examine(model, robot, region, budget="quick", mechanism=False)
    assert exam.regimes == []
