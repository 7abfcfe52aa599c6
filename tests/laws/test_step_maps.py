"""Step maps: every scheme against an outside step or its order, and the search for it."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch

import kinematics
from discover.blackbox.contract import Answers
from discover.errors import ModelError
from discover.laws.rigid_body.fit import spread
from discover.laws.rigid_body.step_map import (
    IMPLICIT,
    ORDER,
    SCHEMES,
    StepMap,
    advance,
    scheme_named,
)
from discover.laws.rigid_body.step_search import find_step

LEGGED = """<mujoco><option timestep="0.005" integrator="{integrator}">
  <flag contact="disable"/></option>
  <worldbody><body pos="0 0 1"><freejoint/><geom type="box" size=".2 .1 .05"/>
    <body pos=".2 0 0"><joint type="ball" damping="{ball}"/>
      <geom type="capsule" fromto="0 0 0 .1 0 -.3" size=".03"/>
      <body pos=".1 0 -.3"><joint axis="0 1 0" damping=".2" stiffness="1"/>
        <geom type="capsule" fromto="0 0 0 0 .05 -.3" size=".02"/></body></body></body></worldbody>
</mujoco>"""


def states(robot, n=12, seed=0):
    q, v, _ = kinematics.random_state(robot, n, seed=seed)
    tau = torch.randn(n, robot.nv, generator=torch.Generator().manual_seed(seed)).double()
    return q, v, tau


def exact(robot):
    return lambda q, v, tau: kinematics.aba(robot, q, v, tau)


@pytest.mark.parametrize("scheme", [s for s in SCHEMES if s not in IMPLICIT])
def test_order_of_convergence(scheme):
    robot = kinematics.random_tree(3, seed=2)
    q, v, tau = states(robot)

    def mean(scheme, n):
        step = StepMap(scheme=scheme, dt=0.1, substeps=n)
        return advance(step, robot, exact(robot), q, v, tau)[1]

    errors = [float((mean(scheme, n) - mean("rk4", 100)).norm()) for n in (10, 20)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(ORDER[scheme], abs=0.4)


@pytest.mark.parametrize("scheme", ["semi_implicit_euler", "rk4"])
def test_sub_steps_are_the_simulators_steps(scheme):
    robot = kinematics.random_tree(4, seed=1)
    q, v, tau = states(robot)
    path = kinematics.simulate(robot, q, v, tau, 0.01, 3, integrator=scheme)
    step = StepMap(scheme=scheme, dt=0.03, substeps=3)
    q_next, mean = advance(step, robot, exact(robot), q, v, tau)
    torch.testing.assert_close(q_next, path.q[-1], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(v + 0.03 * mean, path.v[-1], rtol=1e-10, atol=1e-12)


def mujoco_steps(text, skip, n=40):
    """MuJoCo's own steps of a robot with a free joint first, in our velocities."""
    robot = kinematics.load(text)
    model = mujoco.MjModel.from_xml_string(text)
    data, turn = mujoco.MjData(model), kinematics.spatial.rotations
    q, v, tau = states(robot, n)
    q, v = q.double(), v.double()
    tau[:, :6] = 0.0  # a wrench on the base stands in other axes there
    out_q, out_v = torch.empty_like(q), torch.empty_like(v)
    for i in range(n):
        data.qpos[:] = q[i]
        data.qvel[:3] = turn.rotate_by_quaternion(q[i, 3:7], v[i, 3:6])
        data.qvel[3:6], data.qvel[6:], data.qfrc_applied[:] = v[i, :3], v[i, 6:], tau[i]
        for _ in range(skip):
            mujoco.mj_step(model, data)
        out_q[i] = torch.as_tensor(np.array(data.qpos))
        w = torch.as_tensor(np.array(data.qvel))
        back = turn.quaternion_conjugate(out_q[i, 3:7])
        out_v[i] = torch.cat([w[3:6], turn.rotate_by_quaternion(back, w[:3]), w[6:]])
    dt = skip * model.opt.timestep
    return robot, dt, Answers(
        q=q, v=v, tau=tau, a=(out_v - v) / dt, q_next=out_q, v_next=out_v
    )  # fmt: skip


@pytest.mark.parametrize(("integrator", "ball"), [("Euler", 0.1), ("RK4", 0.0), ("implicit", 0.1)])
@pytest.mark.parametrize("skip", [1, 4])
def test_mujocos_own_steps_are_followed_to_rounding(integrator, ball, skip):
    robot, dt, answers = mujoco_steps(LEGGED.format(integrator=integrator, ball=ball), skip)
    step = StepMap(scheme=robot.stepping.integrator, dt=dt, substeps=skip, frame="world")
    implicit = robot.replace(armature=robot.armature + step.h * robot.damping)
    if integrator == "implicit":
        pytest.skip("its velocity terms belong to the family: tests/examination/test_steps.py")
    law = exact(implicit if integrator == "Euler" else robot)
    q_next, mean = advance(step, robot, law, answers.q, answers.v, answers.tau)
    torch.testing.assert_close(mean, answers.a, rtol=1e-8, atol=1e-8)
    moved = kinematics.difference(robot, q_next, answers.q_next)
    assert float(moved.abs().max()) < 1e-10


PLANAR = kinematics.random_tree(3, seed=5)


def stepped(robot, step, n=60, seed=3):
    q, v, tau = states(robot, n, seed)
    q_next, mean = advance(step, robot, exact(robot), q, v, 5 * tau)
    return Answers(q=q, v=v, tau=5 * tau, a=mean, q_next=q_next, v_next=v + step.dt * mean)


@pytest.mark.parametrize(
    ("scheme", "substeps"),
    [("semi_implicit_euler", 1), ("explicit_euler", 3), ("semi_implicit_euler", 5), ("heun", 2),
     ("midpoint", 1), ("verlet", 4), ("rk4", 1), ("rk4", 3),
     pytest.param("semi_implicit_euler", 37, marks=pytest.mark.slow),
     pytest.param("explicit_euler", 100, marks=pytest.mark.slow)],
)  # fmt: skip
def test_the_step_is_found_from_the_answers(scheme, substeps):
    answers = stepped(PLANAR, StepMap(scheme=scheme, dt=0.04, substeps=substeps))
    # nothing of the true parameters is known
    guess = PLANAR.replace(pi=PLANAR.pi * (1 + 0.3 * torch.rand(PLANAR.pi.shape)))
    held_out = answers[48:]
    choice = find_step(guess, answers[:48], held_out, 0.04, scale=spread(answers))
    assert choice.error < 1e-9
    assert (choice.step.scheme, choice.step.substeps) == (scheme, substeps)
    assert choice.positions < 1e-6


@pytest.mark.parametrize("scheme", ["explicit_euler", "semi_implicit_euler"])
def test_of_steps_with_the_same_velocities_configurations_choose(scheme):
    answers = stepped(PLANAR, StepMap(scheme=scheme, dt=0.04))
    choice = find_step(PLANAR, answers[:48], answers[48:], 0.04, scale=spread(answers))
    assert choice.step.scheme == scheme
    assert "do not follow" not in choice.sentence


def test_configurations_of_another_law_are_told():
    step = StepMap(scheme="rk4", dt=0.04)
    answers = stepped(PLANAR, step)
    wrong = Answers(
        q=answers.q, v=answers.v, tau=answers.tau, a=answers.a, v_next=answers.v_next,
        q_next=answers.q_next + 0.05 * torch.sin(7 * answers.q),
    )  # fmt: skip
    choice = find_step(PLANAR, wrong[:48], wrong[48:], 0.04, scale=spread(answers))
    assert "do not follow" in choice.sentence


def test_noise_is_not_taken_for_sub_steps():
    answers = stepped(PLANAR, StepMap(scheme="rk4", dt=0.04))
    noise = 0.02 * spread(answers) * torch.randn(answers.a.shape).double()
    noisy = Answers(
        q=answers.q, v=answers.v, tau=answers.tau, a=answers.a + noise, q_next=answers.q_next,
        v_next=answers.v_next + 0.04 * noise,
    )  # fmt: skip
    choice = find_step(PLANAR, noisy[:48], noisy[48:], 0.04, scale=spread(answers))
    assert choice.step.substeps == 1


@pytest.mark.slow
def test_more_sub_steps_than_are_searched_are_told():
    answers = stepped(PLANAR, StepMap(scheme="semi_implicit_euler", dt=0.04, substeps=180))
    choice = find_step(PLANAR, answers[:48], answers[48:], 0.04, scale=spread(answers))
    assert "more than 100 sub-steps, which are not searched: declare substeps=" in choice.sentence
    declared = find_step(
        PLANAR, answers[:48], answers[48:], 0.04, scale=spread(answers), substeps=180
    )
    assert declared.error < 1e-9
    assert "declare" not in declared.sentence


def test_names_of_schemes():
    assert scheme_named("RK4") == "rk4"
    assert scheme_named("implicitfast") == "implicit_damping"
    assert all(scheme_named(s) == s for s in SCHEMES)
    with pytest.raises(ModelError, match="integrator of"):
        scheme_named("magic")


SERVOS = """<mujoco><option timestep="0.01" integrator="{integrator}"/>
  <worldbody><body pos="0 0 1"><joint name="a" axis="1 0 0" stiffness="2" springref="20"/>
    <geom type="capsule" fromto="0 0 0 0 .4 0" size=".03"/>
    <body pos="0 .4 0"><joint name="b" axis="0 0 1"/>
      <geom type="capsule" fromto="0 0 0 .3 0 .1" size=".02"/></body></body></worldbody>
  <actuator><position joint="b" kp="15" kv="2"/><velocity joint="a" kv="3"/>
  {more}</actuator></mujoco>"""


@pytest.mark.parametrize("more", ["", '<position joint="a" kp="5"/>'])
@pytest.mark.parametrize("integrator", ["implicitfast", "implicit"])
def test_servos_are_springs_and_dampers_of_the_step_that_is_described(integrator, more):
    text = SERVOS.format(integrator=integrator, more=more)
    robot = kinematics.load(text)
    model = mujoco.MjModel.from_xml_string(text)
    data, rng = mujoco.MjData(model), np.random.default_rng(2)
    (q, v), u = rng.normal(size=(2, 60, 2)), rng.normal(size=(60, model.nu))
    q_next, v_next = np.empty_like(q), np.empty_like(v)
    for i in range(len(q)):
        data.qpos[:], data.qvel[:], data.ctrl[:] = q[i], v[i], u[i]
        mujoco.mj_step(model, data)
        q_next[i], v_next[i] = data.qpos, data.qvel
    q, v, u, q_next, v_next = (torch.from_numpy(x) for x in (q, v, u, q_next, v_next))
    answers = Answers(
        q=q, v=v, tau=robot.actuation.forces(u), a=(v_next - v) / 0.01,
        q_next=q_next, v_next=v_next,
    )  # fmt: skip
    choice = find_step(robot, answers[:48], answers[48:], 0.01, scale=spread(answers))
    assert choice.error < 1e-10
    assert choice.step.scheme == robot.stepping.integrator
    names = [t.name for t in choice.fit.family.terms]
    found = dict(zip(names, choice.fit.theta[-len(names) :], strict=True))
    # before, damping at the end of a step was taken for the inertia of rotors
    assert float(found["armature, joint 1"]) == pytest.approx(0.0, abs=1e-4)
    assert float(found["damping, joint 1"]) == pytest.approx(3.0, abs=1e-6)
    assert float(found["stiffness, joint 2"]) == pytest.approx(15.0, abs=1e-6)
