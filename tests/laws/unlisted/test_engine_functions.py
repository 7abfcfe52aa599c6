"""What an engine of symbolic regression adds to the search: shapes that the catalogue lacks."""

from importlib.util import find_spec

import numpy as np
import pytest
import sympy
import torch

import kinematics
from discover import Region
from discover.blackbox import sampling
from discover.blackbox.contract import Answers
from discover.errors import RecipeError
from discover.laws.regression.engines import Engine, Front
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit
from discover.laws.search import residual_search
from discover.laws.search.engine_basis import basis_function_of, engine_named
from tests.bench.laws.planting import PlantedLaw, plant

REGION = Region(q=1.0, v=2.0, tau=5.0)
U = sympy.Symbol("u", real=True)


def test_a_formula_becomes_a_shape_of_free_constants():
    formula = 3.5 * sympy.sin(1.25 * U) ** 2 / (U**2 + 0.75) + 1e-9
    shape, constants = basis_function_of(formula)
    assert sorted(constants) == [0.75, 1.25]
    u = np.linspace(-1, 1, 7)
    expected = np.sin(1.25 * u) ** 2 / (u**2 + 0.75)
    np.testing.assert_allclose(shape.values(u, constants), expected, rtol=1e-12)
    z = sympy.Symbol("z", real=True)
    written = shape.expression(z, constants)
    np.testing.assert_allclose(sympy.lambdify(z, written)(u), expected, rtol=1e-12)


@pytest.mark.parametrize("formula", [sympy.Float(2.5), sum(U**k * (0.1 + k) for k in range(1, 9))])
def test_what_is_no_formula_is_no_shape(formula):
    assert basis_function_of(formula) is None


def test_engines_are_called_by_name_and_auto_never_by_one_that_downloads():
    assert engine_named("sparse") is None
    assert engine_named("pysr").name == "pysr"
    automatic = engine_named("auto")
    assert (automatic.name if automatic else None) == ("operon" if find_spec("pyoperon") else None)
    with pytest.raises(RecipeError, match="auto, sparse, operon, pysr"):
        engine_named("eureqa")


class Knows(Engine):
    """An engine that knows one family of formulas, with wrong numbers."""

    name = "knows"
    asked = 0

    def fit(self, x, y, symbols, seed=0):
        Knows.asked += 1
        u = symbols[0]
        return Front.of([(u, 1.0), (u / (0.06 + (u**2 - 0.05) ** 2 * 1.1), 0.1)])


@pytest.mark.parametrize("known", [pytest.param(True, marks=pytest.mark.slow), False])
@pytest.mark.slow
def test_an_engine_is_asked_where_the_catalogue_fails_and_only_there(monkeypatch, known):
    robot = kinematics.load("double_pendulum")

    def odd(q, v, H):
        own = v[:, 0] / (1 + (v[:, 0] ** 2 - 1) ** 2) if known else v[:, 0] * v[:, 0].abs() ** 0.7
        return torch.stack([own, 0 * own], -1)

    model = plant(robot, PlantedLaw("x", "force", odd), REGION)
    sets = []
    for seed, n in ((1, 500), (2, 250)):
        q, v, tau = (1.7 * x for x in sampling.sample(REGION.resolve(2), robot, n, seed))
        sets.append(Answers(q=q, v=v, tau=tau, a=model(q, v, tau)))
    monkeypatch.setattr(residual_search, "engine_named", lambda name: Knows())
    Knows.asked = 0
    found = residual_search.search_residual_forces(
        fit(Family.of(robot), sets[0]), *sets, floor=1e-5, limit=1
    )
    assert Knows.asked == int(known)
    assert not found.best.fit.family.terms[0].tables
    assert found.best.fit.standardised_error(sets[1]) < 1e-4
