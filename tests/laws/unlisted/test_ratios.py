"""Forces that are functions of a sum of two coordinates, or speeds, in whatever ratio."""

from __future__ import annotations

import pytest
import sympy
import torch
from sklearn.neighbors import KNeighborsRegressor

import discover
import kinematics
from discover.blackbox.contract import Answers
from discover.blackbox.sampling import sample
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit, whiten
from discover.laws.search.force_directions import RATIO, Ridge
from discover.laws.search.pair_fit import fit_pair
from discover.laws.search.ranking import Pair, rank_pairs, ridges
from discover.laws.search.residual_search import search_residual_forces

PENDULUM, ARM = kinematics.load("double_pendulum"), kinematics.load("planar_3r")
REGIONS = {
    PENDULUM.nv: discover.Region(q=1.0, v=3.0, tau=6.0).resolve(2),
    ARM.nv: discover.Region(q=1.0, v=3.0, tau=[60.0, 25.0, 7.0]).resolve(3),
}


def answers(model, robot, scale, n, seed, noise=0.0):
    states = sample(REGIONS[robot.nv].scaled(scale), robot, n, seed)
    a, draw = model(*states), torch.Generator().manual_seed(seed)
    a = a + noise * a.std(0) * torch.randn(a.shape, generator=draw, dtype=a.dtype)
    return Answers(**dict(zip(("q", "v", "tau"), states, strict=True)), a=a)


def searched(model, robot, noise=0.0):
    def both(seed, n):
        parts = [answers(model, robot, s, m, seed + s, noise) for s, m in ((1, n), (2, n // 2))]
        return Answers.concat(parts)

    fitted, held = both(1, 200), both(5, 100)
    base = fit(Family.of(robot), fitted)
    floor = max(noise, 1e-6)
    return search_residual_forces(base, fitted, held, floor=floor, limit=1).best.fit


def belted(robot, force, first, second, ratio, group="q"):
    """The robot with force(x_first + ratio x_second) between two joints."""

    def model(q, v, tau):
        x = {"q": q, "v": v}[group]
        pulled = force(x[:, first] + ratio * x[:, second])
        beside = torch.zeros_like(tau)
        beside[:, first], beside[:, second] = pulled, ratio * pulled
        return kinematics.aba(robot, q, v, tau - beside)

    return model


def test_the_ratio_of_a_belt_is_ranked_first_and_fitted():
    model = belted(PENDULUM, lambda x: 0.5 * torch.tanh(1.6 * x), 0, 1, 2.7)
    fitted, held = (answers(model, PENDULUM, 2.0, n, seed) for n, seed in ((150, 1), (80, 2)))
    base = fit(Family.of(PENDULUM), fitted)
    first, *_ = rank_pairs(base, fitted)
    assert first.ridge is not None
    smooth = fit_pair(base, fitted, held, first)
    assert smooth.pair.numbers[0] == pytest.approx(2.7, rel=2e-3)
    assert smooth.held_out < 0.02 * base.standardised_error(held)


@pytest.mark.slow
def test_a_belt_of_any_ratio_is_found_to_the_last_digit():
    model = belted(PENDULUM, lambda x: 0.8 * torch.sin(1.3 * x), 0, 1, -3.4)
    law = searched(model, PENDULUM)
    (term,) = law.family.terms
    assert term.names == {"q1", "q2"}
    assert not term.tables
    assert law.standardised_error(answers(model, PENDULUM, 3.0, 200, 9)) < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("force", "first", "second", "ratio", "group", "noise", "left"),
    [
        (lambda x: 2.5 * torch.tanh(1.7 * x), 1, 2, -1.37, "q", 0.0, 1e-9),
        (lambda x: 3.0 * torch.sin(2 * x), 0, 1, -0.6, "q", 0.01, 0.03),
    ],
    ids=["spring", "noise"],
)
def test_gears_between_any_joints_of_an_arm(force, first, second, ratio, group, noise, left):
    model = belted(ARM, force, first, second, ratio, group)
    law = searched(model, ARM, noise)
    (term,) = law.family.terms
    assert term.names == {f"{group}{first + 1}", f"{group}{second + 1}"}
    assert law.standardised_error(answers(model, ARM, 3.0, 200, 9, noise)) < left


def test_a_pair_is_the_same_with_its_ratio_as_a_symbol():
    direction, feature = (ridge := Ridge("q", 0, 1, 2, -1.5)).candidate()
    pair = Pair(direction=direction, feature=feature, explained=0.9, ridge=ridge)
    assert pair.numbers == [-1.5]
    for numbers in ([-1.5], [2.25]):
        moved = pair.moved(numbers).term(sympy.sin)
        opened = pair.with_symbols.term(sympy.sin)
        written = [row.subs(RATIO, sympy.Float(numbers[0], 17)) for row in opened.shape]
        assert all((a - b).evalf() == 0 for a, b in zip(moved.shape, written, strict=True))


def test_rigid_bodies_under_noise_and_tables_have_no_such_sum():
    q, v, tau = sample(REGIONS[2], PENDULUM, 2000, 7)
    table = KNeighborsRegressor(4, weights="distance")
    table.fit(torch.cat([q, v, tau], -1).numpy(), kinematics.aba(PENDULUM, q, v, tau).numpy())

    def tabulated(*states):
        return torch.from_numpy(table.predict(torch.cat(states, -1).numpy()))

    def physics(*states):
        return kinematics.aba(PENDULUM, *states)

    for model, noise in ((tabulated, 0.0), (physics, 0.02)):
        asked = answers(model, PENDULUM, 1.0, 250, 3, noise)
        base = fit(Family.of(PENDULUM), asked)
        whitened = whiten(base, asked)
        assert ridges(whitened, PENDULUM, (), whitened.beyond_known) == []
