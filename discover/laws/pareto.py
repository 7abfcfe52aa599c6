"""The laws that were tried, which of them are as good as the best, and what would tell them apart.

A search does not end in one law but in a front: each member is better than all shorter ones. Laws
whose descriptions are about as long as the best one's are told together with it, and with the
question whose answer would decide between them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import sympy
import torch

from discover.blackbox.contract import Answers, relative_error
from discover.blackbox.sampling import Batch
from discover.laws.extensions.terms import Term
from discover.laws.rigid_body.fit import Fit

NEAR = 9.0  # nats: about three symbols out of twenty
_TOLD_APART = 4.0  # times the floor, a difference that one answer shows
_DECISIVE = 4.0  # nats that the answers must favour one law by
_QUESTIONS = 8  # asked for every law that is as good as the best


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One law on the front.

    fit         bodies, terms and their coefficients
    length      description length on answers that nothing was fitted to [nats]
    inside, far relative errors on such answers, in the region and out to twice it, and on fresh
                ones beyond; NaN where they were not asked
    tabulated   whether a function in it has no formula
    question    the state and joint forces (one row) at which it differs most from the best law
    difference  by how much it differs there, standardised, the largest over the joints
    """

    fit: Fit
    length: float
    inside: float
    far: float = math.nan
    tabulated: bool = False
    question: Batch | None = None
    difference: float = 0.0

    @property
    def terms(self) -> tuple[Term, ...]:
        """What it has beside its bodies, with coefficients."""
        k = self.fit.family.basis.shape[1]
        pairs = zip(self.fit.family.terms, self.fit.theta[k:].tolist(), strict=True)
        return tuple(t.with_coefficient(c) for t, c in pairs)

    @property
    def expressions(self) -> list[sympy.Matrix]:
        """The terms as columns of generalised forces on the left side [N·m | N]."""
        return [t.expression for t in self.terms]

    @property
    def size(self) -> int:
        """Symbols and fitted numbers in the terms; what a robot description states counts one."""
        family = self.fit.family
        terms = sum(1 if t.physical else 1 + t.symbol_count + t.number_count for t in family.terms)
        return terms + sum(1 + x.symbol_count + x.number_count for x in family.around)


def candidate(fitted: Fit, length: float, held: Answers) -> Candidate:
    """A fit with its error on `held`."""
    error = relative_error(fitted.predict(held.q, held.v, held.tau), held.a)
    family = fitted.family
    tabulated = any(t.tables for t in family.terms) or any(c.tables for c in family.nonlinearities)
    return Candidate(fit=fitted, length=length, inside=error, tabulated=tabulated)


def front(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Only what is better, inside, than everything shorter; from short to long."""
    kept: list[Candidate] = []
    for c in sorted(candidates, key=lambda c: (c.size, c.inside, _text(c))):
        if not kept or c.inside < (1 - 1e-6) * kept[-1].inside:
            kept.append(c)
    return tuple(kept)


def near(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The best by length, and after it those of about the same length; each of another text."""
    ordered = sorted(candidates, key=lambda c: (c.length, c.size, _text(c)))
    found: list[Candidate] = []
    for c in ordered:
        if c.length <= ordered[0].length + NEAR and _text(c) not in {_text(f) for f in found}:
            found.append(c)
    return tuple(found)


def seen_far(candidates: Sequence[Candidate], far: Answers) -> tuple[Candidate, ...]:
    """The candidates with their errors on answers further out."""
    return tuple(
        replace(c, far=relative_error(c.fit.predict(far.q, far.v, far.tau), far.a))
        for c in candidates
    )


def apart(candidates: Sequence[Candidate], pool: Batch) -> tuple[Candidate, ...]:
    """Every candidate with the question, of a pool, at which it differs most from the first."""
    if not candidates:
        return ()
    told = [c.fit.predict(*pool) / c.fit.scale for c in candidates]
    out = [candidates[0]]
    for c, own in zip(candidates[1:], told[1:], strict=True):
        gap = torch.nan_to_num((own - told[0]).abs().amax(-1), nan=0.0, posinf=0.0)
        row = int(gap.argmax())
        question = Batch(*(x[row : row + 1] for x in pool))
        out.append(replace(c, question=question, difference=float(gap[row])))
    return tuple(out)


def decide(
    candidates: Sequence[Candidate],
    pool: Batch,
    ask: Callable[[Batch], Answers],
    floor: float,
) -> tuple[Candidate, ...]:
    """Laws as good as the best, after asking where they differ: the better one first.

    Nothing is asked where they nowhere differ by more than answers scatter. A law moves ahead of
    another only if the answers favour it clearly, beyond its own length.
    """
    ordered = list(apart(candidates, pool))
    rivals = [c for c in ordered[1:] if c.difference > _TOLD_APART * floor]
    if not rivals:
        return tuple(ordered)
    best = ordered[0].fit
    told = best.predict(*pool) / best.scale
    rows: list[int] = []
    for c in rivals:
        gap = (c.fit.predict(*pool) / best.scale - told).abs().amax(-1)
        gap = torch.nan_to_num(gap, nan=0.0, posinf=0.0)
        rows += gap.argsort(descending=True, stable=True)[:_QUESTIONS].tolist()
    chosen = list(dict.fromkeys(rows))
    answers = ask(Batch(*(x[chosen] for x in pool)))

    def misfit(c: Candidate) -> float:
        r = torch.nan_to_num(c.fit.residual(answers), nan=1e6).abs() / max(floor, 1e-9)
        # Straight beyond three deviations: one wild answer decides nothing.
        return float(torch.where(r < 3, 0.5 * r.square(), 3 * r - 4.5).sum())

    cost = {id(c): misfit(c) + c.length for c in [ordered[0], *rivals]}
    leader = min(rivals, key=lambda c: cost[id(c)])
    if cost[id(leader)] < cost[id(ordered[0])] - _DECISIVE:
        ordered.remove(leader)
        ordered.insert(0, leader)
    return apart(ordered, pool)


def _text(c: Candidate) -> str:
    family = c.fit.family
    texts = [sympy.sstr(t.shape) for t in family.terms]
    return " + ".join(texts + [x.in_words for x in family.around])
