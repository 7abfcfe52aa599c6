"""Shapes on bodies, and how they answer a touch.

Every shape stands in the frame of the body that it names; "world" is the base of any robot. Sizes
are in metres, half-lengths where a shape has two equal ends, as in MJCF.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kinematics.errors import RobotError
from kinematics.spatial.transforms import to_z

WORLD = "world"
_KEPT = 4  # vertices of a large convex set that are candidates at a time
_ALL = 16  # up to so many all are


@dataclass(frozen=True, kw_only=True)
class Material:
    """How a shape answers a touch; two shapes' numbers are mixed (`scene.mixed`).

    friction     coefficient of the tangent plane
    condim       1: no friction, 3: friction
    solref, solimp, solmix, priority, margin   of the soft law, as in MJCF, with its defaults
    restitution  of the hard law; negative: not stated
    """

    friction: float = 1.0
    condim: int = 3
    solref: tuple[float, float] = (0.02, 1.0)
    solimp: tuple[float, float, float, float, float] = (0.9, 0.95, 0.001, 0.5, 2.0)
    solmix: float = 1.0
    priority: int = 0
    margin: float = 0.0
    restitution: float = -1.0

    def __post_init__(self) -> None:
        try:
            sized = len(self.solref) == 2 and len(self.solimp) == 5 and self.condim in (1, 3)
            own = (self.friction, self.solmix, self.margin, self.restitution)
            finite = all(map(math.isfinite, (*own, *self.solref, *self.solimp)))
            ok = sized and finite and self.friction >= 0 and self.solmix >= 0
        except TypeError:
            ok = False
        if not ok:
            raise RobotError(
                f"expected a material of finite numbers, friction and solmix at least 0, condim 1 "
                f"or 3, solref of 2 and solimp of 5 numbers, found {self!r}; mend it"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Geom:
    """A shape: its kind, where it stands on its body, its size.

    kind      "plane" (solid below its z), "sphere", "capsule" and "cylinder" (along z), "box",
              "convex"
    at (3,), rotation (3, 3)   its frame in the body's
    size (3,) radius; radius and half-length; half-lengths of a box
    vertices (n, 3)  of a convex set, in its frame; ``radius`` rounds them
    """

    kind: str = "sphere"
    body: str = WORLD
    name: str = ""
    at: np.ndarray = field(default_factory=lambda: np.zeros(3))
    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))
    size: np.ndarray = field(default_factory=lambda: np.zeros(3))
    vertices: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    material: Material = field(default_factory=Material)

    def __post_init__(self) -> None:
        shaped = {"at": (3,), "rotation": (3, 3), "size": (3,)}
        for name, shape in shaped.items():
            _array(self, name, shape)
        _array(self, "vertices", (-1, 3))
        if self.kind not in KINDS:
            raise RobotError(
                f"expected a shape among {', '.join(KINDS)}, found {self.kind!r}; choose one"
            )
        if self.kind == "convex" and not len(self.vertices):
            raise RobotError(
                f"expected vertices of the convex set {self.name!r}, found none; give (n, 3)"
            )
        if (self.size < 0).any():
            raise RobotError(
                f"expected sizes of at least 0 for {self.kind} {self.name!r}, found "
                f"{self.size.tolist()}; mend it"
            )

    @property
    def rank(self) -> int:
        """Place in the order of shapes within a pair."""
        return KINDS.index(self.kind)

    @property
    def count(self) -> int:
        """How many vertices of a convex set are candidate contacts: all of a small one, else the
        deepest few."""
        return len(self.vertices) if len(self.vertices) <= _ALL else _KEPT


KINDS = ("plane", "sphere", "capsule", "cylinder", "box", "convex")

# candidate contacts of each pair of kinds that can be tested; 0: as many as the second counts
CANDIDATES = {
    ("plane", "sphere"): 1,
    ("plane", "capsule"): 2,
    ("plane", "cylinder"): 4,
    ("plane", "box"): 4,
    ("plane", "convex"): 0,
    ("sphere", "sphere"): 1,
    ("sphere", "capsule"): 1,
    ("sphere", "cylinder"): 1,
    ("sphere", "box"): 1,
    ("capsule", "capsule"): 2,
}


def _array(geom: Geom, name: str, shape: tuple[int, ...]) -> None:
    value = getattr(geom, name)
    try:
        x = np.asarray(value, dtype=float).reshape(shape)
    except (TypeError, ValueError):
        x = np.full(1, np.nan)
    if not np.isfinite(x).all():
        raise RobotError(
            f"expected {name} of {geom.kind} {geom.name!r} as finite numbers of shape {shape}, "
            f"found {str(value)[:60]!r}; mend it"
        )
    object.__setattr__(geom, name, x)


def _unit(name: str, x: Any) -> np.ndarray:
    try:
        vector = np.asarray(x, dtype=float).reshape(3)
    except (TypeError, ValueError):
        vector = np.full(3, np.nan)
    length = float(np.linalg.norm(vector))
    if not (math.isfinite(length) and length > 0):
        raise RobotError(f"expected {name} as a vector (3,) with a direction, found {x!r}; mend it")
    return vector / length


def Point(body: str, at: Any = (0, 0, 0), radius: float = 0.0, name: str = "", **how: Any) -> Geom:
    """A point (3,) of a body [m], or a sphere about it; ``how`` are fields of its `Material`."""
    size: Any = (radius, 0, 0)
    return Geom(kind="sphere", body=body, name=name, at=at, size=size, material=Material(**how))


def HalfSpace(
    normal: Any = (0, 0, 1), offset: float = 0.0, body: str = WORLD, name: str = "", **how: Any
) -> Geom:
    """All x with normal · x below ``offset`` [m]; the normal points out of what is solid."""
    z = _unit("the normal", normal)
    if not isinstance(offset, int | float) or not math.isfinite(offset):
        raise RobotError(
            f"expected an offset of a half-space in metres, found {offset!r}; give one"
        )
    return Geom(
        kind="plane", body=body, name=name, at=offset * z, rotation=to_z(z).T,
        material=Material(**how),
    )  # fmt: skip


def Capsule(
    body: str, start: Any, end: Any, radius: float, name: str = "", **how: Any
) -> Geom:  # fmt: skip
    """All points within ``radius`` of the segment from ``start`` to ``end`` (3,) [m]."""
    try:
        a, b = (np.asarray(x, dtype=float).reshape(3) for x in (start, end))
    except (TypeError, ValueError):
        raise RobotError(
            f"expected the ends of a capsule as (3,) each, found {start!r} and {end!r}; mend them"
        ) from None
    z = _unit("the ends of a capsule apart", b - a)
    size: Any = (radius, float(np.linalg.norm(b - a)) / 2, 0)
    return Geom(
        kind="capsule", body=body, name=name, at=(a + b) / 2, rotation=to_z(z).T, size=size,
        material=Material(**how),
    )  # fmt: skip


def Box(
    body: str, half: Any, at: Any = (0, 0, 0), rotation: Any = ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    name: str = "", **how: Any,
) -> Geom:  # fmt: skip
    """A box of half-lengths (3,) [m] about ``at``, turned by ``rotation`` (3, 3)."""
    return Geom(
        kind="box", body=body, name=name, at=at, rotation=rotation, size=half,
        material=Material(**how),
    )  # fmt: skip


def Convex(body: str, vertices: Any, radius: float = 0.0, name: str = "", **how: Any) -> Geom:
    """The convex hull of vertices (n, 3) [m] of a body, rounded by ``radius``: against planes."""
    size: Any = (radius, 0, 0)
    return Geom(
        kind="convex", body=body, name=name, vertices=vertices, size=size,
        material=Material(**how),
    )  # fmt: skip
