"""Examinations of steps and of models with controls: integrator, sub-steps, actuation."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch

import discover
import kinematics
from discover import Region
from discover.blackbox.contract import BlackBox
from discover.blackbox.sampling import sample, shell
from discover.errors import ModelError, RegionError
from discover.examination.opening.screen import screening
from discover.examination.opening.stepping import with_step
from discover.laws import from_dict
from kinematics import Actuation
from tests.examination.query_sessions import session

LEG = """<mujoco>
  <option timestep="0.005" integrator="{integrator}"><flag contact="disable"/></option>
  <worldbody><body><joint name="x" type="slide" axis="1 0 0" damping=".1"/>
    <geom type="sphere" size=".1" mass="2"/>
    <body><joint name="hip" axis="0 1 0" damping=".2" armature=".01" stiffness="3"/>
      <geom type="capsule" fromto="0 0 0 0 0 -.4" size=".03"/>
      <body pos="0 0 -.4"><joint name="knee" axis="0 1 0" damping=".1" armature=".01"/>
        <geom type="capsule" fromto="0 0 0 0 0 -.3" size=".02"/></body></body></body></worldbody>
  <actuator><motor joint="hip" gear="15" ctrlrange="-1 1"/><motor joint="knee" gear="8"/></actuator>
</mujoco>"""


class MujocoStep:
    """MuJoCo's own step, driven through its actuators, `skip` times."""

    def __init__(self, text: str, skip: int) -> None:
        self.model = mujoco.MjModel.from_xml_string(text)
        self.data, self.skip = mujoco.MjData(self.model), skip
        self.dt = skip * self.model.opt.timestep
        self.outputs = "next_state"

    def __call__(self, q, v, u):
        out_q, out_v = torch.empty_like(q), torch.empty_like(v)
        for i in range(len(q)):
            self.data.qpos[:], self.data.qvel[:], self.data.ctrl[:] = q[i], v[i], u[i]
            for _ in range(self.skip):
                mujoco.mj_step(self.model, self.data)
            out_q[i], out_v[i] = (torch.as_tensor(np.array(x))
                                  for x in (self.data.qpos, self.data.qvel))  # fmt: skip
        return out_q, out_v


@pytest.mark.parametrize(("integrator", "skip"), [("RK4", 3), ("Euler", 4), ("implicit", 2)])
def test_mujocos_own_step_through_its_own_actuators_is_physics(integrator, skip):
    text = LEG.format(integrator=integrator)
    robot = kinematics.load(text)
    exam = discover.examine(
        MujocoStep(text, skip), robot, Region(q=1.0, v=3.0, u=[1.0, 1.0]), budget="quick"
    )
    assert exam.verdict == "physics", exam.notes
    assert exam.law.substeps == skip
    assert exam.law.integrator == robot.stepping.integrator
    for name in ("damping", "armature", "stiffness"):
        torch.testing.assert_close(getattr(exam.law.robot, name), getattr(robot, name), atol=1e-6,
                                   rtol=1e-6)  # fmt: skip
    q, v, u = sample(Region(q=1.0, v=3.0, u=[1.0, 1.0]), robot, 5, 1)
    asked = MujocoStep(text, skip)(q, v, u)
    for said, true in zip(exam.law.step(q, v, u), asked, strict=True):
        torch.testing.assert_close(said, true, atol=1e-8, rtol=1e-8)
    stored = from_dict(exam.law.to_dict())
    assert stored.step_map == exam.law.step_map


def test_our_own_simulator_stepped_twice_is_physics():
    robot = kinematics.load("double_pendulum")

    def model(q, v, tau):
        path = kinematics.simulate(robot, q, v, tau, 0.01, 2, integrator="semi_implicit_euler")
        return path.q[-1], path.v[-1]

    region = Region(q=2.0, v=[8.0, 8.0], tau=10.0)
    exam = discover.examine(model, robot, region, outputs="next_state", dt=0.02, budget="quick")
    assert exam.verdict == "physics", exam.notes
    assert (exam.law.integrator, exam.law.substeps) == ("semi_implicit_euler", 2)
    assert any("2 sub-steps" in note for note in exam.notes)
    declared = discover.examine(
        model, robot, region, outputs="next_state", dt=0.02, budget="quick",
        integrator="semi_implicit_euler", substeps=2,
    )  # fmt: skip
    assert declared.verdict == "physics"


def test_a_step_of_another_length_is_noticed():
    robot = kinematics.load("double_pendulum")

    def model(q, v, tau):
        path = kinematics.simulate(robot, q, v, tau, 0.01, 5)
        return path.q[-1], path.v[-1]

    with pytest.raises(ModelError, match=r"looks like 0\.05"):
        discover.examine(
            model, robot, Region(q=1.0, v=2.0, tau=5.0), outputs="next_state", dt=0.01,
            budget="quick",
        )  # fmt: skip


def _rippled_step(steps):
    """Steps of `steps` times .01 s, off by what a trained network leaves."""
    robot = kinematics.load("double_pendulum")

    def model(q, v, tau):
        path = kinematics.simulate(robot, q, v, tau, 0.01, steps)
        ripple = torch.sin(23 * q + 11 * v.flip(-1) + 1.7 * tau)
        return path.q[-1] + 0.002 * ripple, path.v[-1] + 0.05 * ripple

    return robot, model


def test_a_frame_skip_that_nobody_declared_is_noticed_in_a_network_too():
    robot, model = _rippled_step(2)
    region = Region(q=1.0, v=2.0, tau=5.0)
    with pytest.raises(ModelError, match=r"looks like 0\.0199"):
        discover.examine(model, robot, region, outputs="next_state", dt=0.01, budget="quick")


def test_the_right_step_of_a_network_or_a_table_is_not_doubted():
    robot, model = _rippled_step(1)
    region = Region(q=1.0, v=2.0, tau=5.0)
    stored = sample(region.resolve(2), robot, 500, 3)
    after = model(*stored)

    def nearest(q, v, tau):
        asked = torch.cat([q, v / 2, tau / 5], -1)
        known = torch.cat([stored.q, stored.v / 2, stored.tau / 5], -1)
        row = torch.cdist(asked, known).argmin(-1)
        return after[0][row], after[1][row]

    for answered in (model, nearest):
        asked = session(answered, robot, region.resolve(2))
        box = BlackBox(answered, 2, 2, outputs="next_state", dt=0.01)
        asked, screen = screening(replace(asked, blackbox=box))
        assert with_step(asked, screen, None, None)[1].step is not None


def test_fewer_controls_than_joints_need_no_invented_torques():
    robot = kinematics.load("planar_3r")
    motors = Actuation.of([[20.0, 0.0, 0.0], [0.0, 5.0, -5.0]], low=-1.0, high=1.0)

    def model(q, v, u):
        return kinematics.aba(robot, q, v, motors.forces(u))

    region = Region(q=1.0, v=2.0, u=1.0)
    guess = robot.replace(pi=1.3 * robot.pi)
    exam = discover.examine(model, guess, region, actuation=motors, budget="quick")
    assert exam.verdict == "physics", exam.notes
    for row in exam.parameters:  # the scale of all bodies follows from the motors' gears
        assert row["value"] == pytest.approx(row["description"] / 1.3, abs=1e-6)


@pytest.mark.slow
def test_a_table_of_controls_is_a_table():
    robot = kinematics.load("planar_3r")
    motors = Actuation.of([[20.0, 0.0, 0.0], [0.0, 5.0, -5.0]])
    region = Region(q=1.0, v=2.0, u=1.0)
    known = torch.cat(sample(region.resolve(3, 2), robot, 400, 0), -1)
    labels = kinematics.aba(robot, known[:, :3], known[:, 3:6], motors.forces(known[:, 6:]))

    def nearest(q, v, u):
        return labels[torch.cdist(torch.cat([q, v, u], -1), known).argmin(-1)]

    exam = discover.examine(nearest, robot, region, actuation=motors, budget="quick")
    assert exam.verdict == "lookup table", exam.notes


@pytest.mark.parametrize(
    ("region", "more", "words"),
    [
        (Region(q=1.0, v=1.0, u=[1.0]), {}, "nothing that says what they do"),
        (Region(q=1.0, v=1.0, tau=1.0), {"actuation": Actuation.of([[1.0, 0.0]])}, "found tau"),
        (Region(q=1.0, v=1.0, u=1.0), {"actuation": "motors"}, "kinematics.Actuation"),
        (Region(q=1.0, v=1.0, u=1.0), {"actuation": Actuation.of([1.0])}, "of 1 joints"),
        (Region(q=1.0, v=1.0, tau=1.0), {"substeps": 2}, "next_state"),
        (Region(q=1.0, v=1.0, tau=1.0), {"integrator": "rk4"}, "next_state"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(region, more, words):
    robot = kinematics.load("double_pendulum")
    with pytest.raises((ModelError, RegionError), match=words) as error:
        discover.examine(lambda q, v, u: v, robot, region, budget="quick", **more)
    assert "\n" not in str(error.value)


def test_regions_of_controls():
    region = Region(q=1.0, v=[1.0, 2.0], u=[0.5, 0.5, (1.0)])
    box = region.resolve(2, 3)
    assert (box.nv, box.nu) == (2, 3)
    assert Region.from_dict(box.to_dict()) == box
    robot = kinematics.load("double_pendulum")
    batch = shell(box, robot, 200, 1.0, 2.0, axis="tau", seed=1)
    assert batch.tau.shape == (200, 3)
    assert float((batch.tau.abs() / torch.tensor([0.5, 0.5, 1.0])).amax(-1).min()) >= 1.0
    assert float(batch.v.abs().amax()) <= 2.0
    with pytest.raises(RegionError, match="one of tau"):
        Region(q=1.0, v=1.0)
    with pytest.raises(RegionError, match="3 controls"):
        Region(q=1.0, v=1.0, u=[1.0, 1.0]).resolve(2, 3)


def test_the_verdict_by_axis_says_where_a_law_ends():
    robot = kinematics.load("double_pendulum")

    def fast_brake(q, v, tau):
        brake = 3.0 * torch.relu(v.abs() - 3.0) * v.sign()  # nothing of it inside
        return kinematics.aba(robot, q, v, tau) - brake

    exam = discover.examine(fast_brake, robot, Region(q=1.0, v=2.0, tau=5.0), budget="quick")
    axes = exam.by_axis
    assert set(axes) == {"q", "v", "tau"}
    assert axes["q"]["verdict"] == axes["tau"]["verdict"] == "physics"
    assert axes["v"]["verdict"] != "physics"
    assert axes["v"]["reach"] < 2.0 <= axes["q"]["reach"]


def test_a_rotor_on_a_tiny_body_is_physics_where_the_description_has_it():
    robot = kinematics.load("double_pendulum")
    pi = robot.pi.clone()
    pi[-1] *= 1e-9  # a marker on a geared joint, as in models of tasks
    marker = robot.replace(pi=pi, armature=torch.tensor([0.01, 0.04]).double())
    region = Region(q=1.0, v=2.0, tau=1.0)

    def model(q, v, tau):
        return kinematics.aba(marker, q, v, tau)

    assert discover.examine(model, marker, region, budget="quick").verdict == "physics"
    other = discover.examine(model, robot, region, budget="quick")
    assert other.verdict != "physics"  # where bodies were described, there are none


@pytest.mark.slow
def test_a_servos_damping_beside_the_joints_own_is_physics():
    text = LEG.format(integrator="Euler").replace(
        '<motor joint="hip" gear="15" ctrlrange="-1 1"/>', '<position joint="hip" kp="9" kv="4"/>'
    )
    robot = kinematics.load(text)
    region = Region(q=1.0, v=3.0, u=[1.0, 1.0])
    exam = discover.examine(MujocoStep(text, 2), robot, region, budget="quick")
    assert exam.verdict == "physics", exam.notes
    hip = exam.law.robot.v_slice("hip")
    assert float(exam.law.robot.damping[hip]) == pytest.approx(4.2, abs=1e-6)
    assert float(exam.law.robot.stiffness[hip]) == pytest.approx(12.0, abs=1e-6)


@pytest.mark.parametrize("half_width", [1.0, 3.0])
@pytest.mark.parametrize("clips", [True, False])
def test_limits_of_controls_are_the_models_own(clips, half_width):
    robot = kinematics.load("double_pendulum")
    motors = Actuation.of([4.0, 3.0], low=-1.0, high=1.0)

    def model(q, v, u):
        tau = motors.forces(u) if clips else u * torch.tensor([4.0, 3.0]).double()
        return kinematics.aba(robot, q, v, tau)

    exam = discover.examine(
        model, robot, Region(q=1.0, v=2.0, u=half_width), actuation=motors, budget="quick"
    )
    assert exam.verdict == "physics", exam.notes
    assert exam.reach["tau"] >= 3.0
    assert any("Beyond the limits" in note for note in exam.notes) != clips


def test_a_declared_step_that_another_one_contradicts_is_refused():
    robot = kinematics.load("double_pendulum")

    def model(q, v, tau):
        path = kinematics.simulate(robot, q, v, tau, 0.002, 5, integrator="semi_implicit_euler")
        return path.q[-1], path.v[-1]

    with pytest.raises(ModelError, match="semi-implicit Euler, 5 sub-steps"):
        discover.examine(
            model, robot, Region(q=1.0, v=2.0, tau=5.0), outputs="next_state", dt=0.01,
            budget="quick", integrator="rk4", substeps=1,
        )  # fmt: skip


def test_a_lone_hinge_under_gravity_is_physics_without_a_description():
    exam = discover.examine(
        lambda q, v, tau: (tau - 4.905 * torch.sin(q)) / 0.26, None,
        Region(q=[1.0], v=[2.0], tau=[5.0]), budget="quick",
    )  # fmt: skip
    assert exam.verdict == "physics", exam.notes
    assert any("guess" in note for note in exam.notes)
