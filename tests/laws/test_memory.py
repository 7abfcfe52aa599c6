"""Models that remember their last question: told from noise, settled, and written down."""

from __future__ import annotations

import json

import pytest
import torch

import discover
import kinematics
from discover.blackbox import sampling
from discover.blackbox.contract import relative_error
from discover.laws import from_dict

REGION = discover.Region(q=1.0, v=2.0, tau=5.0)
ROBOT = kinematics.load("double_pendulum")


def row_before(x):
    return torch.cat([x[:1], x[:-1]])


def lag(q, v, tau):
    """Torque through a filter that remembers the row before."""
    return kinematics.aba(ROBOT, q, v, 0.8 * tau + 0.2 * row_before(tau))


class NoisyLag:
    def __init__(self):
        self.generator = torch.Generator().manual_seed(1)

    def __call__(self, q, v, tau):
        a = lag(q, v, tau)
        return a + 0.1 * torch.randn(a.shape, generator=self.generator, dtype=a.dtype)


class LagByCall:
    """The same, but it remembers the call before."""

    def __init__(self):
        self.last = None

    def __call__(self, q, v, tau):
        last = self.last if self.last is not None and self.last.shape == tau.shape else tau
        self.last = tau.clone()
        return kinematics.aba(ROBOT, q, v, 0.7 * tau + 0.3 * last)


class SmoothedAnswers:
    """A filter on what it answers: it forgets little by little."""

    def __init__(self):
        self.last = torch.zeros(2, dtype=torch.float64)

    def __call__(self, q, v, tau):
        answers = []
        for wanted in kinematics.aba(ROBOT, q, v, tau):
            self.last = 0.75 * wanted + 0.25 * self.last
            answers.append(self.last)
        return torch.stack(answers)


def friction_of_change(q, v, tau):
    """A force on the second joint that saturates with the change of its velocity."""
    change = (v - row_before(v))[:, 1]
    return kinematics.aba(ROBOT, q, v, tau - torch.stack([0 * change, torch.tanh(change)], -1))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lag, {"tau1", "tau1_before", "tau2", "tau2_before"}),
        (NoisyLag(), {"tau1", "tau1_before", "tau2", "tau2_before"}),
        (LagByCall(), {"tau1", "tau1_before", "tau2", "tau2_before"}),
        pytest.param(
            SmoothedAnswers(), {"a1", "a1_before", "a2", "a2_before"}, marks=pytest.mark.slow
        ),
        pytest.param(friction_of_change, {"v2", "v2_before"}, marks=pytest.mark.slow),
    ],
    ids=["lag", "noisy lag", "by call", "answers", "a formula"],
)
def test_a_memory_is_found_and_written_down(model, words):
    exam = discover.examine(model, ROBOT, REGION, seed=1)
    assert exam.verdict == "alternative law"
    assert any("depend on the query before" in note for note in exam.notes)
    assert {s.name for t in exam.law.terms for s in t.free_symbols} == words
    assert exam.law.family.endswith("+ memory")


def test_the_law_answers_in_sequence_and_is_kept():
    law = discover.examine(lag, ROBOT, REGION, seed=2).law
    q, v, tau = sampling.sample(REGION.resolve(2), ROBOT, 20, seed=5)
    a = lag(q, v, tau)
    before = (q[:-1], v[:-1], tau[:-1], a[:-1])
    again = from_dict(json.loads(json.dumps(law.to_dict())))
    for x in (law, again):
        assert relative_error(x.after(before, q[1:], v[1:], tau[1:]), a[1:]) < 1e-9
    assert relative_error(law(q, v, tau), kinematics.aba(ROBOT, q, v, tau)) < 1e-9
    assert relative_error(law(q, v, tau)[1:], a[1:]) > 0.01


@pytest.mark.parametrize("size", [0.0, 0.01, 0.3])
def test_noise_is_no_memory(size):
    generator = torch.Generator().manual_seed(4)

    def model(q, v, tau):
        a = kinematics.aba(ROBOT, q, v, tau)
        return a + size * torch.randn(a.shape, generator=generator, dtype=a.dtype)

    exam = discover.examine(model, ROBOT, REGION, budget="quick")
    assert not any("query before" in note for note in exam.notes)


@pytest.mark.slow
def test_a_memory_without_a_law_is_no_law():
    def model(q, v, tau):
        a = torch.sin(3 * q) + 0.3 * v * v.flip(-1) - torch.tanh(tau) * (2 + torch.cos(5 * q * v))
        return a + 0.3 * row_before(v)

    exam = discover.examine(model, ROBOT, REGION, budget="quick")
    assert exam.verdict in ("undetermined", "lookup table")
    assert any("depend on the query before" in note for note in exam.notes)
