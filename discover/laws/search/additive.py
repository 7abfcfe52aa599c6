"""Finding terms that nobody listed: carrier, feature, shape, one term after the other.

A round ranks all pairs carrier × feature, fits a flexible function to the best, looks for the
formula of that function, and polishes the formula together with the bodies. What wins is the
shortest description of answers that nothing was fitted to; where no formula is found, the function
stays a table, and that is a law too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from discover.blackbox.contract import Answers
from discover.blackbox.sampling import Batch
from discover.laws.pareto import (
    Candidate,
    candidate,
    decide_ties,
    pareto_front,
    tied_with_best,
    with_distinguishing_queries,
)
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.engine_basis import engine_named
from discover.laws.search.pair_fit import PAIR_COLUMNS
from discover.laws.search.ranking import Pair
from discover.laws.search.rounds import (
    CHOICES,
    Allowance,
    Rival,
    answers_for,
    length_of,
    ranked,
    rivals_of,
    shortlist,
)
from discover.laws.search.selection import (
    Selection,
    doubtful,
    possible,
    price_of,
    refit,
    well_started,
)

_FITTED, _TESTED = 720, 480  # answers that a search looks at
_MOST = 0.75  # and this share where the model's own error looks like a force
_OWN_ERROR = 0.02  # share of what bodies leave over that a network's own error hides at least
_SAME = 1.2  # times the smaller, an error that is the same beside a network's own
_LOOKED_AT, _CLOSE = 6, 40.0  # rivals, and nats behind the best, that are pruned
_NOTHING_LEFT = 1.15  # times the noise: a residual that needs no explaining
_SHARE = 0.35  # the best pair must explain this share of the residual's power beyond noise


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The best law found, all rivals tried by length, and the pairs of the first round.

    front  the laws tried, from short to long, each better on held-out answers than all shorter ones
    near   the best law and those about as good, each with the question that tells it from the best
    short  whether the search ended, with something left over, for having tried all that it may
    """

    best: Selection
    rivals: tuple[Rival, ...]
    pairs: tuple[Pair, ...]
    front: tuple[Candidate, ...] = ()
    near: tuple[Candidate, ...] = ()
    short: bool = False


def explain(
    base: Fit,
    answers: Answers,
    held: Answers,
    *,
    floor: float,
    limit: int = 3,
    share: float = _SHARE,
    engine: str = "auto",
) -> Explanation:
    """Add unlisted terms to `base` while the description of held-out answers gets shorter.

    engine  who is asked for a formula that the catalogue of shapes lacks: "auto" (Operon where it
            is installed), "sparse" (nobody), "operon" or "pysr"
    `share` of what is left over, beyond noise, the best pair must explain for a round to begin.
    """
    best = Selection(fit=base, length=length_of(base, held, floor))
    rivals: list[Rival] = []
    first: tuple[Pair, ...] = ()
    columns = base.family.size + PAIR_COLUMNS
    allowance = Allowance.of(answers.v.numel(), columns, limit)
    for _ in range(allowance.rounds):
        before = best.fit.standardised_error(held)
        if before <= _NOTHING_LEFT * floor:
            break
        explainable = 1.0 - (floor / before) ** 2
        seen = shortlist(ranked(best.fit, answers, explainable), allowance.pairs)
        first = first or tuple(seen)
        if not seen or seen[0].explained < share * explainable:
            break
        asked = engine_named(engine)
        tried = rivals_of(best.fit, answers, held, seen, floor, before, allowance, asked)
        tried = _pruned(tried, answers, held, floor)
        rivals += tried
        improved = [r for r in tried if r.length < best.length]
        if not improved:
            break
        winner = min(improved, key=lambda r: r.length)
        best = Selection(fit=winner.fit, length=winner.length)
    rivals.sort(key=lambda r: r.length)
    left = best.fit.standardised_error(held) > _NOTHING_LEFT * floor
    short = allowance.short and left and bool(first)
    return Explanation(best=best, rivals=tuple(rivals), pairs=first, short=short)


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
    engine: str = "auto",
) -> Explanation:
    """The better of a law from the list of known shapes and of a search without a list.

    Where the listed law leaves nothing over beyond `floor`, nothing is searched. Laws that come
    out about as good as the best are looked at over `pool` (states that were not asked yet), and
    where they differ there, and `ask` is given, the model is asked: the answers decide.
    """
    started = well_started(physics, answers)
    physics, listed = started, (started if listed is physics else listed)
    found = _beside(physics, listed, answers, held, floor, limit, engine)
    plain = [
        candidate(f, length_of(f, held, floor), held)
        for f in ([physics] if listed is physics else [physics, listed])
    ]
    chosen = candidate(found.best.fit, found.best.length, held)
    tried = [candidate(r.fit, length_of(r.fit, held, floor), held) for r in found.rivals]
    everything = [*plain, chosen, *tried]
    close = tied_with_best([chosen, *(c for c in everything if c.length >= chosen.length)])
    states = pool or Batch(held.q, held.v, held.tau)
    if ask is not None and pool is not None:
        close = decide_ties(close, states, ask, floor)
    else:
        close = with_distinguishing_queries(close, states)
    best = found.best
    if close and close[0].fit is not best.fit:
        fitted = refit(close[0].fit, answers, close[0].fit.family.terms)
        best = Selection(fit=fitted, length=length_of(fitted, held, floor))
    return replace(found, best=best, front=pareto_front(everything), near=close)


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
    # What the better of both leaves is the network's own error: a little more or less of it is no
    # evidence, and then the shorter law is taken.
    own = _SAME * min(x.standardised_error(held) for x in (fitted, listed))
    least = max(least, own)
    better = length_of(fitted, held, least) < length_of(listed, held, least)
    return fitted if better else listed


def _beside(
    physics: Fit,
    listed: Fit,
    answers: Answers,
    held: Answers,
    floor: float,
    limit: int,
    engine: str,
) -> Explanation:
    length = length_of(listed, held, floor)
    best = Selection(fit=listed, length=length)
    nothing = Explanation(best=best, rivals=(), pairs=())
    done = listed.standardised_error(held) <= _NOTHING_LEFT * floor
    if done and len(listed.family.terms) <= len(physics.family.terms) + 1:
        return nothing
    nv, columns = physics.family.robot.nv, physics.family.size + PAIR_COLUMNS
    fewer = answers.evenly(answers_for(nv, columns, _FITTED))
    tested = held.evenly(answers_for(nv, columns, _TESTED))
    found = explain(physics, fewer, tested, floor=floor, limit=limit, engine=engine)
    if not found.rivals or found.best.fit is physics:
        return replace(found, best=best)
    fitted = refit(found.best.fit, answers, found.best.fit.family.terms)
    if (new := length_of(fitted, held, floor)) < length:
        return replace(found, best=Selection(fit=fitted, length=new))
    return replace(found, best=best)


def _pruned(tried: list[Rival], answers: Answers, held: Answers, floor: float) -> list[Rival]:
    """The rivals that come close to the best of them, without terms that no longer pay.

    Joint terms that stood in for a term that was not there yet go, and what is left may be shorter
    than what looked best beside them. One that needs them negative is no law.
    """
    tried = sorted(tried, key=lambda r: r.length)
    out = []
    for k, rival in enumerate(tried):
        if k < _LOOKED_AT and rival.length < tried[0].length + _CLOSE:
            one = prune(Selection(fit=rival.fit, length=rival.length), answers, held, floor)
            rival = replace(rival, fit=one.fit, length=one.length)
        if possible(rival.fit):
            out.append(rival)
    return out


def prune(current: Selection, answers: Answers, held: Answers, floor: float) -> Selection:
    """Terms that no longer pay are taken out, the latest last."""
    improved = True
    while improved:
        improved = False
        terms = current.fit.family.terms
        price = partial(price_of, choices=CHOICES)
        for k in sorted(doubtful(current.fit, answers, price, floor)):
            trial = refit(current.fit, answers, [*terms[:k], *terms[k + 1 :]])
            length = length_of(trial, held, floor)
            shorter = length <= current.length or not possible(current.fit)
            if possible(trial) and shorter:
                current, improved = Selection(fit=trial, length=length), True
                break
    return current
