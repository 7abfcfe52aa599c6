"""Gaps, normals and Jacobians of contacts: identities, closed forms, differences."""

import numpy as np
import pytest
import torch

import kinematics
from kinematics import RobotError
from kinematics.contact import (
    Box,
    Capsule,
    Convex,
    Geom,
    HalfSpace,
    Point,
    Scene,
    contacts,
)

KINDS = ("revolute", "prismatic", "spherical")


def everything(robot):
    """A scene with every pair of shapes that is tested, on random bodies of a robot."""
    bodies, rng = robot.body_names, np.random.default_rng(3)

    def body():
        return bodies[int(rng.integers(len(bodies)))]

    def turned():
        return np.linalg.qr(rng.normal(size=(3, 3)))[0]

    shapes = [
        HalfSpace((0, 0.2, 1), -0.3, name="floor"),
        HalfSpace((1, 0, 0), 0.1, body=bodies[0], name="plate"),
        Point(body(), rng.normal(size=3) * 0.2, 0.05, name="ball"),
        Point(body(), rng.normal(size=3) * 0.2, 0.1, name="ball2"),
        Capsule(body(), (0, 0, 0), rng.normal(size=3) * 0.3, 0.05, name="rod"),
        Capsule(body(), (0.1, 0, 0), rng.normal(size=3) * 0.3, 0.07, name="rod2"),
        Box(body(), (0.1, 0.2, 0.3), (0.1, 0, 0), turned(), name="box"),
        Geom(kind="cylinder", body=body(), size=(0.1, 0.2, 0), rotation=turned(), name="can"),
        Convex(body(), rng.normal(size=(6, 3)) * 0.2, 0.01, name="few"),
        Convex(body(), rng.normal(size=(40, 3)) * 0.2, name="many"),
    ]
    pairs = [
        *(("floor", s.name) for s in shapes[2:]), ("plate", "ball"), ("plate", "rod2"),
        ("ball", "ball2"), ("ball", "rod"), ("ball2", "can"), ("ball", "box"), ("rod", "rod2"),
    ]  # fmt: skip
    return Scene(geoms=shapes, pairs=pairs)


@pytest.mark.parametrize("root", ["fixed", "free"])
def test_gaps_change_at_the_speed_of_the_jacobian(root):
    for seed in range(3):
        robot = kinematics.random_tree(6, branching=0.4, seed=seed, kinds=KINDS, root=root)
        scene = everything(robot)
        q, v, _ = kinematics.random_state(robot, 6)
        now, h = contacts(robot, scene, q), 1e-6
        ahead, behind = (
            contacts(robot, scene, kinematics.integrate(robot, q, v, s * h)).gap for s in (1, -1)
        )
        rate = (ahead - behind) / (2 * h)
        # two points of a disk on a plane keep their angle to the lowest, not their place on it
        kept = torch.tensor([name not in ("floor/can.2", "floor/can.3") for name in scene.names])
        kept = now.present & kept
        assert kept.sum() > 0.7 * kept.numel()
        assert (now.velocity(v)[..., 0] - rate)[kept].abs().max() < 1e-6


def test_frames_are_right_handed_rotations():
    robot = kinematics.random_tree(5, seed=1, kinds=KINDS, root="free")
    q, _, _ = kinematics.random_state(robot, 20)
    frame = contacts(robot, everything(robot), q).frame
    assert (frame @ frame.mT - torch.eye(3, dtype=q.dtype)).abs().max() < 1e-13
    assert (torch.linalg.det(frame) - 1).abs().max() < 1e-13


def test_forces_at_a_contact_are_wrenches_on_the_two_bodies():
    """tau = Jᵀ λ is what inverse dynamics gives for the same force as external wrenches."""
    robot = kinematics.random_tree(5, branching=0.5, seed=2, kinds=KINDS, root="free")
    one, two = robot.body_names[2], robot.body_names[4]
    scene = Scene(geoms=[Point(one, (0.1, 0, 0), 0.1), Point(two, (0, 0.2, 0), 0.2)])
    q, v, _ = kinematics.random_state(robot, 4)
    c = contacts(robot, scene, q)
    force = torch.randn(4, 3, dtype=q.dtype, generator=torch.Generator().manual_seed(0))
    tau = (c.jacobian[:, 0] * force[..., None]).sum(1)
    # forces act on bodies in their own frames, whose places are asked of points on a plane: the
    # contact lies half a point's height below it
    wrench = torch.zeros(4, robot.nb, 6, dtype=q.dtype)
    world = (c.frame[:, 0].mT @ force[..., None])[..., 0]
    up = torch.tensor([0, 0, 0.5], dtype=q.dtype)
    for body, sign in ((2, -1.0), (4, 1.0)):
        marks = [Point(robot.body_names[body], at) for at in ((0, 0, 0), *np.eye(3))]
        seen = contacts(robot, Scene(marks, [HalfSpace()]), q)
        place = seen.point + up * seen.gap[..., None]
        turn = (place[:, 1:] - place[:, :1]).mT
        arm = (turn.mT @ (c.point[:, 0] - place[:, 0])[..., None])[..., 0]
        own = sign * (turn.mT @ world[..., None])[..., 0]
        wrench[:, body] = torch.cat((torch.linalg.cross(arm, own), own), -1)
    still = torch.zeros_like(v)
    answered = kinematics.rnea(robot, q, still, still) - kinematics.rnea(
        robot, q, still, still, f_ext=wrench
    )
    assert (answered - tau).abs().max() < 1e-12


def slider(*shapes, **options):
    """One shape on a body that slides along x, and what it meets on the world."""
    robot = kinematics.load(
        """<mujoco><worldbody><body name="cart"><joint type="slide" axis="1 0 0"/>
        <geom size=".1"/></body></worldbody></mujoco>"""
    )
    return robot, Scene(geoms=shapes, **options)


def gap(robot, scene, x):
    c = contacts(robot, scene, torch.tensor([x], dtype=torch.float64))
    return c.gap[c.present]


def test_gaps_of_closed_form():
    ball = Point("cart", radius=0.1)
    for other, x, expected in (
        (Point("world", radius=0.2), 0.5, 0.2),
        (Point("world", radius=0.2), 0.2, -0.1),
        (Capsule("world", (0, 0, -1), (0, 0, 1), 0.2), 0.5, 0.2),
        (Capsule("world", (-1, 0, 0), (-0.5, 0, 0), 0.2), 0.5, 0.7),
        (Box("world", (0.1, 0.2, 0.3)), 0.5, 0.3),
        (Box("world", (0.1, 0.2, 0.3)), 0.05, -0.15),  # from inside by the nearest face
        (Geom(kind="cylinder", size=(0.3, 1, 0)), 0.5, 0.1),
        (HalfSpace((1, 0, 0), 0.2), 0.5, 0.2),
    ):
        assert gap(*slider(ball, other), x).tolist() == pytest.approx([expected]), other
    bar = Capsule("cart", (0, 0, 0), (0, 0, 1), 0.1)
    beside = Capsule("world", (0, 0, 0.5), (0, 0, 2), 0.1)
    robot, scene = slider(bar, beside)
    c = contacts(robot, scene, torch.tensor([0.5], dtype=torch.float64))
    assert c.present.all()  # parallel: at both ends of the overlap
    assert c.gap.tolist() == pytest.approx([0.3, 0.3])
    assert sorted(c.point[:, 2].tolist()) == pytest.approx([0.5, 1.0])


def test_convex_points_are_their_lowest_vertices():
    robot = kinematics.random_tree(1, root="free", seed=0)
    for count, kept in ((8, 8), (16, 16), (17, 4), (60, 4)):
        points = np.random.default_rng(count).normal(size=(count, 3))
        scene = Scene([Convex(robot.body_names[0], points, 0.1)], [HalfSpace()])
        each = Scene([Point(robot.body_names[0], p, 0.1) for p in points], [HalfSpace()])
        q, _, _ = kinematics.random_state(robot, 5)
        ours, all_of = (contacts(robot, s, q).gap.sort(-1).values for s in (scene, each))
        assert ours.shape == (5, kept)
        assert (ours - all_of[:, :kept]).abs().max() < 1e-14


def test_gradients_are_those_of_differences():
    robot = kinematics.random_tree(4, seed=3)
    scene = everything(robot)
    q, _, _ = kinematics.random_state(robot, 1)
    mask = contacts(robot, scene, q).present
    drawn = torch.Generator().manual_seed(0)
    weights = torch.randn(4, *mask.shape, 3, 3, dtype=q.dtype, generator=drawn)

    def probe(x):
        c = contacts(robot, scene, x)
        total = (c.gap * weights[0, ..., 0, 0])[mask].sum() + (c.frame * weights[1])[mask].sum()
        total = total + (c.point * weights[2, ..., 0])[mask].sum()
        return total + (c.jacobian[..., :3] * weights[3])[mask].sum()

    x = q.clone().requires_grad_()
    (slope,) = torch.autograd.grad(probe(x), x)
    for k in range(robot.nq):
        step = torch.zeros_like(q)
        step[0, k] = 1e-6
        assert float(slope[0, k]) == pytest.approx(
            float(probe(q + step) - probe(q - step)) / 2e-6, rel=1e-5, abs=1e-6
        )
    empty = torch.zeros(robot.nq, dtype=q.dtype, requires_grad=True)  # touching shapes may coincide
    c = contacts(robot, scene, empty)
    (slope,) = torch.autograd.grad(c.gap[c.present].sum() + c.jacobian.sum(), empty)
    assert slope.isfinite().all()


def test_batches_types_and_single_states_agree():
    robot = kinematics.random_tree(4, seed=5, root="free", kinds=KINDS)
    scene = everything(robot)
    q, v, _ = kinematics.random_state(robot, 6)
    whole = contacts(robot, scene, q)
    folded = contacts(robot, scene, q.reshape(2, 3, -1))
    assert folded.jacobian.shape == (2, 3, scene.nc, 3, robot.nv)
    single = contacts(robot, scene, q[4])
    short = contacts(robot, scene, q.float())
    assert short.gap.dtype == torch.float32
    for name in ("gap", "point", "frame", "jacobian", "present"):
        x = getattr(whole, name)
        assert torch.allclose(getattr(folded, name).flatten(0, 1), x, rtol=0, atol=1e-13)
        assert torch.allclose(getattr(single, name), x[4], rtol=0, atol=1e-13)
    there = whole.present & short.present
    assert (short.gap - whole.gap)[there].abs().max() < 1e-5
    assert contacts(robot, scene, q[:0]).jacobian.shape == (0, scene.nc, 3, robot.nv)
    assert contacts(robot, Scene(), q).velocity(v).shape == (6, 0, 3)


def test_joints_that_mimic_others_carry_their_contacts():
    text = """<robot name="m"><link name="b"/>
    <link name="l"><inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1"/></inertial></link>
    <link name="r"><inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1"/></inertial></link>
    <joint name="j" type="continuous"><parent link="b"/><child link="l"/><axis xyz="0 1 0"/></joint>
    <joint name="k" type="continuous"><parent link="l"/><child link="r"/><axis xyz="1 0 0"/>
    <origin xyz=".4 0 0"/><mimic joint="j" multiplier="-2" offset=".3"/></joint></robot>"""
    robot = kinematics.load(text)
    scene = Scene([Point("r", (0.1, 0.2, 0.3))], [HalfSpace((1, 2, 3))])
    q, v = torch.tensor([[0.7]]).double(), torch.tensor([[1.3]]).double()
    rate = contacts(robot, scene, q + 1e-6 * v).gap - contacts(robot, scene, q - 1e-6 * v).gap
    c = contacts(robot, scene, q)
    assert c.jacobian.shape == (1, 1, 3, 1)
    assert float(c.velocity(v)[0, 0, 0]) == pytest.approx(float(rate) / 2e-6, abs=1e-8)


def test_what_cannot_be_used_is_refused_in_one_line():
    robot = kinematics.random_tree(2, seed=0)
    for scene, q, says in (
        (Scene([Point("nobody")], [HalfSpace()]), [0.0, 0.0], "a body of random_tree"),
        ("floor", [0.0, 0.0], "expected a kinematics.contact.Scene"),
        (Scene([Point("world", radius=1)], [HalfSpace(body="body1")]), [0.0], r"of shape \(..., 2"),
    ):
        with pytest.raises(RobotError, match=says) as refused:
            contacts(robot, scene, q)
        assert "\n" not in str(refused.value)
