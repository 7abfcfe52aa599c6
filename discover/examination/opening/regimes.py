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

from discover.blackbox.contract import Answers
from discover.blackbox.regimes import (
    AnyRegime,
    Regime,
    SmoothPart,
    beyond,
    entered,
    jumps,
    standstills,
)
from discover.blackbox.sampling import Batch
from discover.blackbox.session import QuerySession
from discover.examination.opening.screen import Screen, screening
from discover.examination.opening.separation import parted
from discover.examination.opening.standstill import (
    held_joints,
    widened,
    with_jumping_friction,
)
from discover.examination.opening.stepping import with_step
from discover.examination.opening.trimmed import (
    Trimmed,
    ahead_of,
    large_from,
    reached,
    seen_as,
    sizes,
    trimmed,
    values_of,
)
from discover.judgement.evidence import Evidence, description
from discover.judgement.thresholds import threshold, whole
from discover.laws.rigid_body.fit import Fit

_CONCENTRATED = threshold("regimes.concentrated")
_STATES = whole("regimes.states")
_FIRST = 4  # a part of these states is asked first: chance in fewer answers is seen there
_LARGE = threshold("regimes.large")
_DESCRIBED = threshold("regimes.rest_described")
_MOST = threshold("regimes.most")
_STRAY = threshold("regimes.stray")
_STRETCH = threshold("regimes.stretch")
_FLOOR = 1e-9  # standardised: residuals below it are rounding
_REFINED = 64  # answers about a threshold
_ABOVE_REST = 2.0  # the largest residual outside all regimes
_ZOOMS = 2  # looks at it, each closer than the one before
_ENOUGH = 50  # transitions in which regimes can be told
_ASKED = 1500  # of them, at which the model is asked
_SHOWN = threshold("regimes.model_shows")
_EXACT_SHARE = threshold("regimes.exact_share")
_ROWS_A_NUMBER = 3  # answers for each parameter of a law that is exact on them
_RECORDED = 1500  # transitions in which regimes are looked for
_COUNTED = 4000  # states of which the share of a regime is counted
_ZOOM = 4.0  # gaps between neighbouring states, in which a threshold is looked for once more
_NEAR = 0.03  # of a joint's interval: a threshold as close to a described limit is that limit
_AROUND = 3.0  # half-widths out to which an exact law is followed
_ROUNDING_OF_LAW = 1e-7  # of the size of an answer: what an exact law may leave further out


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
        session.lend("regimes, first", "regimes")  # states of the region like any others
        return session, screen
    return with_step(*screening(session.without(regimes)), integrator, substeps)


def regimes_of_transitions(
    session: QuerySession, data: Answers
) -> tuple[tuple[Regime, ...], Tensor, Tensor]:
    """(the regimes that recorded transitions show by themselves; which of them (n,) are few and far
    from the law of all others, wherever they lie; which (n,) of the regimes begin, a little before
    their thresholds).

    Nothing is asked. Thresholds are as close as the transitions are dense.
    """
    law = trimmed(session, data.evenly(_RECORDED), _FLOOR)
    none = torch.zeros(len(data), dtype=torch.bool)
    if law.whole <= 10 * _FLOOR or law.level > _CONCENTRATED * law.whole:
        return (), none, none
    states = Batch(data.q, data.v, data.commands)
    found = tuple(
        replace(x, share=float(_within(session, (x,), states).double().mean()))
        for x in parted(session, law, stray=_STRAY)
    )
    if law.level > _DESCRIBED:
        return found, none, none
    rows = sizes(law.law, seen_as(session, law, data))
    stray = rows > large_from(law.rows, law.level)
    stray &= ~entered(found, session.robot, data, session.blackbox.dt)
    if int(stray.sum()) > _STRAY * len(data):
        return found, none, none
    ways = ahead_of(session, law, data)
    begun = none.clone()
    for x in found:
        values = reached(x.scalar, x.side, data.q, ways)
        margin = _STRETCH * float(values.max() - values.min())
        begun |= stray & (values >= x.side * x.threshold - margin)
    return found, stray, begun


def without_recorded_regimes(
    session: QuerySession,
    screen: Screen,
    data: Answers | None,
    integrator: str | None,
    substeps: int | None,
) -> tuple[QuerySession, Screen]:
    """The session and first answers outside the regimes that held-out transitions show, where the
    model has learned them too; unchanged where they show none, or the model is no noisy one.

    What a network leaves of every law hides limits and contacts in its answers. The recordings
    that it was trained on are those of a machine or simulator, and show them sharply.
    """
    dt = session.blackbox.dt
    if data is None or len(data) < _ENOUGH or session.regimes or screen.history.kind is not None:
        return session, screen
    if screen.step is not None and screen.step.error <= max(_FLOOR, 2 * screen.level):
        return session, screen
    found = regimes_of_transitions(session, data)[0]
    if not found or any(x.jumps for x in found):
        return session, screen
    x = data.evenly(_ASKED)
    law = trimmed(session, x, _FLOOR)
    inside = entered(found, session.robot, x, dt if x.q_next is not None else None) & law.large
    rest = ~inside & ~law.large
    if not bool(inside.any()) or not bool(rest.any()):
        return session, screen
    left = sizes(law.law, seen_as(session, law, session.ask(x.q, x.v, x.commands)))
    if float(left[inside].median()) < _SHOWN * float(left[rest].median()):
        return session, screen
    regimes = tuple(replace(r, described=_described(session, r)) for r in found)
    return with_step(*screening(session.without(regimes)), integrator, substeps)


def evidence_of_regimes(session: QuerySession) -> list[Evidence]:
    """The share of all regimes together, where there are any; no answer depends on it."""
    if not session.regimes:
        return []
    share = float(_within(session, session.regimes, _many(session)).double().mean())
    return [share_of_regimes(share)]


def share_of_regimes(share: float) -> Evidence:
    """The same as a number that describes."""
    return description(
        "share of other regimes",
        share,
        "states of the region in which another force sets in (limits, contacts) or that are "
        "followed by unrelated ones (resets): left out of the law",
    )


def _many(session: QuerySession) -> Batch:
    """States of the support, regimes included; not asked."""
    support = session.support
    support = support.inner if isinstance(support, SmoothPart) else support
    return support.inside(_COUNTED, session.seed + 137)


def _within(session: QuerySession, regimes: Sequence[AnyRegime], states: Batch) -> Tensor:
    """Which states (n,) lie in a regime, or get there within a step by their speed."""
    slow = [x.slow(states.v) for x in standstills(regimes)]
    hit = beyond(regimes, states.q, guarded=False)
    hit = torch.stack([hit, *slow]).any(0)
    if session.blackbox.outputs == "next_state" and session.blackbox.dt is not None:
        way = session.move(states.q, session.blackbox.dt * states.v)
        hit |= beyond(regimes, way, guarded=False)
    return hit


def with_surrounding_regimes(
    session: QuerySession, screen: Screen, law: Fit, integrator: str | None, substeps: int | None
) -> tuple[QuerySession, Screen] | None:
    """The session and first answers outside the regimes in and about the region that a law shows
    which is exact on the first answers; None where it shows none that are new or lie elsewhere."""
    regimes = regimes_of_law(session, law)
    if not regimes or _same(regimes, session.regimes):
        return None
    if standstills(regimes):
        session = with_jumping_friction(session)
    return with_step(*screening(session.without(regimes)), integrator, substeps)


def regimes_of_law(session: QuerySession, law: Fit) -> tuple[AnyRegime, ...]:
    """The regimes in the region and as far around it as laws are tested, that leave an exact law.

    Their thresholds are as sharp as the answers are dense: no residual of the law hides them.
    """
    known = tuple(standstills(session.regimes))
    bare = session.without(known)
    n = _STATES // 4
    more = (bare.inside("regimes", n), bare.shell("q", 1.0, _AROUND, n))
    x = Answers.concat([*session.answers.values(), *more])
    answered = torch.isfinite(x.a).all(-1)
    x = x[answered]
    rows = sizes(law, x) / (1.0 + (x.a / law.scale).square().mean(-1).sqrt())
    seen = Trimmed(
        law=law,
        asked=x,
        seen=x,
        rows=rows,
        whole=float(rows.square().mean().sqrt()),
        level=_ROUNDING_OF_LAW,
        large=rows > _LARGE * _ROUNDING_OF_LAW,
    )
    found = counted(session, sharpened(bare, seen, parted(bare, seen)))
    return (*found, *known) if found else widened(known, held_joints(bare, seen))


def _same(found: Sequence[AnyRegime], known: Sequence[AnyRegime]) -> bool:
    """Whether they are the same regimes, none of which sets in further in than was known."""
    before = {x.place: x for x in known}
    return len(found) == len(known) and all(
        (old := before.get(x.place)) is not None and x.extent <= old.extent for x in found
    )


def find_regimes(session: QuerySession, screen: Screen) -> tuple[Regime, ...]:
    """The regimes of the region. Asks more only where a part of the first answers is described
    much better than all of them."""
    floor = max(_FLOOR, screen.level)
    if not _leaps(session, screen.answers):
        few = trimmed(session, screen.answers, floor)
        if few.whole <= 10 * floor or few.level > _CONCENTRATED * few.whole:
            return ()
    some = trimmed(session, session.inside("regimes, first", _STATES // _FIRST), floor)
    if some.level > _CONCENTRATED * some.whole:
        return ()
    law = trimmed(session, session.inside("regimes", _STATES), floor)
    return counted(session, sharpened(session, law, parted(session, law)))


@dataclass(frozen=True, kw_only=True)
class LawOfAPart:
    """Bodies that describe a part of the region to rounding, which no threshold sets apart.

    share  of the answers that they describe; level, their residual there [spread of a]
    """

    share: float
    level: float

    def __str__(self) -> str:
        return (
            f"{self.share:.0%} of the answers in the region are a law's to rounding, the others "
            "are not, and no threshold of a coordinate or of a body's height tells where."
        )


def law_of_a_part(session: QuerySession, screen: Screen) -> LawOfAPart | None:
    """What `find_regimes` saw where it could not tell regimes apart; None where no law is exact on
    a part of the answers. Nothing is asked."""
    answers = session.answers.get("regimes")
    if answers is None or len(answers) < _STATES:
        return None
    law = trimmed(session, answers, max(_FLOOR, screen.level))
    exact = ~law.large
    enough = int(exact.sum()) * session.robot.nv >= _ROWS_A_NUMBER * law.law.family.size
    share = float(exact.double().mean())
    if law.level > _ROUNDING_OF_LAW or share < _EXACT_SHARE or share == 1.0 or not enough:
        return None
    return LawOfAPart(share=share, level=law.level)


def _leaps(session: QuerySession, x: Answers) -> bool:
    """Whether a few of the answers are further than any speed could carry them: resets, in which a
    fit to few answers may drown."""
    dt = session.blackbox.dt
    if x.q_next is None or dt is None:
        return False
    share = float(jumps(session.robot, x, dt).double().mean())
    return 0 < share <= 1 - _MOST / 2


def sharpened(
    session: QuerySession, law: Trimmed, regimes: tuple[Regime, ...]
) -> tuple[Regime, ...]:
    """The same with thresholds from answers close to them."""
    for sharper in range(_ZOOMS if regimes else 0):
        regimes = tuple(_refined(session, law, x, regimes, sharper) for x in regimes)
    return regimes


def counted(session: QuerySession, regimes: tuple[Regime, ...]) -> tuple[Regime, ...]:
    """The same with the share of the region's states that lie in each, and the joint limit that the
    description has there."""
    many = _many(session)
    return tuple(
        replace(
            x,
            share=float(_within(session, (x,), many).double().mean()),
            described=_described(session, x),
        )
        for x in regimes
    )


def _described(session: QuerySession, regime: Regime) -> float | None:
    """The joint limit of the description at a threshold, where there is one."""
    robot, entry = session.robot, regime.scalar.entry
    if entry is None or regime.jumps:
        return None
    limit = float((robot.upper if regime.side > 0 else robot.lower)[entry])
    low, high = (float(x[entry]) for x in (robot.lower, robot.upper))
    near = max(2 * regime.guard, _NEAR * (high - low if high - low < torch.inf else 1.0))
    return limit if abs(limit - regime.threshold) <= near else None


def _refined(
    session: QuerySession, law: Trimmed, regime: Regime, all_: Sequence[Regime], sharper: int
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
    view = seen_as(session, law, asked)
    outside = ~law.large & ~beyond(all_, law.asked.q)
    left = float(law.rows[outside].max()) if bool(outside.any()) else 0.0
    large = sizes(law.law, view) > max(_LARGE * law.level, _ABOVE_REST * left)
    held = standstills(session.regimes)
    large &= ~entered((*others, *held), session.robot, asked, session.blackbox.dt)
    values = values_of(session, asked, regime.scalar, regime.side)
    ordered = values.sort().values
    spacing = float((ordered[-1] - ordered[0]) / len(ordered))
    if not bool(large.any()):
        return regime
    least = min(float(values[large].min()), regime.side * regime.threshold)
    ways = ahead_of(session, law, asked)
    at = float(reached(regime.scalar, regime.side, asked.q, ways)[large].min())
    # Questions keep the distance that forces may push across within a step.
    return replace(regime, threshold=regime.side * at, guard=max(at - least, 0.0) + 2 * spacing)
