"""Statistical tests of which joints move, push and share inertia with which, and of joint kinds.

H and the static force are compared between configurations that differ in one coordinate. Each
change is counted in standard deviations above chance. Whether a coordinate turns or slides is
decided by the form in which it enters H and the force: as sines and cosines, or as a parabola.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discover.judgement.thresholds import threshold, whole
from discover.mechanism.local_dynamics import DynamicsSampler, LocalDynamics

Array = NDArray[np.float64]

CLEAR = threshold("mechanism.clear_change")
_POINTS = whole("mechanism.points_per_line")
_LINES = whole("mechanism.lines_per_joint")


@dataclass(frozen=True, kw_only=True)
class CouplingTests:
    """How clearly joints move, push and share inertia, in standard deviations above chance.

    moved    (k, j, l) change of H_jl when coordinate k is moved
    pushed   (k, j)    change of the static force on j when coordinate k is moved
    coupled  (j, l)    H_jl differs from zero
    """

    moved: Array
    pushed: Array
    coupled: Array

    @classmethod
    def of(cls, local: LocalDynamics, bases: int) -> CouplingTests:
        """From answers at `bases` configurations, each followed by one move of each coordinate."""
        nv = local.q.shape[1]
        H, H_sd, f, f_sd = (
            x.reshape(bases, nv + 1, *x.shape[1:])
            for x in (local.H, local.H_deviation, local.force, local.force_deviation)
        )
        moved = ((H[:, 1:] - H[:, :1]) ** 2 / (H_sd[:, 1:] ** 2 + H_sd[:, :1] ** 2)).sum(0)
        pushed = ((f[:, 1:] - f[:, :1]) ** 2 / (f_sd[:, 1:] ** 2 + f_sd[:, :1] ** 2)).sum(0)
        coupled = (local.H**2 / np.maximum(local.H_deviation, 1e-300) ** 2).sum(0)
        return cls(
            moved=above_chance(moved, bases),
            pushed=above_chance(pushed, bases),
            coupled=above_chance(coupled, len(local)),
        )

    def allow(self, parents: Sequence[int], clear: float = CLEAR) -> bool:
        """Whether no test clearly contradicts a tree, given as parents (nv,).

        A joint that moves H_jj or H_jk must be carried by j, and of two joints that share inertia
        one must carry the other.
        """
        nv = len(parents)
        above = np.zeros((nv, nv), dtype=bool)
        for k in range(nv):
            j = parents[k]
            while j >= 0:
                above[j, k] = True
                j = parents[j]
        carried = (self.carries > clear) & (self.carries > self.carries.T)
        shared = self.coupled > clear
        np.fill_diagonal(shared, False)
        return not ((carried & ~above).any() or (shared & ~(above | above.T)).any())

    @property
    def carries(self) -> Array:
        """(j, k) how clearly joint j carries joint k, by changes of H_jj and H_jk alone."""
        nv = len(self.coupled)
        index = np.arange(nv)
        diagonal = self.moved[:, index, index].T
        shared = self.moved[index[:, None], index[None, :], index[:, None]].T
        result = np.maximum(diagonal, shared)
        np.fill_diagonal(result, -np.inf)
        return result


def above_chance(chi_square: Any, freedom: int) -> Any:
    """Standard deviations above chance, by Fisher's square-root approximation of chi-square."""
    return np.sqrt(2 * chi_square) - np.sqrt(2 * freedom - 1)


def joint_kinds(sampler: DynamicsSampler, replicates: int) -> tuple[str, ...]:
    """The kind of each coordinate: "revolute", "prismatic" or "either" (nothing shows it).

    Both forms are fitted to answers along the coordinate. A sliding joint moves no entry of its
    own row of H, and H_jl of others as a parabola, their forces as a line; a turning joint moves
    all of them as a circle does. "either" where the coordinate changes nothing.
    """
    nv = sampler.nv
    low, high = sampler.bounds("q")
    bases = sampler.draw(_LINES)
    spread = np.zeros(nv)
    votes = np.zeros(nv)
    for k in range(nv):
        x = low[k] + (high[k] - low[k]) * (0.5 - 0.5 * np.cos(np.pi * np.linspace(0, 1, _POINTS)))
        q = np.repeat(bases, _POINTS, 0)
        q[:, k] = np.tile(x, len(bases))
        local = sampler.at(q, replicates=replicates)
        y = np.concatenate([local.H, local.force[:, :, None]], 2)
        sd = np.concatenate([local.H_deviation, local.force_deviation[:, :, None]], 2)
        y, sd = (z.reshape(len(bases), _POINTS, nv, nv + 1) for z in (y, sd))
        y = y / np.sqrt((sd**2).mean(1, keepdims=True))  # one weight an entry and line
        votes[k] = _turning_over_sliding(x, y, k)
        # A sliding joint's own inertia is a mass: it is the same in every configuration.
        inertia, error = local.H[:, k, k], local.H_deviation[:, k, k]
        chi_square = (((inertia - inertia.mean()) / error) ** 2).sum()
        spread[k] = above_chance(chi_square, len(inertia) - 1)
    votes = np.where(spread > CLEAR, np.maximum(votes, 0) + spread**2, votes)
    return tuple("either" if v == 0 else "revolute" if v > 0 else "prismatic" for v in votes)


def _turning_over_sliding(x: Array, y: Array, k: int) -> float:
    """Squared error of the sliding forms less that of the turning forms, over entries that move.

    x (n,) along the coordinate k; y (lines, n, nv, nv + 1): H and the force, over their deviations.
    """
    one = np.ones_like(x)
    circle = np.stack([one, np.cos(x), np.sin(x)], 1)
    double = np.column_stack([circle, np.cos(2 * x), np.sin(2 * x)])
    forms = {
        "others": (double, np.stack([one, x, x**2], 1)),
        "own": (circle, circle[:, :1]),
        "force": (circle, np.stack([one, x], 1)),
        "own force": (np.column_stack([circle, x]), np.stack([one, x], 1)),
    }
    nv = y.shape[2]
    total = 0.0
    for j in range(nv):
        for other in range(j, nv + 1):
            entry = y[:, :, j, other].T
            if other == nv:
                turn, slide = forms["own force" if j == k else "force"]
            else:
                turn, slide = forms["own" if k in (j, other) else "others"]
            flat, turned, slid = (_squared_error(b, entry) for b in (circle[:, :1], turn, slide))
            freedom = entry.size - entry.shape[1]
            # An entry votes where it moves at all and one of the forms explains how.
            moves = above_chance(flat, freedom) > CLEAR / 2
            if moves and flat - min(turned, slid) > CLEAR**2:
                more = (turn.shape[1] - slide.shape[1]) * entry.shape[1]
                total += slid - turned - 2 * more
    return total


def _squared_error(basis: Array, y: Array) -> float:
    """Squared error of the least-squares fit of columns y."""
    orthonormal = np.linalg.qr(basis)[0]
    return float(((y - orthonormal @ (orthonormal.T @ y)) ** 2).sum())
