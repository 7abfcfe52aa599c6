"""Bodies that a fit asks for and that cannot exist: the nearest that can."""

import cvxpy as cp
import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

import kinematics
from discover.blackbox import sampling
from discover.blackbox.contract import Answers
from discover.blackbox.region import Region
from discover.laws.extensions.terms import without_joint_terms
from discover.laws.rigid_body.consistency import _sensitivity, complete, minimiser, pseudo_inertia
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit

REGION = Region(q=1.0, v=1.5, tau=8.0)


def pulled(name, stiffness):
    """Bodies fitted to a robot on which a cubic spring pulls that they know nothing of."""
    robot = without_joint_terms(kinematics.load(name))
    q, v, tau = sampling.sample(REGION.resolve(robot.nv), robot, 120, 0)
    a = kinematics.aba(robot, q, v, tau - stiffness * q**3)
    answers = Answers(q=q, v=v, tau=tau, a=a)
    return robot, fit(Family.of(robot), answers), answers


def smallest(pi, robot):
    """The smallest eigenvalue of a pseudo-inertia, in units of the largest entry described."""
    values = torch.linalg.eigvalsh(pseudo_inertia(pi))
    return float(values.min() / pseudo_inertia(robot.pi).abs().amax())


@pytest.mark.parametrize("stiffness", [5.0, 50.0])
@pytest.mark.parametrize("name", ["double_pendulum", "planar_3r", "panda"])
def test_the_bodies_that_come_out_can_exist(name, stiffness):
    robot, fitted, answers = pulled(name, stiffness)
    found = complete(fitted, answers, robot.pi)
    assert smallest(found.pi, robot) > -1e-7
    assert found.exact == (found.cost == 0.0)


@pytest.mark.slow
def test_no_descent_over_bodies_that_exist_comes_nearer():
    """Bodies written as L Lᵀ exist whatever L is: from there nothing much better can be reached."""
    robot, fitted, answers = pulled("planar_3r", 50.0)
    found = complete(fitted, answers, robot.pi)
    J, V = _sensitivity(fitted, answers), fitted.family.basis
    beta = fitted.theta[: V.shape[1]]
    unit = pseudo_inertia(torch.eye(10, dtype=torch.float64)).reshape(10, 16)
    lower = torch.tril_indices(4, 4)

    def misfit(x):
        L = torch.zeros(robot.nb, 4, 4, dtype=torch.float64)
        L[:, lower[0], lower[1]] = torch.from_numpy(x).reshape(robot.nb, 10)
        pi = torch.linalg.lstsq(unit.T, (L @ L.mT).reshape(-1, 16).T).solution.T
        return (J @ (V.T @ pi.flatten() - beta)).numpy()

    bodies = pseudo_inertia(found.pi)
    # A little inside: solvers leave eigenvalues that are zero up to rounding.
    start = bodies + 1e-9 * bodies.abs().amax() * torch.eye(4, dtype=torch.float64)
    L = torch.linalg.cholesky(start)[:, lower[0], lower[1]]
    reached = least_squares(misfit, L.flatten().numpy()).fun
    assert found.cost > 0.0
    assert found.cost < 1.05 * float((reached**2).sum() ** 0.5)


def test_what_a_solver_returns_is_held_against_what_was_asked(monkeypatch):
    """A solver may call bodies inaccurate, or optimal, that cannot exist."""
    x = cp.Variable(2)
    problem = cp.Problem(cp.Minimize(cp.sum(x)), [cp.diag(x) >> 0, x >= 1.0])

    def answers(solver, **options):
        x.value = {cp.CLARABEL: np.array([1.0, -0.5]), cp.SCS: after}[solver]

    monkeypatch.setattr(problem, "solve", answers)
    after = np.array([1.0, 1.0])
    assert minimiser(problem, x).tolist() == [1.0, 1.0]
    after = np.array([1.0, 0.9])
    assert minimiser(problem, x) is None
