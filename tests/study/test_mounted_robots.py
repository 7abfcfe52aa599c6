"""Recipes say how a robot is mounted: locked joints, gravity, armature."""

import pytest

import discover
from discover.errors import RobotError
from discover.study import recipes

TABLES = {
    "study": {"name": "mounted"},
    "robot": {"source": "planar_3r"},
    "region": {"q": 1.0, "v": 1.0, "tau": 1.0},
    "data": {},
    "model": [{"name": "table", "kind": "table"}],
}


def robot(**changes):
    tables = {**TABLES, "robot": {**TABLES["robot"], **changes}}
    return discover.load_robot(recipes.Recipe.from_dict(tables))


def test_locked_joints_gravity_and_armature():
    first, second, third = robot().independent_names
    mounted = robot(lock={second: 0.4}, gravity=[0.0, 0.0, 9.81], armature={third: 0.02})
    assert mounted.independent_names == (first, third)
    assert mounted.gravity.tolist() == [0.0, 0.0, 9.81]
    assert mounted.armature.tolist() == [0.0, 0.02]
    assert robot(armature=0.1).armature.tolist() == [0.1] * 3
    assert robot(armature=[0.1, 0.2, 0.3]).armature.tolist() == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lock": {"wrist9": 0.0}}, "expected a joint of"),
        ({"armature": [0.1]}, "expected 3 values of robot.armature"),
        ({"armature": {"wrist9": 0.1}}, "expected a joint of"),
    ],
)
def test_what_does_not_fit_the_robot_is_one_line(changes, words):
    with pytest.raises(RobotError, match=words) as caught:
        robot(**changes)
    assert "\n" not in str(caught.value)
