"""Mimic joints beside ball and free joints: states have the widths of the independent joints, and
what they do is what the full tree does under the same coordinates."""

import pytest
import torch
from kinematic_samples import on_device, worst

import kinematics
from kinematics.arrays import TORCH

BY_VELOCITY = (
    "armature", "damping", "friction", "stiffness", "spring_reference", "velocity_limit",
    "effort_limit",
)  # fmt: skip
DRIVERS = {
    "gripper on a free base": (("free", "revolute", "revolute"), {2: 1}),
    "ball joint between": (("revolute", "spherical", "prismatic", "prismatic"), {3: 2}),
    "mimic first": (("prismatic", "spherical", "prismatic", "free", "revolute"), {0: 2}),
    "two mimics": (("free", "revolute", "revolute", "spherical", "revolute"), {1: 4, 2: 4}),
}


def full_and_coupled(case):
    """A tree, and the same with some joints following others."""
    kinds, follows = DRIVERS[case]
    placed = kinematics.random_tree(len(kinds), 0.5, seed=7, kinds=("revolute",))
    nq = sum({"spherical": 4, "free": 7}.get(kind, 1) for kind in kinds)
    nv = sum({"spherical": 3, "free": 6}.get(kind, 1) for kind in kinds)
    full = kinematics.Robot.from_dict(
        placed.to_dict() | {"kinds": list(kinds)} | _zeros(nq, nv, list)
    )
    mimic = tuple(
        kinematics.Mimic(
            joint=full.joint_names[joint],
            driver=full.joint_names[driver],
            multiplier=-0.5 - joint,
            offset=0.2,
        )
        for joint, driver in follows.items()
    )
    sizes = _zeros(nq - len(follows), nv - len(follows), torch.tensor)
    return full, full.replace(mimic=mimic, **sizes)


def _zeros(nq, nv, kind):
    """No joint terms and limits, at these widths."""
    positions = dict.fromkeys(("lower", "upper"), kind([0.0] * nq))
    return positions | dict.fromkeys(BY_VELOCITY, kind([0.0] * nv))


@pytest.mark.parametrize("case", DRIVERS)
def test_widths_and_motion_are_those_of_the_independent_joints(case):
    full, robot = full_and_coupled(case)
    q, v, a = kinematics.random_state(robot, 3, q=1.0)
    assert robot.neutral().shape == (robot.nq,)
    moved = kinematics.integrate(robot, q, v, 0.3)
    assert moved.shape == (3, robot.nq)
    assert kinematics.difference(robot, q, moved).shape == (3, robot.nv)
    assert worst(kinematics.difference(robot, q, moved), 0.3 * v) < 1e-12
    start, end = (robot.coupling.positions(TORCH, x) for x in (q, moved))
    rate = robot.coupling.velocities(TORCH, v)
    assert worst(kinematics.integrate(full, start, rate, 0.3), end) < 1e-12
    for name, x in on_device(robot, q, v, a).items():
        assert x.isfinite().all(), name


@pytest.mark.parametrize("integrator", ["semi_implicit_euler", "rk4", "implicit_midpoint"])
@pytest.mark.parametrize("case", DRIVERS)
@pytest.mark.slow
def test_every_integrator_keeps_the_widths_and_the_energy(case, integrator):
    _, robot = full_and_coupled(case)
    q, v, _ = kinematics.random_state(robot, 2, q=0.5, v=0.3)
    drift = []
    for steps in (10, 20):
        path = kinematics.simulate(robot, q, v, None, 0.02 / steps, steps, integrator=integrator)
        assert path.q.shape == (steps + 1, 2, robot.nq)
        assert path.v.shape == path.a.shape == path.tau.shape == (steps + 1, 2, robot.nv)
        drift.append(float((path.energy[-1] - path.energy[0]).abs().max()))
    assert drift[1] < 0.7 * drift[0] + 1e-12


def test_springs_of_ball_joints_beside_mimics():
    """The force is the derivative of the energy."""
    _, robot = full_and_coupled("mimic first")
    sprung = robot.replace(
        stiffness=torch.linspace(1.0, 2.0, robot.nv), spring_reference=torch.full((robot.nv,), 0.1)
    )
    q, v, _ = kinematics.random_state(sprung, 4, q=0.5)
    zero = torch.zeros_like(v)
    force = kinematics.joint_forces(sprung, q, zero, zero)
    assert force.shape == v.shape
    step = 1e-6

    def energy(sign):
        there = kinematics.integrate(sprung, q, v, sign * step)
        return kinematics.potential_energy(sprung, there) - kinematics.potential_energy(
            robot, there
        )

    slope = (energy(1) - energy(-1)) / (2 * step)
    assert worst((force * v).sum(-1), slope) < 1e-6


def test_parents_of_independent_joints_pass_over_mimics():
    robot = kinematics.random_tree(4, 0.0, seed=3, kinds=("revolute",))
    one, two, three, four = robot.joint_names
    sizes = _zeros(3, 3, torch.tensor)
    assert robot.independent_parents == robot.parents == [-1, 0, 1, 2]
    for joint, driver, parents in ((two, one, [-1, 0, 1]), (one, four, [-1, 0, 1]),
                                   (four, three, [-1, 0, 1])):  # fmt: skip
        coupled = robot.replace(mimic=(kinematics.Mimic(joint=joint, driver=driver),), **sizes)
        assert coupled.independent_parents == parents
        assert len(coupled.independent_kinds) == 3
