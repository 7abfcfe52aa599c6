"""The front of laws, those as good as the best, and the question that decides between them."""

from dataclasses import replace

import pytest
import sympy
import torch

import kinematics
from discover import Region
from discover.blackbox import sampling
from discover.blackbox.contract import Answers
from discover.laws.extensions.terms import symbols
from discover.laws.pareto import (
    candidate,
    decide_ties,
    pareto_front,
    tied_with_best,
    with_distinguishing_queries,
    with_far_errors,
)
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit
from discover.laws.search.force_directions import joint_candidates
from discover.laws.search.selection import refit

REGION = Region(q=1.0, v=2.0, tau=5.0).resolve(2)
ROBOT = kinematics.load("double_pendulum")
Q1 = symbols(2)["q"][0]


def truth(q, v, tau):
    push = torch.stack([2 * torch.tanh(3 * q[:, 0]), 0 * q[:, 0]], -1)
    return kinematics.aba(ROBOT, q, v, tau - push)


def answers(n, seed, reach=1.0):
    states = sampling.sample(REGION, ROBOT, n, seed)
    states = sampling.Batch(*(reach * x for x in states))
    return Answers(q=states.q, v=states.v, tau=states.tau, a=truth(*states))


def law(shape, on):
    direction = next(c for c in joint_candidates(ROBOT).directions if c.name == "force on joint 1")
    return refit(fit(Family.of(ROBOT), on), on, [replace(direction.term(shape), name=str(shape))])


@pytest.fixture(scope="module")
def laws():
    known, held = answers(200, 1), answers(150, 2)
    plain = fit(Family.of(ROBOT), known)
    shapes = [sympy.atan(4 * Q1), sympy.tanh(3 * Q1), sympy.tanh(3 * Q1) + Q1**9 * 0]
    fits = [plain, *(law(s, known) for s in shapes[:2])]
    return [candidate(f, length, held) for f, length in zip(fits, (50.0, 0.0, 2.0), strict=True)]


def test_a_front_goes_from_short_to_long_and_each_is_better(laws):
    members = pareto_front(laws)
    sizes, errors = [m.size for m in members], [m.inside for m in members]
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)
    assert members[0].terms == ()
    assert members[-1].inside < 1e-8
    assert members[-1].expressions[0].has(sympy.tanh)


def test_errors_far_out_are_those_of_the_law_there(laws):
    far = answers(200, 3, reach=2.5)
    bodies, wrong, right = with_far_errors(laws, far)
    assert right.far < 1e-8 < wrong.far < bodies.far


def test_laws_of_the_same_length_are_near_and_the_question_tells_them_apart(laws):
    close = tied_with_best(laws)
    assert [c.length for c in close] == [0.0, 2.0]
    pool = sampling.Batch(*(2.5 * x for x in sampling.sample(REGION, ROBOT, 200, 5)))
    first, second = with_distinguishing_queries(close, pool)
    assert first.query is None
    difference = second.fit.predict(*second.query) - first.fit.predict(*second.query)
    assert float((difference / first.fit.scale).abs().max()) == pytest.approx(second.difference)
    every = (second.fit.predict(*pool) - first.fit.predict(*pool)) / first.fit.scale
    assert second.difference == pytest.approx(float(every.abs().max()))


def test_the_answer_decides_and_noise_as_large_as_the_difference_does_not(laws):
    pool = sampling.Batch(*(2.5 * x for x in sampling.sample(REGION, ROBOT, 200, 5)))
    queries = []

    def ask(rows):
        queries.append(len(rows))
        batch = sampling.Batch(*(x[rows] for x in pool))
        return Answers(q=batch.q, v=batch.v, tau=batch.tau, a=truth(*batch))

    chosen = decide_ties(tied_with_best(laws), pool, ask, floor=1e-4)
    assert chosen[0].expressions[0].has(sympy.tanh)
    assert 0 < sum(queries) <= 8
    unmoved = decide_ties(tied_with_best(laws), pool, ask, floor=10.0)
    assert unmoved[0].expressions[0].has(sympy.atan)
    assert len(queries) == 1
