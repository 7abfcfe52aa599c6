"""Limits of joint forces and answers that are functions of another quantity of the joint."""

from __future__ import annotations

import pytest
import sympy
import torch
from sklearn.neighbors import KNeighborsRegressor

from discover.blackbox.sampling import sample
from discover.laws.expressions import to_torch
from discover.laws.extensions.io_nonlinearity import StaticNonlinearity, ends_at_edge
from discover.laws.extensions.tabulated import Basis
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit
from discover.laws.search.nonlinearities.io_functions import Splined
from discover.laws.search.nonlinearities.io_kinds import LIMITS
from discover.laws.search.nonlinearities.io_limits import SIDES, Limited
from discover.laws.search.nonlinearities.io_search import search_io_nonlinearity
from discover.laws.search.variables import vocabulary
from tests.laws.pendulum_answers import REGION, ROBOT, answered, bodies, fitted_and_held


def by_position(q, v, tau):
    limit = 4.0 * (1 + 0.3 * torch.sin(q))
    return bodies(q, v, tau.minimum(limit).maximum(-limit))


def of_one_joint_by_speed(q, v, tau):
    limit = 3.5 * torch.exp(-((v[:, 1] / 4.0) ** 2))
    return bodies(q, v, torch.stack([tau[:, 0], tau[:, 1].minimum(limit).maximum(-limit)], -1))


def searched(model, floor=1e-9):
    """(the law found, what it leaves far out); None where nothing is found."""
    fitted, held = fitted_and_held(model)
    base = fit(Family.of(ROBOT), fitted)
    found = search_io_nonlinearity(base, base, fitted, held, floor=floor, kinds=LIMITS, strict=True)
    far = answered(model, 3.0, 200, 5)
    return None if found is None else (found.fit, found.fit.standardised_error(far))


@pytest.mark.parametrize(
    ("model", "altered"),
    [
        pytest.param(by_position, [0, 1], marks=pytest.mark.slow),
        (of_one_joint_by_speed, [1]),
    ],
)
def test_a_limit_is_found_with_what_sets_it(model, altered):
    law, far = searched(model)
    (nonlinearity,) = law.family.nonlinearities
    assert nonlinearity.place == "tau"
    assert nonlinearity.altered == altered
    assert not nonlinearity.tables
    assert far < 1e-9


def test_a_table_has_no_limits():
    q, v, tau = sample(REGION, ROBOT, 2000, 7)
    table = KNeighborsRegressor(5, weights="distance")
    table.fit(torch.cat([q, v, tau], -1).numpy(), bodies(q, v, tau).numpy())
    assert searched(lambda *x: torch.from_numpy(table.predict(torch.cat(x, -1).numpy()))) is None


@pytest.mark.parametrize("sides", SIDES)
def test_limited_functions_have_right_slopes_and_formulas(sides):
    draw = torch.Generator().manual_seed(0)
    z = torch.rand(300, 2, generator=draw, dtype=torch.float64) * 4 - 2
    spline = Splined(Basis.over(z[:, 1], 5))
    levels = [0.8 + 0.1 * torch.arange(5), -0.5 - 0.1 * torch.arange(5)]
    count = 2 if sides == "two" else 1
    function = Limited(sides, (spline,) * count)
    c = torch.cat([spline.like(x.numpy()) for x in levels[:count]])
    step = 1e-6 * torch.eye(len(c), dtype=c.dtype)
    numeric = [(function(z, c + s) - function(z, c - s)) / 2e-6 for s in step]
    assert torch.allclose(function.slopes(z, c), torch.stack(numeric, -1), atol=1e-6)
    names = sympy.symbols("x y", real=True)
    expression, tables = function.written(names, c, "phi")
    made = to_torch((expression,), list(names), {t.name: t for t in tables})
    assert torch.allclose(made(z[:, 0], z[:, 1])[0], function(z, c), atol=1e-9)


@pytest.mark.parametrize(("falling", "ends"), [(0.0, True), (0.2, False)])
def test_a_limit_that_acts_in_the_region_is_no_trace_of_clipped_queries(falling, ends):
    """At rest both begin at the region's edge; only one lies in it at speed."""
    words = vocabulary(2)
    rows = tuple(
        sympy.sign(t) * sympy.Min(sympy.Abs(t), 6.0 * (1 - falling * sympy.Abs(v) / 3))
        for t, v in ((words[f"tau{j}"], words[f"v{j}"]) for j in (1, 2))
    )
    limit = StaticNonlinearity(place="tau", rows=rows)
    assert ends_at_edge((limit,), answered(bodies, 1.0, 60, 1)) == ends
