"""The first questions: noise, precision, and whether a law to the last digit is at hand.

A model that is a rigid body to the last digit is looked at outside and done with; all others go on
to the competition of laws.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import torch

from discover.blackbox.contract import Answers
from discover.blackbox.session import AXES, Budget, QuerySession
from discover.examination import constant_model as constancy
from discover.examination.competition import compete
from discover.examination.description import Finding, conclude, spoken_by
from discover.examination.history_dependence import with_memory
from discover.examination.metrics import cost_of_bodies, exact_floor, fit_answers, gain, remembered
from discover.laws.extensions.terms import forces, joint_terms, library
from discover.laws.rigid_body.consistency import complete
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import Fit, spread
from discover.laws.search.selection import possible, rank, refit, select
from discover.probes import far_curvature as curvature
from discover.probes import history as preceding
from discover.probes import noise
from discover.probes.reach import EDGES, curves, edge, relative, single_joints
from kinematics import Robot

_EXACT = 1e-7  # a standardised residual that only an exact law leaves, beside rounding
_FEW = 4  # answers a shell, when the law is exact anyway
_WIDE = 2.0  # half-widths beyond which laws are tested
_MAX_TERMS = 3
_BREAK = 1e-3  # a departure (standardised) at which a law that is exact inside has ended
_IDLE = 1e-8  # a term's share of the joint forces below which it is rounding
_TOLD = Budget(screen=0, inside=0, shell=0, local=2)
_SMALL = 4  # coordinates up to which pairs of unlisted terms are looked for among few answers


def investigate(session: QuerySession, training_data: tuple | None) -> Finding:
    """All that is found out about one model, from its first answer on."""
    plain = Family.of(session.robot)
    terms = joint_terms(session.robot)
    rows_needed = 3 * (plain.size + len(terms)) // session.robot.nv
    screen = session.inside("screen", max(session.budget.screen, rows_needed))
    cut = len(screen) * 4 // 5
    scale = spread(screen)
    remembers = preceding.measure(session, screen, scale)
    if remembers.kind is not None and session.blackbox.remembers is None:
        session.blackbox.remembers = remembers.kind
        preceding.settle(session, screen, scale)
        session.answers.clear()
        return with_memory(investigate(session, training_data), session, remembers)
    floor = noise.measure(session, screen, scale)
    still = constancy.investigate(session, screen, floor)
    if still is not None:
        return still
    first = fit_answers(session, plain, screen[:cut], scale)
    exact = max(_EXACT, 10 * floor.rounding)
    if floor.random == 0.0:
        found, rival = _exact_on(screen[:cut], screen[cut:], first, session.robot, exact)
        if found is not None:
            return _exact_law(session, found, screen, floor, rival, training_data)
    return compete(session, first, floor, training_data)


def _exact_on(
    answers: Answers, held: Answers, plain: Fit, robot: Robot, exact: float
) -> tuple[Fit | None, Fit | None]:
    """(the law that is exact on few answers, the best rigid body where the law is none).

    Bodies alone, then with joint terms, then with terms that no description lists. Three terms
    out of hundreds can fit a few answers well, never to seven digits.
    """
    if plain.standardised_error(held) <= exact:
        return plain, None
    # Joint terms all at once: one by one, the last of many would have to wait for all others.
    several = refit(plain, answers, rank(plain, answers, joint_terms(robot)))
    sizes = several.theta[plain.family.size :].abs() * _term_sizes(several, answers)
    needed = [t for t, x in zip(several.family.terms, sizes.tolist(), strict=True) if x > _IDLE]
    rigid = refit(plain, answers, needed)
    if rigid.standardised_error(held) <= exact:
        return (rigid, None) if possible(rigid) else (None, None)
    rigid = several if several.error < plain.error and possible(several) else plain
    extended = _exact_with_terms(rigid, answers, held, robot, exact)
    return (None, None) if extended is None else (extended, rigid)


def _exact_with_terms(
    rigid: Fit, answers: Answers, held: Answers, robot: Robot, exact: float
) -> Fit | None:
    """The rigid body with a few terms of the library, where that is exact; else None."""
    terms, current = library(robot), rigid
    for _ in range(_MAX_TERMS if robot.nv <= _SMALL else 1):
        listed = current.family.terms
        names = {x.name for x in listed}
        rest = [t for t in rank(current, answers, terms) if t.name not in names][:4]
        trials = [refit(current, answers, [*listed, t]) for t in rest]
        if not trials:
            return None
        current = min(trials, key=lambda f: f.standardised_error(held))
        if current.standardised_error(held) <= exact:
            # Joint terms that were there only to help go again.
            return select(current, answers, held, (), floor=exact, limit=0).fit
    return None


def _term_sizes(fitted: Fit, answers: Answers) -> torch.Tensor:
    """The root mean square of each term's column over that of the joint forces."""
    x = answers
    columns = forces(fitted.family.terms, x.q, x.v, x.a, x.tau, fitted.family.bodies)
    return columns.square().mean((0, 1)).sqrt() / x.tau.square().mean().sqrt()


def _exact_law(
    session: QuerySession,
    law: Fit,
    screen: Answers,
    floor: noise.Floor,
    rival: Fit | None,
    training_data: tuple | None,
) -> Finding:
    """A law to the last digit, inside: does it stay one outside?

    `rival` is the best rigid body, where the law has terms that no description lists.
    """
    few = max(_FEW, session.budget.shell // 10)
    small = replace(session, budget=Budget(screen=0, inside=0, shell=few, local=1))
    drawn = curves(small, law, screen)
    far = max(e for c in drawn.values() for e in c.error[1:])
    if session.robot.nv <= _SMALL:
        # Shells move all joints at once; what changes for one alone shows best alone.
        far = max(far, *(relative(law, single_joints(small, axis)) for axis in AXES[1:]))
    body = law if rival is None else rival
    completion = complete(body, screen, session.robot.pi)
    level = max(floor.level, body.standardised_error(screen), 1e-15)
    inside_error, rounding = drawn["joint"].error[0], exact_floor(floor)
    far_body, body_error = far, inside_error
    if rival is not None:
        far_body = max(relative(rival, Answers.concat(_asked(small, axis))) for axis in AXES)
        body_error = relative(rival, screen)
    values = {
        "law error in the region": body_error,
        "refit error far out": far_body,
        "self-extrapolation error": far_body,
        "residual growth": max(1.0, far_body / max(body_error, rounding)),
        "low-dimensional predictability": 0.0,
        "gain of extra terms": gain(far_body, far, rounding),
        "cost of possible parameters": cost_of_bodies(
            session, body, completion, screen, max(level, 10 * _EXACT)
        ),
        "extended law error far out": far,
        "best law error far out": far,
        "best law error in the region": inside_error,
        "resolution": max(inside_error, floor.level),
        "repeatability": floor.random,
    }
    values |= remembered(session, law, training_data, screen, floor)
    notes: list[str] = []
    edges: dict[str, float] = {}
    if far > 1e3 * exact_floor(floor):
        # Exact inside and something else outside: no verdict of physics, whatever it is out there.
        bend = curvature.measure(session, floor.level, law.scale, 12)
        if bend.least is not None:
            values["far curvature"] = bend.least
        notes, edges = _breaks(small, law, floor)
    origin = f"{len(screen) * 4 // 5} answers inside the region"
    if rival is not None:
        completion = complete(law, screen, session.robot.pi)
    # A law that is the model to the last digit tells its identities without more questions.
    asked = replace(small, blackbox=spoken_by(law, session.blackbox), budget=_TOLD)
    return conclude(
        asked,
        law,
        completion,
        drawn,
        values,
        floor,
        notes,
        law_from=origin,
        edges=edges,
        tried=() if rival is None else (rival,),
    )


def _breaks(
    session: QuerySession, law: Fit, floor: noise.Floor
) -> tuple[list[str], dict[str, float]]:
    """Where a law that is exact inside stops being the model: sentences, and the edge by axis."""
    tolerance = max(_BREAK, 100 * exact_floor(floor))
    found = {axis: edge(session, law, axis, tolerance) for axis in AXES}
    edges = {axis: at for axis, at in found.items() if at is not None}
    where = ", ".join(f"{at:.2f} half-widths ({axis})" for axis, at in edges.items())
    return [f"A law to the last digit inside; something else outside, from {where} on."], edges


def _asked(session: QuerySession, axis: str) -> list[Answers]:
    """The outer shells of an axis, as asked."""
    edges = [e for e in pairwise(EDGES) if e[0] >= _WIDE]
    return [session.shell(axis, lo, hi, session.budget.shell) for lo, hi in edges]
