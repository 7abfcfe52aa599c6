"""The instrument on planted models: what it must never get wrong, within seconds."""

import pytest
import torch

import discover
from discover.calibration.planted import alternatives, catalogue, hybrids, physics, tables
from tests.bench.laws.planted import SUITES, robot_of
from tests.bench.laws.planting import laws_of, plant, with_noise


def examine(setting, planted):
    return discover.examine(
        planted.model, setting.robot, setting.region, outputs=planted.outputs, dt=planted.dt
    )


@pytest.fixture(scope="module")
def setting():
    return catalogue.SETTINGS["double pendulum"]()


@pytest.mark.parametrize(
    "kind",
    ["other bodies outside in q", "speeds stop", "angles stop", "one joint's angle stops"],
)
def test_exact_inside_and_broken_outside_is_undetermined_with_its_edge(setting, kind):
    planted = next(p for p in hybrids.planted_models(setting) if p.kind == kind)
    exam = examine(setting, planted)
    assert exam.verdict == "undetermined"
    (axis, edge), *_ = planted.edges.items()
    assert exam.reach[axis] == pytest.approx(edge, abs=0.15)


def test_a_law_to_the_last_digit_with_nothing_outside_is_no_table(setting):
    planted = next(p for p in hybrids.planted_models(setting) if p.kind == "silent outside")
    assert examine(setting, planted).verdict == "undetermined"


@pytest.mark.slow
def test_what_stops_at_a_total_speed_is_a_law():
    suite = SUITES["third 2R"]
    robot = robot_of(suite)
    law = next(x for x in laws_of(suite.laws)(robot) if x.name == "speed limit")
    model = with_noise(plant(robot, law, suite.region), robot, suite.region, 1e-3, 1000)
    exam = discover.examine(model, robot, suite.region)
    assert exam.verdict == "alternative law"
    assert [c.place for c in exam.law.nonlinearities] == ["a"]


@pytest.mark.parametrize("kind", ["exact", "joint terms", "RK4 steps of 0.05 s", "quantised"])
def test_exact_physics_needs_few_questions(setting, kind):
    planted = next(p for p in physics.planted_models(setting) if p.kind == kind)
    exam = examine(setting, planted)
    assert exam.verdict == "physics"
    assert exam.queries <= 200


def test_rotors_at_the_base_of_an_arm_are_possible_physics():
    arm = catalogue.SETTINGS["Panda"]()
    planted = next(p for p in physics.planted_models(arm) if p.kind == "joint terms")
    assert examine(arm, planted).verdict == "physics"


@pytest.mark.slow
def test_a_small_law_is_looked_for_however_well_physics_describes_the_model():
    chain = catalogue.SETTINGS["spatial chain of 2"]()
    planted = next(
        p
        for p in alternatives.planted_models(chain)
        if p.kind == "weight unlike inertia" and p.hidden and p.noise == "clean"
    )
    assert examine(chain, planted).verdict == "alternative law"


@pytest.mark.slow
def test_bodies_without_inertia_at_some_states_end_no_examination():
    chain = catalogue.SETTINGS["planar 3R"]()
    planted = next(
        p
        for p in alternatives.planted_models(chain)
        if p.kind == "first-order motion" and p.noise == "clean"
    )
    assert examine(chain, planted).verdict == "alternative law"


@pytest.mark.slow
def test_a_table_is_told_by_a_thousand_questions(setting):
    planted = next(p for p in tables.planted_models(setting) if p.kind == "smoothed neighbours")
    exam = examine(setting, planted)
    assert exam.verdict == "lookup table"
    assert exam.queries <= 1000


@pytest.mark.slow
def test_what_is_interpolated_ends_where_its_samples_do(setting):
    """Of tables that are nothing far from their samples, which stand still there."""
    planted = next(p for p in tables.planted_models(setting) if p.kind == "Gaussian kernel")
    exam = examine(setting, planted)
    assert exam.verdict == "lookup table"
    ends = next(e for e in exam.evidence if e.name == "end of the law inside")
    assert ends.value < 1.25


def test_joints_that_move_no_bodies_are_no_physics_of_the_tree(setting):
    def oscillators(q, v, tau):
        return 2 * tau - 3 * q - 0.5 * v

    exam = discover.examine(oscillators, setting.robot, setting.region)
    assert exam.verdict != "physics"


def test_answers_that_differ_in_the_last_digits_are_exact_all_the_same(setting):
    generator = torch.Generator().manual_seed(0)
    exact = physics.simulator(setting.robot)

    def jittered(q, v, tau):
        a = exact(q, v, tau)
        return a * (1 + 1e-13 * torch.randn(a.shape, generator=generator, dtype=a.dtype))

    exam = discover.examine(jittered, setting.robot, setting.region)
    assert exam.verdict == "physics"
    assert exam.queries <= 260
