"""Locked joints: the robot without them moves as the full robot does while they are held."""

import numpy as np
import pytest
import torch

import kinematics
from kinematics import RobotError

SEEDS = range(6)


def held_and_full(seed, share=0.5):
    """A random tree, some of its joints locked at random places, and states of both."""
    rng = np.random.default_rng(seed)
    kinds = ("revolute", "prismatic", "spherical")
    root = "free" if seed % 2 else "fixed"
    robot = kinematics.random_tree(int(rng.integers(3, 9)), seed=seed, kinds=kinds, root=root)
    q, v, a = kinematics.random_state(robot, 5, seed=seed)
    names = robot.independent_names
    chosen = [n for n in names if rng.random() < share][: len(names) - 1] or [names[0]]
    held = {n: q[0, robot.q_slice(n)].tolist() for n in chosen}
    for name in chosen:
        q[:, robot.q_slice(name)] = q[0, robot.q_slice(name)]
        v[:, robot.v_slice(name)] = 0
        a[:, robot.v_slice(name)] = 0
    locked = kinematics.lock(robot, held)
    free = [n for n in names if n not in chosen]
    rows_q = [k for n in free for k in range(*robot.q_slice(n).indices(robot.nq))]
    rows_v = [k for n in free for k in range(*robot.v_slice(n).indices(robot.nv))]
    return robot, locked, (q, v, a), rows_q, rows_v


@pytest.mark.parametrize("seed", SEEDS)
def test_the_mass_matrix_is_a_block_and_joint_forces_are_the_same(seed):
    robot, locked, (q, v, a), rows_q, rows_v = held_and_full(seed)
    assert locked.nv == len(rows_v)
    whole = kinematics.crba(robot, q)
    block = whole[:, rows_v][:, :, rows_v]
    assert torch.allclose(kinematics.crba(locked, q[:, rows_q]), block, atol=1e-10)
    forces = kinematics.rnea(robot, q, v, a)[:, rows_v]
    found = kinematics.rnea(locked, q[:, rows_q], v[:, rows_v], a[:, rows_v])
    assert torch.allclose(found, forces, atol=1e-9)


def test_locking_one_joint_after_another_is_locking_both():
    robot = kinematics.load("panda")
    first, last = robot.independent_names[1], robot.independent_names[4]
    both = kinematics.lock(robot, {first: 0.3, last: -0.7})
    turns = kinematics.lock(kinematics.lock(robot, {last: -0.7}), {first: 0.3})
    q = torch.linspace(-1, 1, both.nv, dtype=torch.float64)[None]
    assert torch.allclose(kinematics.crba(both, q), kinematics.crba(turns, q), atol=1e-12)
    assert torch.allclose(both.pi, turns.pi, atol=1e-12)


def test_the_total_mass_stays_where_nothing_hangs_on_the_base():
    robot = kinematics.load("panda", root="free")
    name = robot.independent_names[3]
    locked = kinematics.lock(robot, {name: 0.4})
    assert torch.allclose(kinematics.total_mass(locked), kinematics.total_mass(robot))


def test_gradients_pass_to_the_parameters_of_a_locked_body():
    robot = kinematics.load("panda")
    pi = robot.pi.clone().requires_grad_()
    locked = kinematics.lock(robot.replace(pi=pi), {robot.independent_names[5]: 0.2})
    kinematics.crba(locked, torch.zeros(1, locked.nv, dtype=torch.float64)).sum().backward()
    assert float(pi.grad[5].abs().sum()) > 0


MIMIC = """<robot name="gripper"><link name="base"/>{links}
<joint name="arm" type="revolute"><parent link="base"/><child link="a"/><axis xyz="0 1 0"/>
<limit effort="1" velocity="1" lower="-3" upper="3"/></joint>
<joint name="left" type="prismatic"><parent link="a"/><child link="b"/><axis xyz="0 1 0"/>
<origin xyz="0.1 0 0.2"/><limit effort="1" velocity="1" lower="0" upper="1"/></joint>
<joint name="right" type="prismatic"><parent link="a"/><child link="c"/><axis xyz="0 -1 0"/>
<mimic joint="left" multiplier="2" offset="0.1"/>
<limit effort="1" velocity="1" lower="0" upper="1"/></joint></robot>"""
LINK = """<link name="{n}"><inertial><mass value="{m}"/><origin xyz="0.1 0.2 0.3"/>
<inertia ixx=".1" iyy=".1" izz=".1" ixy="0" ixz="0" iyz="0"/></inertial></link>"""
GRIPPER = MIMIC.format(
    links="".join(LINK.format(n=n, m=m) for n, m in zip("abc", (1, 2, 3), strict=True))
)


def test_what_mimics_a_locked_joint_is_locked_with_it():
    robot = kinematics.load(GRIPPER)
    locked = kinematics.load(GRIPPER, lock={"left": 0.05})
    assert locked.joint_names == ("arm",)
    q = torch.tensor([[0.4, 0.05]], dtype=torch.float64)
    block = kinematics.crba(robot, q)[:, :1, :1]
    assert torch.allclose(kinematics.crba(locked, q[:, :1]), block, atol=1e-12)
    with pytest.raises(RobotError, match="mimics 'left'; lock that one"):
        kinematics.lock(robot, {"right": 0.0})


@pytest.mark.parametrize(
    ("lock", "words"),
    [
        ({"panda_joint9": 0.0}, "expected a joint of .* found 'panda_joint9'; did you mean"),
        ({"panda_joint1": [0.0, 1.0]}, "expected a finite number"),
        ({"panda_joint1": float("nan")}, "expected a finite number"),
        ({"panda_joint1": "zero"}, "expected a finite number"),
    ],
)
def test_what_cannot_be_locked_is_one_line(lock, words):
    with pytest.raises(RobotError, match=words) as caught:
        kinematics.load("panda", lock=lock)
    assert "\n" not in str(caught.value)


def test_a_robot_keeps_a_joint():
    robot = kinematics.load("double_pendulum")
    with pytest.raises(RobotError, match="not locked, found none"):
        kinematics.lock(robot, dict.fromkeys(robot.independent_names, 0.0))


def test_gravity_on_a_wall_is_that_of_the_turned_robot():
    robot = kinematics.load("panda", gravity=[9.81, 0.0, 0.0])
    turn = torch.tensor([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]], dtype=torch.float64)
    upright = kinematics.load("panda")
    turned = upright.replace(
        tree_rotation=torch.cat(
            [(turn @ upright.tree_rotation[0])[None], upright.tree_rotation[1:]]
        ),
        tree_offset=torch.cat([(turn @ upright.tree_offset[0])[None], upright.tree_offset[1:]]),
    )
    q, v, _ = kinematics.random_state(robot, 4, seed=0)
    expected = kinematics.rnea(turned, q, v, torch.zeros_like(v))
    assert torch.allclose(kinematics.rnea(robot, q, v, torch.zeros_like(v)), expected, atol=1e-9)
    with pytest.raises(RobotError, match="gravity as three finite numbers"):
        kinematics.load("panda", gravity=[9.81])


def test_the_actuation_keeps_its_controls():
    pytest.importorskip("mujoco")
    text = """<mujoco><worldbody><body><joint name="a" axis="0 1 0"/><geom size=".1" mass="1"/>
    <body pos="0 0 .5"><joint name="b" axis="0 1 0"/><geom size=".1" mass="1"/></body></body>
    </worldbody><actuator><motor joint="a" gear="3"/><motor joint="b" gear="5"/></actuator>
    </mujoco>"""
    locked = kinematics.load(text, lock={"a": 0.2})
    assert locked.actuation.arms.tolist() == [[0.0], [5.0]]
