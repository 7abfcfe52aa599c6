"""Thresholds that part the answers that a law leaves from those that it describes.

What bodies leave over is another regime only if it lies beyond a threshold of one scalar of the
configuration, sets in there, and pushes back before it, or is followed by unrelated states.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from discover.blackbox.heights import heights
from discover.blackbox.regimes import Regime, Scalar, coordinates, jumps
from discover.blackbox.session import QuerySession
from discover.examination.opening.trimmed import Trimmed, ahead_of, reached
from discover.judgement.thresholds import threshold, whole

_DESCRIBED = threshold("regimes.rest_described")
_FEWEST = whole("regimes.fewest")
_MOST = threshold("regimes.most")
_PURE = threshold("regimes.pure")
_SEPARABLE = threshold("regimes.separable")
_LEAP = threshold("regimes.leap")
_STRETCH = threshold("regimes.stretch")
_CHANCE = threshold("regimes.chance")
_ONE_SIDED = threshold("regimes.one_sided")
_FEW_MISSED = threshold("regimes.few_missed")
_MUCH_BETTER = threshold("regimes.much_better")
_HEIGHT = threshold("regimes.height_margin")
_BAND = 0.15  # of the rest: the answers next to a threshold


@dataclass(frozen=True, kw_only=True)
class _Split:
    """States beyond a threshold of a scalar; `values` (n,) are side · scalar, the largest that a
    state and its step come to."""

    scalar: Scalar
    side: int
    values: Tensor
    threshold: float  # of `values`
    gap: float  # down to the next state
    named: bool = False  # whether the description has a joint limit there

    @property
    def inside(self) -> Tensor:
        return self.values >= self.threshold


def parted(session: QuerySession, law: Trimmed, stray: float = 0.0) -> tuple[Regime, ...]:
    """The regimes that part the large residuals from the others; none where they do not. A share
    `stray` of the answers may be large anywhere.

    Thresholds of coordinates are preferred to those of heights, unless these part much better: miss
    fewer of the large residuals and enclose fewer of the others.
    """
    count, n = int(law.large.sum()), len(law.rows)
    if law.level > _DESCRIBED or not _FEWEST <= count <= _MOST * n:
        return ()
    scalars: list[tuple[Scalar, int]] = [
        (x, side) for x in coordinates(session.robot) for side in (1, -1)
    ]
    best = _parted_by(session, law, scalars, stray)
    if best.missed <= _FEW_MISSED * count and best.enclosed <= _FEW_MISSED * count:
        return best.regimes
    low = [(x, -1) for x in heights(session.robot)]
    if low:
        other = _parted_by(session, law, [*scalars, *low], stray)
        if other.missed + other.enclosed < _MUCH_BETTER * (best.missed + best.enclosed):
            best = other
    return best.regimes


@dataclass(frozen=True, kw_only=True)
class _Parting:
    """Regimes, how many large residuals lie beyond none of their thresholds, and how many others
    beyond some that no description names; infinitely many where they do not part them."""

    regimes: tuple[Regime, ...]
    missed: float
    enclosed: float


_NOT_PARTED = _Parting(regimes=(), missed=math.inf, enclosed=math.inf)


def _parted_by(
    session: QuerySession, law: Trimmed, scalars: Sequence[tuple[Scalar, int]], stray: float
) -> _Parting:
    """The same, by thresholds of some scalars, each with a side."""
    count, n = int(law.large.sum()), len(law.rows)
    splits = _separated(session, law, scalars)
    if not splits:
        return _NOT_PARTED
    anywhere = torch.stack([s.inside for s in splits]).any(0)
    rest = ~anywhere
    elsewhere = int((law.large & rest).sum())
    if elsewhere > (1 - _SEPARABLE) * count + stray * n or int(rest.sum()) < (1 - _MOST) * n:
        return _NOT_PARTED
    found = []
    for split in splits:
        jumps = _follows_unrelated(session, law, split)
        if not _sets_in(law, split, rest):
            return _NOT_PARTED
        named = split.named or _at_described_limit(session, split)
        if not jumps and not named and not _one_sided(session, law, split, splits):
            return _NOT_PARTED
        found.append(
            Regime(
                scalar=split.scalar,
                side=split.side,
                threshold=split.side * split.threshold,
                guard=split.gap + _margin(split),
                jumps=jumps,
            )
        )
    # A limit of the description is where it is, whatever lets go of it.
    chosen = [s.inside for s in splits if not s.named]
    enclosed = int((torch.stack([torch.zeros_like(anywhere), *chosen]).any(0) & ~law.large).sum())
    return _Parting(regimes=tuple(found), missed=elsewhere, enclosed=enclosed)


def _margin(split: _Split) -> float:
    """What is kept from a threshold beside the next state: of a height, what the shape of a body
    that no description states may be off by."""
    if split.scalar.entry is not None:
        return 0.0
    return _HEIGHT * float(split.values.max() - split.values.min())


def _separated(
    session: QuerySession, law: Trimmed, scalars: Sequence[tuple[Scalar, int]]
) -> list[_Split]:
    """Thresholds that part the large residuals from the others: the joint limits of the description
    that are met, then those that tell the most."""
    large, left = law.large, torch.ones_like(law.large)
    splits: list[_Split] = []
    ways = ahead_of(session, law, law.asked)
    tried = [(scalar, side, reached(scalar, side, law.asked.q, ways)) for scalar, side in scalars]
    for share in (_ONE_SIDED, _PURE):
        for item in list(tried):
            named = _described_split(session, law, *item, ways, share)
            if named is not None:
                tried.remove(item)
                splits.append(named)
                left = left & ~named.inside
        if not splits:  # where one limit of a description is met, others are met more easily
            break
    while bool((large & left).any()):
        best: tuple[float, int, float] | None = None
        for i, (_, _, values) in enumerate(tried):
            gain, at = telling(values[left], large[left])
            if best is None or gain > best[0]:
                best = gain, i, at
        if best is None or best[0] <= 0:
            break
        scalar, side, values = tried.pop(best[1])
        splits.append(_Split(scalar=scalar, side=side, values=values, threshold=best[2], gap=0.0))
        left = left & (values < best[2])
    # Thresholds move down to the last large residual that no other one explains.
    out = []
    for i, split in enumerate(splits):
        others = [s.inside for j, s in enumerate(splits) if j != i]
        alone = large & ~torch.stack([*others, torch.zeros_like(large)]).any(0)
        near = split.threshold - split.values
        reachable = alone & (near <= _STRETCH * (split.values.max() - split.values.min()))
        at = float(split.values[reachable].min()) if bool(reachable.any()) else split.threshold
        at = min(at, split.threshold)
        below = split.values[split.values < at]
        gap = at - float(below.max()) if len(below) else 0.0
        out.append(replace(split, threshold=at, gap=gap))
    return out


def _described_split(
    session: QuerySession,
    law: Trimmed,
    scalar: Scalar,
    side: int,
    values: Tensor,
    ways: Sequence[Tensor],
    share: float,
) -> _Split | None:
    """The split at a joint limit of the description, where a share of the answers to states beyond
    it are large, or to those that do not leave it within their step; else None."""
    robot, entry = session.robot, scalar.entry
    if entry is None:
        return None
    limit = side * float((robot.upper if side > 0 else robot.lower)[entry])
    start = side * scalar(law.asked.q)
    stays = torch.stack([start, *(side * scalar(q) for q in ways)]).amin(0)
    for beyond in (start > limit, stays > limit):
        count, hits = int(beyond.sum()), int((law.large & beyond).sum())
        if count >= _FEWEST and hits >= share * count:
            break
    else:
        return None
    return _Split(scalar=scalar, side=side, values=values, threshold=limit, gap=0.0, named=True)


def _at_described_limit(session: QuerySession, split: _Split) -> bool:
    """Whether a threshold lies at a joint limit of the description."""
    robot, entry = session.robot, split.scalar.entry
    if entry is None:
        return False
    limit = split.side * float((robot.upper if split.side > 0 else robot.lower)[entry])
    span = float(split.values.max() - split.values.min())
    return abs(split.threshold - limit) <= _STRETCH * span


def telling(values: Tensor, large: Tensor) -> tuple[float, float]:
    """(gain in log-likelihood over one rate for all, threshold) of the best split that leaves
    mostly large residuals above; gain 0 where there is none."""
    order = values.argsort(descending=True)
    y = large[order].double()
    n, total = len(y), float(y.sum())
    above = torch.arange(1, n + 1, dtype=torch.float64)
    hits = y.cumsum(0)
    gain = _likelihood(hits, above) + _likelihood(total - hits, n - above)
    gain = gain - _likelihood(torch.tensor(total), torch.tensor(float(n)))
    allowed = (hits >= _PURE * above) & (hits >= 3) & (y > 0)
    gain = torch.where(allowed, gain, torch.full_like(gain, -1.0))
    i = int(gain.argmax())
    return (float(gain[i]), float(values[order][i])) if gain[i] > _CHANCE else (0.0, 0.0)


def _likelihood(hits: Tensor, of: Tensor) -> Tensor:
    """The log-likelihood of so many hits at their own rate."""
    misses = of - hits
    total = of.clamp_min(1e-300)
    return torch.xlogy(hits, hits / total) + torch.xlogy(misses, misses / total)


def _sets_in(law: Trimmed, split: _Split, rest: Tensor) -> bool:
    """Whether the residual leaps at the threshold: a smooth law that bodies leave begins to leave
    them before it, and is not much further from them right beyond."""
    values, rows = split.values[rest], law.rows[rest]
    near = values.argsort(descending=True)[: max(8, round(_BAND * len(rows)))]
    mine = law.large & split.inside
    first = split.values[mine].argsort()[: max(3, int(mine.sum()) // 4)]
    before, beyond_it = law.rows[rest][near].median(), law.rows[mine][first].median()
    return float(beyond_it) >= _LEAP * max(float(before), law.level / 10)


def _one_sided(
    session: QuerySession, law: Trimmed, split: _Split, splits: Sequence[_Split]
) -> bool:
    """Whether what acts beyond the threshold pushes back before it."""
    mine = law.large & split.inside
    alone = mine & ~torch.stack(
        [s.inside for s in splits if s is not split] or [torch.zeros_like(mine)]
    ).any(0)
    mine = alone if int(alone.sum()) >= 3 else mine
    if not bool(mine.any()):
        return False
    x = law.seen[mine]
    slope = _slope(session, split.scalar, x.q)
    push = (slope * law.law.residual(x) * law.law.scale).sum(-1) * split.side
    return float((push < 0).double().mean()) >= _ONE_SIDED


def _slope(session: QuerySession, scalar: Scalar, q: Tensor) -> Tensor:
    """The derivative of a scalar along each velocity (n, nv)."""
    step, nv = 1e-5, session.robot.nv
    columns = []
    for i in range(nv):
        move = torch.zeros(len(q), nv, dtype=q.dtype)
        move[:, i] = step
        columns.append(
            (scalar(session.move(q, move)) - scalar(session.move(q, -move))) / (2 * step)
        )
    return torch.stack(columns, -1)


def _follows_unrelated(session: QuerySession, law: Trimmed, split: _Split) -> bool:
    """Whether states beyond the threshold are followed by others than motion could lead to."""
    x, dt = law.asked, session.blackbox.dt
    if x.q_next is None or x.v_next is None or dt is None:
        return False
    mine = law.large & split.inside
    return float(jumps(session.robot, x, dt)[mine].double().mean()) >= _ONE_SIDED
