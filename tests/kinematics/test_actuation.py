"""Actuation: controls to joint forces, read from MJCF, against MuJoCo's own joint forces."""

from __future__ import annotations

import math

import mujoco
import numpy as np
import pytest
import torch

import kinematics
from kinematics import Actuation, RobotError

ARM = """<mujoco>
  <option timestep="0.004" integrator="{integrator}"/>
  <worldbody><body><joint name="a" axis="0 1 0" damping="{damping}"/>
    <geom type="capsule" fromto="0 0 0 .3 0 0" size=".02"/>
    <body pos=".3 0 0"><joint name="b" axis="0 1 0"/>
      <geom type="capsule" fromto="0 0 0 .2 0 0" size=".02"/></body></body></worldbody>
  <tendon><fixed name="both">
    <joint joint="a" coef="1"/><joint joint="b" coef="-.5"/></fixed></tendon>
  <actuator>{actuators}</actuator>
</mujoco>"""
ACTUATORS = {
    "motors": '<motor joint="b" gear="20" ctrlrange="-1 1"/><motor joint="a"/>',
    "one motor, two joints": '<motor tendon="both" gear="3"/>',
    "limited force": '<general joint="a" gear="5" gainprm="7" forcerange="-2 3"/>',
    "position servo": '<position joint="a" kp="30" kv="2"/><motor joint="b"/>',
    "velocity servo": '<velocity joint="b" kv="4" gear="2"/>',
    "offset": '<general joint="a" gainprm="2" biastype="affine" biasprm="1.5 0 0"/>',
}


def model_of(actuators: str, integrator: str = "Euler", damping: float = 0.0) -> str:
    return ARM.format(actuators=actuators, integrator=integrator, damping=damping)


@pytest.mark.parametrize("name", ACTUATORS)
def test_joint_forces_are_mujocos(name):
    text = model_of(ACTUATORS[name])
    robot = kinematics.load(text)
    assert robot.actuation is not None
    model = mujoco.MjModel.from_xml_string(text)
    data, rng = mujoco.MjData(model), np.random.default_rng(1)
    for _ in range(20):
        q, v = rng.normal(size=2), rng.normal(size=2)
        u = 2 * rng.normal(size=model.nu)
        data.qpos[:], data.qvel[:], data.ctrl[:] = q, v, u
        mujoco.mj_forward(model, data)
        np.testing.assert_allclose(robot.actuation(q, v, u), data.qfrc_actuator, atol=1e-9)


def test_what_is_no_map_from_controls_is_named():
    muscle = '<muscle joint="a" lengthrange="-1 1"/>'
    filtered = '<general joint="a" dyntype="filter" dynprm=".1"/>'
    for text in (model_of(filtered), model_of(muscle + filtered)):
        robot = kinematics.load(text)
        assert robot.actuation is None
        assert any("actuators" in note for note in robot.notes)


@pytest.mark.parametrize(
    ("integrator", "damping", "expected"),
    [
        ("Euler", 0.0, "semi_implicit_euler"),
        ("Euler", 0.3, "implicit_damping"),
        ("RK4", 0.3, "rk4"),
        ("implicitfast", 0.3, "implicit_damping"),
        ("implicit", 0.3, "implicit_velocity"),
    ],
)
def test_the_step_of_the_options(integrator, damping, expected):
    robot = kinematics.load(model_of(ACTUATORS["motors"], integrator, damping))
    assert robot.stepping is not None
    assert (robot.stepping.timestep, robot.stepping.integrator) == (0.004, expected)


@pytest.mark.parametrize("actuators", ["position servo", "velocity servo"])
def test_implicitfast_treats_the_damping_of_servos_late(actuators):
    robot = kinematics.load(model_of(ACTUATORS[actuators], "implicitfast"))
    assert robot.stepping.integrator == "implicit_damping"
    motors = kinematics.load(model_of(ACTUATORS["motors"], "implicitfast"))
    assert motors.stepping.integrator == "semi_implicit_euler"


def test_a_stored_robot_keeps_both():
    robot = kinematics.load(model_of(ACTUATORS["limited force"]))
    again = kinematics.Robot.from_dict(robot.to_dict())
    u = torch.linspace(-3, 3, 7).double()[:, None]
    assert torch.equal(again.actuation.forces(u), robot.actuation.forces(u))
    assert again.stepping == robot.stepping


def test_motors_written_by_hand():
    one = Actuation.of([[0.0, 2.0]], low=-1.0, high=1.0)
    forces = one.forces(torch.tensor([[0.5], [9.0]]))
    assert forces.tolist() == [[0.0, 1.0], [0.0, 2.0]]
    geared = Actuation.of([3.0, -1.0])
    assert geared.forces([1.0, 1.0]).tolist() == [3.0, -1.0]
    assert math.isinf(float(geared.high[0]))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda: Actuation.of("arms"), "lever arms"),
        (lambda: Actuation.of([[1.0, 0.0]], low=[1.0, 2.0]), "lever arms"),
        (lambda: Actuation.of([1.0, 1.0]).forces([1.0]), "2 controls"),
        (
            lambda: kinematics.load("panda").replace(actuation=Actuation.of([1.0])),
            "an actuation of 7",
        ),
    ],
)
def test_what_is_no_actuation_is_refused_in_one_line(given, words):
    with pytest.raises(RobotError, match=words):
        given()
