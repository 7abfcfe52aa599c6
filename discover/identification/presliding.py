"""Friction with memory: before a contact slides, its asperities bend like springs.

After a reversal friction does not jump from one side to the other; it builds up over a short way,
and where the joint stops, what is left of it stays. Dahl (1976): with z from -1 to 1 the state of
the asperities and δ the way over which they bend,

    dz/dq = (1 - z sign(dq)) / δ,      friction = F z.

It depends on the way alone, not on speed: along a step dq of one direction, z goes exactly as
z ← s + (z - s) exp(-|dq|/δ), s = sign(dq). Where a joint has slid some δ, z = sign(v): Coulomb
friction is its limit, and all that a law without memory can say of it. So what enters a fit is the
difference, c (z - sign v), beside Coulomb friction; c is F where all friction has memory.

Canudas de Wit, Olsson, Åström & Lischinsky (1995) add the Stribeck effect and damping of z (LuGre);
at low speeds and short ways theirs is Dahl's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from discover.data.motions import Motion
from discover.data.smoothing import is_even, window_weights
from discover.identification.samples import Samples
from discover.judgement.thresholds import threshold, whole

Array = NDArray[np.float64]

_LENGTHS = whole("identification.presliding_lengths")
_LONGEST = threshold("identification.presliding_longest")
_RATIO = threshold("identification.presliding_ratio")
_OVER_NOISE = threshold("identification.presliding_over_noise")
_AT_A_TIME = 512
_FEWEST = 2  # samples from which a filter's polynomial can be read off beside its middle


def lengths_to_try(samples: Samples) -> list[list[float]]:
    """The lengths δ to try for each joint [rad | m]: shares of the range of its motion, down to
    what the noise in its position lets be seen."""
    q = np.concatenate([m.q for m in samples.motions])
    noises = [m.noise["q"] for m in samples.motions if "q" in m.noise]
    noise = np.max(noises, axis=0) if noises else np.zeros(q.shape[1])
    out = []
    for reach, least in zip(np.ptp(q, axis=0), _OVER_NOISE * noise, strict=True):
        tried = _LONGEST * reach / _RATIO ** np.arange(_LENGTHS)
        out.append([float(f"{x:.3g}") for x in tried if x > least])
    return out


def between(length: float, turn: int) -> list[float]:
    """The lengths on both sides of one, half as far (in logarithms) with every turn."""
    ratio = _RATIO ** (0.5**turn)
    return [float(f"{length * x:.3g}") for x in (1 / ratio, ratio)]


def longest_rests(samples: Samples) -> Array:
    """For how long (nv,) [s] each joint is seen to rest after it has moved."""
    longest = np.zeros(samples.nv)
    for motion in samples.motions:
        for rows in _segments(motion):
            since = _since_moved(motion, rows, samples.rest)
            longest = np.maximum(longest, np.where(np.isfinite(since), since, 0.0).max(axis=0))
    return longest


def missing_friction(
    samples: Samples, wanted: Sequence[tuple[int, float, float]], slow: float
) -> list[Array]:
    """z - tanh(v / slow) (N,) of joints, lengths and rests (j, δ, s), along the way of the motions,
    after the filter that the joint forces went through; 0 in a rest that has lasted longer: what
    friction creeps to then, nothing has shown."""
    joints, delta, rests = (np.array(x) for x in zip(*wanted, strict=True))
    parts = []
    for motion, kept in zip(samples.motions, samples.kept, strict=True):
        columns = np.zeros((len(motion.time), len(wanted)))
        for rows in _segments(motion):
            q, v = motion.q[rows][:, joints], motion.v[rows][:, joints]
            direction = np.tanh(v / slow)
            missing = bent(q, direction[0], delta) - direction
            at = np.flatnonzero(np.isin(rows, kept))
            since = _since_moved(motion, rows, samples.rest)[np.ix_(at, joints)]
            filtered = _filtered(motion.time[rows], missing, at, samples)
            columns[rows[at]] = np.where(since <= rests, filtered, 0.0)
        parts.append(columns[kept])
    return list(np.concatenate(parts).T)


def _segments(motion: Motion) -> list[NDArray[np.int64]]:
    """The rows of each piece between gaps."""
    if not len(motion.segment):
        return [np.arange(len(motion.time))]
    return [np.flatnonzero(motion.segment == k) for k in np.unique(motion.segment)]


def _since_moved(motion: Motion, rows: NDArray[np.int64], rest: Array) -> Array:
    """For how long (M, nv) [s] each joint has rested; infinite before it first moves."""
    time = motion.time[rows, None]
    moved = np.where(np.abs(motion.v[rows]) > rest, time, -np.inf)
    return time - np.maximum.accumulate(moved, axis=0)


def bent(q: Array, start: Array, delta: Array) -> Array:
    """Dahl's state z (M, p) along positions q (M, p) for lengths delta (p,), from its `start` (p,).

    What came before a log is not known: a joint that moves has long done so, one that rests is
    taken to be free of force.
    """
    step = np.diff(q, axis=0)
    side, fade = np.sign(step), np.exp(-np.abs(step) / delta)
    z = np.empty_like(q)
    z[0] = start
    for n in range(len(step)):
        z[n + 1] = side[n] + (z[n] - side[n]) * fade[n]
    return z


def _filtered(time: Array, x: Array, at: NDArray[np.int64], samples: Samples) -> Array:
    """x (M, p) at some rows, after the filter of the samples; within half a window of the ends by
    the polynomial of the last whole one."""
    if not samples.window:
        return x[at]
    half = round(samples.window / float(np.median(np.diff(time))) / 2)
    half = min(max(half, samples.order // 2 + 1), (len(time) - 1) // 2)
    window = 2 * half + 1
    if window <= samples.order + _FEWEST:
        return x[at]
    out = np.empty((len(at), x.shape[1]))
    inner = np.flatnonzero((at >= half) & (at < len(time) - half))
    even = is_even(time)
    for k in range(0, len(inner), _AT_A_TIME):
        rows = at[inner[k : k + _AT_A_TIME], None] + np.arange(-half, half + 1)
        weights = window_weights(time[rows[:1]] if even else time[rows], half, samples.order)
        out[inner[k : k + _AT_A_TIME]] = np.matmul(weights[:, None, 0], x[rows])[:, 0]
    orders = np.arange(samples.order + 1)
    for last, ends in (
        (slice(0, window), at < half),
        (slice(len(time) - window, None), at >= len(time) - half),
    ):
        middle, reach = time[last].mean(), np.ptp(time[last]) / 2
        powers = ((time[last] - middle) / reach)[:, None] ** orders
        polynomial = np.linalg.lstsq(powers, x[last], rcond=None)[0]
        out[ends] = ((time[at[ends]] - middle) / reach)[:, None] ** orders @ polynomial
    return out
