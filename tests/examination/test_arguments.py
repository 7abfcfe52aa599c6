"""Arguments of an examination that are none: one line each, which says what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import discover
import kinematics
from discover.errors import ModelError, RegionError, RobotError, WorldlawError
from discover.examination.opening.arguments import check_model, load_described

ROBOT = kinematics.load("double_pendulum")
REGION = discover.Region(q=1.0, v=2.0, tau=5.0)
ROWS = torch.zeros(6, 2, dtype=torch.float64)


def model(q, v, tau):
    return tau


def backwards(effort, dq, angle):
    return effort


WRONG = [
    (
        {"model": ROBOT, "robot": model},
        ModelError,
        r"callable model\(q, v, tau\) first, found Robot",
    ),
    ({"model": Path("net.onnx")}, ModelError, "discover.models.load"),
    ({"model": torch.nn.Linear}, ModelError, "the class Linear: give an instance"),
    ({"model": backwards}, ModelError, r"named effort, dq, angle.*model\(tau, v, q\)"),
    ({"robot": REGION}, ModelError, "the order is"),
    ({"robot": 3.0}, RobotError, "found float"),
    ({"region": [1.0, 2.0, 5.0]}, RegionError, "found list"),
    ({"seed": -7}, ModelError, "found -7: give a whole number"),
    ({"seed": 0.5}, ModelError, "found 0.5"),
    ({"budget": None}, ModelError, "budget"),
    ({"budget": ["quick"]}, ModelError, "budget"),
    ({"outputs": ""}, ModelError, "outputs"),
    ({"outputs": "next_state", "dt": "20 ms"}, ModelError, "dt > 0.*found '20 ms'"),
    ({"outputs": "next_state", "dt": True}, ModelError, "dt > 0.*found True"),
    ({"mechanism": "no"}, ModelError, "mechanism"),
    ({"root": "base"}, ModelError, "root='free' or none"),
    ({"root": "free"}, ModelError, r"kinematics\.load"),
    ({"training_data": {"obs": ROWS, "act": ROWS}}, ModelError, "found obs, act"),
    ({"training_data": 5}, ModelError, "found int"),
    ({"training_data": (ROWS, ROWS, "none", ROWS)}, ModelError, "tau of training_data"),
    ({"training_data": (ROWS, ROWS, ROWS, ROWS / 0)}, ModelError, "found NaN or infinity"),
    ({"training_data": (ROWS[:0],) * 4}, ModelError, "found no rows"),
    ({"training_data": (ROWS[0],) * 4}, ModelError, r"shapes \(n, 2\)"),
    ({"label_noise": 0.1}, ModelError, r"shape \(2,\)"),
    ({"label_noise": ["a", "b"]}, ModelError, "label_noise as an array of numbers"),
    ({"label_noise": [0.1, -0.1]}, ModelError, r"found \[0.1, -0.1\]"),
]


@pytest.mark.parametrize(
    ("given", "kind", "message"), WRONG, ids=[str(next(iter(w[0]))) for w in WRONG]
)
def test_what_is_no_argument_is_refused_in_one_line(given, kind, message):
    arguments = {"model": model, "robot": ROBOT, "region": REGION} | given
    first = [arguments.pop(name) for name in ("model", "robot", "region")]
    with pytest.raises(WorldlawError, match=message) as caught:
        discover.examine(*first, **arguments)
    assert isinstance(caught.value, kind)
    assert "\n" not in str(caught.value)


def test_names_that_leave_it_open_are_taken_in_order():
    for fine in (model, lambda x, y, z: z, lambda *x: x[2], lambda q, v, tau, gain=2.0: gain * tau):
        check_model(fine, ROBOT)


def test_a_description_may_be_a_path_and_be_given_a_free_base():
    path = Path(kinematics.loading.robots_folder()) / "double_pendulum" / "double_pendulum.urdf"
    assert load_described(path, None).nv == load_described(str(path), None).nv == ROBOT.nv
    assert load_described(path, "free").nv == ROBOT.nv + 6
    assert load_described("double_pendulum", "free").nq == ROBOT.nq + 7
    assert load_described(None, "free") is None


def test_a_compiled_mujoco_model_is_refused_with_the_way_out():
    mujoco = pytest.importorskip("mujoco")
    text = '<mujoco><worldbody><body><joint/><geom size=".1"/></body></worldbody></mujoco>'
    with pytest.raises(RobotError, match="no longer holds its description"):
        kinematics.load(mujoco.MjModel.from_xml_string(text))
