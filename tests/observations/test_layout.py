"""Layouts of observations: what they hold, and that they are read back exactly."""

import math

import numpy as np
import pytest
import torch

import kinematics
from discover.errors import ModelError
from discover.observations.layout import ObservationLayout
from tests.observations.robots import apart, cart, flyer, states

CART = {
    "raw": ["q", "v"],
    "MuJoCo's": ["qpos", "qvel"],
    "cosines, then sines": ["q(slider)", "cos", "sin", "v"],
    "sines first, interleaved": ["q(slider)", "sin_cos", "v"],
    "cosines first, interleaved": ["v", "cos_sin(first, second)", "q(slider)"],
    "wrapped": ["q(slider)", "wrapped", "v"],
    "wrapped from zero": ["q(slider)", {"wrapped": "all", "start": 0.0}, "v"],
    "other order": ["v(second, slider, first)", "q(second)", "q(first, slider)"],
    "orientations of bodies": [
        "q(slider)",
        "cos(first, first + second)",
        "sin(first, first + second)",
        "v(slider, first, first + second)",
    ],
    "shifted angles": ["q(slider - 0.5)", "cos(first + 0.3, second)", "sin(first, second)", "v"],
    "two phases": ["q(slider)", "cos(first, first - 1.0, second, second + 0.25*pi)", "v"],
    "scaled, moved, clipped": [
        {"q": "all", "scale": [2.0, -0.5, 3.0], "offset": 0.25},
        {"v": "all", "scale": 0.1, "clip": (-5.0, 5.0)},
    ],
    "more than the state": [
        {"constant": [1.5, -2.0]},
        "point(pole2)",
        {"point": "pole2", "at": [0, 0, 0.5], "less": "cart"},
        "rotation(pole2)",
        "q",
        {"filled": lambda q, v: torch.stack((q.sum(-1), v.sum(-1)), -1), "size": 2},
        "v",
    ],
    "numbers that repeat others": ["cos", "sin", "q", "v", "sin(first + second)", "v(first)"],
}
FLYER = {
    "raw": ["q", "v"],
    "MuJoCo's": ["qpos", "qvel"],
    "xyzw": [
        "position",
        {"quaternion": ["root", "neck"], "order": "xyzw"},
        "q(swing, stretch)",
        "v",
    ],
    "positive quaternions": [
        "position",
        {"quaternion": "all", "positive": True},
        "q(swing, stretch)",
        "v",
    ],
    "body axes": [
        {"position": "root", "axes": "body"},
        {"quaternion": "all"},
        "q(swing, stretch)",
        {"linear_velocity": "root", "axes": "body"},
        {"angular_velocity": "root", "axes": "body"},
        "v(swing, stretch, neck)",
    ],
    "world axes": [
        {"position": "root", "axes": "world"},
        "quaternion",
        "q(swing, stretch)",
        {"linear_velocity": "root", "axes": "world"},
        {"angular_velocity": "all", "axes": "world"},
        "v(swing, stretch)",
    ],
    "rotation matrix": ["rotation(hull)", "quaternion(neck)", "position", "q(swing, stretch)", "v"],
    "two columns of it": [
        {"rotation": "hull", "entries": ["xx", "yx", "zx", "xy", "yy", "zy"]},
        "quaternion(neck)",
        "position",
        "q(swing, stretch)",
        "v",
    ],
    "two rows of it": [
        {"rotation": "hull", "entries": ["yx", "yy", "yz", "zx", "zy", "zz"]},
        "quaternion(neck)",
        "position",
        "q(swing, stretch)",
        "v",
    ],
    "a point of the body": [
        {"point": "hull", "at": [0.1, 0.2, -0.3]},
        "quaternion",
        "q(swing, stretch)",
        "v",
    ],
}


def cases(table):
    return [pytest.param(channels, id=name) for name, channels in table.items()]


@pytest.mark.parametrize("channels", cases(CART))
def test_a_cart_with_poles_is_read_back(channels):
    check_round_trip(cart(), channels)


@pytest.mark.parametrize("channels", cases(FLYER))
def test_a_flying_body_is_read_back(channels):
    check_round_trip(flyer(), channels)


def check_round_trip(robot, channels):
    """State → observation → state → observation; the second time both are kept."""
    layout = ObservationLayout(robot, channels)
    q, v = states(robot)
    seen = layout.observe(q, v)
    assert seen.shape == (len(q), layout.size)
    back = layout.state(seen)
    assert apart(robot, back, (q, v)) < 1e-13
    assert layout.undetermined == ()
    if not any("filled" in c or "point" in c for c in layout.declaration()):
        assert torch.allclose(layout.observe(*back), seen, atol=1e-13, rtol=0)
    # from the state before, angles stay on their turn
    turned = q.clone()
    for joint in robot.independent_joints:
        if robot.kinds[joint] == "revolute":
            turned[:, robot.q_slices[joint]] += 4 * math.pi
    raw = any(isinstance(c, str) and c.startswith(("q", "v(")) for c in channels)
    if not raw:
        before = (kinematics.integrate(robot, turned, v, -0.01), v)
        following = layout.state(layout.observe(turned, v), before, dt=0.01)
        assert float(kinematics.difference(robot, turned, following[0]).abs().max()) < 1e-12


@pytest.mark.parametrize("seed", range(6))
def test_random_trees_are_read_back(seed):
    robot = kinematics.random_tree(5, seed=seed)
    free = any(kind in ("free", "spherical") for kind in robot.kinds)
    rest = ["quaternion"] if free else []
    rest += ["position"] if "free" in robot.kinds else []
    plain = [n for n, k in zip(robot.joint_names, robot.kinds, strict=True) if k == "prismatic"]
    rest += [f"q({', '.join(plain)})"] if plain else []
    turning = any(k in ("revolute", "continuous") for k in robot.kinds)
    check_round_trip(robot, [*rest, *(["sin", "cos"] if turning else []), "qvel"])


def test_numbers_are_what_their_names_say():
    robot = cart()
    layout = ObservationLayout(
        robot, ["q(slider)", "cos_sin(first)", {"v": "second", "clip": 1.0, "scale": 2.0}, "v"]
    )
    q, v = torch.tensor([0.3, 0.5, -0.2]).double(), torch.tensor([1.0, -2.0, 0.4]).double()
    expected = [0.3, math.cos(0.5), math.sin(0.5), 0.8, 1.0, -2.0, 0.4]
    assert np.allclose(layout.observe(q, v), expected, atol=1e-15)
    assert float(layout.observe(q, 3 * v)[3]) == 1.0  # 2.4 is clipped
    assert layout.labels[:4] == ("q(slider)", "cos(first)", "sin(first)", "v(second)")


def test_places_and_orientations_are_mujocos():
    mujoco = pytest.importorskip("mujoco")
    from tests.observations.robots import FLYING

    robot = flyer()
    model = mujoco.MjModel.from_xml_string(FLYING)
    data = mujoco.MjData(model)
    layout = ObservationLayout(
        robot, ["point(rod)", "rotation(head)", "gravity(arm)", "qpos", "qvel"]
    )
    q, v = states(robot, 5)
    for x, y in zip(q, v, strict=True):
        seen = layout.observe(x, y).numpy()
        data.qpos[:], data.qvel[:] = seen[15 : 15 + model.nq], seen[15 + model.nq :]
        mujoco.mj_forward(model, data)
        rod, head, arm = (data.body(name) for name in ("rod", "head", "arm"))
        anchor = rod.xpos
        assert np.allclose(seen[:3], anchor, atol=1e-12)
        assert np.allclose(seen[3:12], head.xmat, atol=1e-12)
        assert np.allclose(seen[12:15], -arm.xmat.reshape(3, 3)[2], atol=1e-12)
        # MuJoCo's own velocity of the free body, in its axes
        twist = np.zeros(6)
        mujoco.mj_objectVelocity(
            model, data, mujoco.mjtObj.mjOBJ_XBODY, model.body("hull").id, twist, 1
        )
        assert np.allclose(y.numpy()[:6], twist, atol=1e-12)


def test_what_is_not_seen_goes_on_by_its_velocity():
    robot = cart()
    layout = ObservationLayout(robot, ["cos", "sin", "v"])
    assert layout.undetermined == ("q(slider)",)
    assert "does not determine q(slider)" in layout.notes[0]
    q, v = states(robot)
    before = (q - 0.02 * v, v)
    following, _ = layout.state(layout.observe(q, v), before, dt=0.02)
    assert torch.allclose(following, q, atol=1e-14)
    alone, _ = ObservationLayout(robot, ["cos", "sin", "v"], unobserved={"slider": 0.7}).state(
        layout.observe(q, v)
    )
    assert bool((alone[:, 0] == 0.7).all())


def test_a_direction_of_gravity_leaves_the_heading_open():
    robot = flyer()
    layout = ObservationLayout(
        robot, ["gravity(hull)", "quaternion(neck)", "q(swing, stretch)", "v"]
    )
    assert layout.undetermined == ("the heading of root", "the position of root (xyz)")
    q, v = states(robot)
    before = (kinematics.integrate(robot, q, v, -0.01), v)
    following = layout.state(layout.observe(q, v), before, dt=0.01)
    assert float(kinematics.difference(robot, q, following[0]).abs().max()) < 1e-12
    # a wrong guess is turned by the least that agrees
    guess = kinematics.integrate(robot, q, 0.1 * torch.randn_like(v), 1.0)
    seen = layout.observe(q, v)
    again = layout.observe(*layout.state(seen, (guess, 0 * v), dt=1e-9))
    assert torch.allclose(again[:, :3], seen[:, :3], atol=1e-12)


def test_mimic_joints_are_observed_by_their_own_names():
    urdf = """<robot name="grip"><link name="b"/><link name="l"><inertial><mass value="1"/>
      <inertia ixx=".1" iyy=".1" izz=".1" ixy="0" ixz="0" iyz="0"/></inertial></link>
      <link name="r"><inertial><mass value="1"/>
      <inertia ixx=".1" iyy=".1" izz=".1" ixy="0" ixz="0" iyz="0"/></inertial></link>
      <joint name="left" type="continuous"><parent link="b"/><child link="l"/><axis xyz="0 0 1"/>
      </joint><joint name="right" type="continuous"><parent link="b"/><child link="r"/>
      <axis xyz="0 0 1"/><mimic joint="left" multiplier="-2" offset="0.5"/></joint></robot>"""
    robot = kinematics.load(urdf)
    layout = ObservationLayout(robot, ["q(right)", "v(right)", "point(r)", "cos(left)"])
    q, v = torch.tensor([[0.3]]).double(), torch.tensor([[1.5]]).double()
    seen = layout.observe(q, v)[0]
    assert np.allclose(seen[:2], [-0.1, -3.0])
    back = layout.state(seen[None])
    assert torch.allclose(back[0], q)
    assert torch.allclose(back[1], v)


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        (["quaternions"], "no kind of channel 'quaternions'; did you mean 'quaternion'"),
        (["cos(x9)"], "expected a joint of cart, found 'x9'; they are slider, first, second"),
        (["cos(frist)"], "did you mean 'first'"),
        (["cos(first + nan)"], "expected a finite number"),
        (["quaternion"], "no joint that turns freely"),
        ([{"v": "all", "scale": [1, 2]}], "expected a number or 3 of them"),
        ([{"v": "all", "scale": 0.0}], "expected no zero"),
        ([{"v": "all", "clip": (1, -1)}], "expected low < high"),
        ([{"v": "all", "axis": "world"}], "channel 'v' has no option 'axis'"),
        ([{"v": "all", "q": "all"}], "one kind of channel in a mapping"),
        ([{"v": [1, 2]}], "expected names or sums of names"),
        ([3], "expected a channel as text or a mapping, found int"),
        ([], "expected a list of channels"),
        (["point"], "'point' needs a body; write point(cart)"),
        (["point(poel)"], "did you mean 'pole'"),
        ([{"rotation": "pole", "entries": ["ab"]}], "expected pairs as 'xx'"),
        ([{"filled": 3}], "needs a function"),
    ],
)
def test_a_wrong_channel_is_one_line(channels, said):
    with pytest.raises(ModelError) as caught:
        ObservationLayout(cart(), channels)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_observations_of_another_width_are_one_line():
    layout = ObservationLayout(cart(), ["q", "v"])
    with pytest.raises(ModelError, match="expected 6 numbers, found shape"):
        layout.state(torch.zeros(4, 5))
    with pytest.raises(ModelError, match="q: expected last axis 3"):
        layout.observe(torch.zeros(4, 2), torch.zeros(4, 3))
    with pytest.raises(ModelError, match="unobserved: expected joints of cart"):
        ObservationLayout(cart(), ["v"], unobserved={"slidr": 0.0})
