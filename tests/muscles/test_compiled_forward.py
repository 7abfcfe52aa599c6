"""Compiled forward dynamics of robots with muscles: against the simulator, and against MuJoCo."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch

import kinematics
from kinematics.muscles.activation import FirstOrderActivation, SmoothActivation
from kinematics.muscles.exponentials import DeGrooteFreglyCurves, ThelenCurves
from kinematics.muscles.millard import MillardCurves
from kinematics.muscles.tendon import HillForces
from kinematics.programs import ProgramError

# Two joints; one muscle straight, one past a cylinder and one past a sphere on a pulley, one
# bent from within. At random poses each touches its surface at some and misses it at others.
ARM = """
<mujoco><compiler angle="radian"/><option gravity="0 .3 -9.81"/>
<worldbody>
  <site name="w1" pos=".03 .02 .2"/><site name="w2" pos="-.05 0 .1"/>
  <body name="upper" pos="0 0 .1">
    <joint name="shoulder" axis="0 1 .1" damping=".1"/>
    <geom type="capsule" size=".02" fromto="0 0 0 0 0 -.3"/>
    <geom name="ball" type="sphere" size=".04"/>
    <site name="u1" pos=".03 0 -.1"/><site name="u2" pos="-.04 .01 -.2"/>
    <body name="forearm" pos="0 0 -.3">
      <joint name="elbow" axis="0 1 0"/>
      <geom type="capsule" size=".02" fromto="0 0 0 .25 0 0"/>
      <geom name="roll" type="cylinder" size=".03 .1" euler="1.5 .1 0"/>
      <site name="back" pos="-.05 0 -.02"/><site name="in" pos="0 .01 .01"/>
      <site name="f1" pos=".07 .02 .04"/><site name="f2" pos=".2 0 -.03"/>
    </body>
  </body>
</worldbody>
<tendon>
  <spatial name="plain"><site site="w1"/><site site="u1"/><site site="u2"/><site site="f1"/>
  </spatial>
  <spatial name="past"><site site="u2"/><geom geom="roll" sidesite="back"/><site site="f2"/>
  </spatial>
  <spatial name="pulley"><site site="w2"/><geom geom="ball"/><site site="u2"/>
    <pulley divisor="2"/><site site="u1"/><geom geom="roll"/><site site="f1"/></spatial>
  <spatial name="within"><site site="u2"/><geom geom="roll" sidesite="in"/><site site="f1"/>
  </spatial>
</tendon>
<actuator>
  <muscle name="plain" tendon="plain" lengthrange=".3 .7"/>
  <muscle name="past" tendon="past" lengthrange=".15 .4" force="300" forcerange="-200 0"/>
  <muscle name="pulley" tendon="pulley" lengthrange=".3 .6" tausmooth=".3"/>
  <muscle name="within" tendon="within" lengthrange=".1 .4" gear="1.5"/>
</actuator></mujoco>
"""
STATES = 300


@pytest.fixture(scope="module")
def arm():
    return kinematics.load(ARM)


@pytest.fixture(scope="module")
def compiled(arm):
    return kinematics.compile(arm, "forward")


def states(robot, seed=0):
    rng = np.random.default_rng(seed)
    nm = robot.muscles.nm
    q = rng.uniform(-2, 2, (STATES, robot.nq))
    z = rng.uniform(0, 1, (STATES, nm))
    if robot.muscles.nz > nm:
        lengths = kinematics.muscle_lengths(robot, q)
        rest = robot.muscles.forces.equilibrium(lengths, torch.as_tensor(z)).numpy()
        z = np.concatenate((z, rest * rng.uniform(0.9, 1.1, rest.shape)), -1)
    u = rng.uniform(-0.2, 1.2, (STATES, nm))
    return q, 3 * rng.normal(size=(STATES, robot.nv)), u, z


def apart(found, expected):
    """The largest error, in units of the answer where that is large."""
    expected = expected.numpy()
    return (abs(found - expected) / (1 + abs(expected))).max()


def hill(robot, curves, dynamics, compliant):
    """The same paths with Hill-type muscles, at lengths where all parts of their curves act."""
    nm = robot.muscles.nm
    mean = kinematics.muscle_lengths(robot, states(robot)[0]).mean(0)
    forces = HillForces.of(
        curves.of(nm), dynamics.of(*(torch.full((nm,), x) for x in (0.01, 0.04))),
        strength=[300.0, 500.0, 700.0, 400.0], optimal=0.5 * mean, slack=0.5 * mean,
        pennation=[0.0, 0.1, 0.2, 0.3], least=0.01, compliant=compliant,
    )  # fmt: skip
    return robot.replace(muscles=replace(robot.muscles, forces=forces))


def test_the_compiled_arm_is_the_simulators(arm, compiled) -> None:
    q, v, u, z = states(arm)
    a, rate = compiled(q, v, u, z)
    expected = kinematics.forward(arm, *map(torch.as_tensor, (q, v, u, z)))
    assert apart(a, expected[0]) < 1e-10
    assert apart(rate, expected[1]) < 1e-10
    assert (
        apart(compiled(q, v, u), kinematics.forward(arm, *map(torch.as_tensor, (q, v, u)))) < 1e-10
    )
    one = compiled(q[0], v[0], u[0], z[0])
    assert np.allclose(one[0], a[0], rtol=1e-12)
    assert compiled.operations["mul"] > 100
    assert compiled.instructions > 100


def test_the_compiled_arm_is_mujocos(arm, compiled) -> None:
    model = mujoco.MjModel.from_xml_string(ARM)
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONSTRAINT)
    data = mujoco.MjData(model)
    q, v, u, z = states(arm, seed=1)
    a, rate = compiled(q, v, u, z)
    worst = 0.0
    for k in range(STATES):
        data.qpos[:], data.qvel[:], data.ctrl[:], data.act[:] = q[k], v[k], u[k], z[k]
        mujoco.mj_forward(model, data)
        worst = max(worst, (abs(data.qacc - a[k]) / (1 + abs(a[k]))).max())
        assert np.allclose(data.act_dot, rate[k], rtol=1e-10, atol=1e-10)
    assert worst < 1e-8


def test_strings_touch_and_miss(arm) -> None:
    """The states of these tests reach both sides of every choice."""
    q = torch.as_tensor(states(arm)[0])
    bare = arm.muscles.paths
    straight = bare.replace(spans=tuple((*s[:3], -1, -1) for s in bare.spans))
    other = arm.replace(muscles=arm.muscles.on(straight))
    bent = (kinematics.muscle_lengths(arm, q) - kinematics.muscle_lengths(other, q)).abs() > 1e-9
    share = bent.double().mean(0)
    assert share[0] == 0
    assert bool(((share[1:] > 0.05) & (share[1:] < 0.999)).all()), share


@pytest.mark.parametrize(
    ("curves", "dynamics", "compliant"),
    [
        (ThelenCurves, FirstOrderActivation, True),
        (DeGrooteFreglyCurves, SmoothActivation, False),
        (MillardCurves, FirstOrderActivation, False),
    ],
)
def test_hill_type_muscles(arm, curves, dynamics, compliant) -> None:
    robot = hill(arm, curves, dynamics, compliant)
    compiled = kinematics.compile(robot, "forward")
    q, v, u, z = states(robot)
    expected = kinematics.forward(robot, *map(torch.as_tensor, (q, v, u, z)))
    for found, exact in zip(compiled(q, v, u, z), expected, strict=True):
        assert apart(found, exact) < 1e-9
    if compliant:
        with pytest.raises(ProgramError, match="expected z, since 4 tendons stretch"):
            compiled(q, v, u)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("curves", "dynamics"),
    [(MillardCurves, FirstOrderActivation), (DeGrooteFreglyCurves, SmoothActivation)],
)
def test_other_elastic_tendons(arm, curves, dynamics) -> None:
    robot = hill(arm, curves, dynamics, True)
    q, v, u, z = states(robot)
    expected = kinematics.forward(robot, *map(torch.as_tensor, (q, v, u, z)))
    for found, exact in zip(
        kinematics.compile(robot, "forward")(q, v, u, z), expected, strict=True
    ):
        assert apart(found, exact) < 1e-9


SHOULDER = '<joint name="shoulder" axis="0 1 .1" damping=".1"/>'
COUPLED = (
    '</actuator><equality><joint joint1="elbow" joint2="shoulder" polycoef=".1 .5 0 0 0"/>'
    "</equality>"
)


@pytest.mark.parametrize(
    "text",
    [
        ARM.replace(SHOULDER, '<joint name="shoulder" type="ball"/>'),
        ARM.replace("</actuator>", COUPLED),
    ],
    ids=["ball", "coupled"],
)
def test_ball_joints_and_coupled_ones(text) -> None:
    robot = kinematics.load(text)
    q, v, u, z = states(robot)
    for at in robot.quaternion_slices:
        q[:, at] /= np.linalg.norm(q[:, at], axis=1, keepdims=True)
    expected = kinematics.forward(robot, *map(torch.as_tensor, (q, v, u, z)))
    for found, exact in zip(
        kinematics.compile(robot, "forward")(q, v, u, z), expected, strict=True
    ):
        assert apart(found, exact) < 1e-10


def test_motors() -> None:
    head = ARM[: ARM.index("<tendon>")]
    robot = kinematics.load(
        f'{head}<actuator><motor joint="elbow" gear="3" ctrllimited="true" ctrlrange="-1 1"/>'
        '<position joint="shoulder" kp="5"/></actuator></mujoco>'
    )
    rng = np.random.default_rng(0)
    q, v, u = rng.normal(size=(3, 20, 2))
    expected = kinematics.forward(robot, *map(torch.as_tensor, (q, v, u)))
    assert apart(kinematics.compile(robot, "forward")(q, v, u), expected) < 1e-10


def test_a_robot_without_muscles() -> None:
    robot = kinematics.load("double_pendulum")
    rng = np.random.default_rng(0)
    q, v, u = rng.normal(size=(3, 20, 2))
    compiled = kinematics.compile(robot, "forward")
    expected = kinematics.forward(robot, *map(torch.as_tensor, (q, v, u)))
    assert apart(compiled(q, v, u), expected) < 1e-10
    with pytest.raises(ProgramError, match="expected no z of a robot without muscles"):
        compiled(q, v, u, u)


def test_what_cannot_be_compiled_is_named(arm) -> None:
    paths = arm.muscles.paths
    bodies = list(paths.point_bodies)
    span = next(s for s in paths.spans if s[4] >= 0)
    bodies[span[4]] = -1  # a side point that does not move with its surface
    moved = arm.replace(muscles=arm.muscles.on(paths.replace(point_bodies=tuple(bodies))))
    with pytest.raises(ProgramError, match=f"path of {paths.names[span[0]]}; use kinematics.for"):
        kinematics.compile(moved, "forward")
    bare = arm.replace(muscles=replace(arm.muscles, forces=None))
    with pytest.raises(ProgramError, match="law of force, found the path of plain alone"):
        kinematics.compile(bare, "forward")
