"""Search for static input/output nonlinearities (Hammerstein–Wiener) around the bodies.

Where rigid bodies with any force terms leave something over, every input and output is given a
flexible function of each kind (io_kinds.py). The kind that predicts held-out answers best goes on:
which joints share a function; then its formula is searched for; without one it stays a table.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.terms import joint_terms
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.greedy_search import (
    CandidateFamily,
    CandidateLaw,
    explained,
    greedy_search,
)
from discover.laws.search.nonlinearities.io_fit import NonlinearityKind, NonlinearityProblem
from discover.laws.search.nonlinearities.io_flexible import (
    ROUGH,
    begun_problem,
    centred,
    fed_back,
    fitted_kind,
    grouped,
    of_most,
    separated,
    unscaled,
)
from discover.laws.search.nonlinearities.io_formulas import with_formulas
from discover.laws.search.nonlinearities.io_functions import (
    FlexibleNonlinearity,
    as_fit,
)
from discover.laws.search.nonlinearities.io_kinds import KINDS
from discover.laws.search.selection import CHOICES, Selection, price_of, prune, refit
from discover.laws.search.variables import has_points

_LAID_OUT_ONCE = ("a", "tau")  # places whose bodies are laid out once: a second start is cheap
_SCREENED = whole("search.io_screened_answers")
FITTED, TESTED = whole("search.fitted_answers"), whole("search.held_out_answers")
_PROMISING = threshold("search.flexible_gain")
_EXPLAINED = threshold("search.io_explained")
_CLOSE = threshold("search.close_kind")
_HOPELESS = threshold("search.hopeless_kind")
_NEAR = threshold("search.bodies_near")
_KINDS_FITTED = whole("search.io_kinds")
_HOLDS, _LEFT = threshold("search.io_error"), threshold("search.io_error_over_floor")

# Splines begun: the kind, the bodies to start from, and the problems with their starts.
Begun = tuple[NonlinearityKind, list[Tensor], list[tuple[NonlinearityProblem, Tensor]]]


def search_io_nonlinearity(
    base: Fit,
    best: Fit,
    answers: Answers,
    held: Answers,
    *,
    floor: float,
    kinds: Sequence[NonlinearityKind] = KINDS,
    begun: int = len(KINDS),
    strict: bool = False,
) -> Selection | None:
    """The law with an input/output nonlinearity around the rigid body `base` with its joint terms,
    fitted to `answers`, that describes held-out answers more shortly than `best`, or None."""
    if not has_points(base.family.robot) or base.step is not None:
        return None
    answers = answers[torch.isfinite(answers.a).all(-1)].evenly(FITTED)
    held = held[torch.isfinite(held.a).all(-1)].evenly(TESTED)
    family = IONonlinearities(
        answers=answers,
        held=held,
        floor=floor,
        base=base,
        kinds=tuple(kinds),
        begun=begun,
        strict=strict,
    )
    if explained(best.standardised_error(held), floor):
        return None
    selected = greedy_search(family, Selection(fit=best, length=family.price(best))).best
    return None if selected.fit is best else selected


@dataclass(frozen=True, kw_only=True)
class IONonlinearities(CandidateFamily[Begun, FlexibleNonlinearity]):
    """Kinds of input/output nonlinearities around the bodies of `base`."""

    base: Fit
    kinds: tuple[NonlinearityKind, ...] = field(default=KINDS)
    begun: int = len(KINDS)
    strict: bool = False
    gain: float = _PROMISING

    @property
    def _joints(self) -> list[tuple[int, ...]]:
        """Groups of one joint each."""
        return [(j,) for j in range(self.base.family.robot.nv)]

    def _worth(self, error: float) -> float:
        """What a kind may leave: clearly less than the best law, or little of what bodies leave."""
        return max(self.gain * error, _EXPLAINED * self.base.standardised_error(self.held))

    def propose(self, current: Fit, error: float) -> list[Begun]:
        """The kinds whose first step, with few knots, promises to leave clearly less; of many, the
        `begun` most promising."""
        few, worth = self.answers.evenly(_SCREENED), self._worth(error)
        if self.strict and self.gain * error <= self.floor:  # noise alone is not clearly less
            return []
        # What leaves little has led the bodies nowhere: a step from others promises no less.
        near = self.strict and self.base.standardised_error(self.held) < _NEAR
        hopeful: list[tuple[float, Begun]] = []
        alone: dict[str, list] = {}  # what a scale acts on is the same for all that may set it
        for kind in (k for k in self.kinds if self._applies(k, few)):
            starts = [self.base.theta] if near or kind.place in _LAID_OUT_ONCE else []
            starts = starts if near else [centred(self.base, few, kind), *starts]
            if kind.scaled and kind.place not in alone:
                alone[kind.place] = [
                    unscaled(self.base, s, few, kind, self._joints, ROUGH) for s in starts
                ]
            known = alone[kind.place] if kind.scaled else [None] * len(starts)
            problems = [
                begun_problem(self.base, s, few, kind, self._joints, ROUGH, alone=x)
                for s, x in zip(starts, known, strict=True)
            ]
            left = min(problem.promises(x) for problem, x in problems)
            if left <= _HOPELESS * worth:
                hopeful.append((left, (kind, starts, problems)))
        if len(hopeful) <= self.begun:
            return [each for _, each in hopeful]
        hopeful.sort(key=lambda each: each[0])
        return [each for _, each in hopeful[: self.begun]]

    def _applies(self, kind: NonlinearityKind, few: Answers) -> bool:
        """Whether the robot has what the functions of the kind are of."""
        if kind.whole:
            return len(self._joints) > 1
        return NonlinearityProblem(self.base, few, kind, ()).has_features

    def fit_flexible(
        self, current: Fit, candidates: Sequence[Begun], error: float
    ) -> list[FlexibleNonlinearity]:
        """Few knots, few answers: those that leave least on held-out answers."""
        few, tested = self.answers.evenly(_SCREENED), self.held.evenly(_SCREENED)
        fitted: list[tuple[float, FlexibleNonlinearity]] = []
        for kind, starts, problems in candidates:
            tried = [
                fitted_kind(self.base, start, few, tested, kind, self._joints, ROUGH, 8, begun)
                for start, begun in zip(starts, problems, strict=True)
            ]
            if kind.second is not None and kind.added:
                tried = [separated(each, self.base, tested, self.floor) for each in tried]
            best = min(tried, key=lambda f: f.held_out)
            fitted.append((max(best.held_out, of_most(self.base, tested, best)), best))
        if not fitted:
            return []
        fitted.sort(key=lambda each: each[0])
        limit = min(self._worth(error), _CLOSE * max(fitted[0][0], self.floor))
        return [f for left, f in fitted if left <= limit][:_KINDS_FITTED]

    def laws(
        self, current: Fit, flexible: FlexibleNonlinearity, error: float, place: int
    ) -> list[CandidateLaw]:
        """The law of one kind with tables, and with formulas."""
        base, tables = self._tables(flexible)
        laws = []
        for each in (tables, with_formulas(base, tables, self.held, self.floor)):
            law = as_fit(base, each)
            law = refit(law, self.answers, law.family.terms)
            if math.isfinite(law.standardised_error(self.held)):
                found = Selection(fit=law, length=self.price(law))
                if base is not self.base:
                    price = functools.partial(price_of, choices=CHOICES)
                    args = (self.answers, self.price, price, self.floor)
                    found = prune(found, *args, repair=True)
                laws.append(CandidateLaw(fit=found.fit, length=found.length, origin=flexible.kind))
        return laws

    def _tables(self, flexible: FlexibleNonlinearity) -> tuple[Fit, FlexibleNonlinearity]:
        """(bodies with joint terms, functions as tables). Joint terms were chosen while the
        function was missing: where they leave too much, all are there, to be pruned later."""
        kind, limit = flexible.kind, held_limit(self.floor)
        tables = grouped(self.base, flexible, self.answers, self.held, self.floor)
        tables = fed_back(tables, self.base, self.held)
        had = {t.name for t in self.base.family.terms}
        more = [t for t in joint_terms(self.base.family.robot) if t.name not in had]
        if tables.held_out <= limit or not more or kind.limited:
            return self.base, tables
        base = refit(self.base, self.answers, [*self.base.family.terms, *more])
        start, knots = centred(base, self.answers, kind), ROUGH
        args = (base, start, self.answers, self.held, kind, self._joints, knots, 8)
        fuller = grouped(base, fitted_kind(*args), self.answers, self.held, self.floor)
        return (base, fuller) if fuller.held_out <= limit else (self.base, tables)

    def accepted(self, laws: list[CandidateLaw]) -> list[CandidateLaw]:
        """Of each kind the shortest, if it leaves little enough."""
        limit = held_limit(self.floor)
        kinds = dict.fromkeys(law.origin for law in laws)
        best = [min((x for x in laws if x.origin == k), key=lambda x: x.length) for k in kinds]
        return [law for law in best if law.fit.standardised_error(self.held) <= limit]


def held_limit(floor: float) -> float:
    """What a law with a nonlinearity may leave of held-out answers."""
    return max(_HOLDS, _LEFT * floor)
