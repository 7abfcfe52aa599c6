"""Forces that are functions of a joint's gravity torque, which moves with the fitted bodies."""

from __future__ import annotations

import json

import pytest
import torch
from sklearn.neighbors import KNeighborsRegressor

import discover
import kinematics
from discover.blackbox.contract import Answers
from discover.blackbox.sampling import sample
from discover.laws import from_dict
from discover.laws.extensions.terms import joint_terms
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit
from discover.laws.rigid_body.law import RigidBodyLaw
from discover.laws.search.nonlinearities.io_fit import NonlinearityKind, NonlinearityProblem
from discover.laws.search.nonlinearities.io_flexible import begun_problem
from discover.laws.search.nonlinearities.io_kinds import AROUND_AND_BESIDE, JOINT_FUNCTIONS
from discover.laws.search.nonlinearities.io_search import search_io_nonlinearity
from tests.laws.pendulum_answers import REGION, ROBOT, answered, bodies, fitted_and_held

FRICTION = NonlinearityKind("tau", "v", "g", added=True)
OF_BODIES = tuple(k for kinds in JOINT_FUNCTIONS for k in kinds if k.of_bodies)
ARM = kinematics.load("planar_3r")
ARM_REGION = discover.Region(q=1.0, v=3.0, tau=[60.0, 25.0, 7.0]).resolve(3)


def gravity(robot, q):
    return kinematics.bias(robot, q, torch.zeros_like(q))


def borne_by_gravity(q, v, tau):
    return bodies(q, v, tau - 0.3 * gravity(ROBOT, q).abs() * v / (0.5 + v.abs()))


@pytest.fixture(scope="module")
def found():
    fitted, held = fitted_and_held(borne_by_gravity)
    base = fit(Family.of(ROBOT), fitted)
    return search_io_nonlinearity(base, base, fitted, held, floor=1e-6, kinds=[FRICTION]).fit


@pytest.mark.slow
def test_friction_that_grows_with_the_gravity_torque_is_found(found):
    (term,) = found.family.terms
    assert term.names == {"v1", "g1", "v2", "g2"}
    assert found.standardised_error(answered(borne_by_gravity, 3.0, 200, 5)) < 1e-3


@pytest.mark.slow
def test_such_a_law_is_stored_and_exported(found):
    law = RigidBodyLaw.from_fit(found)
    states = sample(REGION.scaled(2.0), ROBOT, 30, 4)
    torch.testing.assert_close(law(*states), borne_by_gravity(*states), rtol=1e-2, atol=1e-2)
    again = from_dict(json.loads(json.dumps(law.to_dict())))
    assert torch.equal(again(*states), law(*states))
    compiled = torch.as_tensor(law.compile()(*(x.numpy() for x in states)))
    torch.testing.assert_close(compiled, law(*states), rtol=1e-8, atol=1e-8)
    for target in ("sympy", "python", "torch", "c", "latex"):
        assert law.export(target).strip()
    assert "g1" in str(law.terms)


@pytest.mark.parametrize("kind", OF_BODIES, ids=lambda k: " and ".join(k.features))
def test_the_slopes_count_that_gravity_moves_with_the_bodies(kind):
    answers = answered(borne_by_gravity, 1.0, 40, 6)
    base = fit(Family.of(ROBOT), answered(borne_by_gravity, 1.0, 60, 7))
    problem, x = begun_problem(base, base.theta, answers, kind, [(0,), (1,)], 8)
    draw = torch.Generator().manual_seed(2)
    x = x + 0.02 * torch.randn(len(x), generator=draw, dtype=x.dtype)
    problem_slopes, steps = problem.jacobian(x), 1e-6 * torch.eye(len(x), dtype=x.dtype)
    numeric = [(problem.residual(x + s) - problem.residual(x - s)) / 2e-6 for s in steps]
    k = base.family.size
    torch.testing.assert_close(problem_slopes, torch.stack(numeric, -1), rtol=1e-3, atol=1e-4)
    held = NonlinearityProblem(base, answers, kind, ())
    assert problem.function_slopes(problem.at(x), x.split(problem.split)[1:])[0].abs().max() > 0
    assert held.has_features
    assert bool(problem_slopes[..., :k].any())


def test_without_gravity_there_is_no_such_function():
    weightless = ROBOT.replace(gravity=torch.zeros(3, dtype=torch.float64))
    states = sample(REGION, ROBOT, 40, 1)
    names = ("q", "v", "tau")
    answers = Answers(**dict(zip(names, states, strict=True)), a=bodies(*states))
    base = fit(Family.of(weightless), answers)
    assert not NonlinearityProblem(base, answers, FRICTION, ()).has_features


def test_beside_other_forces_a_force_is_not_searched_for_around_the_bodies():
    assert OF_BODIES
    assert not any(k.of_bodies for kinds in AROUND_AND_BESIDE for k in kinds)


@pytest.mark.parametrize("neighbours", [pytest.param(1, marks=pytest.mark.slow), 6])
@pytest.mark.slow
def test_a_table_has_no_function_of_gravity(neighbours):
    q, v, tau = sample(REGION, ROBOT, 2000, 7)
    table = KNeighborsRegressor(neighbours, weights="distance")
    table.fit(torch.cat([q, v, tau], -1).numpy(), bodies(q, v, tau).numpy())

    def model(*states):
        return torch.from_numpy(table.predict(torch.cat(states, -1).numpy()))

    fitted, held = fitted_and_held(model)
    base = fit(Family.of(ROBOT), fitted)
    given = {"floor": 1e-6, "kinds": OF_BODIES, "begun": 3, "strict": True}
    assert search_io_nonlinearity(base, base, fitted, held, **given) is None


def borne_by_load(q, v, tau):
    """load + 0.25 |load| tanh(v / 0.6) = tau, solved for what the bodies feel."""
    return bodies(q, v, tau / (1.0 + 0.25 * tau.sign() * torch.tanh(v / 0.6)))


@pytest.mark.slow
def test_friction_that_grows_with_the_load_is_one_of_what_bodies_make_of_the_joint():
    fitted, held = fitted_and_held(borne_by_load)
    base = fit(Family.of(ROBOT), fitted)
    kinds = [NonlinearityKind("tau", "v", "tau", added=True)]
    law = search_io_nonlinearity(base, base, fitted, held, floor=1e-6, kinds=kinds).fit
    (term,) = law.family.terms
    assert {"h1", "g1", "c1", "v1"} <= term.names
    states = sample(REGION.scaled(2.0), ROBOT, 40, 4)
    made = RigidBodyLaw.from_fit(law)
    torch.testing.assert_close(made(*states), borne_by_load(*states), rtol=1e-6, atol=1e-6)
    again = from_dict(json.loads(json.dumps(made.to_dict())))
    assert torch.equal(again(*states), made(*states))
    compiled = torch.as_tensor(made.compile()(*(x.numpy() for x in states)))
    torch.testing.assert_close(compiled, made(*states), rtol=1e-8, atol=1e-8)
    for target in ("sympy", "python", "torch", "c", "latex"):
        assert made.export(target).strip()


LOADED = NonlinearityKind("tau", "v", "load", added=True)


def test_a_load_is_what_its_own_force_leaves_of_the_joint_force():
    answers = answered(borne_by_load, 1.0, 40, 6)
    base = fit(Family.of(ROBOT), answers)
    problem, x = begun_problem(base, base.theta, answers, LOADED, [(0,), (1,)], 8)
    draw = torch.Generator().manual_seed(2)
    x = x + 0.01 * torch.randn(len(x), generator=draw, dtype=x.dtype)
    theta, *c = x.split(problem.split)
    load = problem.feature(None, theta, c)[..., 1]
    for group, k in zip(problem.groups, c, strict=True):
        (j,) = group.joints
        force = group.function(torch.stack([answers.v[:, j], load[:, j]], -1), k)
        torch.testing.assert_close(load[:, j], answers.tau[:, j] + force, rtol=0, atol=1e-9)
    some = torch.randperm(len(x), generator=draw)[:12]
    steps = 1e-6 * torch.eye(len(x), dtype=x.dtype)[some]
    numeric = [(problem.residual(x + s) - problem.residual(x - s)) / 2e-6 for s in steps]
    slopes = problem.jacobian(x)[..., some]
    torch.testing.assert_close(slopes, torch.stack(numeric, -1), rtol=1e-3, atol=1e-4)


def arm(q, v, tau):
    return kinematics.aba(ARM, q, v, tau)


def worn_arm(q, v, tau):
    borne = 0.4 + 0.07 * gravity(ARM, q).abs()
    return arm(q, v, tau - borne * torch.tanh(v / 0.2))


@pytest.mark.slow
def test_it_is_found_among_all_functions_of_joints_of_another_robot():
    def asked(scale, n, seed):
        states = sample(ARM_REGION.scaled(scale), ARM, n, seed)
        names = ("q", "v", "tau")
        return Answers(**dict(zip(names, states, strict=True)), a=worn_arm(*states))

    fitted = Answers.concat([asked(1.0, 220, 1), asked(2.0, 100, 2)])
    held = Answers.concat([asked(1.0, 110, 3), asked(2.0, 100, 4)])
    base = best = fit(Family.of(ARM, joint_terms(ARM)), fitted)
    for kinds in JOINT_FUNCTIONS[:2]:
        given = {"floor": 1e-6, "kinds": kinds, "begun": 3, "strict": True}
        result = search_io_nonlinearity(base, best, fitted, held, **given)
        best = best if result is None else result.fit
    assert {"g1", "g2", "g3", "v1"} <= set().union(*(t.names for t in best.family.terms))
    assert best.standardised_error(asked(3.0, 200, 5)) < 1e-3
