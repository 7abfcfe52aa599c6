"""The lists of planted laws: names, strengths, and which laws are in no list of the search."""

import math

import pytest
from catalogue_membership import in_lists

import kinematics
from discover import Region
from discover.blackbox import sampling
from discover.blackbox.contract import relative_error
from tests.bench.laws.lists.third import Hand
from tests.bench.laws.planting import KINDS, STRENGTH, laws_of, plant

REGION = Region(q=1.0, v=2.0, tau=5.0)
LISTS = {
    "first": "double_pendulum",
    "second": "double_pendulum",
    "third": "double_pendulum",
    "fourth": "double_pendulum",
    "distilled": "double_pendulum",
    "arm": "panda",
}


def laws(name):
    robot = kinematics.load(LISTS[name])
    return robot, laws_of(name)(robot)


@pytest.mark.parametrize("name", list(LISTS))
def test_planted_laws_differ_by_name_and_are_as_strong_as_they_say(name):
    robot, listed = laws(name)
    assert len({law.name for law in listed}) == len(listed)
    states = sampling.sample(REGION.resolve(robot.nv), robot, 400, 3)
    plain = kinematics.aba(robot, *states)
    for law in listed:
        assert law.kind in KINDS
        change = relative_error(plant(robot, law, REGION)(*states), plain)
        low, high = (0.005, 1.5) if law.fixed else (0.5 * STRENGTH, 2.0 * STRENGTH)
        assert low < change < high, law.name


def frames(robot):
    """How the points of the third and fourth list may be described beside their places."""
    lean = math.atan2(0.8, 0.6)
    turns = [sign * x for sign in (1, -1) for x in (lean, math.pi / 2 - lean)]
    return (
        {},
        {"origin": tuple(Hand(robot).anchor.tolist())},
        {"flow": (0.8, 0.0, 0.3)},
        *({"turn": (0.0, x, 0.0)} for x in turns),
    )


@pytest.mark.parametrize(
    ("name", "law", "outside"),
    [
        ("first", "erf spring", False),
        ("first", "product of angles", False),
        ("second", "angle q1 + 3 q2", True),
    ],
)
def test_what_is_in_the_lists_of_the_search_is_computed(name, law, outside):
    robot, listed = laws(name)
    (planted,) = (x for x in listed if x.name == law)
    assert planted.outside == outside
    assert in_lists(planted, robot, REGION) != outside


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["first", "second", "third", "fourth", "distilled"])
def test_laws_are_flagged_as_outside_where_no_list_of_the_search_holds_them(name):
    robot, listed = laws(name)
    described = frames(robot) if name in ("third", "fourth") else ({},)
    flagged = {law.name for law in listed if law.outside}
    assert flagged == {law.name for law in listed if not in_lists(law, robot, REGION, described)}
