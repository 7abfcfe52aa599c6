"""Descriptions, good and bad: one clear line each, never a traceback from below, never a hang."""

import json
import math
import time
import warnings

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kinematics
from kinematics import RobotError
from kinematics.loading import robots_folder

INERTIAL = (
    '<inertial><mass value="1"/><origin xyz="0 0 -1"/>'
    '<inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial>'
)


def urdf(*parts: str, name: str = "r") -> str:
    return f'<robot name="{name}">{"".join(parts)}</robot>'


def link(name: str, inertial: str = INERTIAL) -> str:
    return f'<link name="{name}">{inertial}</link>'


def joint(name: str, parent: str, child: str, kind: str = "revolute", rest: str = "") -> str:
    return (
        f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
        f'<axis xyz="0 1 0"/>{rest}</joint>'
    )


ARM = (link("base"), link("a"), link("b"), joint("j1", "base", "a"), joint("j2", "a", "b"))

BAD = {
    "no such file": ("nowhere/robot.urdf", "expected a file"),
    "not xml": ("<robot", "well-formed"),
    "wrong root": ("<sdf/>", "expected a URDF"),
    "no links": (urdf(), "at least one <link>"),
    "doctype": ('<!DOCTYPE r [<!ENTITY a "b">]>' + urdf(*ARM), "DOCTYPE"),
    "external entity": (
        '<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + urdf("&a;"),
        "DOCTYPE",
    ),
    "deep": ("<robot>" + "<a>" * 5000 + "</a>" * 5000 + "</robot>", "depth"),
    "two roots": (urdf(link("a"), link("b")), "one root link"),
    "cycle": (
        urdf(link("a"), link("b"), joint("j", "a", "b"), joint("k", "b", "a")),
        "one root link",
    ),
    "island loop": (
        urdf(*ARM, link("x"), link("y"), joint("m", "x", "y"), joint("n", "y", "x")),
        "closed loop",
    ),
    "closed loop": (urdf(*ARM, joint("j3", "base", "b")), "closed loop"),
    "duplicate link": (urdf(*ARM, link("a")), "distinct link names"),
    "duplicate joint": (urdf(*ARM, link("c"), joint("j1", "a", "c")), "distinct joint names"),
    "planar joint": (urdf(link("a"), link("b"), joint("j", "a", "b", "screw")), "'screw'"),
    "unknown link": (urdf(*ARM, joint("k", "b", "nobody")), "'nobody'"),
    "nan mass": (urdf(*ARM).replace('value="1"', 'value="nan"', 1), "mass of link 'base'"),
    "word mass": (urdf(*ARM).replace('value="1"', 'value="heavy"', 1), "mass of link 'base'"),
    "negative mass": (urdf(*ARM).replace('value="1"', 'value="-2"', 1), "mass >= 0"),
    "huge": (urdf(*ARM).replace('ixx="1"', 'ixx="1e400"', 1), "ixx of link 'base'"),
    "zero axis": (urdf(*ARM).replace("0 1 0", "0 0 0", 1), "non-zero axis"),
    "two numbers": (urdf(*ARM).replace("0 0 -1", "0 0", 1), "3 finite numbers"),
    "nameless": ("<robot><link/></robot>", "name"),
    "nothing moves": (urdf(link("a")), "at least one moving joint"),
    "mimic loop": (
        urdf(
            *ARM[:3],
            joint("j1", "base", "a", rest='<mimic joint="j2"/>'),
            joint("j2", "a", "b", rest='<mimic joint="j1"/>'),
        ),
        "loop of mimics",
    ),
}


@pytest.mark.parametrize("case", BAD, ids=str)
def test_bad_descriptions_give_one_line(case):
    text, fragment = BAD[case]
    with pytest.raises(RobotError) as caught:
        kinematics.load(text)
    message = str(caught.value)
    assert fragment in message
    assert "\n" not in message
    assert "expected" in message
    assert len(message) < 400


def test_other_sources_are_refused(tmp_path):
    for source in (3, None, tmp_path, b"bytes"):
        with pytest.raises(RobotError):
            kinematics.load(source)
    (tmp_path / "binary.urdf").write_bytes(bytes(range(256)) * 10)
    with pytest.raises(RobotError, match="well-formed"):
        kinematics.load(tmp_path / "binary.urdf")
    with (tmp_path / "huge.urdf").open("wb") as file:
        file.truncate(100 * 2**20)
    with pytest.raises(RobotError, match="at most 32 MiB"):
        kinematics.load(tmp_path / "huge.urdf")
    with pytest.raises(RobotError, match='root="free"'):
        kinematics.load("panda", root="floating")


def test_unphysical_inertia_is_a_warning_that_names_the_link():
    text = urdf(*ARM).replace('<inertia ixx="1"', '<inertia ixx="5"')
    with pytest.warns(UserWarning, match="is not physical") as caught:
        robot = kinematics.load(text)
    assert any("'a'" in str(warning.message) for warning in caught)
    assert any("'b'" in note and "triangle" in note for note in robot.notes)


def test_unnamed_numbers_and_silent_limits():
    robot = kinematics.load(urdf(*ARM))
    assert robot.joint_names == ("j1", "j2")
    assert torch.isinf(robot.upper).all()
    assert torch.isinf(robot.effort_limit).all()
    assert robot.base_name == "base"


def test_order_is_depth_first_in_the_document():
    parts = [link(n) for n in ["base", "a", "b", "c", "d"]]
    parts += [joint("z", "base", "a"), joint("y", "base", "c"), joint("x", "a", "b")]
    parts += [joint("w", "c", "d", "fixed")]
    robot = kinematics.load(urdf(*parts))
    assert robot.joint_names == ("z", "x", "y")
    assert robot.parents == [-1, 0, -1]
    assert float(robot.pi[2, 0]) == 2.0  # d is merged into c
    assert set(robot.graph.edges) == {("a", "b")}


def test_joint_terms_are_applied_on_request():
    text = urdf(*ARM[:3], joint("j1", "base", "a", rest='<dynamics damping="2" friction="1"/>'),
                joint("j2", "a", "b"))  # fmt: skip
    assert float(kinematics.load(text).damping[0]) == 0.0
    assert any("joint_terms=True" in note for note in kinematics.load(text).notes)
    with_terms = kinematics.load(text, joint_terms=True)
    assert (float(with_terms.damping[0]), float(with_terms.friction[0])) == (2.0, 1.0)


def test_floating_joint_and_free_root():
    text = urdf(link("world", ""), *ARM, joint("fly", "world", "base", "floating"))
    assert kinematics.load(text).kinds[0] == "free"
    robot = kinematics.load(urdf(*ARM), root="free")
    assert robot.joint_names[0] == "root_joint"
    assert (robot.nq, robot.nv) == (9, 8)
    assert robot.q_slice("j2") == slice(8, 9)


def test_round_trip_through_json_is_exact():
    for robot in (kinematics.load("panda"), kinematics.load("double_pendulum", root="free")):
        again = kinematics.Robot.from_dict(json.loads(json.dumps(robot.to_dict())))
        q, v, a = kinematics.random_state(robot, 3)
        assert torch.equal(kinematics.rnea(robot, q, v, a), kinematics.rnea(again, q, v, a))
        assert torch.equal(robot.lower, again.lower)
        assert again.parents == robot.parents
    with pytest.raises(RobotError, match="unknown"):
        kinematics.Robot.from_dict({"colour": "red"})
    with pytest.raises(RobotError, match="every field"):
        kinematics.Robot.from_dict({"name": "half"})


def test_wrong_shapes_and_names_are_told():
    robot = kinematics.load("panda")
    q, v, a = kinematics.random_state(robot, 2)
    with pytest.raises(RobotError, match=r"q of shape \(\.\.\., 7\)"):
        kinematics.rnea(robot, q[:, :6], v, a)
    with pytest.raises(RobotError, match="broadcast"):
        kinematics.rnea(robot, q, v[:1].expand(3, -1), a)
    with pytest.raises(RobotError, match="f_ext"):
        kinematics.aba(robot, q, v, a, f_ext=q)
    with pytest.raises(RobotError, match="panda_joint1"):
        robot.q_slice("elbow")
    with pytest.raises(RobotError, match="fields"):
        robot.replace(colour="red")
    with pytest.raises(RobotError, match="pi"):
        robot.replace(pi=torch.zeros(3, 10))
    with pytest.raises(RobotError, match="integrator"):
        kinematics.simulate(robot, q, v, None, 0.1, 1, integrator="magic")
    with pytest.raises(RobotError, match="dt > 0"):
        kinematics.simulate(robot, q, v, None, 0.0, 1)
    with pytest.raises(RobotError, match="one torque a step"):
        kinematics.simulate(robot, q, v, torch.zeros(5, 2, 7), 0.1, 3)


@pytest.mark.parametrize("name", kinematics.bundled())
def test_bundled_robots_have_a_card_and_a_licence(name):
    folder = robots_folder() / name
    assert len((folder / "LICENSE").read_text()) > 500
    assert "Licence" in (folder / "card.md").read_text()
    (description,) = [*folder.glob("*.urdf"), *folder.glob("*.osim")]
    assert "mesh filename" not in description.read_text()
    assert "mesh_file" not in description.read_text()
    assert kinematics.load(name).nv > 0


PIECES = ["<", ">", "</link>", '"', "&amp;", "&x;", "nan", "-1e309", "<joint>", "\x00", "é", "0 0"]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutated_descriptions_never_crash(data):
    """Cut, repeat and splice a good description: a robot or a RobotError, and soon."""
    text = (robots_folder() / "planar_branched" / "planar_branched.urdf").read_text()
    for _ in range(data.draw(st.integers(1, 4))):
        at, end = sorted(data.draw(st.integers(0, len(text))) for _ in range(2))
        piece = data.draw(st.sampled_from([*PIECES, text[at : at + 300]]))
        how = data.draw(st.sampled_from(["cut", "insert", "truncate"]))
        text = {
            "cut": text[:at] + text[min(end, at + 200) :],
            "insert": text[:at] + piece + text[at:],
            "truncate": text[:end],
        }[how]
    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        message = ""
        try:
            kinematics.load("<" + text.lstrip("<"))
        except RobotError as error:
            message = str(error)
    assert "\n" not in message
    assert time.monotonic() - started < 10


def test_a_planar_joint_is_two_slides_and_a_turn():
    text = """<robot name="puck"><link name="table"/><link name="puck"><inertial>
    <origin xyz="0.1 0 0"/><mass value="2"/>
    <inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial></link>
    <joint name="glide" type="planar"><parent link="table"/><child link="puck"/>
    <axis xyz="0 0 1"/></joint></robot>"""
    robot = kinematics.load(text)
    assert robot.kinds == ("prismatic", "prismatic", "continuous")
    assert robot.joint_names == ("glide_x", "glide_y", "glide")
    turn = 0.7
    H = kinematics.crba(robot, torch.tensor([0.3, -0.2, turn], dtype=torch.float64))
    s, c = 0.2 * math.sin(turn), 0.2 * math.cos(turn)
    expected = torch.tensor([[2.0, 0.0, -s], [0.0, 2.0, c], [-s, c, 1.02]], dtype=torch.float64)
    torch.testing.assert_close(H, expected)


def test_a_robot_is_shown_in_one_line():
    assert repr(kinematics.load("double_pendulum")) == (
        "Robot('double_pendulum', nq=2, nv=2, joints: shoulder (continuous), elbow (continuous))"
    )
    large = repr(kinematics.random_tree(200, kinds=("revolute", "spherical"), root="free"))
    assert large.startswith("Robot('random_tree_200_0', nq=")
    assert "joint0 (free)" in large
    assert large.endswith("… 190 more)")
    assert len(large.splitlines()) == 1
    assert len(large) < 400
