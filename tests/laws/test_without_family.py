"""The bench that switches off families of words: what it takes away, and that it gives it back."""

import pytest

import kinematics
from discover.examination import competition
from discover.laws.search import basis_search, ranking
from discover.laws.search.nonlinearities import io_search
from tests.bench.laws import without_family as bench

ROBOT = kinematics.load("double_pendulum")


def words() -> set[str]:
    """All words that the search has now, as it gets them."""
    joints = ranking.joint_candidates(ROBOT)
    points = [ranking.point_candidates(ROBOT.nv, p, "a point") for p in _POINTS]
    made = [*joints.directions, *joints.features, *basis_search._basis_functions()]
    made += [x for p in points for x in (*p.directions, *p.features)]
    return {x.name for x in (*made, *competition.library(ROBOT))}


_POINTS = ranking.candidate_points(ROBOT)


@pytest.mark.parametrize("name", bench.FAMILIES)
def test_a_family_is_taken_away_and_given_back(name):
    whole, search = words(), io_search.search_io_nonlinearity
    with bench.switched_off(bench.FAMILIES[name]):
        fewer = words()
        kinds = bool(bench.FAMILIES[name].kinds)
        assert (io_search.search_io_nonlinearity is not search) == kinds
        assert fewer < whole
        assert len(fewer) > len(whole) / 3
        if bench.FAMILIES[name].points:
            assert ranking.candidate_points(ROBOT) == []
    assert words() == whole
    assert io_search.search_io_nonlinearity is search


def test_kinds_of_inputs_are_taken_away(monkeypatch):
    asked = {}
    monkeypatch.setattr(io_search, "search_io_nonlinearity", lambda *a, **k: asked.update(k))
    with bench.switched_off(bench.WordFamily(laws=(), kinds=("tau", "q", "v"))):
        io_search.search_io_nonlinearity("base", "best", "answers", "held", floor=0.0)
    assert list(asked["kinds"]) == [k for k in io_search.KINDS if k.place == "a"]
    assert asked["begun"] == len(asked["kinds"]) > 0


def test_every_family_has_laws_that_can_be_planted():
    for family in bench.FAMILIES.values():
        for law in family.laws:
            assert callable(bench.planted(law, ROBOT))


def test_trials_ask_every_law_with_and_without():
    made = bench.trials(list(bench.FAMILIES), bench.ROBOTS)
    keys = {(t["robot"], t["law"], t["off"]) for t in made}
    assert len(keys) == len(made)
    for name, family in bench.FAMILIES.items():
        for law in family.laws:
            assert ("double_pendulum", law, name) in keys
            assert ("double_pendulum", law, "") in keys


def test_an_error_inside_gives_the_words_back():
    whole = words()
    with pytest.raises(ZeroDivisionError), bench.switched_off(bench.FAMILIES["waves"]):
        raise ZeroDivisionError
    assert words() == whole
