"""The mapping files of the recordings that people use: every machine's logs are read and surveyed.

They need the environment variable WORLDLAW_RECORDINGS_ROOT, a folder with `real_double_pendulum/`,
`real_panda/`, `real_tx40/` and `servo_pendulum/` (datasets/README.md).
"""

import os
from pathlib import Path

import numpy as np
import pytest

import kinematics
from discover.data.motions import smooth
from discover.data.reading import load_layout, read_logs
from discover.data.smoothing_choice import choose_smoothing
from discover.data.torque_prediction import torque_columns

LAYOUTS = Path(__file__).parents[2] / "datasets" / "recipes" / "logs"


@pytest.fixture
def root():
    folder = os.environ.get("WORLDLAW_RECORDINGS_ROOT")
    if not folder:
        pytest.skip("WORLDLAW_RECORDINGS_ROOT is not set: recordings do not come with the project")
    return Path(folder)


@pytest.mark.parametrize("path", sorted(LAYOUTS.glob("*.toml")), ids=lambda p: p.stem)
def test_every_mapping_file_is_one(path):
    layout = load_layout(path)
    assert layout.columns.q or layout.columns.base


def test_the_panda(root):
    robot = kinematics.load("panda")
    path = root / "real_panda" / "exciting_trajectory.csv"
    (log,) = read_logs(path, robot, LAYOUTS / "panda_exciting.toml")
    assert log.q.shape == log.v.shape == log.tau.shape == (20544, 7)
    (guessed,) = read_logs(path, robot)
    assert np.array_equal(guessed.tau, log.tau)


def test_the_servo_pendulums(root):
    logs = read_logs(root / "servo_pendulum", None, LAYOUTS / "servo_pendulum.toml")
    assert len(logs) == 6
    for log in logs:
        assert log.scalars["mass"] == 0.49
        assert log.rate == pytest.approx(200, rel=1e-6)
        assert np.abs(log.tau).max() <= log.scalars["vin"] + 1e-9


def test_the_tx40_lies_in_its_limits_and_its_torques_follow_its_tree(root):
    """Motor side, two files, no clock, a coupled wrist: a wrong unit, sign or zero would show."""
    robot = kinematics.load(root / "real_tx40" / "tx40.urdf")
    (log,) = read_logs(root / "real_tx40", robot, LAYOUTS / "tx40.toml")
    assert log.q.shape == (45000, 6)
    assert (log.q > robot.lower.numpy()).all()
    assert (log.q < robot.upper.numpy()).all()
    motion = smooth(log, choose_smoothing([log]))
    rows = slice(0, None, 25)
    design = torque_columns(robot, motion.q[rows], motion.v[rows], motion.a[rows])
    weight = 1 / motion.tau.std(axis=0)
    flat = (design * weight[None, :, None]).reshape(-1, design.shape[2])
    target = (motion.tau[rows] * weight).ravel()
    norms = np.linalg.norm(flat, axis=0)
    flat = flat / np.where(norms > 0, norms, 1)
    theta = np.linalg.lstsq(flat, target, rcond=1e-9)[0]
    assert np.linalg.norm(target - flat @ theta) < 0.4 * np.linalg.norm(target)


def test_the_double_pendulum(root):
    robot = kinematics.load("dfki_double_pendulum")
    paths = [root / "real_double_pendulum" / f"trajectory_0{k}.csv" for k in range(4)]
    logs = read_logs(paths, robot, LAYOUTS / "dfki_double_pendulum.toml")
    choice = choose_smoothing(logs, robot)
    # by hand, from leaving out each log in turn: flat between about 120 and 240 ms
    assert 0.12 < choice.window_s < 0.24
