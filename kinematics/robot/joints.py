"""Joints: their kinds and coordinates, and mimic joints, whose coordinates follow other joints'.

Free joint: q = position in the parent frame (3), unit quaternion wxyz (4); v = the body's spatial
velocity in body coordinates, angular then linear. Spherical: q = quaternion wxyz; v = body-frame
angular velocity. Every motion subspace is constant in the body frame, so no joint has a bias
acceleration of its own.

The coordinates of mimic joints are affine functions of those of independent joints: the robot's own
coordinates drive a full tree, q_full = G q + g. Constraint elimination then gives
tau = Gᵀ tau_full and H = Gᵀ H_full G, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from kinematics.arrays import Array

NQ = {"revolute": 1, "continuous": 1, "prismatic": 1, "spherical": 4, "free": 7}
NV = {"revolute": 1, "continuous": 1, "prismatic": 1, "spherical": 3, "free": 6}
KINDS = tuple(NQ)
TURNING = ("revolute", "continuous")
QUATERNION = ("spherical", "free")


def neutral(kind: str) -> list[float]:
    """Coordinates of the joint's zero position."""
    return {
        "spherical": [1.0, 0.0, 0.0, 0.0],
        "free": [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
    }.get(kind, [0.0])


@dataclass(frozen=True, kw_only=True)
class Mimic:
    """The coordinate of ``joint`` is multiplier · (coordinate of ``driver``) + offset."""

    joint: str
    driver: str
    multiplier: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Coupling:
    """G by columns: full coordinate k is ``scale[k]`` times own coordinate ``source[k]``."""

    q_source: np.ndarray
    q_scale: np.ndarray
    q_offset: np.ndarray
    v_source: np.ndarray
    v_scale: np.ndarray
    nv: int

    def positions(self, xp: Any, q: Array) -> Array:
        """(B, nq) to (B, nq of the full tree)."""
        scale, offset = _like(self.q_scale, q), _like(self.q_offset, q)
        return xp.take(q.T, _rows(self.q_source, q)).T * scale + offset

    def velocities(self, xp: Any, v: Array) -> Array:
        """(B, nv) to (B, nv of the full tree)."""
        return xp.take(v.T, _rows(self.v_source, v)).T * _like(self.v_scale, v)

    def reduce(self, xp: Any, force: Array) -> Array:
        """Gᵀ: (nv of the full tree, ..., B) to (nv, ..., B)."""
        scale = _like(self.v_scale, force).reshape(-1, *(1,) * (force.ndim - 1))
        return xp.segment_sum(force * scale, _rows(self.v_source, force), self.nv)


def coupling(
    joint_names: Sequence[str],
    q_slices: Sequence[slice],
    v_slices: Sequence[slice],
    mimics: Sequence[Mimic],
    *,
    nv: int,
) -> Coupling:
    """The coupling of a tree whose joints lie at these slices of the robot's q and v (nv)."""
    mimic = {m.joint: m for m in mimics}
    parts: dict[str, list[float]] = {"q": [], "qs": [], "qo": [], "v": [], "vs": []}
    for name, q_at, v_at in zip(joint_names, q_slices, v_slices, strict=True):
        scale = mimic[name].multiplier if name in mimic else 1.0
        offset = mimic[name].offset if name in mimic else 0.0
        parts["q"] += range(q_at.start, q_at.stop)
        parts["qs"] += [scale] * (q_at.stop - q_at.start)
        parts["qo"] += [offset] * (q_at.stop - q_at.start)
        parts["v"] += range(v_at.start, v_at.stop)
        parts["vs"] += [scale] * (v_at.stop - v_at.start)
    return Coupling(
        q_source=np.array(parts["q"], dtype=np.int64),
        q_scale=np.array(parts["qs"]),
        q_offset=np.array(parts["qo"]),
        v_source=np.array(parts["v"], dtype=np.int64),
        v_scale=np.array(parts["vs"]),
        nv=nv,
    )


def _like(x: np.ndarray, like: Array) -> Array:
    if isinstance(like, np.ndarray):
        return x
    return torch.as_tensor(x).to(dtype=like.dtype, device=like.device)


def _rows(x: np.ndarray, like: Array) -> Array:
    return x if isinstance(like, np.ndarray) else torch.as_tensor(x, device=like.device)
