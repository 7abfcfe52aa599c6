"""Regime switch: does an extended law differ from rigid bodies outside the region only?

A force that grows from the centre is a law everywhere, however little of it shows inside. One that
vanishes in the region and appears abruptly at some distance is a switch: one law where the model
was trained and another one outside. The law itself is evaluated, not the model: it has no noise,
and its answers cost no queries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from discover.blackbox.contract import Answers
from discover.blackbox.sampling import Batch
from discover.blackbox.session import QuerySession
from discover.judgement.thresholds import threshold
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.selection import refit

_RADII = tuple(np.round(np.arange(0.6, 3.0, 0.1), 1).tolist())  # half-widths
_THIN = 0.01  # half-widths: the thickness of a shell
_STATES = 48
_ABRUPT = threshold("probes.abrupt_growth")
_UNSEEN = threshold("probes.switch_unseen")
_ROUNDING = 1e-9  # standardised


@dataclass(frozen=True, kw_only=True)
class RegimeSwitch:
    """Where a law departs from the rigid bodies that it equals in the region: axis and distance
    [half-widths]."""

    axis: str
    at: float

    @property
    def sentence(self) -> str:
        """In words."""
        return (
            "The best law of all answers equals rigid bodies in the region and departs from them "
            f"abruptly from about {self.at:.3g} half-widths in {self.axis} on: two laws, not one."
        )


def measure(session: QuerySession, law: Fit, bodies: Fit, inside: Answers) -> RegimeSwitch | None:
    """Where `law` departs from rigid bodies; None where it does so in the region already, or grows
    as smooth laws do. `bodies` were fitted to the answers `inside`, in the region."""
    q, v, tau = inside.q, inside.v, inside.tau
    lawful = Answers(q=q, v=v, tau=tau, a=law.predict(q, v, tau))
    if not bool(torch.isfinite(lawful.a).all()):
        return None
    rigid = refit(bodies, lawful, bodies.family.terms)
    if rigid.standardised_error(lawful) > _UNSEEN * bodies.standardised_error(inside):
        return None
    switches = []
    for axis in ("q", "v", "tau"):
        sizes = _departures(session, law, rigid, axis)
        least = _ROUNDING
        for (before, radius), (size, beyond) in zip(pairwise(_RADII), pairwise(sizes), strict=True):
            least = max(least, size)
            steep = beyond > least * (radius / before) ** _ABRUPT
            if steep and before >= 1.0:
                switches.append(RegimeSwitch(axis=axis, at=0.5 * (before + radius)))
                break
    return min(switches, key=lambda o: o.at, default=None)


def _departures(session: QuerySession, law: Fit, rigid: Fit, axis: str) -> list[float]:
    """Root mean square distance of the two at each radius along an axis, standardised."""
    shells = [
        session.support.shell(axis, radius, radius + _THIN, _STATES, session.seed + 103)
        for radius in _RADII
    ]
    x = session.forced(Batch(*(torch.cat(group) for group in zip(*shells, strict=True))))
    r = (law.predict(*x) - rigid.predict(*x)) / rigid.scale
    sizes = r.square().mean(-1).reshape(len(_RADII), _STATES).mean(-1).sqrt()
    return torch.nan_to_num(sizes, nan=math.inf, posinf=math.inf).tolist()
