"""Torques in another unit: currents, volts, duty ratios. The factor that the description settles.

From motion and drive signal alone, only ratios can be found: with all bodies twice as heavy and a
motor twice as strong, nothing is different. What fixes the scale is one thing that is known, here
the description's bodies: each joint's signal is fitted by their load, beside friction, offset and
rotor of its own, and one over the load's coefficient is the factor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import kinematics
from discover.errors import DatasetError
from discover.identification.design import Bodies
from discover.identification.moments import Moments
from discover.identification.samples import Samples
from discover.judgement.thresholds import threshold
from discover.records import Stored

Array = NDArray[np.float64]

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
            "(scale.tau in the columns' file)"
        )
    return scale
