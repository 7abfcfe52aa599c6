"""MJCF through MuJoCo's compiler, against MuJoCo's own dynamics."""

import importlib
import sys

import mujoco
import pytest
import torch
from kinematic_samples import worst
from mujoco_oracle import MujocoOracle

import kinematics
from kinematics import RobotError

BEAST = """
<mujoco model="beast">
  <compiler angle="degree" inertiafromgeom="true"/>
  <default><joint armature="0.1" damping="0.3"/></default>
  <option gravity="0.3 -0.2 -9"/>
  <worldbody>
    <body name="torso" pos="0 0 1" euler="10 20 30">
      <freejoint name="root"/><geom type="box" size=".1 .2 .3"/>
      <body name="leg" pos=".1 .2 -.3" euler="30 0 10">
        <joint name="hx" type="hinge" axis="1 0 0" pos="0.01 .02 .03" ref="20" stiffness="2"
               springref="15" range="-30 40" limited="true"/>
        <joint name="hy" type="hinge" axis="0 1 1" pos="0 .02 .01" frictionloss="0.5"/>
        <joint name="s" type="slide" axis="0 0 1" ref=".1"/>
        <geom type="capsule" size=".05" fromto="0 0 0 .1 0 -.4"/>
        <body name="foot" pos="0 0 -.4"><geom type="sphere" size=".06" pos=".05 0 0"/></body>
      </body>
      <body name="arm" pos=".1 -.2 .3">
        <joint name="b" type="ball" pos="0 0 .05" damping=".2"/>
        <geom type="capsule" size=".04" fromto="0 0 0 .3 .1 0"/>
        <body name="hand" pos=".3 .1 0">
          <joint name="w" type="hinge" axis="0 0 1"/><geom type="sphere" size=".05" pos=".05 0 0"/>
        </body>
      </body>
    </body>
  </worldbody>
</mujoco>"""


def test_every_joint_agrees_with_mujoco():
    robot = kinematics.load(BEAST)
    assert robot.joint_names == ("root", "hx", "hy", "s", "b", "w")
    assert robot.body_names[1:4] == ("leg.0", "leg.1", "leg")
    smooth = robot.replace(friction=torch.zeros(robot.nv))
    oracle = MujocoOracle(smooth, mujoco.MjModel.from_xml_string(BEAST))
    q, v, a = kinematics.random_state(robot, 4, q=100.0, v=50.0, a=50.0)
    tau, H = kinematics.rnea(smooth, q, v, a), kinematics.crba(smooth, q)
    for i in range(4):
        state = [x[i].numpy() for x in (q, v, a)]
        assert worst(tau[i], oracle.rnea(*state)) < 1e-12
        assert worst(H[i], oracle.crba(state[0])) < 1e-12
    assert worst(kinematics.aba(smooth, q, v, tau), a) < 1e-9


SPRUNG = """
<mujoco>
  <worldbody>
    <body pos=".1 .2 .3" euler="20 -40 60">
      <joint name="f" type="free" stiffness="3"/><geom type="box" size=".1 .2 .3"/>
      <body pos=".3 0 0" euler="0 50 0">
        <joint name="b" type="ball" pos="0 .1 .05" stiffness="7"/>
        <geom type="capsule" size=".05" fromto="0 0 0 .3 .1 0"/>
        <body pos=".3 .1 0">
          <joint name="h" type="hinge" axis="0 1 1" stiffness="2" springref="30"/>
          <geom type="sphere" size=".05" pos=".05 0 0"/>
        </body>
      </body>
    </body>
    <body pos="1 0 0">
      <joint name="x" type="slide" axis="1 0 0"/>
      <joint name="c" type="ball" stiffness="0.5"/><geom type="ellipsoid" size=".1 .2 .3"/>
    </body>
  </worldbody>
</mujoco>"""


@pytest.mark.parametrize("count", [2, 6])
def test_springs_of_ball_and_free_joints_agree_with_mujoco(count):
    """Through numpy (few states) and through torch (more); in every direction of turning."""
    robot = kinematics.load(SPRUNG)
    assert robot.notes == ()
    assert len(robot.turning_springs) == 3
    oracle = MujocoOracle(robot, mujoco.MjModel.from_xml_string(SPRUNG))
    q, v, a = kinematics.random_state(robot, count, q=3.0, seed=4)
    for at in robot.quaternion_slices:
        q[1, at] *= -1  # the same orientation
    tau = kinematics.rnea(robot, q, v, a)
    for i in range(count):
        assert worst(tau[i], oracle.rnea(*(x[i].numpy() for x in (q, v, a)))) < 1e-12
    assert worst(kinematics.aba(robot, q, v, tau), a) < 1e-10
    many = [x.repeat(600, 1) for x in (q, v, tau)]  # beyond where programs would be used
    assert worst(kinematics.aba(robot, *many)[:count], a) < 1e-10
    # at rest where the description says
    oracle.data.qpos[:] = oracle.model.qpos_spring
    still = torch.zeros(robot.nv)
    free = robot.replace(gravity=[0.0, 0.0, 0.0])
    assert float(kinematics.bias(free, oracle.model.qpos_spring, still).abs().max()) < 1e-15
    with pytest.raises(kinematics.WorldlawError, match="springs along single coordinates"):
        kinematics.compile(robot, "aba")


def test_what_is_not_linear_is_refused_or_left_out_by_choice():
    bent = BEAST.replace('stiffness="2"', 'stiffness="2 1 3"')
    with pytest.raises(RobotError, match="not linear"):
        kinematics.load(bent)
    assert float(kinematics.load(bent, tree_only=True).stiffness.max()) == 2.0


FLAGGED = """
<mujoco>
  <option density="10" viscosity="2"><flag {}/></option>
  <worldbody>
    <body name="a" gravcomp=".5">
      <joint name="j" axis="0 1 0" damping="5" stiffness="7" frictionloss="3"/>
      <geom size=".1" pos=".2 0 .3"/>
      <body name="b" pos="0 0 .5">
        <joint name="k" type="ball" damping="2" stiffness="4"/><geom size=".1" pos=".1 0 .3"/>
      </body>
    </body>
  </worldbody>
  <equality><weld body1="b"/></equality>
</mujoco>"""


@pytest.mark.parametrize(
    ("flags", "zero"),
    [
        ("spring", "stiffness"),
        ("damper", "damping"),
        ("frictionloss", "friction"),
        ("constraint", "friction"),
        ("gravity", "gravity"),
        ("spring damper", "stiffness damping"),
    ],
)
def test_flags_switch_off_what_mujoco_leaves_out(flags, zero):
    text = FLAGGED.format(" ".join(f'{name}="disable"' for name in flags.split()))
    robot = kinematics.load(text, tree_only=True)
    for name in ("stiffness", "damping", "friction", "gravity"):
        assert bool((getattr(robot, name) == 0).all()) is (name in zero.split()), name
    smooth = robot.replace(friction=torch.zeros(robot.nv))
    oracle = MujocoOracle(smooth, mujoco.MjModel.from_xml_string(text))
    q, v, a = kinematics.random_state(robot, 3, seed=2)
    tau = kinematics.rnea(smooth, q, v, a)
    for i in range(3):
        assert worst(tau[i], oracle.rnea(*(x[i].numpy() for x in (q, v, a)))) < 1e-12


def test_what_flags_switch_off_is_no_reason_to_refuse():
    off = FLAGGED.format('spring="disable" damper="disable" equality="disable"')
    assert any("switched off" in note for note in kinematics.load(off).notes)
    still_drags = off.replace('damper="disable" ', "")
    with pytest.raises(RobotError, match=r"fluid.*gravity compensation"):
        kinematics.load(still_drags)
    inactive = BEAST.replace(
        "</mujoco>",
        '<equality><connect body1="foot" body2="hand" anchor="0 0 0" active="false"/></equality>'
        "</mujoco>",
    )
    assert kinematics.load(inactive).nv == kinematics.load(BEAST).nv


FLOATING = """
<mujoco><worldbody><body pos="0 0 1" euler="20 30 40">
  <joint type="free" damping=".3" {}/><geom type="box" size=".1 .2 .3" pos=".05 0 .1"/>
  <body pos=".3 0 0"><joint type="ball" armature=".1"/><geom type="box" size=".1 .2 .1"/></body>
</body></worldbody></mujoco>"""


@pytest.mark.parametrize("term", ["armature", "frictionloss"])
def test_free_joint_terms_along_the_axes_of_the_world_are_refused(term):
    text = FLOATING.format(f'{term}=".2"')
    with pytest.raises(RobotError, match=r"of a free joint.*tree_only=True"):
        kinematics.load(text)
    assert kinematics.load(text, joint_terms=False).notes == ()
    robot = kinematics.load(text, tree_only=True)
    assert any("free joint" in note for note in robot.notes)
    # what is left out is just that: the rest agrees with the same file without it
    plain = FLOATING.format("")
    assert kinematics.load(plain).notes == ()
    oracle = MujocoOracle(robot, mujoco.MjModel.from_xml_string(plain))
    q, v, a = kinematics.random_state(robot, 3, seed=1)
    tau = kinematics.rnea(robot, q, v, a)
    for i in range(3):
        assert worst(tau[i], oracle.rnea(*(x[i].numpy() for x in (q, v, a)))) < 1e-12


def test_joint_terms_are_read_and_can_be_left_out():
    robot = kinematics.load(BEAST)
    hy, hx = robot.v_slice("hy"), robot.v_slice("hx")
    assert float(robot.friction[hy]) == 0.5
    assert float(robot.stiffness[hx]) == 2.0
    assert float(robot.upper[robot.q_slice("hx")]) == pytest.approx(0.698, abs=1e-3)
    bare = kinematics.load(BEAST, joint_terms=False)
    assert float(bare.armature.abs().max()) == 0.0


def test_what_is_no_tree_is_refused_or_left_out_by_choice():
    loop = BEAST.replace(
        "</mujoco>",
        '<equality><connect body1="foot" body2="hand" anchor="0 0 0"/></equality></mujoco>',
    )
    with pytest.raises(RobotError, match=r"1 equality constraints.*tree_only=True"):
        kinematics.load(loop)
    assert any("equality" in note for note in kinematics.load(loop, tree_only=True).notes)


@pytest.mark.parametrize(
    "text",
    [
        "<mujoco><worldbody><body/></worldbody></mujoco>",
        "<mujoco><worldbody><nonsense/></worldbody></mujoco>",
        '<mujoco><include file="/etc/passwd"/></mujoco>',
        BEAST.replace('size=".05"', 'size="nan"'),
        BEAST[:900],
        "<mujoco/>",
    ],
)
def test_bad_mjcf_is_one_line(text):
    with pytest.raises(RobotError) as caught:
        kinematics.load(text)
    assert "\n" not in str(caught.value)


def test_without_mujoco_the_mend_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(RobotError, match=r"worldlaw\[mujoco\]"):
        kinematics.load(BEAST)
    monkeypatch.undo()
    importlib.import_module("mujoco")


def test_a_fixed_base_can_be_set_free():
    text = BEAST.replace('<freejoint name="root"/>', "")
    assert kinematics.load(text).kinds[0] == "revolute"
    assert kinematics.load(text, root="free").joint_names[0] == "root_joint"
    assert kinematics.load(BEAST, root="free").nv == kinematics.load(BEAST).nv
