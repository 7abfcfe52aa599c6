"""Mimic joints: coordinates that are affine functions of other joints' coordinates.

The robot's own coordinates drive a full tree: q_full = G q + g. Constraint elimination then gives
tau = Gᵀ tau_full and H = Gᵀ H_full G, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kinematics.arrays.operations import Array

if TYPE_CHECKING:
    from kinematics.robot.tree import Robot


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


def coupling(robot: Robot) -> Coupling:
    """The coupling of a robot with mimic joints."""
    mimic = {m.joint: m for m in robot.mimic}
    parts: dict[str, list[float]] = {"q": [], "qs": [], "qo": [], "v": [], "vs": []}
    for name, q_at, v_at in zip(robot.joint_names, robot.q_slices, robot.v_slices, strict=True):
        scale = mimic[name].multiplier if name in mimic else 1.0
        offset = mimic[name].offset if name in mimic else 0.0
        nq, nv = q_at.stop - q_at.start, v_at.stop - v_at.start
        parts["q"] += range(q_at.start, q_at.stop)
        parts["qs"] += [scale] * nq
        parts["qo"] += [offset] * nq
        parts["v"] += range(v_at.start, v_at.stop)
        parts["vs"] += [scale] * nv
    return Coupling(
        q_source=np.array(parts["q"], dtype=np.int64),
        q_scale=np.array(parts["qs"]),
        q_offset=np.array(parts["qo"]),
        v_source=np.array(parts["v"], dtype=np.int64),
        v_scale=np.array(parts["vs"]),
        nv=robot.nv,
    )


def _like(x: np.ndarray, like: Array) -> Array:
    if isinstance(like, torch.Tensor):
        return torch.as_tensor(x).to(dtype=like.dtype, device=like.device)
    return x


def _rows(x: np.ndarray, like: Array) -> Array:
    return torch.as_tensor(x, device=like.device) if isinstance(like, torch.Tensor) else x
