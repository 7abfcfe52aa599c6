"""Steps with contact: MuJoCo's own, simulate, and what is refused."""

import os

import numpy as np
import pytest
import torch

import kinematics
from kinematics.contact.law import Hard, Soft
from kinematics.contact.scene import Scene
from kinematics.contact.shapes import HalfSpace, Point
from kinematics.contact.step import FREE, IMPACT, STICKING
from tests.contact.stepping import against_mujoco, free_block, sliders

CUBE = """<mujoco>
<option timestep="0.002" cone="{cone}" impratio="{impratio}" integrator="{scheme}"/>
<worldbody><geom type="plane" size="5 5 1" friction=".5"/><body pos="0 0 .3"><freejoint/>
<geom type="box" size=".1 .1 .1" mass="1" friction=".5"/></body></worldbody></mujoco>"""

ARM = """<mujoco><option timestep="0.002" cone="elliptic" integrator="{scheme}"/><default>
<joint damping=".5" armature="0.01" frictionloss="{loss}" limited="true" range="-40 60"/></default>
<worldbody><geom type="plane" size="5 5 1"/><body pos="0 0 .5"><joint type="hinge" axis="0 1 0"/>
<geom type="capsule" size=".04" fromto="0 0 0 .3 0 0"/><body pos=".3 0 0">
<joint type="hinge" axis="0 1 1" range="-30 30"/>
<geom type="capsule" size=".03" fromto="0 0 0 .3 0 0"/>
<body pos=".3 0 0"><joint type="slide" axis="1 0 0" range="-.1 .1"/><geom type="sphere" size=".05"/>
</body></body></body></worldbody></mujoco>"""


def tossed(model, data, rng):
    data.qpos[:3] = [0, 0, 0.2]
    data.qpos[3:7] = rng.normal(size=4)
    data.qvel[:] = rng.normal(size=6) * [1, 1, 1, 5, 5, 5]


@pytest.mark.parametrize(
    ("cone", "impratio", "scheme"),
    [("elliptic", 1, "Euler"), ("elliptic", 5, "RK4"), ("pyramidal", 5, "Euler")],
)
def test_a_cube_steps_as_in_mujoco(cone, impratio, scheme):
    source = CUBE.format(cone=cone, impratio=impratio, scheme=scheme)
    error, touching = against_mujoco(source, states=60, push=0, start=tossed, every=4)
    assert error < 1e-10
    assert touching > 20


@pytest.mark.parametrize(("scheme", "loss"), [("Euler", 0.3), ("implicitfast", 0), ("RK4", 0.3)])
def test_limits_dry_friction_and_contact_step_as_in_mujoco(scheme, loss):
    source = ARM.format(scheme=scheme, loss=loss)
    error, touching = against_mujoco(source, states=60, push=3, start=lambda *_: None, every=4)
    assert error < 1e-10
    assert touching > 20


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["hopper", "walker2d_v5", "half_cheetah", "ant", "humanoid", "pusher"]
)
def test_gymnasium_models_step_as_in_mujoco(name):
    gymnasium = pytest.importorskip("gymnasium")
    folder = os.path.join(os.path.dirname(gymnasium.__file__), "envs", "mujoco", "assets")

    def start(model, data, rng):
        data.qpos[:] = model.qpos0 + rng.uniform(-0.1, 0.1, model.nq)
        data.qvel[:] = rng.normal(size=model.nv) * 0.3

    source = os.path.join(folder, name + ".xml")
    error, touching = against_mujoco(source, states=200, push=1, start=start, every=2)
    assert error < 1e-10
    assert touching > 50


def test_details_say_what_touched():
    robot = sliders(1, axis=(0.0, 0.0, 1.0), gravity=(0.0, 0.0, -9.81))
    scene = Scene([Point(body="b0")], [HalfSpace()], law=Hard(restitution=0.5))
    q, v = torch.tensor([[1.0], [1e-4], [0.0]]).double(), torch.tensor([[0.0], [-2.0], [0.0]])
    _, v_next, met = kinematics.step(robot, scene, q, v.double(), None, 1e-3, details=True)
    assert met.mode[:, 0].tolist() == [FREE, IMPACT, STICKING]
    assert met.force[0].abs().max() == 0
    torch.testing.assert_close(v_next[:, 0], torch.tensor([-0.00981, 1.0, 0.0]).double(),
                               atol=1e-4, rtol=0)  # fmt: skip
    assert abs(float(met.force[2, 0, 0]) - 9.81) < 1e-4  # the weight
    torch.testing.assert_close(met.gap[:, 0], q[:, 0])


def test_simulate_records_gaps_forces_and_modes():
    robot = free_block()
    corners = [Point(body="block", at=(x, y, -0.1)) for x in (-0.1, 0.1) for y in (-0.1, 0.1)]
    scene = Scene(corners, [HalfSpace()], law=Soft())
    q = torch.tensor([0, 0, 0.12, 1, 0, 0, 0.0]).double()
    way = kinematics.simulate(robot, q, torch.zeros(6).double(), None, 0.005, 60, scene=scene)
    assert way.q.shape == (61, 7)
    assert way.gap.shape == (61, 4)
    assert way.force.shape == (61, 4, 3)
    assert set(way.mode[0].tolist()) == {FREE}
    assert set(way.mode[-1].tolist()) == {STICKING}
    assert abs(float(way.force[-1, :, 0].sum()) - 9.81) < 0.05  # at rest: the weight
    torch.testing.assert_close(way.a[0], (way.v[1] - way.v[0]) / 0.005)
    with pytest.raises(kinematics.RobotError, match="implicit_midpoint"):
        kinematics.simulate(robot, q, torch.zeros(6).double(), None, 0.005, 2,
                            integrator="implicit_midpoint", scene=scene)  # fmt: skip


def test_a_free_flight_needs_no_contact():
    robot, scene = free_block(), Scene(law=Soft())
    q = torch.tensor([0, 0, 1, 1, 0, 0, 0.0]).double()
    v = torch.tensor([1, 2, 3, 0.5, 0, 0.0]).double()
    q_next, _ = kinematics.step(robot, scene, q, v, None, 0.01)
    expected = np.array([0.005, 0, 1 - 9.81e-4])  # along fixed axes, though the block turns
    np.testing.assert_allclose(q_next[:3], expected, atol=1e-12)
    empty = kinematics.step(robot, scene, q[None][:0], v, None, 0.01)
    assert empty[0].shape == (0, 7)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dt": 0.0}, "dt > 0"),
        ({"scene": "floor"}, "Scene second"),
        ({"v": torch.full((6,), torch.nan).double()}, "finite"),
        ({"q": torch.zeros(3).double()}, "shape"),
    ],
)
def test_what_cannot_be_stepped_is_refused_in_one_line(change, words):
    given = {
        "scene": Scene([Point(body="block")], [HalfSpace()]), "dt": 0.01,
        "q": torch.tensor([0, 0, 1, 1, 0, 0, 0.0]).double(), "v": torch.zeros(6).double(),
    } | change  # fmt: skip
    with pytest.raises(kinematics.RobotError, match=words) as caught:
        kinematics.step(free_block(), given["scene"], given["q"], given["v"], None, given["dt"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Soft(cone="round"),
        lambda: Soft(impratio=0.0),
        lambda: Hard(restitution=1.5),
        lambda: Hard(friction="none"),
        lambda: Hard(regularisation=float("nan")),
    ],
)
def test_laws_refuse_numbers_without_meaning(make):
    with pytest.raises(kinematics.RobotError, match="expected"):
        make()


def random_tree(seed: int) -> str:
    """An MJCF of a random tree of spheres and capsules over a floor, of all kinds of joints."""
    rng = np.random.default_rng(seed)

    def text(x):
        return " ".join(f"{y:.4f}" for y in np.atleast_1d(x))

    def body(depth: int, first: bool) -> str:
        kind = rng.choice(["hinge", "slide", "ball"])
        joint = f'<joint type="{kind}" damping="{rng.uniform(0, 0.3):.3f}"'
        if kind != "ball":
            joint += f' axis="{text(rng.normal(size=3))}" frictionloss="{rng.uniform(0, 0.2):.3f}"'
            joint += ' range="-0.5 0.5" limited="true"'
        joint = "<freejoint/>" if first and rng.random() < 0.7 else joint + "/>"
        end, radius = rng.normal(size=3) * 0.15, rng.uniform(0.03, 0.08)
        shape = (
            f'<geom type="capsule" fromto="0 0 0 {text(end)}" size="{radius:.3f}"/>'
            if rng.random() < 0.6
            else f'<geom type="sphere" size="{rng.uniform(0.05, 0.12):.3f}"/>'
        )
        inner = "".join(body(depth - 1, False) for _ in range(rng.integers(1, 3)) if depth)
        at = [0, 0, 0.3] if first else end
        return f'<body pos="{text(at)}">{joint}{shape}{inner}</body>'

    cone, scheme = rng.choice(["elliptic", "pyramidal"]), rng.choice(["Euler", "RK4"])
    return (
        f'<mujoco><compiler angle="radian"/><option timestep="0.002" cone="{cone}" '
        f'integrator="{scheme}" impratio="{rng.choice([1, 3])}"/><worldbody>'
        f'<geom type="plane" size="5 5 1" condim="{rng.choice([1, 3])}"/>{body(2, True)}'
        "</worldbody></mujoco>"
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_random_trees_step_as_in_mujoco(seed):
    source = random_tree(seed)
    error, touching = against_mujoco(
        source, states=60, push=0.5, start=lambda *_: None, every=5, seed=seed
    )
    assert error < 1e-8
    assert touching > 5
