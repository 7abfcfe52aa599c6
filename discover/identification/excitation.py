"""What the motion shows of the bodies, and what it leaves open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discover.identification.estimate import Estimate
from discover.judgement.thresholds import threshold
from discover.records import Stored

Array = NDArray[np.float64]
_SHOWN = threshold("identification.shown")


@dataclass(frozen=True, kw_only=True)
class Excitation(Stored):
    """condition: condition number of the base regressor, joints weighted by their noise and columns
    scaled to a typical body (Gautier & Khalil 1992; below about 100 is good); weakest: the
    combination of base parameters that the motion shows least, by name, largest share first; shown:
    how many of the base parameters are known better than the description knows them."""

    condition: float
    weakest: tuple[str, ...]
    shown: int
    parameters: int


def excitation(fit: Estimate, errors: Array) -> Excitation:
    """Of a fit, with the standard errors (k,) of its base parameters."""
    columns = fit.design.body_columns
    sizes = np.sqrt(np.maximum(fit.bodies.spread.diagonal(), 1e-300))
    G = fit.moments.G.sum(0)[np.ix_(columns, columns)]
    norms = np.where(np.isfinite(fit.moments.size[columns]), fit.moments.size[columns], 0.0)
    scaled = G * (norms * sizes)[:, None] * (norms * sizes)
    values, vectors = np.linalg.eigh(scaled)
    largest, least = values[-1], max(values[0], 0.0)
    names = fit.bodies.base.names
    weak = np.argsort(-np.abs(vectors[:, 0]))[:3]
    return Excitation(
        condition=float(np.sqrt(largest / least)) if least > 1e-14 * largest else float("inf"),
        weakest=tuple(names[k] for k in weak if abs(vectors[k, 0]) > 0.3),
        shown=int((errors < _SHOWN * sizes).sum()),
        parameters=len(names),
    )
