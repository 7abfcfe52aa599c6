"""Standard errors of the angles and distances of an inferred mechanism; which are undetermined.

The axis of a joint is described relative to that of the joint that carries it, by numbers that are
the same in every frame: the angle between the two, their distance, the offset along the carrier's
axis from the common normal before to this one, and the turn about it between the two. Screws and
bodies can often be moved together without changing any answer (the kernel of the predictions'
slopes); a number that such a move changes is undetermined.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from discover.judgement.thresholds import threshold
from discover.mechanism.geometry.measures import VERTICAL, Measure
from discover.mechanism.geometry.projection import (
    COARSE,
    COMPLEX_STEP,
    DESCENT,
    Problem,
    complex_steps,
    screw_step,
)
from discover.mechanism.geometry.screws import Array, ScrewTree
from discover.mechanism.tree.floating import FloatingTree
from discover.numerics import Projection, descend

_KERNEL = 1e-11  # of the best shown combination: what is shown less is not shown at all
_ROUNDING = 1e-12  # times the condition of what is shown: of a number's slopes along the rest
_MOVED = 1e-3  # the most that passes for rounding
_FAR = threshold("mechanism.finite_step")
_FOLLOWING = 40  # steps in which screws follow it
_SAME = threshold("mechanism.same_under_noise")
_FOLLOWED = threshold("mechanism.same_after_step")
_PARALLEL = 1e-6  # sine below which two axes count as parallel
_VERTICAL = np.array([0.0, 0.0, 1.0])


def measures(problem: Problem, screws: Array, parameters: Array) -> tuple[Measure, ...]:
    """All numbers of a geometry (screws (nb, 6), parameters (p,)) that fits a problem's answers."""
    quantities = _quantities(problem.tree, screws)
    deviations = _deviations(problem, screws, parameters)
    rotorless = [False] * len(quantities)
    if not problem.joint_terms:
        rotors = replace(problem, joint_terms=("armature",))
        with_none = np.append(parameters, np.zeros(len(problem.tree.body_of)))
        allowed = _deviations(rotors, screws, with_none)
        rotorless = [b == np.inf > a for a, b in zip(deviations, allowed, strict=True)]
    return tuple(
        Measure(joint=j, other=k, quantity=what, value=value, deviation=deviation, rotorless=needs)
        for (j, k, what, value, _), deviation, needs in zip(
            quantities, deviations, rotorless, strict=True
        )
    )


def _deviations(problem: Problem, screws: Array, parameters: Array) -> list[float]:
    """Standard error of each of the numbers, infinite where no answer shows it."""
    tree = problem.tree
    J = problem.slopes(screws, parameters)
    size = np.linalg.norm(J, axis=0)
    size = np.maximum(size, 1e-12 * size.max())
    _, s, vt = np.linalg.svd(np.linalg.qr(J / size, mode="r"), full_matrices=True)
    s = np.append(s, np.zeros(len(vt) - len(s)))
    shown = s > _KERNEL * s[0]
    blurred = min(_MOVED, _ROUNDING * s[0] / s[shown].min())
    left = problem.y - problem.design(screws) @ parameters
    sigma = np.sqrt(left @ left / max(1, len(left) - int(shown.sum())))
    moved = complex_steps(tree, screws)
    out = []
    for k, (*_, of) in enumerate(_quantities(tree, screws)):
        slope = np.zeros((of(screws[None]).shape[-1], J.shape[1]))
        slope[:, : screws.size] = of(moved).imag.T / COMPLEX_STEP
        along = (slope / size) @ vt.T
        total = float(np.linalg.norm(along))
        free = float(np.linalg.norm(along[:, ~shown])) > blurred * total > 0
        deviation = float(sigma * np.linalg.norm(along[:, shown] / s[shown]))
        if free:
            row = along[np.argmax(np.linalg.norm(along[:, ~shown], axis=1))]
            move = (vt[~shown].T @ row[~shown]) / size
            move = move[: screws.size].reshape(screws.shape)
            deviation = _second_order(problem, screws, k, move / (row[~shown] @ row[~shown]))
        out.append(deviation)
    return out


def _second_order(problem: Problem, screws: Array, k: int, move: Array) -> float:
    """Deviation of the number k, which no answer shows to first order.

    `move` (nb, 6) changes it by one. In a plane, what leaves the plane is seen by its square alone.
    If a finite step, screws and bodies free to follow it, changes no answer either, the deviation
    is infinite: so can a plane of hinges lean against gravity if its lengths shrink. Deviations of
    those lengths are for a plane that leans as told.
    """
    tree = problem.tree
    quantity = _quantities(tree, screws)[k]
    step = _FAR * (
        _Lines(tree, screws).reach or 1.0 if quantity[2] in ("distance", "offset") else 1.0
    )
    misfit = float(np.sqrt(np.mean(problem.project(screws).residual ** 2)))
    moved = tree.unit(screws + step * move)
    left = float(np.sqrt(np.mean(problem.project(moved).residual ** 2)))
    limit = _SAME * misfit if problem.whitened else max(problem.floor, _FOLLOWED * left)
    # Bodies that are hardly shown come and go: without them the misfit falls smoothly, though not
    # always to the end.
    followed, error = _followed(replace(problem, cut=COARSE), moved, k, limit)
    if error > limit:
        followed, error = _followed(problem, followed, k, limit)
    again = _quantities(tree, followed)
    kept = len(again) > k and abs(abs(again[k][3]) - abs(quantity[3])) > 0.3 * step
    if error > limit or not kept:
        chi_square = len(problem.y) * max(0.0, left**2 - misfit**2) / max(misfit, 1e-300) ** 2
        return step * max(chi_square, 1.0) ** -0.25
    return np.inf


def _followed(problem: Problem, screws: Array, k: int, limit: float) -> tuple[Array, float]:
    """Screws that come nearest to the answers from here, and their misfit; number k stays."""

    def at(raw: Array) -> _Followed:
        unit = problem.tree.unit(raw)
        left = problem.project(unit)
        return _Followed(screws=unit, left=left, cost=float(np.mean(left.residual**2)))

    def linearise(now: _Followed) -> Callable[[float], _Followed]:
        pi = now.left.coefficients[: 10 * len(screws)].reshape(-1, 10)
        J = now.left.jacobian(problem.screw_slopes(now.screws, pi))[:, : screws.size]
        quantities = _quantities(problem.tree, now.screws)
        if k < len(quantities):
            held = quantities[k][4](complex_steps(problem.tree, now.screws)).imag.T / COMPLEX_STEP
            J = J - J @ np.linalg.pinv(held) @ held
        step_at = screw_step(J, now.left.residual)
        return lambda damping: at(now.screws + step_at(damping).reshape(screws.shape))

    followed = descend(at(screws), linearise, replace(DESCENT, steps=_FOLLOWING, solved=limit**2))
    return followed.screws, math.sqrt(followed.cost)


@dataclass(frozen=True, eq=False)
class _Followed:
    """Screws (nb, 6), what the best parameters leave, and its mean square."""

    screws: Array
    left: Projection
    cost: float


Function = Callable[[Array], Array]  # unit screws (m, nb, 6), complex or not, to (m, k)
Quantity = tuple[int, int, str, float, Function]


def _quantities(tree: ScrewTree, screws: Array) -> list[Quantity]:
    """Every number with its value and the functions whose derivatives are its own."""
    lines = _Lines(tree, screws)
    quantities: list[Quantity] = []
    floating = isinstance(tree, FloatingTree)
    for j in range(floating, len(screws)):
        p, t = tree.parents[j], lines.turning_above(j)
        if floating and p == 0:
            quantities.append((j, -1, "angle", 0.0, partial(lines.direction, j=j)))
            if tree.turning[j]:
                quantities.append((j, -1, "distance", 0.0, partial(lines.foot, j=j)))
            continue
        if p >= 0 or tree.gravity:
            quantities.append(lines.angle(j, p if p >= 0 else VERTICAL))
        above = tree.parents[p] if p >= 0 else -1
        if p >= 0 and (above >= floating or tree.gravity):
            quantities += lines.turn(j, p, above if above >= 0 else VERTICAL)
        if tree.turning[j] and t >= 0:
            quantities.append(lines.distance(j, t))
            quantities += lines.offset(j, t)
    return quantities


class _Lines:
    """The lines of joints and what may be measured between them."""

    def __init__(self, tree: ScrewTree, screws: Array):
        self.tree, self.screws = tree, screws
        feet = np.cross(screws[:, :3], screws[:, 3:])[np.asarray(tree.turning)]
        self.reach = float(np.ptp(feet, axis=0).max()) if len(feet) else 1.0

    def direction(self, s: Array, j: int) -> Array:
        """(m, 3)"""
        if j == VERTICAL:
            return np.broadcast_to(_VERTICAL, (len(s), 3))
        return s[:, j, :3] if self.tree.turning[j] else s[:, j, 3:]

    def foot(self, s: Array, j: int) -> Array:
        """The point of a turning joint's line next to the origin, (m, 3)."""
        return np.cross(s[:, j, :3], s[:, j, 3:])

    def turning_above(self, j: int) -> int:
        """The nearest turning joint that carries j; -1 where there is none."""
        j = self.tree.parents[j]
        while j >= 0 and not self.tree.turning[j]:
            j = self.tree.parents[j]
        return j

    def sine(self, j: int, k: int) -> float:
        """Of the angle between two lines; zero where they count as parallel."""
        a, b = (self.direction(self.screws[None], i)[0] for i in (j, k))
        sine = float(np.linalg.norm(np.cross(a, b)))
        return sine if sine > _PARALLEL else 0.0

    def angle(self, j: int, k: int) -> Quantity:
        """Between two lines, 0 to π/2."""
        sine = self.sine(j, k)

        def of(s: Array) -> Array:
            a, b = self.direction(s, j), self.direction(s, k)
            return _dot(a, b)[:, None] / sine if sine else np.cross(a, b)

        a, b = (self.direction(self.screws[None], i)[0] for i in (j, k))
        value = float(np.arctan2(np.linalg.norm(np.cross(a, b)), abs(a @ b)))
        return j, k, "angle", value, of

    def distance(self, j: int, k: int) -> Quantity:
        """Of two turning joints' lines."""
        parallel = not self.sine(j, k)
        first = self._between(self.screws[None], j, k, parallel)[0]
        value = float(np.linalg.norm(first)) if parallel else abs(float(first[0]))

        def of(s: Array) -> Array:
            gap = self._between(s, j, k, parallel)
            along = parallel and value > _PARALLEL * self.reach
            return gap @ first[:, None] / value if along else gap

        return j, k, "distance", value, of

    def _between(self, s: Array, j: int, k: int, parallel: bool) -> Array:
        """(m, 1) along the common normal; parallel lines have none of their own: (m, 3)."""
        a, b = self.direction(s, k), self.direction(s, j)
        gap = self.foot(s, j) - self.foot(s, k)
        if parallel:
            return gap - a * _dot(a, gap)[:, None]
        normal = np.cross(a, b)
        return (_dot(gap, normal) / np.sqrt(_dot(normal, normal)))[:, None]

    def offset(self, j: int, k: int) -> list[Quantity]:
        """Along the line of k, from the normal that it has with what carries it (else with the
        first joint on it) to the one with j; none where lines are parallel."""
        if not self.sine(j, k):
            return []
        last, above = k, self.turning_above(k)
        while above >= 0 and not self.sine(above, k):
            last, above = above, self.turning_above(above)
        if above < 0:
            last = k
            beside = [
                i
                for i in range(j)
                if self.tree.turning[i] and self.turning_above(i) == k and self.sine(i, k)
            ]
            if not beside:
                return []
            above = beside[0]

        def of(s: Array) -> Array:
            way = self._stand(s, k, j) - self._stand(s, last, above)
            return _dot(self.direction(s, k), way)[:, None]

        return [(j, k, "offset", float(of(self.screws[None])[0, 0]), of)]

    def _stand(self, s: Array, k: int, j: int) -> Array:
        """Where the common normal of lines k and j meets k, (m, 3)."""
        w, z = self.direction(s, k), self.direction(s, j)
        gap, normal = self.foot(s, k) - self.foot(s, j), np.cross(w, z)
        t = (_dot(w, z) * _dot(z, gap) - _dot(w, gap)) / _dot(normal, normal)
        return self.foot(s, k) + t[:, None] * w

    def turn(self, j: int, k: int, above: int) -> list[Quantity]:
        """About the line of k, from the direction normal to it and `above` to that with j."""
        if not (self.sine(j, k) and self.sine(k, above)):
            return []

        def both(s: Array) -> tuple[Array, Array]:
            w = self.direction(s, k)
            n, m = np.cross(self.direction(s, above), w), np.cross(w, self.direction(s, j))
            size = np.sqrt(_dot(n, n) * _dot(m, m))
            return _dot(n, m) / size, _dot(w, np.cross(n, m)) / size

        c, d = (float(x[0]) for x in both(self.screws[None]))

        def of(s: Array) -> Array:
            cosine, sine = both(s)
            return (c * sine - d * cosine)[:, None]

        return [(j, k, "turn", float(np.arctan2(d, c)), of)]


def _dot(a: Array, b: Array) -> Array:
    """Bilinear, for complex steps."""
    return (a * b).sum(-1)
