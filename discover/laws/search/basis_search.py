"""Sparse regression of a function of one variable on the library of basis functions.

The flexible fit gives the function at points z, and with them a metric: how much a change of the
function changes the accelerations beyond what the bodies could make up for. In that metric every
basis function is compared with it on a grid of its constants, all at once; the constants of the
best are optimised. Functions that differ by a rigid-body force are the same in this metric.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np

from discover.judgement.thresholds import threshold, whole
from discover.laws.search.basis_functions import BasisFunction, basis_functions
from discover.numerics import (
    Descent,
    Projection,
    descend,
    differences,
    levenberg_step,
    plain_least_squares,
    project,
)

_KEPT = whole("search.grid_kept")
_PLAIN = whole("search.plain_symbols")
_AGAIN = whole("search.optimised")
_SUMMED, _SECONDS = whole("search.summed"), whole("search.seconds")
_NOT_EXACT = threshold("search.not_exact")
_HOPEFUL = threshold("search.hopeful_gain")


@dataclass(frozen=True)
class Target:
    """The function at z (k,): values f leave push(f) - y of it, in rows of acceleration.

    push   (k, m) -> (rows, m), linear
    total  the squares that no values could explain, to be added to |push(f) - y|²
    count  how many rows an error is averaged over
    floor  root mean square below which a smaller error is no evidence
    size   the unit of z in basis functions: the largest |z|, less where few are large
    """

    z: np.ndarray
    push: Callable[[np.ndarray], np.ndarray]
    y: np.ndarray
    rest: float
    count: int
    floor: float
    size: float


@dataclass(frozen=True)
class BasisExpansion:
    """Σ coefficients · functions(z / size; constants), its error (rms) and its length in nats."""

    functions: tuple[BasisFunction, ...]
    constants: tuple[tuple[float, ...], ...]
    error: float
    length: float
    coefficients: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        return " + ".join(s.name for s in self.functions)


@functools.lru_cache(maxsize=1)
def _basis_functions() -> tuple[BasisFunction, ...]:
    return tuple(basis_functions())


Length = Callable[[float, int, int], float]


def search(
    coarse: Target, fine: Target, length: Length, keep: int, summands: int = 2
) -> list[BasisExpansion]:
    """Basis functions, and sums of up to `summands` of them, shortest descriptions first.

    `coarse` is the function on a grid, `fine` the same at the states themselves;
    `length(error, symbols, numbers)` is the description length in nats.
    """
    u = coarse.z / coarse.size
    dictionary = _Dictionary.of(coarse, u)
    best = dictionary.best(coarse.y, float(coarse.y @ coarse.y) + coarse.rest, coarse, length)
    plain = [x for x in best[_KEPT:] if x[1].cost <= _PLAIN and len(x[1].grids) <= 1]
    candidates = [_optimised(coarse, (s,), (k,), length) for _, s, k in [*best[:_KEPT], *plain]]
    candidates.sort(key=lambda f: f.length)
    firsts = [f for f in candidates if f.name in ("1", "u")]
    if candidates and candidates[0].error > _NOT_EXACT * max(coarse.floor, fine.floor):
        firsts += [f for f in candidates[:_SUMMED] if f.name not in ("1", "u")]
        candidates += _lopsided(coarse, best, length)
    candidates += _sums(coarse, u, firsts, dictionary, length)
    candidates.sort(key=lambda f: f.length)
    if (
        summands > 2
        and candidates
        and candidates[0].error > _NOT_EXACT * max(coarse.floor, fine.floor)
    ):
        pairs = [f for f in candidates if len(f.functions) == 2][:_SUMMED]
        candidates += _sums(coarse, u, pairs, dictionary, length)
        candidates.sort(key=lambda f: f.length)
        # Beside a function known roughly, sums of many look best: some of each size go on.
        sizes = [[f for f in candidates if len(f.functions) == k] for k in range(1, summands + 1)]
        candidates = [f for group in sizes for f in group[: _AGAIN // summands]]
    again = [_optimised(fine, f.functions, f.constants, length) for f in candidates[:_AGAIN]]
    again.sort(key=lambda f: f.length)
    return [replace(f, coefficients=_coefficients(fine, f)) for f in again[:keep]]


def with_optimised_constants(
    target: Target,
    functions: tuple[BasisFunction, ...],
    constants: tuple[tuple[float, ...], ...],
    length: Length,
) -> BasisExpansion:
    """The functions with constants and coefficients fitted, from the constants given."""
    optimised = _optimised(target, functions, constants, length)
    return replace(optimised, coefficients=_coefficients(target, optimised))


def _coefficients(target: Target, expansion: BasisExpansion) -> tuple[float, ...]:
    u = target.z / target.size
    pairs = zip(expansion.functions, expansion.constants, strict=True)
    columns = np.stack([np.nan_to_num(s.values(u, k)) for s, k in pairs], 1)
    c = plain_least_squares(target.push(columns), target.y, rcond=1e-12)
    return tuple(float(x) for x in c)


@dataclass(frozen=True)
class _Dictionary:
    """All basis functions on their grids of constants, as rows of acceleration, with norms."""

    blocks: list[tuple[BasisFunction, np.ndarray, slice]]
    pushed: np.ndarray  # (rows, columns)
    norm: np.ndarray
    usable: np.ndarray

    @classmethod
    def of(cls, target: Target, u: np.ndarray) -> _Dictionary:
        one_sided = u.min() >= 0 or u.max() <= 0
        blocks, parts, start = [], [], 0
        for function in _basis_functions():
            if one_sided and (function.side or "sign" in function.name):
                continue
            grid = (
                np.array(list(product(*function.grids))).T if function.grids else np.zeros((0, 1))
            )
            values = function.values(u[:, None], grid[:, None, :])
            values = np.broadcast_to(values, (len(u), grid.shape[1]))
            blocks.append((function, grid, slice(start, start + grid.shape[1])))
            parts.append(values)
            start += grid.shape[1]
        columns = np.concatenate(parts, axis=1)
        good = np.isfinite(columns).all(0) & (np.abs(columns).max(0) < 1e6)
        columns = np.where(good, columns, 0.0)
        pushed = target.push(columns)
        norm = np.einsum("ij,ij->j", pushed, pushed)
        # What pushing takes almost whole away is a rigid body's own force.
        share = norm / np.maximum(np.einsum("ij,ij->j", columns, columns), 1e-300)
        usable = good & (share > 1e-10 * share.max(initial=0.0)) & (norm > 0)
        return cls(blocks, pushed, norm, usable)

    def best(
        self, y: np.ndarray, total: float, target: Target, length: Length, simple: bool = False
    ) -> list[tuple[float, BasisFunction, tuple[float, ...]]]:
        """For every function its best constants: (hopeful length, function, constants)."""
        gain = np.where(
            self.usable, (y @ self.pushed) ** 2 / np.where(self.norm > 0, self.norm, 1.0), -1.0
        )
        out = []
        for function, grid, columns in self.blocks:
            if simple and (len(function.grids) > 1 or function.cost > 10):
                continue
            at = int(np.argmax(gain[columns]))
            if gain[columns][at] < 0:
                continue
            error = _rms(total - gain[columns][at], target)
            # The constants are optimised later; the more there are, the more may be gained.
            hopeful = max(error * _HOPEFUL ** len(grid), target.floor)
            hopeful = length(hopeful, function.cost, len(grid) + 1)
            out.append((hopeful, function, tuple(float(x) for x in grid[:, at])))
        return sorted(out, key=lambda x: x[0])


def _rms(left: float, target: Target) -> float:
    return math.sqrt(max(left, 0.0) / target.count)


# The grid of constants is close enough for a small damping; a function whose constants still gain a
# hundred-thousandth of the squares is not done.
_DESCENT = Descent(
    steps=30, trials=6, damping=1e-3, raised=8.0, lowered=5.0, least=1e-12, slow=1e-5
)
_FINITE = 1e8  # in place of a value that is not finite


@dataclass(frozen=True, eq=False)
class _Point:
    """Constants (k,) of functions, their coefficients projected out, and the squares left."""

    constants: np.ndarray
    left: Projection
    cost: float


def _optimised(
    target: Target,
    functions: tuple[BasisFunction, ...],
    constants: tuple[tuple[float, ...], ...],
    length: Length,
) -> BasisExpansion:
    """Least squares on the constants within bounds, coefficients projected out."""
    y, u = target.y, target.z / target.size
    ends = np.cumsum([len(group) for group in constants]).tolist()
    starts = [0, *ends[:-1]]
    low, high = _bounds(functions)

    def at(k: np.ndarray) -> _Point:
        values = [f.values(u, k[i:j]) for f, i, j in zip(functions, starts, ends, strict=True)]
        columns = np.nan_to_num(np.stack(values, 1), posinf=_FINITE, neginf=-_FINITE)
        left = project(target.push(columns), y, 1e-12)
        cost = float(left.residual @ left.residual)
        return _Point(k, left, cost if math.isfinite(cost) else math.inf)

    def linearise(now: _Point) -> Callable[[float], _Point]:
        k, parts = now.constants, []
        for f, c, i, j in zip(functions, now.left.coefficients, starts, ends, strict=True):
            parts += [c * x for x in differences(partial(f.values, u), k[i:j])]
        J = now.left.jacobian(target.push(np.nan_to_num(np.stack(parts, 1), posinf=0, neginf=0)))
        step_at = levenberg_step(J, now.left.residual)
        reach = 0.5 * np.abs(k) + 0.2

        def trial(damping: float) -> _Point:
            step = np.clip(step_at(damping), -reach, reach)
            return at(np.clip(k + step, low, high))

        return trial

    with np.errstate(all="ignore"):  # constants far off overflow; such a trial is refused
        first = at(np.array([c for group in constants for c in group]))
        best = descend(first, linearise, _DESCENT) if len(first.constants) else first
    error = math.sqrt(max(best.cost + target.rest, 0.0) / target.count)
    groups = tuple(tuple(best.constants[i:j].tolist()) for i, j in zip(starts, ends, strict=True))
    symbols = sum(f.cost for f in functions) + 2 * (len(functions) - 1)
    numbers = len(best.constants) + len(functions)
    return BasisExpansion(functions, groups, error, length(error, symbols, numbers))


def _bounds(functions: tuple[BasisFunction, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Constants stay near their grids: beyond, a function is hardly another than a simpler one."""
    grids = [np.array(g) for s in functions for g in s.grids]
    low = np.array([g.min() - 0.5 * abs(g.min()) for g in grids])
    high = np.array([g.max() + 0.5 * abs(g.max()) for g in grids])
    return low, high


def _lopsided(
    target: Target, best: list[tuple[float, BasisFunction, tuple[float, ...]]], length: Length
) -> list[BasisExpansion]:
    """An atom on either side of zero, with constants and coefficients of its own on each.

    Half of such a law is no good description by itself, so that sums of the best would miss it.
    """
    above = {s.atom: (s, k) for _, s, k in best if s.side > 0}
    below = {s.atom: (s, k) for _, s, k in best if s.side < 0}
    out = []
    for atom in sorted(above.keys() & below.keys()):
        (first, k), (second, m) = above[atom], below[atom]
        out.append(_optimised(target, (first, second), (k, m), length))
    return out


def _sums(
    target: Target,
    u: np.ndarray,
    firsts: list[BasisExpansion],
    dictionary: _Dictionary,
    length: Length,
) -> list[BasisExpansion]:
    """Sums: the best functions added to each of the firsts, which are sums of one or more."""
    out = []
    for first in firsts:
        pairs = zip(first.functions, first.constants, strict=True)
        f = target.push(np.stack([np.nan_to_num(s.values(u, k)) for s, k in pairs], 1))
        if not (f**2).sum(0).all():
            continue
        along = np.linalg.qr(f)[0]
        y = target.y - along @ (along.T @ target.y)
        # Another function counts for what is new in it beside the first.
        norm = dictionary.norm - ((along.T @ dictionary.pushed) ** 2).sum(0)
        fresh = _Dictionary(
            dictionary.blocks,
            dictionary.pushed,
            norm,
            dictionary.usable & (norm > 1e-7 * dictionary.norm),
        )
        seconds = fresh.best(y, float(y @ y) + target.rest, target, length, simple=True)
        for _, function, constants in seconds[:_SECONDS]:
            functions = (*first.functions, function)
            out.append(_optimised(target, functions, (*first.constants, constants), length))
    return out
