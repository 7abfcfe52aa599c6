"""How far a law of the region goes on: what ends at the region's edge is told from what ends later,
behind noise as well."""

from __future__ import annotations

import pytest

import discover
import kinematics
from discover.calibration.planted import hybrids, tables
from discover.calibration.planted.contract import Noisy, Setting
from discover.calibration.planted.physics import simulator
from discover.examination.fits import answers_inside
from discover.examination.metrics import inner_law_end, inner_law_end_in_noise
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit
from discover.probes import noise
from tests.examination import query_sessions

ROBOT = kinematics.load("planar_3r")
REGION = discover.Region(q=0.8, v=2.0, tau=5.0).resolve(3)
SETTING = Setting(robot=ROBOT, region=REGION, seed=0)


def asked(model, level):
    """An interview, the bodies that describe the region best, answers there, and the noise."""
    if level:
        model = Noisy.in_setting(model, SETTING, level)
    session = query_sessions.session(model, ROBOT, REGION)
    inside, held = answers_inside(session)
    law = fit(Family.of(ROBOT), inside)
    return session, law, held, noise.measure(session, held, law.scale)


def table(kind):
    return next(p for p in tables.planted_models(SETTING) if p.kind == kind).model


@pytest.mark.parametrize("level", [0.01, 0.05])
@pytest.mark.parametrize(("group", "at"), [("q", 1.3), ("q", 1.5), ("v", 1.4), ("tau", 1.4)])
def test_what_stops_past_the_edge_is_seen_to_go_on_behind_noise(group, at, level):
    session, law, held, floor = asked(hybrids.clamped(SETTING, group, at), level)
    past = inner_law_end_in_noise(session, (law,), held, floor)
    assert at - 0.1 < past < at + 0.4


@pytest.mark.parametrize("level", [0.01, 0.05])
def test_tables_end_at_the_edge_or_are_no_law_inside(level):
    session, law, held, floor = asked(table("table of H and gravity"), level)
    past = inner_law_end_in_noise(session, (law,), held, floor)
    assert past is None or past < 1.15
    session, law, held, floor = asked(table("smoothed neighbours"), level)
    assert inner_law_end_in_noise(session, (law,), held, floor) is None


def test_physics_goes_on_to_the_end():
    for level in (0.0, 0.05):
        session, law, held, floor = asked(simulator(ROBOT), level)
        assert inner_law_end(session, law, held, floor) == 3.0
    # Fitted to such noise, it is itself off by a twentieth somewhere further out.
    assert inner_law_end_in_noise(session, (law,), held, floor) > 1.6


def test_without_noise_too():
    session, law, held, floor = asked(hybrids.clamped(SETTING, "q", 1.3), 0.0)
    assert floor.random == 0.0
    assert 1.2 < inner_law_end(session, law, held, floor) < 1.5
