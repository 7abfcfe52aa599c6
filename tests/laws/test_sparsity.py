"""Base parameters that are zero: within their uncertainty in laws, up to rounding in programs."""

from __future__ import annotations

import pytest
import sympy
import torch

import discover
import kinematics
from discover.bench.ledger_measurement import fitted_law
from discover.blackbox.contract import relative_error
from discover.laws.rigid_body.sparsity import lean_bodies
from kinematics.programs import compile_robot

PENDULUM = kinematics.load("double_pendulum")
REGION = discover.Region(q=1.0, v=2.0, tau=5.0)


def noisy(robot, size):
    generator = torch.Generator().manual_seed(3)

    def model(q, v, tau):
        a = kinematics.aba(robot, q, v, tau)
        return a + size * torch.randn(a.shape, generator=generator, dtype=a.dtype)

    return model


@pytest.mark.parametrize("size", [0.01, pytest.param(0.3, marks=pytest.mark.slow)])
def test_the_law_of_noisy_answers_has_no_terms_that_are_not_there(size):
    robot = PENDULUM
    law = discover.examine(noisy(robot, size), robot, REGION, seed=1).law
    q1, q2 = law.symbols["q"]
    formulas = [law.mass_matrix[0, 0], law.potential]
    functions = {f for x in formulas for f in x.evalf(6).atoms(sympy.sin, sympy.cos)}
    assert functions == {sympy.cos(q2), sympy.cos(q1), sympy.cos(q1 + q2)}
    assert law.size == 3
    q, v, tau = (3 * torch.randn(100, 2, dtype=torch.float64) for _ in range(3))
    assert relative_error(law(q, v, tau), kinematics.aba(robot, q, v, tau)) < size


def test_a_small_parameter_that_has_an_effect_is_kept():
    robot = PENDULUM
    pi = robot.pi.clone()
    pi[1, 1] += 0.02  # the second body's centre, a centimetre off its axis
    robot = robot.replace(pi=pi)
    law = discover.examine(noisy(robot, 0.01), robot, REGION, seed=1).law
    q2 = law.symbols["q"][1]
    off = law.mass_matrix[0, 0].expand().coeff(sympy.sin(q2))
    assert abs(float(off)) == pytest.approx(0.04, rel=0.2)


def test_a_law_of_exact_answers_costs_about_what_the_simulator_does():
    law = fitted_law(PENDULUM, REGION.resolve(2))
    whole = compile_robot(law.robot, "aba").arithmetic
    lean = law.compile()
    assert compile_robot(PENDULUM, "aba").arithmetic <= lean.arithmetic < whole
    q, v, a = kinematics.random_state(PENDULUM, 50, q=100.0, v=50.0)
    tau = kinematics.rnea(PENDULUM, q, v, a)
    found = torch.as_tensor(lean(q.numpy(), v.numpy(), tau.numpy()))
    assert float((found - a).abs().max()) < 1e-9 * float(tau.abs().max())


def test_parameters_that_have_an_effect_stay():
    robot = kinematics.random_tree(4, seed=3, kinds=("revolute",))
    assert lean_bodies(robot) is robot  # all of it shows in the motion
    flat = PENDULUM.replace(pi=PENDULUM.pi + 1e-8)
    lean = lean_bodies(flat)
    states = kinematics.random_state(PENDULUM, 20)
    torch.testing.assert_close(
        kinematics.rnea(lean, *states), kinematics.rnea(flat, *states), rtol=1e-9, atol=1e-12
    )
