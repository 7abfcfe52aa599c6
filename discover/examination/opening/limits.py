"""Limits of controls: does the model clip them, as the description says, or go on beyond them?

A simulator clips its controls; a network that was trained within the limits goes on somehow. A law
that clips where the model does not would be blamed for it far out.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from discover.blackbox.session import QuerySession
from discover.examination.opening.screen import Screen

_STATES = 12
_FARTHEST = 3.0  # half-widths: how far a law is tested
_SAME = 1e-6  # of the spread of a


def with_limits_as_answered(
    session: QuerySession, screen: Screen
) -> tuple[QuerySession, Screen, list[str]]:
    """The session whose actuation has limits only if the model shows them beyond the region, and
    what is to be told. Nothing is asked where no limit lies within reach of the shells."""
    actuation = session.blackbox.actuation
    if actuation is None:
        return session, screen, []
    x = session.support.shell("tau", 1.0, _FARTHEST, _STATES, session.seed + 151)
    clipped = torch.maximum(torch.minimum(x.tau, actuation.high), actuation.low)
    beyond = (clipped != x.tau).any(-1)
    if not bool(beyond.any()):
        return session, screen, []
    q, v, u, inside = (y[beyond] for y in (*x, clipped))
    gone_on, held = session.ask(q, v, u).a, session.ask(q, v, inside).a
    change = float(((gone_on - held) / screen.scale).abs().median(0).values.max())
    if not change > _SAME + 3 * screen.level:
        return session, screen, []
    open_ = torch.full_like(actuation.low, torch.inf)
    unlimited = replace(actuation, low=-open_, high=open_)
    blackbox = session.blackbox.with_actuation(unlimited)
    session = replace(session, blackbox=blackbox)
    said = (
        "Beyond the limits of its controls the model goes on where the description clips: the law "
        "is without those limits."
    )
    return session, replace(screen, session=session), [said]
