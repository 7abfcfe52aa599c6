"""Candidates for an unknown force: the directions in which it may act, the features it depends on.

A *force direction* is a vector in the space of joint forces, itself a function of the state; a
*feature* is one scalar. The residual of a law is searched for direction × φ(feature), φ unknown:
the lists hold no basis functions.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import sympy

from discover.judgement.thresholds import whole
from discover.laws.extensions.terms import Term, scalar_coordinates
from discover.laws.search.variables import AXES, Point, has_points, vocabulary
from kinematics import Robot

_COORDINATES = whole("search.coordinates")
_COUPLED_PAIRS = whole("search.coupled_pairs")
_COUPLED = max(k for k in range(2, 99) if math.comb(k, 2) <= _COUPLED_PAIRS)


@dataclass(frozen=True)
class ForceDirection:
    """A direction in the space of joint forces; `alike` if it says the same of every joint."""

    name: str
    rows: tuple[sympy.Expr, ...]
    points: tuple[Point, ...] = ()
    alike: bool = False

    def term(self, shape: sympy.Expr | int | Sequence[sympy.Expr] = 1) -> Term:
        """The direction times a scalar, or every row times its own."""
        factors = shape if isinstance(shape, Sequence) else [shape] * len(self.rows)
        rows = tuple(r * f for r, f in zip(self.rows, factors, strict=True))
        return Term(name=self.name, shape=rows, points=self.points)


@dataclass(frozen=True)
class Feature:
    """One scalar of the state; or one of every joint's own, `rows`, for directions alike at all."""

    name: str
    expression: sympy.Expr
    points: tuple[Point, ...] = ()
    rows: tuple[sympy.Expr, ...] = ()

    @property
    def slots(self) -> int:
        """How many scalars: one, or one a joint."""
        return len(self.rows) or 1

    def term(self, nv: int) -> Term:
        """The scalars in the first rows of a term, to be evaluated with the others."""
        rows = self.rows or (self.expression, *([sympy.Integer(0)] * (nv - 1)))
        return Term(name=self.name, shape=rows, points=self.points)

    def through(
        self, function: Callable[[sympy.Expr], sympy.Expr]
    ) -> sympy.Expr | list[sympy.Expr]:
        """function(scalar), or that of every joint's own: the factor of a direction."""
        return [function(x) for x in self.rows] if self.rows else function(self.expression)

    @property
    def free_symbols(self) -> set[sympy.Symbol]:
        """The physical variables it names."""
        return set().union(*(x.free_symbols for x in (self.expression, *self.rows)))


@dataclass(frozen=True)
class ForceCandidates:
    """Force directions and the features that go with them."""

    directions: tuple[ForceDirection, ...]
    features: tuple[Feature, ...]


RATIO = sympy.Symbol("ratio", real=True)


@dataclass(frozen=True)
class Ridge:
    """A sum x_i + ratio x_j of two coordinates ("q") or speeds ("v") in any ratio, as a belt or a
    gear between joints shows it, and the force direction that goes with it.

    weights   of the direction's forces on i and on j; None: as of a potential of the sum
    """

    group: str
    i: int
    j: int
    nv: int
    ratio: float
    weights: tuple[int, int] | None = None

    def candidate(self, ratio: sympy.Expr | None = None) -> tuple[ForceDirection, Feature]:
        """Direction and feature; with the symbol `ratio`, to be fitted, in the place of its own."""
        r = sympy.Float(self.ratio, 17) if ratio is None else ratio
        words, zero = vocabulary(self.nv), sympy.Integer(0)
        x, y = (words[f"{self.group}{k + 1}"] for k in (self.i, self.j))
        first, second = (sympy.Integer(1), r) if self.weights is None else self.weights
        rows = {self.i: sympy.sympify(first), self.j: sympy.sympify(second)}
        acting = [f"joint {k + 1}" for k, row in rows.items() if row != 0]
        ending = ", in the ratio of the sum" if self.weights is None else ""
        direction = ForceDirection(
            f"force on {' and '.join(acting)}{ending}",
            tuple(rows.get(k, zero) for k in range(self.nv)),
        )
        return direction, Feature(f"{x} {self.ratio:+.4g} {y}", x + r * y)


def coordinates_near(robot: Robot, first: Sequence[int] = ()) -> list[tuple[int, int]]:
    """The pairs of coordinates that candidates are made of: see `joint_candidates`."""
    order = tuple(first) or tuple(range(robot.nv))
    chosen = order[:_COORDINATES]
    ranked = bool(first) or all_pairs_fit(robot.nv)
    pairs = set(combinations(sorted(order[:_COUPLED] if ranked else ()), 2))
    plain = set(scalar_coordinates(robot))
    near = pairs | {(i, i + 1) for i in chosen if i + 1 in chosen}
    return sorted(p for p in near if set(p) <= plain)


def all_pairs_fit(nv: int) -> bool:
    """Whether all pairs of nv coordinates are within the budget of pairs."""
    return math.comb(nv, 2) <= _COUPLED_PAIRS


def joint_candidates(robot: Robot, first: Sequence[int] = ()) -> ForceCandidates:
    """Force directions and features of joints, and of the whole body.

    first  coordinates in the order of how much they matter, where that is known

    Every robot gets every kind of candidate; a budget limits how many of each. Pairs of coordinates
    are those of neighbours and, where not all pairs are within the budget, those of the first
    coordinates. Beyond a number of coordinates only the first are tried.
    """
    plain = tuple(scalar_coordinates(robot))
    order = tuple(first) or tuple(range(robot.nv))
    ranked = bool(first) or all_pairs_fit(robot.nv)
    return _joint_candidates(
        robot.nv, plain, order[:_COORDINATES], order[:_COUPLED] if ranked else ()
    )


@functools.lru_cache(maxsize=64)
def _joint_candidates(
    nv: int, plain: tuple[int, ...], chosen: tuple[int, ...], coupled: tuple[int, ...]
) -> ForceCandidates:
    """`plain` are the coordinates that q has an entry for, `coupled` those paired with each
    other."""
    w = vocabulary(nv)
    q, v, a, tau, p, h, g, c = (
        [w[f"{n}{i + 1}"] for i in range(nv)] for n in ("q", "v", "a", "tau", "p", "h", "g", "c")
    )
    zero, one = sympy.Integer(0), sympy.Integer(1)
    directions: list[ForceDirection] = []

    def add(name: str, rows: dict[int, sympy.Expr], alike: bool = False) -> None:
        directions.append(
            ForceDirection(name, tuple(rows.get(j, zero) for j in range(nv)), alike=alike)
        )

    looked_at = sorted(chosen)
    pairs = set(combinations(sorted(coupled), 2))
    near = sorted(pairs | {(i, i + 1) for i in looked_at if i + 1 in chosen})
    for j in looked_at:
        on = f"joint {j + 1}"
        add(f"force on {on}", {j: one})
        add(f"drag on {on}", {j: v[j]})
        add(f"friction on {on}", {j: sympy.sign(v[j])})
        if j in plain:
            add(f"spring on {on}", {j: q[j]})
        add(f"inertia of {on}", {j: a[j]})
        add(f"share of the force on {on}", {j: tau[j]})
        add(f"inertia force on {on}", {j: h[j]})
        add(f"gravity on {on}", {j: g[j]})
        add(f"velocity force on {on}", {j: c[j]})
        column = {i: w[f"H{i + 1}_{j + 1}"] for i in range(nv)}
        add(f"acceleration of {on}", column)
        add(f"share of the acceleration of {on}", {i: x * a[j] for i, x in column.items()})
        add(f"damped acceleration of {on}", {i: x * v[j] for i, x in column.items()})
        add(f"quadratic drag on {on}", {j: v[j] * sympy.Abs(v[j])})
        add(f"square of its speed on {on}", {j: v[j] ** 2})
    for i, j in near:
        for first, second in ((i, j), (j, i)):
            between = f"joint {second + 1} on joint {first + 1}"
            add(f"speed of {between}", {first: v[second]})
            add(f"inertia of {between}", {first: a[second]})
            add(f"force of {between}", {first: tau[second]})
            add(f"square of the speed of {between}", {first: v[second] ** 2})
            add(f"product of speeds with {between}", {first: v[first] * v[second]})
        pair = f"joints {i + 1} and {j + 1}"
        add(f"force between {pair}", {i: one, j: -one})
        add(f"drag between {pair}", {i: v[i] - v[j], j: v[j] - v[i]})
        add(f"inertia shared by {pair}", {i: a[j], j: a[i]})
        add(f"inertia between {pair}", {i: a[i] - a[j], j: a[j] - a[i]})
        if nv > 2:
            add(f"common force on {pair}", {i: one, j: one})
        for twice in (2 * one, -2 * one):
            for first, second in ((i, j), (j, i)):
                name = f"force on joint {first + 1}, {twice} times on joint {second + 1}"
                add(name, {first: one, second: twice})
        add(f"gyroscopic force on {pair}", {i: v[j], j: -v[i]})
        if i in plain and j in plain:
            add(f"curl force on {pair}", {i: q[j], j: -q[i]})
    if nv > 1:
        for name, vector in (
            ("drag on all joints", v),
            ("spring on all joints", q),
            ("force share on all joints", tau),
            ("force on all joints", [one] * nv),
            ("inertia of all joints", a),
        ):
            add(name, {j: vector[j] for j in plain}, alike=True)
    for name, vector in (
        ("drag by momentum", p),
        ("inertia force", h),
        ("gravity", g),
        ("velocity force", c),
    ):
        add(name, dict(enumerate(vector)))

    features: list[Feature] = []

    def see(name: str, expression: sympy.Expr) -> None:
        features.append(Feature(name, expression))

    for j in looked_at:
        for x in (q[j], v[j], tau[j], a[j]) if j in plain else (v[j], tau[j], a[j]):
            see(str(x), x)
        see(f"power of joint {j + 1}", tau[j] * v[j])
        see(f"momentum of joint {j + 1}", p[j])
        if j in plain:
            see(f"q{j + 1} v{j + 1}", q[j] * v[j])
    for i, j in near:
        for x in (q, v) if i in plain and j in plain else (v,):
            see(f"{x[i]} + {x[j]}", x[i] + x[j])
            see(f"{x[i]} - {x[j]}", x[i] - x[j])
            see(f"{x[i]} {x[j]}", x[i] * x[j])
            see(f"|({x[i]}, {x[j]})|", sympy.sqrt(x[i] ** 2 + x[j] ** 2))
        if i in plain and j in plain:
            for once, twice in ((i, j), (j, i)):
                see(f"{q[once]} + 2 {q[twice]}", q[once] + 2 * q[twice])
                see(f"{q[once]} - 2 {q[twice]}", q[once] - 2 * q[twice])
        for at, moving in ((i, j), (j, i)):
            if at in plain:
                see(f"q{at + 1} v{moving + 1}", q[at] * v[moving])
    if nv > 1:
        for n in (j + 1 for j in looked_at if j > 1):
            summed = [j for j in range(n) if j in plain]
            see(f"q1 + … + q{n}", sum((q[j] for j in summed), zero))
            see(f"v1 + … + v{n}", sum((v[j] for j in summed), zero))
        for name, x in (("v", v), ("q", [q[j] for j in plain]), ("tau", tau), ("a", a)):
            if x and (nv > 2 or name in ("tau", "a")):
                see(f"|{name}|", sympy.sqrt(sum(y**2 for y in x)))
        for x in (q, v, tau, a):
            entries = tuple(zero if x is q and j not in plain else x[j] for j in range(nv))
            if plain:
                name = f"each joint's own {str(x[0])[:-1]}"
                features.append(Feature(name, x[plain[0]], rows=entries))
    see("kinetic energy", w["T"])
    see("power", sum((x * y for x, y in zip(tau, v, strict=True)), zero))
    return ForceCandidates(tuple(directions), tuple(features))


@functools.lru_cache(maxsize=16)
def single_joint_candidates(
    nv: int, plain: tuple[int, ...]
) -> tuple[ForceCandidates, dict[str, int]]:
    """A force on each coordinate, as a function of each by itself; and the coordinate of each name
    of a direction or a feature."""
    w = vocabulary(nv)
    coordinate: dict[str, int] = {}
    directions, features = [], []
    for j in range(nv):
        rows = tuple(sympy.Integer(i == j) for i in range(nv))
        directions.append(ForceDirection(f"force on joint {j + 1}", rows))
        groups = ("q", "v", "tau", "a") if j in plain else ("v", "tau", "a")
        names = [f"{group}{j + 1}" for group in groups]
        features += [Feature(name, w[name]) for name in names]
        coordinate |= dict.fromkeys((directions[-1].name, *names), j)
    return ForceCandidates(tuple(directions), tuple(features)), coordinate


def candidate_points(robot: Robot) -> list[Point]:
    """Points from which a free point is started: where bodies end, and a length to the sides."""
    if not has_points(robot):
        return []
    lengths = [float(o.norm()) for o in robot.tree_offset if float(o.norm()) > 1e-9]
    length = sum(lengths) / len(lengths) if lengths else 0.3
    points = []
    for k in range(robot.nb):
        children = [c for c, parent in enumerate(robot.parents) if parent == k]
        ends = [tuple(robot.tree_offset[c].tolist()) for c in children]
        ends = [e for e in ends if any(abs(x) > 1e-9 for x in e)]
        if not ends:
            axis = robot.axes[k].tolist()
            for i in (i for i in range(3) if abs(axis[i]) < 0.9):
                for sign in (1.0, -1.0):
                    ends.append(tuple(sign * length if m == i else 0.0 for m in range(3)))
        points += [Point(k, e) for e in ends]
    return points


@functools.lru_cache(maxsize=256)
def point_candidates(nv: int, point: Point, name: str) -> ForceCandidates:
    """Forces at a point of a body, and what the point shows: its place, its speed."""
    w = vocabulary(nv, 1)
    J = {x: [w[f"j{x}1_{i + 1}"] for i in range(nv)] for x in AXES}
    at, moving = [w[f"{x}1"] for x in AXES], [w[f"d{x}1"] for x in AXES]
    carried = [sum((J[x][i] * w[f"a{i + 1}"] for i in range(nv)), sympy.Integer(0)) for x in AXES]

    def pulled(force: Sequence[sympy.Expr]) -> tuple[sympy.Expr, ...]:
        return tuple(
            sum((J[x][i] * f for x, f in zip(AXES, force, strict=True)), sympy.Integer(0))
            for i in range(nv)
        )

    unit = [[sympy.Integer(i == j) for j in range(3)] for i in range(3)]
    directions = [
        ForceDirection(f"force along {x} at {name}", pulled(unit[i]), (point,))
        for i, x in enumerate(AXES)
    ]
    directions += [
        ForceDirection(f"drag at {name}", pulled(moving), (point,)),
        ForceDirection(f"central force at {name}", pulled(at), (point,)),
        ForceDirection(f"added mass at {name}", pulled(carried), (point,)),
    ]
    speed = sympy.sqrt(sum(x**2 for x in moving))
    distance = sympy.sqrt(sum(x**2 for x in at))
    features = [Feature(f"{x} of {name}", y, (point,)) for x, y in zip(AXES, at, strict=True)]
    features += [
        Feature(f"speed along {x} of {name}", y, (point,))
        for x, y in zip(AXES, moving, strict=True)
    ]
    features += [
        Feature(f"speed of {name}", speed, (point,)),
        Feature(f"distance of {name}", distance, (point,)),
    ]
    return ForceCandidates(tuple(directions), tuple(features))
