"""Surrogate trigonometry: bodies with other functions for sine and cosine."""

import json

import numpy as np
import pytest
import sympy
import torch

import discover
import kinematics
from discover.blackbox import sampling
from discover.blackbox.contract import Answers, relative_error
from discover.calibration.planted.alternatives import with_truncated_trigonometry
from discover.laws import RigidBodyLaw, from_dict
from discover.laws.extensions.surrogate_trigonometry import (
    ANGLE,
    PARTS,
    SurrogateTrigonometry,
    columns,
    ends_at_edge,
    identifiable,
)
from discover.laws.extensions.tabulated import Table
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit
from discover.laws.search.nonlinearities import trigonometry_search
from kinematics.programs import trace

REGION = discover.Region(q=1.0, v=2.0, tau=5.0)


@pytest.fixture(scope="module")
def pendulum():
    return kinematics.load("double_pendulum")


def asked(model, robot, seed):
    inside = sampling.sample(REGION, robot, 150, seed)
    outside = sampling.shell(REGION, robot, 150, 1.0, 2.0, axis="joint", seed=seed + 1)
    q, v, tau = (torch.cat(x) for x in zip(inside, outside, strict=True))
    return Answers(q=q, v=v, tau=tau, a=model(q, v, tau))


@pytest.mark.parametrize("composites", [False, True])
def test_with_sine_and_cosine_they_are_the_bodies(composites):
    robot = kinematics.load("planar_3r")
    q, v, _ = sampling.sample(REGION, robot, 20, 1)
    trigonometry = SurrogateTrigonometry(sympy.sin(ANGLE), sympy.cos(ANGLE), composites)
    made = columns(robot, trigonometry, robot.pi.reshape(-1, 1), q, v)
    assert torch.allclose(made.inertia[..., 0], kinematics.crba(robot, q))
    assert torch.allclose(made.bias[..., 0], kinematics.bias(robot, q, v))


@pytest.mark.parametrize("order", [1, 3])
def test_truncated_series_are_found(pendulum, order):
    model = with_truncated_trigonometry(pendulum, order)
    wide, held = asked(model, pendulum, 1), asked(model, pendulum, 5)
    physics = fit(Family.of(pendulum), wide)
    found = trigonometry_search.search_trigonometry(physics, physics, wide, held, floor=1e-9)
    assert found is not None
    trigonometry = found.fit.family.trigonometry
    cubic = ANGLE - ANGLE**3 / 6 if order == 3 else ANGLE
    assert float(abs((trigonometry.sine - cubic).subs(ANGLE, 1.3))) < 1e-6
    far = sampling.shell(REGION, pendulum, 100, 2.0, 3.0, axis="joint", seed=9)
    assert relative_error(found.fit.predict(*far), model(*far)) < 1e-6


def altered(robot, parts, sine, cosine):
    """The dynamics of `robot` with other functions for sine and cosine in some parts."""
    names = [sympy.Symbol(f"{g}{j + 1}") for g in "qv" for j in range(robot.nv)]
    other = {"sin": sine, "cos": cosine}

    def of(what, functions):
        form = trace(robot, what).sympy()
        inputs = [form.symbols.get(n.name, n) for n in names]
        function = sympy.lambdify(inputs, list(form.substituted()), modules=[functions, "numpy"])

        def columns(q, v):
            rows = function(*q.numpy().T, *v.numpy().T)
            return torch.from_numpy(np.stack([np.broadcast_to(x, len(q)) for x in rows], -1))

        return columns

    def part(what, name):
        return of(what, other if name in parts else {})

    H, moving, still = part("crba", "inertia"), part("bias", "velocity"), part("bias", "gravity")

    def model(q, v, tau):
        zero = torch.zeros_like(v)
        b = still(q, zero) + moving(q, v) - moving(q, zero)
        mass = H(q, v).reshape(-1, robot.nv, robot.nv)
        return torch.linalg.solve(mass, (tau - b).unsqueeze(-1)).squeeze(-1)

    return model


@pytest.mark.parametrize(
    "parts",
    [
        ("gravity",),
        pytest.param(("velocity",), marks=pytest.mark.slow),
        pytest.param(("inertia",), marks=pytest.mark.slow),
    ],
)
def test_series_in_one_part_alone_are_found_there(pendulum, parts):
    model = altered(pendulum, parts, lambda x: x - x**3 / 6, lambda x: 1 - x**2 / 2)
    wide, held = asked(model, pendulum, 1), asked(model, pendulum, 5)
    physics = fit(Family.of(pendulum), wide)
    found = trigonometry_search.search_trigonometry(physics, physics, wide, held, floor=1e-9)
    assert found is not None
    # The mass matrix of a double pendulum has no sine, its velocity forces have no cosine.
    assert (found.fit.family.trigonometry.parts == ("gravity",)) == (parts == ("gravity",))
    far = sampling.shell(REGION, pendulum, 100, 2.0, 3.0, axis="joint", seed=9)
    assert relative_error(found.fit.predict(*far), model(*far)) < 1e-6


@pytest.mark.slow
def test_functions_that_are_no_polynomials_are_found(pendulum):
    model = altered(pendulum, PARTS, np.tanh, lambda x: np.exp(-0.6 * x**2))
    wide, held = asked(model, pendulum, 1), asked(model, pendulum, 5)
    physics = fit(Family.of(pendulum), wide)
    found = trigonometry_search.search_trigonometry(physics, physics, wide, held, floor=1e-6)
    assert found is not None
    inside = sampling.sample(REGION, pendulum, 100, 3)
    assert relative_error(found.fit.predict(*inside), model(*inside)) < 2e-2
    far = sampling.shell(REGION, pendulum, 100, 2.0, 2.5, axis="joint", seed=9)
    own, bodies = (relative_error(f.predict(*far), model(*far)) for f in (found.fit, physics))
    assert own < 0.2 * bodies


def test_nothing_is_found_in_rigid_bodies(pendulum):
    generator = torch.Generator().manual_seed(0)

    def model(q, v, tau):
        a = kinematics.aba(pendulum, q, v, tau)
        return a + 0.3 * torch.randn(a.shape, generator=generator, dtype=a.dtype)

    wide, held = asked(model, pendulum, 1), asked(model, pendulum, 5)
    physics = fit(Family.of(pendulum), wide)
    assert trigonometry_search.search_trigonometry(physics, physics, wide, held, floor=1e-9) is None


def test_nothing_is_found_beside_another_force(pendulum):
    def model(q, v, tau):
        return kinematics.aba(pendulum, q, v, tau - 2 * v * v.abs())

    wide, held = asked(model, pendulum, 1), asked(model, pendulum, 5)
    physics = fit(Family.of(pendulum), wide)
    assert trigonometry_search.search_trigonometry(physics, physics, wide, held, floor=1e-9) is None


@pytest.mark.parametrize(
    ("composites", "parts"),
    [(False, PARTS), (True, PARTS), (False, ("gravity",)), (True, ("inertia",)),
     (False, ("velocity", "inertia"))],
)  # fmt: skip
def test_a_law_with_surrogates_answers_stores_and_compiles(pendulum, composites, parts):
    damped = pendulum.replace(
        damping=torch.tensor([0.3, 0.1]), armature=torch.tensor([0.0, 0.02]),
        stiffness=torch.tensor([0.0, 1.5]),
    )  # fmt: skip
    trigonometry = SurrogateTrigonometry(
        ANGLE - ANGLE**3 / 6, 1 - ANGLE**2 / sympy.Float(2.1), composites, parts
    )
    law = RigidBodyLaw(robot=damped, extensions=(trigonometry,), size=1)
    q, v, tau = sampling.sample(REGION, pendulum, 30, 2)
    a = law(q, v, tau)
    assert relative_error(kinematics.aba(damped, q, v, tau), a) > 1e-3
    again = from_dict(json.loads(json.dumps(law.to_dict())))
    assert torch.allclose(again(q, v, tau), a, rtol=1e-12)
    compiled = torch.from_numpy(law.compile()(q.numpy(), v.numpy(), tau.numpy()))
    assert torch.allclose(compiled, a, rtol=1e-9)
    s = law.symbols
    at = dict(zip((*s["q"], *s["v"]), (*q[0].tolist(), *v[0].tolist()), strict=True))
    H, b = (
        torch.tensor(sympy.matrix2numpy(x.subs(at)).astype(float))
        for x in (law.mass_matrix, law.bias)
    )
    assert torch.allclose(H @ a[0] + b[:, 0], tau[0], rtol=1e-6, atol=1e-8)
    assert law.family == "rigid body + surrogate trigonometry"
    assert len(law.terms) == 2


def test_a_law_with_tables_for_surrogates_answers_stores_and_compiles(pendulum):
    z = np.linspace(-1.2, 1.2, 25)
    tables = [
        Table(name, tuple(z.tolist()), tuple(f(z).tolist()))
        for name, f in (("phi_s", np.sin), ("phi_c", np.cos))
    ]
    trigonometry = SurrogateTrigonometry(*(t.function(ANGLE) for t in tables), tables=tuple(tables))
    law = RigidBodyLaw(robot=pendulum, extensions=(trigonometry,), size=1)
    q, v, tau = sampling.sample(REGION, pendulum, 30, 2)
    a = law(q, v, tau)
    assert relative_error(a, kinematics.aba(pendulum, q, v, tau)) < 1e-3
    again = from_dict(json.loads(json.dumps(law.to_dict())))
    assert torch.allclose(again(q, v, tau), a, rtol=1e-12)
    compiled = torch.from_numpy(law.compile()(q.numpy(), v.numpy(), tau.numpy()))
    assert torch.allclose(compiled, a, rtol=1e-9)
    assert law.mass_matrix.has(tables[1].function)
    written: dict = {}
    exec(law.export("sympy"), written)
    assert written["mass_matrix"].has(written["phi_c"])


@pytest.mark.parametrize(
    ("sine", "cosine", "stops"),
    [
        (sympy.sin(ANGLE), sympy.cos(ANGLE), False),
        (ANGLE, sympy.Integer(1), False),
        (ANGLE - ANGLE**3 / 6, 1 - ANGLE**2 / 2, False),
        (sympy.sin(sympy.Min(sympy.Max(ANGLE, -0.9), 0.9)), sympy.Integer(1), True),
    ],
)
def test_functions_that_stop_where_the_region_ends_are_known(sine, cosine, stops):
    q = torch.linspace(-0.85, 0.85, 50, dtype=torch.float64)[:, None].expand(-1, 2)
    assert ends_at_edge(SurrogateTrigonometry(sine, cosine), q) is stops


@pytest.mark.parametrize("composites", [False, True])
@pytest.mark.parametrize(
    ("sine", "cosine"),
    [
        (sympy.sqrt(ANGLE), sympy.Integer(1)),
        (ANGLE + sympy.exp(200 * ANGLE**2 - 300), sympy.Integer(1)),  # its square is infinite
        (sympy.sinh(40 * ANGLE), sympy.cosh(40 * ANGLE)),
        (sympy.sqrt(-1 - ANGLE**2), sympy.Integer(1)),  # defined nowhere
    ],
    ids=["half", "explodes", "grows", "nowhere"],
)
def test_functions_that_are_not_defined_everywhere_do_not_stop_a_search(
    pendulum, sine, cosine, composites
):
    trigonometry = SurrogateTrigonometry(sine, cosine, composites)
    basis = identifiable(pendulum, trigonometry)
    assert bool(torch.isfinite(basis).all())
    q, v, _ = sampling.sample(discover.Region(q=0.1, v=1.0, tau=1.0), pendulum, 30, 0)
    made = columns(pendulum, trigonometry, basis, q, v)
    assert made.inertia.shape[-1] == made.bias.shape[-1] == basis.shape[1]
    if sine.has(sympy.exp, sympy.sinh):
        assert basis.shape[1] >= 3  # two inertias and a coupling, and the weights
