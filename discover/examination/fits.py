"""Rigid bodies, joint terms and listed terms, fitted to a model's answers and then frozen.

Each law is fitted to the region alone or out to twice it, and tested on answers that no law was
fitted to: held out in the same places, and fresh ones further out, by axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from discover.blackbox.contract import Answers
from discover.blackbox.session import AXES, QuerySession
from discover.examination.metrics import fit_answers
from discover.examination.opening.screen import Screen
from discover.examination.resolution import Sets
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.terms import Term, joint_terms, library
from discover.laws.pareto import Candidate
from discover.laws.rigid_body.consistency import with_possible_bodies
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.selection import (
    description_length,
    possible,
    refit,
    select,
    well_started,
    with_possible_signs,
    with_spring_rests,
)
from discover.probes.reach import EDGES
from discover.probes.regime_switch import RegimeSwitch

FIT_RANGE = threshold("examination.fit_range")
MAX_TERMS = whole("examination.terms")
_FULL_ANSWERS = whole("examination.full_answers")
_FEWEST_ANSWERS = whole("examination.fewest_answers")
_ONE_BY_ONE = whole("examination.joint_terms_one_by_one")
_CERTAIN = threshold("examination.joint_term_certain")
_EXPLAINED = threshold("examination.explained")


@dataclass(frozen=True, kw_only=True)
class Laws:
    """The laws that compete, and the answers they are judged on.

    local               rigid bodies with joint terms, fitted to the region alone
    physics, extended   rigid bodies with joint terms, and the best law with more than those; both
                        fitted out to FIT_RANGE
    inside, near, wide  the answers that they were fitted to: in the region, beyond it, and both
    between             held-out answers beyond the region, by axis
    sets                the answers that they are tested on
    tried               all that competed; `near_ties` are about as good as the extended law
    searched            whether laws that no library lists were looked for; `cut_short` whether that
                        search ended at its budget
    switch, beyond      where another law begins outside the region, and the law of both sides,
                        which is then no extended law
    """

    local: Fit
    physics: Fit
    extended: Fit
    inside: Answers
    near: Answers
    wide: Answers
    between: list[Answers]
    sets: Sets
    tried: tuple[Fit, ...]
    searched: bool = False
    cut_short: bool = False
    near_ties: tuple[Candidate, ...] = ()
    switch: RegimeSwitch | None = None
    beyond: Fit | None = None

    def with_extended(self, law: Fit) -> Laws:
        """The same with another extended law."""
        return replace(self, extended=law, tried=(*self.tried, law), near_ties=())

    def unexplained(self, level: float) -> bool:
        """Whether the listed laws leave a residual that other terms could explain: one above the
        noise `level`, or one that took more than one extra term to explain."""
        error = self.extended.standardised_error(self.sets.tested)
        extra = len(self.extended.family.terms) - len(self.physics.family.terms)
        return error > _EXPLAINED * level or extra > 1


def fit_listed(session: QuerySession, screen: Screen) -> Laws:
    """Rigid bodies, joint terms and listed terms, on as many answers as the budget gives."""
    robot, gate, noise = session.robot, screen.gate, screen.noise.random
    inside, held_out = answers_inside(session)
    joints = joint_terms(robot)
    start = well_started(refit(screen.first, inside, ()), inside)
    local = _with_joint_terms(start, inside, held_out, joints, gate, noise)
    near, near_held_out, between, far = _answers_outside(session)
    wide, tested = Answers.concat([inside, near]), Answers.concat([held_out, near_held_out])
    start = fit_answers(session, local.family, wide, screen.scale, start=local.theta)
    physics = _with_joint_terms(well_started(start, wide), wide, tested, joints, gate, noise)
    physics = with_possible_bodies(physics, wide, robot.pi)
    listed = select(
        physics, wide, tested, library(robot), floor=gate, limit=MAX_TERMS, noise=noise
    ).fit
    if {t.name for t in listed.family.terms} <= {t.name for t in physics.family.terms}:
        physics = listed  # terms that were added and pruned led to a better fit
    return Laws(
        local=local,
        physics=physics,
        extended=listed,
        inside=inside,
        near=near,
        wide=wide,
        between=between,
        sets=Sets(inside=held_out, tested=tested, far=far),
        tried=(physics, listed),
    )


def answers_inside(session: QuerySession) -> tuple[Answers, Answers]:
    """Answers in the region, for fitting and held out.

    An answer of a robot of many coordinates holds as many numbers: fewer are asked, down to
    a fixed least.
    """
    enough, nv = session.budget.inside, session.robot.nv
    if nv > _FULL_ANSWERS:
        enough = max(_FEWEST_ANSWERS, enough * _FULL_ANSWERS // nv)
    return session.inside("inside", enough), session.inside("held out", enough // 2)


def with_inner_law(laws: Laws, inner: Fit) -> Laws:
    """The same with a law found in the region alone as the extended one, where it is closer to
    answers out to FIT_RANGE that neither was fitted to.

    Far outside a force may dominate, and bodies are hard to see beside it: in the region, where
    both matter, the search can succeed that failed on all answers.
    """
    tested = laws.sets.tested
    again = refit(inner, laws.wide, inner.family.terms)
    best = min((laws.extended, inner, again), key=lambda f: f.standardised_error(tested))
    return laws if best is laws.extended else laws.with_extended(best)


def _with_joint_terms(
    start: Fit, answers: Answers, held_out: Answers, joints: list[Term], gate: float, noise: float
) -> Fit:
    """The rigid body with the joint terms that shorten the description, none of them negative
    within its uncertainty: chosen one by one, or, where there are many, all fitted at once and the
    insignificant ones dropped."""
    if len(joints) <= _ONE_BY_ONE:
        limit = len(joints)
        chosen = select(start, answers, held_out, joints, floor=gate, limit=limit, noise=noise).fit
        chosen = with_possible_signs(chosen, answers)
        return with_spring_rests(chosen, answers, held_out, gate)
    whole_fit, k = refit(start, answers, joints), start.family.basis.shape[1]
    errors = whole_fit.covariance.diagonal()[k:].clamp_min(0).sqrt()
    coefficients = whole_fit.theta[k:]
    kept = [t for t, c, e in zip(joints, coefficients, errors, strict=True) if c > _CERTAIN * e]
    fewer = refit(start, answers, kept)
    lengths = {
        id(f): description_length(f, held_out, gate, len(joints))
        for f in (start, fewer)
        if possible(f)
    }
    if lengths.get(id(fewer), math.inf) >= lengths.get(id(start), math.inf):
        return start
    return with_spring_rests(fewer, answers, held_out, gate)


def _answers_outside(
    session: QuerySession,
) -> tuple[Answers, Answers, list[Answers], list[Answers]]:
    """Answers from the edge to FIT_RANGE (for fitting; held out, and these by axis), and fresh ones
    beyond, by axis."""
    near, held_out, far = [], [], []
    for axis in AXES:
        beyond, tested = [], []
        for lo, hi in pairwise(EDGES):
            answers = session.shell(axis, lo, hi, session.budget.shell)
            finite = answers[torch.isfinite(answers.a).all(-1)]
            if hi <= FIT_RANGE:
                half = len(finite) // 2
                near.append(finite[:half])
                tested.append(finite[half:])
            else:
                beyond.append(answers)
        held_out.append(Answers.concat(tested))
        far.append(Answers.concat(beyond))
    between = [answers for answers in held_out if len(answers)]
    return Answers.concat(near), Answers.concat(held_out), between, far
