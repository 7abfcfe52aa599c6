"""Finding terms that nobody listed: carrier, feature, shape, one term after the other.

A round ranks all pairs carrier × feature, fits a flexible function to the best, looks for the
formula of that function, and polishes the formula together with the bodies. What wins is the
shortest description of answers that nothing was fitted to; where no formula is found, the function
stays a table, and that is a law too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from discover.dynamics import Answers
from discover.laws.fit import Fit, fit
from discover.laws.front import Candidate, apart, candidate, decide, front, near
from discover.laws.leftover import Pair, Smooth, fit_pair, rank_pairs
from discover.laws.polish import polish, snap, tabulated
from discover.laws.selection import (
    _ALPHABET,
    EFFECTIVE_SAMPLES,
    Selection,
    description_length,
    possible,
    refit,
)
from discover.laws.shape_search import search
from discover.laws.shape_targets import targets
from discover.sampling import Batch

PAIRS = 14  # pairs that are fitted with a flexible function
FINALISTS = 3  # pairs whose function is looked up
SHAPES = 4  # shapes a pair that are polished with the bodies
CHOICES = 1500  # about as many pairs as there are to choose from
_FITTED, _TESTED = 720, 480  # answers that a search looks at
_POINTS = 5  # pairs at points that are fitted beside the best
_HINT = 0.05  # share that a pair at a point must explain, its place being a guess
_IMPLICIT = 3  # such pairs fitted in a round
_WORTH = 0.6  # a flexible function must bring the held-out error below this share
_MOST = 0.75  # and this share where the model's own error looks like a force
_OWN_ERROR = 0.02  # share of what bodies leave over that a network's own error hides at least
_CLEAR = 0.97  # a pair that explains this share needs no other look
_STRONG = 0.05  # a residual that may have pulled the bodies away
_NOTHING_LEFT = 1.15  # times the noise: a residual that needs no explaining
_KNOTS = 3e-3  # what splines leave of a smooth function
_SHARE = 0.35  # the best pair must explain this share of the residual's power beyond noise


@dataclass(frozen=True, kw_only=True)
class Rival:
    """One law that was tried: its fit, its description length, and the pair it came from."""

    fit: Fit
    length: float
    pair: Pair
    tabulated: bool = False
    fresh: int = 1


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The best law found, all rivals tried by length, and the pairs of the first round.

    front  the laws tried, from short to long, each better on held-out answers than all shorter ones
    near   the best law and those about as good, each with the question that tells it from the best
    """

    best: Selection
    rivals: tuple[Rival, ...]
    pairs: tuple[Pair, ...]
    front: tuple[Candidate, ...] = ()
    near: tuple[Candidate, ...] = ()


def explain(
    base: Fit,
    answers: Answers,
    held: Answers,
    *,
    floor: float,
    limit: int = 3,
    pairs: int = PAIRS,
    share: float = _SHARE,
) -> Explanation:
    """Add unlisted terms to `base` while the description of held-out answers gets shorter.

    `share` of what is left over, beyond noise, the best pair must explain for a round to begin.
    """
    best = Selection(fit=base, length=_length(base, held, floor))
    rivals: list[Rival] = []
    first: tuple[Pair, ...] = ()
    for _ in range(limit):
        before = best.fit.standardised_error(held)
        if before <= _NOTHING_LEFT * floor:
            break
        explainable = 1.0 - (floor / before) ** 2
        start, ranked = _ranked(best.fit, answers, explainable)
        ranked = _shortlist(ranked, pairs)
        first = first or tuple(ranked)
        if not ranked or ranked[0].explained < share * explainable:
            break
        tried = _round(start, answers, held, ranked, floor, before)
        rivals += tried
        if not tried:
            break
        improved = [r for r in tried if r.length < best.length]
        if not improved:
            break
        winner = min(improved, key=lambda r: r.length)
        best = _prune(Selection(fit=winner.fit, length=winner.length), answers, held, floor)
    rivals.sort(key=lambda r: r.length)
    return Explanation(best=best, rivals=tuple(rivals), pairs=first)


def _ranked(fitted: Fit, answers: Answers, explainable: float) -> tuple[Fit, list[Pair]]:
    """The pairs as seen from the fit; or from one to the slow or the inner answers, if clearer.

    A strong force pulls the bodies away from what they are, and then no pair explains much. Where
    the force is weak they are closer: drag at low speed, springs near the middle.
    """
    best, ranked = fitted, rank_pairs(fitted, answers)
    if not ranked or ranked[0].explained > _CLEAR * explainable or fitted.error < _STRONG:
        return best, ranked
    for size in (answers.v, answers.q - answers.q.mean(0), answers.tau):
        inner = (size / size.square().mean(0).sqrt().clamp_min(1e-300)).square().sum(-1)
        few = answers[inner.argsort(stable=True)[: max(len(answers) // 3, 4 * len(fitted.theta))]]
        other = refit(fitted, few, fitted.family.terms)
        if not math.isfinite(other.standardised_error(answers)):
            continue
        seen = rank_pairs(other, answers)
        if seen and seen[0].explained > ranked[0].explained:
            best, ranked = other, seen
    return best, ranked


def _shortlist(ranked: list[Pair], count: int) -> list[Pair]:
    """The best pairs, and of every kind of force at a point the best: its place is still a guess.

    Where a point is wrong the feature that suits best may be wrong too; a point's own speed and
    distance are looked at besides.
    """
    chosen = ranked[:count]
    if not ranked or ranked[0].explained > _CLEAR:
        return chosen
    kinds: dict[tuple[str, str], Pair] = {}
    for p in ranked:
        if p.carrier.points:
            kind = p.carrier.name.split(" at ")[0]
            kinds.setdefault((kind, ""), p)
            if p.feature.name.startswith(("speed of", "distance of")):
                kinds.setdefault((kind, p.feature.name[:5]), p)
    more = [p for p in kinds.values() if p not in chosen and p.explained > _HINT]
    return chosen + more[:_POINTS]


def beside(
    physics: Fit,
    listed: Fit,
    answers: Answers,
    held: Answers,
    *,
    floor: float,
    limit: int,
    pool: Batch | None = None,
    ask: Callable[[Batch], Answers] | None = None,
) -> Explanation:
    """The better of a law from the list of known shapes and of a search without a list.

    Where the listed law leaves nothing over beyond `floor`, nothing is searched. Laws that come
    out about as good as the best are looked at over `pool` (states that were not asked yet), and
    where they differ there, and `ask` is given, the model is asked: the answers decide.
    """
    started = _well_started(physics, answers)
    physics, listed = started, (started if listed is physics else listed)
    found = _beside(physics, listed, answers, held, floor, limit)
    plain = [
        candidate(f, _length(f, held, floor), held)
        for f in ([physics] if listed is physics else [physics, listed])
    ]
    chosen = candidate(found.best.fit, found.best.length, held)
    tried = [candidate(r.fit, _length(r.fit, held, floor), held) for r in found.rivals]
    everything = [*plain, chosen, *tried]
    close = near([chosen, *(c for c in everything if c.length >= chosen.length)])
    states = pool or Batch(held.q, held.v, held.tau)
    if ask is not None and pool is not None:
        close = decide(close, states, ask, floor)
    else:
        close = apart(close, states)
    best = found.best
    if close and close[0].fit is not best.fit:
        fitted = refit(close[0].fit, answers, close[0].fit.family.terms)
        best = Selection(fit=fitted, length=_length(fitted, held, floor))
    return replace(found, best=best, front=front(everything), near=close)


def within(
    local: Fit, listed: Fit, answers: Answers, held: Answers, *, floor: float, limit: int
) -> Fit:
    """The better of a listed and a searched law for a model that follows one in the region only.

    A network that learned from a law answers by that law and an error of its own, smooth, that no
    repeated question shows. So a term must explain most of what the bodies leave over.
    """
    least = max(floor, _OWN_ERROR * local.standardised_error(held))
    found = explain(local, answers, held, floor=least, limit=limit, share=_MOST)
    fitted = found.best.fit
    if fitted is local or not fitted.family.terms:
        return listed
    better = _length(fitted, held, least) < _length(listed, held, least)
    return fitted if better else listed


def _beside(
    physics: Fit, listed: Fit, answers: Answers, held: Answers, floor: float, limit: int
) -> Explanation:
    length = _length(listed, held, floor)
    best = Selection(fit=listed, length=length)
    nothing = Explanation(best=best, rivals=(), pairs=())
    done = listed.standardised_error(held) <= _NOTHING_LEFT * floor
    if done and len(listed.family.terms) <= len(physics.family.terms) + 1:
        return nothing
    fewer, tested = _some(answers, _FITTED), _some(held, _TESTED)
    found = explain(physics, fewer, tested, floor=floor, limit=limit)
    if not found.rivals or found.best.fit is physics:
        return replace(found, best=best)
    fitted = refit(found.best.fit, answers, found.best.fit.family.terms)
    if (new := _length(fitted, held, floor)) < length:
        return replace(found, best=Selection(fit=fitted, length=new))
    return replace(found, best=best)


def _well_started(physics: Fit, answers: Answers) -> Fit:
    """The fit, or the one started from the robot's description where that comes closer.

    A strong force that no body makes can draw least squares to bodies with (nearly) no inertia.
    """
    family = physics.family
    k = family.basis.shape[1]
    start = torch.zeros_like(physics.theta)
    start[:k] = family.basis.T @ family.robot.pi.flatten().to(start)
    again = fit(
        family,
        answers,
        start=start,
        scale=physics.scale,
        integrator=physics.integrator,
        dt=physics.dt,
    )
    return again if again.error < 0.99 * physics.error else physics


def _some(answers: Answers, count: int) -> Answers:
    """At most so many answers, drawn evenly over their order."""
    if len(answers) <= count:
        return answers
    return answers[torch.linspace(0, len(answers) - 1, count).round().long()]


def _length(fitted: Fit, held: Answers, floor: float) -> float:
    return description_length(fitted, held, floor, CHOICES)


def _round(
    current: Fit,
    answers: Answers,
    held: Answers,
    ranked: Sequence[Pair],
    floor: float,
    before: float,
) -> list[Rival]:
    smooth: list[Smooth] = []
    implicit = 0
    for k, pair in enumerate(ranked):
        # Features that hold the acceleration need an equation to be solved at every step.
        implicit += pair.implicit
        if pair.implicit and implicit > _IMPLICIT:
            continue
        smooth.append(fit_pair(current, answers, held, pair))
        best = min(s.held_out for s in smooth)
        if k >= 5 and best <= max(1.1 * floor, _KNOTS * before):
            break
    smooth = [s for s in smooth if s.held_out < _WORTH * before]
    # Below a share of the residual a flexible function is limited by its knots: no evidence.
    level = max(floor, _KNOTS * before)
    smooth.sort(key=lambda s: math.log(max(s.held_out, level)) + 0.03 * s.pair.cost)
    rivals: list[Rival] = []
    for s in smooth[:FINALISTS]:
        rivals += _formulas(current, answers, held, s, floor)
        reached = min((r.fit.standardised_error(held) for r in rivals), default=math.inf)
        if reached <= 1.06 * floor:
            break
    for s in smooth[:1]:
        table = tabulated(current, answers, s)
        if not math.isfinite(table.standardised_error(held)):
            continue
        length = _length(table, held, floor)
        rivals.append(Rival(fit=table, length=length, pair=s.pair, tabulated=True))
    return rivals


def _formulas(
    base: Fit, answers: Answers, held: Answers, smooth: Smooth, floor: float
) -> list[Rival]:
    """The shapes of a flexible function, each polished with the bodies."""
    coarse, fine = targets(smooth, floor)

    def length(error: float, symbols: int, numbers: int) -> float:
        bits = EFFECTIVE_SAMPLES * math.log(max(error, fine.floor))
        return bits + symbols * math.log(_ALPHABET) + 0.5 * numbers * math.log(EFFECTIVE_SAMPLES)

    rivals = []
    for found in search(coarse, fine, length, SHAPES):
        fitted = polish(base, answers, smooth, found, fine.size)
        if fitted is None:
            continue
        rivals.append(
            Rival(
                fit=fitted,
                length=_length(fitted, held, floor),
                pair=smooth.pair,
                fresh=len(found.shapes),
            )
        )
    rivals.sort(key=lambda r: r.length)
    snapped = []
    for r in rivals[:2]:
        fitted = snap(r.fit, answers, lambda f: _length(f, held, floor), r.fresh)
        snapped.append(replace(r, fit=fitted, length=_length(fitted, held, floor)))
    return snapped + rivals[2:]


def _prune(current: Selection, answers: Answers, held: Answers, floor: float) -> Selection:
    """Terms that no longer pay are taken out, the latest last."""
    improved = True
    while improved:
        improved = False
        terms = current.fit.family.terms
        for k in range(len(terms)):
            trial = refit(current.fit, answers, [*terms[:k], *terms[k + 1 :]])
            length = _length(trial, held, floor)
            if possible(trial) and length <= current.length:
                current, improved = Selection(fit=trial, length=length), True
                break
    return current
