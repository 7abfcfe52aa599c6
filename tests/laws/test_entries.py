"""Sparse selection against planted sums, transforms against evaluation, entries against truth."""

import numpy as np
import pytest
import sympy
import torch

import kinematics
from discover.laws.extensions.terms import symbols
from discover.laws.regression.entries import EntryIndex, all_entries, fit_entry
from discover.laws.regression.fourier import grid, products, transform, waves
from discover.laws.regression.mass_matrix import (
    identified_bodies,
    mass_matrix_from_full_circles,
    mass_matrix_program,
)
from discover.laws.regression.sparse_regression import select_columns
from discover.laws.regression.torque_rows import fit_rows
from tests.bench.robots import arm

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("noise", [0.0, 1e-3, 1e-2])
def test_the_planted_columns_come_out_and_no_others(noise):
    A = RNG.normal(size=(300, 160))
    truth = {3: 2.0, 77: -1.0, 150: 0.5}
    y = sum(c * A[:, k] for k, c in truth.items()) + noise * RNG.normal(size=300)
    found = select_columns(A, y)
    assert set(found.support) == set(truth)
    np.testing.assert_allclose(found.coefficients, list(truth.values()), atol=5 * noise + 1e-12)


def test_smooth_errors_buy_terms_unless_members_disagree():
    """What makes the gate necessary, and that it does its work."""
    q = RNG.uniform(-2, 2, (500, 3))
    library = waves(symbols(3)["q"], range(3), 2)
    A = library.columns(q)
    y = A[:, 5] + 0.4 * A[:, 70]

    def error(seed):
        rng = np.random.default_rng(seed)
        w, p, c = rng.normal(size=(3, 40)), rng.uniform(0, 6.3, 40), rng.normal(size=40)
        return 0.01 * np.cos(q @ w + p) @ c / np.sqrt(20) * np.sqrt(np.mean(y**2))

    members = np.stack([y + (error(0) + error(k)) / np.sqrt(2) for k in range(1, 6)])
    blind = select_columns(A, members.mean(0), most=20)
    gated = select_columns(A, members.mean(0), members)
    assert set(gated.support) == {5, 70}
    assert len(blind.support) > 4


def test_a_grid_and_a_transform_give_every_coefficient():
    q = grid(3)
    assert q.shape == (125, 3)
    value = np.stack([np.cos(q[:, 0] - 2 * q[:, 2]) + 3, np.sin(q[:, 1]) * np.cos(q[:, 0])], 1)
    found = transform(value, 3)
    x = RNG.uniform(-9, 9, (20, 3))
    truth = np.stack([np.cos(x[:, 0] - 2 * x[:, 2]) + 3, np.sin(x[:, 1]) * np.cos(x[:, 0])], 1)
    np.testing.assert_allclose(found(x), truth, atol=1e-13)
    first = found.entry(0)
    a, b, c = symbols(3)["q"]
    assert len(first.frequencies) == 2
    difference = first.expression((a, b, c)) - (sympy.cos(a - 2 * c) + 3)
    assert abs(float(difference.subs({a: 0.3, b: 1.0, c: -0.7}))) < 1e-13


@pytest.mark.parametrize("make", [waves, products])
def test_libraries_write_down_the_columns_that_they_compute(make):
    angles = symbols(3)["q"]
    library = make(angles, [0, 2], 2)
    q = RNG.uniform(-2, 2, (7, 3))
    columns = library.columns(q)
    assert columns.shape == (7, library.size)
    every = sympy.lambdify([angles], [library.expressions(k) for k in range(library.size)])
    for row, values in zip(columns, q, strict=True):
        np.testing.assert_allclose(row, np.array(every(values), dtype=float), atol=1e-14)


@pytest.mark.parametrize("shape", ["planar", "spatial"])
def test_entries_of_arms_nobody_has_seen(shape):
    robot = arm(shape, 3, 12)
    q = 4 * torch.rand(500, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 2
    for place in (
        EntryIndex(kind="mass matrix", i=0, j=0),
        EntryIndex(kind="gravity", i=0),
        EntryIndex(kind="velocity", i=0, j=1, k=2),
    ):
        y = place.of(robot, q)
        for tree in (robot.replace(pi=torch.ones_like(robot.pi)), None):
            found = fit_entry(place, q, y, tree=tree)
            far = 2 * q
            torch.testing.assert_close(found(far), place.of(robot, far), rtol=1e-9, atol=1e-9)
        expression = found.expression
        at = dict(zip(symbols(3)["q"], far[0].tolist(), strict=True))
        assert float(expression.subs(at)) == pytest.approx(float(place.of(robot, far)[0]))


def test_places_make_up_the_inverse_dynamics():
    robot = arm("spatial", 3, 4)
    q, v, a = (torch.randn(1, 3, dtype=torch.float64) for _ in range(3))
    total = torch.zeros(3, dtype=torch.float64)
    for p in all_entries(3):
        value = p.of(robot, q)[0]
        if p.kind == "mass matrix":
            total[p.i] += value * a[0, p.j]
            if p.i != p.j:
                total[p.j] += value * a[0, p.i]
        else:
            total[p.i] += value * (v[0, p.j] * v[0, p.k] if p.kind == "velocity" else 1)
    torch.testing.assert_close(total, kinematics.rnea(robot, q, v, a)[0])


def test_the_mass_matrix_of_an_industrial_arm_takes_few_operations():
    robot = arm("right-angled", 6, 3)
    program = mass_matrix_program(robot)
    q = torch.randn(4, 6, dtype=torch.float64)
    np.testing.assert_allclose(program.numpy()(q.numpy()), kinematics.crba(robot, q), atol=1e-12)
    assert program.arithmetic + program.operations["trig"] <= 366


def test_a_mass_matrix_from_full_circles_and_its_bodies():
    robot = arm("right-angled", 4, 9)
    found = mass_matrix_from_full_circles(lambda *state: kinematics.aba(robot, *state), 4)
    q = torch.from_numpy(RNG.uniform(-5, 5, (6, 4)))
    truth = kinematics.crba(robot, q).numpy()
    np.testing.assert_allclose(found(q.numpy()), truth, atol=1e-12)
    assert found.off_band < 1e-12
    assert found.queries == 145 * 5
    identified, misfit = identified_bodies(found, robot.replace(pi=torch.ones_like(robot.pi)))
    assert misfit < 1e-12
    np.testing.assert_allclose(kinematics.crba(identified, q), truth, atol=1e-11)


def test_what_is_no_trigonometric_polynomial_shows():
    def model(q, v, tau):
        return tau / (2 + torch.cos(q[:, 1:2]) ** 6)

    assert mass_matrix_from_full_circles(model, 2).off_band > 1e-2
    with pytest.raises(ValueError, match="2 to 7 hinges"):
        mass_matrix_from_full_circles(model, 9)


def test_rows_of_inverse_dynamics_are_exact():
    robot = arm("planar", 3, 2)
    x = [RNG.uniform(-2, 2, (500, 3)) for _ in range(3)]
    tau = kinematics.rnea(robot, *map(torch.from_numpy, x)).numpy()
    rows = fit_rows(*x, tau)
    far = [3 * part for part in x]
    truth = kinematics.rnea(robot, *map(torch.from_numpy, far)).numpy()
    for i, row in enumerate(rows):
        np.testing.assert_allclose(row(*far), truth[:, i], atol=1e-10)
    s = symbols(3)
    at = {
        symbol: float(part[0, k])
        for name, part in zip("qva", far, strict=True)
        for k, symbol in enumerate(s[name])
    }
    assert float(rows[0].expression.subs(at)) == pytest.approx(truth[0, 0])
