"""From one frame to the next in elementary steps: axes renamed, slides and turns about an axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinematics.robot.joints import TURNING
from kinematics.spatial.rotations import clean

SNAP = 1e-12


@dataclass(frozen=True, kw_only=True)
class Step:
    """One elementary move of a frame, from the child's side to the parent's.

    ``kind``: "turn" about coordinate axis ``axis`` by a constant (``cosine``, ``sine``), "joint"
    the same by the joint's angle plus ``offset``, "permute" by a signed permutation (``order``,
    ``signs``: parent[k] = signs[k]·child[order[k]]), "shift" by ``amount`` along ``axis``,
    "slide" the same by the joint's coordinate, "quaternion" by the joint's quaternion,
    "position" by its position.
    """

    kind: str
    axis: int = 2
    cosine: float = 1.0
    sine: float = 0.0
    offset: float = 0.0
    amount: float = 0.0
    order: tuple[int, ...] = (0, 1, 2)
    signs: tuple[int, ...] = (1, 1, 1)


def snap(x: np.ndarray, tolerance: float = SNAP) -> np.ndarray:
    """Entries within ``tolerance`` of 0 and ±1 made exact: constants, never computed results."""
    return clean(x, tolerance) + 0.0  # no negative zeros


def is_permutation(rotation: np.ndarray) -> bool:
    """Whether every entry is exactly 0, 1 or -1."""
    return bool(np.isin(rotation, (0.0, 1.0, -1.0)).all())


def about(axis: int, angle: float) -> np.ndarray:
    """The rotation by ``angle`` about a coordinate axis."""
    return snap(turn_matrix(axis, np.cos(angle), np.sin(angle)))


def turn_matrix(axis: int, cosine: float, sine: float) -> np.ndarray:
    """The rotation about a coordinate axis by an angle of this cosine and sine."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out = np.eye(3)
    out[i, i] = out[j, j] = cosine
    out[i, j], out[j, i] = -sine, sine
    return out


def _permute(rotation: np.ndarray) -> list[Step]:
    if (rotation == np.eye(3)).all():
        return []
    order = tuple(int(np.abs(row).argmax()) for row in rotation)
    signs = tuple(int(row[k]) for row, k in zip(rotation, order, strict=True))
    return [Step(kind="permute", order=order, signs=signs)]


def _shifts(offset: np.ndarray) -> list[Step]:
    return [Step(kind="shift", axis=k, amount=float(offset[k])) for k in range(3) if offset[k]]


def _turn(axis: int, angle: float) -> list[Step]:
    rotation = about(axis, angle)
    if is_permutation(rotation):
        return _permute(rotation)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    return [Step(kind="turn", axis=axis, cosine=rotation[i, i], sine=rotation[j, i])]


def steps_between(kind: str, rotation: np.ndarray, offset: np.ndarray, root: bool) -> list[Step]:
    """The moves from the child's frame to its parent's, in that order."""
    if root and kind in TURNING:
        offset = np.zeros(3)
    if kind == "spherical":
        return [Step(kind="quaternion"), *_constant(rotation), *_shifts(offset)]
    if kind == "free":
        return [
            Step(kind="quaternion"),
            Step(kind="position"),
            *_constant(rotation),
            *_shifts(offset),
        ]
    if kind == "prismatic":
        return [Step(kind="slide"), *_constant(rotation), *_shifts(offset)]
    if is_permutation(rotation):
        return [Step(kind="joint"), *_permute(rotation), *_shifts(offset)]
    gamma, alpha, delta = zxz(rotation)
    quarter = round(delta / (np.pi / 2)) * (np.pi / 2)
    if abs(delta - quarter) < SNAP:
        first = [Step(kind="joint"), *_permute(about(2, quarter))]
    else:
        first = [Step(kind="joint", offset=float(delta))]
    turned = about(2, -gamma) @ offset  # the offset before the last turn, about z
    along = snap(np.array([turned[0], turned[1], 0.0]), 1e-15)
    last = _shifts(np.array([0.0, 0.0, offset[2]]))
    return [*first, *_turn(0, alpha), *_shifts(along), *_turn(2, gamma), *last]


def _constant(rotation: np.ndarray) -> list[Step]:
    if is_permutation(rotation):
        return _permute(rotation)
    gamma, alpha, delta = zxz(rotation)
    return [*_turn(2, delta), *_turn(0, alpha), *_turn(2, gamma)]


def zxz(rotation: np.ndarray) -> tuple[float, float, float]:
    """Angles with rotation = Rz(gamma) Rx(alpha) Rz(delta)."""
    flat = float(np.hypot(rotation[0, 2], rotation[1, 2]))
    if flat < SNAP:
        alpha = 0.0 if rotation[2, 2] > 0 else np.pi
        total = np.arctan2(rotation[1, 0], rotation[0, 0])
        return 0.0, float(alpha), float(total if rotation[2, 2] > 0 else -total)
    gamma = np.arctan2(rotation[0, 2], -rotation[1, 2])
    alpha = np.arctan2(flat, rotation[2, 2])
    delta = np.arctan2(rotation[2, 0], rotation[2, 1])
    return float(gamma), float(alpha), float(delta)
