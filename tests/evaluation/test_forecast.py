"""Forecasts agree with the simulator's own integration, and are judged by what they get wrong."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import kinematics
from discover.blackbox.region import Region
from discover.blackbox.sampling import sample
from discover.evaluation import forecast
from discover.evaluation.simulators.reference import simulator

REGION = Region(q=0.5, v=0.5, tau=1.0)


@pytest.fixture(scope="module")
def robot() -> kinematics.Robot:
    return kinematics.load("double_pendulum")


def test_it_is_the_simulators_own_scheme(robot: kinematics.Robot) -> None:
    batch = sample(REGION, robot, 3, 0)
    ours = forecast.forecast(simulator(robot), robot, batch.q, batch.v, dt=0.01, steps=20)
    theirs = kinematics.simulate(robot, batch.q, batch.v, None, 0.01, 20, integrator="rk4")
    torch.testing.assert_close(ours.q, theirs.q, rtol=0, atol=1e-12)
    torch.testing.assert_close(ours.energy, theirs.energy, rtol=0, atol=1e-12)


def test_it_keeps_to_the_manifold() -> None:
    robot = kinematics.random_tree(3, seed=2)
    floating = kinematics.load(FREE_BODY, root="free")
    for body in (robot, floating):
        batch = sample(REGION, body, 2, 0)
        ours = forecast.forecast(simulator(body), body, batch.q, batch.v, dt=0.01, steps=10)
        theirs = kinematics.simulate(body, batch.q, batch.v, None, 0.01, 10, integrator="rk4")
        torch.testing.assert_close(ours.q, theirs.q, rtol=0, atol=1e-11)


def test_the_truth_holds_to_the_end_and_a_wrong_model_does_not(robot: kinematics.Robot) -> None:
    true = simulator(robot)

    def weightless(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return kinematics.aba(robot.replace(gravity=torch.zeros(3)), q, v, tau)

    table, drawn = forecast.compare_forecasts(
        {"model": true, "law": weightless}, true, robot, REGION, starts=4, dt=0.02, seconds=1.0
    )
    subjects = table["subjects"]
    assert subjects["model"]["valid_time"] == pytest.approx(1.0)
    assert subjects["model"]["energy_drift"] == 0
    assert subjects["law"]["valid_time"] < 0.6
    assert subjects["law"]["energy_drift"] > 0.1
    assert table["reference_drift"] < 1e-5
    assert drawn["model_q"].shape == (51, robot.nq)


def test_the_rate_of_divergence_tells_unstable_from_stable() -> None:
    """v' = v for one body on a slide: twins separate as exp(t); v' = -q: they do not."""
    slide = kinematics.load(SLIDE)
    batch = sample(REGION, slide, 4, 0)
    rates = {}
    for name, dynamics in {
        "unstable": lambda q, v, tau: q,
        "oscillator": lambda q, v, tau: -q,
    }.items():
        path, twin = (
            forecast.forecast(dynamics, slide, batch.q, batch.v + away, dt=0.05, steps=200)
            for away in (0.0, forecast.TWIN)
        )
        rates[name] = forecast.divergence_rate(slide, path, twin)
    assert rates["unstable"] == pytest.approx(1.0, abs=0.15)
    assert abs(rates["oscillator"]) < 0.1


def test_a_forecast_that_blows_up_fails_and_says_when(robot: kinematics.Robot) -> None:
    def blows_up(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return 1e3 * v.abs().clamp_min(1.0).pow(3)

    table, drawn = forecast.compare_forecasts(
        {"model": blows_up}, simulator(robot), robot, REGION, starts=2, dt=0.02, seconds=0.4
    )
    row = table["subjects"]["model"]
    assert row["valid_time"] < 0.1
    assert not math.isnan(row["valid_time_high"])
    assert drawn["model_away"][1, -1] == math.inf


@pytest.mark.slow
def test_the_horizon_is_cut_where_the_motion_leaves_the_region(robot: kinematics.Robot) -> None:
    away = Region(q=(1.2, 1.6), v=0.2, tau=1.0)  # held nearly level: it falls out at once
    true = simulator(robot)
    table, drawn = forecast.compare_forecasts(
        {"model": true}, true, robot, away, starts=3, dt=0.02, seconds=4.0
    )
    assert table["asked_seconds"] == 4.0
    assert table["seconds"] == pytest.approx(drawn["t"][-1])
    assert table["seconds"] < 1.5


BODY = """<link name="{0}"><inertial><origin xyz="0.1 0 0.05"/><mass value="2"/>
<inertia ixx="0.1" iyy="0.2" izz="0.25" ixy="0" ixz="0" iyz="0"/></inertial></link>"""
FREE_BODY = f"""<robot name="box">{BODY.format("box")}</robot>"""
SLIDE = f"""<robot name="cart"><link name="world"/>{BODY.format("cart")}
<joint name="rail" type="prismatic"><parent link="world"/><child link="cart"/><axis xyz="1 0 0"/>
<limit lower="-9" upper="9" effort="1" velocity="1"/></joint></robot>"""
