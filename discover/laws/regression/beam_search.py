"""Which few columns out of thousands add up to a target: every pair is tried, then more by beam.

For two columns beside an offset the error of the best fit follows from three products, so that all
pairs of some thousand columns are compared at once. Greedy selection would miss pairs of which
neither member explains much by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discover.judgement.thresholds import whole
from discover.laws.contract import ALPHABET_SIZE, EFFECTIVE_SAMPLES

_ROWS = 128  # of the table of pairs in one piece: what fits into a cache
_SINGLE, _KEPT = whole("regression.beam_single"), whole("regression.beam_kept")
_COLLINEAR = 1e-7  # what of a column must be new beside the others
_SYMBOL = np.log(ALPHABET_SIZE)  # nats
_EXACT = 1e-11  # relative error where double precision ends

_Beam = tuple[float, tuple[int, ...]]  # length and members


@dataclass(frozen=True, eq=False)
class SparseSum:
    """target ≈ beside + Σ coefficients · columns[members]; error relative to its spread.

    beside: the offset, and the coefficients of the columns that are always there.
    """

    members: tuple[int, ...]
    beside: np.ndarray
    coefficients: np.ndarray
    error: float
    length: float


class Columns:
    """Columns (n, p) with what each costs [symbols], ready for many targets.

    Pairs are tried among the first `paired`; single columns and further ones are any.
    `beside` (n, m) are columns that every combination has in any case, for nothing.
    `weight` (n,) is what a residual counts.
    """

    def __init__(
        self,
        columns: np.ndarray,
        cost: np.ndarray,
        paired: int | None = None,
        beside: np.ndarray | None = None,
        weight: np.ndarray | None = None,
    ):
        n = len(columns)
        self.weight = np.ones((n, 1)) if weight is None else weight[:, None] / weight.max()
        columns = columns * self.weight
        ones = np.ones((n, 1))
        self.beside = self.weight * (ones if beside is None else np.hstack([ones, beside]))
        self.Q, _ = np.linalg.qr(self.beside)
        away = self._without(columns)
        size = np.sqrt(np.einsum("ij,ij->j", away, away))
        whole = np.sqrt(np.einsum("ij,ij->j", columns, columns))
        usable = size > 1e-9 * whole
        self.columns, self.unit = columns, np.where(usable, away / np.where(usable, size, 1.0), 0.0)
        self.cost = _SYMBOL * (np.asarray(cost, dtype=float) + 2)
        self.paired = columns.shape[1] if paired is None else min(paired, columns.shape[1])
        first = self.unit[:, : self.paired]
        self.products = first.T @ first

    def _without(self, x: np.ndarray) -> np.ndarray:
        away = x - self.Q @ (self.Q.T @ x)
        return away - self.Q @ (self.Q.T @ away)

    def search(self, target: np.ndarray, keep: int, terms: int) -> list[SparseSum]:
        """At most `keep` combinations of one to `terms` columns, shortest descriptions first."""
        target = target * self.weight[:, 0]
        away = self._without(target)
        size = float(np.sqrt(away @ away))
        if not np.isfinite(size) or size == 0.0:
            return []
        y = away / size
        along = self.unit.T @ y
        one = EFFECTIVE_SAMPLES * np.log(np.sqrt(np.maximum(1 - along**2, _EXACT**2))) + self.cost
        beam: list[_Beam] = [
            (float(one[i]), (int(i),)) for i in np.argsort(one, kind="stable")[:keep]
        ]
        single = [members for _, members in beam[:_SINGLE]]
        beam += self._pairs(along[: self.paired])
        beam = sorted(beam)[:keep]
        found = dict.fromkeys(members for _, members in beam)
        for _ in range(terms - 2):
            beam = sorted(m for b in beam for m in self._grown(b[1], y))[:keep]
            found |= dict.fromkeys(members for _, members in beam)
        fitted = [self.fit(members, target) for members in found]
        best = sorted(fitted, key=lambda c: (c.length, c.members))[: 2 * keep]
        # A single column may only have to be moved a little to become the whole.
        return [*best, *(self.fit(m, target) for m in single)]

    def _pairs(self, along: np.ndarray) -> list[_Beam]:
        """The best of all pairs, by pieces of the table."""
        out: list[_Beam] = []
        p = len(along)
        for start in range(0, p, _ROWS):
            rows = slice(start, min(start + _ROWS, p))
            r = self.products[rows, start:p]
            a, b = along[rows, None], along[None, start:]
            new = 1 - r * r
            gain = (a * a + b * b - 2 * r * a * b) / np.where(new > _COLLINEAR, new, np.inf)
            left = np.maximum(1 - gain, _EXACT**2)
            length = (
                0.5 * EFFECTIVE_SAMPLES * np.log(left) + self.cost[rows, None] + self.cost[start:p]
            )
            flat = length.ravel()
            best = np.argpartition(flat, min(2 * _KEPT, flat.size - 1))[: 2 * _KEPT]
            for k in best:
                i, j = divmod(int(k), r.shape[1])
                if i < j:
                    out.append((float(flat[k]), (start + i, start + j)))
        return out

    def _grown(self, members: tuple[int, ...], y: np.ndarray) -> list[_Beam]:
        """The combination with the best further columns."""
        Q, _ = np.linalg.qr(self.unit[:, members])
        rest = y - Q @ (Q.T @ y)
        inside = Q.T @ self.unit
        new = 1 - np.einsum("ij,ij->j", inside, inside)
        gain = np.where(new > _COLLINEAR, (rest @ self.unit) ** 2 / np.maximum(new, 1e-300), 0.0)
        left = np.maximum(float(rest @ rest) - gain, _EXACT**2)
        length = 0.5 * EFFECTIVE_SAMPLES * np.log(left) + self.cost + self.cost[list(members)].sum()
        return [
            (float(length[k]), tuple(sorted((*members, int(k)))))
            for k in np.argsort(length, kind="stable")[:_KEPT]
            if k not in members
        ]

    def fit(self, members: tuple[int, ...], target: np.ndarray) -> SparseSum:
        """Least squares, without the rounding of the products; `target` with its weight."""
        A = np.column_stack([self.beside, self.columns[:, members]])
        size = np.abs(A).max(0)
        size = np.where(size > 0, size, 1.0)
        solution = np.linalg.lstsq(A / size, target, rcond=None)[0] / size
        error = float(np.linalg.norm(target - A @ solution) / np.linalg.norm(self._without(target)))
        nats = EFFECTIVE_SAMPLES * np.log(max(error, _EXACT)) + self.cost[list(members)].sum()
        first = self.beside.shape[1]
        return SparseSum(members, solution[:first], solution[first:], error, float(nats))
