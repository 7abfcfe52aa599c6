"""The mass matrix from all around, asked in an examination: mechanics and an offender."""

import math

import kinematics
from discover import Region
from discover.blackbox.contract import BlackBox
from discover.blackbox.session import BUDGETS, QuerySession
from discover.blackbox.support import Box
from discover.probes import mass_matrix_fourier
from tests.bench.laws.planting import PlantedLaw, plant

ROBOT = kinematics.load("double_pendulum")
WHOLE = Region(q=math.pi, v=2.0, tau=5.0)


def measured(model, region=WHOLE):
    session = QuerySession(
        blackbox=BlackBox(model, 2, 2), robot=ROBOT, budget=BUDGETS["quick"], seed=0,
        support=Box(robot=ROBOT, region=region.resolve(2)),
    )  # fmt: skip
    return {e.name: e.value for e in mass_matrix_fourier.describe(session)}


def test_rigid_bodies_are_of_degree_two_and_made_of_bodies():
    found = measured(lambda *x: kinematics.aba(ROBOT, *x))
    assert found["structure: full circles, degree"] < 1e-9
    assert found["structure: full circles, bodies"] < 1e-9


def test_an_inertia_of_degree_three_and_one_that_no_body_has_are_seen():
    def grown(trigonometry):
        law = PlantedLaw(
            "x", "inertia", lambda q, v, H: H * (1 + (trigonometry * q[:, 1]).cos())[:, None, None]
        )
        return measured(plant(ROBOT, law, WHOLE))

    assert grown(3)["structure: full circles, degree"] > 1e-2
    assert grown(1)["structure: full circles, bodies"] > 1e-2


def test_nothing_is_asked_where_the_region_is_no_full_turn():
    assert measured(lambda *x: kinematics.aba(ROBOT, *x), Region(q=1.0, v=2.0, tau=5.0)) == {}
