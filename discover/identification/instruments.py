"""Errors in the regressor: two measurements of one motion, from the even and the odd samples.

Velocities and accelerations are made of noisy positions, and noise in a regressor shrinks what is
fitted with it. The even and the odd samples of a log see the same motion with independent noise:
with the regressors X₁, X₂ of the two, the moments ½ (X₁ᵀX₂ + X₂ᵀX₁) have no noise in expectation,
where XᵀX has its square. They are instrumental variables (Söderström & Stoica 1983) whose
instruments need no model of the controller.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from discover.data.logs import Log
from discover.data.motions import Motion, smooth
from discover.data.smoothing_choice import SmoothingChoice
from kinematics import Robot


def halves(
    log: Log, motion: Motion, chosen: SmoothingChoice, robot: Robot
) -> tuple[Motion, Motion]:
    """The motion (as smoothed from all samples of the log) twice again: positions, velocities and
    accelerations from the even samples, and from the odd ones, at the same times."""
    return tuple(_at(smooth(_every_other(log, k), chosen, robot), motion, log, k) for k in (0, 1))  # type: ignore[return-value]


def _every_other(log: Log, first: int) -> Log:
    rows = slice(first, None, 2)
    v = None if log.v is None else log.v[rows]
    time = log.time[rows]
    return replace(log, time=time - time[0], q=log.q[rows], v=v, tau=log.tau[rows])


def _at(half: Motion, motion: Motion, log: Log, first: int) -> Motion:
    """A half's signals at the times of the whole; joint forces are the whole's."""
    start = log.time[first]

    def values(x: np.ndarray) -> np.ndarray:
        return np.stack([np.interp(motion.time, half.time + start, c) for c in x.T], axis=1)

    return replace(motion, q=values(half.q), v=values(half.v), a=values(half.a))
