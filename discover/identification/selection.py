"""Which terms the data ask for: chosen by logs, or times, that the fit has not seen.

Forward, the candidate that lowers the held-out error most enters, if it does so in most folds and
not by chance; backward, what does not help any more leaves. Training error decides nothing.

Chance is judged twice. Folds show whether a term helps in most of the logs; but of eight folds, or
of four, some candidate among fifty helps in all. So in the end what was chosen has to help in the
many blocks of time that the folds are made of, too. (Asked of every step on the way, this keeps
terms out whose gain shows only when others are there: a real servo lost its load, a real arm the
memory of its friction.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discover.identification.moments import Moments
from discover.judgement.thresholds import threshold, whole

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]

_LEAST_GAIN = threshold("identification.least_gain")
_SURE = threshold("identification.sure")
_SURE_BY_BLOCK = threshold("identification.sure_by_block")
_MOST_TERMS = whole("identification.most_terms")
PRIORS = tuple(10.0**k for k in range(0, 7))


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The groups of columns chosen, and the held-out error (mean weighted square) by fold (F,)."""

    groups: tuple[int, ...]
    held_out: Array


def better(now: Array, then: Array, sure: float = _SURE) -> bool:
    """Whether held-out errors `then` (F,) are lower than `now`, by `sure` standard errors over
    folds, and enough to be worth a term. Logs differ in what they leave unexplained: gains that
    differ as the errors do are sure where their shares are."""
    gain = now - then
    if gain.mean() <= _LEAST_GAIN * now.mean():
        return False
    return any(_sure(x, sure) for x in (gain, gain / np.maximum(now, 1e-300)))


def _sure(gain: Array, sure: float) -> bool:
    error = gain.std(ddof=1) / len(gain) ** 0.5 if len(gain) > 1 else 0.0
    return bool(gain.mean() > sure * error)


def choose(
    moments: Moments,
    always: Sequence[int],
    groups: Sequence[Sequence[int]],
    fold: Numbers,
    start: Sequence[int] = (),
    kept: Sequence[int] = (),
    allowed: Callable[[int, Sequence[int]], bool] = lambda group, chosen: True,
) -> Choice:
    """Forward from the groups `start`, then backward; the columns `always` are in every fit, and
    of the groups at the start those in `kept` do not leave.

    `allowed(group, chosen)` says whether a group may enter beside those chosen.
    """
    chosen = list(start)
    now = moments.held_out(_columns(always, groups, chosen), fold)
    for _ in range(_MOST_TERMS):
        open_groups = [g for g in range(len(groups)) if g not in chosen and allowed(g, chosen)]
        if not open_groups:
            break
        errors = moments.additions(
            _columns(always, groups, chosen), [groups[g] for g in open_groups], fold
        )
        ranked = np.argsort(errors.mean(0))
        entering = next((k for k in ranked[:5] if better(now, errors[:, k])), None)
        if entering is None:
            break
        chosen.append(open_groups[entering])
        now = errors[:, entering]
    return _backward(moments, always, groups, fold, chosen, kept)


def _backward(
    moments: Moments,
    always: Sequence[int],
    groups: Sequence[Sequence[int]],
    fold: Numbers,
    chosen: list[int],
    kept: Sequence[int],
) -> Choice:
    """Leave out what does not make the held-out error worse, the most useless first."""
    now = moments.held_out(_columns(always, groups, chosen), fold)
    while any(g not in kept for g in chosen):
        without = {
            g: moments.held_out(_columns(always, groups, [h for h in chosen if h != g]), fold)
            for g in chosen
            if g not in kept
        }
        least = min(without, key=lambda g: float(without[g].mean()))
        if better(without[least], now):
            break
        chosen = [g for g in chosen if g != least]
        now = without[least]
    return Choice(groups=tuple(chosen), held_out=now)


def lasting(
    moments: Moments,
    always: Sequence[int],
    groups: Sequence[Sequence[int]],
    fold: Numbers,
    chosen: Sequence[int],
    kept: Sequence[int] = (),
) -> tuple[int, ...]:
    """Of the groups chosen, those that held-out blocks of time ask for beyond chance; the most
    useless leaves first, and those in `kept` stay."""
    left = list(chosen)
    while True:
        now = moments.by_block(_columns(always, groups, left), fold)
        gains = {
            g: moments.by_block(_columns(always, groups, [h for h in left if h != g]), fold) - now
            for g in left
            if g not in kept
        }
        chance = [g for g in gains if not _sure(gains[g], _SURE_BY_BLOCK)]
        if not chance:
            return tuple(left)
        left.remove(min(chance, key=lambda g: float(gains[g].mean())))


def prior_strength(
    moments: Moments, bodies: Sequence[int], columns: Sequence[int], fold: Numbers
) -> tuple[float, Array]:
    """How strongly the description's bodies are held on to: the factor on their prior, and the
    held-out error with it (F,). The weakest that is not worse than the best beyond chance: a prior
    shrinks what it is not needed for."""
    errors = {
        factor: moments.with_prior(factor, bodies).held_out(columns, fold) for factor in PRIORS
    }
    least = min(errors, key=lambda factor: float(errors[factor].mean()))
    weakest = next(
        f for f in sorted(errors) if f >= least or not better(errors[f], errors[least], 1.0)
    )
    return weakest, errors[weakest]


def _columns(
    always: Sequence[int], groups: Sequence[Sequence[int]], chosen: Sequence[int]
) -> list[int]:
    return [*always, *(k for g in chosen for k in groups[g])]
