"""The real double pendulum: its description, and the facts known of its logs."""

import math

import numpy as np
import pytest
import torch

import kinematics
from discover.study import recipes
from discover.study.stages import sample_dataset

# The lab's published model (see the robot's card): inertia about the joint, mass, centre, friction.
I1, I2, M1, M2, R1, R2, L1 = 0.02671076, 0.05387813, 0.64169378, 0.56393595, 0.2, 0.32126699, 0.2
ROTOR, GEAR = 9.93728e-05, 6.0
FRICTION, DAMPING = np.array([0.093, 0.078]), 0.001


def regressor(q, v, a):
    """(N, 2, 8): four base parameters, viscous and Coulomb friction of both joints, by hand."""
    q1, q2 = q.T
    v1, v2 = v.T
    a1, a2 = a.T
    zero, g = np.zeros_like(q1), 9.81
    cosine, sine, below = np.cos(q2), np.sin(q2), g * np.sin(q1 + q2)
    upper = L1 * (cosine * (2 * a1 + a2) - sine * (v2**2 + 2 * v1 * v2)) + below
    lower = L1 * (cosine * a1 + sine * v1**2) + below
    first = [a1, a1 + a2, g * np.sin(q1), upper, v1, zero, np.arctan(100 * v1), zero]
    second = [zero, a1 + a2, zero, lower, zero, v2, zero, np.arctan(100 * v2)]
    return np.stack([np.stack(first, -1), np.stack(second, -1)], axis=1)


PUBLISHED = np.array([I1 + M2 * L1**2, I2, M1 * R1 + M2 * L1, M2 * R2, DAMPING, DAMPING, *FRICTION])


def published_torque(q, v, a):
    tau = regressor(q, v, a) @ PUBLISHED
    geared = GEAR * a[:, ::-1] * ROTOR
    return tau + np.stack([ROTOR * (1 + GEAR**2) * a[:, 0], GEAR**2 * ROTOR * a[:, 1]], 1) - geared


def rms(x):
    return np.sqrt((x**2).mean(0))


def test_the_description_moves_as_the_published_model_does():
    robot = kinematics.load("dfki_double_pendulum", joint_terms=True)
    rng = torch.Generator().manual_seed(0)
    q, v, a = (3 * torch.randn(50, 2, generator=rng, dtype=torch.float64) for _ in range(3))
    expected = regressor(*(x.numpy() for x in (q, v, a))) @ np.array([*PUBLISHED[:4], 0, 0, 0, 0])
    plain = kinematics.load("dfki_double_pendulum")
    assert np.abs(kinematics.rnea(plain, q, v, a).numpy() - expected).max() < 1e-6
    assert robot.damping.tolist() == [DAMPING] * 2
    assert robot.friction.tolist() == pytest.approx(list(FRICTION * math.pi / 2))


@pytest.mark.recordings
def test_the_known_facts_of_the_logs_come_out(recordings_folder):
    """Torque errors of the published and of a least-squares model, known from an independent
    reading of the same logs with 41 samples; the last, most uneven log is filtered in index time
    there, and in true time here, so it agrees less."""
    recipe = recipes.load(
        "real_double_pendulum",
        [f"recording.folder={recordings_folder}", "recording.smoothing.window=41"],
    )
    data = sample_dataset(recipe, kinematics.load(recipe.robot.source, joint_terms=True))
    train = data.select(data.split < 2)
    q, v, a, tau = (x.numpy() for x in (train.q, train.v, train.a, train.tau))
    theta = np.linalg.lstsq(regressor(q, v, a).reshape(-1, 8), tau.reshape(-1), rcond=None)[0]
    facts = {  # root mean square of tau, published model, least squares; joints 1 and 2
        4: ((0.025, 0.295), (0.200, 0.113), (0.129, 0.133), 0.12),
        5: ((0.516, 0.095), (0.287, 0.160), (0.284, 0.156), 0.12),
        6: ((0.272, 0.024), (0.287, 0.162), (0.219, 0.109), 0.12),
        7: ((0.311, 0.725), (0.266, 0.189), (0.239, 0.306), 0.15),
    }
    for k, (size, published, fitted, tolerance) in facts.items():
        rows = data.select(data.trajectory == k)
        q, v, a, tau = (x.numpy() for x in (rows.q, rows.v, rows.a, rows.tau))
        assert rms(tau) == pytest.approx(size, rel=0.05)
        assert rms(published_torque(q, v, a) - tau) == pytest.approx(published, rel=tolerance)
        assert rms(regressor(q, v, a) @ theta - tau) == pytest.approx(fitted, rel=tolerance)


@pytest.mark.recordings
def test_the_recipe_reads_the_logs_whole(recordings_folder):
    recipe = recipes.load("real_double_pendulum", [f"recording.folder={recordings_folder}"])
    robot = kinematics.load(recipe.robot.source, joint_terms=True)
    data = sample_dataset(recipe, robot)
    sizes = [len(data.part(s)) for s in ("train", "validation", "test")]
    assert sum(sizes) > 37_000
    assert sizes[0] > 16_000
    assert set(data.part("test").trajectory.tolist()) == {4, 5, 6, 7}
    assert str(recordings_folder) not in str(data.metadata)
    inside = data.region.resolve(2)
    assert bool((inside.q.half_width > 1).all())
    # The encoder's noise, as seen through the filter, is about a millirad, and not nothing.
    assert 1e-5 < min(data.metadata["raw_noise"]["q"]) < 5e-3
