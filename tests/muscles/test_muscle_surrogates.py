"""Surrogates of muscle geometry: exact where they can be, integrable always."""

import pytest
import torch

from discover.errors import ModelError
from discover.muscles.integrability import Geometry, integrability
from discover.muscles.surrogates import measured, network, polynomial, surrogate_table
from kinematics.muscles.geometry import muscle_lengths
from tests.muscles import planted_muscles as planted


def cubic(q):
    return torch.stack((0.3 + q[:, 0] * q[:, 1] ** 2, 0.2 - 0.1 * q[:, 1]), 1)


def test_a_polynomial_finds_a_polynomial_and_its_slopes() -> None:
    model = polynomial(cubic, 0.7, 2, 3, 60)
    assert model.coefficients == 10
    q = torch.rand(20, 2, dtype=torch.float64)
    L, r = model.with_arms(q)
    torch.testing.assert_close(L, cubic(q), rtol=0, atol=1e-12)
    torch.testing.assert_close(-r[:, 0, 1], 2 * q[:, 0] * q[:, 1], rtol=0, atol=1e-11)
    with pytest.raises(ModelError, match="lower the degree"):
        polynomial(cubic, 0.7, 2, 9, 30)


def test_higher_degrees_miss_less_of_smooth_paths() -> None:
    robot = planted.muscular_arm("straight", "biarticular")
    rows = surrogate_table(robot, 0.6, degrees=(2, 4), samples=200)
    assert rows[1].length < rows[0].length / 10
    assert rows[1].arm_worst < rows[0].arm_worst / 5
    assert [row.coefficients for row in rows] == [10, 35]


def test_a_network_differentiated_is_integrable() -> None:
    robot = planted.muscular_arm("straight", "biarticular")
    model = network(lambda q: muscle_lengths(robot, q), 0.6, 3, (16,), 400, steps=300)
    box = torch.full((3,), 0.6, dtype=torch.float64).numpy()
    geometry = Geometry(model.with_arms, -box, box)
    noise, _ = geometry.noise()
    assert not integrability(geometry, noise, 32).broken(noise).any()
    assert measured(model, robot, 400, 100).length < 0.2
