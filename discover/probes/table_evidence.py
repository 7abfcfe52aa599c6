"""Positive evidence of a lookup table, for models that no law describes far out."""

from __future__ import annotations

from discover.blackbox.contract import Answers
from discover.blackbox.session import QuerySession
from discover.laws.rigid_body.fit import Fit
from discover.probes import far_curvature as curvature
from discover.probes import inertia, memory
from discover.probes.noise import Floor

FROZEN = 0.5  # of tiny steps without an answer: a raw table
FLAT = curvature.FLAT
_CHORDS, _CHORDS_IN_NOISE = 10, 40  # along which it is asked whether the model bends
SIGNS = ("frozen steps", "far curvature", "growth of the inertia's misfit")


def signs(session: QuerySession, local: Fit, held: Answers, floor: Floor) -> dict[str, float]:
    """What speaks for a table, by name, in the order of what it costs, until a piece of it speaks.

    `local` is the law fitted to the region, `held` are answers in it.
    """
    found = {"frozen steps": memory.frozen_fraction(session, held, local.scale)}
    if found["frozen steps"] > FROZEN:
        return found
    chords = _CHORDS if floor.random == 0 else _CHORDS_IN_NOISE
    chords = max(chords, session.budget.shell // 3)
    bend = curvature.measure(session, floor.level, local.scale, chords, local)
    if bend.least is not None:
        found["far curvature"] = bend.least
        if bend.least < FLAT:
            return found
    misfit = inertia.growth(session, local, max(floor.level, 1e-9))
    return found | {"growth of the inertia's misfit": misfit}
