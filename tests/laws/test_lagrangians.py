"""Helmholtz conditions on mechanisms that have a Lagrangian and on offenders; equivalence."""

from dataclasses import replace

import pytest
import sympy
import torch

import kinematics
from discover.blackbox.sampling import Batch
from discover.laws import RigidBodyLaw
from discover.laws.extensions.terms import Term, symbols
from discover.laws.rigid_body import lagrangian as lagrangians
from discover.laws.rigid_body.equivalence import to_rigid_body
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import Fit
from discover.laws.rigid_body.lagrangian import conditions, motions
from discover.laws.search.variables import Point, vocabulary
from tests.bench.robots import arm

S = symbols(2)
Q1, V1 = S["q"][0], S["v"][0]


@pytest.fixture(scope="module")
def robot():
    return kinematics.load("double_pendulum")


def law(robot, *shapes):
    extra = tuple(
        Term(name=f"t{k}", shape=tuple(map(sympy.sympify, shape)), coefficient=0.4)
        for k, shape in enumerate(shapes)
    )
    return RigidBodyLaw(robot=robot, extensions=extra, size=7)


def test_rigid_bodies_have_a_lagrangian():
    for robot in (arm("planar", 3, 1), arm("spatial", 2, 5)):
        misfits = conditions(lambda *x, r=robot: kinematics.aba(r, *x), *motions(robot.nv))
        assert misfits.exists, str(misfits)


@pytest.mark.parametrize(
    ("shape", "broken"),
    [
        ((V1, 0), "velocity"),  # damping
        ((S["q"][1], 0), "position"),  # a force field with a curl
        ((S["a"][1], 0), "symmetry"),  # inertia on one side only
    ],
)
def test_offenders_break_the_condition_that_is_theirs(robot, shape, broken):
    misfits = conditions(law(robot, shape), *motions(2))
    assert not misfits.exists
    assert getattr(misfits, broken) > 1e-2
    assert "no Lagrangian" in str(misfits)


Q, V, A = S["q"], S["v"], S["a"]
W = vocabulary(2, 1)
CONSERVATIVE = {
    "springs": [(Q1**3, 0), (sympy.sin(Q1), 0)],
    "a potential of two angles": [(Q[1] ** 2, 2 * Q[0] * Q[1])],
    "an inertia that grows": [(A[0] * (1 + Q1**2) + Q1 * V1**2, 0)],
    "a gyroscope": [(V[1], -V1)],
}


@pytest.mark.parametrize("shapes", CONSERVATIVE.values(), ids=CONSERVATIVE)
def test_the_fitted_lagrangian_gives_the_forces_of_the_terms_back(robot, shapes):
    found = law(robot, *shapes)
    assert conditions(found, *motions(2)).exists
    fitted = lagrangians.fit_lagrangian(found)
    assert fitted.misfit < 1e-6
    rows = lagrangians._equations(fitted.expression, 2, 0)
    wanted = sum((t.expression for t in found.extra), sympy.zeros(2, 1))
    at = dict(zip((*Q, *V, *A), (0.7, -0.4, 0.3, 1.1, 0.2, 0.5), strict=True))
    for row, force in zip(rows, wanted, strict=True):
        assert float(row.subs(at)) == pytest.approx(float(force.subs(at)), abs=1e-6)


def test_a_spring_between_a_point_and_an_anchor_has_a_potential_in_its_place(robot):
    place = Point(1, (0.1, 0.0, -0.4), origin=(0.3, 0.0, -0.5))
    rows = tuple(sum(W[f"j{x}1_{i}"] * W[f"{x}1"] for x in "xyz") for i in (1, 2))
    spring = Term(name="spring", shape=rows, coefficient=2.0, points=(place,))
    found = lagrangians.fit_lagrangian(replace(law(robot), extensions=(spring,)))
    wanted = -sum(W[f"{x}1"] ** 2 for x in "xyz")
    slopes = [float(sympy.diff(found.expression - wanted, W[f"{x}1"], 2)) for x in "xyz"]
    assert slopes == pytest.approx([0, 0, 0], abs=1e-6)


def test_a_curl_and_a_drag_have_none(robot):
    assert lagrangians.fit_lagrangian(law(robot, (V1, 0))) is None
    assert lagrangians.fit_lagrangian(law(robot, (Q[1], 0))) is None


def _batch():
    generator = torch.Generator().manual_seed(0)
    return Batch(*(3 * torch.randn(3, 150, 2, generator=generator, dtype=torch.float64)))


def test_a_rigid_body_in_disguise_is_recognised(robot):
    """Gravity of the second link, written as terms: a heavier link and nothing else."""
    family = Family.of(robot)
    plain = Fit(
        family=family, theta=family.basis.T @ robot.pi.flatten(),
        covariance=torch.zeros(1), error=0.0, scale=torch.ones(2, dtype=torch.float64),
    )  # fmt: skip
    heavier = robot.replace(pi=robot.pi * torch.tensor([[1.0], [1.3]], dtype=torch.float64))
    more, same = RigidBodyLaw.from_fit(plain), law(robot)
    a = sympy.Matrix(S["a"])
    other = RigidBodyLaw(robot=heavier, size=7)
    difference = (other.mass_matrix - same.mass_matrix) * a + other.bias - same.bias
    term = Term(name="disguise", shape=tuple(difference), coefficient=1.0)
    found = to_rigid_body(replace(more, extensions=(term,)), robot, _batch())
    assert found.rigid
    assert found.symbolic is True


def test_a_law_that_is_none_is_not(robot):
    found = to_rigid_body(law(robot, (V1 * sympy.Abs(V1), 0)), robot, _batch())
    assert not found.rigid
    assert found.misfit > 1e-3
