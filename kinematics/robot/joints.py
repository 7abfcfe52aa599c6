"""Joint kinds: their coordinates, their motion subspaces and the placements they make.

Free joint: q = position in the parent frame (3), unit quaternion wxyz (4); v = the body's spatial
velocity in body coordinates, angular then linear. Spherical: q = quaternion wxyz; v = body-frame
angular velocity. Every motion subspace is constant in the body frame, so no joint has a bias
acceleration of its own.
"""

from __future__ import annotations

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
