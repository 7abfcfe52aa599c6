"""Delay and offset of measured joint forces: planted, found again, reported, taken out."""

import numpy as np
import pandas as pd
import pytest
import torch

import kinematics
from discover.data import dataset, recordings
from discover.data.alignment import Motion, align
from discover.data.settings import Recording

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
def test_a_planted_delay_and_offset_are_found(delay):
    made = [motion(seed, delay, noise=0.05) for seed in range(4)]
    found = align(made[0][0], [m for _, m in made])
    assert found.delay == pytest.approx(delay, abs=5e-4)
    assert found.offset == pytest.approx(OFFSET, abs=0.03)
    assert found.clear == (delay != 0.0)
    assert found.unexplained < 0.02
    assert ("not told apart" in found.sentence(("a", "b"))) == (delay == 0.0)


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
    assert abs(left["delay"]) < 1e-3
    assert left["offset"] == pytest.approx([0.0, 0.0], abs=0.02)
    assert any("a delay of 1" in line for line in mended.metadata["processing"])
    rows = mended.part("test")
    true = kinematics.rnea(robot, rows.q, rows.v, rows.a) + 0.3 * rows.v
    assert float((rows.tau - true).square().mean().sqrt()) < 0.05 * float(true.std())


def test_one_training_log_has_no_standard_errors_and_can_be_stored(tmp_path):
    """The spread over trajectories is unknown with one of them: null, not a number nor a crash."""
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
    found = stored.metadata["alignment"]
    assert found["delay_error"] is None
    assert found["offset_error"] == [None, None]
    assert found["delay"] == pytest.approx(0.01, abs=1e-3)
    assert "±" not in stored.metadata["processing"][-1]


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
    found = align(made[0][0], [m for _, m in made], widest=0.01)
    assert found.at_the_end
    assert not found.clear
    assert "recording.delay" not in found.sentence(("a", "b"))
