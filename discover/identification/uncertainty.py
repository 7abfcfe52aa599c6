"""How well parameters are known: standard errors of everything identified, by leaving out pieces of
time, and what of the bodies the motion shows.

Residuals of real machines are no white noise: they last, and return with the motion. Formulas for
white noise understate errors many times over; whole pieces keep what belongs together, and must be
long for that: consecutive blocks of a log are joined until a few pieces are left, and each in turn
is left out of the fit (the delete-a-group jackknife: Shao & Wu 1989; of so few, errors are those of
Student's t). Drawing blocks with replacement (Künsch 1989) gave a tenth less on simulated twins,
too little: a draw without a block holds others twice, and the fit follows these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from discover.identification.estimate import Estimate
from discover.identification.samples import Samples
from discover.judgement.thresholds import threshold, whole
from discover.records import Stored

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
_PIECES = whole("identification.pieces")
_SHOWN = threshold("identification.shown")


def standard_errors(fit: Estimate, samples: Samples) -> Array:
    """Of the coefficients (k,), in the fit's columns and units: twice of them cover as much as two
    standard errors of many pieces do."""
    columns = list(fit.columns)
    piece = _pieces(samples.log[np.unique(samples.block, return_index=True)[1]])
    count = int(piece.max()) + 1
    fits = np.stack([fit.moments.solve(columns, (piece != k) * 1.0) for k in range(count)])
    few = t.ppf(norm.cdf(2.0), max(count - 1, 1)) / 2.0
    return fits.std(axis=0) * np.sqrt(max(count - 1, 1)) * few


def errors_of_delay(fit: Estimate, samples: Samples, error: float) -> Array:
    """What a standard error of the delay [s] adds to each coefficient (k,): joint forces that come
    late by a little look like their slope, which viscous friction and inertia answer to."""
    if not np.isfinite(error):
        return np.zeros(len(fit.columns))
    tau = samples.tau.numpy()
    slope = np.zeros_like(tau)
    for k in np.unique(samples.log):
        rows = np.flatnonzero(samples.log == k)
        if len(rows) > 1:
            slope[rows] = np.gradient(tau[rows], samples.time[rows], axis=0)
    columns = list(fit.columns)
    size = fit.moments.size[columns]
    X = fit.design.X[:, :, columns] / size
    side = np.einsum("njp,nj->p", X, slope * samples.moving / fit.noise**2)
    at = np.ix_(columns, columns)
    G = fit.moments.G.sum(0)[at] + fit.moments.prior[at]
    return np.abs(np.linalg.solve(G, side) / size) * error


def _pieces(log: Numbers) -> Numbers:
    """The piece of each block (B,), about `_PIECES` in all and at least one a log; blocks are in
    order of time, `log` (B,) says whose they are."""
    each = max(1.0, len(log) / _PIECES)
    piece = np.zeros(len(log), dtype=np.int64)
    begin = 0
    for k in np.unique(log):
        rows = np.flatnonzero(log == k)
        count = max(1, round(len(rows) / each))
        piece[rows] = begin + np.arange(len(rows)) * count // len(rows)
        begin += count
    return piece


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
