"""Elastic joints behind the encoder: found with their stiffness where planted, nowhere else."""

import numpy as np
import pytest

import discover
import kinematics
from discover.data.logs import Log
from discover.data.motions import Motion
from discover.identification.elastic_joints import giving_way
from discover.identification.samples import gather
from discover.report.recorded.identification import as_text, page
from tests.bench.elastic_twins import Swing, bare

STIFFNESS = 3000.0  # N·m/rad: with the arm's inertia behind it, 5 to 7 Hz
NOISE = 0.02  # of the torque's root mean square


def logged(robot, seeds, compliance, noise=NOISE):
    return [Swing(robot, seed, compliance).log(noise) for seed in seeds]


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


@pytest.mark.slow
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


@pytest.mark.slow
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
