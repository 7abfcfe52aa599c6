"""The delay of the joint forces behind the motion, judged where the fit has not looked.

Torques pass through other filters and buses than encoders. Every lag on a grid is tried with the
standard law (bodies, viscous and Coulomb friction, offset, rotor), the joints weighted by the noise
that this law leaves them as recorded; a delay is taken out only if that lowers the held-out error.
(Weighted by the size of the torques instead, a small joint whose friction has hysteresis, which
looks like a delay, would speak for all.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from discover.data.motions import Motion
from discover.data.smoothing_choice import SmoothingChoice
from discover.identification.design import Bodies
from discover.identification.drive_terms import drive_terms, standard
from discover.identification.estimate import estimate, moments_of
from discover.identification.samples import gather, rest_speed
from discover.identification.selection import better
from discover.judgement.thresholds import threshold, whole
from discover.records import Stored
from kinematics import Robot

Array = NDArray[np.float64]

_WIDEST = threshold("identification.widest_delay")
_LAGS = whole("identification.lags")


@dataclass(frozen=True, kw_only=True)
class Delay(Stored):
    """delay: what was taken out [s]; found: the lag of the least held-out error; lags (L,) [s] and
    errors (L,): the held-out root mean square at each, over that as recorded."""

    delay: float
    found: float
    lags: Array
    errors: Array

    @property
    def sentence(self) -> str:
        """In words."""
        if self.delay:
            return f"a delay of {1e3 * self.delay:.3g} ms of the torques was taken out"
        if abs(self.found) < 1e-9:
            return "the torques show no delay"
        return (
            f"no delay was taken out: the best, {1e3 * self.found:.3g} ms, does not clearly lower "
            "the error where it was not fitted"
        )


def given_delay(seconds: float) -> Delay:
    """One that the caller knows."""
    return Delay(delay=seconds, found=seconds, lags=np.array([seconds]), errors=np.ones(1))


def find_delay(motions: Sequence[Motion], robot: Robot, chosen: SmoothingChoice) -> Delay:
    """Of all the logs together; motions as recorded, smoothed as `chosen`."""
    rest = rest_speed(motions)
    bodies = Bodies.of(robot.replace(friction_speed=float(np.median(rest)) / 2))
    shortest = min(float(m.time[-1] - m.time[0]) for m in motions)
    lags = np.linspace(-1, 1, 2 * _LAGS + 1) * min(_WIDEST, shortest / 8)
    samples = gather(
        [_inside(m, lags[-1], 0.0) for m in motions], rest, chosen.window_s, chosen.order
    )
    terms = standard(drive_terms(bodies.robot, samples.v.pow(2).mean(0).sqrt().numpy()))
    fit = estimate(samples, bodies, terms, select=False)
    columns, fold = list(fit.columns), samples.fold_of_block
    described = samples.tau.numpy() - fit.design.y

    def held_out(lag: float) -> Array:
        shifted = gather(
            [_inside(m, lags[-1], lag) for m in motions], rest, chosen.window_s, chosen.order
        )
        design = replace(fit.design, y=shifted.tau.numpy() - described)
        return moments_of(samples, bodies, design, fit.noise).held_out(columns, fold)

    errors = {float(lag): held_out(float(lag)) for lag in lags}
    coarse = min(errors, key=lambda lag: float(errors[lag].mean()))
    width = float(lags[1] - lags[0])
    for lag in np.linspace(coarse - width, coarse + width, 9)[1:-1]:
        errors.setdefault(float(lag), held_out(float(lag)))
    tried = np.array(sorted(errors))
    found = _lowest(tried, np.array([errors[lag].mean() for lag in tried.tolist()]))
    errors.setdefault(found, held_out(found))
    found = min(errors, key=lambda lag: float(errors[lag].mean()))
    as_recorded = errors[min(errors, key=abs)]
    helps = abs(found) < lags[-1] * (1 - 1e-9) and better(as_recorded, errors[found], 1.0)
    tried = np.array(sorted(errors))
    return Delay(
        delay=found if helps else 0.0,
        found=found,
        lags=tried,
        errors=np.sqrt([errors[lag].mean() / as_recorded.mean() for lag in tried]),
    )


def _lowest(lags: Array, errors: Array) -> float:
    """The minimum of a parabola through the lowest point and its neighbours."""
    k = int(np.clip(errors.argmin(), 1, len(lags) - 2))
    a, b, _ = np.polyfit(lags[k - 1 : k + 2] - lags[k], errors[k - 1 : k + 2], 2)
    shift = -b / (2 * a) if a > 0 else 0.0
    return float(lags[k] + np.clip(shift, lags[k - 1] - lags[k], lags[k + 1] - lags[k]))


def _inside(motion: Motion, room: float, lag: float) -> Motion:
    """The rows at least `room` [s] from both ends, with the joint forces of `lag` later. The filter
    is linear, so shifting what it smoothed is smoothing what was shifted."""
    keep = (motion.time >= motion.time[0] + room) & (motion.time <= motion.time[-1] - room)
    late = motion.time[keep] + lag
    tau = np.stack([np.interp(late, motion.time, x) for x in motion.tau.T], axis=1)
    arrays = {key: getattr(motion, key)[keep] for key in ("time", "q", "v", "a")}
    labels = {
        key: getattr(motion, key)[keep] for key in ("rows", "segment") if len(getattr(motion, key))
    }
    return replace(motion, **arrays, **labels, tau=tau)
