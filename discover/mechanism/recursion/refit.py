"""All numbers of a program at once: parameters, root vector and coefficients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discover.mechanism.geometry.least_squares import truncated
from discover.mechanism.geometry.screws import Array
from discover.mechanism.recursion.degree_split import DegreeSplit
from discover.mechanism.recursion.grammar import Block, Samples

_PROGRESS = 0.98  # a step that leaves more of the misfit than this is a slow one


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """phi (p,), the coefficients of the v² blocks, the root vector (6,), and the misfit."""

    phi: Array
    coefficients: Array
    root: Array
    error: float


def refit(
    samples: Samples,
    data: DegreeSplit,
    inertia: Block,
    root: Block | None,
    values: list[Array],
    root_vector: Array,
) -> Fit:
    """Parameters, root vector and coefficients together, by Gauss-Newton on the whole of tau."""
    weight = 1.0 / data.H_scale
    p = samples.parameters
    A = (samples.block(inertia) * weight[None, :, :, None]).reshape(-1, p)
    R = None
    if root is not None:
        R = np.moveaxis(samples.block(root) / data.scale[None, :, None, None], 2, 0)
        R = R.reshape(6, -1, p)
    V = [(Y / data.scale[None, :, None]).reshape(-1, p) for Y in values]
    y = [data.H * weight, data.rest / data.scale, data.even / data.scale]
    y = [x.ravel() for x in y]
    c: Array = np.ones(len(V))
    r = root_vector
    right = np.concatenate(y)
    phi, best, slow = np.zeros(p), np.inf, 0
    scale_c = len(V)
    for step in range(20):
        rows = [A, np.tensordot(r, R, 1) if R is not None else np.zeros((len(y[1]), p))]
        rows.append(sum((k * Y for k, Y in zip(c, V, strict=True)), np.zeros((len(y[2]), p))))
        design = np.concatenate(rows)
        if step == 0:
            phi = truncated(A, y[0])
            if V:
                U = np.stack([Y @ phi for Y in V], 1)
                c = np.linalg.lstsq(U, y[2], rcond=1e-9)[0]
                continue
        x = truncated(design, right)
        left = right - design @ x
        loss = float(np.sqrt(np.mean(left**2)))
        slow = slow + 1 if loss > _PROGRESS * best else 0
        if loss < best:
            phi, best, kept = x, loss, (c.copy(), r.copy())
        if slow > 3:
            break
        if loss < 1e-13 or (scale_c == 0 and R is None):
            break
        # Kaufman: change of c and r, with what the parameters make up for projected out.
        J = np.zeros((len(right), len(V) + (6 if R is not None else 0)))
        first, second = len(y[0]), len(y[0]) + len(y[1])
        for k, Y in enumerate(V):
            J[second:, k] = Y @ x
        if R is not None:
            for k in range(6):
                J[first:second, len(V) + k] = R[k] @ x
        size = np.linalg.norm(design, axis=0)
        u, s, _ = np.linalg.svd(design / np.where(size > 0, size, 1.0), full_matrices=False)
        u = u[:, s > 1e-9 * s[0]]
        J = J - u @ (u.T @ J)
        change = np.linalg.lstsq(J, left, rcond=1e-8)[0]
        if not np.isfinite(change).all() or np.linalg.norm(change) < 1e-13:
            break
        c = c + change[: len(V)]
        r = r + change[len(V) :] if R is not None else r
    return Fit(phi=phi, coefficients=kept[0], root=kept[1], error=best)
