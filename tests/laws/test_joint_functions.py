"""Functions of any one or two quantities of a joint that alter an input or the output."""

from __future__ import annotations

import pytest
import sympy
import torch
from sklearn.neighbors import KNeighborsRegressor

from discover.blackbox.sampling import sample
from discover.laws.expressions import to_torch
from discover.laws.extensions.tabulated import Basis
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit
from discover.laws.search.nonlinearities.io_functions import Splined
from discover.laws.search.nonlinearities.io_kinds import JOINT_FUNCTIONS
from discover.laws.search.nonlinearities.io_pairs import Product, Scaled, Tensored
from discover.laws.search.nonlinearities.io_search import search_io_nonlinearity
from tests.laws.pendulum_answers import REGION, ROBOT, answered, bodies, fitted_and_held


def searched(model, kinds=JOINT_FUNCTIONS):
    """(the law found, what it leaves far out); None where nothing is found."""
    fitted, held = fitted_and_held(model)
    base = best = fit(Family.of(ROBOT), fitted)
    for some in kinds:
        found = search_io_nonlinearity(base, best, fitted, held, floor=1e-6, kinds=some)
        best = best if found is None else found.fit
    far = answered(model, 3.0, 200, 5)
    return None if best is base else (best, best.standardised_error(far))


def elastic(q, v, tau):
    return bodies(q + 0.12 * torch.tanh(tau / 5.0), v, tau)


def one_yields(q, v, tau):
    return bodies(torch.stack([q[:, 0], q[:, 1] + 0.01 * tau[:, 1]], -1), v, tau)


def friction_of_load(q, v, tau):
    return bodies(q, v, tau - 0.2 * tau.abs() * torch.tanh(v))


def worn_by_power(q, v, tau):
    return bodies(q, v, tau * (1.0 - 0.15 * torch.tanh(tau * v / 8.0)))


@pytest.mark.parametrize(
    ("model", "place", "left"),
    [
        pytest.param(elastic, "q", 1e-6, marks=pytest.mark.slow),
        (one_yields, "q", 1e-6),
        pytest.param(friction_of_load, "tau", 1e-3, marks=pytest.mark.slow),
        pytest.param(worn_by_power, "tau", 1e-3, marks=pytest.mark.slow),
    ],
    ids=["elastic", "one yields", "load", "power"],
)
@pytest.mark.slow
def test_an_altered_signal_is_found_with_its_function(model, place, left):
    law, far = searched(model)
    (nonlinearity,) = law.family.nonlinearities
    assert nonlinearity.place == place
    assert far < left
    if model is one_yields:
        assert nonlinearity.altered == [1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "table", [KNeighborsRegressor(1), KNeighborsRegressor(5, weights="distance")]
)
def test_a_table_has_no_such_function(table):
    q, v, tau = sample(REGION, ROBOT, 2000, 7)
    table.fit(torch.cat([q, v, tau], -1).numpy(), bodies(q, v, tau).numpy())

    def model(*states):
        return torch.from_numpy(table.predict(torch.cat(states, -1).numpy()))

    assert searched(model) is None


def functions():
    draw = torch.Generator().manual_seed(0)
    z = torch.rand(300, 2, generator=draw, dtype=torch.float64) * 4 - 1.7
    splines = [Splined(Basis.over(z[:, i], 6)) for i in (0, 1)]
    for function in (Tensored.over(z, 5), Product(*splines), Scaled(*splines)):
        c = torch.randn(function.size, generator=draw, dtype=torch.float64)
        if isinstance(function, Scaled):  # a scale is not zero
            own = splines[1].like((2.0 + 0.1 * torch.arange(6)).numpy())
            c = torch.cat([c[: splines[0].size], own])
        yield function, z, c


@pytest.mark.parametrize(
    ("function", "z", "c"), list(functions()), ids=["tensor", "product", "scaled"]
)
def test_functions_of_two_variables_have_right_slopes_and_formulas(function, z, c):
    step = 1e-6 * torch.eye(len(c), dtype=c.dtype)
    numeric = [(function(z, c + s) - function(z, c - s)) / 2e-6 for s in step]
    assert torch.allclose(function.slopes(z, c), torch.stack(numeric, -1), atol=2e-5)
    names = sympy.symbols("x y", real=True)
    expression, tables = function.written(names, c, "phi")
    made = to_torch((expression,), list(names), {t.name: t for t in tables})
    value = made(z[:, 0], z[:, 1])[0]
    if isinstance(function, Tensored):
        kept = sum(p(z, k) for p, k in function.products(c))
        assert torch.allclose(value, kept, atol=1e-9)
    else:
        assert torch.allclose(value, function(z, c), atol=1e-9)


def test_a_product_is_the_first_of_a_tensor_spline_that_is_one():
    z = torch.rand(200, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 0.4
    tensor = Tensored.over(z, 5)
    one = torch.randn(tensor.first.size, 1, dtype=torch.float64)
    other = torch.randn(1, tensor.second.size, dtype=torch.float64)
    c = (one @ other).flatten()
    ((product, k),) = tensor.products(c)
    assert torch.allclose(product(z, k), tensor(z, c), atol=1e-9)
