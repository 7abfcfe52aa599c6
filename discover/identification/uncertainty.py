"""How well parameters are known: standard errors of everything identified, by leaving out pieces of
time, and what of the bodies the motion shows.

Residuals of real machines are no white noise: they last, and return with the motion. Formulas for
white noise understate errors many times over; whole pieces keep what belongs together, and must be
long for that: consecutive blocks of a log are joined until a few pieces are left, and each in turn
is left out of the fit (the delete-a-group jackknife: Shao & Wu 1989; of so few, errors are those of
Student's t). Drawing blocks with replacement (Künsch 1989) gave a tenth less on simulated twins,
too little: a draw without a block holds others twice, and the fit follows these.

Leaving out pieces shows no bias, and a fit that holds on to the description has one: it is as far
off as the description is, in the directions that are held. How far descriptions are off shows in
the directions that are not (`errors_of_hold`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm, t

from discover.identification.estimate import Estimate
from discover.identification.samples import Samples
from discover.judgement.thresholds import threshold, whole
from discover.records import Stored

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
_PIECES = whole("identification.pieces")
_SHOWN = threshold("identification.shown")
_FREE = threshold("identification.free_of_hold")


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


def errors_of_hold(fit: Estimate, samples: Samples) -> Array:
    """What holding on to the description's bodies adds to each coefficient's error (k,).

    With the precision G of the logs and P of the hold, a description that is off by d moves the
    fit by -(G + P)⁻¹ P d. Of d is known how the bodies were found to depart from the description
    where hardly anything holds them: by so many times a typical body's spread, judged as the
    variance between studies is (Paule & Mandel 1982), since departures have errors of their own.
    """
    columns, bodies = list(fit.columns), fit.design.body_columns
    free = replace(fit, moments=fit.moments.with_prior(1 / fit.prior, bodies), prior=1.0)
    k = fit.bodies.size
    departure = free.moments.solve(columns)[:k]
    variance = standard_errors(free, samples)[:k] ** 2
    spread = fit.bodies.spread
    free_of_hold = _pull(free)[:k].diagonal() < _FREE
    scale = _variance_between(
        departure[free_of_hold], variance[free_of_hold], spread.diagonal()[free_of_hold]
    )
    pull = _pull(fit)
    return np.sqrt(scale * np.maximum(np.einsum("ij,jk,ik->i", pull, spread, pull), 0.0))


def _pull(fit: Estimate) -> Array:
    """How far each coefficient is moved by bodies that are not as described (k, bodies), signs
    apart: (G + P)⁻¹ P in the columns' own units."""
    columns = list(fit.columns)
    at = np.ix_(columns, columns)
    prior = fit.moments.prior[at]
    acts = np.isfinite(fit.moments.size[columns])
    norms = np.where(acts, fit.moments.size[columns], 1.0)
    k = fit.bodies.size
    moved = np.linalg.solve(fit.moments.G.sum(0)[at] + prior, prior[:, :k])
    return np.asarray(moved / norms[:, None] * norms[:k])


def _variance_between(departure: Array, variance: Array, spread: Array) -> float:
    """The factor on `spread` (n,) with which departures (n,), of these error `variance` (n,), are
    as large as expected; zero where errors alone explain them."""

    def excess(factor: float) -> float:
        return float(np.mean(departure**2 / (factor * spread + variance + tiny))) - 1.0

    if not len(departure):
        return 0.0
    tiny = 1e-300
    most = float(np.max(departure**2 / spread))
    if most <= 0.0 or excess(0.0) <= 0.0:
        return 0.0
    return float(brentq(excess, 0.0, most * (1 + 1e-9), xtol=1e-12 * most))


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
