"""Budgets in operations: larger robots get the same as small ones, with fewer candidates."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import discover
import kinematics
from discover.mechanism.description import is_quick, obstacle
from discover.mechanism.recursion.block_selection import FINALISTS
from discover.mechanism.recursion.search import STATES, _affordable_finalists


@pytest.mark.parametrize(("law", "most"), [(object(), 8), (None, 4)])
def test_a_mechanism_is_described_within_a_budget(law, most):
    for joints in (most - 1, most, most + 1):
        robot = kinematics.random_tree(joints, seed=0)
        reason = obstacle(robot, law, "standard", "region")
        assert (reason is None) == (joints <= most)
        assert reason is None or f"geometry of {joints} joints" in reason
        assert obstacle(robot, law, "quick", "region") is not None


def test_an_exact_law_is_described_unasked_where_that_is_quick():
    assert is_quick(4)
    assert not is_quick(5)


def test_a_mechanism_that_was_wanted_and_not_sought_is_noted():
    robot = kinematics.load("double_pendulum")
    region = discover.Region(q=1.0, v=2.0, tau=5.0)

    def model(q, v, tau):
        return kinematics.aba(robot, q, v, tau)

    exam = discover.examine(model, robot, region, budget="quick", mechanism=True)
    assert exam.account is None
    assert sum("The mechanism was not inferred" in note for note in exam.notes) == 1
    unasked = discover.examine(model, robot, region, budget="quick")
    assert not any("The mechanism was not inferred" in note for note in unasked.notes)


def test_larger_robots_get_fewer_finalists_but_some():
    def count(joints, free=False):
        samples = SimpleNamespace(n=STATES, parameters=10 * (joints + free))
        return _affordable_finalists(samples, joints + 6 * free)

    assert count(8) == count(15, free=True) == FINALISTS
    assert 1 <= count(60) < FINALISTS
    counts = [count(n) for n in range(8, 60)]
    assert counts == sorted(counts, reverse=True)
