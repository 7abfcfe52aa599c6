"""How far off the joint forces are, by log and joint, beside the yardsticks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discover.identification.samples import Samples
from discover.records import Stored

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class JointErrors(Stored):
    """Root mean square errors of the joint force of one joint in one log [N·m | N].

    held_out   whether the log, or this part of it, was kept from every fit and every choice
    moving     share of the samples in which the joint moves
    errors     by yardstick: "zero" (predict nothing: the size of the torque itself), "description",
               "least squares" (bodies, viscous and Coulomb friction, offset, rotor), "identified"
    when_moving  the same over the samples in which the joint moves
    """

    log: str
    joint: str
    held_out: bool
    moving: float
    errors: dict[str, float]
    when_moving: dict[str, float]


def joint_errors(
    samples: Samples,
    joints: Sequence[str],
    predictions: Mapping[str, Array],
    held_out: Sequence[bool],
) -> list[JointErrors]:
    """Errors of some predicted joint forces (N, nv) by log and joint; `held_out` one a log."""
    tau = samples.tau.numpy()
    out = []
    for k, name in enumerate(samples.names):
        rows = samples.log == k
        for j, joint in enumerate(joints):
            moving = rows & samples.moving[:, j]
            off = {label: tau[:, j] - x[:, j] for label, x in predictions.items()}
            out.append(
                JointErrors(
                    log=name,
                    joint=joint,
                    held_out=held_out[k],
                    moving=float(moving.sum() / max(rows.sum(), 1)),
                    errors={label: _rms(x[rows]) for label, x in off.items()},
                    when_moving={label: _rms(x[moving]) for label, x in off.items()},
                )
            )
    return out


def pooled(
    errors: Sequence[JointErrors], held_out: bool, *, moving: bool = False
) -> dict[str, float]:
    """Each yardstick's error over all joints and logs of a kind, as a share of the torque's own
    root mean square; empty where there are none."""
    chosen = [e for e in errors if e.held_out == held_out]
    part = [e.when_moving if moving else e.errors for e in chosen]
    if not part:
        return {}
    size = np.sqrt(np.nansum([p["zero"] ** 2 for p in part]))
    return {
        label: float(np.sqrt(np.nansum([p[label] ** 2 for p in part])) / max(size, 1e-300))
        for label in part[0]
    }


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(x**2))) if len(x) else float("nan")
