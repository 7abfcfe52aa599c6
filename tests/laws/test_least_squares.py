"""Least squares by reduction, and fits that begin from one start where one is enough."""

import math

import numpy as np
import pytest
import torch

import kinematics
from discover import numerics
from discover.blackbox import sampling
from discover.blackbox.contract import Answers
from discover.blackbox.region import Region
from discover.laws.extensions.terms import library
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import _NEAR, _Problem, fit

REGION = Region(q=1.0, v=2.0, tau=5.0)


def matrix(rows=400, columns=12, decades=9.0, seed=0):
    rng = np.random.default_rng(seed)
    U, _ = np.linalg.qr(rng.normal(size=(rows, columns)))
    V, _ = np.linalg.qr(rng.normal(size=(columns, columns)))
    A = U @ np.diag(np.logspace(0, -decades, columns)) @ V
    return torch.from_numpy(A), torch.from_numpy(rng.normal(size=rows))


def test_a_reduced_problem_has_the_same_residual_up_to_a_constant():
    A, b = matrix(decades=2.0)
    R, d = numerics.qr_reduced(A, b)
    assert R.shape == (12, 12)
    x = torch.randn(3, 12, dtype=torch.float64)
    whole = torch.stack([(A @ y - b).square().sum() for y in x])
    small = torch.stack([(R @ y - d).square().sum() for y in x])
    torch.testing.assert_close(whole - small, (whole - small)[:1].expand(3), rtol=0, atol=1e-9)


@pytest.mark.parametrize("decades", [1.0, 5.0, 9.0])
def test_the_solution_predicts_as_an_svd_of_the_whole_does(decades):
    A, b = matrix(decades=decades)
    x = numerics.least_squares(A, b)
    y = np.linalg.lstsq(A.numpy(), b.numpy(), rcond=1e-13)[0]
    torch.testing.assert_close(A @ x, torch.from_numpy(A.numpy() @ y), rtol=0, atol=1e-6)
    both = numerics.least_squares(A, torch.stack([b, 2 * b], 1))
    torch.testing.assert_close(A @ both[:, 1], 2 * (A @ x), rtol=0, atol=1e-6)


def test_directions_that_no_row_shows_are_left_alone():
    A, b = matrix(decades=1.0)
    twice = torch.cat([A, A[:, :1]], 1)
    x = numerics.least_squares(twice, b)
    torch.testing.assert_close(x[0], x[-1])
    assert numerics.orthonormal(twice).shape[1] == 12
    known = numerics.unscaled_covariance(twice)
    torch.testing.assert_close(
        twice @ known @ twice.T @ twice, twice, rtol=0, atol=1e-9
    )  # a generalised inverse


@pytest.mark.parametrize("seed", range(4))
def test_one_start_that_is_near_ends_where_two_do(seed):
    """Random trees with a small unlisted force and noise: the fit with one more term, begun at the
    fit without it, is that of the start by inverse dynamics."""
    robot = kinematics.random_tree(2 + seed % 3, 0.4, seed)
    q, v, tau = sampling.sample(REGION.resolve(robot.nv), robot, 250, seed)
    drag = torch.zeros_like(v)
    drag[:, -1] = 0.1 * v[:, -1] * v[:, -1].abs()
    a = kinematics.aba(robot, q, v, tau - drag)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(a.shape, generator=generator, dtype=a.dtype)
    answers = Answers(q=q, v=v, tau=tau, a=a + 0.01 * a.square().mean(0).sqrt() * noise)
    plain = fit(Family.of(robot), answers)
    term = next(t for t in library(robot) if t.name == f"quadratic drag, joint {robot.nv}")
    family = plain.family.with_terms([term])
    start = torch.cat([plain.theta, plain.theta.new_zeros(1)])
    problem = _Problem(family, answers, plain.scale, None)
    one = problem.minimise(start)
    assert problem.near(one.x), "the case is one of those in which one start is taken"
    two = problem.minimise(problem.inverse_dynamics(None))
    assert one.cost == pytest.approx(two.cost, rel=2e-3)
    assert fit(family, answers, start=start, scale=plain.scale).error < _NEAR


def test_a_start_that_is_far_is_not_trusted_alone():
    """Bodies of no use, from which Gauss–Newton does not find back, do no harm."""
    robot = kinematics.load("double_pendulum")
    q, v, tau = sampling.sample(REGION.resolve(2), robot, 200, 1)
    answers = Answers(q=q, v=v, tau=tau, a=kinematics.aba(robot, q, v, tau))
    family = Family.of(robot)
    bad = -family.basis.T @ robot.pi.flatten()
    assert fit(family, answers, start=bad, alone=True).error > 0.1
    assert fit(family, answers, start=bad).error < 1e-9


def test_nothing_to_choose():
    b = torch.randn(5, dtype=torch.float64)
    for x in (b, torch.stack([b, b], 1)):
        assert numerics.least_squares(torch.zeros(5, 0, dtype=torch.float64), x).shape == (
            0,
            *x.shape[1:],
        )
    assert numerics.unscaled_covariance(torch.zeros(5, 0, dtype=torch.float64)).shape == (0, 0)


@pytest.mark.parametrize("damping", [1e-6, 1e-2])
def test_damped_steps_minimise_what_they_say(damping):
    A, b = matrix(decades=3.0)
    x = torch.from_numpy(numerics.levenberg_step(A.numpy(), -b.numpy())(damping))
    ridge = A.T @ A + damping * torch.diag(A.square().sum(0))
    torch.testing.assert_close(x, torch.linalg.solve(ridge, A.T @ b), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("rounding", [0.0, 1e-16, 1e-14, 1e-12])
def test_a_direction_that_no_row_shows_is_left_alone(rounding):
    """Two columns that are one: a step along their difference says nothing and may be as long as
    rounding makes it."""
    A, b = matrix(decades=1.0)
    A[:, 5] = A[:, 4] * (1.0 + rounding * torch.linspace(-1, 1, len(A), dtype=A.dtype))
    x = torch.from_numpy(numerics.levenberg_step(A.numpy(), -b.numpy())(0.0))
    assert float((x[4] - x[5]).abs()) < 1e-3 * float(x.norm())


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_rows_that_are_not_finite_count_nothing(value):
    A, b = matrix(decades=1.0)
    broken = A.clone()
    broken[7, 2] = value
    rest = torch.arange(len(A)) != 7
    expected = numerics.least_squares(A[rest], b[rest])
    torch.testing.assert_close(numerics.least_squares(broken, b), expected)
    torch.testing.assert_close(
        numerics.unscaled_covariance(broken), numerics.unscaled_covariance(A[rest])
    )
    step = numerics.levenberg_step(broken.numpy(), -b.numpy())(0.0)
    torch.testing.assert_close(torch.from_numpy(step), expected)
    plain = numerics.plain_least_squares(broken.numpy(), b.numpy())
    torch.testing.assert_close(torch.from_numpy(plain), expected)
    assert bool(torch.isfinite(numerics.orthonormal(broken)).all())
    assert numerics.finite_rows(A) is A


def test_no_decomposition_fails():
    """Whatever a candidate makes of the answers, its fit comes to an end; its error tells."""
    for fill in (0.0, 1e-320, 1e200, 1e308, math.nan, math.inf):
        A = torch.full((9, 3), fill, dtype=torch.float64)
        b = torch.ones(9, dtype=torch.float64)
        numerics.least_squares(A, b)
        numerics.unscaled_covariance(A)
        numerics.orthonormal(A)
        numerics.svd(A)
        numerics.eigh(A.T @ A)
        numerics.pinv(A.reshape(3, 3, 3))
        numerics.solve_or_zero(A.reshape(3, 3, 3), A.reshape(3, 3, 3))
        numerics.levenberg_step(A.numpy(), b.numpy())(0.0)
        numerics.project(A.numpy(), b.numpy(), 1e-12)
        assert not numerics.definite(A.reshape(3, 3, 3))
    nowhere = numerics.project(np.ones((4, 1)), np.array([1.0, np.nan, 1.0, 1.0]), 1e-12)
    assert not np.isfinite(nowhere.residual).all()
