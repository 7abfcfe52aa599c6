"""The gauge of a mechanism, which no torque shows: yaw about the vertical, translation, mirroring.

Functions on unit screws (nb, 6) in a frame with gravity along -z.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from discover.mechanism.geometry.screws import Array


def laid_on(screws: Array, target: Array, shared: Sequence[int] | None = None) -> Array:
    """Screws (nb, 6) in the gauge in which those of `shared` come closest to `target` (k, 6).

    shared   indices of the screws that `target` holds, all unless given
    """
    rows = list(range(len(screws)) if shared is None else shared)
    tried = [_alignment(candidate[rows], target) for candidate in (screws, mirror(screws))]
    k = min((0, 1), key=lambda i: tried[i][0])
    return move((screws, mirror(screws))[k], *tried[k][1:])


def _alignment(screws: Array, target: Array) -> tuple[float, float, Array]:
    """(misfit, yaw [rad], shift (3,) [m]) that bring screws (k, 6) closest to the target (k, 6).

    In the turned frame the shift is linear with a design that does not depend on the yaw; the
    residual is |a + b cos yaw + c sin yaw|², which is minimised on a grid and by Newton steps.
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
    residual = np.concatenate([near, far - u @ (u.T @ far)])
    form = residual.T @ residual

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
    return float(np.sum((residual @ c) ** 2)), float(first), shift


def move(screws: Array, yaw: float, shift: Array) -> Array:
    """Screws turned by `yaw` [rad] about the vertical through the origin, then shifted (3,) [m]."""
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    w, u = screws[:, :3] @ turn.T, screws[:, 3:] @ turn.T
    return np.concatenate([w, u + np.cross(shift, w)], 1)


def mirror(screws: Array) -> Array:
    """Screws mirrored, x -> -x; rotations reverse their sense."""
    flip = np.array([-1.0, 1.0, 1.0])
    return np.concatenate([-screws[:, :3] * flip, screws[:, 3:] * flip], 1)
