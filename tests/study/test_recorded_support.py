"""Asking a model about states that recordings did not reach, some of them inside their box."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import kinematics
from discover.bench.ledger_measurement import fitted_law
from discover.blackbox.contract import BlackBox
from discover.blackbox.region import Region
from discover.blackbox.session import BUDGETS, QuerySession
from discover.blackbox.support import Recorded
from discover.laws.rigid_body.law import RigidBodyLaw
from discover.probes.reach import edge

ROBOT = kinematics.load("double_pendulum")


@pytest.mark.parametrize("remembers", [None, "row", "call"])
@pytest.mark.parametrize("outputs", ["acceleration", "next_state"])
def test_no_questions_have_no_answers(outputs: str, remembers: str | None) -> None:
    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        raise AssertionError("the model was called about nothing")

    blackbox = BlackBox(model, 2, 2, outputs=outputs, dt=0.01)
    blackbox.remembers = remembers
    answers = blackbox.ask(*torch.zeros(3, 0, 2, dtype=torch.float64))
    assert len(answers) == 0
    assert answers.a.shape == (0, 2)
    assert (answers.q_next is None) == (outputs == "acceleration")
    assert blackbox.queries == 0


class Fitted:
    """A law with the residual of a fit: answers minus predictions, in rad/s²."""

    def __init__(self, law: RigidBodyLaw) -> None:
        self.law = law

    def residual(self, answers) -> Tensor:
        return answers.a - self.law(answers.q, answers.v, answers.tau)


@pytest.mark.parametrize("axis", ["q", "joint"])
def test_a_law_can_end_inside_the_box_of_the_recordings(axis: str) -> None:
    """Recorded states fill a small part of their box, and the model departs just outside it."""
    draw = torch.Generator().manual_seed(0)
    share = torch.rand(3, 400, 2, generator=draw, dtype=torch.float64)
    q, v, tau = 0.3 * (2 * share - 1)
    for x in (q, v, tau):
        x[:10] /= 0.3  # a few states far out span the box
    support = Recorded.of(ROBOT, q, v, tau)
    side = support.region.q

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        distance = ((q - side.centre) / side.half_width).abs().amax(-1, keepdim=True)
        return kinematics.aba(ROBOT, q, v, tau) + (distance > 0.5).double()

    session = QuerySession(
        blackbox=BlackBox(model, 2, 2),
        robot=ROBOT,
        support=support,
        budget=BUDGETS["quick"],
        seed=0,
    )
    law = Fitted(fitted_law(ROBOT, Region(q=1.0, v=1.0, tau=1.0)))
    at = edge(session, law, axis, 0.01)  # type: ignore[arg-type]
    assert at is not None
    assert at == pytest.approx(0.5, abs=0.05)
