"""Inertial parameters: base parameters, log-Cholesky, and families of trees."""

import numpy as np
import pytest
import torch
from kinematic_samples import worst

import kinematics
from kinematics import RobotError


@pytest.mark.parametrize(
    ("name", "rank"), [("double_pendulum", 6), ("planar_3r", 9), ("planar_branched", 15)]
)
def test_rank_of_the_base_parameters(name, rank):
    robot = kinematics.load(name)
    base = kinematics.base_parameters(robot)
    assert base.rank == rank
    assert base.matrix.shape == (rank, 10 * robot.nb)
    assert len(base.names) == rank


@pytest.mark.parametrize("seed", range(4))
def test_base_parameters_span_the_regressor_and_no_more(seed):
    robot = kinematics.random_tree(4, 0.5, seed, kinds=("revolute", "prismatic"))
    base = kinematics.base_parameters(robot)
    q, v, a = kinematics.random_state(robot, 20, seed=99)
    Y = kinematics.regressor(robot, q, v, a)
    rebuilt = Y[..., list(base.independent)] @ base.matrix
    assert worst(rebuilt, Y) < 1e-7
    kept = Y[..., list(base.independent)].reshape(-1, base.rank)
    assert torch.linalg.matrix_rank(kept) == base.rank
    # parameters apart by the null space move the robot alike
    null = torch.as_tensor(np.linalg.svd(base.matrix.numpy())[2][base.rank :])
    other = robot.replace(pi=robot.pi + null[0].reshape(robot.nb, 10))
    tau = kinematics.rnea(robot, q, v, a)
    assert worst(kinematics.rnea(other, q, v, a), tau) < 1e-8


def test_log_cholesky_is_one_to_one_and_always_physical():
    robot = kinematics.random_tree(6, seed=4)
    theta = kinematics.to_log_cholesky(robot.pi)
    assert worst(kinematics.from_log_cholesky(theta), robot.pi) < 1e-12
    wild = 3 * torch.randn(100, 10, dtype=torch.float64, generator=torch.manual_seed(0))
    wild.requires_grad_()
    pi = kinematics.from_log_cholesky(wild)
    assert bool((pi[:, 0] > 0).all())
    (gradient,) = torch.autograd.grad(pi.sum(), wild)
    assert bool(torch.isfinite(gradient).all())
    with pytest.raises(RobotError, match="positive definite"):
        kinematics.to_log_cholesky(kinematics.load("double_pendulum").pi)


def test_descent_on_free_numbers_finds_parameters():
    """Identification by gradient: parameters stay physical all along."""
    robot = kinematics.random_tree(2, seed=3, kinds=("revolute",))
    q, v, a = kinematics.random_state(robot, 64)
    goal = kinematics.rnea(robot, q, v, a)
    theta = kinematics.to_log_cholesky(robot.pi * 1.5).requires_grad_()
    optimiser = torch.optim.LBFGS([theta], max_iter=80, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        pi = kinematics.from_log_cholesky(theta)
        value = (kinematics.rnea(robot.replace(pi=pi), q, v, a) - goal).square().mean()
        value.backward()
        return value

    start = float(loss())
    optimiser.step(loss)
    assert float(loss()) < 1e-4 * start


@pytest.mark.parametrize("shape", ["chain", "star", "binary", "humanoid"])
@pytest.mark.parametrize("root", ["fixed", "free"])
def test_families(shape, root):
    robot = kinematics.family(shape, 11, seed=1, kinds=("revolute", "spherical"), root=root)
    assert robot.nb == 11
    assert all(p < i for i, p in enumerate(robot.parents))
    q, v, a = kinematics.random_state(robot, 3)
    assert worst(kinematics.aba(robot, q, v, kinematics.rnea(robot, q, v, a)), a) < 1e-8
    with pytest.raises(RobotError, match="chain"):
        kinematics.family("ring", 3)


@pytest.mark.parametrize("free", [False, True])
def test_derivatives_agree_with_pinocchio(free):
    """∂tau/∂q, ∂tau/∂v (tangent space) and ∂a/∂tau against the analytical ones."""
    import pinocchio as pin
    from pinocchio_oracle import example_urdfs, oracle

    path = next(p for p in example_urdfs() if p.stem == "solo12")
    robot = kinematics.load(path, root="free" if free else None)
    theirs = oracle(robot, path, free=free)
    q, v, a = (x[0] for x in kinematics.random_state(robot, 1, seed=5))
    zero = torch.zeros(robot.nv, dtype=torch.float64)

    def tau(x, w):
        return kinematics.rnea(robot, kinematics.integrate(robot, q, x), w, a)

    ours_q, ours_v = torch.autograd.functional.jacobian(tau, (zero, v))
    G = theirs.G
    pin.computeRNEADerivatives(
        theirs.model, theirs.data, theirs.q(q.numpy()), G @ v.numpy(), G @ a.numpy()
    )
    assert worst(ours_q, G.T @ theirs.data.dtau_dq @ G) < 1e-9
    assert worst(ours_v, G.T @ theirs.data.dtau_dv @ G) < 1e-10
    inverse = torch.autograd.functional.jacobian(
        lambda t: kinematics.aba(robot, q, v, t), kinematics.rnea(robot, q, v, a)
    )
    assert worst(inverse, np.linalg.inv(theirs.crba(q.numpy()))) < 1e-9


def test_second_derivatives_agree_with_differences_of_pinocchio_s_first():
    """∂²tau/∂q∂q and ∂²tau/∂q∂v: Pinocchio's analytical first derivatives, differenced in q."""
    import pinocchio as pin
    from pinocchio_oracle import example_urdfs, oracle

    path = next(p for p in example_urdfs() if p.stem == "ur5_robot")
    robot = kinematics.load(path)
    theirs = oracle(robot, path, free=False)
    q, v, a = (x[0] for x in kinematics.random_state(robot, 1, seed=7))
    G, h = theirs.G, 1e-5

    def first(at):
        pin.computeRNEADerivatives(
            theirs.model, theirs.data, theirs.q(at), G @ v.numpy(), G @ a.numpy()
        )
        data = theirs.data
        return np.stack([G.T @ data.dtau_dq @ G, G.T @ data.dtau_dv @ G])

    steps = h * np.eye(robot.nv)
    expected = np.stack(
        [(first(q.numpy() + s) - first(q.numpy() - s)) / (2 * h) for s in steps], -1
    )

    def slope(x, which):
        at = [x, v, a]
        return torch.func.jacfwd(
            lambda y: kinematics.rnea(robot, *at[:which], y, *at[which + 1 :])
        )(at[which])

    for which in (0, 1):
        ours = torch.func.jacfwd(lambda x, which=which: slope(x, which))(q)
        assert worst(ours, expected[which]) < 1e-6
