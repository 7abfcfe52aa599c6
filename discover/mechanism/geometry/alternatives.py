"""Trees in competition: can another tree, with screws where these are, answer as the model does?

A tree with given screws is linear in the bodies' inertial parameters, so a rival is tried with one
least-squares fit; whether it agrees is judged on answers that were not fitted.
"""

from __future__ import annotations

import numpy as np

from discover.mechanism.geometry.screws import Array, ScrewTree
from discover.mechanism.probing import Local

_TRUNCATION = 1e-9


def misfit(tree: ScrewTree, screws: Array, asked: Local, held: Local) -> float:
    """Relative error on held-out H and forces of the tree's best inertial parameters."""
    x = parameters(tree, screws, asked)
    return relative(tree, screws, x.reshape(-1, 10), held)


def parameters(tree: ScrewTree, screws: Array, asked: Local) -> Array:
    """Inertial parameters (10 nv,) of least norm, fitted to H and forces at rest."""
    scale = scales(asked)
    rows = tree.regressor(screws, asked.q) / scale[..., None]
    y = target(asked) / scale
    return truncated(rows.reshape(-1, rows.shape[-1]), y.ravel())


def relative(tree: ScrewTree, screws: Array, pi: Array, held: Local) -> float:
    """Root mean square of what is missed of H and force, each entry over its own size."""
    scale = scales(held)
    missed = (tree.forces(screws, pi, held.q) - target(held)) / scale
    return float(np.sqrt(np.mean(np.abs(missed) ** 2)))


def target(asked: Local) -> Array:
    """[H | force] (n, nv, nv + 1)."""
    return np.concatenate([asked.H, asked.force[:, :, None]], 2)


def scales(asked: Local) -> Array:
    """The size of each entry of [H | force] (nv, nv + 1): geometric means of the diagonal."""
    own = np.sqrt(np.abs(np.einsum("nii->ni", asked.H)).mean(0)) + 1e-300
    push = weight_of(asked)
    return np.column_stack([np.outer(own, own), own * (push if push else np.inf)])


def weight_of(asked: Local) -> float:
    """How strong the forces at rest are, over the joints' own inertia; zero where no joint's are
    more than noise."""
    own = np.sqrt(np.abs(np.einsum("nii->ni", asked.H)).mean(0)) + 1e-300
    push, noise = (np.sqrt((x**2).mean(0)) for x in (asked.force, asked.force_deviation))
    return float(np.sqrt(np.mean((push / own) ** 2))) if (push > 5 * noise).any() else 0.0


def truncated(rows: Array, y: Array, tolerance: float = _TRUNCATION) -> Array:
    """Least squares of least norm, columns to equal length, small directions left alone."""
    size = np.linalg.norm(rows, axis=0)
    size = np.where(size > 1e-12 * size.max(), size, np.inf)
    x = np.linalg.lstsq(rows / size, y, rcond=tolerance)[0]
    return x / size


def above_noise(rows: Array, y: Array, clear: float = 3.0) -> Array:
    """The same for y with unit noise, without the combinations that stand out by less than `clear`
    deviations: what they would add is noise, however large where little shows them."""
    size = np.linalg.norm(rows, axis=0)
    size = np.where(size > 1e-12 * size.max(), size, np.inf)
    u, s, vt = np.linalg.svd(rows / size, full_matrices=False)
    along = u.T @ y
    keep = (s > _TRUNCATION * s[0]) & (np.abs(along) > clear)
    return (vt[keep].T @ (along[keep] / s[keep])) / size


def neighbours(parents: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Trees one change away: a joint hung elsewhere with all it carries, or two neighbours on a
    way out exchanged."""
    nv = len(parents)
    found: dict[tuple[int, ...], None] = {}
    for k in range(nv):
        carried = _carried(parents, k)
        for new in [-1, *(j for j in range(nv) if j not in carried)]:
            if new != parents[k]:
                found[*parents[:k], new, *parents[k + 1 :]] = None
        p = parents[k]
        if p >= 0:
            swapped = list(parents)
            for c in range(nv):
                if parents[c] == k:
                    swapped[c] = p
            swapped[k], swapped[p] = parents[p], k
            found[tuple(swapped)] = None
            alone = list(swapped)  # the same, but what hung on k stays on k
            for c in range(nv):
                if parents[c] == k and c != p:
                    alone[c] = k
            found[tuple(alone)] = None
    return list(found)


def _carried(parents: tuple[int, ...], joint: int) -> set[int]:
    below = {joint}
    while True:
        more = {j for j, p in enumerate(parents) if p in below} | below
        if more == below:
            return below
        below = more
