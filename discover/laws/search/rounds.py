"""How much a search may try: fewer candidates where each of them costs more.

A fit costs its rows times its columns squared, and robots of many coordinates have more of both. It
is work that is counted, not time: the same seed gives the same law on every machine.

One round of the search: pairs ranked, flexible functions fitted, formulas tried.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import sympy

from discover.blackbox.contract import Answers
from discover.laws.regression.engines import Engine
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.basis_search import Found, search
from discover.laws.search.basis_targets import targets
from discover.laws.search.constant_optimisation import polish, snap, tabulated
from discover.laws.search.engine_basis import engine_shapes
from discover.laws.search.pair_fit import STEPS, Smooth, fit_pair
from discover.laws.search.ranking import Pair
from discover.laws.search.residual import in_order, rank_pairs
from discover.laws.search.selection import _ALPHABET, EFFECTIVE_SAMPLES, description_length, refit

_WORK = 4e7  # multiplications of a step of a fit up to which all is tried
_ROWS = 3600  # answers × coordinates that a search looks at
_OVER = 6  # times as many rows as columns, at least


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """What a search may try.

    pairs      pairs that are fitted with a flexible function, `whole` of them to the end
    finalists  pairs whose function is looked up, `shapes` of each polished with the bodies
    rounds     terms that are looked for
    short      whether this is less than a search of few coordinates tries
    """

    pairs: int = 14
    whole: int = 14
    finalists: int = 3
    shapes: int = 4
    rounds: int = 3
    short: bool = False

    @classmethod
    def of(cls, rows: int, columns: int, rounds: int) -> Allowance:
        """For fits of so many rows and columns, and at most so many rounds."""
        share = _WORK / max(1, rows * columns**2)
        if share >= 1.0:
            return cls(rounds=rounds)

        def fewer(count: int, least: int) -> int:
            return max(min(least, count), round(share * count))

        return cls(
            whole=fewer(cls.whole, 3),
            finalists=fewer(cls.finalists, 1),
            shapes=fewer(cls.shapes, 2),
            rounds=fewer(rounds, 2),
            short=True,
        )


def answers_for(nv: int, columns: int, most: int) -> int:
    """How many answers a search looks at, of nv numbers each, for fits of so many columns."""
    return min(most, max(_ROWS, _OVER * columns) // nv)


CHOICES = 1500  # about as many pairs as there are to choose from
_POINTS = 5  # pairs at points that are fitted beside the best
_HINT = 0.05  # share that a pair at a point must explain, its place being a guess
_LEAST = 6  # pairs that are fitted however well the first does
_IMPLICIT = 3  # such pairs fitted in a round
_WORTH = 0.6  # a flexible function must bring the held-out error below this share
_CLEAR = 0.97  # a pair that explains this share needs no other look
_STRONG = 0.05  # a residual that may have pulled the bodies away
_CLOSER = 0.75  # of what they leave of few answers, bodies fitted to these alone must leave
_ENOUGH = 1.3  # times what a table leaves: a formula that needs no better one
_PLAIN = 1  # numbers in a formula that needs no shorter one
_KNOTS = 3e-3  # what splines leave of a smooth function


@dataclass(frozen=True, kw_only=True)
class Rival:
    """One law that was tried: its fit, its description length, and the pair it came from."""

    fit: Fit
    length: float
    pair: Pair
    tabulated: bool = False
    fresh: int = 1


def ranked(fitted: Fit, answers: Answers, explainable: float) -> list[Pair]:
    """The pairs as seen from the fit, and from fits to the slow or the inner answers.

    A strong force pulls the bodies away from what they are, and then no pair explains much. Where
    the force is weak they are closer: drag at low speed, springs near the middle. Where they are
    not, nothing pulls, and no other look is taken.
    """
    pairs = rank_pairs(fitted, answers)
    if not pairs or pairs[0].explained > _CLEAR * explainable or fitted.error < _STRONG:
        return pairs
    for size in (answers.v, answers.q - answers.q.mean(0), answers.tau):
        inner = (size / size.square().mean(0).sqrt().clamp_min(1e-300)).square().sum(-1)
        few = answers[inner.argsort(stable=True)[: max(len(answers) // 3, 4 * len(fitted.theta))]]
        other = refit(fitted, few, fitted.family.terms)
        closer = other.standardised_error(few) < _CLOSER * fitted.standardised_error(few)
        if closer and math.isfinite(other.standardised_error(answers)):
            pairs += rank_pairs(other, answers, beside=fitted, fields=False)
    return in_order(pairs)


def shortlist(ranked: Sequence[Pair], count: int) -> list[Pair]:
    """The best pairs, and of every kind of force at a point the best: its place is still a guess.

    Where a point is wrong the feature that suits best may be wrong too; a point's own speed and
    distance are looked at besides.
    """
    chosen = list(ranked[:count])
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


def rivals_of(
    current: Fit,
    answers: Answers,
    held: Answers,
    ranked: Sequence[Pair],
    floor: float,
    before: float,
    allowance: Allowance,
    engine: Engine | None = None,
) -> list[Rival]:
    """The laws that one more term makes of `current`; `before` is its held-out error.

    `engine` is asked for shapes where the catalogue has none that does what a table can. Where not
    all pairs may be fitted to the end, those are that have come furthest by the first step.
    """
    smooth: list[Smooth] = []
    implicit = 0
    enough = max(1.1 * floor, _KNOTS * before)
    for pair in ranked:
        # Features that hold the acceleration need an equation to be solved at every step.
        implicit += pair.implicit
        if pair.implicit and implicit > _IMPLICIT:
            continue
        best = min(smooth, key=lambda s: s.held_out) if len(smooth) >= _LEAST else None
        if best is not None and best.held_out <= enough and not _shorter(pair, best.pair):
            continue
        steps = 1 if allowance.short else STEPS
        smooth.append(fit_pair(_beside(current, pair), answers, held, pair, iterations=steps))
    if allowance.short:
        smooth.sort(key=lambda s: s.held_out)
        smooth = [
            fit_pair(_beside(current, s.pair), answers, held, s.pair)
            for s in smooth[: allowance.whole]
        ]
    smooth = [s for s in smooth if s.held_out < _WORTH * before]
    # Below a share of the residual a flexible function is limited by its knots: no evidence.
    level = max(floor, _KNOTS * before)
    smooth.sort(key=lambda s: math.log(max(s.held_out, level)) + 0.03 * s.pair.cost)
    rivals: list[Rival] = []
    for k, s in enumerate(smooth[: allowance.finalists]):
        base = _beside(current, s.pair)
        own = engine if k == 0 else None
        rivals += _formulas(base, answers, held, s, floor, allowance.shapes, own)
        reached = min((r.fit.standardised_error(held) for r in rivals), default=math.inf)
        if reached <= 1.06 * floor and _plain(min(rivals, key=lambda r: r.length)):
            break
    for s in smooth[:1]:
        table = tabulated(_beside(current, s.pair), answers, s)
        if not math.isfinite(table.standardised_error(held)):
            continue
        length = length_of(table, held, floor)
        rivals.append(Rival(fit=table, length=length, pair=s.pair, tabulated=True))
    return rivals


def _plain(rival: Rival) -> bool:
    """Whether the formula is so short that those of other pairs are hardly shorter.

    A fraction is a number too: three constants made round let many a wrong formula look plain.
    """
    rows = [row for t in rival.fit.family.terms[-rival.fresh :] for row in t.shape]
    numbers = set().union(*(row.atoms(sympy.Number) for row in rows))
    return sum(1 for x in numbers if not x.is_integer) <= _PLAIN


def _shorter(pair: Pair, other: Pair) -> bool:
    """Whether it says less of the same feature: few knots may have ranked it too low."""
    return pair.feature == other.feature and pair.cost < other.cost


def _beside(current: Fit, pair: Pair) -> Fit:
    """The law that the pair is added to: without the term that it takes the place of."""
    if pair.replaces is None:
        return current
    terms, k = current.family.terms, current.family.basis.shape[1]
    at = next(i for i, t in enumerate(terms) if t is pair.replaces)
    keep = [i for i in range(current.family.size) if i != k + at]
    family = current.family.with_terms([t for i, t in enumerate(terms) if i != at])
    return replace(current, family=family, theta=current.theta[keep])


def _formulas(
    base: Fit,
    answers: Answers,
    held: Answers,
    smooth: Smooth,
    floor: float,
    shapes: int,
    engine: Engine | None,
) -> list[Rival]:
    """The shapes of a flexible function, each polished with the bodies."""
    coarse, fine = targets(smooth, floor)

    def length(error: float, symbols: int, numbers: int) -> float:
        bits = EFFECTIVE_SAMPLES * math.log(max(error, fine.floor))
        return bits + symbols * math.log(_ALPHABET) + 0.5 * numbers * math.log(EFFECTIVE_SAMPLES)

    rivals: list[Rival] = []

    def try_out(some: Sequence[Found]) -> None:
        for found in some:
            fitted = polish(base, answers, smooth, found, fine.size)
            if fitted is not None:
                own, fresh = length_of(fitted, held, floor), len(found.shapes)
                rivals.append(Rival(fit=fitted, length=own, pair=smooth.pair, fresh=fresh))

    try_out(search(coarse, fine, length, shapes))
    reached = min((r.fit.standardised_error(held) for r in rivals), default=math.inf)
    if engine is not None and reached > _ENOUGH * max(floor, smooth.held_out):
        try_out(engine_shapes(engine, smooth, fine, length, shapes))
    rivals.sort(key=lambda r: r.length)
    snapped = []
    for r in rivals[:2]:
        fitted = snap(r.fit, answers, lambda f: length_of(f, held, floor), r.fresh)
        snapped.append(replace(r, fit=fitted, length=length_of(fitted, held, floor)))
    return snapped + rivals[2:]


def length_of(fitted: Fit, held: Answers, floor: float) -> float:
    """Description length on held-out answers [nats]."""
    return description_length(fitted, held, floor, CHOICES)
