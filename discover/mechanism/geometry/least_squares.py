"""Linear least squares for inertial parameters: H and static forces are linear in them."""

from __future__ import annotations

import numpy as np

from discover.judgement.thresholds import threshold
from discover.mechanism.geometry.screws import Array, ScrewTree
from discover.mechanism.local_dynamics import LocalDynamics

_CLEAR = threshold("mechanism.clear_gravity")
_TRUNCATION = 1e-9  # relative singular value of what rounding leaves


def misfit(
    tree: ScrewTree, screws: Array, training: LocalDynamics, validation: LocalDynamics
) -> float:
    """Relative error on held-out H and static forces of a tree's best inertial parameters."""
    x = parameters(tree, screws, training)
    return relative(tree, screws, x.reshape(-1, 10), validation)


def parameters(tree: ScrewTree, screws: Array, training: LocalDynamics) -> Array:
    """Inertial parameters (10 nv,) of least norm, fitted to H and static forces."""
    scale = scales(training)
    rows = tree.regressor(screws, training.q) / scale[..., None]
    y = target(training) / scale
    return truncated(rows.reshape(-1, rows.shape[-1]), y.ravel())


def relative(tree: ScrewTree, screws: Array, pi: Array, validation: LocalDynamics) -> float:
    """Root mean square of the residual of [H | static force] with inertial parameters pi (nv, 10),
    each entry over its own size."""
    scale = scales(validation)
    missed = (tree.forces(screws, pi, validation.q) - target(validation)) / scale
    return float(np.sqrt(np.mean(np.abs(missed) ** 2)))


def target(local: LocalDynamics) -> Array:
    """[H | static force] (n, nv, nv + 1)."""
    return np.concatenate([local.H, local.force[:, :, None]], 2)


def scales(local: LocalDynamics) -> Array:
    """The size of each entry of [H | static force] (nv, nv + 1): geometric means of the diagonal;
    infinite for forces where they are no more than noise."""
    root = np.sqrt(np.abs(np.einsum("nii->ni", local.H)).mean(0)) + 1e-300
    push = weight_of(local)
    return np.column_stack([np.outer(root, root), root * (push if push else np.inf)])


def weight_of(local: LocalDynamics) -> float:
    """Size of the static forces over the roots of the joints' inertias; zero where no joint's
    exceeds noise."""
    root = np.sqrt(np.abs(np.einsum("nii->ni", local.H)).mean(0)) + 1e-300
    push, noise = (np.sqrt((x**2).mean(0)) for x in (local.force, local.force_deviation))
    return float(np.sqrt(np.mean((push / root) ** 2))) if (push > _CLEAR * noise).any() else 0.0


def truncated(rows: Array, y: Array, tolerance: float = _TRUNCATION) -> Array:
    """Least squares of least norm, (r, p) and (r,) to (p,): columns are scaled to equal length, and
    directions with a smaller relative singular value than `tolerance` are left at zero."""
    size = np.linalg.norm(rows, axis=0)
    size = np.where(size > 1e-12 * size.max(), size, np.inf)
    x = np.linalg.lstsq(rows / size, y, rcond=tolerance)[0]
    return x / size


def above_noise(rows: Array, y: Array, clear: float = 3.0) -> Array:
    """The same for y with unit noise, without combinations that differ from zero by less than
    `clear` standard deviations: they would add noise only."""
    size = np.linalg.norm(rows, axis=0)
    size = np.where(size > 1e-12 * size.max(), size, np.inf)
    u, s, vt = np.linalg.svd(rows / size, full_matrices=False)
    along = u.T @ y
    keep = (s > _TRUNCATION * s[0]) & (np.abs(along) > clear)
    return (vt[keep].T @ (along[keep] / s[keep])) / size
