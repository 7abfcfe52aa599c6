"""The laws of mechanics as tests, on bundled robots and on random trees of every joint kind."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kinematic_samples import MIXED, sample_robots, worst

import kinematics
from kinematics.algorithms.energy import joint_momentum, momentum_rate
from kinematics.algorithms.manifold import difference, integrate

ROBOTS = sample_robots()
by_robot = pytest.mark.parametrize("robot", ROBOTS, ids=lambda r: f"{r.name}-{r.nv}")


def state(robot, count=4, seed=0, **widths):
    return kinematics.random_state(robot, count, seed=seed, **widths)


@by_robot
def test_forward_undoes_inverse(robot):
    q, v, a = state(robot)
    assert worst(kinematics.aba(robot, q, v, kinematics.rnea(robot, q, v, a)), a) < 1e-9


@by_robot
def test_mass_matrix_columns_are_inverse_dynamics_of_unit_accelerations(robot):
    q, v, _ = state(robot)
    still = robot.replace(gravity=[0.0, 0.0, 0.0])
    unit = torch.eye(robot.nv, dtype=torch.float64)[:, None].expand(-1, 4, -1)
    columns = kinematics.rnea(still, q, torch.zeros_like(v), unit)
    H = kinematics.crba(robot, q)
    assert worst(columns.permute(1, 2, 0), H) < 1e-12
    assert torch.equal(H, H.mT)
    assert float(torch.linalg.eigvalsh(H).min()) > -1e-12


@by_robot
def test_rate_of_mass_matrix_less_twice_coriolis_is_skew(robot):
    """vᵀ (Ḣ - 2C) v = 0 with C v = bias without gravity: Ḣ along v, by a symmetric difference."""
    q, v, _ = state(robot)
    still = robot.replace(gravity=[0.0, 0.0, 0.0])
    h = 1e-5
    forward = kinematics.crba(robot, integrate(robot, q, v, h))
    backward = kinematics.crba(robot, integrate(robot, q, v, -h))
    rate = ((forward - backward) / (2 * h) * v[:, None] * v[:, :, None]).sum((1, 2))
    coriolis = (kinematics.bias(still, q, v) * v).sum(1)
    scale = float(kinematics.kinetic_energy(robot, q, v).max())
    assert float((rate - 2 * coriolis).abs().max()) < 1e-7 * max(scale, 1.0)


@by_robot
def test_gravity_is_the_gradient_of_the_potential(robot):
    q, v, _ = state(robot, 3)
    gravity = kinematics.bias(robot, q, torch.zeros_like(v))

    def height(x):
        return kinematics.potential_energy(robot, integrate(robot, q, x, 1.0)).sum()

    gradient = torch.autograd.functional.jacobian(height, torch.zeros_like(v))
    assert worst(gradient, gravity) < 1e-9


@by_robot
def test_power_balance(robot):
    """dE/dt = v · tau, with armature, damping, friction and springs in the balance."""
    robot = robot.replace(
        armature=torch.full((robot.nv,), 0.1),
        damping=torch.full((robot.nv,), 0.3),
        friction=torch.full((robot.nv,), 0.2),
        stiffness=torch.linspace(0.2, 0.9, robot.nv),
        spring_reference=torch.full((robot.nv,), 0.4),
    )
    q, v, a = state(robot)
    tau = kinematics.rnea(robot, q, v, a)
    lost = (v * (0.3 * v + 0.2 * torch.tanh(v / robot.friction_speed))).sum(1)
    h = 1e-5

    def energy(sign):
        moved = integrate(robot, q, v, sign * h)
        moved = integrate(robot, moved, a, sign * sign * h * h / 2)
        velocity = v + sign * h * a
        return kinematics.kinetic_energy(robot, moved, velocity) + kinematics.potential_energy(
            robot, moved
        )

    rate = (energy(1.0) - energy(-1.0)) / (2 * h)
    assert worst(rate, (v * tau).sum(1) - lost) < 1e-6


@by_robot
def test_regressor_is_linear_in_the_parameters(robot):
    q, v, a = state(robot)
    Y = kinematics.regressor(robot, q, v, a)
    assert Y.shape == (4, robot.nv, 10 * robot.nb)
    assert worst(Y @ robot.pi.flatten(), kinematics.rnea(robot, q, v, a)) < 1e-12
    other = robot.replace(pi=robot.pi * 1.3 + 0.1)
    assert worst(Y @ other.pi.flatten(), kinematics.rnea(other, q, v, a)) < 1e-12


@by_robot
def test_joint_terms_are_what_rnea_adds_to_the_rigid_body(robot):
    q, v, a = state(robot)
    heavy = robot.replace(
        armature=torch.rand(robot.nv), damping=torch.rand(robot.nv), friction=torch.rand(robot.nv),
        stiffness=torch.rand(robot.nv),
    )  # fmt: skip
    added = kinematics.rnea(heavy, q, v, a) - kinematics.rnea(robot, q, v, a)
    assert worst(kinematics.joint_forces(heavy, q, v, a), added) < 1e-10
    tau = kinematics.rnea(heavy, q, v, a)
    assert worst(kinematics.aba(heavy, q, v, tau), a) < 1e-9
    H = kinematics.crba(heavy, q)
    assert worst((H @ a[..., None])[..., 0] + kinematics.bias(heavy, q, v), tau) < 1e-10


@by_robot
def test_external_wrenches(robot):
    """Weight as an external wrench equals gravity; forward and inverse dynamics agree."""
    q, v, a = state(robot)
    f = torch.randn(4, robot.nb, 6, dtype=torch.float64, generator=torch.manual_seed(0))
    tau = kinematics.rnea(robot, q, v, a, f)
    assert worst(kinematics.aba(robot, q, v, tau, f), a) < 1e-8
    push = kinematics.rnea(robot, q, v, a) - tau
    again = kinematics.rnea(robot, q, v, a) - kinematics.rnea(robot, q, v, a, 2 * f)
    assert worst(again, 2 * push) < 1e-9


@by_robot
def test_energies_and_momentum(robot):
    q, v, _ = state(robot)
    H = kinematics.crba(robot, q)
    kinetic = (H * v[:, None] * v[:, :, None]).sum((1, 2)) / 2
    assert worst(kinematics.kinetic_energy(robot, q, v), kinetic) < 1e-12
    # linear momentum is mass times the velocity of the centre of mass
    h = 1e-6
    ahead = kinematics.centre_of_mass(robot, integrate(robot, q, v, h))
    behind = kinematics.centre_of_mass(robot, integrate(robot, q, v, -h))
    linear = kinematics.momentum(robot, q, v)[:, 3:]
    assert worst((ahead - behind) / (2 * h) * kinematics.total_mass(robot), linear) < 1e-6


@by_robot
def test_momenta(robot):
    """p = H v; its rate is tau - bias + Ḣ v, as Hamilton has it."""
    q, v, _ = state(robot)
    H = kinematics.crba(robot, q)
    assert worst(joint_momentum(robot, q, v), (H @ v[..., None])[..., 0]) < 1e-12
    h = 1e-6
    ahead, behind = (kinematics.crba(robot, integrate(robot, q, v, s)) for s in (h, -h))
    turning = ((ahead - behind) / (2 * h) @ v[..., None])[..., 0]
    assert worst(momentum_rate(robot, q, v), turning - kinematics.bias(robot, q, v)) < 1e-6


@by_robot
def test_manifold_round_trip(robot):
    q, v, _ = state(robot)
    moved = integrate(robot, q, v, 0.7)
    assert worst(difference(robot, q, moved), 0.7 * v) < 1e-10
    assert torch.equal(kinematics.aba(robot, moved, v, v).isnan().any(), torch.tensor(False))


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    nb=st.integers(1, 7),
    branching=st.floats(0, 1),
    seed=st.integers(0, 10**6),
    root=st.sampled_from(["fixed", "free"]),
    width=st.sampled_from([1.0, 100.0]),
)
def test_random_trees_keep_the_laws(nb, branching, seed, root, width):
    robot = kinematics.random_tree(nb, branching, seed, kinds=MIXED, root=root)
    q, v, a = state(robot, 2, seed=seed, q=min(width, 10.0), v=1.0)
    tau = kinematics.rnea(robot, q, v, a)
    H, b = kinematics.crba(robot, q), kinematics.bias(robot, q, v)
    assert worst((H @ a[..., None])[..., 0] + b, tau) < 1e-11
    found = kinematics.aba(robot, q, v, tau)
    condition = float(torch.linalg.cond(H).max())
    assert worst(found, a) < 1e-13 * condition + 1e-10
    assert worst(kinematics.regressor(robot, q, v, a) @ robot.pi.flatten(), tau) < 1e-11


def test_symmetric_matrix_of_a_branch_has_its_zeros():
    robot = kinematics.load("planar_branched")
    H = kinematics.crba(robot, state(robot)[0])
    left, right = robot.v_slice("left_elbow"), robot.v_slice("right_shoulder")
    assert float(H[:, left, right].abs().max()) == 0.0


def test_an_axis_that_is_almost_a_coordinate_axis_keeps_its_last_digits():
    """Found on romeo's fingers: (0, -1, -4.4e-8) is not -y."""
    import numpy as np

    from kinematics.spatial import transforms

    axis = np.array([0.0, -1.0, -4.37114e-08])
    assert np.abs(transforms.to_z(axis) @ axis - [0, 0, 1]).max() < 1e-14
