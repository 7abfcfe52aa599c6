"""Search for forces of bodies: candidates of the grammar, their places fitted, φ made a formula."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold, whole
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.basis_search import Target
from discover.laws.search.bodies.places import Screen, at_points, distances, settled
from discover.laws.search.bodies.slope_targets import slope_targets
from discover.laws.search.greedy_search import (
    SearchBudget,
    answers_within_budget,
    explained,
    greedy_search,
)
from discover.laws.search.pair_fit import PAIR_COLUMNS, FlexiblePair
from discover.laws.search.ranking import Pair, ranked_pairs
from discover.laws.search.residual_search import ForceTerms
from discover.laws.search.selection import Selection, refit, well_started
from discover.laws.search.variables import has_points

_FITTED, _TESTED = whole("search.fitted_answers"), whole("search.held_out_answers")
_TURNS = whole("search.places_again")
_NEAR, _CLOSER = threshold("search.places_near"), threshold("search.places_closer")
_SHARE = threshold("search.explained_share")


@dataclass(frozen=True, kw_only=True)
class BodyForces(ForceTerms):
    """Force terms of the grammar of bodies, added to a law."""

    merged: ClassVar[bool] = True

    def propose(self, current: Fit, error: float) -> list[Pair]:
        """Pairs whose places are settled, best first."""
        screen = Screen.of(current, self.answers)
        needed = self.share * self._explainable(error)
        pairs = distances(screen, current.theta, needed)
        pairs += at_points(screen, current.theta, needed)
        return ranked_pairs(pairs)[: self.budget.pairs]

    def _fit(self, current: Fit, pair: Pair, steps: int) -> FlexiblePair:
        """The flexible fit; its places settled again beside the bodies that it has found.

        A force that pulls the bodies away pulls the places with them, along a narrow valley that a
        descent of all together follows slowly.
        """
        best = super()._fit(current, pair, steps)
        error = current.standardised_error(self.held)
        for _ in range(_TURNS):
            if not self.floor < best.held_out < _NEAR * error:
                break
            theta = best.joined.theta
            screen = Screen.of(replace(current, theta=theta), self.answers)
            again = replace(settled(screen, best.pair), start=theta)
            trial = super()._fit(current, again, steps)
            if not trial.held_out < _CLOSER * best.held_out:
                break
            best = trial
        return best

    def targets(self, flexible: FlexiblePair) -> tuple[Target, Target]:
        """Those of a function that acts with its slope, where it does."""
        if flexible.pair.slope is None:
            return super().targets(flexible)
        return slope_targets(flexible, self.floor)


def search_body_forces(
    physics: Fit, best: Fit, answers: Answers, held: Answers, *, floor: float, limit: int
) -> Fit | None:
    """Bodies and forces of the grammar, where they describe held-out answers shorter than `best`.

    They are added to the bodies alone; where that leaves something, to the terms of `best`, too.
    """
    robot = physics.family.robot
    if explained(best.standardised_error(held), floor) or not has_points(physics.family.bodies):
        return None
    columns = physics.family.size + PAIR_COLUMNS
    fewer = answers.evenly(answers_within_budget(robot.nv, columns, _FITTED))
    tested = held.evenly(answers_within_budget(robot.nv, columns, _TESTED))
    family = BodyForces(
        answers=fewer,
        held=tested,
        floor=floor,
        budget=SearchBudget.of(fewer.v.numel(), columns, limit),
        share=_SHARE,
    )
    shortest, price = best, replace(family, held=held).price
    bases = [well_started(physics, answers)]
    if len(best.family.terms) > len(physics.family.terms) and not best.family.non_additive:
        bases.append(best)
    for base in bases:
        if explained(shortest.standardised_error(held), floor):
            break
        start = Selection(fit=base, length=family.price(base))
        found = greedy_search(family, start).best.fit
        if found is base:
            continue
        fitted = refit(found, answers, found.family.terms)
        if price(fitted) < price(shortest):
            shortest = fitted
    return None if shortest is best else shortest
