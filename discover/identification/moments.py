"""Weighted least squares from second moments, block by block.

With G_b = Σ XᵀWX, c_b = Σ XᵀWy of each block b of time, every fit that leaves blocks out, or draws
them anew, is a sum over blocks and one small solve: cross-validation over hundreds of candidate
columns and a jackknife cost less than one pass over the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
_RIDGE = 1e-9  # of a column's own square: what keeps a solve defined where a column is missing


@dataclass(frozen=True, kw_only=True)
class Moments:
    """G (B, p, p), c (B, p), yy (B,) and the number of weighted values (B,) of B blocks.

    `prior` (p, p) is the precision that every fit adds; columns are in units in which the sum over
    all blocks has a diagonal of ones, `size` (p,) their norms before.
    """

    G: Array
    c: Array
    yy: Array
    count: Array
    size: Array
    prior: Array
    _folds: dict[bytes, Any] = field(default_factory=dict, repr=False, init=False, compare=False)

    @classmethod
    def of(
        cls,
        X: Array,
        y: Array,
        weight: Array,
        block: Numbers,
        prior: Array,
        twins: tuple[Array, Array] | None = None,
    ) -> Moments:
        """X (N, n, p) and y (N, n) with weights (n,) or (N, n), one over a standard deviation;
        `prior` (p, p) in the units of the columns. With `twins`, see JointMoments."""
        joints = JointMoments.of(X, y, np.broadcast_to(weight, y.shape), block, twins)
        return joints.weighted(np.ones(y.shape[1]), prior)

    def with_prior(self, factor: float, columns: Sequence[int]) -> Moments:
        """The prior of some columns times a factor."""
        scale = np.ones(len(self.prior))
        scale[list(columns)] = factor**0.5
        prior = self.prior * scale[:, None] * scale
        return replace(self, prior=prior)

    def solve(self, columns: Sequence[int], blocks: Array | None = None) -> Array:
        """The coefficients (len(columns),) in the columns' own units; `blocks` (B,) says how often
        each block counts (once)."""
        at = np.ix_(columns, columns)
        if blocks is None:
            G, c = self.G.sum(0)[at], self.c.sum(0)[columns]
        else:
            G = np.tensordot(blocks, self.G[:, at[0], at[1]], 1)
            c = blocks @ self.c[:, columns]
        return _solve(G + self.prior[at], c) / self.size[list(columns)]

    def information(self, columns: Sequence[int]) -> Array:
        """The precision of the coefficients (k, k) in their own units, prior included."""
        at = np.ix_(columns, columns)
        size = self.size[list(columns)]
        finite = np.where(np.isfinite(size), size, 0.0)
        return (self.G.sum(0)[at] + self.prior[at]) * finite[:, None] * finite

    def held_out(self, columns: Sequence[int], fold: Numbers) -> Array:
        """The mean weighted square of the residual in each fold (F,), left out of the fit."""
        return np.array([f.cost for f in self._fits(columns, fold)])

    def by_block(self, columns: Sequence[int], fold: Numbers) -> Array:
        """The same in each block (B,), as shares of a block's mean count: their mean over blocks is
        the mean weighted square."""
        kept = np.asarray(columns, dtype=np.int64)
        out = np.zeros(len(self.yy))
        for k, fit in enumerate(self._fits(list(columns), fold)):
            at = np.flatnonzero(fold == k)
            G = self.G[at][:, kept][:, :, kept]
            slope = G @ fit.theta - 2 * self.c[at][:, kept]
            out[at] = self.yy[at] + slope @ fit.theta
        return out / max(float(self.count.mean()), 1.0)

    def additions(
        self, columns: Sequence[int], groups: Sequence[Sequence[int]], fold: Numbers
    ) -> Array:
        """What `held_out` becomes with each group of columns added: (F, number of groups).

        By bordering: with the fit of a fold at hand, a group costs one product.
        """
        fits = self._fits(columns, fold)
        out = np.empty((len(fits), len(groups)))
        singles = [g for g, group in enumerate(groups) if len(group) == 1]
        at = [groups[g][0] for g in singles]
        for k, fit in enumerate(fits):
            if singles:
                out[k, singles] = fit.with_each(columns, at)
            for g, group in enumerate(groups):
                if len(group) > 1:
                    wider = [*columns, *group]
                    out[k, g] = self._fit(wider, fold, k).cost
        return out

    def _sums(self, fold: Numbers) -> tuple[Array, Array, list[tuple[Array, Array, float, float]]]:
        """The sums over all blocks, and over those of each fold."""
        key = fold.tobytes()
        if key not in self._folds:
            parts = []
            for k in range(int(fold.max()) + 1):
                at = fold == k
                sums = (float(x[at].sum()) for x in (self.yy, self.count))
                parts.append((self.G[at].sum(0), self.c[at].sum(0), *sums))
            self._folds[key] = (self.G.sum(0), self.c.sum(0), parts)
        return self._folds[key]

    def _fits(self, columns: Sequence[int], fold: Numbers) -> list[_FoldFit]:
        return [self._fit(columns, fold, k) for k in range(int(fold.max()) + 1)]

    def _fit(self, columns: Sequence[int], fold: Numbers, k: int) -> _FoldFit:
        G_all, c_all, parts = self._sums(fold)
        G_out, c_out, yy_out, counted = parts[k]
        G_in = G_all - G_out + self.prior
        c_in = c_all - c_out
        at = np.ix_(columns, columns)
        factor = _factor(G_in[at])
        theta = scipy.linalg.cho_solve(factor, c_in[columns])
        count = max(counted, 1.0)
        rest = yy_out - 2 * theta @ c_out[columns]
        cost = (rest + theta @ G_out[at] @ theta) / count
        return _FoldFit(
            G_in=G_in, c_in=c_in, G_out=G_out, c_out=c_out, factor=factor, theta=theta, cost=cost,
            count=count,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class JointMoments:
    """The moments of each joint by itself, in the columns that act on it: joints can be weighted
    anew without a pass over the rows.

    For each joint its columns (k,), G (B, k, k), c (B, k), yy (B,) and the number of values (B,).
    """

    size: int
    joints: tuple[tuple[Numbers, Array, Array, Array, Array], ...]

    @classmethod
    def of(
        cls,
        X: Array,
        y: Array,
        weight: Array,
        block: Numbers,
        twins: tuple[Array, Array] | None = None,
    ) -> JointMoments:
        """X (N, n, p), y and weights (N, n). With `twins`, two designs like X whose errors are
        independent, moments are taken across them (see motions.py)."""
        order = np.argsort(block, kind="stable")
        edges = np.searchsorted(block[order], np.arange(int(block.max()) + 2))
        parts = [slice(*pair) for pair in pairwise(edges)]
        joints = []
        for j in range(X.shape[1]):
            w = weight[order, j, None]
            designs = [x[:, j] for x in (X, *(twins or ()))]
            acts = np.flatnonzero(np.any([x.any(axis=0) for x in designs], axis=0))
            x, *both = (design[np.ix_(order, acts)] * w for design in designs)
            t = y[order, j] * w[:, 0]
            one, two = both or (x, x)
            G = np.array([one[rows].T @ two[rows] for rows in parts])
            c = np.array([(one[rows] + two[rows]).T @ t[rows] / 2 for rows in parts])
            yy = np.array([t[rows] @ t[rows] for rows in parts])
            count = np.array([np.count_nonzero(w[rows]) for rows in parts], dtype=np.float64)
            joints.append((acts, (G + G.transpose(0, 2, 1)) / 2, c, yy, count))
        return cls(size=X.shape[2], joints=tuple(joints))

    def with_joint(self, j: int, other: JointMoments) -> JointMoments:
        """The same with joint j from another pass over the rows."""
        return replace(self, joints=(*self.joints[:j], other.joints[j], *self.joints[j + 1 :]))

    def weighted(self, weight: Array, prior: Array) -> Moments:
        """The moments of all, the joints weighted by (n,), one over a standard deviation."""
        p, blocks = self.size, len(self.joints[0][3])
        G, c = np.zeros((blocks, p, p)), np.zeros((blocks, p))
        yy, count = np.zeros(blocks), np.zeros(blocks)
        for w, (acts, G_own, c_own, yy_own, counted) in zip(weight, self.joints, strict=True):
            G[:, acts[:, None], acts] += w**2 * G_own
            c[:, acts] += w**2 * c_own
            yy += w**2 * yy_own
            count += counted
        size = np.sqrt(np.maximum(G.sum(0).diagonal(), 1e-300))
        size[size <= 1e-12 * size.max(initial=1e-300)] = np.inf  # a column that never acts
        scale = 1 / size
        ridge = np.diag(np.full(p, _RIDGE))
        G *= scale[:, None] * scale
        return Moments(
            G=G,
            c=c * scale,
            yy=yy,
            count=count,
            size=size,
            prior=prior * scale[:, None] * scale + ridge,
        )


@dataclass(frozen=True, kw_only=True)
class _FoldFit:
    """A fit to all folds but one, and its error there."""

    G_in: Array
    c_in: Array
    G_out: Array
    c_out: Array
    factor: tuple
    theta: Array
    cost: float
    count: float

    def with_each(self, columns: Sequence[int], added: Sequence[int]) -> Array:
        """The error in the fold with each of the columns `added` alone: (len(added),)."""
        old, new = list(columns), list(added)
        across = self.G_in[np.ix_(old, new)]  # (k, m)
        back = scipy.linalg.cho_solve(self.factor, across)
        own = self.G_in[new, new] - (across * back).sum(0)
        gain = self.c_in[new] - across.T @ self.theta
        apart = own > 1e-7 * self.G_in[new, new]  # else it says what the others say
        step = np.where(apart, gain / np.where(apart, own, 1.0), 0.0)
        # the fit moves by step * (-back, 1)
        G_old, G_new = self.G_out[np.ix_(old, old)], self.G_out[np.ix_(old, new)]
        slope = self.c_out[new] - G_new.T @ self.theta
        slope -= back.T @ (self.c_out[old] - G_old @ self.theta)
        square = self.G_out[new, new] - 2 * (back * G_new).sum(0) + (back * (G_old @ back)).sum(0)
        return self.cost + (step**2 * square - 2 * step * slope) / self.count


def _factor(G: Array) -> tuple:
    """A Cholesky factor; of a matrix that rounding made indefinite, with a larger diagonal."""
    ridge = 0.0
    while True:
        try:
            return scipy.linalg.cho_factor(G + ridge * np.eye(len(G)))
        except np.linalg.LinAlgError:
            ridge = max(1e-12, 10 * ridge)


def _solve(G: Array, c: Array) -> Array:
    return scipy.linalg.cho_solve(_factor(G), c)
