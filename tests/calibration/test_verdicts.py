"""The instrument on planted models: what it must never get wrong, within seconds."""

import pytest

import discover
from discover.zoo import catalogue, hybrids, physics


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
    planted = next(p for p in hybrids.zoo(setting) if p.kind == kind)
    exam = examine(setting, planted)
    assert exam.verdict == "undetermined"
    (axis, edge), *_ = planted.edges.items()
    assert exam.reach[axis] == pytest.approx(edge, abs=0.15)


def test_a_law_to_the_last_digit_with_nothing_outside_is_no_table(setting):
    planted = next(p for p in hybrids.zoo(setting) if p.kind == "silent outside")
    assert examine(setting, planted).verdict == "undetermined"


@pytest.mark.parametrize("kind", ["exact", "joint terms", "RK4 steps of 0.05 s", "quantised"])
def test_exact_physics_needs_few_questions(setting, kind):
    planted = next(p for p in physics.zoo(setting) if p.kind == kind)
    exam = examine(setting, planted)
    assert exam.verdict == "physics"
    assert exam.queries <= 260


def test_rotors_at_the_base_of_an_arm_are_possible_physics():
    arm = catalogue.SETTINGS["Panda"]()
    planted = next(p for p in physics.zoo(arm) if p.kind == "joint terms")
    assert examine(arm, planted).verdict == "physics"
