"""Numbers of a description that look like another unit than kg, m and kg·m²."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_METRE = 1.0  # robots are hardly judged by less than this [m]
_FAR = 10.0  # times the robot's size: farther no centre of mass and no radius of gyration lies
_HEAVY = 1e3  # a link below this is of an ordinary weight, whatever the others are [kg]
_HEAVIER = 1e5  # times the heaviest other link


@dataclass(frozen=True, kw_only=True)
class LinkInertia:
    """What a description states of a moving link: mass [kg], centre (3,) [m], and the largest
    principal moment about it [kg·m²]."""

    name: str
    mass: float
    centre: np.ndarray
    moment: float


def unit_doubts(links: Sequence[LinkInertia], size: float) -> str | None:
    """One line on the worst mass, centre of mass and inertia that are probably in another unit.

    ``size`` [m] is the largest distance of a joint from the one before. None where nothing is
    suspicious.
    """
    links = [link for link in links if link.mass > 0 and math.isfinite(link.mass)]
    if not links:
        return None
    size = max(size, _METRE)
    doubts = []
    heaviest = max(links, key=lambda link: link.mass)
    others = max((link.mass for link in links if link is not heaviest), default=math.inf)
    if heaviest.mass > max(_HEAVY, _HEAVIER * others):
        doubts.append(
            f"link {heaviest.name!r} has a mass of {heaviest.mass:.4g} kg, the heaviest other one "
            f"{others:.4g} kg: probably in {'mg' if heaviest.mass > 3e5 * others else 'g'}, not kg"
        )
    farthest = max(links, key=lambda link: float(np.linalg.norm(link.centre)))
    distance = float(np.linalg.norm(farthest.centre))
    if distance > _FAR * size:
        doubts.append(
            f"link {farthest.name!r} has its centre of mass at {distance:.4g} m from its frame: "
            "probably in mm, not m"
        )
    # bodies that are there for the tree's sake have tiny masses and any inertia: what counts for
    # the robot is more than all its mass would have at its size
    whole = sum(link.mass for link in links) * size**2
    widest = max(links, key=lambda link: link.moment / link.mass)
    radius = math.sqrt(max(widest.moment, 0.0) / widest.mass)
    if radius > _FAR * size and widest.moment > whole:
        doubts.append(
            f"link {widest.name!r} has an inertia of {widest.moment:.4g} kg·m², that of its mass "
            f"at {radius:.4g} m: probably in kg·mm², not kg·m²"
        )
    return f"units to check: {'; '.join(doubts)}" if doubts else None
