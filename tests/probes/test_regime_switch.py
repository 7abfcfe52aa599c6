"""Two laws, one inside and one outside, are not one law; waves far out are no law's curvature."""

from dataclasses import replace

import pytest
import sympy
import torch

import discover
import kinematics
from discover.blackbox.contract import BlackBox
from discover.blackbox.session import BUDGETS, QuerySession
from discover.blackbox.support import Box
from discover.calibration.planted import hybrids, physics
from discover.calibration.planted.contract import Setting
from discover.laws.extensions.io_nonlinearity import StaticNonlinearity
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit
from discover.laws.search.variables import vocabulary
from discover.probes import far_curvature as curvature
from discover.probes import regime_switch as onset

HALF = 0.8


@pytest.fixture(scope="module")
def setting():
    region = discover.Region(q=HALF, v=2.0, tau=5.0).resolve(2)
    return Setting(robot=kinematics.load("double_pendulum"), region=region)


def interviewed(setting, model):
    return QuerySession(
        blackbox=BlackBox(model, 2, 2),
        robot=setting.robot,
        support=Box(robot=setting.robot, region=setting.region),
        budget=BUDGETS["standard"],
        seed=0,
    )


@pytest.mark.parametrize(
    ("place", "felt", "at"),
    [
        ("q", lambda x: sympy.Min(sympy.Max(x, -1.5 * HALF), 1.5 * HALF), 1.5),
        ("v", lambda x: x + 2 * sympy.Max(0, sympy.Abs(x) - 3.4), 1.7),
        ("q", lambda x: x - 0.02 * x**3, None),
        ("tau", lambda x: 20 * sympy.tanh(x / 20), None),
        ("v", lambda x: x + 0.002 * x**5, None),
    ],
)
def test_a_function_that_begins_outside_is_told_from_one_that_grows(setting, place, felt, at):
    exact = physics.simulator(setting.robot)
    generator = torch.Generator().manual_seed(0)
    variables = [vocabulary(2)[f"{place}{j + 1}"] for j in range(2)]
    nonlinearity = StaticNonlinearity(place=place, rows=tuple(felt(x) for x in variables))

    def model(q, v, tau):
        signals = {"q": q, "v": v, "tau": tau} | {place: nonlinearity.values(q, v, tau)}
        a = exact(**signals)
        return a + 0.01 * torch.randn(a.shape, generator=generator, dtype=a.dtype)

    session = interviewed(setting, model)
    inside = session.inside("inside", 120)
    bodies = fit(Family.of(setting.robot), inside)
    law = replace(bodies, family=replace(bodies.family, nonlinearities=(nonlinearity,)))
    found = onset.measure(session, law, bodies, inside)
    assert (found is None) is (at is None)
    if found is not None:
        assert found.axis == place
        assert found.at == pytest.approx(at, abs=0.15)


def test_waves_bend_far_out_but_never_the_same_way_twice(setting):
    generator = torch.Generator().manual_seed(1)
    rates = torch.randn(6, 200, generator=generator, dtype=torch.float64)
    phases = 6.28 * torch.rand(200, generator=generator, dtype=torch.float64)
    weights = torch.randn(200, 2, generator=generator, dtype=torch.float64)
    width = torch.tensor([HALF, HALF, 2.0, 2.0, 5.0, 5.0], dtype=torch.float64)

    def waves(q, v, tau):
        return torch.cos(torch.cat([q, v, tau], -1) / width @ rates + phases) @ weights

    exact = physics.simulator(setting.robot)
    told = []
    for model in (waves, exact):
        session = interviewed(setting, model)
        scale = session.inside("inside", 60).a.std(0)
        told.append(curvature.curvature_by_axis(session, 0.0, scale, 12).get("v"))
    assert told[0] == 0.0
    assert told[1] == pytest.approx(1.0, abs=0.3)


def test_friction_that_bends_most_inside_makes_no_axis_flat_far_out(setting):
    robot = setting.robot

    def rubbing(q, v, tau):
        return kinematics.aba(robot, q, v, tau - 20 * torch.tanh(v / 0.2))

    def settled(q, v, tau):
        """The same, with speeds that end at the edge of the region, as a table's do."""
        return rubbing(q, v.clamp(-2.0, 2.0), tau)

    told = []
    for model in (rubbing, settled):
        session = interviewed(setting, model)
        inside = session.inside("inside", 120)
        law = fit(Family.of(robot), inside)
        plain = curvature.curvature_by_axis(session, 0.0, law.scale, 12).get("v")
        told.append((plain, curvature.curvature_by_axis(session, 0.0, law.scale, 12, law).get("v")))
    (alone, beside), (_, flat) = told
    assert alone < 0.2
    assert beside >= 1.0
    assert flat < 0.2


@pytest.mark.slow
def test_angles_that_stop_outside_are_two_laws_under_noise(setting):
    planted = next(
        p for p in hybrids.planted_models(setting) if p.name == "angles stop, 1 % bias and noise"
    )
    exam = discover.examine(planted.model, setting.robot, setting.region)
    assert exam.verdict == "undetermined"
    assert exam.reach["q"] == pytest.approx(1.3, abs=0.15)
