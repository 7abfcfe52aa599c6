"""Integrators: orders of convergence, long-time energy, torques in every form."""

import pytest
import torch
from kinematic_samples import MIXED

import kinematics

ORDERS = {"semi_implicit_euler": 1, "implicit_midpoint": 2, "rk4": 4}


@pytest.mark.parametrize("integrator", ORDERS)
@pytest.mark.parametrize("seed", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_order_of_convergence(integrator, seed):
    robot = kinematics.random_tree(3, 0.5, seed, kinds=MIXED, root="free" if seed > 2 else "fixed")
    q, v, _ = (x[0] for x in kinematics.random_state(robot, 1, seed=seed))

    def end(steps, how=integrator):
        path = kinematics.simulate(robot, q, v, None, 0.16 / steps, steps, integrator=how)
        return path.q[-1]

    exact = end(256, "rk4")
    errors = [
        float(kinematics.difference(robot, exact, end(steps)).norm()) for steps in (8, 16, 32)
    ]
    found = torch.log2(torch.tensor(errors[:-1]) / torch.tensor(errors[1:]))
    assert float(found[-1]) == pytest.approx(ORDERS[integrator], abs=0.35), errors


@pytest.mark.slow
def test_midpoint_keeps_energy_bounded_where_rk4_drifts():
    robot = kinematics.load("double_pendulum")
    q, v = [1.2, 0.6], [0.0, 0.0]
    midpoint = kinematics.simulate(robot, q, v, None, 0.02, 600, integrator="implicit_midpoint")
    error = (midpoint.energy - midpoint.energy[0]).abs()
    early, late = float(error[:300].max()), float(error[-300:].max())
    assert late < 2 * early
    assert late < 0.02


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_midpoint_energy_is_bounded_over_a_hundred_thousand_steps():
    robot = kinematics.load("double_pendulum")
    q = torch.tensor([[1.2, 0.6], [0.3, -0.2]], dtype=torch.float64)
    path = kinematics.simulate(
        robot, q, torch.zeros_like(q), None, 0.02, 100_000, integrator="implicit_midpoint"
    )
    error = (path.energy - path.energy[0]).abs()
    assert float(error[-10_000:].max()) < 2 * float(error[:10_000].max())


def test_torques_constant_sequence_and_policy():
    robot = kinematics.load("planar_3r")
    q, v, tau = kinematics.random_state(robot, 4)
    held = kinematics.simulate(robot, q, v, tau, 1e-2, 5)
    sequence = kinematics.simulate(robot, q, v, tau.expand(5, 4, 3), 1e-2, 5)
    policy = kinematics.simulate(robot, q, v, lambda q, v, t: tau, 1e-2, 5)
    assert torch.equal(held.q, sequence.q)
    assert torch.equal(held.q, policy.q)
    assert held.q.shape == (6, 4, 3)
    assert held.energy.shape == (6, 4)
    brake = kinematics.simulate(robot, q, v, lambda q, v, t: -0.2 * v, 1e-2, 100)
    assert float(brake.energy[-1].mean()) < float(brake.energy[0].mean())
    assert torch.equal(brake.tau[3], -0.2 * brake.v[3])
    zero = kinematics.simulate(robot, q, v, None, 1e-2, 0)
    assert zero.q.shape == (1, 4, 3)


def test_gradients_flow_through_a_rollout():
    robot = kinematics.load("double_pendulum")
    v = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    path = kinematics.simulate(robot, [0.5, 0.1], v, None, 1e-2, 10)
    (gradient,) = torch.autograd.grad(path.q[-1].sum(), v)
    assert float(gradient.abs().min()) > 0
