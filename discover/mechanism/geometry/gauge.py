"""What no torque shows of a mechanism's frame: its yaw, its place, a mirror image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from discover.mechanism.geometry.screws import Array


def laid_on(screws: Array, target: Array, shared: Sequence[int] | None = None) -> Array:
    """Screws (nv, 6) turned about the vertical, moved and perhaps mirrored, such that those of
    `shared`, all unless given, come closest to `target`: what no torque can show is taken from
    there."""
    rows = list(range(len(screws)) if shared is None else shared)
    tried = [_alignment(candidate[rows], target) for candidate in (screws, mirror(screws))]
    k = min((0, 1), key=lambda i: tried[i][0])
    return move((screws, mirror(screws))[k], *tried[k][1:])


def _alignment(screws: Array, target: Array) -> tuple[float, float, Array]:
    """(misfit, yaw, shift) of the turn about the vertical and the shift that bring screws closest
    to the target.

    Seen from the turned frame the shift is linear with a design that knows no yaw, and what it
    leaves is of the form |a + b cos + c sin|².
    """
    w = screws[:, :3]
    across = np.concatenate([np.cross(e, w).ravel()[:, None] for e in np.eye(3)], 1)
    u, s, vt = np.linalg.svd(across, full_matrices=False)
    keep = s > 1e-9
    u, inverse = u[:, keep], (vt[keep].T / s[keep]) @ u[:, keep].T

    def seen(of: Array) -> Array:
        """The target's parts (upright, along cos, along sin) turned back."""
        x, y, z = of.T
        o = np.zeros_like(x)
        parts = [np.stack(p, 1) for p in ((o, o, z), (x, y, o), (y, -x, o))]
        return np.stack([p.ravel() for p in parts], 1)

    far, near = -seen(target[:, 3:]), -seen(target[:, :3])
    far[:, 0] += screws[:, 3:].ravel()
    near[:, 0] += w.ravel()
    left = np.concatenate([near, far - u @ (u.T @ far)])
    form = left.T @ left

    def basis(yaw: Array | float) -> Array:
        return np.array([np.ones_like(yaw), np.cos(yaw), np.sin(yaw)])

    yaw = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    first = yaw[np.argmin(np.einsum("iy,ij,jy->y", basis(yaw), form, basis(yaw)))]
    for _ in range(8):  # Newton
        c = basis(first)
        slope, bend = np.array([0.0, -c[2], c[1]]), np.array([0.0, -c[1], -c[2]])
        curvature = slope @ form @ slope + bend @ form @ c
        if curvature <= 0:
            break
        first -= (slope @ form @ c) / curvature
    c = basis(first)
    turned = -inverse @ far @ c
    cosine, sine = c[1], c[2]
    shift = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]]) @ turned
    return float(np.sum((left @ c) ** 2)), float(first), shift


def move(screws: Array, yaw: float, shift: Array) -> Array:
    """Screws turned about the vertical through the origin, then shifted."""
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    w, u = screws[:, :3] @ turn.T, screws[:, 3:] @ turn.T
    return np.concatenate([w, u + np.cross(shift, w)], 1)


def mirror(screws: Array) -> Array:
    """Screws seen in the mirror x -> -x: turning reverses sense as mirrors do."""
    flip = np.array([-1.0, 1.0, 1.0])
    return np.concatenate([-screws[:, :3] * flip, screws[:, 3:] * flip], 1)
