"""The convex problem of a step: optimality, batches, dtypes, gradients; and sliding blocks."""

import math
from dataclasses import replace

import pytest
import torch

import kinematics
from kinematics.contact.law import Hard, Soft
from kinematics.contact.newton import solve
from kinematics.contact.problem import Problem
from kinematics.contact.scene import Scene
from kinematics.contact.shapes import HalfSpace, Point
from tests.contact.stepping import free_block, sliders

CORNERS = [(x, y, -0.1) for x in (-0.1, 0.1) for y in (-0.1, 0.1)]


def on_floor(law, friction=0.3):
    points = [Point(body="block", at=at, friction=friction) for at in CORNERS]
    return Scene(points, [HalfSpace(friction=friction)], law=law)


def problems(count: int, stiff: float, lifted: bool = False) -> Problem:
    """Random problems in 5 unknowns with 3 cones, 2 one-sided and 1 bounded row."""
    g = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(count, *shape, generator=g, dtype=torch.float64)

    root, mu = draw(5, 5), 0.2 + draw(3).abs()
    return Problem(
        mass=root @ root.mT + torch.eye(5).double(), free=3 * draw(5), jacobian=draw(12, 5),
        target=draw(12), cone_weight=stiff * (0.5 + draw(3).abs()), mu=mu,
        ratio=torch.ones(count, 3, 2).double(), lift=mu * lifted,
        one_sided_weight=stiff * (0.5 + draw(2).abs()),
        bounded_weight=stiff * (0.5 + draw(1).abs()), bound=draw(1).abs(),
    )  # fmt: skip


@pytest.mark.parametrize("stiff", [1.0, 1e5])
def test_solutions_balance_and_forces_lie_in_their_cones(stiff):
    problem = problems(200, stiff)
    found = solve(problem, eased=stiff)
    moved = (problem.mass @ (found.x - problem.free)[..., None])[..., 0]
    pull = (problem.jacobian.mT @ found.forces[..., None])[..., 0]
    assert float((moved - pull).abs().max() / moved.abs().max()) < 1e-8
    cone = found.forces[:, :9].reshape(-1, 3, 3)
    grip = (cone[..., 1:] / problem.mu[..., None]).norm(dim=-1)
    assert float((grip - cone[..., 0]).max()) < 1e-9 * float(cone.abs().max())
    assert float(found.forces[:, 9:11].min()) >= 0
    assert bool((found.forces[:, 11:].abs() <= problem.bound).all())
    assert set(found.zones.unique().tolist()) == {0, 1, 2}  # all zones were visited


def test_the_solution_is_the_least_cost():
    problem = problems(50, 10.0)
    x = solve(problem).x
    g = torch.Generator().manual_seed(1)
    for size in (1e-3, 1.0):
        step = size * torch.randn(x.shape, generator=g, dtype=torch.float64)
        slope = 0.0
        for share in torch.linspace(0, 1, 101)[1:] - 0.005:  # cost as the integral of its slope
            y = x + share * step
            moved = (problem.mass @ (y - problem.free)[..., None])[..., 0]
            pull = (problem.jacobian.mT @ problem.forces(problem.slack(y))[..., None])[..., 0]
            slope = slope + ((moved - pull) * step).sum(-1) / 100
        assert bool((slope > 0).all())


def test_each_element_of_a_batch_is_solved_as_if_alone():
    problem = problems(30, 1e3)
    whole = solve(problem, eased=1e3)
    for k in (0, 7, 29):
        alone = solve(problem.at(torch.tensor([k])), eased=1e3)
        torch.testing.assert_close(alone.x[0], whole.x[k], atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize(("stiff", "lifted"), [(3.0, False), (1e3, False), (30.0, True)])
def test_gradients_of_solutions_are_those_by_differences(stiff, lifted):
    problem = problems(8, stiff, lifted)
    names = ("mass", "free", "jacobian", "target", "cone_weight", "mu", "bound")
    g = torch.Generator().manual_seed(2)
    ways = {n: torch.randn(getattr(problem, n).shape, generator=g).double() for n in names}
    ways["mass"] = ways["mass"] + ways["mass"].mT
    if lifted:
        ways["lift"] = ways["mu"]

    def at(t):
        moved = {n: getattr(problem, n) + t * way for n, way in ways.items()}
        return solve(replace(problem, **moved), eased=stiff).x

    t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    picks = torch.randn(8, 5, generator=g, dtype=torch.float64)
    (found,) = torch.autograd.grad((at(t) * picks).sum(), t)
    size = 1e-6
    by_differences = ((at(size) - at(-size)) * picks).sum() / (2 * size)
    assert abs(float(found - by_differences)) < 1e-5 * (1 + abs(float(by_differences)))


@pytest.mark.parametrize("law", [Soft(), Hard(restitution=0.4), Hard(friction="coulomb")])
def test_gradients_of_a_sliding_step_are_those_by_differences(law):
    scene, robot = on_floor(law), free_block()
    q = torch.tensor([0, 0, 0.0999, 1, 0, 0, 0.0], dtype=torch.float64)
    v = torch.tensor([0.1, 0.2, 0.3, 1.0, 0.5, -0.4], dtype=torch.float64)

    def end(v):
        return torch.cat(kinematics.step(robot, scene, q, v, None, 0.002))

    found = torch.autograd.functional.jacobian(end, v)
    size, eye = 1e-6, torch.eye(6, dtype=torch.float64)
    columns = [(end(v + size * e) - end(v - size * e)) / (2 * size) for e in eye]
    torch.testing.assert_close(found, torch.stack(columns, 1), atol=2e-6, rtol=2e-6)


def test_gradients_reach_inertial_parameters():
    robot, scene = sliders(1, (0.0, 0.0, 1.0), (0.0, 0.0, -9.81)), None
    scene = Scene([Point(body="b0")], [HalfSpace()], law=Soft())
    q, v = torch.tensor([-1e-4]).double(), torch.tensor([-0.1]).double()

    def end(mass):
        pi = robot.pi * torch.stack((mass, *torch.ones(9).double()))
        changed = robot.replace(pi=pi)
        # the compliance follows the robot's own inverse weight, the pull does not
        return kinematics.step(changed, scene, q, v, torch.tensor([-5.0]).double(), 0.002)[1][0]

    one = torch.ones((), dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(end(one), one)
    assert math.isfinite(float(found))
    assert float(found) != 0


def test_float32_answers_nearly_as_float64():
    scene, robot = on_floor(Hard(friction="coulomb", regularisation=1e-4)), free_block()
    q = torch.tensor([0, 0, 0.0999, 1, 0, 0, 0.0], dtype=torch.float64)
    v = torch.tensor([0.1, 0.2, 0.3, 1.0, 0.5, -0.4], dtype=torch.float64)
    wide = kinematics.step(robot, scene, q, v, None, 0.002)
    narrow = kinematics.step(robot, scene, q.float(), v.float(), None, 0.002)
    assert narrow[1].dtype == torch.float32
    torch.testing.assert_close(narrow[1].double(), wide[1], atol=1e-3, rtol=1e-3)


def test_a_block_slides_as_far_as_coulomb_says_and_only_convex_friction_lifts_it():
    robot, dt = free_block(), 0.01
    lifts, ends = {}, {}
    for family in ("coulomb", "convex"):
        scene = on_floor(Hard(friction=family))
        q = torch.tensor([0, 0, 0.1, 1, 0, 0, 0.0], dtype=torch.float64)
        v = torch.tensor([0, 0, 0, 1.0, 0, 0], dtype=torch.float64)
        lift = 0.0
        for _ in range(40):
            q, v = kinematics.step(robot, scene, q, v, None, dt)
            lift = max(lift, float(q[2]) - 0.1)
        lifts[family], ends[family] = lift, float(q[0])
    exact = 1.0 / (2 * 0.3 * 9.81)
    assert abs(ends["coulomb"] - (exact - dt / 2)) < 1e-4  # semi-implicit Euler: v0 dt / 2 short
    assert lifts["coulomb"] < 1e-6
    assert lifts["convex"] > 1e-3


def test_a_block_on_a_slope_stays_within_the_cone_and_slides_beyond():
    dt, a = 0.01, math.radians(20)
    robot = free_block(gravity=(9.81 * math.sin(a), 0, -9.81 * math.cos(a)))
    for friction in (0.5, 0.3):
        scene = on_floor(Hard(friction="coulomb"), friction)
        q = torch.tensor([0, 0, 0.1, 1, 0, 0, 0.0], dtype=torch.float64)
        v = torch.zeros(6, dtype=torch.float64)
        for _ in range(10):
            q, v = kinematics.step(robot, scene, q, v, None, dt)
        slide = 9.81 * max(math.sin(a) - friction * math.cos(a), 0) * 10 * dt
        assert abs(float(v[3]) - slide) < 1e-5


def test_several_contacts_share_restitution():
    robot = sliders(2, (0.0, 0.0, 1.0))
    points = [Point(body="b0", restitution=0.25), Point(body="b1")]
    scene = Scene(points, [HalfSpace()], law=Hard(restitution=0.75))
    q, v = torch.tensor([1e-5, 1e-5]).double(), torch.tensor([-1.0, -2.0]).double()
    _, after = kinematics.step(robot, scene, q, v, None, 0.001)
    torch.testing.assert_close(after, torch.tensor([0.25, 1.5]).double(), atol=1e-5, rtol=0)
