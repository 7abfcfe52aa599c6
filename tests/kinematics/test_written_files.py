"""Robots written as URDF and MJCF: what is loaded again answers as the robot did, other readers
agree, and what a file cannot state is refused or said."""

import math
import re
import warnings

import mujoco
import numpy as np
import pinocchio as pin
import pytest
import torch
from kinematic_samples import MIXED, mimicking, sample_robots, worst
from mujoco_oracle import MujocoOracle

import kinematics
from kinematics import RobotError, to_mjcf, to_urdf
from kinematics.robot import joints
from kinematics.spatial.rotations import (
    about_axis,
    angles_of_matrix,
    matrix_of_quaternion,
    quaternion_of_matrix,
)

WRITERS = {"URDF": to_urdf, "MJCF": to_mjcf}
STATED = {
    "URDF": ("damping", "friction"),
    "MJCF": ("armature", "damping", "friction", "stiffness", "spring_reference"),
}


def with_terms(robot, names, seed=0):
    """The robot with these joint terms at every joint that is not free, one number a joint."""
    generator = torch.Generator().manual_seed(seed)
    values = {}
    for name in names:
        values[name] = torch.zeros(robot.nv, dtype=torch.float64)
        for joint in robot.independent_joints:
            kind = robot.kinds[joint]
            if kind != "free" and not (name == "spring_reference" and kind == "spherical"):
                drawn = torch.rand(1, generator=generator, dtype=torch.float64)
                values[name][robot.v_slices[joint]] = drawn
    return robot.replace(**values)


def error(robot, text):
    """The largest relative difference of the accelerations of a robot and of its file."""
    read = kinematics.load(text, joint_terms=True)
    assert read.independent_names == robot.independent_names
    q, v, tau = kinematics.random_state(robot, 20)
    return worst(kinematics.aba(read, q, v, tau), kinematics.aba(robot, q, v, tau))


def robots(form):
    """Bundled robots and random trees of every kind that the format has."""
    loaded = [kinematics.load(name, joint_terms=True) for name in kinematics.bundled()]
    bundled = [robot for robot in loaded if robot.muscles is None]  # which no writer states
    kinds = {"URDF": ("revolute", "continuous", "prismatic"), "MJCF": MIXED}[form]
    trees = [
        kinematics.random_tree(6, 0.5, seed=seed, kinds=kinds, root=("fixed", "free")[seed % 2])
        for seed in range(4)
    ]
    return [*bundled, *trees, kinematics.load("panda", root="free"), mimicking()]


@pytest.mark.parametrize("form", WRITERS)
def test_what_is_read_again_answers_as_the_robot_did(form):
    for robot in robots(form):
        assert error(robot, WRITERS[form](robot)) < 1e-10, robot
        sprung = with_terms(robot, STATED[form])
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # nothing is left out
            text = WRITERS[form](sprung)
        assert error(sprung, text) < 1e-10, robot


@pytest.mark.parametrize("form", WRITERS)
def test_a_file_that_lies_is_noticed(form):
    robot = kinematics.random_tree(3, seed=1, kinds=("revolute",))
    text = WRITERS[form](robot)
    mass = repr(float(robot.pi[1, 0]))
    assert text.count(mass) == 1
    assert error(robot, text.replace(mass, repr(1.001 * float(mass)))) > 1e-6


def test_numbers_come_back_to_the_last_digit():
    robot = kinematics.random_tree(5, seed=3)
    for write in WRITERS.values():
        read = kinematics.load(write(robot))
        assert torch.equal(read.tree_offset, robot.tree_offset)
        assert torch.equal(read.pi[:, 0], robot.pi[:, 0])
        assert torch.equal(read.lower, robot.lower)  # infinite
        assert (read.axes - robot.axes).abs().max() < 1e-15
    limited = robot.replace(
        lower=[-math.inf, -1 / 3, -math.inf, -2.0, -math.inf],
        upper=[1 / 7, 2 / 3, math.inf, 1e-3, math.inf],
        effort_limit=[1 / 3, math.inf, 5.0, 6.0, 7.0],
        velocity_limit=[1 / 9, math.inf, 5.0, 6.0, 7.0],
    )
    for write in WRITERS.values():
        read = kinematics.load(write(limited))
        for name in ("lower", "upper", "effort_limit"):
            assert torch.equal(getattr(read, name), getattr(limited, name))
    read = kinematics.load(to_urdf(limited))
    assert torch.equal(read.velocity_limit, limited.velocity_limit)
    assert read.to_dict()["kinds"] == list(limited.kinds)


def test_pinocchio_reads_the_urdf_alike():
    for root in ("fixed", "free"):
        robot = kinematics.random_tree(5, 0.5, seed=2, root=root)
        model = pin.buildModelFromXML(to_urdf(robot))
        assert list(model.names)[1:] == list(robot.joint_names)
        data = model.createData()
        model.gravity.linear = robot.gravity.numpy()
        if root == "free":
            continue  # other coordinates; the names say that it is one
        q, v, tau = kinematics.random_state(robot, 5)
        a = kinematics.aba(robot, q, v, tau)
        for state in zip(q.numpy(), v.numpy(), tau.numpy(), a, strict=True):
            assert worst(pin.aba(model, data, *state[:3]), state[3]) < 1e-10


def test_mujoco_reads_the_mjcf_alike():
    for root in ("fixed", "free"):
        robot = kinematics.random_tree(5, 0.5, seed=6, kinds=MIXED, root=root)
        robot = with_terms(robot, ("armature", "damping", "stiffness", "spring_reference"))
        oracle = MujocoOracle(robot, mujoco.MjModel.from_xml_string(to_mjcf(robot)))
        q, v, a = kinematics.random_state(robot, 4)
        tau = kinematics.rnea(robot, q, v, a)
        for i in range(4):
            assert worst(tau[i], oracle.rnea(*(x[i].numpy() for x in (q, v, a)))) < 1e-10


def test_mujoco_holds_what_follows_another_joint():
    robot = with_terms(mimicking(), STATED["MJCF"]).replace(friction=torch.zeros(3))
    model = mujoco.MjModel.from_xml_string(to_mjcf(robot))
    assert model.neq == 1
    assert model.eq_data[0][:2].tolist() == [0.1, 0.5]


COUPLED = """
<mujoco><compiler angle="radian"/><worldbody>
  <body><joint name="a" axis="0 1 0" ref=".2" stiffness="3" springref=".5" damping=".1"/>
    <geom size=".1" pos=".1 0 -.3"/>
    <body pos="0 0 -.5"><joint name="b" type="slide" axis="1 0 0" armature=".3" damping=".2"
        ref=".05" stiffness="7" springref="-.1" frictionloss=".4"/><geom size=".1" pos=".1 0 -.3"/>
      <body pos="0 0 -.5"><joint name="c" axis="1 1 0" armature=".1"/><geom size=".1" pos=".2 0 0"/>
  </body></body></body></worldbody>
  <equality>{equality}</equality></mujoco>"""
FOLLOWS = '<joint joint1="b" joint2="a" polycoef=".3 -.7 0 0 0"/>'


def test_joints_coupled_in_an_mjcf_are_mimics():
    """Forces of the whole tree, as MuJoCo has them, pulled back to the joints that move freely."""
    robot = kinematics.load(COUPLED.format(equality=FOLLOWS + '<joint joint1="c" joint2="b"/>'))
    free = kinematics.load(COUPLED.format(equality=""))
    assert robot.independent_names == ("a",)
    b, c = robot.mimic
    assert (b.driver, c.driver) == ("a", "a")
    # MuJoCo: q_b - ref_b = .3 - .7 (q_a - ref_a); q_c = q_b - ref_b
    assert np.allclose([b.multiplier, b.offset], [-0.7, 0.05 + 0.3 + 0.7 * 0.2])
    assert np.allclose([c.multiplier, c.offset], [-0.7, 0.3 + 0.7 * 0.2])
    G = torch.tensor([[1.0], [-0.7], [-0.7]], dtype=torch.float64)
    g = torch.tensor([0.0, b.offset, c.offset], dtype=torch.float64)
    q, v, a = kinematics.random_state(robot, 6)
    free = free.replace(friction=torch.zeros(3))
    smooth = robot.replace(friction=torch.zeros(1))
    whole = kinematics.rnea(free, q @ G.T + g, v @ G.T, a @ G.T)
    assert worst(kinematics.rnea(smooth, q, v, a), whole @ G) < 1e-12
    assert robot.friction.tolist() == pytest.approx([0.7 * 0.4])


@pytest.mark.parametrize(
    "constraint",
    [
        '<joint joint1="c" polycoef=".1 0 0 0 0"/>',
        '<joint joint1="c" joint2="a" polycoef="0 1 .2 0 0"/>',
        '<joint joint1="b" joint2="c"/>',
    ],
)
def test_other_couplings_are_still_refused(constraint):
    with pytest.raises(RobotError, match="1 equality constraints"):
        kinematics.load(COUPLED.format(equality=FOLLOWS + constraint))


def test_joints_that_follow_each_other_are_refused():
    loop = COUPLED.format(equality=FOLLOWS + '<joint joint1="a" joint2="b"/>')
    with pytest.raises(RobotError, match="loop of mimics"):
        kinematics.load(loop)


def test_gravity_that_a_urdf_cannot_state():
    robot = kinematics.random_tree(4, 0.5, seed=5)
    generator = np.random.default_rng(0)
    for direction in [*generator.normal(size=(4, 3)), [0, 0, 1], [0, 1, 0], [1e-12, 0, 1]]:
        g = 9.81 * np.asarray(direction) / np.linalg.norm(direction)
        turned = robot.replace(gravity=g)
        assert error(turned, to_urdf(turned)) < 1e-10
        assert error(turned, to_mjcf(turned)) < 1e-10
    light = robot.replace(gravity=[0.0, 0.0, -1.62])
    with pytest.warns(UserWarning, match="gravity"):
        assert "gravity of (0.0, 0.0, -1.62)" in to_urdf(light)
    assert error(light, to_mjcf(light)) < 1e-10


def test_forces_that_a_file_cannot_state_are_said_in_it():
    robot = kinematics.random_tree(3, seed=1, kinds=("revolute",))
    sprung = robot.replace(armature=[0.1, 0.2, 0.0], stiffness=[0.0, 2.0, 0.0])
    said = "not stated in this URDF: armature and stiffness of joint1"
    with pytest.warns(UserWarning, match=said):
        assert said in to_urdf(sprung)
    ball = kinematics.random_tree(2, seed=1, kinds=("spherical",))
    uneven = ball.replace(
        damping=[1.0, 2.0, 3.0, 0, 0, 0], spring_reference=[0.0, 0, 0, 1, 0, 0], stiffness=[1.0] * 6
    )
    said = "not stated in this MJCF: damping of joint0; stiffness of joint1"
    with pytest.warns(UserWarning, match=said):
        assert said in to_mjcf(uneven)
    assert "smooth" in to_mjcf(robot.replace(friction=[0.1, 0, 0]))
    assert "<!-- by hand, as of - - today -->" in to_mjcf(robot, ["by hand, as of -- today"])


def test_a_rotor_on_the_base_is_inertia_of_its_body():
    for seed in (1, 2):
        robot = kinematics.random_tree(4, 1.0, seed=seed, kinds=("revolute",))
        on_base = torch.tensor([float(parent < 0) for parent in robot.parents])
        geared = robot.replace(armature=5.0 * on_base)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            text = to_urdf(geared)
        assert "the armature of joint0" in text
        assert error(geared, text) < 1e-10


def test_a_spring_of_a_free_joint_rests_where_it_did():
    robot = kinematics.random_tree(2, seed=4, kinds=("revolute",), root="free")
    rest = [0.3, -0.2, 0.5, 1.0, 2.0, 3.0, 0.0]
    robot = robot.replace(stiffness=[4.0] * 6 + [0.0], spring_reference=rest, damping=[0.2] * 7)
    assert error(robot, to_mjcf(robot)) < 1e-10


def test_bodies_that_no_file_can_state_are_refused():
    robot = kinematics.random_tree(2, seed=4)
    pi = robot.pi.clone()
    pi[1, 0] = -0.3
    for write in WRITERS.values():
        with pytest.raises(RobotError, match=r"found -0\.3 kg.*'body1'"):
            write(robot.replace(pi=pi))
    pi[1, 0] = 1e-18  # its centre would be so far away that its inertia is rounded off
    for write in WRITERS.values():
        with pytest.raises(RobotError, match="a mass and a centre"):
            write(robot.replace(pi=pi))
    pi = robot.pi.clone()
    pi[1, 4] += 100.0
    bent = robot.replace(pi=pi)
    with pytest.raises(RobotError, match="triangle inequality"):
        to_mjcf(bent)
    with pytest.warns(UserWarning, match="not physical"):
        assert error(bent, to_urdf(bent)) < 1e-10


def test_flat_bodies_and_points_pass_mujoco_s_own_checks():
    robot = kinematics.random_tree(3, seed=4, kinds=("revolute",)).replace(armature=[0.1] * 3)
    turn = about_axis(np.array([0.6, 0.0, 0.8]), 0.7)
    plate = turn @ np.diag([0.1, 0.2, 0.1 + 0.2]) @ turn.T
    about = kinematics.robot.inertial_parameters.about_origin
    point = about(1.0, np.array([0.1, 0.2, 0.3]), np.zeros((3, 3)))
    bodies = [about(1.0, np.zeros(3), plate), point, np.zeros(10)]
    flat = robot.replace(pi=np.array(bodies))
    text = to_mjcf(flat)
    assert error(flat, text) < 1e-10
    assert "body2 has the least mass and inertia that MuJoCo takes" in text


def test_joints_that_a_format_does_not_have():
    ball = kinematics.random_tree(3, seed=4, kinds=("spherical",))
    with pytest.raises(RobotError, match=r"ball joint 'joint0'.*to_mjcf"):
        to_urdf(ball)
    inner = kinematics.random_tree(3, seed=4, kinds=("free",))
    assert error(inner, to_urdf(inner)) < 1e-10
    with pytest.raises(RobotError, match="free joints on the base, found 'joint1'"):
        to_mjcf(inner)
    with pytest.raises(RobotError, match="one robot of numbers"):
        to_urdf(ball.replace(pi=ball.pi.expand(2, 3, 10)))
    with pytest.raises(RobotError, match="expected a Robot"):
        to_mjcf("panda")


def test_names_and_orders_that_files_do_not_have():
    robot = kinematics.random_tree(3, seed=4)
    odd = robot.replace(joint_names=("a--<b>", "ü & 'x'", "c"), body_names=("world", "d", "e"))
    for write in WRITERS.values():
        assert error(odd, write(odd)) < 1e-10
    with pytest.raises(RobotError, match="XML can hold"):
        to_urdf(robot.replace(joint_names=("a\x01", "b", "c")))
    tree = kinematics.random_tree(3, seed=4, branching=0.0)
    breadth_first = tree.replace(parents=[-1, -1, 0])
    for write in WRITERS.values():
        with pytest.warns(UserWarning, match="another order here: joint0, joint2, joint1"):
            text = write(breadth_first)
        read = kinematics.load(text)
        order = [0, 2, 1]
        q, v, tau = kinematics.random_state(breadth_first, 5)
        a = kinematics.aba(breadth_first, q, v, tau)
        theirs = kinematics.aba(read, *(x[:, order] for x in (q, v, tau)))
        assert worst(theirs, a[:, order]) < 1e-10


def test_angles_and_quaternions_give_their_matrix_back():
    generator = np.random.default_rng(1)
    axes = generator.normal(size=(200, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    matrices = list(about_axis(axes, generator.uniform(-np.pi, np.pi, 200)))
    for pitch in (np.pi / 2, -np.pi / 2, np.pi / 2 - 1e-9, np.pi / 2 + 1e-12):
        for roll, yaw in generator.uniform(-np.pi, np.pi, (10, 2)):
            matrices.append(_of_angles(roll, pitch, yaw))
    matrices += [np.diag(x) for x in ([1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1])]
    for matrix in matrices:
        assert np.abs(_of_angles(*angles_of_matrix(matrix)) - matrix).max() < 1e-15 * 4
        quaternion = quaternion_of_matrix(matrix)
        assert quaternion[0] >= 0
        back = matrix_of_quaternion(quaternion[None, :, None])[0, :, :, 0]
        assert np.abs(back - matrix).max() < 1e-15 * 4


def _of_angles(roll, pitch, yaw):
    x, y, z = np.eye(3)
    return about_axis(z, yaw) @ about_axis(y, pitch) @ about_axis(x, roll)


def test_options_stand_in_the_file():
    text = to_mjcf(kinematics.load("double_pendulum"), timestep=1 / 300, integrator="RK4")
    model = mujoco.MjModel.from_xml_string(text)
    assert model.opt.timestep == 1 / 300
    assert model.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4


DRIVEN = """
<mujoco><compiler angle="radian"/><option timestep=".003" integrator="{integrator}"/><worldbody>
  <body><joint name="a" axis="0 1 0" damping=".1"/><geom size=".1" pos=".1 0 -.3"/>
    <body pos="0 0 -.5"><joint name="b" axis="0 1 0" damping=".2"/><geom size=".1" pos=".1 0 -.3"/>
      <body pos="0 0 -.5"><joint name="c" axis="1 1 0"/><geom size=".1" pos=".2 0 0"/>
  </body></body></body></worldbody>
  <tendon><fixed name="t"><joint joint="a" coef="2"/><joint joint="b" coef="-.5"/></fixed></tendon>
  <actuator><motor name="m" joint="a" gear="3" ctrlrange="-.4 .6" ctrllimited="true"/>
    <motor name="both" tendon="t" forcerange="-1 2" forcelimited="true"/>
    <position name="p" joint="c" kp="7" kv=".3" gear="1.5"/></actuator></mujoco>"""


@pytest.mark.parametrize("integrator", ["Euler", "RK4", "implicit"])
def test_actuators_and_step_come_back(integrator):
    robot = kinematics.load(DRIVEN.format(integrator=integrator))
    read = kinematics.load(to_mjcf(robot))
    assert read.stepping == robot.stepping
    assert read.actuation.names == ("m", "both", "p")
    generator = torch.Generator().manual_seed(0)
    q, v, u = torch.randn(3, 20, 3, generator=generator, dtype=torch.float64)
    assert worst(read.actuation(q, v, u), robot.actuation(q, v, u)) < 1e-12
    undamped = robot.replace(stepping=kinematics.Stepping(timestep=0.1, integrator="rk4"))
    assert kinematics.load(to_mjcf(undamped)).stepping == undamped.stepping
    explicit = kinematics.Stepping(timestep=0.1, integrator="semi_implicit_euler")
    assert kinematics.load(to_mjcf(robot.replace(stepping=explicit))).stepping == explicit


def test_actuators_of_joints_that_follow_others_drive_their_drivers():
    followed = DRIVEN.format(integrator="RK4").replace(
        "<actuator>",
        '<equality><joint joint1="b" joint2="a" polycoef="0 .5 0 0 0"/></equality><actuator>',
    )
    robot = kinematics.load(followed)
    assert robot.actuation.arms[:, 0].tolist() == pytest.approx([3.0, 2.0 - 0.5 * 0.5, 0.0])
    again = kinematics.load(to_mjcf(robot))
    assert worst(again.actuation.arms, robot.actuation.arms) < 1e-12


@pytest.mark.parametrize("form", WRITERS)
def test_every_sample_is_written_or_refused_in_one_line(form):
    for robot in sample_robots():
        try:
            text, refused = WRITERS[form](robot), None
        except RobotError as found:
            text, refused = None, str(found)
        if text is not None:
            assert error(robot, text) < 1e-10
        else:
            assert re.fullmatch(r"expected [^\n]*, found [^\n]*; [^\n]*", refused)
            assert set(robot.kinds) & set(joints.QUATERNION)
