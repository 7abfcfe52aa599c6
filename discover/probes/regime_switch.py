"""Does a law that is found beside the bodies, or around them, begin outside the region only?

A force or a function that grows from the centre is a law everywhere, however little of it shows
inside. One that is nothing in the region, and from some distance on is something, is a switch: one
law where the model was trained and another one outside, each of which may hold. The law itself is
asked, not the model: no noise is in its answers, and they cost nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from discover.blackbox.contract import Answers
from discover.blackbox.session import QuerySession
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.selection import refit

_RADII = tuple(np.round(np.arange(0.6, 3.0, 0.1), 1).tolist())  # half-widths
_THIN = 0.01  # half-widths: the thickness of a shell
_STATES = 48
_ABRUPT = 15.0  # exponent of growth along a ray: of laws 7 at most, of switches 21 and more
_UNSEEN = 0.5  # of what bodies leave over in the region, that a switch may do there
_ROUNDING = 1e-9  # standardised


@dataclass(frozen=True, kw_only=True)
class Onset:
    """Where a law leaves the bodies that it is in the region: axis, and distance [half-widths]."""

    axis: str
    at: float

    @property
    def sentence(self) -> str:
        """In words."""
        return (
            f"The best law of all answers is that of bodies in the region, and leaves it abruptly "
            f"from about {self.at:.3g} half-widths in {self.axis} on: two laws, not one."
        )


def measure(session: QuerySession, law: Fit, bodies: Fit, inside: Answers) -> Onset | None:
    """Where `law` begins to be another than bodies; None where it is one in the region, or grows as
    laws do. `bodies` were fitted to the answers `inside`, in the region."""
    q, v, tau = inside.q, inside.v, inside.tau
    told = Answers(q=q, v=v, tau=tau, a=law.predict(q, v, tau))
    if not bool(torch.isfinite(told.a).all()):
        return None
    own = refit(bodies, told, bodies.family.terms)
    if own.standardised_error(told) > _UNSEEN * bodies.standardised_error(inside):
        return None
    found = []
    for axis in ("q", "v", "tau"):
        sizes = _departures(session, law, own, axis)
        least = _ROUNDING
        for (before, radius), (size, beyond) in zip(pairwise(_RADII), pairwise(sizes), strict=True):
            least = max(least, size)
            steep = beyond > least * (radius / before) ** _ABRUPT
            if steep and before >= 1.0:
                found.append(Onset(axis=axis, at=0.5 * (before + radius)))
                break
    return min(found, key=lambda o: o.at, default=None)


def _departures(session: QuerySession, law: Fit, own: Fit, axis: str) -> list[float]:
    """Root mean square distance of the two at each radius along an axis, standardised."""
    shells = [
        session.support.shell(axis, radius, radius + _THIN, _STATES, session.seed + 103)
        for radius in _RADII
    ]
    x = [torch.cat(group) for group in zip(*shells, strict=True)]
    r = (law.predict(*x) - own.predict(*x)) / own.scale
    sizes = r.square().mean(-1).reshape(len(_RADII), _STATES).mean(-1).sqrt()
    return torch.nan_to_num(sizes, nan=math.inf, posinf=math.inf).tolist()
