"""Mimic joints as files state them: chains followed to the independent joints that drive them."""

from __future__ import annotations

from collections.abc import Collection

from kinematics.errors import RobotError
from kinematics.robot.joints import Mimic


def independent_mimics(
    mimics: list[Mimic], moving: Collection[str], label: str
) -> tuple[tuple[Mimic, ...], list[str]]:
    """Mimics of independent joints only, and notes on those whose driver does not move.

    ``moving`` names the joints that there are. RobotError on a loop of mimics.
    """
    moving = set(moving)
    notes = [
        f"joint {m.joint!r} mimics {m.driver!r}, which is no moving joint: left independent; "
        "mend the name of the joint that it mimics"
        for m in mimics
        if m.driver not in moving
    ]
    by_name = {m.joint: m for m in mimics if m.driver in moving}
    done: dict[str, Mimic] = {}
    for start in by_name:
        # down to something known, then back up: every link is followed once
        chain: dict[str, None] = {}
        at = start
        while at in by_name and at not in done:
            if at in chain:
                raise RobotError(
                    f"expected {start!r} to mimic an independent joint, found a loop of mimics "
                    f"through {at!r} in {label}; make one of them independent"
                )
            chain[at] = None
            at = by_name[at].driver
        for name in reversed(chain):
            done[name] = _through(by_name[name], done.get(by_name[name].driver))
    return tuple(done[name] for name in by_name), notes


def _through(m: Mimic, driver: Mimic | None) -> Mimic:
    """A mimic of a mimic as one of the joint that drives both."""
    if driver is None:
        return m
    return Mimic(
        joint=m.joint,
        driver=driver.driver,
        multiplier=m.multiplier * driver.multiplier,
        offset=m.offset + m.multiplier * driver.offset,
    )
