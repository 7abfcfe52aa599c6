"""A mechanism to look at: names, parents, kinds, and the line of each joint at one pose.

A description's own screws, and what was inferred held against them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from discover.mechanism.geometry.screws import Array, ScrewTree, point_on
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
    def outward_order(self) -> list[int]:
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


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """An inferred mechanism beside the described one.

    differs    for each joint the things that differ: "parent", "kind", "axis", "length"
    sentences  the same in words; one that says so where nothing differs
    """

    differs: tuple[tuple[str, ...], ...]
    sentences: tuple[str, ...]


def compare(
    found: Skeleton,
    described: Skeleton,
    room: float,
    rooms: Mapping[tuple[int, str], float] | None = None,
) -> Comparison:
    """What differs: parents, kinds, and between lines of neighbours angles [rad] above `room` and
    distances above `room` times the reach; or above what (joint, "angle" or "distance") may be off
    by `rooms`, infinite where nothing shows it."""
    rooms = rooms or {}
    differs, sentences = [], []
    names = described.names
    reach = 1.0
    if described.points is not None and len(names) > 1:
        reach = float(np.ptp(described.points, axis=0).max()) or 1.0
    for j, name in enumerate(names):
        own: list[str] = []
        p, mine = described.parents[j], found.parents[j]
        if p != mine:
            own.append("parent")
            sentences.append(
                f"{name} is carried by {_named(names, mine)}; the description hangs it on "
                f"{_named(names, p)}."
            )
        if described.turning[j] != found.turning[j]:
            own.append("kind")
            what = "turns" if found.turning[j] else "slides"
            told = "turn" if described.turning[j] else "slide"
            sentences.append(f"{name} {what}; the description lets it {told}.")
        lines = found.axes is not None and described.axes is not None
        alike = not own and p >= 0 and found.turning[p] == described.turning[p]
        if lines and alike:
            pairs = [_between(s, p, j) for s in (found, described)]
            angle = max(room, rooms.get((j, "angle"), 0.0))
            distance = max(room * reach, rooms.get((j, "distance"), 0.0))
            if abs(pairs[0][0] - pairs[1][0]) > angle:
                own.append("axis")
                angles = " and ".join(f"{np.degrees(a):.4g}°" for a, _ in pairs)
                sentences.append(
                    f"The axes of {name} and {names[p]} stand at {angles} (found, described)."
                )
            elif abs(pairs[0][1] - pairs[1][1]) > distance:
                own.append("length")
                apart = " and ".join(f"{d:.4g} m" for _, d in pairs)
                sentences.append(
                    f"The axes of {name} and {names[p]} are {apart} apart (found, described)."
                )
        differs.append(tuple(own))
    if not sentences:
        agree = "parents and kinds"
        if found.axes is not None:
            agree += f", angles and distances between neighbouring axes to {room:.1g}"
        sentences = [f"Nothing differs from the description: {agree} agree."]
    return Comparison(differs=tuple(differs), sentences=tuple(sentences))


def _between(skeleton: Skeleton, first: int, second: int) -> tuple[float, float]:
    """Angle of two joints' lines, 0 to π/2, and their distance [m], zero unless both turn."""
    assert skeleton.axes is not None
    assert skeleton.points is not None
    a, b = skeleton.axes[first], skeleton.axes[second]
    normal = np.cross(a, b)
    sine = float(np.linalg.norm(normal))
    angle = float(np.arctan2(sine, abs(a @ b)))
    if not (skeleton.turning[first] and skeleton.turning[second]):
        return angle, 0.0
    gap = skeleton.points[second] - skeleton.points[first]
    if sine < 1e-6:
        return angle, float(np.linalg.norm(gap - a * (a @ gap)))
    return angle, abs(float(gap @ normal)) / sine


def _named(names: tuple[str, ...], joint: int) -> str:
    return "the base" if joint < 0 else names[joint]
