"""Coulomb friction as the model has it: a jump where the speed turns, or smoothed.

No robot format states over which speed friction reverses. The reference simulator smooths it over
`robot.friction_speed`; other simulators may jump. The two differ at a few states only, which is
enough to make an exact law look like none: so both are fitted, and the answers choose.
"""

from __future__ import annotations

from dataclasses import replace

from discover.blackbox.session import QuerySession
from discover.examination.opening.screen import Screen
from discover.judgement.thresholds import threshold
from discover.laws.extensions.terms import JUMP, joint_terms, scalar_coordinates
from discover.laws.search.selection import refit

_EXACT = threshold("examination.exact")
_CLOSER = threshold("examination.friction_jumps")


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
    if screen.step is not None and screen.step.error <= exact:
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
