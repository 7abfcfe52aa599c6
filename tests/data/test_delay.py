"""Delay and offset of measured joint forces: planted, found again, reported, taken out."""

import numpy as np
import pandas as pd
import pytest
import torch

import kinematics
from discover.data import dataset, recordings
from discover.data.delay import Delay, find_delay
from discover.data.logs import Log
from discover.data.motions import Motion, smooth
from discover.data.settings import Recording, Smoothing

OFFSET = np.array([0.4, -0.15])


def motion(seed, delay=0.0, noise=0.0, n=1500):
    """The double pendulum moved along sums of sines, its torques recorded `delay` seconds late."""
    robot = kinematics.load("double_pendulum")
    rng = np.random.default_rng(seed)
    rate, phase = rng.uniform(2, 7, (2, 3)), rng.uniform(0, 6, (2, 3))

    def at(t):
        angle = t[:, None, None] * rate + phase
        q, v = 0.5 * np.sin(angle).sum(-1), 0.5 * (rate * np.cos(angle)).sum(-1)
        return q, v, -0.5 * (rate**2 * np.sin(angle)).sum(-1)

    def force(t):
        q, v, a = (torch.from_numpy(x) for x in at(t))
        return kinematics.rnea(robot, q, v, a).numpy() + 0.3 * v.numpy() + OFFSET

    t = np.cumsum(rng.uniform(0.0015, 0.0025, n))
    tau = force(t - delay)
    q, v, a = at(t)
    return robot, Motion(time=t, q=q, v=v, a=a, tau=tau + noise * rng.standard_normal(tau.shape))


@pytest.mark.parametrize("delay", [0.0, 0.013, -0.02])
@pytest.mark.parametrize("logs", [1, 4])
def test_a_planted_delay_and_offset_are_found(delay, logs):
    made = [motion(seed, delay, noise=0.05, n=6000 // logs) for seed in range(logs)]
    found = find_delay([m for _, m in made], made[0][0])
    assert found.found == pytest.approx(delay, abs=5e-4)
    assert found.offset == pytest.approx(OFFSET, abs=0.03)
    assert found.clear == (delay != 0.0)
    assert found.delay == (found.found if delay else 0.0)
    assert found.error < 5e-4
    assert found.unexplained < 0.02
    assert ("no delay" in found.sentence(("a", "b"))) == (delay == 0.0)


def test_its_error_is_how_far_it_lies_off():
    """Over recordings with noise nearly all delays lie within two standard errors, and of
    recordings without one few show one."""
    z, false = [], 0
    for seed in range(12):
        robot, late = motion(40 + seed, 0.01, noise=0.6, n=2500)
        found = find_delay([smooth(as_log(late), Smoothing(window=31))], robot)
        z.append((found.found - 0.01) / found.error)
        _, on_time = motion(80 + seed, 0.0, noise=0.6, n=2500)
        false += find_delay([smooth(as_log(on_time), Smoothing(window=31))], robot).clear
    assert np.mean(np.abs(z) < 2) >= 0.75
    assert 0.3 < np.std(z) < 2
    assert false <= 2


def as_log(m):
    return Log(name="log", sha256="", time=m.time - m.time[0], q=m.q, v=None, tau=m.tau)


def presliding(delay, reach):
    """A log of a slow arm whose friction follows the way of each joint since it reversed (Dahl):
    it is fully there after `reach` [rad]."""
    robot = kinematics.load("double_pendulum")
    t = np.arange(0, 24, 0.004)
    rate, phase = np.array([[1.1, 2.3], [1.7, 2.9]]), np.array([[0.3, 2.0], [1.0, 4.0]])

    def at(times):
        angle = times[:, None, None] * rate + phase
        size = np.array([0.6, 0.2])
        return (
            (size * np.sin(angle)).sum(-1),
            (size * rate * np.cos(angle)).sum(-1),
            -(size * rate**2 * np.sin(angle)).sum(-1),
        )

    q, v, a = at(t - delay)
    state = np.zeros_like(q)
    for k in range(1, len(q)):
        step = q[k] - q[k - 1]
        state[k] = np.clip(state[k - 1] + step / reach * (1 - np.sign(step) * state[k - 1]), -1, 1)
    bodies = kinematics.rnea(robot, *(torch.from_numpy(x) for x in (q, v, a))).numpy()
    tau = bodies + np.array([3.0, 1.5]) * state
    noise = np.random.default_rng(0).standard_normal(tau.shape)
    log = Log(name="slow", sha256="", time=t, q=at(t)[0], v=None, tau=tau + 0.05 * noise)
    return robot, smooth(log, Smoothing(window=41))


@pytest.mark.parametrize("delay", [0.0, 0.012])
def test_friction_with_memory_is_not_taken_for_a_delay(delay):
    robot, slow = presliding(delay, reach=0.03)
    found = find_delay([slow], robot)
    assert found.delay == pytest.approx(delay, abs=2e-3)
    if not delay:
        assert abs(found.found) > 5e-3  # of all samples the best lag is one
        assert "reversals" in found.sentence(("a", "b"))


def read(told, robot):
    return recordings.aligned(
        recordings.read(Recording.model_validate(told, strict=False), robot), robot
    )


def test_a_recording_reports_its_delay_and_takes_it_out_when_told(tmp_path):
    for k in range(3):
        _, m = motion(k, delay=0.015, noise=0.01)
        columns = {"t": m.time, "f1": m.tau[:, 0], "f2": m.tau[:, 1]}
        columns |= {"q1": m.q[:, 0], "q2": m.q[:, 1]}
        pd.DataFrame(columns).to_csv(tmp_path / f"{k}.csv", index=False)
    settings = {
        "folder": str(tmp_path),
        "train": ["0.csv", "1.csv"],
        "test": ["2.csv"],
        "columns": {"time": "t", "q": ["q1", "q2"], "tau": ["f1", "f2"]},
    }
    robot = kinematics.load("double_pendulum")
    as_given = read(settings, robot)
    found = as_given.metadata["alignment"]
    assert found["clear"]
    assert found["delay"] == pytest.approx(0.015, abs=1e-3)
    assert "set recording.delay = 0.01" in as_given.metadata["processing"][-1]
    settings |= {"delay": found["delay"], "offset": found["offset"]}
    mended = read(settings, robot)
    left = mended.metadata["alignment"]
    assert abs(left["found"]) < 1e-3
    assert not left["clear"]
    assert left["offset"] == pytest.approx([0.0, 0.0], abs=0.02)
    assert any("a delay of 1" in line for line in mended.metadata["processing"])
    rows = mended.part("test")
    true = kinematics.rnea(robot, rows.q, rows.v, rows.a) + 0.3 * rows.v
    assert float((rows.tau - true).square().mean().sqrt()) < 0.05 * float(true.std())


def test_the_delay_of_one_training_log_is_stored(tmp_path):
    _, m = motion(5, delay=0.01, noise=0.01)
    columns = {"t": m.time, "f1": m.tau[:, 0], "f2": m.tau[:, 1]}
    columns |= {"q1": m.q[:, 0], "q2": m.q[:, 1]}
    pd.DataFrame(columns).to_csv(tmp_path / "only.csv", index=False)
    settings = {
        "folder": str(tmp_path),
        "train": ["only.csv"],
        "columns": {"time": "t", "q": ["q1", "q2"], "tau": ["f1", "f2"]},
    }
    data = read(settings, kinematics.load("double_pendulum"))
    stored = dataset.load(data.save(tmp_path / "data.h5"))
    assert stored.hash == data.hash
    found = Delay.from_dict(stored.metadata["alignment"])
    assert found.found == pytest.approx(0.01, abs=1e-3)
    assert found.clear == stored.metadata["alignment"]["clear"]


@pytest.mark.parametrize(("n", "estimated"), [(200, True), (110, False)])
def test_a_log_shorter_than_the_widest_lag_is_read(tmp_path, n, estimated):
    _, m = motion(6, n=n)
    columns = {"t": m.time, "f1": m.tau[:, 0], "f2": m.tau[:, 1]}
    columns |= {"q1": m.q[:, 0], "q2": m.q[:, 1]}
    pd.DataFrame(columns).to_csv(tmp_path / "short.csv", index=False)
    settings = {
        "folder": str(tmp_path),
        "train": ["short.csv"],
        "columns": {"time": "t", "q": ["q1", "q2"], "tau": ["f1", "f2"]},
    }
    data = read(settings, kinematics.load("double_pendulum"))
    assert ("alignment" in data.metadata) == estimated
    assert data.metadata["processing"][-1].startswith("time alignment: ")


def test_a_delay_beyond_the_lags_that_are_tried_is_not_called_one():
    made = [motion(seed, delay=0.02) for seed in range(3)]
    found = find_delay([m for _, m in made], made[0][0], widest=0.01)
    assert not found.clear
    assert "the last that was tried" in found.reason
    assert "recording.delay" not in found.sentence(("a", "b"))
