"""What a fit cannot tell from zero is zero in the law; what it can tell is not."""

from __future__ import annotations

import pytest
import sympy
import torch

import discover
import kinematics
from discover.blackbox.contract import relative_error

REGION = discover.Region(q=1.0, v=2.0, tau=5.0)


def noisy(robot, size):
    generator = torch.Generator().manual_seed(3)

    def model(q, v, tau):
        a = kinematics.aba(robot, q, v, tau)
        return a + size * torch.randn(a.shape, generator=generator, dtype=a.dtype)

    return model


@pytest.mark.parametrize("size", [0.01, 0.3])
def test_the_law_of_noisy_answers_has_no_terms_that_are_not_there(size):
    robot = kinematics.load("double_pendulum")
    law = discover.examine(noisy(robot, size), robot, REGION, seed=1).law
    q1, q2 = law.symbols["q"]
    told = [law.mass_matrix[0, 0], law.potential]
    seen = {f for x in told for f in x.evalf(6).atoms(sympy.sin, sympy.cos)}
    assert seen == {sympy.cos(q2), sympy.cos(q1), sympy.cos(q1 + q2)}
    assert law.size == 3
    q, v, tau = (3 * torch.randn(100, 2, dtype=torch.float64) for _ in range(3))
    assert relative_error(law(q, v, tau), kinematics.aba(robot, q, v, tau)) < size


def test_a_small_number_that_shows_is_kept():
    robot = kinematics.load("double_pendulum")
    pi = robot.pi.clone()
    pi[1, 1] += 0.02  # the second body's centre, a centimetre off its axis
    robot = robot.replace(pi=pi)
    law = discover.examine(noisy(robot, 0.01), robot, REGION, seed=1).law
    q2 = law.symbols["q"][1]
    off = law.mass_matrix[0, 0].expand().coeff(sympy.sin(q2))
    assert abs(float(off)) == pytest.approx(0.04, rel=0.2)
