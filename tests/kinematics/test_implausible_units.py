"""Masses, centres of mass and inertias in other units than kg, m and kg·m² are warned of."""

import warnings

import pytest
from pinocchio_oracle import example_urdfs

import kinematics


def arm(*links, reach=0.4):
    """A chain of links (mass, distance of the centre, moment) with joints ``reach`` apart."""
    text = '<robot name="arm"><link name="base"/>'
    before = "base"
    for k, (mass, centre, moment) in enumerate(links):
        text += (
            f'<link name="l{k}"><inertial><origin xyz="{centre} 0 0"/><mass value="{mass}"/>'
            f'<inertia ixx="{moment}" iyy="{moment}" izz="{moment}" ixy="0" ixz="0" iyz="0"/>'
            f'</inertial></link><joint name="j{k}" type="continuous"><parent link="{before}"/>'
            f'<child link="l{k}"/><origin xyz="{reach} 0 0"/><axis xyz="0 1 0"/></joint>'
        )
        before = f"l{k}"
    return text + "</robot>"


FINE = (2.0, 0.2, 0.02)
MISTAKEN = {
    "mass in mg": (arm(FINE, (2e6, 0.2, 0.02), FINE), "'l1' has a mass of 2e.06 kg.*in mg, not kg"),
    "centre in mm": (arm(FINE, FINE, (2.0, 150, 0.02)), "'l2'.*mass at 150 m.*in mm, not m"),
    "all centres in mm": (arm((2, 200, 0.02), (1, 90, 0.01)), "'l0'.*in mm, not m"),
    "inertia in kg mm2": (arm((2.0, 0.2, 2e4), FINE), "'l0' has an inertia of 2e.04.*in kg·mm²"),
    "all inertias in kg mm2": (arm((2.0, 0.2, 2e4), (1, 0.1, 5e3)), "'l0'.*in kg·mm², not kg·m²"),
    "both": (arm((2.0, 200, 2e4)), "in mm, not m; link 'l0'.*in kg·mm², not kg·m²"),
    "mjcf": (
        '<mujoco><worldbody><body name="x"><joint/><inertial pos="120 0 0" mass="1" '
        'diaginertia=".1 .1 .1"/></body></worldbody></mujoco>',
        "'x' has its centre of mass at 120 m",
    ),
}


@pytest.mark.parametrize("case", MISTAKEN, ids=str)
def test_another_unit_is_one_warning(case):
    text, expected = MISTAKEN[case]
    with pytest.warns(UserWarning, match=f"units to check: .*{expected}") as caught:
        robot = kinematics.load(text)
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    assert caught[0].filename == __file__
    assert str(caught[0].message) in robot.notes


SOUND = {
    "arm": arm(FINE, FINE, FINE),
    "one long pendulum": arm((5.0, 9.0, 4.0), reach=0),
    "crane": arm((9e4, 30, 2e7), (4e4, 25, 8e6), (300, 1, 20), reach=55),
    "light markers": arm((40.0, 0.2, 1.0), (1e-6, 0, 1e-3), (1e-9, 0, 1e-9)),
    "small finger": arm((1.0, 0.05, 1e-3), (2e-3, 5e-3, 2e-8), reach=0.03),
    "textbook": arm((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), reach=0),
}


def unit_warnings(source):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kinematics.load(source)
    return [w.message for w in caught if "units to check" in str(w.message)]


@pytest.mark.parametrize("case", SOUND, ids=str)
def test_unusual_robots_are_not_doubted(case):
    assert unit_warnings(SOUND[case]) == []


def test_no_bundled_and_no_example_robot_is_doubted():
    refused = 0
    for source in (*kinematics.bundled(), *example_urdfs()):
        try:
            assert unit_warnings(source) == [], source
        except kinematics.RobotError:  # nothing moves, or no link at all
            refused += 1
    assert refused < 5
