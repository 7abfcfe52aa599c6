"""Joint limits of the description that a noisy model has learned, without recordings to show them.

What a network leaves of every law hides where its answers leap, so that no threshold can be found
in them. Where the description says that a joint ends, none need be found: bodies are fitted to
answers before all described limits, and a limit has been learned if right beyond it they leave very
much more than right before it, and what they leave pushes that joint back. A force that grows
smoothly leaves little more right beyond than right before.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

import kinematics
from discover.blackbox.contract import Answers
from discover.blackbox.regimes import Regime, SmoothPart, coordinates
from discover.blackbox.session import QuerySession
from discover.examination.opening.regimes import counted
from discover.examination.opening.screen import Screen, screening
from discover.examination.opening.stepping import with_step
from discover.examination.opening.trimmed import ahead_of, reached, seen_as, sizes, trimmed
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.terms import joint_terms
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import fit

_STATES = whole("regimes.states")
_FEWEST = whole("regimes.fewest")
_MOST = threshold("regimes.most")
_LEAP = threshold("regimes.described_leap")
_ONE_SIDED = threshold("regimes.one_sided")
_FLOOR = 1e-9  # standardised: residuals below it are rounding
_BAND = 0.25  # of the answers before a limit, and beyond it: those next to it
_GUARD = 0.02  # of a joint's interval: kept from a limit, which a network blurs
_ROWS_A_NUMBER = 2  # answers for each parameter of the fit


@dataclass(frozen=True, kw_only=True)
class _Limit:
    """A described limit within the region, and how far states and their steps come along it."""

    regime: Regime
    values: Tensor  # (n,) side · coordinate, the largest of each state and its step

    @property
    def beyond(self) -> Tensor:
        return self.values > self.regime.side * self.regime.threshold


def without_described_limits(
    session: QuerySession, screen: Screen, integrator: str | None, substeps: int | None
) -> tuple[QuerySession, Screen]:
    """The session and first answers before the joint limits of the description that a model shows
    which is no law to rounding (integrator and substeps as in `with_step`); unchanged where the
    region ends before all limits, or the model shows none. Asks only where limits lie within."""
    known = session.regimes or screen.history.kind is not None
    lawful = screen.step is not None and screen.step.error <= max(_FLOOR, 2 * screen.level)
    if known or lawful or not _candidates(session):
        return session, screen
    answers = session.inside("described limits", _STATES)
    found = _learned(session, answers, screen.level)
    if not found:
        session.lend("described limits")
        return session, screen
    return with_step(*screening(session.without(counted(session, found))), integrator, substeps)


def _candidates(session: QuerySession) -> list[Regime]:
    """The described joint limits that states of the region lie beyond."""
    robot, support = session.robot, session.support
    support = support.inner if isinstance(support, SmoothPart) else support
    q = support.inside(_STATES, session.seed + 139).q
    found = []
    for scalar in coordinates(robot):
        low, high = (float(x[scalar.entry]) for x in (robot.lower, robot.upper))
        width = high - low if high - low < torch.inf else float(q[:, scalar.entry].std())
        for side, limit in ((1, high), (-1, low)):
            count = int((side * (q[:, scalar.entry] - limit) > 0).sum())
            if _FEWEST <= count <= _MOST * len(q):
                found.append(
                    Regime(
                        scalar=scalar,
                        side=side,
                        threshold=limit,
                        guard=_GUARD * width,
                        described=limit,
                    )
                )
    return found


def _learned(session: QuerySession, x: Answers, level: float) -> tuple[Regime, ...]:
    """The described limits beyond which answers leap away from bodies that describe the rest."""
    finite = torch.isfinite(x.a).all(-1)
    x = x[finite]
    law = trimmed(session, x, max(_FLOOR, level))
    if law.whole <= 10 * max(_FLOOR, level):
        return ()
    ways = ahead_of(session, law, x)
    limits = [
        _Limit(regime=r, values=reached(r.scalar, r.side, x.q, ways)) for r in _candidates(session)
    ]
    limits = [y for y in limits if _FEWEST <= int(y.beyond.sum()) <= _MOST * len(x)]
    if not limits:
        return ()
    free = ~torch.stack([y.beyond for y in limits]).any(0)
    family = Family.of(session.robot, joint_terms(session.robot))
    rows = free.nonzero().flatten()
    if len(rows) * session.robot.nv < 2 * _ROWS_A_NUMBER * family.size:
        return ()
    # Half of the free answers are fitted, and the other half says what the bodies leave.
    seen = seen_as(session, law, x)
    bodies = fit(family, seen[rows[::2]], scale=law.law.scale, start=law.law.theta)
    left = sizes(bodies, seen)
    before = torch.zeros_like(free)
    before[rows[1::2]] = True
    push = bodies.residual(seen) * bodies.scale
    push = torch.einsum("nij,nj->ni", kinematics.crba(session.robot, x.q), push)
    return tuple(y.regime for y in limits if _leaps(session, y, left, push, before, limits))


def _leaps(
    session: QuerySession,
    limit: _Limit,
    left: Tensor,
    push: Tensor,
    before: Tensor,
    limits: list[_Limit],
) -> bool:
    """Whether the residual right beyond the limit, and no other, is very much larger than right
    before it, and the joint forces `push` (n, nv) that make it push back."""
    others = [y.beyond for y in limits if y is not limit]
    alone = limit.beyond & ~torch.stack([*others, torch.zeros_like(limit.beyond)]).any(0)
    rows, near = alone.nonzero().flatten(), before.nonzero().flatten()
    rows = rows[limit.values[rows].argsort()][: max(_FEWEST, round(_BAND * len(rows)))]
    near = near[limit.values[near].argsort(descending=True)]
    near = near[: max(_FEWEST, round(_BAND * len(near)))]
    if len(rows) < _FEWEST or len(near) < _FEWEST:
        return False
    entry = _velocity_entry(session, limit.regime)
    back = (limit.regime.side * push[rows, entry] < 0).double().mean()
    leap = float(left[rows].median()) / float(left[near].median())
    return leap > _LEAP and float(back) >= _ONE_SIDED


def _velocity_entry(session: QuerySession, regime: Regime) -> int:
    """The entry of v that belongs to a regime's entry of q."""
    robot = session.robot
    for name in robot.independent_names:
        at = robot.q_slice(name)
        if regime.scalar.entry in range(at.start, at.stop):
            return robot.v_slice(name).start + regime.scalar.entry - at.start
    raise AssertionError(regime.scalar.name)
