"""Base parameters in closed form span what the regressor's rank says, and no more."""

import numpy as np
import pytest
import sympy
from kinematic_samples import mimicking, worst

import kinematics
from kinematics import RobotError

ROBOTS = [
    *(kinematics.load(name) for name in ("double_pendulum", "planar_branched", "panda")),
    kinematics.load("panda", root="free"),
    kinematics.random_tree(3, 0.5, 1, kinds=("revolute", "prismatic"), root="free"),
    kinematics.random_tree(4, 0.5, 6, kinds=("revolute", "prismatic", "spherical")),
    kinematics.random_tree(3, 0.0, 3, kinds=("revolute", "spherical")),
    kinematics.random_tree(3, 1.0, 5, kinds=("free", "revolute", "prismatic")),
]


@pytest.mark.parametrize("robot", ROBOTS, ids=lambda r: f"{r.name}-{r.nv}")
def test_they_span_what_the_numbers_span(robot):
    symbolic = kinematics.symbolic_base_parameters(robot)
    numeric = kinematics.base_parameters(robot)
    assert symbolic.rank == numeric.rank
    both = np.vstack([symbolic.matrix.numpy(), numeric.matrix.numpy()])
    both /= np.abs(both).max(1, keepdims=True)
    assert np.linalg.matrix_rank(both, tol=1e-7) == numeric.rank
    # the joint forces are a function of them
    q, v, a = kinematics.random_state(robot, 30, seed=9)
    Y = kinematics.regressor(robot, q, v, a).reshape(-1, 10 * robot.nb).numpy()
    through = Y @ np.linalg.pinv(symbolic.matrix.numpy()) @ symbolic.matrix.numpy()
    assert worst(through, Y) < 1e-8


def test_the_textbook_s_grouping_of_an_arm_of_parallel_axes():
    """Each link keeps its inertia and first moments; what hangs on it adds its mass there."""
    robot = kinematics.load("planar_3r")
    found = kinematics.symbolic_base_parameters(robot)
    assert found.definitions == {}
    assert found.exact
    Iyy1, mx1, mz1, m2, m3 = sympy.symbols("Iyy1 mx1 mz1 m2 m3")
    L = next(x for x in found.geometry if x.name == "px2")
    assert found.geometry[L] == 0.5
    first = {sympy.expand(x) for x in found.expressions[:3]}
    expected = {mz1, mx1 + L * (m2 + m3), Iyy1 + L**2 * (m2 + m3)}
    assert first == {sympy.expand(x) for x in expected}


def test_written_out_is_the_same_and_numbers_agree():
    robot = kinematics.random_tree(2, 0.0, 1, kinds=("prismatic",), root="free")
    found = kinematics.symbolic_base_parameters(robot)
    assert found.definitions
    values = dict(zip(found.parameters, robot.pi.flatten().tolist(), strict=True)) | found.geometry
    numbers = [float(x.xreplace(values)) for x in found.written_out()]
    assert worst(np.array(numbers), found.matrix @ robot.pi.flatten()) < 1e-12


def test_mimic_joints_are_left_to_the_numbers():
    with pytest.raises(RobotError, match="use base_parameters"):
        kinematics.symbolic_base_parameters(mimicking())
