"""Inertial parameters of a body: assembled, moved to another frame, checked for physical
possibility, and parametrised so that they cannot leave it.

The pseudo-inertia P = ∫ (x; 1)(x; 1)ᵀ dm of a real body is positive definite, so P = U Uᵀ with U
upper triangular and a positive diagonal. Ten free numbers a body give U: logarithms on its
diagonal. Rucker & Wensing (2022), Smooth parameterization of rigid-body inertia.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kinematics.errors import RobotError


def about_origin(mass: float, com: np.ndarray, inertia_at_com: np.ndarray) -> np.ndarray:
    """The ten parameters (10,) from mass [kg], centre [m] and inertia about it [kg·m²].

    ``inertia_at_com`` (3, 3) and ``com`` are in body axes; the result is about the body's origin.
    """
    about = inertia_at_com + mass * ((com @ com) * np.eye(3) - np.outer(com, com))
    return pack(mass, mass * com, about)


def about_centre(pi: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Mass [kg], centre of mass (3,) [m] and inertia about it (3, 3) [kg m²] of ten parameters; a
    body without mass has its centre at the origin. The inverse of `about_origin`."""
    mass, moment, inertia = unpack(pi)
    centre = moment / mass if mass > 0 else np.zeros(3)
    return mass, centre, inertia - mass * (centre @ centre * np.eye(3) - np.outer(centre, centre))


def pack(mass: float, moment: np.ndarray, inertia: np.ndarray) -> np.ndarray:
    """m, m·c, Ixx, Ixy, Iyy, Ixz, Iyz, Izz of a mass, first moment and inertia matrix."""
    i = inertia
    return np.array([mass, *moment, i[0, 0], i[0, 1], i[1, 1], i[0, 2], i[1, 2], i[2, 2]])


def unpack(pi: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Mass, first moment (3,) and inertia about the origin (3, 3) of ten parameters."""
    xx, xy, yy, xz, yz, zz = pi[4:]
    return float(pi[0]), pi[1:4], np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def moved(pi: np.ndarray, rotation: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """The parameters (10,) in another frame: x' = rotation x + offset."""
    mass, moment, inertia = unpack(pi)
    h = rotation @ moment
    turned = rotation @ inertia @ rotation.T
    shift = (
        (2 * (h @ offset) + mass * (offset @ offset)) * np.eye(3)
        - np.outer(h, offset)
        - np.outer(offset, h)
        - mass * np.outer(offset, offset)
    )
    return pack(mass, h + mass * offset, turned + shift)


def impossibility(mass: float, inertia_at_com: np.ndarray, tolerance: float = 1e-6) -> str | None:
    """Why no mass distribution has this inertia about its centre of mass, or None."""
    principal = np.linalg.eigvalsh(inertia_at_com)
    largest = float(np.abs(principal).max())
    if principal[0] < -tolerance * largest:
        return f"its inertia has a negative principal moment ({principal[0]:.3g} kg·m²)"
    if principal[0] + principal[1] < principal[2] - tolerance * largest:
        return (
            "its principal moments break the triangle inequality "
            f"({principal[0]:.3g} + {principal[1]:.3g} < {principal[2]:.3g} kg·m²)"
        )
    if mass == 0 and largest > 0:
        return "it has inertia but no mass"
    return None


_UPPER = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


def from_log_cholesky(theta: Tensor) -> Tensor:
    """Parameters pi (..., 10) of ten free numbers theta (..., 10); differentiable.

    theta: four logarithms of the diagonal of U, then its upper entries (0,1) (0,2) (1,2) (0,3)
    (1,3) (2,3). Every theta gives a body that can exist.
    """
    _ten("theta", theta)
    rows = [[torch.zeros_like(theta[..., 0]) for _ in range(4)] for _ in range(4)]
    for k in range(4):
        rows[k][k] = theta[..., k].exp()
    for k, (i, j) in enumerate(_UPPER):
        rows[i][j] = theta[..., 4 + k]
    upper = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    return from_pseudo_inertia(upper @ upper.mT)


def to_log_cholesky(pi: Tensor) -> Tensor:
    """The ten free numbers (..., 10) of parameters pi (..., 10); RobotError if none exist."""
    # an upper-lower factorisation is a Cholesky factorisation read from the other corner
    pseudo = pseudo_inertia(pi)
    lower, bad = torch.linalg.cholesky_ex(pseudo.flip(-1, -2))
    if bool((bad != 0).any()):
        raise RobotError(
            "expected positive definite pseudo-inertias, found a body that has none "
            "(a point, a rod, or an impossible inertia); give it some extent"
        )
    upper = lower.flip(-1, -2)
    diagonal = [upper[..., k, k].log() for k in range(4)]
    return torch.stack((*diagonal, *(upper[..., i, j] for i, j in _UPPER)), dim=-1)


def pseudo_inertia(pi: Tensor) -> Tensor:
    """P (..., 4, 4) of parameters pi (..., 10)."""
    _ten("pi", pi)
    m, hx, hy, hz, xx, xy, yy, xz, yz, zz = pi.unbind(-1)
    half = (xx + yy + zz) / 2
    rows = (
        (half - xx, -xy, -xz, hx),
        (-xy, half - yy, -yz, hy),
        (-xz, -yz, half - zz, hz),
        (hx, hy, hz, m),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def from_pseudo_inertia(pseudo: Tensor) -> Tensor:
    """Parameters pi (..., 10) of P (..., 4, 4)."""
    s = [[pseudo[..., i, j] for j in range(4)] for i in range(4)]
    return torch.stack(
        (
            s[3][3], s[0][3], s[1][3], s[2][3],
            s[1][1] + s[2][2], -s[0][1], s[0][0] + s[2][2],
            -s[0][2], -s[1][2], s[0][0] + s[1][1],
        ),
        dim=-1,
    )  # fmt: skip


def _ten(name: str, x: Tensor) -> None:
    if x.ndim == 0 or x.shape[-1] != 10:
        raise RobotError(
            f"expected {name} of shape (..., 10), found {tuple(x.shape)}; give ten numbers a body"
        )
