"""Logs of a free base: quaternions in either order, twists in either frame, and their derivatives.

A body is simulated without forces; its log is read back and smoothed.
"""

import numpy as np
import pandas as pd
import pytest
import torch

import kinematics
from discover.data.motions import smooth
from discover.data.reading import read_logs
from discover.data.settings import Smoothing
from discover.errors import DatasetError

BODY = """<robot name="top"><link name="base"><inertial><mass value="2"/>
<origin xyz="0.05 -0.02 0.03"/><inertia ixx=".02" iyy=".03" izz=".04" ixy="0" ixz="0" iyz="0"/>
</inertial></link></robot>"""
STEP = 0.004


@pytest.fixture(scope="module")
def flight():
    """The robot and its motion: time, q (N, 7), v and a (N, 6)."""
    robot = kinematics.load(BODY, root="free")
    q = torch.tensor([[0.0, 0, 1, 1, 0, 0, 0]], dtype=torch.float64)
    v = torch.tensor([[1.0, 2.0, -1.5, 0.3, -0.2, 2.0]], dtype=torch.float64)
    motion = kinematics.simulate(robot, q, v, None, dt=STEP, steps=400, integrator="rk4")
    q, v = motion.q.reshape(-1, 7), motion.v.reshape(-1, 6)
    a = kinematics.aba(robot, q, v, torch.zeros_like(v))
    return robot, STEP * np.arange(len(q)), q.numpy(), v.numpy(), a.numpy()


def write(path, flight, order="wxyz", frame="body", twist=True):
    from kinematics.spatial.rotations import rotate_by_quaternion

    _, time, q, v, _ = flight
    table = pd.DataFrame({"t": time} | {f"p{k}": q[:, k] for k in range(3)})
    flips = np.where(np.arange(len(q)) // 50 % 2, -1.0, 1.0)  # the same turn, in the other sign
    for k, letter in enumerate("wxyz"):
        table[f"q{letter}"] = q[:, 3 + k] * flips
    angular, linear = torch.from_numpy(v[:, :3].copy()), torch.from_numpy(v[:, 3:].copy())
    if frame == "world":
        turn = torch.from_numpy(q[:, 3:].copy())
        angular, linear = (rotate_by_quaternion(turn, x) for x in (angular, linear))
    for k in range(3):
        table[f"w{k}"], table[f"l{k}"] = angular[:, k].numpy(), linear[:, k].numpy()
    table.to_csv(path, index=False, float_format="%.17g")
    base = {
        "position": ["p0", "p1", "p2"],
        "quaternion": [f"q{letter}" for letter in order],
        "order": order,
    }
    if twist:
        base |= {"angular": ["w0", "w1", "w2"], "linear": ["l0", "l1", "l2"], "frame": frame}
    return {"columns": {"time": "t", "base": base}}


@pytest.mark.parametrize("order", ["wxyz", "xyzw"])
@pytest.mark.parametrize("frame", ["body", "world"])
def test_the_same_motion_in_every_convention(tmp_path, flight, order, frame):
    layout = write(tmp_path / "log.csv", flight, order, frame)
    robot, _, q, v, _ = flight
    (log,) = read_logs(tmp_path / "log.csv", robot, layout)
    sign = np.sign((log.q[:, 3:] * q[:, 3:]).sum(axis=1))[:, None]
    assert (np.abs(log.q[:, 3:] - sign * q[:, 3:]).max(), np.ptp(sign)) == (
        pytest.approx(0, abs=1e-12),
        0,
    )
    assert np.abs(log.v - v).max() < 1e-12
    assert not log.tau.any()


def test_velocity_and_acceleration_are_the_robots(tmp_path, flight):
    layout = write(tmp_path / "log.csv", flight, twist=False)
    robot, _, _, v, a = flight
    (log,) = read_logs(tmp_path / "log.csv", robot, layout)
    motion = smooth(log, Smoothing(window=9, order=5))
    assert np.abs(motion.v - v[motion.rows]).max() < 1e-5
    assert np.abs(motion.a - a[motion.rows]).max() < 2e-2 * np.abs(a).max()
    again = kinematics.rnea(robot, *map(torch.from_numpy, (motion.q, motion.v, motion.a)))
    assert float(again.abs().max()) < 0.02 * 2 * 9.81  # nothing acts but gravity


def test_a_base_and_a_robot_that_do_not_fit_are_one_line(tmp_path, flight):
    layout = write(tmp_path / "log.csv", flight)
    fixed = kinematics.load("double_pendulum")
    with pytest.raises(DatasetError, match=r"recording.columns.base: .* root = 'free'"):
        read_logs(tmp_path / "log.csv", fixed, layout)
    (log,) = read_logs(tmp_path / "log.csv", flight[0], layout)
    with pytest.raises(DatasetError, match="expected 2 positions and 2 joint forces"):
        smooth(log, Smoothing(window=9, order=5), fixed)
    layout["columns"]["base"]["quaternion"] = ["p0", "qx", "qy", "qz"]
    with pytest.raises(DatasetError, match="expected unit quaternions"):
        read_logs(tmp_path / "log.csv", flight[0], layout)
