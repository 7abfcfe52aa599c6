"""Screening: history dependence, noise floor and a first fit, from a few dozen answers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from discover.blackbox.contract import Answers
from discover.blackbox.session import QuerySession
from discover.examination.metrics import fit_answers
from discover.laws.extensions.terms import joint_terms
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import Fit, spread
from discover.probes import history, noise
from discover.probes.history import History
from discover.probes.noise import NoiseFloor

_ROUNDING = 1e-10  # standardised: a residual below this is rounding, whatever was measured


@dataclass(frozen=True, kw_only=True)
class Screen:
    """The first answers, and what they show.

    answers  in the region; scale (nv,) their spread in each joint [rad/s² | m/s²]
    noise    the model's noise floor
    history  whether answers depend on the query before
    first    rigid bodies fitted to the first four fifths of the answers
    """

    answers: Answers
    scale: Tensor
    noise: NoiseFloor
    history: History
    first: Fit

    @property
    def fitting(self) -> Answers:
        """The answers that the first fit was made to."""
        return self.answers[: len(self.answers) * 4 // 5]

    @property
    def held_out(self) -> Answers:
        """The others."""
        return self.answers[len(self.answers) * 4 // 5 :]

    @property
    def gate(self) -> float:
        """The standardised residual below which a law leaves nothing but rounding."""
        return max(self.noise.rounding, _ROUNDING)

    @property
    def level(self) -> float:
        """The same, with noise."""
        return max(self.gate, self.noise.random)


def screening(session: QuerySession) -> tuple[QuerySession, Screen]:
    """The session to go on with, and the first answers.

    Where an answer depends on the query before, the session returned repeats every query until its
    answer has settled: all that follows then describes the settled model.
    """
    answers = _first_answers(session)
    scale = spread(answers)
    dependence = history.measure(session, answers, scale)
    if dependence.kind is not None:
        session = history.settled(session, dependence.kind, answers, scale)
        answers = _first_answers(session)
        scale = spread(answers)
    floor = noise.measure(session, answers, scale)
    cut = len(answers) * 4 // 5
    first = fit_answers(session, Family.of(session.robot), answers[:cut], scale)
    return session, Screen(
        answers=answers, scale=scale, noise=floor, history=dependence, first=first
    )


def _first_answers(session: QuerySession) -> Answers:
    """As many as the budget has, and three times as many numbers as a law has parameters."""
    robot = session.robot
    rows = 3 * (Family.of(robot).size + len(joint_terms(robot))) // robot.nv
    return session.inside("screen", max(session.budget.screen, rows))
