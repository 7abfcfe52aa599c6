"""Joint kinds: their coordinates, their motion subspaces and the placements they make.

Free joint: q = position in the parent frame (3), unit quaternion wxyz (4); v = the body's spatial
velocity in body coordinates, angular then linear. Spherical: q = quaternion wxyz; v = body-frame
angular velocity. Every motion subspace is constant in the body frame, so no joint has a bias
acceleration of its own.
"""

from __future__ import annotations

import numpy as np

NQ = {"revolute": 1, "continuous": 1, "prismatic": 1, "spherical": 4, "free": 7}
NV = {"revolute": 1, "continuous": 1, "prismatic": 1, "spherical": 3, "free": 6}
KINDS = tuple(NQ)
TURNING = ("revolute", "continuous")
QUATERNION = ("spherical", "free")


def subspace(kind: str, axis: np.ndarray) -> np.ndarray:
    """Motion subspace (nv of the joint, 6): one motion vector (angular, linear) a row."""
    if kind in TURNING:
        return np.concatenate((axis, np.zeros(3)))[None]
    if kind == "prismatic":
        return np.concatenate((np.zeros(3), axis))[None]
    return np.eye(6)[: NV[kind]]


def neutral(kind: str) -> list[float]:
    """Coordinates of the joint's zero position."""
    return {
        "spherical": [1.0, 0.0, 0.0, 0.0],
        "free": [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
    }.get(kind, [0.0])
