"""The families fitted to a muscle's answers, with intervals that say what is not known.

Intervals are those of 95 %. Their width is the larger of two: with independent errors of the size
of the residual (or of the noise, if that is larger), and with errors that go together within cells
of the region, as those of a model that has the law only nearly do (cluster-robust covariance,
Liang & Zeger 1986). A parameter that cannot be told alone may be known in combination: the
directions that the answers do not see are told in words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from discover.muscles.asking import Floor, Muscle, MuscleRegion
from discover.muscles.families import (
    FAMILIES,
    FamilyLaw,
    Parameter,
    law_at,
    parameters_of,
    tensions,
)
from discover.records import Stored
from kinematics.errors import RobotError

Array = NDArray[Any]
_QUANTILE = 1.96
_TOLD = 0.2  # of itself, beyond which half an interval leaves a parameter unknown
_CELLS = 3  # a side, of the clusters
_EXACT = 1e-6  # residual of a family that is the model's own
_CLOSE = 1.15  # residual in units of the noise, likewise
_HOPELESS = 0.5  # residual with standard curves beyond which adapting them helps nothing
_STEP = 1e-5  # of a parameter's natural step, between two answers for a slope
_BAD = 1e3  # residual, in shares of the force, where the parameters make no law


@dataclass(frozen=True, kw_only=True)
class Estimate(Stored):
    """A number with its interval of 95 %; identified where the interval is narrow beside it."""

    name: str
    unit: str
    value: float
    low: float
    high: float
    identified: bool


@dataclass(frozen=True, kw_only=True)
class FamilyFit(Stored):
    """A family's closest member.

    adapted      whether numbers of its curves were fitted, too
    residual     rms, in shares of the model's force, at answers that were not fitted
    worst        the largest there
    estimates    parameters, then combinations
    unseen       directions that the answers do not determine, in words
    """

    family: str
    adapted: bool
    law: FamilyLaw
    residual: float
    worst: float
    estimates: tuple[Estimate, ...]
    unseen: tuple[str, ...]


@dataclass(frozen=True)
class Samples:
    """Questions and answers, some of them held out."""

    points: Array
    answers: Array
    held: Array
    held_answers: Array
    region: MuscleRegion
    floor: Floor

    @classmethod
    def ask(
        cls, muscle: Muscle, region: MuscleRegion, floor: Floor, n: int, seed: int = 1
    ) -> Samples:
        """n questions to fit and n/2 held out."""
        points, held = region.points(n, seed), region.points(n // 2, seed + 1)
        return cls(points, muscle(points), held, muscle(held), region, floor)


def fit_families(samples: Samples) -> list[FamilyFit]:
    """Every family's closest member, the best first: with standard curves; where none of these is
    close, with adapted ones."""
    problems = [Problem.of(family, samples) for family in FAMILIES]
    found = [(problem, *problem.standard()) for problem in problems]
    close = max(_EXACT, _CLOSE * samples.floor.noise)
    adapted = {}
    if min(cost for *_, cost in found) > close**2:
        adapted = {p.family: p.adapted(x, cost) for p, x, cost in found if cost < _HOPELESS**2}
    fits = []
    for problem, x, cost in found:
        wide = adapted.get(problem.family)
        better = wide is not None and wide[1] < 0.8 * cost
        free = np.ones(len(x), bool) if better else problem.free
        fits.append(_told(problem, free, wide[0] if better and wide else x, better))
    return sorted(fits, key=lambda fit: fit.residual)


@dataclass(frozen=True)
class Problem:
    """One family's parameters and the samples that they are fitted to.

    free    which parameters are fitted with standard curves
    sizes   a natural step of each
    """

    family: str
    parameters: tuple[Parameter, ...]
    free: Array
    sizes: Array
    samples: Samples

    @classmethod
    def of(cls, family: str, samples: Samples) -> Problem:
        """The problem of a family."""
        parameters = parameters_of(family, samples.region, samples.floor.scale)
        span = samples.region.length[1] - samples.region.length[0]
        sizes = [0.3 if p.log else span if p.unit == "m" else 0.1 for p in parameters]
        free = np.array([p.standard is None for p in parameters])
        return cls(family, parameters, free, np.array(sizes), samples)

    def standard(self) -> tuple[Array, float]:
        """The minimum with standard curves, and the mean square there."""
        tried = sorted((self.descend(self.free, x, 8, 160) for x in _starts(self)), key=_cost)
        return min((self.descend(self.free, x, 60) for x, _ in tried[:2]), key=_cost)

    def adapted(self, x: Array, cost: float) -> tuple[Array, float]:
        """The same with adapted curves, from there and from a few other starts."""
        every = np.ones_like(self.free)
        # a Millard curve is a table that is made anew at every step
        dear = self.family == "Millard"
        starts = [x] if dear else [x, *_starts(self)[::2]]
        tried = sorted((self.descend(every, y, 6, 160) for y in starts), key=_cost)
        return min((self.descend(every, y, 8 if dear else 60) for y, _ in tried[:2]), key=_cost)

    def residuals(self, X: Array, points: Array, answers: Array) -> Array:
        """(n, k) of vectors (k, parameters), in shares of the model's force."""
        try:
            found = tensions(self.family, self.parameters, X, points)
        except RobotError:  # curves that no muscle has
            return np.full((len(points), len(X)), _BAD)
        out = (found - answers[:, None]) / self.samples.floor.scale
        return np.clip(np.nan_to_num(out, nan=_BAD, posinf=_BAD, neginf=-_BAD), -_BAD, _BAD)

    def slopes(self, x: Array, which: Array, n: int) -> Array:
        """∂(residuals)/∂x (n, len(which)) by central differences, one-sided at bounds."""
        low, high = self.bounds
        X = np.repeat(x[None], 2 * len(which), 0)
        for k, i in enumerate(which):
            X[2 * k, i] = max(x[i] - _STEP * self.sizes[i], low[i])
            X[2 * k + 1, i] = min(x[i] + _STEP * self.sizes[i], high[i])
        steps = X[1::2, which].diagonal() - X[::2, which].diagonal()
        at = self.samples.points[:n], self.samples.answers[:n]
        values = self.residuals(X, *at)
        return np.asarray((values[:, 1::2] - values[:, ::2]) / steps)

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Of the parameters, as they are fitted."""
        return (
            np.array([p.inside(p.low) for p in self.parameters]),
            np.array([p.inside(p.high) for p in self.parameters]),
        )

    def descend(
        self, free: Array, start: Array, effort: int, n: int | None = None
    ) -> tuple[Array, float]:
        """The minimum from a start over the free parameters, and the mean square there, on the
        first n samples."""
        n = len(self.samples.points) if n is None else n
        which = np.flatnonzero(free)
        low, high = (b[which] for b in self.bounds)
        gap = 1e-6 * (high - low)

        def whole(y: Array) -> Array:
            x = start.copy()
            x[which] = y
            return x

        found = least_squares(
            lambda y: self.residuals(
                whole(y)[None], self.samples.points[:n], self.samples.answers[:n]
            )[:, 0],
            np.clip(start[which], low + gap, high - gap),
            jac=lambda y: self.slopes(whole(y), which, n),
            bounds=(low, high),
            x_scale=self.sizes[which],
            max_nfev=effort,
            ftol=1e-12,
            xtol=1e-12,
            gtol=1e-14,
        )
        return whole(found.x), float((found.fun**2).mean())


def _cost(found: tuple[Array, float]) -> float:
    return found[1]


def _starts(problem: Problem) -> list[Array]:
    """Where fits begin: fibres of several shares of the region's lengths, whose optimum is in its
    middle or where the slow muscle pulls most."""
    family, parameters, samples = problem.family, problem.parameters, problem.samples
    low, high = samples.region.length
    slow = np.abs(samples.points[:, 1]) < 0.3 * max(map(abs, samples.region.rate))
    pick = slow if slow.any() else np.ones_like(slow)
    peak = float(samples.points[pick][np.argmax(samples.answers[pick])][0])
    strongest = float(np.quantile(np.abs(samples.answers), 0.98))
    out = []
    for share in (0.5, 0.9, 1.6, 3.0):
        for centre in ((low + high) / 2, peak):
            optimal = share * (high - low)
            values = {p.name: p.start for p in parameters}
            values |= {"F0": strongest, "l_opt": optimal}
            values["l_zero" if family == "MuJoCo" else "l_slack"] = (
                centre - optimal if family == "MuJoCo" else max(centre - 0.97 * optimal, 0.0)
            )
            values["v_max"] = float(np.clip(max(map(abs, samples.region.rate)) / optimal, 1, 50))
            out.append(
                np.array(
                    [p.inside(float(np.clip(values[p.name], p.low, p.high))) for p in parameters]
                )
            )
    return out


def _told(problem: Problem, free: Array, x: Array, adapted: bool) -> FamilyFit:
    """Residuals, intervals and unseen directions at a minimum."""
    family, parameters, samples = problem.family, problem.parameters, problem.samples
    law = law_at(family, parameters, x)
    held = problem.residuals(x[None], samples.held, samples.held_answers)[:, 0]
    inside = problem.residuals(x[None], samples.points, samples.answers)[:, 0]
    sizes, which = problem.sizes, np.flatnonzero(free)
    J = problem.slopes(x, which, len(samples.points)) * sizes[which]
    covariance, unseen = _covariance(J, inside, samples, [parameters[i] for i in which])
    at = {parameters[i].name: k for k, i in enumerate(which)}
    estimates = [
        _estimate(p, float(x[i]), covariance, at.get(p.name), float(sizes[i]))
        for i, p in enumerate(parameters)
        if free[i]
    ]
    estimates = [_as_angle(e) if e.name == "sin² α0" else e for e in estimates]
    estimates += _combinations(law, covariance, at, sizes[free])
    return FamilyFit(
        family=family,
        adapted=adapted,
        law=law,
        residual=float(np.sqrt((held**2).mean())),
        worst=float(np.abs(held).max()),
        estimates=tuple(estimates),
        unseen=unseen,
    )


def _covariance(
    J: Array, residual: Array, samples: Samples, parameters: Sequence[Parameter]
) -> tuple[Array, tuple[str, ...]]:
    """Covariance of scaled parameters, and the directions that the answers do not see."""
    _, s, V = np.linalg.svd(J, full_matrices=False)
    seen = s > 1e-7 * s[0]
    words = tuple(_words(V[k], parameters) for k in np.flatnonzero(~seen))
    inverse = (V[seen].T / s[seen] ** 2) @ V[seen]
    variance = max(
        float((residual**2).sum()) / max(len(residual) - J.shape[1], 1),
        samples.floor.noise**2,
        1e-24,
    )
    low, high = samples.region.sides.T
    cell = np.minimum((_CELLS * (samples.points - low) / (high - low)).astype(int), _CELLS - 1)
    label = cell @ _CELLS ** np.arange(3)
    meat = np.zeros_like(inverse)
    for k in np.unique(label):
        g = J[label == k].T @ residual[label == k]
        meat += np.outer(g, g)
    robust = inverse @ meat @ inverse
    wide = 1e12 * (V[~seen].T @ V[~seen])  # what is not seen may be anything
    spread = np.sqrt(np.maximum(np.diag(robust), np.diag(inverse * variance)))
    base = inverse * variance
    size = np.sqrt(np.maximum(np.diag(base), 1e-300))
    ratio = np.where(size > 1e-150, spread / size, 1.0)
    return base * np.outer(ratio, ratio) + wide, words


def _words(direction: Array, parameters: Sequence[Parameter]) -> str:
    strong = [p.name for p, d in zip(parameters, direction, strict=True) if abs(d) > 0.1]
    return (
        f"{strong[0]} has no effect here"
        if len(strong) == 1
        else f"{', '.join(strong)} only together"
    )


def _estimate(p: Parameter, x: float, covariance: Array, k: int | None, size: float) -> Estimate:
    assert k is not None
    half = _QUANTILE * math.sqrt(max(float(covariance[k, k]), 0.0)) * size
    ends = [min(max(y, p.inside(p.low)), p.inside(p.high)) for y in (x - half, x + half)]
    low, high = (p.outside(y) for y in ends)
    value = p.outside(x)
    # of what may be zero, as damping and pennation, knowing it to a few hundredths is knowing it
    beside = max(abs(value), 0.1) if p.unit in ("F0", "1") and not p.log else abs(value)
    narrow = high - low <= 2 * _TOLD * beside
    return Estimate(name=p.name, unit=p.unit, value=value, low=low, high=high, identified=narrow)


def _as_angle(e: Estimate) -> Estimate:
    low, value, high = (math.degrees(math.asin(math.sqrt(x))) for x in (e.low, e.value, e.high))
    known = high - low <= max(2.0, 2 * _TOLD * value)
    return Estimate(name="α0", unit="°", value=value, low=low, high=high, identified=known)


def _combinations(
    law: FamilyLaw, covariance: Array, at: dict[str, int], sizes: Array
) -> list[Estimate]:
    """Products that survive a gauge: a muscle known through joints only has a length scale of its
    own (l_opt → c·, F0 → F0/c), which leaves F0·l_opt and v_max."""
    v = law.values
    out = []
    for name, unit, parts in (
        ("F0·l_opt", "N·m", ("F0", "l_opt")),
        ("v_max·l_opt", "m/s", ("v_max", "l_opt")),
    ):
        g = np.zeros(len(covariance))
        for part in parts:
            g[at[part]] = sizes[at[part]]
        half = _QUANTILE * math.sqrt(max(float(g @ covariance @ g), 0.0))
        value = v[parts[0]] * v[parts[1]]
        half = min(half, 50.0)
        out.append(
            Estimate(
                name=name,
                unit=unit,
                value=value,
                low=value * math.exp(-half),
                high=value * math.exp(half),
                identified=half <= _TOLD,
            )
        )
    return out
