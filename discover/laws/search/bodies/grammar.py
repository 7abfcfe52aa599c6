"""A typed grammar of body quantities: scalars, vectors, the forces and torques made of them.

Atoms are what a point of a body shows: its place x, seen from the base or from another point, its
velocity v, its body's angular velocity w and axes u, the axes e of the base, gravity, and its
acceleration. Vectors are combined by differences and ×, scalars are components, products and norms;
a force acts through the point's Jacobian, a torque through that of its body's rotation, and a
Lagrangian by Lagrange's equations. Nothing here names a machine element: a spring between two
points is the force along their distance as a function of it, lift is w × v, a mass that a joint
moves is a kinetic and potential energy times a function of its coordinate.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import sympy

from discover.laws.extensions.terms import scalar_coordinates
from discover.laws.search.force_directions import Feature, ForceCandidates, ForceDirection
from discover.laws.search.variables import AXES, Point, vocabulary
from kinematics import Robot

ZERO, ONE = sympy.Integer(0), sympy.Integer(1)
Rows = tuple[sympy.Expr, ...]


@dataclass(frozen=True)
class Vector:
    """A vector in the axes of the base: a name and three components."""

    name: str
    parts: Rows

    def __sub__(self, other: Vector) -> Vector:
        pairs = zip(self.parts, other.parts, strict=True)
        return Vector(f"{self.name} - {other.name}", tuple(a - b for a, b in pairs))

    def cross(self, other: Vector) -> Vector:
        """The vector product."""
        (a, b, c), (x, y, z) = self.parts, other.parts
        parts = (b * z - c * y, c * x - a * z, a * y - b * x)
        return Vector(f"{self.name} × {other.name}", parts)

    def dot(self, other: Vector) -> sympy.Expr:
        """The scalar product."""
        pairs = zip(self.parts, other.parts, strict=True)
        return sum((a * b for a, b in pairs), ZERO)

    @property
    def norm(self) -> sympy.Expr:
        """Its length."""
        return sympy.sqrt(sum((x**2 for x in self.parts), ZERO))


@dataclass(frozen=True)
class Seen:
    """What a point of a body shows, or point 1 seen from point 2.

    push, twist  the columns of its Jacobian and of that of its body's rotation, one a coordinate
    """

    x: Vector
    v: Vector
    w: Vector
    a: Vector
    axes: tuple[Vector, ...]
    push: tuple[Vector, ...]
    twist: tuple[Vector, ...]

    @classmethod
    def at(cls, nv: int, points: int = 1) -> Seen:
        """In the words of one point or of two."""
        words = vocabulary(nv, points)

        def vector(name: str, kind: str, suffix: str = "") -> Vector:
            one, *rest = (
                Vector(name, tuple(words[f"{kind}{axis}{r}{suffix}"] for axis in AXES))
                for r in range(1, points + 1)
            )
            return Vector(name, (one - rest[0]).parts) if rest and kind != "u" else one

        push = tuple(vector(f"J{i + 1}", "j", f"_{i + 1}") for i in range(nv))
        moving = [words[f"a{i + 1}"] for i in range(nv)]
        still = vector("a", "b").parts
        carried = tuple(
            b + sum((J.parts[k] * a for J, a in zip(push, moving, strict=True)), ZERO)
            for k, b in enumerate(still)
        )
        return cls(
            x=vector("x", ""),
            v=vector("v", "d"),
            w=vector("w", "w"),
            a=Vector("a", carried),
            axes=tuple(vector(f"u{k}", "u", f"_{k}") for k in (1, 2, 3)),
            push=push,
            twist=tuple(vector(f"K{i + 1}", "k", f"_{i + 1}") for i in range(nv)),
        )

    def force(self, vector: Vector) -> Rows:
        """The joint forces of a force at the point."""
        return tuple(J.dot(vector) for J in self.push)

    def torque(self, vector: Vector) -> Rows:
        """The joint forces of a torque on its body."""
        return tuple(K.dot(vector) for K in self.twist)


_BASE = tuple(Vector(f"e{n}", tuple(sympy.Integer(i == k) for i in range(3)))
              for k, n in enumerate(AXES))  # fmt: skip


@functools.lru_cache(maxsize=64)
def _forces(nv: int, gravity: Rows) -> tuple[tuple[str, Rows], ...]:
    """Forces and torques at one point, by name, the simple ones first."""
    s = Seen.at(nv)
    g = Vector("g", gravity)
    vectors = [*_BASE, *s.axes, s.v, s.x, s.a, s.a - g]
    vectors += [turning.cross(s.v) for turning in (s.w, s.x, *_BASE, *s.axes)]
    vectors += [turning.cross(s.x) for turning in (s.w, *_BASE)]
    named = [(f"force {x.name}", s.force(x)) for x in vectors]
    return tuple(named + [(f"torque {x.name}", s.torque(x)) for x in (s.w, *_BASE, *s.axes)])


@functools.lru_cache(maxsize=64)
def _scalars(nv: int, plain: tuple[int, ...]) -> tuple[tuple[str, sympy.Expr], ...]:
    """Scalars that a point and the joints show, by name."""
    s, words = Seen.at(nv), vocabulary(nv)
    out = [(f"|{x.name}|", x.norm) for x in (s.x, s.v, s.w)]
    out += [(f"{n} of {x.name}", x.dot(e)) for x in (s.x, s.v, s.w)
            for n, e in zip(AXES, _BASE, strict=True)]  # fmt: skip
    out += [(f"{x.name}·{u.name}", x.dot(u)) for x in (s.v, s.w) for u in s.axes]
    out += [(f"{n} of {u.name}", u.dot(e)) for u in s.axes
            for n, e in zip(AXES, _BASE, strict=True)]  # fmt: skip
    out += [("x·v", s.x.dot(s.v))]
    for j in range(nv):
        out += [(n, words[n]) for n in (f"q{j + 1}", f"v{j + 1}") if j in plain or n[0] != "q"]
    return tuple(out)


def at_point(robot: Robot, point: Point, name: str) -> ForceCandidates:
    """Forces and torques at a point of a body, and the scalars that they may be functions of."""
    nv, plain = robot.nv, tuple(scalar_coordinates(robot))
    return ForceCandidates(
        tuple(
            ForceDirection(f"{force} at {name}", rows, (point,))
            for force, rows in _forces(nv, _gravity(robot))
        ),
        tuple(Feature(f"{n} ({name})", x, (point,)) for n, x in _scalars(nv, plain)),
    )


@dataclass(frozen=True)
class Candidate:
    """A force direction with its one feature, and the direction that goes with φ'."""

    direction: ForceDirection
    feature: Feature
    slope: ForceDirection | None = None


@functools.lru_cache(maxsize=64)
def _along(nv: int, points: int) -> tuple[Rows, sympy.Expr]:
    seen = Seen.at(nv, points)
    distance = seen.x.norm
    unit = Vector("x/|x|", tuple(x / distance for x in seen.x.parts))
    return seen.force(unit), distance


def along_distance(robot: Robot, points: Sequence[Point], name: str) -> Candidate:
    """The force along the distance of a point from an anchor of the base or from another point, as
    a function of it: what a potential of their distance makes."""
    rows, distance = _along(robot.nv, len(points))
    there = tuple(points)
    return Candidate(
        ForceDirection(f"force along the distance of {name}", rows, there),
        Feature(f"distance of {name}", distance, there),
    )


@functools.lru_cache(maxsize=64)
def _moving(nv: int, j: int, gravity: Rows, heavy: bool) -> tuple[Rows, Rows]:
    """Lagrange's equations of φ(q_j) L, L the energy of a unit mass at point 1: what stands beside
    φ and beside φ'."""
    seen, words = Seen.at(nv), vocabulary(nv, 1)
    g = Vector("g", gravity if heavy else (ZERO,) * 3)
    energy = seen.v.dot(seen.v) / 2 + g.dot(seen.x)
    momentum, speed = seen.force(seen.v), words[f"v{j + 1}"]
    slope = tuple(p * speed - (energy if i == j else 0) for i, p in enumerate(momentum))
    return seen.force(seen.a - g), slope


def moving_masses(robot: Robot, point: Point, name: str, j: int) -> list[Candidate]:
    """A mass at a point that is a function of a joint's coordinate, with its weight and without."""
    out = []
    at = vocabulary(robot.nv)[f"q{j + 1}"]
    for heavy, words in ((True, "mass"), (False, "mass without weight")):
        rows, slope = _moving(robot.nv, j, _gravity(robot), heavy)
        out.append(
            Candidate(
                ForceDirection(f"{words} at {name}", rows, (point,)),
                Feature(f"q{j + 1}", at, (point,)),
                ForceDirection(f"change of {words} at {name}", slope, (point,)),
            )
        )
    return out


def _gravity(robot: Robot) -> Rows:
    return tuple(sympy.Float(x, 17) if x else ZERO for x in robot.gravity.tolist())
