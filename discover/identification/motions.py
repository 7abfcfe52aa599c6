"""Motions before a law is fitted to them: their unit, their delay, a part held out, measured twice.

The filter is linear: what it made of a joint force can be scaled and shifted afterwards, so logs
are smoothed once.

Velocities and accelerations are made of noisy positions, and noise in a regressor shrinks what is
fitted with it. The even and the odd samples of a log see the same motion with independent noise:
with the regressors X₁, X₂ of the two, the moments ½ (X₁ᵀX₂ + X₂ᵀX₁) have no noise in expectation,
where XᵀX has its square. They are instrumental variables (Söderström & Stoica 1983) whose
instruments need no model of the controller.

**Torques in another unit** (currents, volts, duty ratios). From motion and drive signal alone, only
ratios can be found: with all bodies twice as heavy and a motor twice as strong, nothing is
different. What fixes the scale is one thing that is known, here the description's bodies: each
joint's signal is fitted by their load, beside friction, offset and rotor of its own, and one over
the load's coefficient is the factor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

import kinematics
from discover.data.logs import Log
from discover.data.motions import Motion, smooth
from discover.data.smoothing_choice import SmoothingChoice
from discover.errors import DatasetError
from discover.identification.design import Bodies
from discover.identification.moments import Moments
from discover.identification.samples import Samples
from discover.judgement.thresholds import threshold
from discover.records import Stored
from kinematics import Robot

Array = NDArray[np.float64]

_KEPT = threshold("identification.kept_out")
_GAP = 0.01  # of a motion, between what is fitted and what is held out
_REPEATED = threshold("identification.repeated")
_FEWEST = 2  # samples that a motion needs for its rate
_SURE = threshold("identification.scale_sure")
_FAR = threshold("identification.scale_far")


@dataclass(frozen=True, kw_only=True)
class TorqueScale(Stored):
    """factor (nv,) [N·m or N, over the log's unit] with its standard error (nv,) by leaving out
    folds of time; applied: whether the logs were multiplied by it; settled_by: what is known of
    the bodies, in words."""

    factor: Array
    error: Array
    applied: bool
    settled_by: str = "the description's bodies"

    @property
    def far_off(self) -> bool:
        """Whether the torques are surely no N·m: every joint's factor is clearly far from 1."""
        sure = self.error < _SURE * np.abs(self.factor)
        far = (np.abs(np.log(np.abs(self.factor))) > np.log(_FAR)) | (self.factor < 0)
        return bool(sure.any() and far[sure].all())


def torque_scale(samples: Samples, bodies: Bodies, *, apply: bool) -> TorqueScale:
    """Each joint's factor. Raises DatasetError where it shall be applied and the motion does not
    show it."""
    load = kinematics.rnea(bodies.robot, samples.q, samples.v, samples.a).numpy()
    v, a, tau = samples.v.numpy(), samples.a.numpy(), samples.tau.numpy()
    step = np.tanh(v / bodies.robot.friction_speed)
    slopes = []
    for j in range(samples.nv):
        X = np.stack([load[:, j], v[:, j], step[:, j], np.ones(len(v)), a[:, j]], axis=1)
        rows = samples.moving[:, [j]].astype(np.float64)
        moments = Moments.of(X[:, None], tau[:, [j]], rows, samples.block, np.zeros((5, 5)))
        fold = samples.fold_of_block
        slopes.append(
            [moments.solve(range(5), (fold != k) * 1.0)[0] for k in range(int(fold.max()) + 1)]
        )
    values = np.array(slopes)
    mean, count = values.mean(axis=1), values.shape[1]
    error = values.std(axis=1) * np.sqrt(max(count - 1, 1))  # jackknife
    safe = np.where(np.abs(mean) > 1e-300, mean, np.nan)
    scale = TorqueScale(factor=1 / safe, error=error / safe**2, applied=apply)
    unsure = ~(scale.error < _SURE * np.abs(scale.factor))
    if apply and unsure.any():
        names = np.array(bodies.robot.independent_names)[unsure]
        raise DatasetError(
            "recordings: expected motion that shows what the description's bodies ask of each "
            f"joint, found none for {', '.join(names)}; give the factors from their unit to N·m "
            "(scale.tau in the columns' file), or log some motions with a payload of known mass "
            "as well (--payload LABEL=LOG,KG), or hold a joint that does not move (--lock)"
        )
    return scale


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
