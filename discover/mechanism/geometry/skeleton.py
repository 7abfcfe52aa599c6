"""The skeleton of a mechanism (parents, kinds, joint axes at one pose) and how two differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from discover.mechanism.geometry.screws import Array, ScrewTree, point_on
from discover.mechanism.tree.floating import FloatingTree
from discover.records import Stored

_PARALLEL = 1e-6  # sine below which rounding decides where a common normal stands


@dataclass(frozen=True, kw_only=True, eq=False)
class Skeleton(Stored):
    """Joints in the order of the coordinates; a parent may have a larger number than its child.

    parents       the joint that carries each one, -1 for the base
    turning       True for an angle, False for a length
    pose          (nb,) the configuration at which axes are given [rad | m]
    axes, points  (nb, 3) direction of each joint and a point on its line [m], gravity along -z;
                  None where only the tree is known
    free          the first is no joint but a free base, in whose frame the others are given
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
        """From unit screws (nb, 6) in the tree's reference frame."""
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


@dataclass(frozen=True, kw_only=True)
class Comparison(Stored):
    """How an inferred mechanism differs from the described one.

    differs    for each joint what differs: "parent", "kind", "axis", "length"
    sentences  the same in words; a single sentence where nothing differs
    """

    differs: tuple[tuple[str, ...], ...]
    sentences: tuple[str, ...]


def compare(
    inferred: Skeleton,
    described: Skeleton,
    tolerance: float,
    tolerances: Mapping[tuple[int, str], float] | None = None,
) -> Comparison:
    """Compare parents, kinds, and angles and distances between neighbouring axes.

    tolerance    up to which angles [rad], and distances over the reach, count as equal
    tolerances   the same by (joint, "angle" | "distance") [rad | m], where this is more; infinite
                 for a number that no answer determines
    """
    tolerances = tolerances or {}
    differs, sentences = [], []
    names = described.names
    reach = 1.0
    if described.points is not None and len(names) > 1:
        reach = float(np.ptp(described.points, axis=0).max()) or 1.0
    for j, name in enumerate(names):
        differences: list[str] = []
        p, parent = described.parents[j], inferred.parents[j]
        if p != parent:
            differences.append("parent")
            sentences.append(
                f"{name} is carried by {_named(names, parent)}; the description hangs it on "
                f"{_named(names, p)}."
            )
        if described.turning[j] != inferred.turning[j]:
            differences.append("kind")
            what = "turns" if inferred.turning[j] else "slides"
            description = "turn" if described.turning[j] else "slide"
            sentences.append(f"{name} {what}; the description lets it {description}.")
        lines = inferred.axes is not None and described.axes is not None
        comparable = not differences and p >= 0 and inferred.turning[p] == described.turning[p]
        if lines and comparable:
            relations = [_between(s, p, j) for s in (inferred, described)]
            angle = max(tolerance, tolerances.get((j, "angle"), 0.0))
            distance = max(tolerance * reach, tolerances.get((j, "distance"), 0.0))
            if abs(relations[0][0] - relations[1][0]) > angle:
                differences.append("axis")
                angles = " and ".join(f"{np.degrees(a):.4g}°" for a, _ in relations)
                sentences.append(
                    f"The axes of {name} and {names[p]} stand at {angles} (inferred, described)."
                )
            elif abs(relations[0][1] - relations[1][1]) > distance:
                differences.append("length")
                apart = " and ".join(f"{d:.4g} m" for _, d in relations)
                sentences.append(
                    f"The axes of {name} and {names[p]} are {apart} apart (inferred, described)."
                )
        differs.append(tuple(differences))
    if not sentences:
        agree = "parents and kinds"
        if inferred.axes is not None:
            agree += f", angles and distances between neighbouring axes to {tolerance:.1g}"
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
    if sine < _PARALLEL:
        return angle, float(np.linalg.norm(gap - a * (a @ gap)))
    return angle, abs(float(gap @ normal)) / sine


def _named(names: tuple[str, ...], joint: int) -> str:
    return "the base" if joint < 0 else names[joint]
