"""What a muscle's force is made of, whatever its curves: affine in activation, a product of curves.

A Hill-type muscle pulls with a·A(L)·V(v) + P(L) + B(L)·v. Three questions ask for that form without
a family: is the force affine in the activation; is what activation adds a product of a function of
length and one of rate (rank one on a grid); and how much does the best free form

    F = g(a)·A(L)·V(w) + P(L) + B(L)·w,    w = v / (1 + k (L - middle)/half-width)

with splines for all five functions leave. k lets the speed at which V acts change with length, as
pennation does. Nothing here extrapolates: what lies outside the region is asked there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from torch import Tensor

from discover.muscles.asking import Floor, Muscle, MuscleRegion
from discover.records import Stored

Array = NDArray[Any]
_DEGREE = 3
_PIECES = {"length": 12, "rate": 12, "activation": 4}
_SWEEPS = 12
_TILTS = (-0.15, 0.0, 0.15)
_GRID = 13
_LEVELS = 5


@dataclass(frozen=True, kw_only=True)
class Structure(Stored):
    """Departures from the form of a Hill-type muscle, in shares of the model's force there.

    not_affine      rms residual of straight lines in activation
    not_a_product   share of what activation adds that is no product of length and rate
    free            held-out rms residual of the free form, `worst` the largest
    """

    not_affine: float
    not_a_product: float
    free: float
    worst: float


@dataclass(frozen=True, kw_only=True, eq=False)
class SplineLaw(Stored):
    """The free form with its splines, valid in its box: `law(length, rate, activation) -> [N]`.

    Questions beyond the box are answered at its edge.
    """

    region: MuscleRegion
    tilt: float
    scale: float
    active: Array
    passive: Array
    damping: Array
    velocity: Array
    activation: Array

    formula = "F = g(a)·A(L)·V(w) + P(L) + B(L)·w, splines"

    def __call__(self, length: Any, rate: Any, activation: Any) -> Tensor:
        """Tensions [N] of batches of one muscle, any shape that broadcasts."""
        given = [torch.as_tensor(x).double() for x in (length, rate, activation)]
        wide = torch.broadcast_tensors(*given)
        points = torch.stack(wide, -1).reshape(-1, 3).numpy()
        return torch.as_tensor(self.at(points)).reshape(wide[0].shape)

    def at(self, points: Array) -> Array:
        """Tensions (n,) at points (n, 3)."""
        bases = _Bases.of(points, self.region, self.tilt)
        gain = (bases.activation @ self.activation) * (bases.velocity @ self.velocity)
        rest = bases.length @ self.passive + bases.w * (bases.length @ self.damping)
        return np.asarray(self.scale * (gain * (bases.length @ self.active) + rest))


@dataclass(frozen=True)
class _Bases:
    """Values of the splines' basis functions at points, and the rate w at which V acts, in its
    largest."""

    length: Array
    velocity: Array
    activation: Array
    w: Array

    @classmethod
    def of(cls, points: Array, region: MuscleRegion, tilt: float) -> _Bases:
        low, high = region.sides.T
        x = np.clip(points, low, high)
        along = (x[:, 0] - (low[0] + high[0]) / 2) / ((high[0] - low[0]) / 2)
        fastest = max(abs(low[1]), abs(high[1])) / (1 - abs(tilt))
        w = x[:, 1] / (1 + tilt * along) / fastest
        # fv bends at rest, so V may have a corner there
        return cls(
            _basis(x[:, 0], (low[0], high[0]), _PIECES["length"]),
            _basis(w, (-1.0, 1.0), _PIECES["rate"], 0.0),
            _basis(x[:, 2], (low[2], high[2]), _PIECES["activation"]),
            w,
        )


def _basis(x: Array, ends: tuple[float, float], pieces: int, corner: float | None = None) -> Array:
    """B-splines (n, ·) of evenly laid knots, with a threefold one where the slope may jump."""
    inner = np.linspace(*ends, pieces + 1)[1:-1]
    if corner is not None:
        inner = np.sort(np.r_[inner[np.abs(inner - corner) > 1e-9], [corner] * _DEGREE])
    knots = np.r_[[ends[0]] * (_DEGREE + 1), inner, [ends[1]] * (_DEGREE + 1)]
    return np.asarray(BSpline.design_matrix(np.clip(x, *ends), knots, _DEGREE).toarray())


def structure(
    muscle: Muscle, region: MuscleRegion, floor: Floor, n: int, seed: int = 7
) -> tuple[Structure, SplineLaw]:
    """The departures in a region, and the free form fitted there."""
    points, held = region.points(n, seed), region.points(max(n // 4, 64), seed + 1)
    answers, held_answers = muscle(points), muscle(held)
    scale = float(np.sqrt((answers**2).mean())) or floor.scale or 1.0
    law = free_law(points, answers, region, scale)
    miss = (law.at(held) - held_answers) / scale
    return Structure(
        not_affine=_not_affine(muscle, region, scale, seed),
        not_a_product=_not_a_product(muscle, region),
        free=float(np.sqrt((miss**2).mean())),
        worst=float(np.abs(miss).max()),
    ), law


def _not_affine(muscle: Muscle, region: MuscleRegion, scale: float, seed: int) -> float:
    at = region.points(64, seed + 2)
    levels = np.linspace(*region.activation, _LEVELS)
    asked = np.repeat(at, _LEVELS, 0)
    asked[:, 2] = np.tile(levels, len(at))
    F = muscle(asked).reshape(len(at), _LEVELS)
    line = np.stack((np.ones(_LEVELS), levels), 1)
    residual = F - F @ (line @ np.linalg.pinv(line)).T
    # five answers less two numbers
    return float(np.sqrt((residual**2).sum() / (len(at) * (_LEVELS - 2)))) / scale


def _not_a_product(muscle: Muscle, region: MuscleRegion) -> float:
    length, rate = (np.linspace(*side, _GRID) for side in (region.length, region.rate))
    L, v = (x.ravel() for x in np.meshgrid(length, rate, indexing="ij"))
    ends = [muscle(np.stack((L, v, np.full_like(L, a)), 1)) for a in region.activation]
    s = np.linalg.svd((ends[1] - ends[0]).reshape(_GRID, _GRID), compute_uv=False)
    total = float((s**2).sum())
    return float(np.sqrt((s[1:] ** 2).sum() / total)) if total > 0 else 0.0


def free_law(points: Array, answers: Array, region: MuscleRegion, scale: float) -> SplineLaw:
    """The free form closest to answers (n,) at points (n, 3), by alternating least squares."""
    y = answers / scale
    tried = {k: _alternate(points, y, region, k) for k in _TILTS}
    costs = [tried[k][1] for k in _TILTS]
    # the tilt at the lowest point of a parabola through three
    bend = costs[0] - 2 * costs[1] + costs[2]
    if bend > 0:
        k = float(np.clip(0.5 * _TILTS[2] * (costs[0] - costs[2]) / bend, -0.4, 0.4))
        tried[k] = _alternate(points, y, region, k)
    tilt = min(tried, key=lambda k: tried[k][1])
    parts = tried[tilt][0]
    return SplineLaw(region=region, tilt=float(tilt), scale=scale, **parts)


def _alternate(
    points: Array, y: Array, region: MuscleRegion, tilt: float
) -> tuple[dict[str, Array], float]:
    bases = _Bases.of(points, region, tilt)
    L, V, G, w = bases.length, bases.velocity, bases.activation, bases.w
    n = L.shape[1]
    gain, moving = points[:, 2] / region.activation[1], 1 + 0.5 * w
    a = p = b = np.zeros(n)
    v, g = np.ones(V.shape[1]), np.ones(G.shape[1])
    for _ in range(_SWEEPS):
        whole = _solve(np.hstack((L * (gain * moving)[:, None], L, L * w[:, None])), y)
        a, p, b = whole[:n], whole[n : 2 * n], whole[2 * n :]
        active, rest = L @ a, y - L @ p - w * (L @ b)
        v = _solve(V * (gain * active)[:, None], rest)
        moving = V @ v
        size = float(np.sqrt((moving**2).mean())) or 1.0
        v, moving, active = v / size, moving / size, active * size
        a = a * size
        g = _solve(G * (active * moving)[:, None], rest)
        gain = G @ g
    miss = y - L @ p - w * (L @ b) - gain * moving * active
    parts = {"active": a, "passive": p, "damping": b, "velocity": v, "activation": g}
    return parts, float((miss**2).mean())


def _solve(A: Array, y: Array) -> Array:
    """Least squares through normal equations, with as much ridge as rounding needs."""
    G = A.T @ A
    G[np.diag_indices_from(G)] += 1e-10 * np.trace(G) / len(G) + 1e-300
    return np.asarray(np.linalg.solve(G, A.T @ y))
