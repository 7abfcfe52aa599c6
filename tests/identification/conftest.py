"""Logs of robots that are known."""

import numpy as np
import pytest
import torch

import kinematics
from discover.data.logs import Log


def periodic(generator, nv, time, size=1.0):
    """q, v, a (N, nv) of a random periodic motion."""
    amplitudes = generator.normal(0, size, (nv, 5)) / np.arange(1, 6)
    phases = generator.uniform(0, 2 * np.pi, (nv, 5))
    w = 2 * np.pi * 0.13 * np.arange(1, 6)
    angle = time[:, None, None] * w + phases
    return (
        (amplitudes * np.sin(angle)).sum(-1),
        (amplitudes * w * np.cos(angle)).sum(-1),
        -(amplitudes * w**2 * np.sin(angle)).sum(-1),
    )


def recorded(robot, generator, name="log", *, seconds=20.0, noise=0.02, beside=None, delay=0.0):
    """A log of a motion of `robot`, torques with white noise (a share of their root mean square)
    and `beside(robot, q, v, a)` added to them; positions of a 16 bit encoder."""
    time = np.arange(0, seconds, 0.004)
    seed = int(generator.integers(2**31))
    q, _, _ = periodic(np.random.default_rng(seed), robot.nv, time)
    late = periodic(np.random.default_rng(seed), robot.nv, time - delay)
    tau = kinematics.rnea(robot, *(torch.tensor(x) for x in late)).numpy()
    if beside is not None:
        tau = tau + beside(robot, *late)
    tau = tau + noise * np.sqrt(np.mean(tau**2, axis=0)) * generator.normal(size=tau.shape)
    step = 2 * np.pi / 65536
    return Log(name=name, sha256="", time=time, q=np.round(q / step) * step, v=None, tau=tau)


@pytest.fixture(scope="session")
def record():
    """`recorded`."""
    return recorded


@pytest.fixture(scope="session")
def pendulum():
    """A double pendulum with other bodies than its description, with friction and a rotor."""
    described = kinematics.load("double_pendulum")
    true = described.replace(
        pi=described.pi * torch.tensor([[1.2], [0.8]]),
        damping=torch.tensor([0.4, 0.2]),
        friction=torch.tensor([0.6, 0.5]),
        armature=torch.tensor([0.0, 0.05]),
        friction_speed=0.005,
    )
    return described, true


@pytest.fixture(scope="session")
def logs(pendulum):
    generator = np.random.default_rng(0)
    return [recorded(pendulum[1], generator, f"log {k}") for k in range(4)]
