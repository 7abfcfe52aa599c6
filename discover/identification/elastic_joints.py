"""Elastic joints, quasi-static: the link stands behind the motor by its load over the stiffness.

Gears and long shafts give way. With the encoder on the motor at θ, the link is at q = θ - δ, where
the spring carries what the bodies ask, δ = load/k (Spong 1987; the rotor and friction, which are on
the motor's side, stay functions of θ). To first order in the compliance 1/k of joint j the load of
every joint i changes by

    - (∂load_i/∂q_j δ_j + ∂load_i/∂v_j dδ_j/dt + H_ij d²δ_j/dt²),

one column with the compliance as coefficient. Nothing is differentiated four times: δ comes of
loads that are predicted along the motion, from positions that were filtered once, and a second pass
of the filter over these loads, in a longer window, gives their slope and curvature.

The loads are those at the link, so they contain the deflection itself: the fit is repeated with
loads at the compliance found before.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

import kinematics
from discover.data.motions import Motion
from discover.data.smoothing import savitzky_golay
from discover.identification.samples import Samples
from discover.judgement.thresholds import threshold, whole
from kinematics import Robot

Array = NDArray[np.float64]

_LONGER = threshold("identification.elastic_window")
_TURNS = whole("identification.elastic_turns")
_STEP = 1e-4  # rad/(N·m) | m/N, of central differences


def giving_way(
    samples: Samples, compliance: Mapping[int, float], bodies: Robot
) -> dict[int, Array]:
    """What unit compliance of some joints changes in all joint forces (N, nv), by joint; loads are
    those of `bodies`, whose joints have the `compliance` [rad/(N·m) | m/N] given."""
    if not compliance:
        return {}
    parts = [_loads(m, samples, compliance, bodies)[:, kept]
             for m, kept in zip(samples.motions, samples.kept, strict=True)]  # fmt: skip
    loads = np.concatenate(parts, axis=1)
    states = np.stack([samples.q.numpy(), samples.v.numpy(), samples.a.numpy()])
    out = {}
    for j in compliance:
        step = np.zeros_like(loads)
        step[:, :, j] = _STEP * loads[:, :, j]
        ahead, back = (_load(states + side * step, bodies) for side in (1, -1))
        out[j] = (back - ahead) / (2 * _STEP)
    return out


def _loads(
    motion: Motion, samples: Samples, compliance: Mapping[int, float], bodies: Robot
) -> Array:
    """The loads of a motion with their first and second derivative by time (3, M, nv)."""
    states = np.stack([motion.q, motion.v, motion.a])
    soft = np.zeros(samples.nv)
    soft[list(compliance)] = list(compliance.values())
    loads = _derivatives(_load(states, bodies), motion, samples)
    for _ in range(_TURNS if soft.any() else 0):
        loads = _derivatives(_load(states - soft * loads, bodies), motion, samples)
    return loads


def _load(states: Array, bodies: Robot) -> Array:
    return kinematics.rnea(bodies, *(torch.from_numpy(x) for x in states)).numpy()


def _derivatives(load: Array, motion: Motion, samples: Samples) -> Array:
    """A load (M, nv) with its derivatives (3, M, nv), piece by piece; within half a window of the
    ends the derivatives of the last whole one are held, since polynomials know little there."""
    out = np.zeros((3, *load.shape))
    out[0] = load
    segments = motion.segment if len(motion.segment) else np.zeros(len(load), dtype=np.int64)
    for k in np.unique(segments):
        rows = np.flatnonzero(segments == k)
        step = float(np.median(np.diff(motion.time[rows]))) if len(rows) > 1 else np.inf
        half = max(round(_LONGER * samples.window / step / 2), samples.order // 2 + 1)
        if len(rows) <= 2 * half:
            continue  # too short a piece: the rigid joint's
        smooth = savitzky_golay(motion.time[rows], load[rows], 2 * half + 1, samples.order)
        for d, values in enumerate((smooth.first, smooth.second), start=1):
            out[d, rows] = np.pad(values, ((half, half), (0, 0)), mode="edge")
    return out
