"""Which terms a law needs: forward selection by description length, then pruning.

A term must pay for itself: the bits that it saves on answers it was not fitted to, at a fixed
effective sample size, must exceed the bits of writing it down. The sample size is fixed because
queries are free, and with enough of them n · log(error) would buy any term: a residual that comes
again at every question is no independent evidence. Noise does not come again, and where the
residual is nothing else every answer counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from discover import numerics
from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold, whole
from discover.laws.contract import ALPHABET_SIZE, EFFECTIVE_SAMPLES
from discover.laws.extensions.terms import REST, Term, forces, joint_terms, spring_rests
from discover.laws.rigid_body.family import evaluation_point
from discover.laws.rigid_body.fit import Fit, design_of, fit
from discover.laws.rigid_body.joint_fit import fit_implicit
from discover.laws.search.nonlinearities.io_fit import fit_with_nonlinearities
from discover.numerics import solve_or_zero

CHOICES = whole("search.choices")
_DEPENDENT = 1e-7  # of a column's length: what is left of one in the span of others is rounding
_CANDIDATES = whole("search.library_terms")
_WORTH = threshold("search.library_worth")
_IDLE = threshold("search.idle")
_ROWS = whole("search.library_rows")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A fit with the terms that paid for themselves, and the description length in nats."""

    fit: Fit
    length: float


def effective_samples(error: float, noise: float, answers: Answers) -> float:
    """How many independent observations the answers are, when a law leaves `error` of which `noise`
    (both standardised) is new at every question: from EFFECTIVE_SAMPLES to all of them."""
    share = min(noise / error, 1.0) ** 4 if error > 0 and math.isfinite(error) else 0.0
    return EFFECTIVE_SAMPLES + share * max(answers.v.numel() - EFFECTIVE_SAMPLES, 0)


def description_length(
    fitted: Fit,
    held_out: Answers,
    floor: float,
    choices: int,
    samples: float = EFFECTIVE_SAMPLES,
) -> float:
    """n_eff · log(residual) + ½ k log n_eff + the cost of writing the terms [nats].

    The residual is floored at `floor` (standardised), the accuracy below which a gain is no
    evidence; a term that a robot description can state costs a choice and a number only. `samples`
    is the effective number of observations in the residual.
    """
    error = max(fitted.standardised_error(held_out), floor)
    cost = samples * math.log(error) if math.isfinite(error) else math.inf
    cost += 0.5 * fitted.family.basis.shape[1] * math.log(EFFECTIVE_SAMPLES)
    cost += sum(price_of(term, choices) for term in fitted.family.terms)
    for part in fitted.family.non_additive:
        cost += math.log(max(2, choices)) + part.symbol_count * math.log(ALPHABET_SIZE)
        cost += 0.5 * part.number_count * math.log(EFFECTIVE_SAMPLES)
    return cost


def candidate_length(fitted: Fit, held_out: Answers, floor: float) -> float:
    """Description length of a law whose terms were searched for, on held-out answers [nats]."""
    return description_length(fitted, held_out, floor, CHOICES)


def price_of(term: Term, choices: int) -> float:
    """What writing a term down costs [nats]: its choice, its numbers, its symbols."""
    cost = math.log(max(2, choices)) + 0.5 * math.log(EFFECTIVE_SAMPLES)
    if not term.physical:
        cost += term.symbol_count * math.log(ALPHABET_SIZE)
        cost += 0.5 * term.number_count * math.log(EFFECTIVE_SAMPLES)
    return cost


def select(
    base: Fit,
    answers: Answers,
    held_out: Answers,
    candidates: Sequence[Term],
    *,
    floor: float,
    limit: int,
    noise: float = 0.0,
) -> Selection:
    """Add candidates to `base` while the description gets shorter, then take out what is idle.

    Physical candidates whose coefficient comes out negative are refused. At most `limit` terms
    are added. `noise` (standardised) is what the answers do not repeat.
    """
    choices = len(candidates) + len(base.family.terms)

    def length(fitted: Fit, samples: float = EFFECTIVE_SAMPLES) -> float:
        return description_length(fitted, held_out, floor, choices, samples)

    best = base
    for _ in range(limit):
        error = best.standardised_error(held_out)
        if error <= floor:
            break
        samples = effective_samples(error, noise, held_out)
        worth = _WORTH * -math.expm1(-2 * math.log(max(2, choices)) / samples)
        step = _best_addition(best, answers, candidates, partial(length, samples=samples), worth)
        if step is None:
            break
        best = step
    samples = effective_samples(best.standardised_error(held_out), noise, held_out)
    price = partial(price_of, choices=choices)
    length = partial(length, samples=samples)
    return prune(Selection(fit=best, length=length(best)), answers, length, price, floor)


def _best_addition(
    current: Fit,
    answers: Answers,
    candidates: Sequence[Term],
    length: Callable[[Fit], float],
    worth: float,
) -> Fit | None:
    present = {t.name for t in current.family.terms}
    # All of them, for the same columns are compiled once; those that are there explain nothing.
    order = [x for x in explained(current, answers, candidates) if x[0].name not in present]
    order = order[:_CANDIDATES]
    best, least = None, length(current)
    for term in (t for t, share in order if share >= worth):
        trial = refit(current, answers, [*current.family.terms, term])
        if possible(trial) and (trial_length := length(trial)) < least:
            best, least = trial, trial_length
    return best


def prune(
    current: Selection,
    answers: Answers,
    length: Callable[[Fit], float],
    price: Callable[[Term], float],
    floor: float,
    *,
    repair: bool = False,
) -> Selection:
    """`current` without the terms that do not pay, the least certain first.

    repair  terms are also taken out while a physical coefficient is negative, the oldest first
    """
    improved = True
    while improved and current.fit.family.terms:
        improved = False
        terms = current.fit.family.terms
        order = prunable_terms(current.fit, answers, price, floor)
        for k in sorted(order) if repair else order:
            trial = refit(current.fit, answers, [*terms[:k], *terms[k + 1 :]])
            if not possible(trial):
                continue
            new = length(trial)
            if new <= current.length or (repair and not possible(current.fit)):
                current, improved = Selection(fit=trial, length=new), True
                break
    return current


def prunable_terms(
    current: Fit, answers: Answers, price: Callable[[Term], float], floor: float
) -> list[int]:
    """The terms that may be idle, the least certain first: by what their deviation says that the
    answers lose without them, which costs no fit."""
    k, rows = current.family.basis.shape[1], answers.v.numel()
    terms, error = current.family.terms, current.error
    if not possible(current) or not math.isfinite(error):
        return list(range(len(terms)))
    c, variance = current.theta[k:], current.covariance.diagonal()[k:]
    # What no answer shows has no variance either: such a term is idle.
    worth = torch.where(variance > 0, c.square() / variance.clamp_min(1e-300), 0.0)
    grown = (1.0 + worth / max(1, rows - current.family.size)).sqrt().tolist()

    def loss(i: int) -> float:
        return EFFECTIVE_SAMPLES * math.log(max(error * grown[i], floor) / max(error, floor))

    order = sorted(range(len(terms)), key=lambda i: grown[i])
    return [i for i in order if loss(i) < _IDLE * price(terms[i])]


def rank(fitted: Fit, answers: Answers, candidates: Sequence[Term]) -> list[Term]:
    """Candidates by how much of the residual each could explain, best first."""
    return [term for term, _ in explained(fitted, answers, candidates)]


def explained(
    fitted: Fit, answers: Answers, candidates: Sequence[Term]
) -> list[tuple[Term, float]]:
    """Candidates with the share of the residual that each could explain, best first.

    What the fitted columns span is projected out of both; columns that this leaves (nearly) empty
    are dropped, for they are the rigid body under another name.
    """
    if not candidates:
        return []
    family, scale = fitted.family, fitted.scale
    design = design_of(family, answers, fitted.step)
    r = fitted.residual(answers)
    at = answers.spaced(max(_ROWS, 4 * family.size) // family.robot.nv)
    answers, design, r = answers[at], design[at], r[at]
    q, v = evaluation_point(answers, family.robot, fitted.step)
    a = answers.a - r * scale
    H = design.inertia(fitted.theta)
    extra = forces(candidates, q, v, a, answers.tau, family.bodies)
    columns = torch.cat([design.columns(a), extra], dim=-1)
    rows = (solve_or_zero(H, columns) / scale[:, None]).flatten(0, 1)
    rows = torch.nan_to_num(rows)
    known, new = rows[:, : family.size], rows[:, family.size :]
    Q = numerics.orthonormal(known)
    size = new.norm(dim=0)
    new = new - Q @ (Q.T @ new)
    left = new.norm(dim=0)
    usable = left > _DEPENDENT * size.clamp_min(1e-300)
    y = r.flatten()
    y = y - Q @ (Q.T @ y)
    gain = torch.where(usable, (new.T @ y).square() / left.square().clamp_min(1e-300), -1.0)
    order = torch.argsort(gain, descending=True, stable=True)
    share = gain / y.square().sum().clamp_min(1e-300)
    return [(candidates[i], float(share[i])) for i in order.tolist() if gain[i] > 0]


def refit(previous: Fit, answers: Answers, terms: Sequence[Term]) -> Fit:
    """`previous` with other terms, started from its parameters (new terms from zero)."""
    family = previous.family.with_terms(terms)
    k = family.basis.shape[1]
    before = zip(previous.family.terms, previous.theta[k:], strict=True)
    old = {(t.name, t.shape): c for t, c in before}
    by_name = {t.name: c for t, c in zip(previous.family.terms, previous.theta[k:], strict=True)}
    zero = previous.theta.new_zeros(())
    c = [old.get((t.name, t.shape), by_name.get(t.name, zero)) for t in terms]
    start = torch.cat([previous.theta[:k], torch.stack(c)]) if c else previous.theta[:k]
    if family.nonlinearities:
        return fit_with_nonlinearities(family, answers, start, previous)
    if any(t.nonlinear_in_acceleration for t in terms):
        return fit_implicit(family, answers, start, previous)
    return fit(
        family,
        answers,
        start=start,
        scale=previous.scale,
        step=previous.step,
    )


def well_started(fitted: Fit, answers: Answers) -> Fit:
    """The fit, or the one started from the robot's description where that comes closer.

    A strong force that no body makes can draw least squares to bodies with (nearly) no inertia, and
    noise on heavy bodies does so too.
    """
    family = fitted.family
    k = family.basis.shape[1]
    start = torch.zeros_like(fitted.theta)
    start[:k] = family.basis.T @ family.robot.pi.flatten().to(start)
    again = fit(
        family,
        answers,
        start=start,
        scale=fitted.scale,
        step=fitted.step,
        alone=True,
    )
    return again if again.error < 0.99 * fitted.error else fitted


def possible(fitted: Fit) -> bool:
    """Physical terms must have coefficients that are not negative beyond their uncertainty, and
    what says where a spring is at rest must have a spring."""
    rows = _one_sided(fitted)
    pulling = {t.joint for _, t, c, _ in rows if t.joint_term == "stiffness" and c > 0}
    rests = {t.joint for t in fitted.family.terms if t.joint_term == REST}
    return rests <= pulling and not any(c + allowed < 0 or math.isnan(c) for *_, c, allowed in rows)


def with_spring_rests(fitted: Fit, answers: Answers, held_out: Answers, floor: float) -> Fit:
    """The fit with springs that are at rest elsewhere than described, where that shortens the
    description.

    Springs and rests of all joints at once: without its rest, a spring may come out negative.
    """
    terms = fitted.family.terms
    names = {t.name for t in terms}
    springs = [t for t in joint_terms(fitted.family.robot) if t.joint_term == "stiffness"]
    candidates = [t for t in (*springs, *spring_rests(springs)) if t.name not in names]
    if not candidates:
        return fitted
    whole_fit = refit(fitted, answers, [*terms, *candidates])
    error = whole_fit.covariance.diagonal()[-len(whole_fit.family.terms) :].clamp_min(0).sqrt()
    values = _coefficients(whole_fit)
    clear = {
        t.name: c
        for t, c, e in zip(whole_fit.family.terms, values, error.tolist(), strict=True)
        if abs(c) > _CERTAIN * e + _NOTHING
    }
    pairs = [
        pair
        for pair in zip(springs, spring_rests(springs), strict=True)
        if clear.get(pair[0].name, 0.0) > 0 and pair[1].name in clear
    ]
    added = [t for pair in pairs for t in pair if t.name not in names]
    if not added:
        return fitted
    some = refit(fitted, answers, [*terms, *added])
    lengths = [description_length(f, held_out, floor, len(terms)) for f in (some, fitted)]
    return some if possible(some) and lengths[0] < lengths[1] else fitted


def with_possible_signs(fitted: Fit, answers: Answers) -> Fit:
    """The fit without the joint terms that are negative within their uncertainty: the best that
    bodies with dampers, springs, friction and rotors can do has them at zero."""
    while True:
        held = [(c / allowed, i) for i, _, c, allowed in _one_sided(fitted) if -allowed <= c < 0]
        if not held:
            return fitted
        terms = fitted.family.terms
        least = terms[max(held)[1]]
        gone = [least, *(spring_rests([least]) if least.joint_term == "stiffness" else ())]
        names = {t.name for t in gone}
        fitted = refit(fitted, answers, [t for t in terms if t.name not in names])


def impossible_signs(fitted: Fit) -> list[tuple[Term, float, float]]:
    """The joint terms that are negative beyond their uncertainty: (term, coefficient, standard
    error)."""
    terms = fitted.family.terms
    return [
        (terms[i], c, (allowed - _NOTHING) / _CERTAIN)
        for i, _, c, allowed in _one_sided(fitted)
        if c + allowed < 0
    ]


_CERTAIN = 3.0  # standard errors
_NOTHING = 1e-9  # of a coefficient


def _coefficients(fitted: Fit) -> list[float]:
    """Those of its terms."""
    return fitted.theta[fitted.family.basis.shape[1] :].tolist()


def _one_sided(fitted: Fit) -> list[tuple[int, Term, float, float]]:
    """(number, term, coefficient, by how much it may be below zero) of the physical terms that
    cannot be negative."""
    k = fitted.family.basis.shape[1]
    error = fitted.covariance.diagonal()[k:].clamp_min(0).sqrt().tolist()
    rows = zip(fitted.family.terms, _coefficients(fitted), error, strict=True)
    return [
        (i, t, c, _CERTAIN * e + _NOTHING)
        for i, (t, c, e) in enumerate(rows)
        if t.physical and t.joint_term != REST
    ]
