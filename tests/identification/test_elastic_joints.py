"""Elastic joints behind the encoder: found with their stiffness where planted, nowhere else."""

import numpy as np
import pytest
import torch

import discover
import kinematics
from discover.data.logs import Log
from discover.data.motions import Motion
from discover.identification.elastic_joints import giving_way
from discover.identification.samples import gather
from discover.report.recorded.identification import as_text, page

STIFFNESS = 3000.0  # N·m/rad: with the arm's inertia behind it, 5 to 7 Hz
NOISE = 0.02  # of the torque's root mean square
BLINK = 1e-3  # s, between the instants of second differences


def bare(robot):
    none = torch.zeros_like(robot.damping)
    return robot.replace(damping=none, friction=none, armature=none)


class Swing:
    """A random periodic motion of the links, with the motors' ahead of it by load over stiffness:
    nothing is approximated but derivatives of the load, by differences."""

    def __init__(self, robot, seed, compliance):
        self.robot, self.compliance = robot, np.array(compliance)
        generator = np.random.default_rng(seed)
        self.w = 2 * np.pi * 0.13 * np.arange(1, 6)
        self.sizes = generator.normal(size=(robot.nv, 5)) / np.arange(1, 6)
        self.phases = generator.uniform(0, 2 * np.pi, (robot.nv, 5))

    def links(self, time):
        """q, v, a (N, nv)."""
        angle = time[:, None, None] * self.w + self.phases
        waves = (np.sin(angle), self.w * np.cos(angle), -(self.w**2) * np.sin(angle))
        return [(self.sizes * x).sum(-1) for x in waves]

    def loads(self, time):
        """The load with its first and second derivative (N, nv)."""
        before, now, after = (
            kinematics.rnea(
                bare(self.robot), *(torch.tensor(x) for x in self.links(time + s))
            ).numpy()
            for s in (-BLINK, 0.0, BLINK)
        )
        return now, (after - before) / (2 * BLINK), (after - 2 * now + before) / BLINK**2

    def motors(self, time):
        """Positions, velocities, accelerations and torques of the motors (N, nv)."""
        loads = self.loads(time)
        q, v, a = (x + self.compliance * y for x, y in zip(self.links(time), loads, strict=True))
        robot = self.robot
        friction = robot.friction.numpy() * np.tanh(v / float(robot.friction_speed))
        drive = robot.damping.numpy() * v + friction + robot.armature.numpy() * a
        return q, v, a, loads[0] + drive

    def log(self, seconds=20.0, noise=NOISE):
        time = np.arange(0, seconds, 0.004)
        q, _, _, tau = self.motors(time)
        generator = np.random.default_rng(int(1e6 * self.sizes[0, 0] ** 2))
        tau = tau + noise * np.sqrt(np.mean(tau**2, axis=0)) * generator.normal(size=tau.shape)
        step = 2 * np.pi / 65536
        name = f"{self.sizes[0, 0]:.6f}"
        return Log(name=name, sha256="", time=time, q=np.round(q / step) * step, v=None, tau=tau)


def logged(robot, seeds, compliance, **options):
    return [Swing(robot, seed, compliance).log(**options) for seed in seeds]


@pytest.fixture(scope="module")
def found(pendulum):
    logs = logged(pendulum[1], range(10, 15), [1 / STIFFNESS, 0.0])
    return discover.identify(logs[:4], pendulum[0], test=logs[4:])


def test_it_is_found_with_its_stiffness(found):
    ((joint, (stiffness, error)),) = found.joint_stiffness.items()
    assert joint == "shoulder"
    assert abs(stiffness - STIFFNESS) < 2 * error
    assert error < 0.05 * STIFFNESS


def test_unseen_logs_are_predicted_better_by_it(found):
    assert found.error()["identified"] < 0.6 * found.error()["least squares"]


def test_it_is_not_taken_for_friction_with_memory(found):
    assert not [x for x in found.friction if x.kind == "presliding"]


def test_the_law_is_rigid_and_says_so(found):
    assert not [x for x in found.law.extra if "elastic" in x.name]
    words = as_text(found.to_dict())
    assert "Between motor and link shoulder gives way: its stiffness is" in words
    assert "the law's joints are rigid" in page(found.to_dict())


def test_both_joints_may_give_way(pendulum):
    logs = logged(pendulum[1], range(10, 14), [1 / STIFFNESS, 1 / 1500])
    found = discover.identify(logs, pendulum[0])
    assert {j: k for j, (k, _) in found.joint_stiffness.items()} == pytest.approx(
        {"shoulder": STIFFNESS, "elbow": 1500}, rel=0.06
    )


@pytest.mark.parametrize("noise", [0.005, 0.05])
def test_a_rigid_joint_has_none(pendulum, noise):
    logs = logged(pendulum[1], range(20, 24), [0.0, 0.0], noise=noise)
    assert not discover.identify(logs, pendulum[0]).joint_stiffness


def test_neither_has_friction_that_grows_with_the_load(pendulum):
    logs = []
    for log in logged(pendulum[1], range(30, 34), [0.0, 0.0]):
        v = np.gradient(log.q, log.time, axis=0)
        tau = log.tau + 0.1 * np.abs(log.tau) * np.tanh(v / 0.05)
        logs.append(Log(name=log.name, sha256="", time=log.time, q=log.q, v=None, tau=tau))
    assert not discover.identify(logs, pendulum[0]).joint_stiffness


def test_a_column_is_the_change_of_all_joint_forces(pendulum):
    """Against the exact deflection, small."""
    robot, small = bare(pendulum[1]), 1e-6
    time = np.arange(0, 20, 0.004)
    q, v, a, tau = Swing(robot, 3, [small, 0.0]).motors(time)
    motion = Motion(time=time, q=q, v=v, a=a, tau=tau, name="log")
    samples = gather([motion], window=0.1, order=5)
    column = giving_way(samples, {0: 0.0}, robot)[0]
    rigid = kinematics.rnea(robot, samples.q, samples.v, samples.a).numpy()
    change = (samples.tau.numpy() - rigid) / small
    inner = slice(40, -40)  # the second pass of the filter has whole windows
    size = np.abs(change).max(axis=0)
    assert (column / size)[inner] == pytest.approx((change / size)[inner], abs=0.01)
