"""Several alterations at once: functions around the bodies and forces beside them.

A function around the bodies is hard to see while forces beside them are missing, and the other way
round. So functions are searched for beside generous forces: those of every joint's own coordinate
and speed that the library lists, and the terms that a search has found. Each function that holds up
is kept while the forces are searched for again, from none, on the answers as the bodies see them
through it; then all numbers are fitted together, and what no longer pays is taken out. The shortest
description of held-out answers wins.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch

from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.io_nonlinearity import bodies_input, has_output_function, law_output
from discover.laws.extensions.terms import Term, joint_terms, library
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.greedy_search import explained
from discover.laws.search.nonlinearities.io_fit import NonlinearityKind
from discover.laws.search.nonlinearities.io_refit import fitted_together, plain
from discover.laws.search.nonlinearities.io_search import (
    FITTED,
    TESTED,
    IONonlinearities,
    held_limit,
    search_io_nonlinearity,
)
from discover.laws.search.residual_search import best_listed_or_searched
from discover.laws.search.selection import (
    CHOICES,
    Selection,
    candidate_length,
    possible,
    price_of,
    prune,
    refit,
    select,
)
from discover.laws.search.variables import has_points
from discover.numerics import newton

_TERMS = whole("search.several_terms")
_BEGUN = whole("search.several_begun")
_PROMISING = threshold("search.several_gain")
_INVERTED = 1e-9  # of the scale: an answer that no answer of the bodies makes is left out


def search_several(
    physics: Fit,
    best: Fit,
    answers: Answers,
    held: Answers,
    *,
    floor: float,
    kinds: Sequence[Sequence[NonlinearityKind]],
) -> Selection | None:
    """The law with a function around the bodies and forces beside them, fitted to `answers`, that
    describes held-out answers more shortly than `best`, or None. `physics`: bodies with joint
    terms."""
    if not has_points(physics.family.robot) or physics.step is not None:
        return None
    answers = answers[torch.isfinite(answers.a).all(-1)].evenly(FITTED)
    held = held[torch.isfinite(held.a).all(-1)].evenly(TESTED)
    error = best.standardised_error(held)
    if explained(error, floor):
        return None
    length = partial(candidate_length, held_out=held, floor=floor)

    def improved(law: Fit, than: Selection) -> Selection:
        """The law without terms that do not pay, all its numbers fitted; or what it is no better
        than."""
        start = Selection(fit=law, length=length(law))
        price = partial(price_of, choices=CHOICES)
        fewer = prune(start, answers, length, price, floor, repair=True).fit
        fitted = law if fewer is law else fitted_together(fewer, answers)
        now = Selection(fit=fitted, length=length(fitted))
        left = fitted.standardised_error(held)
        taken = left <= held_limit(floor) and possible(fitted) and now.length < than.length
        return now if taken else than

    found = Selection(fit=best, length=length(best))
    for around in _around(physics, best, answers, held, floor, kinds):
        law = _completed(around, physics, answers, held, floor)
        if law is not None:
            found = improved(law, found)
        if explained(found.fit.standardised_error(held), floor):
            break
    for some in kinds:
        if explained(found.fit.standardised_error(held), floor) or found.fit is best:
            break
        law = _around_anew(found.fit, answers, held, floor, some)
        if law is not None:
            found = improved(law, found)
    return None if found.fit is best else found


def _around_anew(
    law: Fit, answers: Answers, held: Answers, floor: float, kinds: Sequence[NonlinearityKind]
) -> Fit | None:
    """Another function around the bodies, found beside the forces of `law` alone: beside generous
    ones, or without these, another may have come first."""
    terms = law.family.terms
    base = refit(replace(law, family=law.family.bare), answers, terms)
    again = search_io_nonlinearity(
        base, law, answers, held, floor=floor, kinds=kinds, begun=_BEGUN, strict=True
    )
    return None if again is None else fitted_together(again.fit, answers)


def _around(
    physics: Fit,
    best: Fit,
    answers: Answers,
    held: Answers,
    floor: float,
    kinds: Sequence[Sequence[NonlinearityKind]],
) -> Iterator[Fit]:
    """Laws with a function around the bodies, the best first: that of `best`, or those found beside
    generous forces; of later kinds only such as leave clearly less than all earlier ones."""
    if best.family.nonlinearities:
        yield best
        return
    base = generous(physics, best, answers)
    left = base.standardised_error(held)
    if not math.isfinite(left) or explained(left, floor):
        return
    # Where many forces only fit what is new in every answer, `best` leaves less than they.
    least = min(left, best.standardised_error(held))
    for some in kinds:
        family = IONonlinearities(
            answers=answers,
            held=held,
            floor=floor,
            base=base,
            kinds=tuple(some),
            begun=_BEGUN,
            strict=True,
            gain=_PROMISING,
        )
        hopeful = [
            f
            for f in family.fit_flexible(base, family.propose(base, least), least)
            if f.held_out <= _PROMISING * least
        ]
        least = min([least, *(f.held_out for f in hopeful)])
        for place, each in enumerate(hopeful):
            laws = family.laws(base, each, least, place)
            if laws:
                yield min(laws, key=lambda law: law.length).fit


def generous(physics: Fit, best: Fit, answers: Answers) -> Fit:
    """`physics` with every listed force of one joint's own coordinate or speed, and the forces of
    `best`: not a law, but bodies that few forces can pull away."""
    robot = physics.family.robot
    terms: dict[tuple, Term] = {t.shape: t for t in physics.family.terms}
    for term in (*best.family.terms, *joint_terms(robot), *library(robot)):
        found = term in best.family.terms
        if found or (plain(term) and _of_own_joint(term)):
            terms.setdefault(term.shape, term)
    return refit(physics, answers, list(terms.values()))


def _of_own_joint(term: Term) -> bool:
    """Whether the term acts on one joint and depends on that joint's coordinate or speed alone."""
    joints = [j for j, row in enumerate(term.shape) if row != 0]
    if len(joints) != 1:
        return False
    (j,) = joints
    return {s.name for s in term.shape[j].free_symbols} <= {f"q{j + 1}", f"v{j + 1}"}


def _completed(law: Fit, physics: Fit, answers: Answers, held: Answers, floor: float) -> Fit | None:
    """The function around the bodies of `law` with the forces beside them that the answers show
    through it, all numbers fitted together."""
    around = law.family.nonlinearities
    inner, inner_held = (as_bodies_see(law, x) for x in (answers, held))
    if len(inner) < physics.family.size or not len(inner_held):
        return None
    start = refit(replace(law, family=law.family.bare), inner, ())
    robot = start.family.robot
    candidates = [*joint_terms(robot), *library(robot)]
    listed = select(start, inner, inner_held, candidates, floor=floor, limit=_TERMS).fit
    beside = best_listed_or_searched(
        start, listed, inner, inner_held, floor=floor, limit=_TERMS
    ).best.fit
    tried = []
    for each in (listed, beside) if beside is not listed else (listed,):
        family = replace(each.family, nonlinearities=around)
        joined = replace(each, family=family)
        joined = refit(joined, answers, family.terms)
        tried.append(fitted_together(joined, answers))
    return min(tried, key=lambda f: candidate_length(f, held, floor))


def as_bodies_see(law: Fit, answers: Answers) -> Answers:
    """The answers as the bodies of `law` give them: inputs through its functions, and the output
    before them; answers that no output of the bodies makes are left out."""
    around = law.family.nonlinearities
    q, v, tau = bodies_input(around, answers.q, answers.v, answers.tau)
    a, good = answers.a, torch.isfinite(torch.cat([q, v, tau], -1)).all(-1)
    if has_output_function(around):

        def off(x: torch.Tensor) -> torch.Tensor:
            made = law_output(around, answers.q, answers.v, answers.tau, x)
            return (made - answers.a) / law.scale

        a = newton(off, answers.a)
        good = good & (torch.nan_to_num(off(a), nan=1.0).abs().amax(-1) < _INVERTED)
    return Answers(q=q[good], v=v[good], tau=tau[good], a=a[good])
