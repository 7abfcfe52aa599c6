"""A function around the bodies and forces beside them, found together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sympy
import torch
from sklearn.neighbors import KNeighborsRegressor

from discover.blackbox.sampling import sample
from discover.laws.extensions.io_nonlinearity import StaticNonlinearity
from discover.laws.extensions.terms import Term, joint_terms, library
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit
from discover.laws.search.nonlinearities.io_kinds import AROUND_AND_BESIDE
from discover.laws.search.nonlinearities.io_refit import fitted_together
from discover.laws.search.nonlinearities.several import as_bodies_see, search_several
from discover.laws.search.selection import refit, select
from discover.laws.search.variables import vocabulary
from tests.laws.pendulum_answers import REGION, ROBOT, answered, bodies, fitted_and_held


def searched(model, floor=1e-9):
    """(the law found, what it leaves far out); None where nothing is found."""
    fitted, held = fitted_and_held(model)
    base = fit(Family.of(ROBOT), fitted)
    physics = select(base, fitted, held, joint_terms(ROBOT), floor=floor, limit=8).fit
    listed = select(physics, fitted, held, library(ROBOT), floor=floor, limit=4).fit
    found = search_several(physics, listed, fitted, held, floor=floor, kinds=AROUND_AND_BESIDE)
    far = answered(model, 3.0, 200, 5)
    return None if found is None else (found.fit, found.fit.standardised_error(far))


def yielding_with_drag(q, v, tau):
    return bodies(q + 0.015 * tau, v, tau - 0.05 * v**3)


def scaled_with_damping(q, v, tau):
    return bodies(q, v, tau - 0.3 * v - 0.8 * q) * (1 + 0.2 * torch.exp(-(v**2)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "place"), [(yielding_with_drag, "q"), (scaled_with_damping, "a")]
)
def test_both_are_found(model, place):
    law, far = searched(model)
    (nonlinearity,) = law.family.nonlinearities
    assert nonlinearity.place == place
    assert law.family.terms
    assert far < 1e-6


@pytest.mark.slow
def test_a_table_has_no_several_alterations():
    q, v, tau = sample(REGION, ROBOT, 2000, 7)
    table = KNeighborsRegressor(5, weights="distance")
    table.fit(torch.cat([q, v, tau], -1).numpy(), bodies(q, v, tau).numpy())
    found = searched(lambda *x: torch.from_numpy(table.predict(torch.cat(x, -1).numpy())))
    assert found is None


def beside_and_around(place, rows, terms, answers):
    """The fit of bodies with these terms behind a function of these rows."""
    base = fit(Family.of(ROBOT), answers)
    family = base.family.with_terms(terms)
    function = StaticNonlinearity(place=place, rows=rows)
    start = replace(base, family=replace(family, nonlinearities=(function,)))
    theta = torch.cat([base.theta, base.theta.new_zeros(len(terms))])
    return refit(replace(start, theta=theta), answers, terms)


def test_constants_of_functions_and_forces_are_fitted_together():
    def model(q, v, tau):
        return bodies(q + 0.015 * tau, v, tau - 0.5 * torch.tanh(v / 0.8))

    answers, words = answered(model, 1.5, 200, 1), vocabulary(2)
    friction = []
    for j in (1, 2):
        shape = tuple(sympy.tanh(words[f"v{j}"] / 0.6) if i == j else sympy.S(0) for i in (1, 2))
        friction.append(Term(name=f"friction {j}", shape=shape))
    rows = tuple(words[f"q{j}"] + 0.012 * words[f"tau{j}"] for j in (1, 2))
    rough = beside_and_around("q", rows, friction, answers)
    assert rough.error > 1e-3
    law = fitted_together(rough, answers)
    assert law.standardised_error(answered(model, 3.0, 200, 2)) < 1e-8


def test_answers_are_seen_before_a_factor_on_the_output():
    q, v, tau = sample(REGION, ROBOT, 50, 3)
    words = vocabulary(2)
    rows = tuple(words[f"a{j}"] * (1 + 0.2 * sympy.exp(-(words[f"v{j}"] ** 2))) for j in (1, 2))
    answers = answered(scaled_with_damping, 1.0, 50, 3)
    law = beside_and_around("a", rows, [], answers)
    seen = as_bodies_see(law, answers)
    assert torch.allclose(seen.a, bodies(q, v, tau - 0.3 * v - 0.8 * q), atol=1e-8)
