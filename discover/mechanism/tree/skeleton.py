"""A mechanism to look at: names, parents, kinds, and the line of each joint at one pose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from discover.mechanism.geometry.screws import Array, ScrewTree
from discover.mechanism.tree.floating import FloatingTree


@dataclass(frozen=True, kw_only=True, eq=False)
class Skeleton:
    """Joints in the order of the coordinates; a parent may have a larger number than its child.

    parents       the joint that carries each one, -1 for the base
    turning       True for an angle, False for a length
    axes, points  (nv, 3) direction of each joint and a point on its line [m], gravity along -z, at
                  the configuration `pose` (nv,) [rad | m]; None where only the tree is known
    free          the first is no joint but a free base, whose frame the others are told in
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    turning: tuple[bool, ...]
    pose: Array | None = None
    axes: Array | None = None
    points: Array | None = None
    free: bool = False

    @classmethod
    def of(cls, tree: ScrewTree, screws: Array, names: Sequence[str]) -> Skeleton:
        """The lines of unit screws (nv, 6)."""
        turning = np.asarray(tree.turning)[:, None]
        points = np.zeros((len(tree.parents), 3))
        for j in tree.order:
            points[j] = point_on(tree, screws, j, points)
        return cls(
            names=tuple(names),
            parents=tuple(tree.parents),
            turning=tuple(bool(t) for t in tree.turning),
            pose=np.asarray(tree.reference, dtype=float),
            axes=np.where(turning, screws[:, :3], screws[:, 3:]),
            points=points - points[tree.order[0]],
            free=isinstance(tree, FloatingTree),
        )

    @property
    def way_down(self) -> list[int]:
        """Parents before children."""
        order: list[int] = []
        while len(order) < len(self.parents):
            order += [
                j for j, p in enumerate(self.parents) if j not in order and (p < 0 or p in order)
            ]
        return order

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        lines = {n: getattr(self, n) for n in ("pose", "axes", "points")}
        return {
            "names": list(self.names),
            "parents": list(self.parents),
            "turning": list(self.turning),
            "free": self.free,
            **{n: None if x is None else np.asarray(x).tolist() for n, x in lines.items()},
        }

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Skeleton:
        """The inverse of `to_dict`."""
        lines = {
            n: None if record[n] is None else np.asarray(record[n], dtype=float)
            for n in ("pose", "axes", "points")
        }
        return cls(
            names=tuple(record["names"]),
            parents=tuple(record["parents"]),
            turning=tuple(record["turning"]),
            free=record.get("free", False),
            **lines,
        )


def point_on(tree: ScrewTree, screws: Array, joint: int, points: Array) -> Array:
    """A point on the joint's line, the nearest to its parent's point; a sliding joint's is its
    parent's."""
    p = tree.parents[joint]
    above = points[p] if p >= 0 else np.zeros(3)
    if not tree.turning[joint]:
        return above
    w, u = screws[joint, :3], screws[joint, 3:]
    foot = np.cross(w, u)
    return foot + w * (w @ (above - foot))
