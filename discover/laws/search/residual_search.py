"""Search for force terms that no library lists: direction × φ(feature), one term after the other.

All pairs of a force direction and a feature are ranked by what a flexible function of the feature
explains of the residual; the best are fitted together with the bodies, formulas are searched for
that function, and their constants are optimised with the bodies. The shortest description of
held-out answers wins; where no formula is found the function stays a table, and that is a law too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import sympy

from discover.blackbox.contract import Answers
from discover.blackbox.sampling import Batch
from discover.judgement.thresholds import threshold, whole
from discover.laws.pareto import (
    Candidate,
    candidate,
    decide_ties,
    pareto_front,
    tied_with_best,
    with_distinguishing_queries,
)
from discover.laws.regression.engines import Engine
from discover.laws.regression.engines.contract import formula_length
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.basis_search import BasisExpansion, Target, search
from discover.laws.search.basis_targets import pair_targets
from discover.laws.search.constant_optimisation import (
    optimise_constants,
    with_round_numbers,
    with_tabulated_function,
)
from discover.laws.search.engine_basis import engine_functions, engine_named
from discover.laws.search.greedy_search import (
    CandidateFamily,
    CandidateLaw,
    SearchBudget,
    SearchResult,
    answers_within_budget,
    explained,
    greedy_search,
)
from discover.laws.search.pair_fit import PAIR_COLUMNS, STEPS, FlexiblePair, fit_pair
from discover.laws.search.ranking import Pair, rank_pairs, ranked_pairs
from discover.laws.search.selection import (
    Selection,
    candidate_length,
    possible,
    refit,
    well_started,
)

_FITTED, _TESTED = whole("search.fitted_answers"), whole("search.held_out_answers")
_SHARE = threshold("search.explained_share")
_NETWORK_SHARE = threshold("search.explained_share_of_network")
_NETWORK_ERROR = threshold("search.network_error")
_SAME_ERROR = threshold("search.same_network_error")
_POINTS = whole("search.point_pairs")
_HINT = threshold("search.point_hint")
_LEAST = whole("search.least_pairs")
_IMPLICIT = whole("search.implicit_pairs")
_WORTH = threshold("search.flexible_gain")
_CLEAR = threshold("search.clear_pair")
_STRONG = threshold("search.strong_force")
_CLOSER = threshold("search.closer_bodies")
_ENOUGH = threshold("search.engine_needed")
_PLAIN = whole("search.plain_numbers")
_REACHED = threshold("search.reached")
_SPLINE_ERROR = threshold("search.spline_error")
_SYMBOL_SHARE = threshold("search.symbol_share")


@dataclass(frozen=True, kw_only=True)
class ForceTerms(CandidateFamily[Pair, FlexiblePair]):
    """Force terms direction × φ(feature), added to a law.

    share   of the residual beyond noise that the best pair must explain for a round to begin
    engine  asked for formulas where the basis functions have none as good as a table; None: nobody
    merged  whether a sum of basis functions makes one term
    """

    share: float = _SHARE
    engine: Engine | None = None
    merged: ClassVar[bool] = False
    pruned_laws: ClassVar[float] = whole("search.pruned_laws")
    prune_margin: ClassVar[float] = threshold("search.prune_margin")

    def propose(self, current: Fit, error: float) -> list[Pair]:
        """The shortlist of pairs."""
        ranked = _rank_robustly(current, self.answers, self._explainable(error))
        return shortlist(ranked, self.budget.pairs)

    def _explainable(self, error: float) -> float:
        """The share of the residual's power that is not noise."""
        return 1.0 - (self.floor / error) ** 2

    def fit_flexible(
        self, current: Fit, candidates: Sequence[Pair], error: float
    ) -> list[FlexiblePair]:
        """Pairs whose function predicts held-out answers clearly better, the finalists.

        Where not all pairs may be fitted to convergence, those are whose first step leaves least.
        """
        if not candidates or candidates[0].explained < self.share * self._explainable(error):
            return []
        flexible: list[FlexiblePair] = []
        implicit = 0
        enough = max(1.1 * self.floor, _SPLINE_ERROR * error)
        for pair in candidates:
            # Features that hold the acceleration need an equation to be solved at every step.
            implicit += pair.implicit
            if pair.implicit and implicit > _IMPLICIT:
                continue
            best = min(flexible, key=lambda s: s.held_out) if len(flexible) >= _LEAST else None
            if best is not None and best.held_out <= enough and not _shorter(pair, best.pair):
                continue
            flexible.append(self._fit(current, pair, 1 if self.budget.short else STEPS))
        if self.budget.short:
            flexible.sort(key=lambda s: s.held_out)
            flexible = [
                self._fit(current, s.pair, STEPS) for s in flexible[: self.budget.converged]
            ]
        flexible = [s for s in flexible if s.held_out < _WORTH * error]
        # Below a share of the residual a flexible function is limited by its knots: no evidence.
        level = max(self.floor, _SPLINE_ERROR * error)
        flexible.sort(key=lambda s: math.log(max(s.held_out, level)) + _SYMBOL_SHARE * s.pair.cost)
        count = self.budget.finalists
        # A function that bends often is no smooth one: its spline leaves more than others do.
        bending = [s for s in flexible[count:] if s.pair.knots is not None]
        return flexible[:count] + bending[:1]

    def _fit(self, current: Fit, pair: Pair, steps: int) -> FlexiblePair:
        base = _without_replaced(current, pair)
        return fit_pair(base, self.answers, self.held, pair, iterations=steps)

    def laws(
        self, current: Fit, flexible: FlexiblePair, error: float, place: int
    ) -> list[CandidateLaw]:
        """Formulas of the function, constants optimised with the bodies; of the best, its table."""
        base = _without_replaced(current, flexible.pair)
        laws = self._formulas(base, flexible, self.engine if place == 0 else None)
        if place == 0 and flexible.pair.slope is None:  # the slope of a table has no name
            table = with_tabulated_function(base, self.answers, flexible)
            if math.isfinite(table.standardised_error(self.held)):
                length, pair = self.price(table), flexible.pair
                laws.append(CandidateLaw(fit=table, length=length, origin=pair, tabulated=True))
        return laws

    def settled(self, laws: Sequence[CandidateLaw]) -> bool:
        """Whether a formula reaches the floor that is so short that others are hardly shorter."""
        formulas = [law for law in laws if not law.tabulated]
        reached = self._least_error(formulas) <= _REACHED * self.floor
        return reached and _is_plain(min(formulas, key=lambda law: law.length))

    def accepted(self, laws: list[CandidateLaw]) -> list[CandidateLaw]:
        """Those whose physical coefficients are not negative."""
        return [law for law in laws if possible(law.fit)]

    def _least_error(self, laws: Sequence[CandidateLaw]) -> float:
        return min((law.fit.standardised_error(self.held) for law in laws), default=math.inf)

    def targets(self, flexible: FlexiblePair) -> tuple[Target, Target]:
        """What formulas of the flexible function are compared with, on a grid and in earnest."""
        return pair_targets(flexible, self.floor)

    def _formulas(
        self, base: Fit, flexible: FlexiblePair, engine: Engine | None
    ) -> list[CandidateLaw]:
        coarse, fine = self.targets(flexible)
        length = partial(formula_length, floor=fine.floor)
        laws: list[CandidateLaw] = []

        def optimise(expansions: Sequence[BasisExpansion]) -> None:
            for expansion in expansions:
                fitted = optimise_constants(
                    base, self.answers, flexible, expansion, fine.size, self.merged
                )
                if fitted is not None:
                    price = self.price(fitted)
                    fresh = 1 if self.merged else len(expansion.functions)
                    origin = flexible.pair
                    laws.append(CandidateLaw(fit=fitted, length=price, origin=origin, fresh=fresh))

        optimise(search(coarse, fine, length, self.budget.formulas))
        limit = _ENOUGH * max(self.floor, flexible.held_out)
        if engine is not None and self._least_error(laws) > limit:
            optimise(engine_functions(engine, flexible, fine, length, self.budget.formulas))
        laws.sort(key=lambda law: law.length)
        rounded = []
        for law in laws[:2]:
            fitted = with_round_numbers(law.fit, self.answers, self.price, law.fresh)
            rounded.append(replace(law, fit=fitted, length=self.price(fitted)))
        return rounded + laws[2:]


def search_residual_forces(
    base: Fit,
    answers: Answers,
    held: Answers,
    *,
    floor: float,
    limit: int = 3,
    share: float = _SHARE,
    engine: str = "auto",
) -> SearchResult:
    """Add unlisted force terms to `base` while the description of held-out answers gets shorter.

    limit   how many terms may be added
    share   of the residual beyond noise that the best pair must explain for a round to begin
    engine  asked for a formula that the basis functions lack: "auto" (Operon where it is
            installed), "sparse" (nobody), "operon" or "pysr"
    """
    columns = base.family.size + PAIR_COLUMNS
    family = ForceTerms(
        answers=answers,
        held=held,
        floor=floor,
        budget=SearchBudget.of(answers.v.numel(), columns, limit),
        share=share,
        engine=engine_named(engine),
    )
    return greedy_search(family, Selection(fit=base, length=family.price(base)))


def best_listed_or_searched(
    physics: Fit,
    listed: Fit,
    answers: Answers,
    held: Answers,
    *,
    floor: float,
    limit: int,
    pool: Batch | None = None,
    ask: Callable[[list[int]], Answers] | None = None,
    engine: str = "auto",
) -> SearchResult:
    """The better of a law with terms from the library and of one with terms searched for.

    Where the listed law leaves nothing over beyond `floor`, nothing is searched. Laws about as good
    as the best are compared over `pool` (states that were not queried yet); where they differ
    there, and `ask` is given, the model is queried and its answers decide.
    """
    started = well_started(physics, answers)
    physics, listed = started, (started if listed is physics else listed)
    result = _searched_beside(physics, listed, answers, held, floor, limit, engine)

    def measured(fitted: Fit) -> Candidate:
        return candidate(fitted, candidate_length(fitted, held, floor), held)

    plain = [measured(f) for f in ([physics] if listed is physics else [physics, listed])]
    chosen = candidate(result.best.fit, result.best.length, held)
    everything = [*plain, chosen, *(measured(law.fit) for law in result.tried)]
    close = tied_with_best([chosen, *(c for c in everything if c.length >= chosen.length)])
    states = pool or Batch(held.q, held.v, held.tau)
    if ask is not None and pool is not None:
        close = decide_ties(close, states, ask, floor)
    else:
        close = with_distinguishing_queries(close, states)
    best = result.best
    if close and close[0].fit is not best.fit:
        fitted = refit(close[0].fit, answers, close[0].fit.family.terms)
        best = Selection(fit=fitted, length=candidate_length(fitted, held, floor))
    return replace(result, best=best, front=pareto_front(everything), near=close)


def law_within_region(
    local: Fit, listed: Fit, answers: Answers, held: Answers, *, floor: float, limit: int
) -> Fit:
    """The better of a listed and a searched law for a model that follows one in the region only.

    A network trained on a law answers by that law and a smooth error of its own, which no repeated
    query shows. So a term must explain most of what the bodies leave over.
    """
    least = max(floor, _NETWORK_ERROR * local.standardised_error(held))
    fitted = search_residual_forces(
        local, answers, held, floor=least, limit=limit, share=_NETWORK_SHARE
    ).best.fit
    if fitted is local or not fitted.family.terms:
        return listed
    # What the better of both leaves is the network's own error: a little more or less of it is no
    # evidence, and then the shorter law is taken.
    same = _SAME_ERROR * min(x.standardised_error(held) for x in (fitted, listed))
    least = max(least, same)
    better = candidate_length(fitted, held, least) < candidate_length(listed, held, least)
    return fitted if better else listed


def _searched_beside(
    physics: Fit,
    listed: Fit,
    answers: Answers,
    held: Answers,
    floor: float,
    limit: int,
    engine: str,
) -> SearchResult:
    """The search from `physics` on the answers that the budget allows; the shorter law is best."""
    length = candidate_length(listed, held, floor)
    best = Selection(fit=listed, length=length)
    done = explained(listed.standardised_error(held), floor)
    if done and len(listed.family.terms) <= len(physics.family.terms) + 1:
        return SearchResult(best=best)
    nv, columns = physics.family.robot.nv, physics.family.size + PAIR_COLUMNS
    fewer = answers.evenly(answers_within_budget(nv, columns, _FITTED))
    tested = held.evenly(answers_within_budget(nv, columns, _TESTED))
    result = search_residual_forces(physics, fewer, tested, floor=floor, limit=limit, engine=engine)
    if not result.tried or result.best.fit is physics:
        return replace(result, best=best)
    fitted = refit(result.best.fit, answers, result.best.fit.family.terms)
    if (new := candidate_length(fitted, held, floor)) < length:
        return replace(result, best=Selection(fit=fitted, length=new))
    return replace(result, best=best)


def _rank_robustly(fitted: Fit, answers: Answers, explainable: float) -> list[Pair]:
    """The pairs ranked from the fit, and from fits to the slow or the inner answers.

    A strong force pulls the bodies away from what they are, and then no pair explains much. Where
    the force is weak they are closer: drag at low speed, springs near the middle. Where such a fit
    comes no closer to its answers, it is not used.
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
            pairs += rank_pairs(other, answers, residual_of=fitted, point_frames=False)
    return ranked_pairs(pairs)


def shortlist(ranked: Sequence[Pair], count: int) -> list[Pair]:
    """The best pairs, and the best of every kind of force at a point, whose place is still a guess.

    Where a point is wrong the feature that suits best may be wrong too; the speed and the distance
    of the point are looked at besides.
    """
    chosen = list(ranked[:count])
    if not ranked or ranked[0].explained > _CLEAR:
        return chosen
    kinds: dict[tuple[str, str], Pair] = {}
    for p in ranked:
        if p.direction.points:
            kind = p.direction.name.split(" at ")[0]
            kinds.setdefault((kind, ""), p)
            if p.feature.name.startswith(("speed of", "distance of")):
                kinds.setdefault((kind, p.feature.name[:5]), p)
    more = [p for p in kinds.values() if p not in chosen and p.explained > _HINT]
    return chosen + more[:_POINTS]


def _is_plain(law: CandidateLaw) -> bool:
    """Whether the formula is so short that those of other pairs are hardly shorter.

    A fraction is a number too: three constants made round let many a wrong formula look plain.
    """
    rows = [row for t in law.fit.family.terms[-law.fresh :] for row in t.shape]
    numbers = set().union(*(row.atoms(sympy.Number) for row in rows))
    return sum(1 for x in numbers if not x.is_integer) <= _PLAIN


def _shorter(pair: Pair, other: Pair) -> bool:
    """Whether it says less of the same feature: few knots may have ranked it too low."""
    return pair.feature == other.feature and pair.cost < other.cost


def _without_replaced(current: Fit, pair: Pair) -> Fit:
    """The law that the pair is added to: without the term that it takes the place of."""
    if pair.replaces is None:
        return current
    terms, k = current.family.terms, current.family.basis.shape[1]
    at = next(i for i, t in enumerate(terms) if t is pair.replaces)
    keep = [i for i in range(current.family.size) if i != k + at]
    family = current.family.with_terms([t for i, t in enumerate(terms) if i != at])
    return replace(current, family=family, theta=current.theta[keep])
