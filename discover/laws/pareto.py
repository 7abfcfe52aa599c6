"""The Pareto front of a search, near ties with the best law, and queries that decide between them.

A search ends in a front of laws, each better than all shorter ones. Laws whose descriptions are
about as long as that of the best are near ties; each is given with the query at which it differs
most from the best.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import sympy
import torch

from discover.blackbox.contract import Answers, relative_error
from discover.blackbox.sampling import Batch
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.terms import Term
from discover.laws.rigid_body.fit import Fit

_NEAR_TIE = threshold("fit.near_tie")
_VISIBLE = threshold("fit.tie_visible")
_DECISIVE = threshold("fit.tie_decisive")
_QUERIES = whole("fit.tie_queries")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One fitted law of a search.

    fit         bodies, terms and their coefficients
    length      description length on held-out answers [nats]
    inside, far relative errors on held-out answers, in the region and out to twice it, and further
                out; NaN where they were not queried
    tabulated   whether a function in it has no formula
    query       the state and joint forces (one row) at which it differs most from the best law
    difference  by how much it differs there, standardised, the largest over the joints
    """

    fit: Fit
    length: float
    inside: float
    far: float = math.nan
    tabulated: bool = False
    query: Batch | None = None
    difference: float = 0.0

    @property
    def terms(self) -> tuple[Term, ...]:
        """Its terms, with coefficients."""
        k = self.fit.family.basis.shape[1]
        pairs = zip(self.fit.family.terms, self.fit.theta[k:].tolist(), strict=True)
        return tuple(t.with_coefficient(c) for t, c in pairs)

    @property
    def expressions(self) -> list[sympy.Matrix]:
        """The terms as columns of generalised forces on the left side [N·m | N]."""
        return [t.expression for t in self.terms]

    @property
    def size(self) -> int:
        """Symbols and fitted numbers beside the bodies; a physical term counts one."""
        family = self.fit.family
        terms = sum(1 if t.physical else 1 + t.symbol_count + t.number_count for t in family.terms)
        return terms + sum(1 + x.symbol_count + x.number_count for x in family.non_additive)


def candidate(fitted: Fit, length: float, held_out: Answers) -> Candidate:
    """A fit with its description length and its error on held-out answers."""
    error = relative_error(fitted.predict(held_out.q, held_out.v, held_out.tau), held_out.a)
    family = fitted.family
    tabulated = any(x.tables for x in (*family.terms, *family.nonlinearities))
    return Candidate(fit=fitted, length=length, inside=error, tabulated=tabulated)


def pareto_front(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The candidates with a smaller error inside than all shorter ones, from short to long."""
    kept: list[Candidate] = []
    for c in sorted(candidates, key=lambda c: (c.size, c.inside, _text(c))):
        if not kept or c.inside < (1 - 1e-6) * kept[-1].inside:
            kept.append(c)
    return tuple(kept)


def tied_with_best(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The candidate of least length and its near ties, by length; no two with the same formula."""
    ordered = sorted(candidates, key=lambda c: (c.length, c.size, _text(c)))
    ties: dict[str, Candidate] = {}
    for c in ordered:
        if c.length <= ordered[0].length + _NEAR_TIE:
            ties.setdefault(_text(c), c)
    return tuple(ties.values())


def with_far_errors(candidates: Sequence[Candidate], far: Answers) -> tuple[Candidate, ...]:
    """The candidates with their relative errors on answers further out; NaN if there are none."""
    if not len(far):
        return tuple(candidates)
    return tuple(
        replace(c, far=relative_error(c.fit.predict(far.q, far.v, far.tau), far.a))
        for c in candidates
    )


def with_distinguishing_queries(
    candidates: Sequence[Candidate], pool: Batch
) -> tuple[Candidate, ...]:
    """Every candidate with the query, of a pool, at which it differs most from the first."""
    if not candidates:
        return ()
    predicted = [c.fit.predict(*pool) / c.fit.scale for c in candidates]
    out = [candidates[0]]
    for c, values in zip(candidates[1:], predicted[1:], strict=True):
        gap = torch.nan_to_num((values - predicted[0]).abs().amax(-1), nan=0.0, posinf=0.0)
        row = int(gap.argmax())
        query = Batch(*(x[row : row + 1] for x in pool))
        out.append(replace(c, query=query, difference=float(gap[row])))
    return tuple(out)


def decide_ties(
    candidates: Sequence[Candidate],
    pool: Batch,
    ask: Callable[[list[int]], Answers],
    floor: float,
) -> tuple[Candidate, ...]:
    """Near ties after queries where they differ, the better law first.

    pool: states and joint forces to choose queries from; ask: the model's answers to rows of it;
    floor: the scatter of its answers (standardised). Nothing is asked where the laws nowhere differ
    by more than the answers scatter. A law moves ahead only if the answers favour it clearly,
    beyond its own length.
    """
    ordered = list(with_distinguishing_queries(candidates, pool))
    visible = [c for c in ordered[1:] if c.difference > _VISIBLE * floor]
    if not visible:
        return tuple(ordered)
    best = ordered[0].fit
    predicted = best.predict(*pool) / best.scale
    rows: list[int] = []
    for c in visible:
        gap = (c.fit.predict(*pool) / best.scale - predicted).abs().amax(-1)
        gap = torch.nan_to_num(gap, nan=0.0, posinf=0.0)
        rows += gap.argsort(descending=True, stable=True)[:_QUERIES].tolist()
    chosen = list(dict.fromkeys(rows))
    answers = ask(chosen)

    def misfit(c: Candidate) -> float:
        r = torch.nan_to_num(c.fit.residual(answers), nan=1e6).abs() / max(floor, 1e-9)
        # Huber's loss, linear beyond three deviations: one outlier decides nothing.
        return float(torch.where(r < 3, 0.5 * r.square(), 3 * r - 4.5).sum())

    cost = {id(c): misfit(c) + c.length for c in [ordered[0], *visible]}
    leader = min(visible, key=lambda c: cost[id(c)])
    if cost[id(leader)] < cost[id(ordered[0])] - _DECISIVE:
        ordered.remove(leader)
        ordered.insert(0, leader)
    return with_distinguishing_queries(ordered, pool)


def _text(c: Candidate) -> str:
    family = c.fit.family
    texts = [sympy.sstr(t.shape) for t in family.terms]
    return " + ".join(texts + [x.description for x in family.non_additive])
