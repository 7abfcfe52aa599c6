"""Motions before a law is fitted to them: their unit, their delay, a part held out, measured twice.

The filter is linear: what it made of a joint force can be scaled and shifted afterwards, so logs
are smoothed once.

Velocities and accelerations are made of noisy positions, and noise in a regressor shrinks what is
fitted with it. The even and the odd samples of a log see the same motion with independent noise:
with the regressors X₁, X₂ of the two, the moments ½ (X₁ᵀX₂ + X₂ᵀX₁) have no noise in expectation,
where XᵀX has its square. They are instrumental variables (Söderström & Stoica 1983) whose
instruments need no model of the controller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from discover.data.logs import Log
from discover.data.motions import Motion, smooth
from discover.data.smoothing_choice import SmoothingChoice
from discover.errors import DatasetError
from discover.judgement.thresholds import threshold
from kinematics import Robot

Array = NDArray[np.float64]

_KEPT = threshold("identification.kept_out")
_GAP = 0.01  # of a motion, between what is fitted and what is held out
_REPEATED = threshold("identification.repeated")
_FEWEST = 2  # samples that a motion needs for its rate


def in_newtons(motion: Motion, factor: Array) -> Motion:
    """The motion with its joint forces times factor (nv,) [N·m | N, over the log's unit]."""

    def scaled(noise: dict[str, Array]) -> dict[str, Array]:
        return {k: x * np.abs(factor) if k == "tau" else x for k, x in noise.items()}

    return replace(
        motion,
        tau=motion.tau * factor,
        noise=scaled(motion.noise),
        raw_noise=scaled(motion.raw_noise),
    )


def without_delay(motion: Motion, delay: float) -> Motion:
    """The motion with the joint forces that were recorded `delay` [s] later; the rows for which
    there are none, at an end or before a gap, are left out.

    Raises DatasetError where hardly a row is left.
    """
    if not delay:
        return motion
    tau = np.empty_like(motion.tau)
    kept = np.zeros(len(motion.time), dtype=bool)
    for k in np.unique(motion.segment):
        rows = np.flatnonzero(motion.segment == k)
        time = motion.time[rows]
        at = time + delay
        kept[rows] = (at >= time[0]) & (at <= time[-1])
        tau[rows] = np.stack([np.interp(at, time, x) for x in motion.tau[rows].T], axis=1)
    if kept.sum() < _FEWEST:
        raise DatasetError(
            f"recording {motion.name}: expected joint forces {delay:g} s after the motion, found "
            f"them for {int(kept.sum())} of {len(kept)} rows; give a smaller delay"
        )
    return _rows(replace(motion, tau=tau), kept)


def split(motions: Sequence[Motion]) -> tuple[list[Motion], list[Motion]]:
    """The last quarter of every motion apart from the rest, with a gap between them."""
    return (
        [_part(m, 0.0, 1.0 - _KEPT - _GAP) for m in motions],
        [_part(m, 1.0 - _KEPT, 1.0) for m in motions],
    )


def measured_twice(
    logs: Sequence[Log], motions: Sequence[Motion], chosen: SmoothingChoice, robot: Robot
) -> tuple[list[Motion], list[Motion]] | None:
    """These motions of the logs from the even and from the odd samples: positions, velocities and
    accelerations at the motions' own times. None where samples repeat the one before, so that
    halves share their noise."""
    if any(np.mean(np.all(np.diff(x.q, axis=0) == 0, axis=1)) > _REPEATED for x in logs):
        return None
    even, odd = (
        [_half(log, motion, chosen, robot, k) for log, motion in zip(logs, motions, strict=True)]
        for k in (0, 1)
    )
    return even, odd


def _half(log: Log, motion: Motion, chosen: SmoothingChoice, robot: Robot, first: int) -> Motion:
    rows = slice(first, None, 2)
    v = None if log.v is None else log.v[rows]
    time, start = log.time[rows], log.time[first]
    every_other = replace(log, time=time - start, q=log.q[rows], v=v, tau=log.tau[rows])
    half = smooth(every_other, chosen, robot)

    def values(x: Array) -> Array:
        return np.stack([np.interp(motion.time, half.time + start, c) for c in x.T], axis=1)

    return replace(motion, q=values(half.q), v=values(half.v), a=values(half.a))


def _part(motion: Motion, begin: float, end: float) -> Motion:
    n = len(motion.time)
    return _rows(motion, slice(int(begin * n), int(end * n)))


def _rows(motion: Motion, rows: slice | NDArray[np.bool_]) -> Motion:
    keys = ("time", "q", "v", "a", "tau", "rows", "segment")
    return replace(motion, **{k: getattr(motion, k)[rows] for k in keys if len(getattr(motion, k))})
