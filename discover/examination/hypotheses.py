"""Laws fitted to a model's answers, in the order of their freedom: bodies, joint terms, terms that
are listed, and terms that nobody listed. Fitted to the region and out to twice it, then frozen."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from discover.blackbox.contract import Answers
from discover.blackbox.sampling import Batch
from discover.blackbox.session import AXES, QuerySession
from discover.examination import resolution as power
from discover.examination.metrics import fit_answers
from discover.laws.extensions import surrogate_trigonometry as trigonometry
from discover.laws.extensions.io_nonlinearity import ends_at_edge
from discover.laws.extensions.terms import Term, joint_terms, library
from discover.laws.pareto import Candidate
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.nonlinearities.io_search import (
    as_input_nonlinearity,
    search_io_nonlinearity,
)
from discover.laws.search.nonlinearities.trigonometry_search import search_trigonometry
from discover.laws.search.residual_search import best_listed_or_searched
from discover.laws.search.selection import description_length, possible, refit, select, well_started
from discover.probes import regime_switch as onset
from discover.probes.noise import Floor
from discover.probes.reach import EDGES

WIDE = 2.0  # half-widths out to which laws are fitted when they compete; tested beyond
MAX_TERMS = 3
_POOL = 100  # states from which deciding questions are taken
MANY = 7  # coordinates beyond which joint terms are not tried one by one, nor laws for nothing
_ENOUGH = 100  # answers inside that fit robots of many coordinates
_CERTAIN = 3.0  # standard errors that a joint term must be worth
_DONE = 1.15  # times the floor: a residual that needs no explaining


@dataclass(frozen=True, kw_only=True)
class Laws:
    """What was fitted: `local` to the region alone, the others out to twice it.

    physics, extended   bodies with joint terms; and with terms that no description states
    inside, near, wide  the answers that they were fitted to: in the region, beyond it, and both
    between             those further answers by axis that were held out
    sets                the answers that they are tested on
    tried               all that competed; `searched` says whether unlisted terms did, `short`
                        whether that search ended for the number of candidates that it may try
    near_laws           those about as good as the extended one, after it
    onset, beyond       where another law begins outside the region, and the law of both, which is
                        then no extended one
    """

    local: Fit
    physics: Fit
    extended: Fit
    inside: Answers
    near: Answers
    wide: Answers
    between: list[Answers]
    sets: power.Sets
    tried: tuple[Fit, ...]
    searched: bool = False
    short: bool = False
    near_laws: tuple[Candidate, ...] = ()
    onset: onset.Onset | None = None
    beyond: Fit | None = None


def fitted(session: QuerySession, first: Fit, floor: Floor, gate: float) -> Laws:
    """Bodies, joint terms and listed terms, on as many answers as the budget gives."""
    scale, robot, noise = first.scale, session.robot, floor.random
    inside, held = answers_inside(session)
    joints = joint_terms(robot)
    start = well_started(refit(first, inside, ()), inside)
    local = _with_joint_terms(start, inside, held, joints, gate, noise)
    near, near_held, between, far = _outside(session)
    wide, tested = Answers.concat([inside, near]), Answers.concat([held, near_held])
    start = well_started(fit_answers(session, local.family, wide, scale, start=local.theta), wide)
    physics = _with_joint_terms(start, wide, tested, joints, gate, noise)
    listed = select(
        physics, wide, tested, library(robot), floor=gate, limit=MAX_TERMS, noise=noise
    ).fit
    if {t.name for t in listed.family.terms} <= {t.name for t in physics.family.terms}:
        physics = listed  # terms that came and went led to a better fit
    return Laws(
        local=local,
        physics=physics,
        extended=listed,
        inside=inside,
        near=near,
        wide=wide,
        between=between,
        sets=power.Sets(inside=held, tested=tested, far=far),
        tried=(physics, listed),
    )


def answers_inside(session: QuerySession) -> tuple[Answers, Answers]:
    """Answers in the region, for fitting and held out: fewer for robots of many coordinates, each
    of whose answers holds as many numbers."""
    enough, nv = session.budget.inside, session.robot.nv
    if nv > MANY:
        enough = max(_ENOUGH, enough * MANY // nv)
    return session.inside("inside", enough), session.inside("held out", enough // 2)


def left_over(laws: Laws, floor: float) -> bool:
    """Whether the law of listed terms leaves something that other terms could explain, of a robot
    for which a search of minutes is not too long."""
    if laws.physics.family.robot.nv > MANY:
        return False
    error = laws.extended.standardised_error(laws.sets.tested)
    return error > _DONE * floor or len(laws.extended.family.terms) > (
        len(laws.physics.family.terms) + 1
    )


def searched(session: QuerySession, laws: Laws, floor: float) -> Laws:
    """The same with terms that nobody listed: the better of both is the extended law."""
    search = best_listed_or_searched(
        laws.physics,
        laws.extended,
        laws.wide,
        laws.sets.tested,
        floor=floor,
        limit=MAX_TERMS,
        pool=_unasked(session),
        ask=lambda batch: session.blackbox.ask(*batch, strict=False),
    )
    tried = (*laws.tried, *(c.fit for c in search.front))
    found = replace(laws, extended=search.best.fit, tried=tried, searched=True, short=search.short)
    return behind_channels(replace(found, near_laws=search.near), floor)


def behind_channels(laws: Laws, floor: float) -> Laws:
    """The same, with bodies behind channels, or turned by other functions than sine and cosine, as
    the extended law where that is the shorter one."""
    if laws.physics.family.robot.nv > MANY:
        return laws
    told = as_input_nonlinearity(laws.extended, laws.wide, laws.sets.tested, floor)
    if told is not None:
        laws = replace(laws, extended=told.fit, tried=(*laws.tried, told.fit), near_laws=())
    for explain in (search_io_nonlinearity, search_trigonometry):
        found = explain(laws.physics, laws.extended, laws.wide, laws.sets.tested, floor=floor)
        if found is None or ends_at_edge(found.fit.family.nonlinearities, laws.inside):
            continue
        turned = found.fit.family.trigonometry
        if turned is not None and trigonometry.ends_at_edge(turned, laws.inside.q):
            continue
        fit = refit(found.fit, laws.wide, found.fit.family.terms)
        laws = replace(laws, extended=fit, tried=(*laws.tried, fit), near_laws=())
    return laws


def joined(laws: Laws, inner: Fit) -> Laws:
    """The same, with a law that was found in the region alone as the extended one, where it is
    closer than that one to answers out to WIDE that neither was fitted to.

    Far outside a force may be all there is, and bodies are hard to see beside it: inside, where
    both matter, the search can succeed that failed on all answers.
    """
    tested = laws.sets.tested
    again = refit(inner, laws.wide, inner.family.terms)
    best = min((laws.extended, inner, again), key=lambda f: f.standardised_error(tested))
    if best is laws.extended:
        return laws
    return replace(laws, extended=best, tried=(*laws.tried, best), near_laws=())


def apart(session: QuerySession, laws: Laws) -> Laws:
    """The same, with an extended law that begins outside the region taken for two laws."""
    if laws.extended is laws.physics or laws.extended.integrator is not None:
        return laws
    begins = onset.measure(session, laws.extended, laws.local, laws.sets.inside)
    if begins is None:
        return laws
    return replace(laws, extended=laws.physics, onset=begins, beyond=laws.extended, near_laws=())


def _with_joint_terms(
    start: Fit, answers: Answers, held: Answers, joints: list[Term], gate: float, noise: float
) -> Fit:
    """The rigid body with the joint terms that pay: one by one, or for many joints all at once,
    those that are nothing beside their uncertainty left out."""
    if len(answers.v[0]) <= MANY:
        limit = len(joints)
        return select(start, answers, held, joints, floor=gate, limit=limit, noise=noise).fit
    whole, k = refit(start, answers, joints), start.family.basis.shape[1]
    certain = whole.covariance.diagonal()[k:].clamp_min(0).sqrt()
    kept = [t for t, c, e in zip(joints, whole.theta[k:], certain, strict=True) if c > _CERTAIN * e]
    fewer = refit(start, answers, kept)
    choices = len(joints)
    lengths = {
        id(f): description_length(f, held, gate, choices) for f in (start, fewer) if possible(f)
    }
    return fewer if lengths.get(id(fewer), math.inf) < lengths.get(id(start), math.inf) else start


def _unasked(session: QuerySession) -> Batch:
    """States in the region and out to twice it, from which the questions are taken that laws of
    about the same length would answer most differently."""
    inside = session.draw("disputed", _POOL)
    outside = session.support.shell("joint", 1.0, WIDE, _POOL, session.seed + 83)
    return Batch(*(torch.cat(pair) for pair in zip(inside, outside, strict=True)))


def _outside(
    session: QuerySession,
) -> tuple[Answers, Answers, list[Answers], list[Answers]]:
    """Answers from the edge to WIDE (for fitting, held out, and these by axis), and fresh ones
    beyond, by axis."""
    near, held, far = [], [], []
    n = session.budget.shell
    for axis in AXES:
        beyond, tested = [], []
        for lo, hi in pairwise(EDGES):
            answers = session.shell(axis, lo, hi, n)
            finite = answers[torch.isfinite(answers.a).all(-1)]
            if hi <= WIDE:
                half = len(finite) // 2
                near.append(finite[:half])
                tested.append(finite[half:])
            else:
                beyond.append(answers)
        held.append(Answers.concat(tested))
        far.append(Answers.concat(beyond))
    return Answers.concat(near), Answers.concat(held), [h for h in held if len(h)], far
