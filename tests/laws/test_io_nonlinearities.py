"""Static input and output nonlinearities of rigid bodies: found, fitted, stored, compiled."""

import json
from dataclasses import replace

import pytest
import sympy
import torch

import discover
import kinematics
from discover.blackbox import sampling
from discover.blackbox.contract import Answers, relative_error
from discover.calibration.planted.contract import Setting
from discover.calibration.planted.tables import planted_models as tables_of
from discover.laws import RigidBodyLaw, from_dict
from discover.laws.extensions.io_nonlinearity import StaticNonlinearity, ends_at_edge
from discover.laws.extensions.tabulated import Basis
from discover.laws.extensions.terms import Term, joint_terms, symbols
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit
from discover.laws.search.nonlinearities import (
    drive_functions,
    io_flexible,
    io_functions,
    io_search,
)
from discover.laws.search.nonlinearities.io_fit import Group, NonlinearityKind, NonlinearityProblem
from discover.laws.search.nonlinearities.io_functions import FlexibleNonlinearity, Splined
from discover.laws.search.selection import refit, select

REGION = discover.Region(q=1.0, v=2.0, tau=5.0)
NOISE = 1e-3


@pytest.fixture(scope="module")
def pendulum():
    return kinematics.load("double_pendulum")


def with_noise(model, robot, seed=3):
    generator = torch.Generator().manual_seed(seed)
    scale = NOISE * model(*sampling.sample(REGION, robot, 256, 0)).square().mean(0).sqrt()

    def noisy(q, v, tau):
        a = model(q, v, tau)
        return a + scale * torch.randn(a.shape, generator=generator, dtype=a.dtype)

    return noisy


def asked(model, batch):
    return Answers(q=batch.q, v=batch.v, tau=batch.tau, a=model(*batch))


def out_to_twice(model, robot, n, seed):
    inside = sampling.sample(REGION, robot, n, seed)
    outside = sampling.shell(REGION, robot, n, 1.0, 2.0, axis="joint", seed=seed + 1)
    return Answers.concat([asked(model, inside), asked(model, outside)])


def searched(model, robot):
    """(the law with a nonlinearity or None, its relative error far out on clean answers)"""
    noisy = with_noise(model, robot)
    wide, held = out_to_twice(noisy, robot, 160, 1), out_to_twice(noisy, robot, 90, 7)
    physics = fit(Family.of(robot), wide)
    found = io_search.search_io_nonlinearity(physics, physics, wide, held, floor=NOISE)
    if found is None:
        return None, float("nan")
    far = asked(model, sampling.shell(REGION, robot, 200, 2.0, 3.0, axis="joint", seed=9))
    return found.fit, relative_error(found.fit.predict(far.q, far.v, far.tau), far.a)


def stopping(a, v):
    """Everything stops at a total speed, which is no edge of the region."""
    return a * (1 - v.square().sum(-1, keepdim=True) / 80).clamp_min(0) ** 1.5


def clipped(a):
    """Limited in size as a whole: nothing bends but at one corner."""
    return a * (37 / a.norm(dim=-1, keepdim=True)).clamp_max(1)


@pytest.mark.parametrize(
    ("place", "alter", "error"),
    [
        (
            "a",
            lambda robot, q, v, tau: 30 * torch.tanh(kinematics.aba(robot, q, v, tau) / 30),
            0.03,
        ),
        ("a", lambda robot, q, v, tau: kinematics.aba(robot, q, v, tau) / (1 + (v / 4) ** 2), 0.03),
        ("q", lambda robot, q, v, tau: kinematics.aba(robot, q.clamp(-1.4, 1.4), v, tau), 0.03),
        pytest.param(
            "a",
            lambda robot, q, v, tau: clipped(kinematics.aba(robot, q, v, tau)),
            0.01,
            marks=pytest.mark.slow,
        ),
        # Its formula is in no list, and what far answers are compared with is nearly nothing.
        pytest.param(
            "a",
            lambda robot, q, v, tau: stopping(kinematics.aba(robot, q, v, tau), v),
            0.1,
            marks=pytest.mark.slow,
        ),
    ],
    ids=[
        "answer limited",
        "answer fading with speed",
        "angles that stop",
        "size limited",
        "stops at a speed",
    ],
)
@pytest.mark.slow
def test_the_altered_signal_and_its_function_are_found(pendulum, place, alter, error):
    law, far = searched(lambda q, v, tau: alter(pendulum, q, v, tau), pendulum)
    assert law is not None
    assert [c.place for c in law.family.nonlinearities] == [place]
    assert far < error


@pytest.mark.slow
def test_a_function_is_found_beside_joint_terms_that_were_chosen_without_it(pendulum):
    """Dampers act on speeds as they are read; where that function is missing, other joint terms
    than the robot's seem to help."""
    robot = pendulum.replace(damping=[0.8, 0.3], armature=[0.0, 0.1])

    def model(q, v, tau):
        return kinematics.aba(robot, q, v / (1 + (v / 3) ** 2), tau)

    wide, held = out_to_twice(model, robot, 160, 1), out_to_twice(model, robot, 90, 7)
    bodies = fit(Family.of(pendulum), wide)
    chosen = select(bodies, wide, held, joint_terms(pendulum), floor=1e-9, limit=8).fit
    assert {t.name for t in chosen.family.terms} != {
        "damping, joint 1", "damping, joint 2", "armature, joint 2"
    }  # fmt: skip
    found = io_search.search_io_nonlinearity(chosen, chosen, wide, held, floor=1e-9)
    assert found is not None
    assert [c.place for c in found.fit.family.nonlinearities] == ["v"]
    far = asked(model, sampling.shell(REGION, robot, 200, 2.0, 3.0, axis="joint", seed=9))
    assert relative_error(found.fit.predict(far.q, far.v, far.tau), far.a) < 1e-6
    assert len(found.fit.family.terms) <= 4


def test_nothing_is_found_in_rigid_bodies(pendulum):
    law, _ = searched(lambda q, v, tau: kinematics.aba(pendulum, q, v, tau), pendulum)
    assert law is None


@pytest.mark.parametrize(
    "kind", ["nearest neighbour", pytest.param("table of H and bias", marks=pytest.mark.slow)]
)
def test_no_nonlinearity_is_accepted_in_a_table(pendulum, kind):
    setting = Setting(robot=pendulum, region=REGION.resolve(2))
    table = next(p for p in tables_of(setting) if p.kind == kind).build()
    assert searched(table, pendulum)[0] is None


@pytest.mark.parametrize(("stop", "at_edge"), [(1.0, True), (1.4, False), (0.6, False)])
def test_an_input_function_that_ends_at_the_edge_is_recognised(pendulum, stop, at_edge):
    q = symbols(2)["q"]
    rows = (sympy.Max(-stop, sympy.Min(stop, q[0])), q[1])
    inside = asked(
        lambda q, v, tau: kinematics.aba(pendulum, q, v, tau),
        sampling.sample(REGION, pendulum, 400, 1),
    )
    assert ends_at_edge((StaticNonlinearity(place="q", rows=rows),), inside) is at_edge


def test_a_function_of_the_norm_is_counted_once_and_fits_again(pendulum):
    s = symbols(2)
    size = sympy.sqrt(sum(x**2 for x in s["v"]))
    nonlinearity = StaticNonlinearity(
        place="a", rows=tuple(a * sympy.cos(0.2 * size) for a in s["a"])
    )
    one = StaticNonlinearity(place="a", rows=(nonlinearity.rows[0], s["a"][1]))
    assert nonlinearity.symbol_count == one.symbol_count + 1
    answers = out_to_twice(
        lambda q, v, tau: (
            kinematics.aba(pendulum, q, v, tau) * torch.cos(0.2 * v.norm(dim=-1, keepdim=True))
        ),
        pendulum,
        100,
        3,
    )
    plain = fit(Family.of(pendulum), answers)
    start = replace(plain, family=replace(plain.family, nonlinearities=(nonlinearity,)))
    assert refit(start, answers, ()).error < 1e-8


def test_bodies_are_fitted_behind_outputs_that_depend_on_each_other(pendulum):
    """An acceleration that is limited in size as a whole: each row depends on all joints."""
    s = symbols(2)
    size = sympy.sqrt(sum(x**2 for x in s["a"]))
    nonlinearity = StaticNonlinearity(
        place="a", rows=tuple(a / sympy.sqrt(1 + (size / 15) ** 2) for a in s["a"])
    )

    def limited(q, v, tau):
        a = kinematics.aba(pendulum, q, v, tau)
        return a / (1 + (a.norm(dim=-1, keepdim=True) / 15) ** 2).sqrt()

    answers = out_to_twice(limited, pendulum, 100, 3)
    plain = fit(Family.of(pendulum), answers)
    start = replace(plain, family=replace(plain.family, nonlinearities=(nonlinearity,)))
    assert refit(start, answers, ()).error < 1e-8


def saturated_and_fading(robot):
    s = symbols(robot.nv)
    rows = tuple(25 * sympy.tanh(a / 25) for a in s["a"])
    given = (s["tau"][0] * (1 - s["v"][0] ** 2 / 50), s["tau"][1])
    return (
        StaticNonlinearity(place="a", rows=rows),
        StaticNonlinearity(place="tau", rows=given),
    )


def test_a_law_with_nonlinearities_answers_stores_and_compiles(pendulum):
    law = RigidBodyLaw(robot=pendulum, extensions=saturated_and_fading(pendulum), size=1)
    q, v, tau = sampling.sample(REGION, pendulum, 40, 2)
    given = torch.stack([tau[:, 0] * (1 - v[:, 0] ** 2 / 50), tau[:, 1]], -1)
    expected = 25 * torch.tanh(kinematics.aba(pendulum, q, v, given) / 25)
    assert torch.allclose(law(q, v, tau), expected, rtol=1e-9)
    again = from_dict(json.loads(json.dumps(law.to_dict())))
    assert torch.equal(again(q, v, tau), law(q, v, tau))
    compiled = law.compile()(q.numpy(), v.numpy(), tau.numpy())
    assert torch.allclose(torch.from_numpy(compiled), expected, rtol=1e-9)
    assert law.family == "rigid body + static nonlinearities"
    assert [str(e.lhs) for e in law.terms] == ["a1_output", "a2_output", "tau1_input"]
    assert all("tanh" in law.export(target) for target in ("sympy", "python", "latex"))


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        (lambda tau: 3 * torch.tanh(tau / 3), lambda x, size: sympy.tanh(x / 3)),
        (
            lambda tau: 3 * tau / (9 + tau.square().sum(-1, keepdim=True)).sqrt(),
            lambda x, size: x / sympy.sqrt(9 + size**2),
        ),
    ],
    ids=["each", "as a whole"],
)
def test_forces_of_tau_beside_bodies_of_any_size_become_an_input_function(pendulum, given, shape):
    tau = symbols(2)["tau"]
    size = sympy.sqrt(sum(x**2 for x in tau))
    limited = Term(name="limited", shape=tuple(shape(x, size) for x in tau))
    family, heavy = Family.of(pendulum, [limited]), 1e9
    bodies = family.basis.T @ pendulum.pi.flatten()
    answers = out_to_twice(
        lambda q, v, tau: kinematics.aba(pendulum, q, v, given(tau)), pendulum, 100, 3
    )
    law = replace(
        fit(Family.of(pendulum), answers),
        family=family,
        theta=torch.cat([heavy * bodies, torch.tensor([-3 * heavy])]),
    )
    found = drive_functions.as_input_nonlinearity(law, answers, answers, 1e-6)
    assert found is not None
    assert [c.place for c in found.fit.family.nonlinearities] == ["tau"]
    assert found.fit.error < 1e-6
    assert torch.allclose(found.fit.theta, bodies, rtol=1e-2)
    light = replace(law, theta=torch.cat([bodies, torch.tensor([-0.5])]))
    assert drive_functions.as_input_nonlinearity(light, answers, answers, 1e-6) is None


def test_bodies_behind_known_nonlinearities_are_found_again(pendulum):
    nonlinearities = saturated_and_fading(pendulum)
    law = RigidBodyLaw(robot=pendulum, extensions=nonlinearities, size=1)
    answers = out_to_twice(law, pendulum, 100, 3)
    weaker = out_to_twice(
        lambda q, v, tau: kinematics.aba(pendulum, q, v, 0.9 * tau), pendulum, 100, 5
    )
    rough = fit(Family.of(pendulum), weaker)
    start = replace(rough, family=replace(rough.family, nonlinearities=nonlinearities))
    assert start.standardised_error(answers) > 1e-3
    assert refit(start, answers, ()).error < 1e-8


def bent_at(corner):
    """Forces that grow on more slowly beyond a corner that is no edge and no level of a shape."""
    return lambda tau: tau - 0.6 * (tau - corner).clamp_min(0)


@pytest.mark.parametrize("corner", [1.7, -0.9])
def test_a_corner_is_placed_where_the_function_bends(pendulum, corner):
    answers, held = (
        out_to_twice(
            lambda q, v, tau: kinematics.aba(pendulum, q, v, bent_at(corner)(tau)), pendulum, 80, n
        )
        for n in (1, 7)
    )
    base, kind = fit(Family.of(pendulum), answers), NonlinearityKind("tau", "tau")
    problem, x = io_flexible.begun_problem(base, base.theta, answers, kind, [(0, 1)], 10)
    smooth = io_flexible.held_out_error(base, held, kind, problem.groups, problem.solve(x, 30))
    sharp = io_flexible.fitted_kind(base, base.theta, answers, held, kind, [(0, 1)], 10, 30)
    assert sharp.held_out < 1e-4 < 1e-3 < smooth
    assert sharp.problem.groups[0].function.corners == 1
    assert float(sharp.x[-1]) == pytest.approx(corner, abs=1e-3)


def test_no_corner_is_put_where_nothing_bends(pendulum):
    answers, held = (
        out_to_twice(
            lambda q, v, tau: kinematics.aba(pendulum, q, v, 4 * torch.tanh(tau / 4)),
            pendulum,
            80,
            n,
        )
        for n in (1, 7)
    )
    base, kind = fit(Family.of(pendulum), answers), NonlinearityKind("tau", "tau")
    smooth = io_flexible.fitted_kind(base, base.theta, answers, held, kind, [(0, 1)], 18, 15)
    assert smooth.held_out < 0.02
    sharp = io_flexible.sharpened(smooth, base, held)
    assert sharp.problem.groups[0].function.corners == 0


@pytest.mark.parametrize("unit", [1.0, -3e19])
@pytest.mark.parametrize("size", ["|tau|", "|v|"])
def test_what_is_felt_has_the_unit_of_what_is_asked(pendulum, size, unit):
    """A factor that is 1 near the middle, on bodies of any scale and sign."""
    answers = out_to_twice(lambda q, v, tau: kinematics.aba(pendulum, q, v, tau), pendulum, 40, 1)
    base, kind = fit(Family.of(pendulum), answers), NonlinearityKind("tau", size)
    z = NonlinearityProblem(base, answers, kind, ()).feature()
    function = Splined(Basis.over(z, 8), 1)
    at = torch.from_numpy(function.basis.knots)
    fading = unit * (1 - 0.2 * (at / at.max()) ** 2)
    x = torch.cat([function.like(fading.numpy())[:-2], torch.tensor([-0.1 * unit, 5.0])])
    problem = NonlinearityProblem(base, answers, kind, [Group((0, 1), function)])
    whole = torch.cat([unit * base.theta, x])
    found = FlexibleNonlinearity(kind=kind, problem=problem, x=whole, held_out=0.0)
    theta, c = io_functions._in_scale(found)
    inner = z.flatten().quantile(0.1)
    assert float(function(inner[None], c)) == pytest.approx(1)
    same = problem.bodies(torch.cat([theta, c]))[2]
    assert torch.allclose(same, problem.bodies(whole)[2], rtol=1e-6)
    one = replace(found, problem=problem.with_groups([Group((1,), function)]))
    assert torch.equal(io_functions._in_scale(one)[1], x)  # joint 1 feels what it is asked
