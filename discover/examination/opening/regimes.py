"""Regimes in a model's answers: joint limits, contacts and resets, told from a smooth law.

Bodies and joint terms are fitted to the part of the answers that they describe best (least trimmed
squares, Rousseeuw 1984). What they leave over elsewhere is a regime only if all of this holds:

- it lies beyond a threshold of one scalar of the configuration, and hardly anything else does;
- it sets in at the threshold: right before it the law errs very much less than right beyond;
- it pushes one way along that scalar, back to where it came from; or the states that follow are
  unrelated (a reset).

A smooth law or a table that bodies describe badly in some corner passes none of the three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

import kinematics
from discover.blackbox.contract import Answers
from discover.blackbox.regimes import (
    Regime,
    Scalar,
    SmoothPart,
    beyond,
    coordinates,
    entered,
    jumps,
)
from discover.blackbox.sampling import Batch
from discover.blackbox.session import QuerySession
from discover.examination.opening.screen import Screen, screening
from discover.examination.opening.stepping import with_step
from discover.judgement.evidence import Evidence, description
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.terms import joint_terms
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import Fit, fit

_CONCENTRATED = threshold("regimes.concentrated")
_STATES = whole("regimes.states")
_FIRST = 4  # a part of these states is asked first: chance in fewer answers is seen there
_LARGE = threshold("regimes.large")
_DESCRIBED = threshold("regimes.rest_described")
_FEWEST = whole("regimes.fewest")
_MOST = threshold("regimes.most")
_PURE = threshold("regimes.pure")
_SEPARABLE = threshold("regimes.separable")
_SMALL = threshold("regimes.small")
_STRAY = threshold("regimes.stray")
_LEAP = threshold("regimes.leap")
_ONE_SIDED = threshold("regimes.one_sided")
_KEPT = 0.6  # of the answers, in a trimmed fit
_ROUNDS = 8  # of trimming
_SETTLED = 0.98  # of the error before: trimming has settled
_FLOOR = 1e-9  # standardised: residuals below it are rounding
_MIDDLE = 0.8  # of the half-width of a coordinate's interval
_ROWS_A_NUMBER = 3  # answers for each parameter of a fit
_BAND = 0.15  # of the rest: the answers next to a threshold
_REFINED = 64  # answers about a threshold
_ABOVE_REST = 2.0  # the largest residual outside all regimes
_ZOOMS = 2  # looks at it, each closer than the one before
_RECORDED = 1500  # transitions in which regimes are looked for
_COUNTED = 4000  # states of which the share of a regime is counted
_ZOOM = 4.0  # gaps between neighbouring states, in which a threshold is looked for once more


def without_regimes(
    session: QuerySession, screen: Screen, integrator: str | None, substeps: int | None
) -> tuple[QuerySession, Screen]:
    """The session and first answers outside all regimes that the answers show, with the step that
    explains those (integrator and substeps as in `with_step`); unchanged where they show none."""
    left = None if screen.step is None else screen.step.fit.standardised_error(screen.answers)
    exact = left is not None and left <= max(_FLOOR, screen.level)
    if screen.history.kind is not None or exact:
        return session, screen
    regimes = find_regimes(session, screen)
    if not regimes:
        return session, screen
    return with_step(*screening(session.without(regimes)), integrator, substeps)


def regimes_of_transitions(
    session: QuerySession, data: Answers
) -> tuple[tuple[Regime, ...], Tensor]:
    """(the regimes that recorded transitions show by themselves, which of them (n,) are followed by
    unrelated states: few, and far from the law of all others, wherever they lie).

    Nothing is asked. Thresholds are as close as the transitions are dense.
    """
    law = _trimmed(session, data.evenly(_RECORDED), _FLOOR)
    none = torch.zeros(len(data), dtype=torch.bool)
    if law.whole <= 10 * _FLOOR or law.level > _CONCENTRATED * law.whole:
        return (), none
    states = Batch(data.q, data.v, data.commands)
    found = tuple(
        replace(x, share=float(_within(session, (x,), states).double().mean()))
        for x in _regimes(session, law, stray=_STRAY)
    )
    if law.level > _DESCRIBED:
        return found, none
    rows = _rows(law.law, _view_like(session, law, data))
    stray = rows > _cut(law.rows, law.level)
    stray &= ~entered(found, session.robot, data, session.blackbox.dt)
    return found, stray if int(stray.sum()) <= _STRAY * len(data) else none


def evidence_of_regimes(session: QuerySession) -> list[Evidence]:
    """The share of all regimes together, where there are any; no answer depends on it."""
    if not session.regimes:
        return []
    return [
        description(
            "share of other regimes",
            float(_within(session, session.regimes, _many(session)).double().mean()),
            "states of the region in which another force sets in (limits, contacts) or that are "
            "followed by unrelated ones (resets): left out of the law",
        )
    ]


def _many(session: QuerySession) -> Batch:
    """States of the support, regimes included; not asked."""
    support = session.support
    support = support.inner if isinstance(support, SmoothPart) else support
    return support.inside(_COUNTED, session.seed + 137)


def _within(session: QuerySession, regimes: Sequence[Regime], states: Batch) -> Tensor:
    """Which states (n,) lie in a regime, or get there within a step by their speed."""
    hit = beyond(regimes, states.q, guarded=False)
    if session.blackbox.outputs == "next_state" and session.blackbox.dt is not None:
        way = session.move(states.q, session.blackbox.dt * states.v)
        hit |= beyond(regimes, way, guarded=False)
    return hit


def find_regimes(session: QuerySession, screen: Screen) -> tuple[Regime, ...]:
    """The regimes of the region. Asks more only where a part of the first answers is described
    much better than all of them."""
    floor = max(_FLOOR, screen.level)
    few = _trimmed(session, screen.answers, floor)
    if few.whole <= 10 * floor or few.level > _CONCENTRATED * few.whole:
        return ()
    some = _trimmed(session, session.inside("regimes, first", _STATES // _FIRST), floor)
    if some.level > _CONCENTRATED * some.whole:
        return ()
    law = _trimmed(session, session.inside("regimes", _STATES), floor)
    refined = _regimes(session, law)
    for sharper in range(_ZOOMS if refined else 0):
        refined = tuple(_refined(session, law, x, refined, sharper) for x in refined)
    if not refined:
        return ()
    many = _many(session)
    return tuple(
        replace(x, share=float(_within(session, (x,), many).double().mean())) for x in refined
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Trimmed:
    """Bodies and joint terms, fitted to the answers that they describe best.

    seen   the answers, of steps as accelerations in their middle or at their start
    rows   (n,) root mean square of each residual, standardised by the median of |a|
    whole  root mean square of all residuals of a fit to all
    level  residual of the answers that are described: their root mean square, at least `floor`
    large  (n,) which residuals are much larger
    """

    law: Fit
    asked: Answers
    seen: Answers
    rows: Tensor
    whole: float
    level: float
    large: Tensor


def _trimmed(session: QuerySession, answers: Answers, floor: float) -> _Trimmed:
    """The closest of a few fits: of accelerations at the start of a step or in its middle, trimmed
    from all answers or from those whose coordinates keep away from both ends."""
    views = [answers]
    if answers.q_next is not None and answers.v_next is not None:
        way = kinematics.difference(session.robot, answers.q, answers.q_next)
        middle = kinematics.integrate(session.robot, answers.q, way, 0.5)
        mean = 0.5 * (answers.v + answers.v_next)
        views = [
            Answers(q=q, v=v, tau=answers.tau, a=answers.a)
            for q, v in ((answers.q, answers.v), (middle, mean))
        ]
    family = Family.of(session.robot, joint_terms(session.robot))
    everywhere = torch.ones(len(answers), dtype=torch.bool)
    starts = [everywhere]
    middle_rows = _away_from_ends(session, answers)
    if int(middle_rows.sum()) * session.robot.nv >= _ROWS_A_NUMBER * family.size:
        starts.append(middle_rows)
    fits = [_fitted(family, answers, x, rows, floor) for x in views for rows in starts]
    return min(fits, key=lambda t: t.level / max(t.whole, 1e-300))


def _away_from_ends(session: QuerySession, x: Answers) -> Tensor:
    """Which answers (n,) stay in the middle of every coordinate's interval."""
    found = torch.ones(len(x), dtype=torch.bool)
    for scalar in coordinates(session.robot):
        high, low = (_values(session, x, scalar, side) for side in (1, -1))
        ends = scalar(x.q).min(), scalar(x.q).max()
        centre, half = (ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / 2
        found &= (high - centre <= _MIDDLE * half) & (low + centre <= _MIDDLE * half)
    return found


def _fitted(family: Family, asked: Answers, seen: Answers, start: Tensor, floor: float) -> _Trimmed:
    """Fitted to the rows `start` (n,), trimmed to the best of them, then to all that are described
    about as well."""
    size = seen.a[start].abs().median(0).values
    scale = torch.where(size > 0, size, torch.ones_like(size))
    law = fit(family, seen[start], scale=scale)
    rows = _rows(law, seen)
    whole, kept = float(rows.square().mean().sqrt()), round(_KEPT * int(start.sum()))
    outside = torch.where(start, 0.0, float("inf"))
    level = float("inf")
    for _ in range(_ROUNDS):
        best = (rows + outside).argsort()[:kept]
        closer = fit(family, seen[best], scale=scale, start=law.theta)
        now = _rows(closer, seen)
        error = float((now + outside).sort().values[:kept].square().mean().sqrt())
        if not error < level:
            break
        settled = error > _SETTLED * level or error <= floor
        law, rows, level = closer, now, error
        if settled:
            break
    level = max(level, floor)
    for _ in range(2):
        good = rows <= _LARGE * level
        closer = fit(family, seen[good], scale=scale, start=law.theta, alone=True)
        now = _rows(closer, seen)
        again = max(float(now[good].square().mean().sqrt()), floor)
        if again > 2 * level:
            break
        law, rows, level = closer, now, again
    return _Trimmed(
        law=law,
        asked=asked,
        seen=seen,
        rows=rows,
        whole=whole,
        level=level,
        large=rows > _cut(rows, level),
    )


def _cut(rows: Tensor, level: float) -> float:
    """The residual from which one is large: many times the level, and not small beside others that
    are, for the step of an unknown integrator leaves more at high speed."""
    above = rows[rows > _LARGE * level]
    typical = float(above.square().mean().sqrt()) if len(above) else 0.0
    return max(_LARGE * level, _SMALL * typical)


def _rows(law: Fit, answers: Answers) -> Tensor:
    rows = law.residual(answers).square().mean(-1).sqrt()
    return torch.where(torch.isfinite(rows), rows, torch.full_like(rows, 1e12))


@dataclass(frozen=True, kw_only=True)
class _Split:
    """States beyond a threshold of a scalar; `values` (n,) are side · scalar, the largest that a
    state and its step come to."""

    scalar: Scalar
    side: int
    values: Tensor
    threshold: float  # of `values`
    gap: float  # down to the next state

    @property
    def inside(self) -> Tensor:
        return self.values >= self.threshold


def _regimes(session: QuerySession, law: _Trimmed, stray: float = 0.0) -> tuple[Regime, ...]:
    """The regimes that part the large residuals from the others; none where they do not. A share
    `stray` of the answers may be large anywhere."""
    count, n = int(law.large.sum()), len(law.rows)
    if law.level > _DESCRIBED or not _FEWEST <= count <= _MOST * n:
        return ()
    splits = _separated(session, law)
    if not splits:
        return ()
    anywhere = torch.stack([s.inside for s in splits]).any(0)
    rest = ~anywhere
    elsewhere = int((law.large & rest).sum())
    if elsewhere > (1 - _SEPARABLE) * count + stray * n or int(rest.sum()) < (1 - _MOST) * n:
        return ()
    found = []
    for split in splits:
        jumps = _follows_unrelated(session, law, split)
        if not _sets_in(law, split, rest):
            return ()
        if not jumps and not _one_sided(session, law, split, splits):
            return ()
        found.append(
            Regime(
                scalar=split.scalar,
                side=split.side,
                threshold=split.side * split.threshold,
                guard=split.gap,
                jumps=jumps,
            )
        )
    return tuple(found)


def _separated(session: QuerySession, law: _Trimmed) -> list[_Split]:
    """Thresholds that part the large residuals from the others, the most telling first."""
    large, left = law.large, torch.ones_like(law.large)
    splits: list[_Split] = []
    tried = [
        (scalar, side, _reached(session, law, law.asked, scalar, side))
        for scalar in coordinates(session.robot)
        for side in (1, -1)
    ]
    while bool((large & left).any()):
        best: tuple[float, int, float] | None = None
        for i, (_, _, values) in enumerate(tried):
            gain, at = _telling(values[left], large[left])
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


_STRETCH = 0.03  # of a scalar's range: how far below a threshold its first large residuals may lie


def _values(session: QuerySession, x: Answers, scalar: Scalar, side: int) -> Tensor:
    """side · scalar (n,): the larger of a state and of where its speed takes it within a step."""
    values = side * scalar(x.q)
    dt = session.blackbox.dt
    if x.q_next is None or dt is None:
        return values
    ahead = side * scalar(kinematics.integrate(session.robot, x.q, x.v, dt))
    return torch.maximum(values, ahead)


def _telling(values: Tensor, large: Tensor) -> tuple[float, float]:
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


_CHANCE = 6.0  # nats that a threshold, chosen among all, must be worth


def _likelihood(hits: Tensor, of: Tensor) -> Tensor:
    """The log-likelihood of so many hits at their own rate."""
    misses = of - hits
    total = of.clamp_min(1e-300)
    return torch.xlogy(hits, hits / total) + torch.xlogy(misses, misses / total)


def _sets_in(law: _Trimmed, split: _Split, rest: Tensor) -> bool:
    """Whether the residual leaps at the threshold: a smooth law that bodies leave begins to leave
    them before it, and is not much further from them right beyond."""
    values, rows = split.values[rest], law.rows[rest]
    near = values.argsort(descending=True)[: max(8, round(_BAND * len(rows)))]
    mine = law.large & split.inside
    first = split.values[mine].argsort()[: max(3, int(mine.sum()) // 4)]
    before, beyond_it = law.rows[rest][near].median(), law.rows[mine][first].median()
    return float(beyond_it) >= _LEAP * max(float(before), law.level / 10)


def _one_sided(
    session: QuerySession, law: _Trimmed, split: _Split, splits: Sequence[_Split]
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


def _follows_unrelated(session: QuerySession, law: _Trimmed, split: _Split) -> bool:
    """Whether states beyond the threshold are followed by others than motion could lead to."""
    x, dt = law.asked, session.blackbox.dt
    if x.q_next is None or x.v_next is None or dt is None:
        return False
    mine = law.large & split.inside
    return float(jumps(session.robot, x, dt)[mine].double().mean()) >= _ONE_SIDED


def _refined(
    session: QuerySession, law: _Trimmed, regime: Regime, all_: Sequence[Regime], sharper: int
) -> Regime:
    """The threshold, from answers close to it."""
    entry = regime.scalar.entry
    if entry is None or regime.guard <= 0:
        return regime
    width = _ZOOM * regime.guard
    batch = session.draw(f"about {regime.scalar.name} {regime.side}, {sharper}", _REFINED)
    generator = torch.Generator().manual_seed(session.seed + 131 + sharper)
    unit = 2 * torch.rand(_REFINED, generator=generator, dtype=torch.float64) - 1
    q = batch.q.clone()
    q[:, entry] = regime.threshold + width * unit
    others = [r for r in all_ if r is not regime]
    for r in others:
        if r.scalar.entry is not None:
            i = r.scalar.entry
            hit = r.excess(q) > -r.guard
            q[:, i] = torch.where(hit, 2 * r.bound - q[:, i], q[:, i])
    asked = session.ask(q, batch.v, batch.tau)
    view = _view_like(session, law, asked)
    outside = ~law.large & ~beyond(all_, law.asked.q)
    left = float(law.rows[outside].max()) if bool(outside.any()) else 0.0
    large = _rows(law.law, view) > max(_LARGE * law.level, _ABOVE_REST * left)
    large &= ~entered(others, session.robot, asked, session.blackbox.dt)
    values = _values(session, asked, regime.scalar, regime.side)
    ordered = values.sort().values
    spacing = float((ordered[-1] - ordered[0]) / len(ordered))
    if not bool(large.any()):
        return regime
    least = min(float(values[large].min()), regime.side * regime.threshold)
    at = float(_reached(session, law, asked, regime.scalar, regime.side)[large].min())
    # Questions keep the distance that forces may push across within a step.
    return replace(regime, threshold=regime.side * at, guard=max(at - least, 0.0) + 2 * spacing)


def _reached(session: QuerySession, law: _Trimmed, x: Answers, scalar: Scalar, side: int) -> Tensor:
    """side · scalar (n,), as far as a step comes without the regime's force: no less than where it
    meets that force."""
    values = _values(session, x, scalar, side)
    dt = session.blackbox.dt
    if x.q_next is None or dt is None:
        return values
    a = law.law.acceleration(x.q, x.v, x.tau)
    ahead = side * scalar(session.move(x.q, dt * (x.v + dt * a)))
    return torch.maximum(values, torch.where(torch.isfinite(ahead), ahead, values))


def _view_like(session: QuerySession, law: _Trimmed, asked: Answers) -> Answers:
    """The answers seen as those of the trimmed fit: at their start, or in their middle."""
    if asked.q_next is None or asked.v_next is None:
        return asked
    q, v = asked.q, asked.v
    if law.seen.q is not law.asked.q:
        way = kinematics.difference(session.robot, asked.q, asked.q_next)
        q = kinematics.integrate(session.robot, asked.q, way, 0.5)
        v = 0.5 * (asked.v + asked.v_next)
    return Answers(q=q, v=v, tau=asked.tau, a=asked.a)
