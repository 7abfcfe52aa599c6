"""An exact law: if a law fits to rounding error inside, only extrapolation is checked.

Rigid bodies, then bodies with joint terms, then with a few terms that no description lists, are
fitted to the first answers. A law that fits to rounding error is frozen and compared with the model
outside the region; nothing else has to be found out.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import sympy
import torch

from discover.blackbox.contract import Answers
from discover.blackbox.limits import limits_of
from discover.blackbox.session import AXES, Budget, QuerySession
from discover.examination.metrics import cost_of_bodies, exact_floor, gain
from discover.examination.opening.screen import Screen
from discover.examination.outcome import Outcome
from discover.judgement.evidence import Name
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.io_nonlinearity import StaticNonlinearity
from discover.laws.extensions.terms import Term, forces, joint_terms, library
from discover.laws.rigid_body.consistency import complete, with_possible_bodies
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.selection import possible, rank, refit, select, with_spring_rests
from discover.laws.search.variables import vocabulary
from discover.probes import TRAINING_MEMORY, Subject, measured
from discover.probes.far_curvature import curvature
from discover.probes.noise import NoiseFloor
from discover.probes.reach import EDGES, curves, edge, relative, single_joints, tolerance

_EXACT = threshold("examination.exact")
_BREAK = threshold("examination.exact_law_ended")
_MAX_TERMS = whole("examination.terms")
_FIT_LIMIT = threshold("examination.fit_range")
_TRIALS = 4  # terms tried in each round, the best of the ranking
_FEWEST = 4  # answers a shell: a law that is exact shows with few
_CHORDS = 12  # along which curvature is measured, of a model that left an exact law
_IDLE = 1e-8  # a term's share of the joint forces below which it is rounding
_FREE = Budget(screen=0, inside=0, shell=0, local=2)  # queries of a law cost nothing


def exact_law(session: QuerySession, screen: Screen) -> Outcome | None:
    """The outcome for a model that is a law to rounding error in the region; else None."""
    if screen.noise.random > 0.0:
        return None
    law, rigid = _fitted(screen, max(_EXACT, 10 * screen.noise.rounding))
    if law is None:
        return None
    clipped = _clipped(session, law)
    if clipped is not None:
        law, rigid = clipped, rigid or law
    return _extrapolated(session, screen, law, rigid)


def _clipped(session: QuerySession, law: Fit) -> Fit | None:
    """The law whose accelerations end at the limits that the model's do; None without limits.

    Limits of the states that follow are not the law's: no question is put beyond them.
    """
    limits = limits_of(session.limits, "a")
    if not limits or law.family.nonlinearities:
        return None
    words = vocabulary(session.robot.nv)
    rows: list[sympy.Expr] = [words[f"a{j + 1}"] for j in range(session.robot.nv)]
    for x in limits:
        end = sympy.Min if x.side > 0 else sympy.Max
        rows[x.entry] = end(rows[x.entry], sympy.Float(x.value, 17))
    family = replace(law.family, nonlinearities=(StaticNonlinearity(place="a", rows=tuple(rows)),))
    return replace(law, family=family)


def _fitted(screen: Screen, exact: float) -> tuple[Fit | None, Fit | None]:
    """(the law that is exact on the first answers, the best rigid body where the law is none).

    A few terms out of hundreds can fit few answers well, but never to seven digits.
    """
    answers, held_out = screen.fitting, screen.held_out
    if screen.step is not None and screen.step.error <= exact:
        bodies = several = screen.step.fit  # they were fitted together with the step
    else:
        bodies = screen.first
        if bodies.standardised_error(held_out) <= exact:
            return with_possible_bodies(bodies, answers, screen.session.robot.pi), None
        # All joint terms at once: with one at a time, the last of many would have to wait.
        robot = bodies.family.robot
        several = refit(bodies, answers, rank(bodies, answers, joint_terms(robot)))
    for tried in (several, with_spring_rests(several, answers, held_out, exact)):
        needed = _needed(tried, answers)
        rigid = refit(bodies, answers, needed)
        rigid = with_possible_bodies(rigid, answers, screen.session.robot.pi)
        if rigid.standardised_error(held_out) <= exact:
            return (rigid, None) if possible(rigid) else (None, None)
    rigid = several if several.error < bodies.error and possible(several) else bodies
    extended = _with_listed_terms(rigid, answers, held_out, exact)
    return (None, None) if extended is None else (extended, rigid)


def _needed(fitted: Fit, answers: Answers) -> list[Term]:
    """Its terms that are more than rounding."""
    sizes = fitted.theta[fitted.family.basis.shape[1] :].abs() * _term_sizes(fitted, answers)
    return [t for t, x in zip(fitted.family.terms, sizes.tolist(), strict=True) if x > _IDLE]


def _with_listed_terms(rigid: Fit, answers: Answers, held_out: Answers, exact: float) -> Fit | None:
    """The rigid body with a few terms of the library, where that is exact; else None."""
    terms, current = library(rigid.family.robot), rigid
    for _ in range(_MAX_TERMS):
        listed = current.family.terms
        names = {x.name for x in listed}
        rest = [t for t in rank(current, answers, terms) if t.name not in names][:_TRIALS]
        trials = [refit(current, answers, [*listed, t]) for t in rest]
        if not trials:
            return None
        current = min(trials, key=lambda f: f.standardised_error(held_out))
        if current.standardised_error(held_out) <= exact:
            # Joint terms that the true term has made superfluous are removed.
            return select(current, answers, held_out, (), floor=exact, limit=0).fit
    return None


def _term_sizes(fitted: Fit, answers: Answers) -> torch.Tensor:
    """The root mean square of each term's column over that of the joint forces."""
    x = answers
    columns = forces(fitted.family.terms, x.q, x.v, x.a, x.tau, fitted.family.bodies)
    return columns.square().mean((0, 1)).sqrt() / x.tau.square().mean().sqrt()


def _extrapolated(session: QuerySession, screen: Screen, law: Fit, rigid: Fit | None) -> Outcome:
    """The exact law, compared with the model outside the region.

    `rigid` is the best rigid body, where the law has terms that no description lists.
    """
    answers, noise = screen.answers, screen.noise
    few = max(_FEWEST, session.budget.shell // 10)
    small = session.with_budget(Budget(screen=0, inside=0, shell=few, local=1))
    drawn = curves(small, law, answers)
    far = max(e for c in drawn.values() for e in c.error[1:])
    # Shells move all joints at once; what changes for one alone shows best alone.
    far = max(far, *(relative(law, single_joints(small, axis)) for axis in AXES[1:]))
    bodies = law if rigid is None else rigid
    completion = complete(bodies, answers, session.robot.pi)
    inside, rounding = drawn["joint"].error[0], exact_floor(noise)
    bodies_far, bodies_inside = far, inside
    if rigid is not None:
        bodies_far = max(relative(rigid, _outer_shells(small, axis)) for axis in AXES)
        bodies_inside = relative(rigid, answers)
    level = max(noise.level, bodies.standardised_error(answers), 1e-15, 10 * _EXACT)
    values = {
        Name.LAW_ERROR_INSIDE: bodies_inside,
        Name.REFIT_ERROR_FAR: bodies_far,
        Name.SELF_EXTRAPOLATION: bodies_far,
        Name.RESIDUAL_GROWTH: max(1.0, bodies_far / max(bodies_inside, rounding)),
        Name.PREDICTABILITY: 0.0,
        Name.GAIN: gain(bodies_far, far, rounding),
        Name.COST_OF_BODIES: cost_of_bodies(session, bodies, completion, answers, level),
        Name.EXTENDED_ERROR_FAR: far,
        Name.BEST_ERROR_FAR: far,
        Name.BEST_ERROR_INSIDE: inside,
        Name.RESOLUTION: max(inside, noise.level),
        Name.REPEATABILITY: noise.random,
    }
    subject = Subject(session=session, noise=noise, law=law, held_out=answers)
    values |= measured(TRAINING_MEMORY, subject)
    notes: list[str] = []
    edges: dict[str, float] = {}
    if far > _departure(noise):
        # Exact inside and something else outside is no physics, whatever it is out there.
        bend = curvature(session, noise.level, law.scale, _CHORDS)
        if bend is not None:
            values[Name.FAR_CURVATURE] = bend
        notes, edges = _ends(small, law, noise)
    if rigid is not None:
        completion = complete(*law.bare(answers), session.robot.pi)
    return Outcome(
        # Identities of a law that agrees with the model to the last digit need no more queries.
        session=replace(small.of_law(law.acceleration), budget=_FREE),
        law=law,
        values=values,
        curves=drawn,
        law_from=f"{len(screen.fitting)} answers inside the region",
        completion=completion,
        edges=edges,
        tried=() if rigid is None else (rigid,),
        notes=notes,
    )


def _ends(session: QuerySession, law: Fit, noise: NoiseFloor) -> tuple[list[str], dict[str, float]]:
    """Where the model leaves a law that is exact inside: sentences, and the edge by axis."""
    onset = _departure(noise)
    limit = max(onset, tolerance(noise))
    found = {axis: edge(session, law, axis, limit, onset) for axis in AXES}
    edges = {axis: at for axis, at in found.items() if at is not None}
    if not edges:
        return [], edges
    where = ", ".join(f"{at:.2f} half-widths ({axis})" for axis, at in edges.items())
    return [f"A law to rounding error inside; something else outside, from {where} on."], edges


def _departure(noise: NoiseFloor) -> float:
    """The departure from which a law that is exact inside has ended [spread of a]."""
    return max(_BREAK, 100 * exact_floor(noise))


def _outer_shells(session: QuerySession, axis: str) -> Answers:
    """Answers beyond the range of fits along an axis; from the cache where they were asked."""
    shells = [shell for shell in pairwise(EDGES) if shell[0] >= _FIT_LIMIT]
    return Answers.concat([session.shell(axis, lo, hi, session.budget.shell) for lo, hi in shells])
