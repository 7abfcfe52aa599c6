"""Factors of the mass matrix, H = Lᵀ D L, eliminated from the leaves to the base.

In this order the factors keep the tree's zeros: L[i, j] differs from zero only if j is i or
carries it, and H[i, j] only if one of the two carries the other. The zeros are predictions of the
tree, which are tested on a model. Featherstone (2005), "Efficient factorization of the joint-space
inertia matrix for branched kinematic trees".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from discover.mechanism.geometry.screws import Array
from discover.mechanism.local_dynamics import EXACT, LocalDynamics
from discover.records import Stored


@dataclass(frozen=True, kw_only=True, eq=False)
class Sparsity(Stored):
    """The zeros that a tree predicts in H and L, and the model's own entries.

    allowed, lower   (nv, nv) bool: where H, and where L, may differ from zero
    H, L             (nv, nv) root mean square of the model's entries over the geometric mean of the
                     diagonal
    zeros            how many entries of H below the diagonal are predicted to vanish
    violation        the largest of these in the model; `chance` the size that noise alone gives
    indefinite       share of states at which H is not positive definite
    misfit           of positive definite factors, in standard deviations, where they are fitted
    """

    allowed: Array
    lower: Array
    H: Array
    L: Array
    zeros: int
    violation: float
    chance: float
    indefinite: float = 0.0
    misfit: float = 0.0


def factors(H: Array, parents: Sequence[int]) -> tuple[Array, Array]:
    """(L (…, nv, nv), D (…, nv)) with Lᵀ D L = H (…, nv, nv), L of unit diagonal, along a tree with
    parents (nv,) in any order; entries that the tree predicts to vanish are not used."""
    order = _order(parents)
    rest = np.array(H, dtype=float, copy=True)
    L = np.broadcast_to(np.eye(len(parents)), rest.shape).copy()
    D = np.zeros(rest.shape[:-1])
    for k in reversed(order):
        D[..., k] = rest[..., k, k]
        over = _over(parents, k)
        for i in over:
            L[..., k, i] = rest[..., k, i] / D[..., k]
        for i in over:
            for j in over:
                rest[..., i, j] -= L[..., k, i] * D[..., k] * L[..., k, j]
    return L, D


def positive_factors(
    H: Array, deviation: Array, parents: Sequence[int]
) -> tuple[Array, Array, Array]:
    """(L (n, nv, nv), D (n, nv), misfit (n,)): factors with D > 0 and the tree's zeros whose Lᵀ D L
    is closest to noisy matrices H (n, nv, nv), entry by entry in standard deviations (n, nv, nv).

    The misfit is in standard deviations for each predicted zero: about one, or below, if nothing
    but noise speaks against the tree.
    """
    from scipy.optimize import least_squares  # imported late: half a second

    nv = len(parents)
    pattern = [(k, i) for k in range(nv) for i in _over(parents, k)]
    rows, columns = ([p[x] for p in pattern] for x in (0, 1))
    upper = np.triu_indices(nv)
    known = pattern_of(parents)[0]
    spare = max(1, int((~known).sum()) // 2)
    L, D = np.broadcast_to(np.eye(nv), H.shape).copy(), np.ones(H.shape[:2])
    missed = np.zeros(len(H))
    for n, (matrix, sigma) in enumerate(zip(H, deviation, strict=True)):
        size = np.sqrt(np.abs(np.diag(matrix))) + 1e-300
        weight = np.outer(size, size) / np.maximum(sigma, 1e-12 * np.outer(size, size))
        target = matrix / np.outer(size, size)
        scaled = np.where(known, target, 0.0)
        lift = max(0.0, 1e-3 - float(np.linalg.eigvalsh(scaled).min()))
        first, pivots = factors(scaled + lift * np.eye(nv), parents)

        def whole(x: Array) -> tuple[Array, Array]:
            lower = np.eye(nv)
            lower[rows, columns] = x[nv:]
            return lower, np.exp(x[:nv])

        def residual(x: Array, target: Array = target, weight: Array = weight) -> Array:
            lower, d = whole(x)
            return ((lower.T @ (d[:, None] * lower) - target) * weight)[upper]

        start = np.concatenate([np.log(np.maximum(pivots, 1e-4)), first[rows, columns]])
        solution = least_squares(residual, start, x_scale="jac", max_nfev=60)
        lower, d = whole(solution.x)
        # Back in the units of H: H = S (Lᵀ D L) S with S diagonal.
        L[n], D[n] = lower * size / size[:, None], d * size**2
        missed[n] = float(np.sqrt(np.sum(solution.fun**2) / spare))
    return L, D, missed


def pattern_of(parents: Sequence[int]) -> tuple[Array, Array]:
    """Where H (nv, nv), and where L (nv, nv), may differ from zero."""
    nv = len(parents)
    lower = np.eye(nv, dtype=bool)
    for k in range(nv):
        lower[k, _over(parents, k)] = True
    return lower | lower.T, lower


def sparsity(local: LocalDynamics, parents: Sequence[int]) -> Sparsity:
    """The tree's zeros tested on the mass matrices of a model."""
    allowed, lower = pattern_of(parents)
    root = np.sqrt(np.abs(np.einsum("nii->ni", local.H)).mean(0)) + 1e-300  # of each inertia
    H = np.sqrt((local.H**2).mean(0)) / np.outer(root, root)
    noise = np.sqrt((local.H_deviation**2).mean(0)) / np.outer(root, root)
    direct, pivots = factors(local.H, parents)
    broken = ~np.isfinite(direct).all((1, 2)) | (pivots <= 0).any(1)
    misfit = 0.0
    if float((local.H_deviation / np.outer(root, root)).max()) > EXACT or broken.any():
        direct, _, missed = positive_factors(local.H, local.H_deviation, parents)
        misfit = float(np.sqrt(np.mean(missed**2)))
    L = np.sqrt((direct**2).mean(0)) * root[:, None] / root
    forbidden = ~allowed
    return Sparsity(
        allowed=allowed,
        lower=lower,
        H=H,
        L=L,
        zeros=int(forbidden.sum()) // 2,
        violation=float(H[forbidden].max()) if forbidden.any() else 0.0,
        chance=float(noise[forbidden].max()) if forbidden.any() else 0.0,
        indefinite=float(broken.mean()),
        misfit=misfit,
    )


def _over(parents: Sequence[int], joint: int) -> list[int]:
    over = []
    while parents[joint] >= 0:
        joint = parents[joint]
        over.append(joint)
    return over


def _order(parents: Sequence[int]) -> list[int]:
    return sorted(range(len(parents)), key=lambda j: len(_over(parents, j)))
