"""What moves what, and what hangs together: how clearly the answers show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discover.structure.probing import Local

Array = NDArray[np.float64]

CLEAR = 7.0  # deviations from chance at which a change counts as one


@dataclass(frozen=True, kw_only=True)
class Signs:
    """How clearly things move and hang together, in deviations from what chance would show.

    moved    (k, j, l): H_jl, when coordinate k is moved
    pushed   (k, j): the force on j at rest, when coordinate k is moved
    coupled  (j, l): H_jl is not zero
    """

    moved: Array
    pushed: Array
    coupled: Array

    @classmethod
    def of(cls, asked: Local, bases: int) -> Signs:
        """From answers at `bases` configurations, each followed by one move of each coordinate."""
        nv = asked.q.shape[1]
        H, H_sd, f, f_sd = (
            x.reshape(bases, nv + 1, *x.shape[1:])
            for x in (asked.H, asked.H_deviation, asked.force, asked.force_deviation)
        )
        moved = ((H[:, 1:] - H[:, :1]) ** 2 / (H_sd[:, 1:] ** 2 + H_sd[:, :1] ** 2)).sum(0)
        pushed = ((f[:, 1:] - f[:, :1]) ** 2 / (f_sd[:, 1:] ** 2 + f_sd[:, :1] ** 2)).sum(0)
        coupled = (asked.H**2 / np.maximum(asked.H_deviation, 1e-300) ** 2).sum(0)
        return cls(
            moved=excess(moved, bases),
            pushed=excess(pushed, bases),
            coupled=excess(coupled, len(asked)),
        )

    def allow(self, parents: Sequence[int], clear: float = CLEAR) -> bool:
        """Whether no answer clearly speaks against a tree: what moves H_jj or H_jk is carried by j,
        and of two joints that share inertia one carries the other."""
        nv = len(parents)
        above = np.zeros((nv, nv), dtype=bool)
        for k in range(nv):
            j = parents[k]
            while j >= 0:
                above[j, k] = True
                j = parents[j]
        carried = (self.moves > clear) & (self.moves > self.moves.T)
        shared = self.coupled > clear
        np.fill_diagonal(shared, False)
        return not ((carried & ~above).any() or (shared & ~(above | above.T)).any())

    @property
    def moves(self) -> Array:
        """(j, k): how clearly joint k lies below joint j by H_jj and H_jk alone."""
        nv = len(self.coupled)
        index = np.arange(nv)
        own = self.moved[:, index, index].T
        shared = self.moved[index[:, None], index[None, :], index[:, None]].T
        result = np.maximum(own, shared)
        np.fill_diagonal(result, -np.inf)
        return result


def excess(chi_square: Any, freedom: int) -> Any:
    """Deviations above chance, by the square-root approximation of chi-square."""
    return np.sqrt(2 * chi_square) - np.sqrt(2 * freedom - 1)
