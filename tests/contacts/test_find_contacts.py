"""Contacts found in models that are only asked: closed forms, MuJoCo's own step, controls."""

import math

import mujoco
import numpy as np
import pytest
import torch

import discover
import kinematics
from discover.contacts.hybrid import one_contact
from discover.errors import ModelError

G = 9.81
BALL = """<robot name="ball"><link name="base"/>
<link name="s"><inertial><mass value="0.2"/>
<inertia ixx=".01" iyy=".01" izz=".01" ixy="0" ixz="0" iyz="0"/></inertial></link>
<link name="b"><inertial><mass value="1.3"/>
<inertia ixx=".01" iyy=".01" izz=".01" ixy="0" ixz="0" iyz="0"/></inertial></link>
<joint name="x" type="prismatic"><parent link="base"/><child link="s"/><axis xyz="1 0 0"/>
<limit lower="-9" upper="9" effort="99" velocity="99"/></joint>
<joint name="z" type="prismatic"><parent link="s"/><child link="b"/><axis xyz="0 0 1"/>
<limit lower="-9" upper="9" effort="99" velocity="99"/></joint></robot>"""
M = torch.tensor([1.5, 1.3], dtype=torch.float64)  # moved along x, along z
DT = 0.01
REGION = discover.Region(q=0.5, v=2.0, tau=8.0)


def free(v, tau):
    return v + DT * (tau / M - torch.tensor([0.0, G], dtype=torch.float64))


def floor(e=0.6, mu=0.25, height=0.1):
    """A hard floor, Coulomb friction, in closed form: normal and tangent do not couple."""

    def model(q, v, tau):
        x = free(v, tau)
        gap = q[:, 1] - height
        closed = gap + DT * x[:, 1] < 0
        rebound = e * (-v[:, 1]).clamp_min(0)
        aim = torch.where(gap > 0, -gap / DT, -0.2 * gap / DT)
        aim = torch.where(rebound > 0, torch.maximum(aim, rebound), aim)
        hit = closed & (x[:, 1] < aim)
        up = torch.where(hit, aim, x[:, 1])
        most = mu * M[1] * (up - x[:, 1]) / M[0]
        along = x[:, 0] - x[:, 0].clamp(-most, most)
        x = torch.stack((torch.where(hit, along, x[:, 0]), up), 1)
        return q + DT * x, x

    return model


def spring(q, v, tau):
    """A penalty floor: stiff, damped, smooth inside."""
    depth = (-q[:, 1]).clamp_min(0)
    force = torch.where(depth > 0, (4000 * depth - 30 * v[:, 1]).clamp_min(0), 0.0)
    x = free(v, tau + torch.stack((torch.zeros_like(force), force), 1))
    return q + DT * x, x


def nothing(q, v, tau):
    x = free(v, tau)
    return q + DT * x, x


@pytest.fixture(scope="module")
def ball():
    return kinematics.load(BALL)


@pytest.fixture(scope="module")
def hard(ball):
    return discover.find_contacts(floor(), ball, REGION, dt=DT, budget="quick")


def test_hard_floor_is_found_to_the_last_digits(hard):
    (surface,) = hard.surfaces
    assert surface.body == "b"
    assert surface.surface == "world"
    assert surface.gap.timing == "linearised"
    assert np.allclose(surface.normal, [0, 0, 1], atol=1e-9)
    assert abs(surface.offset - 0.1) < 1e-9
    assert surface.width == 0
    touch = hard.law.touch
    assert (touch.kind, touch.family) == ("hard", "coulomb")
    assert abs(touch.restitution - 0.6) < 1e-6
    assert abs(touch.friction - 0.25) < 1e-6


def test_every_mode_of_a_simulator_is_physics(hard):
    assert hard.verdict == "physics", repr(hard)
    assert hard.mode("impact").far < 1e-6
    assert abs(sum(m.share for m in hard.modes) - 1) < 0.02
    assert hard.queries <= 10_000


def test_hybrid_law_predicts_fresh_states(hard):
    generator = torch.Generator().manual_seed(3)
    q, v, tau = (
        6.0 * (torch.rand(200, 2, generator=generator, dtype=torch.float64) - 0.5) * w
        for w in (0.3, 2.0, 4.0)
    )
    ours, theirs = hard.law(q, v, tau), floor()(q, v, tau)
    assert (ours[1] - theirs[1]).abs().median() < 1e-9
    assert (ours[1] - theirs[1]).abs().max() < 1e-5
    assert str(hard.law.sympy_guards()[0]).startswith(("1.0*z", "z"))


def test_page_is_written(hard, tmp_path):
    folder = hard.save(tmp_path / "exam")
    assert "restitution 0.6" in (folder / "contact.md").read_text()
    assert (folder / "figures" / "modes.png").stat().st_size > 1000
    scope: dict = {}
    exec((folder / "law.py").read_text(), scope)
    q = torch.tensor([[0.0, 0.2], [0.1, 0.11]], dtype=torch.float64)
    v = torch.tensor([[1.0, 0.0], [0.5, -2.0]], dtype=torch.float64)
    mine = floor()(q, v, 0 * v)[1]
    assert torch.allclose(scope["law"](q, v, 0 * v)[1], mine, atol=1e-4)


@pytest.mark.slow
def test_spring_is_soft_contact(ball):
    exam = discover.find_contacts(spring, ball, REGION, dt=DT, budget="quick")
    touch = exam.law.touch
    assert touch.kind == "penalty", exam
    assert touch.stiffness == pytest.approx(4000, rel=1e-3)
    assert touch.damping == pytest.approx(30, rel=1e-2)
    assert exam.verdict != "lookup table"


def test_free_robot_touches_nothing(ball):
    exam = discover.find_contacts(nothing, ball, REGION, dt=DT, budget="quick")
    assert exam.surfaces == ()
    assert exam.touching == 0
    assert "No contact was found" in exam.sentence


@pytest.mark.slow
def test_table_of_contact_data_is_no_physics(ball):
    generator = torch.Generator().manual_seed(0)
    width = torch.tensor([0.5, 0.5, 2, 2, 8, 8], dtype=torch.float64)
    stored = width * (2 * torch.rand(2000, 6, generator=generator, dtype=torch.float64) - 1)
    q, v, tau = stored.split(2, 1)
    known = floor()(q, v, tau)

    def nearest(q, v, tau):
        at = torch.cdist(torch.cat((q, v, tau), 1) / width, stored / width).argmin(1)
        return q + known[0][at] - stored[at, :2], known[1][at]

    exam = discover.find_contacts(nearest, ball, REGION, dt=DT, budget="quick")
    assert exam.verdict in ("lookup table", "undetermined")
    assert exam.mode("free").verdict != "physics"


def test_one_contact_against_its_conditions():
    """Normal and cone conditions, and sliding against the impulse (Signorini, Coulomb)."""
    generator = torch.Generator().manual_seed(1)
    B = torch.randn(50, 3, 3, generator=generator, dtype=torch.float64)
    A = torch.eye(3, dtype=torch.float64) + 0.1 * B @ B.mT
    u = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    aim, mu = torch.zeros(50, dtype=torch.float64), 0.3
    impulse = one_contact(A, u, aim, mu, False)
    after = u + (A @ impulse[..., None])[..., 0]
    pushed = u[:, 0] < 0
    assert (after[pushed, 0].abs() < 1e-6).all()
    assert (impulse[~pushed] == 0).all()
    size = impulse[:, 1:].norm(dim=-1)
    assert (size <= mu * impulse[:, 0] + 1e-12).all()
    slides = pushed & (after[:, 1:].norm(dim=-1) > 1e-9)
    assert slides.any()
    way = after[slides, 1:] / after[slides, 1:].norm(dim=-1, keepdim=True)
    assert torch.allclose(impulse[slides, 1:], -size[slides, None] * way, atol=1e-6)


@pytest.mark.parametrize(
    ("how", "said"), [({"outputs": "acceleration"}, "next_state"), ({"budget": "huge"}, "budget")]
)
def test_bad_input_is_one_line(ball, how, said):
    with pytest.raises(ModelError, match=said) as caught:
        discover.find_contacts(nothing, ball, REGION, dt=DT, **how)
    assert "\n" not in str(caught.value)


HOPPER = """<mujoco><option timestep="0.005" cone="elliptic"/><worldbody>
<geom type="plane" size="9 9 1" friction=".6 0 0"/>
<body name="s"><joint name="x" type="slide" axis="1 0 0"/>
<geom type="sphere" size=".01" mass=".1" contype="0" conaffinity="0"/>
<body name="b"><joint name="z" type="slide" axis="0 0 1"/>
<geom type="sphere" size=".05" mass=".5" pos="0 0 .3" contype="0" conaffinity="0"/>
<body name="leg"><joint name="h" type="hinge" axis="0 1 0" range="-60 60" limited="true"/>
<geom type="sphere" size=".03" pos=".02 0 -.2" friction=".6 0 0" mass=".3"/>
</body></body></body></worldbody></mujoco>"""


@pytest.mark.slow
def test_mujocos_own_step():
    model, data = mujoco.MjModel.from_xml_string(HOPPER), None
    data = mujoco.MjData(model)

    def step(q, v, tau):
        after = []
        for row in zip(q.numpy(), v.numpy(), tau.numpy(), strict=True):
            mujoco.mj_resetData(model, data)
            data.qpos[:], data.qvel[:], data.qfrc_applied[:] = row
            mujoco.mj_step(model, data)
            after.append((data.qpos.copy(), data.qvel.copy()))
        return tuple(torch.from_numpy(np.array(x)) for x in zip(*after, strict=True))

    region = discover.Region(
        q=(torch.tensor([-1, 0.1, -1.3]), torch.tensor([1, 0.6, 1.3])),
        v=2.0, tau=torch.tensor([2.0, 5.0, 1.0]),
    )  # fmt: skip
    exam = discover.find_contacts(step, kinematics.load(HOPPER), region, dt=0.005)
    foot = next(s for s in exam.surfaces if s.gap.kind == "plane")
    assert np.allclose(foot.point, [0.02, 0, -0.2], atol=1e-6)
    assert abs(foot.offset - 0.03) < 1e-6
    assert foot.gap.radius == pytest.approx(0.03, abs=1e-5)
    limits = sorted(s.offset for s in exam.surfaces if s.gap.kind == "limit")
    assert np.allclose(limits, [-math.pi / 3, math.pi / 3], atol=1e-6)
    assert exam.law.touch.kind == "soft"
    assert exam.mode("impact").far < 1e-4
    assert exam.verdict != "lookup table"
