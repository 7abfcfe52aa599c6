"""Kinds of files that public trackers tell of: what readers differ in is read right or told."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import kinematics
from kinematics.errors import RobotError

INERTIAL = (
    '<inertial><origin xyz=".02 .01 .2"/><mass value="1.5"/>'
    '<inertia ixx=".02" ixy="0" ixz="0" iyy=".03" iyz="0" izz=".015"/></inertial>'
)


def urdf(origin="", dynamics="", beside="", version="1.0"):
    return (
        f'<robot name="r" version="{version}"><link name="b"/><link name="l">{INERTIAL}</link>'
        f'<joint name="j" type="continuous"><parent link="b"/><child link="l"/>'
        f'<origin xyz="0 0 .1" {origin}/><axis xyz="0 1 0"/>{dynamics}</joint>{beside}</robot>'
    )


def load(text, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return kinematics.load(text, **options)


def test_a_quaternion_turns_as_angles_do():
    angles = (0.3, -0.5, 1.1)
    half = kinematics.spatial.rotations.quaternion_of_matrix(
        kinematics.spatial.rotations.matrix_of_angles(*angles)
    )
    by_angles = load(urdf('rpy="0.3 -0.5 1.1"'))
    q = torch.tensor([[0.4]], dtype=torch.float64)
    zero = torch.zeros_like(q)
    wanted = kinematics.rnea(by_angles, q, zero, zero)
    found = [
        kinematics.rnea(load(urdf(f'quat_xyzw="{text}"', version="1.1")), q, zero, zero)
        for text in (" ".join(map(str, order)) for order in (half, np.roll(half, -1)))
    ]
    # one of the two orders in which a quaternion is written is URDF's
    assert any(torch.allclose(x, wanted, atol=1e-12) for x in found)
    assert not all(torch.allclose(x, wanted, atol=1e-6) for x in found)


def test_a_quaternion_about_x_is_a_roll():
    q = torch.tensor([[0.4]], dtype=torch.float64)
    zero = torch.zeros_like(q)
    rolled = load(urdf('rpy="1.5707963267948966 0 0"'))
    turned = load(urdf('quat_xyzw="0.70710678118654757 0 0 0.70710678118654757"', version="1.1"))
    wanted, found = (kinematics.rnea(r, q, zero, zero) for r in (rolled, turned))
    assert torch.allclose(wanted, found, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (urdf('quat_xyzw="0 0 0 1"'), "version"),
        (urdf('quat_xyzw="0 0 0 1" rpy="0 0 0"', version="1.1"), "quat_xyzw"),
        (urdf('quat_xyzw="0 0 0 3"', version="1.1"), "length one"),
        (urdf('quat_xyzw="0 0 1"', version="1.1"), "4 finite numbers"),
        (urdf(dynamics="<dynamics><damping>100</damping></dynamics>"), "attributes"),
    ],
    ids=["old version", "both", "long", "three numbers", "damping as an element"],
)
def test_what_readers_differ_in_is_refused_in_one_line(text, words):
    with pytest.raises(RobotError, match=words) as told:
        kinematics.load(text)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (urdf(beside='<loop_joint name="x" type="continuous"/>'), "<loop_joint>"),
        (
            urdf(beside='<drake:linear_bushing_rpy xmlns:drake="x"/>').replace(
                "<robot ", '<robot xmlns:drake="x" ', 1
            ),
            "linear_bushing_rpy",
        ),
        (urdf(dynamics='<dynamics damping="1" stiffness="4"/>'), "stiffness of <dynamics>"),
    ],
    ids=["loop", "bushing", "stiffness"],
)
def test_what_no_tree_can_hold_is_told(text, what):
    with pytest.warns(UserWarning, match="left out"):
        robot = kinematics.load(text)
    assert any(what in note for note in robot.notes)


def test_an_integrator_that_is_not_known_stops_no_description(monkeypatch):
    from kinematics.formats import mjcf_actuators

    text = (
        "<mujoco><worldbody><body><joint axis='0 1 0'/><geom size='.1' mass='1'/></body>"
        "</worldbody></mujoco>"
    )
    assert kinematics.load(text).stepping is not None

    class Model:
        dof_damping, actuator_biasprm = np.zeros(1), np.zeros((0, 10))

        class opt:
            integrator, timestep, disableflags = 99, 0.002, 0

    assert mjcf_actuators.stepping_of(Model) is None
