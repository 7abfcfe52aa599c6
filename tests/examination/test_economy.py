"""Few questions: answers serve twice, and what one question settles is not asked again."""

from __future__ import annotations

import pytest
import torch

import discover
import kinematics
from discover.examination.opening.limits import clipped_controls
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit, spread
from discover.probes import noise
from discover.probes.reach import edge
from tests.examination.query_sessions import session

ROBOT = kinematics.load("planar_3r")
REGION = discover.Region(q=0.8, v=2.0, tau=5.0).resolve(3)


def law(q, v, tau):
    return kinematics.aba(ROBOT, q, v, tau)


def test_answers_that_are_lent_are_taken_once_and_are_no_fewer():
    asked = session(law, ROBOT, REGION)
    first = asked.inside("first", 60)
    asked.lend("first", "never asked")
    fitted, held_out = asked.inside("fitted", 40), asked.inside("held out", 40)
    assert asked.blackbox.queries == 80
    assert torch.equal(torch.cat([fitted.q, held_out.q[:20]]), first.q)
    states = torch.cat([fitted.q, held_out.q])
    assert len(states.unique(dim=0)) == 80  # nothing is fitted and held out at once
    assert len(asked.inside("fitted", 50)) == 50


def test_answers_lent_in_one_region_are_not_lent_in_another():
    asked = session(law, ROBOT, REGION)
    asked.inside("first", 60)
    asked.lend("first")
    elsewhere = asked.without(())
    elsewhere.inside("fitted", 10)
    assert asked.blackbox.queries == 70


@pytest.mark.parametrize(("size", "rounding"), [(0.0, 0.0), (1e-12, 1e-12), (1e-3, None)])
def test_rounding_is_told_from_noise_by_one_repetition(size, rounding):
    draw = torch.Generator().manual_seed(0)

    def model(q, v, tau):
        a = law(q, v, tau)
        return a * (1 + size * torch.randn(a.shape, generator=draw, dtype=a.dtype))

    asked = session(model, ROBOT, REGION)
    answers = asked.inside("screen", 50)
    floor = noise.measure(asked, answers, answers.a.std(0))
    if rounding is None:
        assert floor.random > 0.2 * size
        return
    assert asked.blackbox.queries == 54
    assert floor.random == 0.0
    assert floor.rounding <= 5 * rounding


def joint_stops(at, joint):
    """Bodies whose speed at one joint does not grow any more."""
    limit = torch.full((3,), torch.inf, dtype=torch.float64)
    limit[joint] = at

    def model(q, v, tau):
        return law(q, torch.minimum(torch.maximum(v, -limit), limit), tau)

    return model


@pytest.mark.parametrize(("at", "joint"), [(2.6, 0), (3.4, 1), (4.0, 2)])
def test_the_nearest_of_many_rays_is_found_with_few_questions(at, joint):
    asked = session(joint_stops(at, joint), ROBOT, REGION)
    exact = fit(Family.of(ROBOT), asked.inside("fit", 120))
    for lo, hi in zip((1.0, 1.25, 1.5, 2.0, 2.5), (1.25, 1.5, 2.0, 2.5, 3.0), strict=True):
        asked.shell("v", lo, hi, 4)
    before = asked.blackbox.queries
    found = edge(asked, exact, "v", 0.05, 1e-6)
    assert found == pytest.approx(at / 2.0, abs=0.02)
    assert asked.blackbox.queries - before <= 60  # each of them to the end: 100 and more


def test_no_edge_where_there_is_none():
    asked = session(law, ROBOT, REGION)
    exact = fit(Family.of(ROBOT), asked.inside("fit", 120))
    assert edge(asked, exact, "v", 0.05, 1e-6) is None


@pytest.mark.parametrize("stepped", [False, True])
def test_an_affine_control_leads_straight_to_its_limit(stepped):
    """Of accelerations the slope tells where the effect ends; of long steps, bisection."""

    def clipped(q, v, tau):
        return law(q, v, torch.cat([tau[:, :1].clamp(-6.0, 7.5), tau[:, 1:]], -1))

    model = clipped
    if stepped:

        def model(q, v, tau):
            u = torch.cat([tau[:, :1].clamp(-6.0, 7.5), tau[:, 1:]], -1)
            first = law(q, v, u)
            return law(q + 0.1 * v, v + 0.1 * first, u)

    asked = session(model, ROBOT, REGION)
    scale = spread(asked.inside("screen", 50))
    before = asked.blackbox.queries
    found = {(x.entry, x.side): x.value for x in clipped_controls(asked, scale)}
    assert found == {
        (0, 1): pytest.approx(7.5, abs=1e-6),
        (0, -1): pytest.approx(-6.0, abs=1e-6),
    }
    if not stepped:
        assert asked.blackbox.queries - before < 300
