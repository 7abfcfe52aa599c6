"""What strangers hand over: one line says what was expected, found, and the mend."""

import glob
import subprocess
import sys

import pinocchio
import pytest
import torch
from kinematic_samples import mimicking, on_device
from test_descriptions import ARM, joint, link, urdf

import kinematics
from kinematics import RobotError, WorldlawError

PANDA = kinematics.load("panda")
Q, V, A = kinematics.random_state(PANDA, 4)
FIELDS = PANDA.to_dict()


def simulated(q=Q, v=V, tau=None, dt=0.01, steps=1, **options):
    return kinematics.simulate(PANDA, q, v, tau, dt, steps, **options)


MISUSE = {
    "short q0": (lambda: simulated(q=Q[:, :5]), r"q0 of shape \(\.\.\., 7\)"),
    "scalar v0": (lambda: simulated(v=0.0), "v0 of shape"),
    "batches of q0 and v0": (lambda: simulated(v=V[:3]), "broadcast together"),
    "batch of tau": (lambda: simulated(tau=V[:3]), "broadcast together"),
    "batch of a policy": (lambda: simulated(tau=lambda q, v, t: V[:3]), "broadcast together"),
    "infinite dt": (lambda: simulated(dt=float("inf")), "finite dt > 0"),
    "half a step": (lambda: simulated(steps=2.5), "whole number of steps"),
    "integrators": (lambda: simulated(integrator=["rk4"]), "integrator among"),
    "complex q": (lambda: kinematics.crba(PANDA, Q.to(torch.complex128)), "real numbers as q"),
    "no q": (lambda: kinematics.crba(PANDA, None), "found None"),
    "no robot": (lambda: kinematics.crba("panda", Q), "expected a Robot"),
    "no robot for parameters": (lambda: kinematics.base_parameters("x"), "found str"),
    "no robot for symbols": (lambda: kinematics.symbolic_base_parameters(None), "found NoneType"),
    "no robot for states": (lambda: kinematics.random_state("x", 3), "expected a Robot"),
    "no robot to weigh": (lambda: kinematics.total_mass("x"), "expected a Robot"),
    "no robot to move": (lambda: kinematics.integrate("x", Q, V), "expected a Robot"),
    "no robot to compare": (lambda: kinematics.difference("x", Q, Q), "expected a Robot"),
    "no robot to simulate": (
        lambda: kinematics.simulate("x", Q, V, None, 0.1, 1),
        "expected a Robot",
    ),
    "batches to integrate": (lambda: kinematics.integrate(PANDA, Q, V[:3]), "broadcast together"),
    "batch of dt": (lambda: kinematics.integrate(PANDA, Q, V, torch.ones(3)), "of dt"),
    "batches to compare": (lambda: kinematics.difference(PANDA, Q, Q[:3]), "broadcast together"),
    "whole numbers": (lambda: PANDA.to(torch.int64), "floating-point dtype"),
    "gravity in words": (lambda: PANDA.replace(gravity="down"), "gravity as an array"),
    "nine parameters": (lambda: kinematics.to_log_cholesky(torch.zeros(9)), r"\(\.\.\., 10\)"),
    "nine logarithms": (lambda: kinematics.from_log_cholesky(torch.zeros(9)), r"\(\.\.\., 10\)"),
    "fewer than none": (lambda: kinematics.random_state(PANDA, -1), "count >= 0"),
    "unknown program": (lambda: kinematics.compile(PANDA, "abba"), "choose one"),
    "long path": (lambda: kinematics.load("a" * 9000), "readable file"),
    "no dictionary": (lambda: kinematics.Robot.from_dict([1]), "dictionary"),
    "words for axes": (lambda: kinematics.Robot.from_dict(FIELDS | {"axes": "x"}), "axes"),
    "a strange mimic": (
        lambda: kinematics.Robot.from_dict(FIELDS | {"mimic": [{"a": 1}]}),
        "mimic",
    ),
}


@pytest.mark.parametrize("case", MISUSE, ids=str)
def test_misuse_is_told_in_one_line(case):
    call, fragment = MISUSE[case]
    with pytest.raises(WorldlawError, match=fragment) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    assert "found" in message
    assert ";" in message


RUNAWAY = '<mimic joint="j1" offset="inf"/>'
DYNAMICS = '<dynamics damping="inf"/>'
BAD = {
    "planar axis": (urdf(*ARM[:2], joint("j", "base", "a", "planar")).replace("0 1 0", "0 nan 0"),
                    "axis of joint 'j'"),
    "flat axis": (urdf(*ARM[:2], joint("j", "base", "a", "planar")).replace("0 1 0", "0 0 0"),
                  "non-zero axis"),
    "infinite damping": (urdf(*ARM[:2], joint("j", "base", "a", rest=DYNAMICS)), "damping"),
    "infinite mimic": (urdf(*ARM[:4], joint("k", "a", "b", rest=RUNAWAY)),
                       "offset of joint 'k'"),
    "long name": (urdf(*ARM, link("x" * 10**6)), "at most 200 characters"),
    "lone surrogate": (urdf(*ARM).replace("j1", "\ud800"), "well-formed"),
    "replicas": ('<mujoco><worldbody><replicate count="300"><replicate count="300"><geom size="1"/>'
                 "</replicate></replicate></worldbody></mujoco>", "elements in the world"),
    "flexible": ('<mujoco><worldbody><flexcomp name="f" count="999 999 999"/></worldbody></mujoco>',
                 "<flexcomp>"),
    "texture": ('<mujoco><asset><texture name="t" width="60000" height="60000"/></asset></mujoco>',
                "<texture>"),
    "field": ('<mujoco><asset><hfield name="t" nrow="60000" ncol="60000"/></asset></mujoco>',
              "<hfield>"),
    "user's numbers": ('<mujoco><size nuserdata="2000000000"/></mujoco>', "nuserdata"),
    "nan": ('<mujoco><worldbody><body pos="nan 0 0"><joint/><geom size=".1"/></body></worldbody>'
            "</mujoco>", "finite"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD, ids=str)
def test_what_would_crash_or_hang_is_refused(case):
    text, fragment = BAD[case]
    with pytest.raises(RobotError) as caught:
        kinematics.load(text)
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "robot",
    [
        PANDA,
        kinematics.random_tree(4, seed=2, kinds=("revolute", "spherical", "free", "prismatic")),
        mimicking(),
    ],
    ids=["panda", "mixed", "mimic"],
)
def test_no_states_give_no_results(robot):
    q, v, a = kinematics.random_state(robot, 2)
    full = on_device(robot, q, v, a)
    for name, x in on_device(robot, q[:0], v[:0], a[:0]).items():
        assert tuple(x.shape) == (0, *full[name].shape[1:]), name
    assert kinematics.simulate(robot, q[:0], v[:0], None, 0.1, 1).q.shape == (2, 0, robot.nq)


def test_chains_of_mimics_end_at_what_moves():
    """A joint that mimics one left independent follows it."""
    follow = '<mimic joint="{}" multiplier="2" offset="1"/>'.format
    robot = kinematics.load(
        urdf(*ARM[:3], link("c"), joint("j1", "base", "a", rest=follow("nobody")),
             joint("j2", "a", "b", rest=follow("j1")), joint("j3", "b", "c", rest=follow("j2")))
    )  # fmt: skip
    assert robot.nv == 1
    assert [(m.driver, m.multiplier, m.offset) for m in robot.mimic] == [("j1", 2, 1), ("j1", 4, 3)]
    assert any("nobody" in note for note in robot.notes)


READABLE = {
    "undeclared prefixes": urdf(*ARM, '<gazebo ns:reference="a"><plugin:ros/></gazebo>')
    .replace("<mass ", '<mass ns:source="cad" ')
    .replace("<inertial>", "<inertial><ns:note/>"),
    "default namespace": urdf(*ARM).replace("<robot ", '<robot xmlns="http://example.org/urdf" '),
    "namespace below": urdf(*ARM).replace("<link ", '<link xmlns="http://example.org/urdf" '),
    "declared prefix": urdf(*ARM, "<x:macro x:y='1'/>").replace("<robot ", '<robot xmlns:x="x" '),
    "blank before the declaration": '\n \t\r\n<?xml version="1.0"?>' + urdf(*ARM),
    "byte order mark": '\ufeff\n<?xml version="1.0"?>' + urdf(*ARM),
}


@pytest.mark.parametrize("case", READABLE, ids=str)
def test_xml_that_other_readers_read(case, tmp_path):
    text = READABLE[case].replace("revolute", "continuous")
    assert pinocchio.buildModelFromXML(text).nv == 2
    plain = kinematics.load(urdf(*ARM))
    (tmp_path / "r.urdf").write_text(text, encoding="utf-8")
    for source in (text, tmp_path / "r.urdf"):
        robot = kinematics.load(source)
        assert robot.joint_names == plain.joint_names
        assert torch.equal(robot.pi, plain.pi)


def test_a_blank_before_the_declaration_of_an_mjcf(tmp_path):
    (tmp_path / "r.xml").write_text('\n\n<?xml version="1.0"?>\n' + SLIDING)
    assert kinematics.load(tmp_path / "r.xml").joint_names == ("x", "turn", "hip")


@pytest.mark.filterwarnings("ignore:.*without moving any inertia")
def test_names_that_are_made_up_do_not_meet_those_of_the_file():
    root = urdf(*ARM[:3], joint("j1", "base", "a"), joint("root_joint", "a", "b"))
    robot = kinematics.load(root, root="free")
    assert robot.joint_names == ("root_joint_2", "j1", "root_joint")
    assert kinematics.load(root).joint_names == ("j1", "root_joint")
    glide = urdf(*ARM[:3], link("a_x"), joint("g", "base", "a", "planar"),
                 joint("g_x", "a", "b"), joint("g_y", "b", "a_x"))  # fmt: skip
    robot = kinematics.load(glide)
    assert robot.joint_names == ("g_x_2", "g_y_2", "g", "g_x", "g_y")
    assert robot.body_names == ("a_x_2", "a_y", "a", "b", "a_x")
    nested = (
        '<mujoco><worldbody><body name="b.0"><joint name="b.joint0"/><geom size=".1"/>'
        '<body name="b" pos="0 0 1"><joint/><joint axis="0 1 0"/><geom size=".1"/>'
        '<body pos="0 0 1"><joint name="root_joint" axis="1 0 0"/><geom size=".1"/>'
        '<body name="body3" pos="0 0 1"><joint axis="0 1 0"/><geom size=".1"/></body>'
        "</body></body></body></worldbody></mujoco>"
    )
    robot = kinematics.load(nested)
    assert robot.body_names == ("b.0", "b.0_2", "b", "body3_2", "body3")
    assert robot.joint_names[:3] == ("b.joint0", "b.joint0_2", "b.joint1")
    assert kinematics.load(nested, root="free").joint_names[0] == "root_joint_2"


def test_a_mimic_whose_driver_is_missing_is_a_warning():
    text = urdf(*ARM[:4], joint("j2", "a", "b", rest='<mimic joint="j_1" multiplier="-1"/>'))
    with pytest.warns(UserWarning, match="'j2' mimics 'j_1'.*independent; mend"):
        robot = kinematics.load(text)
    assert robot.nv == 2
    assert any("'j_1'" in note for note in robot.notes)


@pytest.mark.parametrize("kind", ["planar", "floating"])
def test_mimics_of_several_coordinates_are_refused(kind):
    """On either side: nothing says which of the coordinates follows which."""
    follower = urdf(*ARM[:4], joint("m", "a", "b", kind, '<mimic joint="j1"/>'))
    driver = urdf(*ARM[:3], joint("m", "base", "a", kind),
                  joint("j2", "a", "b", rest='<mimic joint="m"/>'))  # fmt: skip
    for text in (follower, driver):
        with pytest.raises(RobotError, match=f"mimic one coordinate.*'m' is {kind}; remove"):
            kinematics.load(text)


def test_mujoco_warns_into_the_notes(tmp_path):
    """Nothing is printed, and no log file appears where the user happens to be."""
    text = (
        '<mujoco><compiler settotalmass="3"/><worldbody><body><joint/><geom size=".1"/></body>'
        "</worldbody></mujoco>"
    )
    script = f"import kinematics; print(kinematics.load({text!r}).notes)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    if "settotalmass" in done.stdout:  # older MuJoCos say nothing
        assert done.stdout[2:].startswith("MuJoCo: ")
    assert not glob.glob(str(tmp_path / "*"))


SLIDING = (
    '<mujoco><worldbody><body name="torso"><joint name="x" type="slide" axis="1 0 0"/>'
    '<joint name="turn" axis="0 1 0"/><geom size=".1"/>'
    '<body name="leg" pos="0 0 .3"><joint name="hip" axis="0 1 0"/><geom size=".1"/></body>'
    "</body></worldbody></mujoco>"
)


def test_motions_without_inertia_are_noted():
    """A free root before joints that move the same way, and a tip of no mass."""
    with pytest.warns(UserWarning, match="without moving any inertia"):
        doubled = kinematics.load(SLIDING, root="free")
    (note,) = doubled.notes
    assert "x, turn can move" in note
    assert "hip" not in note.split(" can move")[0]
    nothing = torch.zeros(doubled.nv, dtype=torch.float64)
    assert kinematics.aba(doubled, doubled.neutral(), nothing, nothing + 1).isnan().any()
    tip = urdf(*ARM[:2], '<link name="b"/>', joint("j1", "base", "a"), joint("j2", "a", "b"))
    with pytest.warns(UserWarning, match="j2 can move"):
        assert "j2 can move" in kinematics.load(tip).notes[0]
    assert not kinematics.load(SLIDING).notes  # several joints of one body: massless ones between


RAIL = """<robot name="rail" xmlns:xacro="http://ros.org/wiki/xacro">{above}
  <link name="ground"/><link name="cart"><inertial><mass value="{mass}"/>
    <inertia ixx=".1" iyy=".1" izz=".1" ixy="0" ixz="0" iyz="0"/></inertial>{inside}</link>
  <joint name="slide" type="prismatic"><parent link="ground"/><child link="cart"/>
    <limit lower="{lower}" upper=".4" effort="9" velocity="1"/>
    <dynamics damping="{damping}"/></joint>{below}</robot>"""


def rail(*, above="", inside="", below="", mass="2", lower="-.4", damping=".1"):
    return RAIL.format(
        above=above, inside=inside, below=below, mass=mass, lower=lower, damping=damping
    )


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ({"inside": '<xacro:box_inertia m="1"/>'}, "xacro:box_inertia"),
        ({"below": '<xacro:if value="$(arg gripper)"><link name="g"/></xacro:if>'}, "xacro:if"),
        ({"mass": "${2 * rho}"}, r"\$\{2 \* rho\}"),
        ({"mass": "$(arg mass)"}, r"\$\(arg mass\)"),
    ],
)
def test_what_xacro_has_not_expanded_is_no_robot(parts, found):
    with pytest.raises(RobotError, match=f"found '{found}' .* run xacro"):
        kinematics.load(rail(**parts))


def test_names_that_xacro_left_behind_are_passed_over():
    left = '<xacro:property name="rho" value="${1/3}"/>'
    assert kinematics.load(rail(above=left)).nv == 1


def test_numbers_are_those_of_the_format():
    with pytest.raises(RobotError, match="found '1_0'"):  # Python reads ten
        kinematics.load(rail(mass="1_0"))


def test_signs_and_limits_that_no_joint_has_are_told():
    with pytest.warns(UserWarning, match="negative damping at 'slide'"):
        robot = kinematics.load(rail(damping="-.2"), joint_terms=True)
    assert any("negative damping" in note for note in robot.notes)
    with pytest.warns(UserWarning, match="lower limit above the upper one at 'slide'"):
        kinematics.load(rail(lower="1"))


def test_rotors_that_are_left_out_are_noted():
    geared = """<transmission name="t"><joint name="slide"/><actuator name="m">
        <mechanicalReduction>80</mechanicalReduction><motorInertia>2e-5</motorInertia></actuator>
        </transmission>"""
    assert any("rotor inertia" in note for note in kinematics.load(rail(below=geared)).notes)
    plain = geared.replace("<motorInertia>2e-5</motorInertia>", "")
    assert not any("rotor inertia" in note for note in kinematics.load(rail(below=plain)).notes)
