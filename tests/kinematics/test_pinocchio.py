"""Pinocchio is the oracle: a representative dozen here, every URDF by tests/oracles."""

import warnings

import pytest
from pinocchio_oracle import example_urdfs
from pinocchio_table import EXACT, errors

import kinematics
from kinematics.loading import robots_folder

NAMES = [
    "panda", "ur5_robot", "xarm7", "solo12", "anymal", "g1_29dof_rev_1_0", "talos_full_v2",
    "allegro_left_hand", "tiago_dual", "double_pendulum_continuous", "quadrotor_base",
    "simple_humanoid", "kinova",
]  # fmt: skip
PATHS = {path.stem: path for path in example_urdfs()}


@pytest.mark.parametrize("free", [False, True], ids=["fixed", "free"])
@pytest.mark.parametrize("name", [n for n in NAMES if n in PATHS])
def test_functions_agree_far_out(name, free):
    if name == "quadrotor_base" and not free:
        with pytest.raises(kinematics.RobotError, match='root="free"'):
            kinematics.load(PATHS[name])
        return
    row = errors(PATHS[name], free=free, states=2)
    assert all(row[function] < 1e-10 for function in EXACT), row
    # what the condition of the mass matrix costs Pinocchio itself is no error of ours
    assert max(row["aba"], row["loop"]) < max(1e-10, 10 * row["theirs"]), row


@pytest.mark.parametrize("name", ["double_pendulum", "planar_3r", "planar_branched", "panda"])
def test_bundled_robots_agree(name):
    path = robots_folder() / name / f"{name}.urdf"
    for free in (False, True):
        row = errors(path, free=free, states=3)
        assert all(row[function] < 1e-10 for function in ("rnea", "crba", "regressor")), row
        assert row["aba"] < max(1e-10, 10 * row["theirs"]), row


def test_the_list_is_really_tested():
    assert sum(name in PATHS for name in NAMES) >= 10


def test_mimic_joints_are_eliminated():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        robot = kinematics.load(PATHS["panda"])
    assert (robot.nb, robot.nv) == (9, 8)
    assert robot.q_slice("panda_finger_joint2") == robot.q_slice("panda_finger_joint1")
