"""Dry friction that holds a joint: where it does, its force is what the others ask of it.

Sliding, it has its full size against the motion, and a law with sign(v) is exact. Holding, it keeps
the joint still, and simulators differ in how: MuJoCo's `frictionloss` is a soft constraint (its
documentation, "Computation: constraint model"), which asks for v + T a = 0 with as much force as it
has. So joints that are slow, or would be before a time T, are set apart, if all of
this holds of what the law of sliding leaves:

- it is confined to answers in which some joint's v + t a is small or changes its sign before T;
- there the force that is missing is no larger than dry friction of the fitted size allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from discover.blackbox.regimes import Standstill, placed, slowest_speed, standstills
from discover.blackbox.session import QuerySession
from discover.examination.opening.screen import Screen, screening
from discover.examination.opening.separation import telling
from discover.examination.opening.stepping import with_step
from discover.examination.opening.trimmed import Trimmed, trimmed
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.terms import JUMP, scalar_coordinates

_STATES = whole("regimes.states")
_CONCENTRATED = threshold("regimes.concentrated")
_DESCRIBED = threshold("regimes.rest_described")
_FEWEST = whole("regimes.fewest")
_MOST = threshold("regimes.most")
_SEPARABLE = threshold("regimes.separable")
_ONE_SIDED = threshold("regimes.one_sided")
_MOST_SLOW = threshold("regimes.standstill_slow")
_MOST_HELD = threshold("regimes.standstill_most")
_WIDER = threshold("regimes.standstill_wider")
_AHEAD, _TIMES = 8.0, 161  # steps ahead in which a joint may be brought to rest; times tried
_FURTHER = 3.0  # times the speed: large residuals that few answers have beyond it
_FIRST = 4  # a part of these states is asked first
TWICE = 2.2  # dry friction that acts one way in the place of the other, and what a step adds
_FLOOR = 1e-9  # standardised: residuals below it are rounding


def with_standstill(
    session: QuerySession, screen: Screen, integrator: str | None, substeps: int | None
) -> tuple[QuerySession, Screen] | None:
    """The session and first answers without the speeds at which dry friction holds joints, its
    robot's friction jumping; None where the answers show none. For models that no law fits to
    rounding error."""
    if screen.noise.random > 0 or not scalar_coordinates(session.robot):
        return None
    jumping = with_jumping_friction(session)
    law = law_of_sliding(jumping, screen)
    if law is None:
        return None
    held = held_joints(jumping, law)
    if not held:
        return None
    others = tuple(placed(session.regimes))
    stills = widened(tuple(standstills(session.regimes)), held)
    return with_step(*screening(jumping.without((*others, *stills))), integrator, substeps)


def law_of_sliding(jumping: QuerySession, screen: Screen) -> Trimmed | None:
    """The law of the answers that bodies whose dry friction jumps describe best; None where that
    is not much better than all. The questions are those for other regimes: where these were looked
    for, the answers are there."""
    floor = max(_FLOOR, screen.level)
    law = None
    for name, n in (("", 0), ("regimes, first", _STATES // _FIRST), ("regimes", _STATES)):
        law = trimmed(jumping, jumping.inside(name, n) if n else screen.answers, floor)
        if law.level > _CONCENTRATED * law.whole:
            return None
    return law


def with_jumping_friction(session: QuerySession) -> QuerySession:
    """The session whose robot's dry friction reverses at once; its answers stay."""
    robot = session.robot
    if robot.friction_speed <= JUMP:
        return session
    return replace(session, robot=robot.replace(friction_speed=JUMP))


def widened(known: Sequence[Standstill], more: Sequence[Standstill]) -> tuple[Standstill, ...]:
    """All of them, one a joint: the faster."""
    found = {x.entry: x for x in known}
    for x in more:
        old = found.get(x.entry)
        if old is None or x.speed > old.speed:
            found[x.entry] = x
    return tuple(found[j] for j in sorted(found))


def held_joints(session: QuerySession, law: Trimmed) -> tuple[Standstill, ...]:
    """The joints that the large residuals of a law of sliding show to be held by dry friction, and
    up to which speeds."""
    count, n = int(law.large.sum()), len(law.rows)
    if law.level > _DESCRIBED or not _FEWEST <= count <= _MOST * n:
        return ()
    joints, left = scalar_coordinates(session.robot), torch.ones_like(law.large)
    found: dict[int, Standstill] = {}
    while bool((law.large & left).any()) and len(found) < len(joints):
        gains = {j: _slow(session, law, j, left) for j in joints if j not in found}
        best = max(gains, key=lambda j: gains[j][0])
        if gains[best][0] <= 0:
            break
        found[best] = gains[best][1]
        left &= ~found[best].held(law.asked)
    missed = int((law.large & left).sum())
    if not found or missed > (1 - _SEPARABLE) * count:
        return ()
    slow = [float(x.slow(law.asked.v).double().mean()) for x in found.values()]
    if max(slow) > _MOST_SLOW or max(x.share for x in found.values()) > _MOST_HELD:
        return ()
    if not _within_friction(law, {j: x.held(law.asked) for j, x in found.items()}):
        return ()
    wider = [_wider(law, found[j], found) for j in sorted(found)]
    return tuple(replace(x, share=_share(law, x)) for x in wider)


def _wider(law: Trimmed, still: Standstill, found: Mapping[int, Standstill]) -> Standstill:
    """The same with a margin in speed and time, out to the large residuals that no other joint
    explains: forces that change within a step hold a joint from somewhat further."""
    others = [x.held(law.asked) for x in found.values() if x.entry != still.entry]
    alone = law.large & ~torch.stack([*others, torch.zeros_like(law.large)]).any(0)
    further = replace(still, ahead=_WIDER * still.ahead)
    speed = slowest_speed(law.asked, still.entry, further.ahead)[alone]
    near = speed[speed <= _FURTHER * still.speed]
    return replace(further, speed=_WIDER * max([still.speed, *near.tolist()]))


def _slow(session: QuerySession, law: Trimmed, j: int, left: Tensor) -> tuple[float, Standstill]:
    """What it tells [nats] of the large residuals that are left that coordinate j is slow, after
    the time that tells the most; and up to which speed it is."""
    robot, dt = session.robot, session.blackbox.dt
    name = next(x for x in robot.independent_names if robot.v_slice(x).start == j)
    best = 0.0, Standstill(entry=j, name=f"v[{j}] ({name})", speed=0.0)
    for ahead in torch.linspace(0, _AHEAD * dt, _TIMES).tolist() if dt else [0.0]:
        speed = slowest_speed(law.asked, j, ahead)
        gain, at = telling(-speed[left], law.large[left])
        if gain > best[0]:
            best = gain, replace(best[1], speed=-at, ahead=ahead)
    return best[0], replace(best[1], share=_share(law, best[1]))


def _share(law: Trimmed, x: Standstill) -> float:
    return float(x.held(law.asked).double().mean())


def _within_friction(law: Trimmed, held: Mapping[int, Tensor]) -> bool:
    """Whether what the law leaves of the slow answers (n,) of each joint is a force that its dry
    friction can make up for: at most twice its size, from one way to the other."""
    size, force = friction_of(law), force_left(law)
    return all(
        float((force[law.large & slow, j].abs() <= TWICE * size[j]).double().mean()) >= _ONE_SIDED
        for j, slow in held.items()
    )


def friction_of(law: Trimmed) -> Tensor:
    """The size of each joint's dry friction (nv,), of a law of sliding [N·m | N]."""
    family = law.law.family
    size = torch.zeros(family.robot.nv, dtype=torch.float64)
    beside = law.law.theta[family.basis.shape[1] :].tolist()
    for term, c in zip(family.terms, beside, strict=True):
        if term.joint_term == "friction":
            size[term.joint] = c
    return size


def force_left(law: Trimmed) -> Tensor:
    """The joint forces (n, nv) that a law leaves unexplained [N·m | N]."""
    x = law.seen
    H = law.law.family.stepping(None).inertia_and_bias(law.law.theta, x.q, x.v, x.tau)[0]
    return (H @ (law.law.residual(x) * law.law.scale).unsqueeze(-1)).squeeze(-1)
