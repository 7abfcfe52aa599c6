"""Joint limits or contacts together with dry friction that holds joints.

Each hides the other: what limits push is no slow joint's, and a held joint lies beyond no
threshold. The force that a law of sliding leaves tells them apart. Where a joint is held it is no
larger than its dry friction allows, and acts on joints that have some; limits and contacts push
harder, or elsewhere. So thresholds are sought without the answers that friction could explain, and
held joints before those thresholds.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from discover.blackbox.regimes import entered
from discover.blackbox.session import QuerySession
from discover.examination.opening.regimes import counted, sharpened
from discover.examination.opening.screen import Screen, screening
from discover.examination.opening.separation import parted
from discover.examination.opening.standstill import (
    TWICE,
    force_left,
    friction_of,
    held_joints,
    law_of_sliding,
    with_jumping_friction,
)
from discover.examination.opening.stepping import with_step
from discover.examination.opening.trimmed import Trimmed
from discover.judgement.thresholds import threshold
from discover.laws.extensions.terms import scalar_coordinates

_STRAY = threshold("regimes.stray")  # held joints whose force bodies pass on to others
_PASSED_ON = threshold("regimes.passed_on")


def with_regimes_and_standstill(
    session: QuerySession, screen: Screen, integrator: str | None, substeps: int | None
) -> tuple[QuerySession, Screen] | None:
    """The session and first answers without limits, contacts and the speeds at which dry friction
    holds joints, its robot's friction jumping; None where the answers do not show both. For models
    that no law fits to rounding error and in which neither was found alone."""
    if screen.noise.random > 0 or session.regimes or not scalar_coordinates(session.robot):
        return None
    jumping = with_jumping_friction(session)
    law = law_of_sliding(jumping, screen)
    if law is None:
        return None
    holdable = law.large & _as_friction(law)
    if not bool(holdable.any()):
        return None
    regimes = parted(jumping, _among(law, ~holdable), stray=_STRAY)
    if not regimes:
        return None
    before = ~entered(regimes, jumping.robot, law.asked, jumping.blackbox.dt)
    held = held_joints(jumping, _among(law, before))
    if not held:
        return None
    moving = jumping.without(held)
    regimes = counted(jumping, sharpened(moving, law, regimes))
    return with_step(*screening(jumping.without((*regimes, *held))), integrator, substeps)


def _as_friction(law: Trimmed) -> Tensor:
    """Of which answers (n,) dry friction could explain what the law leaves."""
    force = force_left(law).abs()
    passed_on = _PASSED_ON * force.amax(-1, keepdim=True)
    size = friction_of(law).clamp_min(0.0)
    return ((force <= TWICE * size) | ((size == 0.0) & (force <= passed_on))).all(-1)


def _among(law: Trimmed, rows: Tensor) -> Trimmed:
    """The same of some of its answers (n,)."""
    same = law.seen is law.asked
    asked = law.asked[rows]
    seen = asked if same else law.seen[rows]
    return replace(law, asked=asked, seen=seen, rows=law.rows[rows], large=law.large[rows])
