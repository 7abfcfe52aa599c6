"""Systems that can be worked out by hand."""

import math

import pytest
import torch

import kinematics
from kinematics.robot.inertial_parameters import about_origin
from kinematics.robot.tree import build

G = 9.81


def test_double_pendulum_by_hand():
    """Point masses: H = [[3 + 2 c, 1 + c], [1 + c, 1]]; Coriolis -s v2 (2 v1 + v2), s v1²."""
    robot = kinematics.load("double_pendulum")
    q, v, a = kinematics.random_state(robot, 20, q=100.0, v=10.0, a=10.0)
    c, s = torch.cos(q[:, 1]), torch.sin(q[:, 1])
    H = torch.stack((torch.stack((3 + 2 * c, 1 + c), 1), torch.stack((1 + c, c * 0 + 1), 1)), 1)
    coriolis = torch.stack((-s * v[:, 1] * (2 * v[:, 0] + v[:, 1]), s * v[:, 0] ** 2), 1)
    swing = torch.sin(q[:, 0] + q[:, 1])
    gravity = G * torch.stack((2 * torch.sin(q[:, 0]) + swing, swing), 1)
    torch.testing.assert_close(kinematics.crba(robot, q), H, rtol=1e-12, atol=1e-12)
    expected = (H @ a[..., None])[..., 0] + coriolis + gravity
    torch.testing.assert_close(kinematics.rnea(robot, q, v, a), expected, rtol=1e-11, atol=1e-11)
    potential = -G * (2 * torch.cos(q[:, 0]) + torch.cos(q[:, 0] + q[:, 1]))
    torch.testing.assert_close(kinematics.potential_energy(robot, q), potential)


def free_body(inertia, mass=1.0, gravity=(0.0, 0.0, 0.0), kind="free", com=(0.0, 0.0, 0.0)):

    diagonal = torch.diag(torch.tensor(inertia, dtype=torch.float64)).numpy()
    pi = about_origin(mass, torch.tensor(com, dtype=torch.float64).numpy(), diagonal)
    return build(
        "body", kinds=[kind], parents=[-1], tree_rotation=[torch.eye(3).tolist()],
        tree_offset=[[0.0] * 3], axes=[[0.0, 0.0, 1.0]], pi=[pi.tolist()], gravity=gravity,
    )  # fmt: skip


def test_floating_satellite_obeys_euler_and_keeps_its_momentum():
    robot = free_body((1.0, 2.0, 2.5), mass=3.0)
    v = torch.tensor([0.3, 1.1, -0.4, 0.2, 0.1, -0.5], dtype=torch.float64)
    w, u = v[:3], v[3:]
    inertia = torch.tensor([1.0, 2.0, 2.5], dtype=torch.float64)
    spin = -torch.linalg.cross(w, inertia * w) / inertia
    expected = torch.cat((spin, -torch.linalg.cross(w, u)))
    q = robot.neutral()
    a = kinematics.aba(robot, q, v, torch.zeros(6, dtype=torch.float64))
    torch.testing.assert_close(a, expected)
    path = kinematics.simulate(robot, q, v, None, 1e-2, 400)
    momentum = kinematics.momentum(robot, path.q, path.v)
    assert float((momentum - momentum[0]).abs().max()) < 1e-7
    assert float((path.energy - path.energy[0]).abs().max()) < 1e-7


def test_falling_body_falls():
    robot = free_body((0.1, 0.2, 0.15), mass=2.0, gravity=(0.0, 0.0, -G))
    v = torch.zeros(6, dtype=torch.float64)
    v[0] = 1.0
    path = kinematics.simulate(robot, robot.neutral(), v, None, 1e-2, 100)
    assert float(path.q[-1, 2]) == pytest.approx(-G / 2, abs=1e-8)


@pytest.mark.slow
def test_spinning_top_precesses():
    """A fast symmetric top precesses steadily where m g l = a (I3 s - I1 a cos θ)."""
    i1, i3, mass, length, spin = 0.1, 0.05, 1.0, 0.2, 60.0
    robot = free_body(
        (i1 - mass * length**2, i1 - mass * length**2, i3), mass, (0.0, 0.0, -G),
        kind="spherical", com=(0.0, 0.0, length),
    )  # fmt: skip
    theta = 0.6
    # steady precession rate p: i1 cosθ p² - i3 s p + m g l = 0 with s the spin about the axis
    b, c = -i3 * spin, mass * G * length
    rate = (-b - math.sqrt(b * b - 4 * i1 * math.cos(theta) * c)) / (2 * i1 * math.cos(theta))
    half = theta / 2
    q = torch.tensor([math.cos(half), math.sin(half), 0.0, 0.0], dtype=torch.float64)
    # body frame: precession about the vertical plus spin about z, total spin component s
    v = torch.tensor([0.0, rate * math.sin(theta), spin], dtype=torch.float64)
    path = kinematics.simulate(robot, q, v, None, 5e-4, 600)
    w, x, y, z = path.q.unbind(-1)
    axis_z = 1 - 2 * (x * x + y * y)
    assert float((axis_z - math.cos(theta)).abs().max()) < 1e-8
    heading = torch.atan2(2 * (x * z + w * y), 2 * (y * z - w * x))
    turned = float(heading[-1] - heading[0])
    assert math.remainder(abs(turned) - rate * 0.3, 2 * math.pi) == pytest.approx(0, abs=1e-6)
    assert float((path.energy - path.energy[0]).abs().max()) < 1e-8


@pytest.mark.slow
def test_prismatic_spring_oscillates():
    robot = build(
        "spring", kinds=["prismatic"], parents=[-1], tree_rotation=[torch.eye(3).tolist()],
        tree_offset=[[0.0] * 3], axes=[[1.0, 0.0, 0.0]],
        pi=[[2.0, 0, 0, 0, 0.1, 0, 0.1, 0, 0, 0.1]], stiffness=[8.0],
    )  # fmt: skip
    path = kinematics.simulate(robot, [0.1], [0.0], None, 1e-3, 2000)
    expected = 0.1 * torch.cos(2.0 * path.t)
    torch.testing.assert_close(path.q[:, 0], expected, rtol=0, atol=1e-10)
