"""The lists of planted laws: names, strengths, and which laws are in no list of the search."""

import math

import pytest
from catalogue_membership import in_lists

import kinematics
from discover import Region
from discover.blackbox import sampling
from discover.blackbox.contract import relative_error
from discover.laws.search.variables import Point
from tests.bench.laws.lists.third import PLACE, Hand
from tests.bench.laws.planted import ARM
from tests.bench.laws.planting import KINDS, STRENGTH, AtTip, laws_of, plant

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


@pytest.mark.slow
@pytest.mark.parametrize("name", list(LISTS))
def test_planted_laws_differ_by_name_and_are_as_strong_as_they_say(name):
    robot, listed = laws(name)
    assert len({law.name for law in listed}) == len(listed)
    region = ARM if name == "arm" else REGION
    states = sampling.sample(region.resolve(robot.nv), robot, 400, 3)
    plain = kinematics.aba(robot, *states)
    for law in listed:
        assert law.kind in KINDS
        change = relative_error(plant(robot, law, region)(*states), plain)
        low, high = (0.005, 1.5) if law.fixed else (0.5 * STRENGTH, 2.0 * STRENGTH)
        assert low < change < high, law.name


def points(name, law, robot):
    """The points at which a law may act: its own, and for the third and fourth list theirs, from an
    anchor, in a flow and in turned axes as well."""
    places = [law.shape.place] if isinstance(law.shape, AtTip) else []
    if name not in ("third", "fourth"):
        return tuple(Point(robot.nb - 1, place) for place in places)
    lean = math.atan2(0.8, 0.6)
    turns = [sign * x for sign in (1, -1) for x in (lean, math.pi / 2 - lean)]
    frames = [{}, {"origin": tuple(Hand(robot).anchor.tolist())}, {"flow": (0.8, 0.0, 0.3)}]
    frames += [{"turn": (0.0, x, 0.0)} for x in turns]
    return tuple(Point(robot.nb - 1, PLACE, **frame) for frame in frames)


@pytest.mark.parametrize(
    ("name", "law", "outside"),
    [
        pytest.param("first", "erf spring", False, marks=pytest.mark.slow),
        ("first", "product of angles", False),
        ("second", "angle q1 + 3 q2", True),
    ],
)
def test_what_is_in_the_lists_of_the_search_is_computed(name, law, outside):
    robot, listed = laws(name)
    (planted,) = (x for x in listed if x.name == law)
    assert planted.outside == outside
    assert in_lists(planted, robot, REGION, points(name, planted, robot)) != outside


def listed_laws():
    """Every planted law of a double pendulum, by list and name: one case a law, so that a run that
    is cut short has answered for the cases before it."""
    names = [name for name, robot in LISTS.items() if robot == "double_pendulum"]
    return [pytest.param(n, law.name, id=f"{n}-{law.name}") for n in names for law in laws(n)[1]]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "law"), listed_laws())
def test_laws_are_flagged_as_outside_where_no_list_of_the_search_holds_them(name, law):
    robot, listed = laws(name)
    (planted,) = (x for x in listed if x.name == law)
    assert planted.outside != in_lists(planted, robot, REGION, points(name, planted, robot))
