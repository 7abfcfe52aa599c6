"""What a description says and a model may not do: smooth friction, controls that are clipped.

No robot format states over which speed Coulomb friction reverses. The reference simulator smooths
it over `robot.friction_speed`; other simulators may jump. The two differ at a few states only,
which is enough to make an exact law look like none: so both are fitted, and the answers choose.

A simulator clips its controls; a network that was trained within the limits goes on somehow. A law
that clips where the model does not would be blamed for it far out: so the model is asked.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from discover.blackbox.contract import Answers
from discover.blackbox.session import QuerySession
from discover.examination.opening.screen import Screen
from discover.judgement.thresholds import threshold
from discover.laws.extensions.terms import JUMP, joint_terms, scalar_coordinates
from discover.laws.search.selection import refit
from discover.probes.reach import FARTHEST
from kinematics import Actuation

_EXACT = threshold("examination.exact")
_CLOSER = threshold("examination.friction_jumps")
_SAME = threshold("limits.goes_on")
_CERTAIN = threshold("limits.goes_on_certain")
_STATES = 12


def with_friction_as_answered(session: QuerySession, screen: Screen) -> tuple[QuerySession, Screen]:
    """The session and the first answers with a robot whose friction jumps, where that is closer to
    held-out answers; else both as they are."""
    robot = session.robot
    exact = max(_EXACT, 10 * screen.noise.rounding)
    if screen.step is not None and screen.step.error <= exact:
        return session, screen
    first = screen.first
    if robot.friction_speed <= JUMP or not scalar_coordinates(robot):
        return session, screen
    if first.standardised_error(screen.held_out) <= exact:
        return session, screen
    errors = []
    for speed in (robot.friction_speed, JUMP):
        tree = first.family.robot.replace(friction_speed=speed)
        bare = replace(first, family=replace(first.family, robot=tree))
        law = refit(bare, screen.fitting, joint_terms(tree))
        errors.append(law.standardised_error(screen.held_out))
    smoothed, jumping = errors
    if not jumping < _CLOSER * smoothed:
        return session, screen
    session = replace(session, robot=robot.replace(friction_speed=JUMP))
    return session, replace(screen, session=session)


def with_limits_as_answered(
    session: QuerySession, screen: Screen
) -> tuple[QuerySession, Screen, list[str]]:
    """The session whose actuation has limits only if the model shows them beyond the region, and
    what is to be told. Nothing is asked where no limit lies within reach of the shells."""
    actuation = session.blackbox.actuation
    if actuation is None:
        return session, screen, []
    x = session.support.shell("tau", 1.0, FARTHEST, _STATES, session.seed + 151)
    clipped = torch.maximum(torch.minimum(x.tau, actuation.high), actuation.low)
    beyond = (clipped != x.tau).any(-1)
    if not bool(beyond.any()):
        return session, screen, []
    q, v, u, inside = (y[beyond] for y in (*x, clipped))
    gone_on, held = session.ask(q, v, u).a, session.ask(q, v, inside).a
    change = float(((gone_on - held) / screen.scale).abs().median(0).values.max())
    if not change > _SAME + _CERTAIN * screen.level:
        return session, screen, []
    open_ = torch.full_like(actuation.low, torch.inf)
    unlimited = replace(actuation, low=-open_, high=open_)
    session = replace(
        session,
        blackbox=session.blackbox.with_actuation(unlimited),
        answers={name: _with_forces(y, unlimited) for name, y in session.answers.items()},
    )
    said = (
        "Beyond the limits of its controls the model goes on where the description clips: the law "
        "is without those limits."
    )
    answers = _with_forces(screen.answers, unlimited)
    return session, replace(screen, session=session, answers=answers), [said]


def _with_forces(x: Answers, actuation: Actuation) -> Answers:
    """The same answers with the joint forces that this actuation makes of their controls."""
    return x if x.u is None else replace(x, tau=actuation.forces(x.u))
