"""An elastic joint behind the encoder: found with its compliance where planted, nowhere else."""

import numpy as np
import pytest
import torch

import discover
import kinematics
from discover.data.logs import Log

COMPLIANCE = 0.001  # rad/(N·m)


def logged(robot, seed, compliance):
    """A log with the encoder of the first joint before its spring; noise of half a percent."""
    generator = np.random.default_rng(seed)
    time = np.arange(0, 20, 0.004)
    w = 2 * np.pi * 0.13 * np.arange(1, 6)
    sizes = generator.normal(size=(2, 5)) / np.arange(1, 6)
    angle = time[:, None, None] * w + generator.uniform(0, 2 * np.pi, (2, 5))
    q, v, a = (
        (sizes * x).sum(-1) for x in (np.sin(angle), w * np.cos(angle), -(w**2) * np.sin(angle))
    )
    bare = robot.replace(
        damping=0 * robot.damping, friction=0 * robot.friction, armature=0 * robot.armature
    )
    load, tau = (
        kinematics.rnea(r, *(torch.tensor(x) for x in (q, v, a))).numpy() for r in (bare, robot)
    )
    tau = tau + 0.005 * tau.std(axis=0) * generator.normal(size=tau.shape)
    q[:, 0] += compliance * load[:, 0]
    step = 2 * np.pi / 65536
    return Log(name=f"{seed}", sha256="", time=time, q=np.round(q / step) * step, v=None, tau=tau)


def elastic_of(found):
    return {x.joints[0]: x for x in found.friction if x.kind == "elastic joint"}


@pytest.fixture(scope="module")
def found(pendulum):
    logs = [logged(pendulum[1], seed, COMPLIANCE) for seed in range(5)]
    return discover.identify(logs[:4], pendulum[0], test=logs[4:])


def test_it_is_found_with_its_compliance(found):
    assert elastic_of(found)["shoulder"].value == pytest.approx(COMPLIANCE, rel=0.3)
    assert found.error()["identified"] < 0.8 * found.error()["least squares"]


def test_it_is_not_taken_for_friction_with_memory(found):
    assert not [x for x in found.friction if x.kind == "presliding"]


def test_the_law_is_rigid(found):
    assert not [x for x in found.law.extra if "elastic" in x.name]


def test_a_rigid_joint_has_none(pendulum):
    logs = [logged(pendulum[1], seed, 0.0) for seed in range(4)]
    assert not elastic_of(discover.identify(logs, pendulum[0]))
