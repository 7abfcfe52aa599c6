"""Greedy search by description length for what a law leaves over, with declared candidates.

A round ranks candidates, fits the best of them with flexible functions together with the bodies,
replaces these functions by formulas, prunes terms that no longer pay, and keeps the law with the
shortest description of held-out answers. Rounds go on while the description gets shorter. What is
searched is declared by a `CandidateFamily`:

    force terms, direction × φ(feature)          residual_search.ForceTerms
    static input/output nonlinearities           nonlinearities.io_search.IONonlinearities
    surrogates of sine and cosine                nonlinearities.trigonometry_search.Surrogates
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold, whole
from discover.laws.pareto import Candidate
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.selection import CHOICES, Selection, candidate_length, price_of, prune

_NOTHING_LEFT = threshold("search.explained")
_WORK = threshold("search.operations")
_ROWS = whole("search.rows")
_ROWS_PER_COLUMN = whole("search.rows_per_column")

C = TypeVar("C")  # a candidate
F = TypeVar("F")  # a candidate with its flexible function, fitted


@dataclass(frozen=True, kw_only=True)
class SearchBudget:
    """How many candidates a search may try: fewer where each of them costs more.

    A step of a fit costs rows × columns² multiplications, and robots of many coordinates have more
    of both. Operations are counted, not time: the same seed gives the same law on every machine.

    pairs      candidates that are fitted with a flexible function, `converged` of them to the end
    finalists  candidates whose function is replaced by formulas, `formulas` of them for each
    rounds     terms that are searched for
    short      whether this is less than a search of few coordinates tries
    """

    pairs: int = whole("search.pairs")
    converged: int = whole("search.pairs")
    finalists: int = whole("search.finalists")
    formulas: int = whole("search.formulas")
    rounds: int = whole("search.rounds")
    short: bool = False

    @classmethod
    def of(cls, rows: int, columns: int, rounds: int) -> SearchBudget:
        """For fits of so many rows and columns, and at most so many rounds."""
        share = _WORK / max(1, rows * columns**2)
        if share >= 1.0:
            return cls(rounds=rounds)
        return cls(
            converged=affordable(cls.converged, share, 3),
            finalists=affordable(cls.finalists, share, 1),
            formulas=affordable(cls.formulas, share, 2),
            rounds=affordable(rounds, share, 2),
            short=True,
        )


def affordable(count: int, share: float, least: int) -> int:
    """The `share` of `count` that a budget allows: all of it at most, `least` (or all) at least."""
    return max(min(least, count), min(count, round(share * count)))


def answers_within_budget(nv: int, columns: int, most: int) -> int:
    """How many answers a search uses, of nv numbers each, for fits of so many columns."""
    return min(most, max(_ROWS, _ROWS_PER_COLUMN * columns) // nv)


@dataclass(frozen=True, kw_only=True)
class CandidateLaw:
    """A law that was tried: its fit, its description length [nats], and its candidate.

    tabulated  whether its function is the flexible one as a table
    fresh      how many of its last terms are new
    """

    fit: Fit
    length: float
    origin: Any
    tabulated: bool = False
    fresh: int = 1


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The best law found, all laws tried by length, and the candidates of the first round.

    front  the laws tried, from short to long, each better on held-out answers than all shorter ones
    near   the best law and those about as good, each with the question that tells it from the best
    short  whether the search ended, with something left over, because its budget was spent
    """

    best: Selection
    tried: tuple[CandidateLaw, ...] = ()
    candidates: tuple[Any, ...] = ()
    front: tuple[Candidate, ...] = ()
    near: tuple[Candidate, ...] = ()
    short: bool = False


@dataclass(frozen=True, kw_only=True)
class CandidateFamily(ABC, Generic[C, F]):
    """What a greedy search searches, on answers to fit and held-out answers to judge.

    floor       accuracy (standardised) below which a gain is no evidence
    budget      what may be tried; its rounds are those of the search
    pruned_laws, prune_margin   how many laws of a round, and how far behind its shortest [nats],
                are pruned
    """

    answers: Answers
    held: Answers
    floor: float
    budget: SearchBudget = field(default_factory=lambda: SearchBudget(rounds=1))
    pruned_laws: ClassVar[float] = math.inf
    prune_margin: ClassVar[float] = math.inf

    @abstractmethod
    def propose(self, current: Fit, error: float) -> Sequence[C]:
        """Candidates for what `current` leaves over, best first; `error` is its held-out error."""

    @abstractmethod
    def fit_flexible(self, current: Fit, candidates: Sequence[C], error: float) -> Sequence[F]:
        """The candidates worth formulas, with flexible functions fitted, in order of trial."""

    @abstractmethod
    def laws(self, current: Fit, flexible: F, error: float, place: int) -> list[CandidateLaw]:
        """Laws with formulas (or a table) for one flexible function, the `place`-th of them."""

    def settled(self, laws: Sequence[CandidateLaw]) -> bool:
        """Whether the laws of this round need no further ones beside them."""
        return False

    def accepted(self, laws: list[CandidateLaw]) -> list[CandidateLaw]:
        """Those of a round's pruned laws that may be kept."""
        return laws

    def price(self, fitted: Fit) -> float:
        """Description length on held-out answers [nats]."""
        return candidate_length(fitted, self.held, self.floor)


def greedy_search(family: CandidateFamily[C, F], best: Selection) -> SearchResult:
    """Add candidates of a family to a law while its description gets shorter."""
    tried: list[CandidateLaw] = []
    first: tuple[C, ...] = ()
    for _ in range(family.budget.rounds):
        error = best.fit.standardised_error(family.held)
        if explained(error, family.floor):
            break
        candidates = family.propose(best.fit, error)
        first = first or tuple(candidates)
        laws: list[CandidateLaw] = []
        for place, flexible in enumerate(family.fit_flexible(best.fit, candidates, error)):
            laws += family.laws(best.fit, flexible, error, place)
            if family.settled(laws):
                break
        laws = family.accepted(_pruned(family, laws))
        tried += laws
        improved = [law for law in laws if law.length < best.length]
        if not improved:
            break
        winner = min(improved, key=lambda law: law.length)
        best = Selection(fit=winner.fit, length=winner.length)
    tried.sort(key=lambda law: law.length)
    left = not explained(best.fit.standardised_error(family.held), family.floor)
    short = family.budget.short and left and bool(first)
    return SearchResult(best=best, tried=tuple(tried), candidates=first, short=short)


def explained(error: float, floor: float) -> bool:
    """Whether a held-out error is so close to the floor that nothing is left to explain."""
    return error <= _NOTHING_LEFT * floor


def _pruned(family: CandidateFamily[Any, Any], laws: list[CandidateLaw]) -> list[CandidateLaw]:
    """The laws by length, the shortest ones without terms that no longer pay.

    Joint terms that stood in for a term that was not there yet go, and what is left may be shorter
    than the law that was the shortest beside them.
    """
    laws = sorted(laws, key=lambda law: law.length)
    out = []
    for k, law in enumerate(laws):
        if k < family.pruned_laws and law.length < laws[0].length + family.prune_margin:
            start = Selection(fit=law.fit, length=law.length)
            price = partial(price_of, choices=CHOICES)
            one = prune(start, family.answers, family.price, price, family.floor, repair=True)
            law = replace(law, fit=one.fit, length=one.length)
        out.append(law)
    return out
