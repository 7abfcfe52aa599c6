"""Motion from impact to impact, and its gradient, against closed forms."""

import math

import pytest
import torch

import kinematics
from kinematics.contact.events import advance
from kinematics.contact.law import Hard, Soft
from kinematics.contact.scene import Scene
from kinematics.contact.shapes import HalfSpace, Point
from tests.contact.stepping import sliders

G = 9.81


def test_equal_elastic_balls_leave_with_each_others_motion():
    robot = sliders(2)
    balls = [Point(body="b0", radius=0.1), Point(body="b1", radius=0.1)]
    scene = Scene(geoms=balls, law=Hard(restitution=1.0))

    def end(x):
        return torch.cat(advance(robot, scene, x[:2], x[2:], None, 1.0, dt=0.1))

    x = torch.tensor([0.0, 1.0, 2.0, 0.5], dtype=torch.float64)
    torch.testing.assert_close(
        end(x), torch.tensor([1.3, 2.2, 0.5, 2.0], dtype=torch.float64), atol=1e-9, rtol=0
    )
    found = torch.autograd.functional.jacobian(end, x)
    swap = [[0, 1, 0, 1], [1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    torch.testing.assert_close(found, torch.tensor(swap).double(), atol=1e-9, rtol=0)


def test_a_bounce_and_its_gradient_are_those_of_the_parabola():
    robot = sliders(1, axis=(0.0, 0.0, 1.0), gravity=(0.0, 0.0, -G))
    scene = Scene([Point(body="b0")], [HalfSpace()], law=Hard(restitution=0.7))

    def end(x):
        return torch.cat(advance(robot, scene, x[:1], x[1:], None, 1.0, dt=0.25))

    def exact(x):
        first = (x[1] + (x[1] ** 2 + 2 * G * x[0]).sqrt()) / G
        left, up = 1.0 - first, 0.7 * (G * first - x[1])
        return torch.stack((up * left - G / 2 * left**2, up - G * left))

    x = torch.tensor([1.0, 0.2], dtype=torch.float64)
    torch.testing.assert_close(end(x), exact(x), atol=1e-10, rtol=0)
    of = torch.autograd.functional.jacobian
    torch.testing.assert_close(of(end, x), of(exact, x), atol=1e-8, rtol=0)
    _, _, met = advance(robot, scene, x[:1], x[1:], None, 1.0, dt=0.25, details=True)
    falls = (0.2 + math.sqrt(0.04 + 2 * G)) / G
    assert abs(float(met[0].times[0]) - falls) < 1e-12
    assert len(met[0].times) == 1


def test_bouncing_ends_in_rest():
    robot = sliders(1, axis=(0.0, 0.0, 1.0), gravity=(0.0, 0.0, -G))
    scene = Scene([Point(body="b0")], [HalfSpace()], law=Hard(restitution=0.3))
    start = torch.tensor([0.05]).double()
    q, v = advance(robot, scene, start, torch.zeros(1).double(), None, 0.5, dt=0.05, rest=0.01)
    assert abs(float(q)) < 1e-5
    assert abs(float(v)) < 1e-4


def test_only_the_hard_law_has_impacts():
    robot = sliders(1)
    scene = Scene([Point(body="b0")], [HalfSpace()], law=Soft())
    with pytest.raises(kinematics.RobotError, match="hard law"):
        advance(robot, scene, torch.ones(1).double(), torch.zeros(1).double(), None, 1.0)
