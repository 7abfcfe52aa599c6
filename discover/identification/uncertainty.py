"""How well parameters are known: standard errors, by drawing blocks of time anew, and what of the
bodies the motion shows.

Residuals of real machines are no white noise: they last, and return with the motion. Formulas for
white noise understate errors many times over; drawing whole blocks (Künsch 1989) keeps what belongs
together. Blocks are drawn within each log.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discover.identification.estimate import Estimate
from discover.identification.samples import Samples
from discover.judgement.thresholds import threshold, whole
from discover.records import Stored

Array = NDArray[np.float64]
_SHOWN = threshold("identification.shown")
_DRAWS = whole("identification.draws")


def bootstrap(fit: Estimate, samples: Samples, seed: int = 0) -> Array:
    """Coefficients of many draws (draws, k), in the fit's columns and units."""
    generator = np.random.default_rng(seed)
    columns = list(fit.columns)
    log_of_block = samples.log[np.unique(samples.block, return_index=True)[1]]
    members = [np.flatnonzero(log_of_block == k) for k in np.unique(log_of_block)]
    draws = np.empty((_DRAWS, len(columns)))
    for n in range(_DRAWS):
        times = np.zeros(len(log_of_block))
        for blocks in members:
            np.add.at(times, generator.choice(blocks, len(blocks)), 1.0)
        draws[n] = fit.moments.solve(columns, times)
    return draws


def standard_errors(draws: Array, fit: Estimate) -> Array:
    """Half the width of the middle 68 % of the draws (k,), widened for the parameters that the
    blocks had to determine besides."""
    low, high = np.quantile(draws, [0.1587, 0.8413], axis=0)
    blocks, a_joint = len(fit.moments.G), len(fit.columns) / len(fit.noise)
    return (high - low) / 2 * np.sqrt(blocks / max(blocks - a_joint, 0.5 * blocks))


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
