"""Inertial parameters of one body: assembled, moved, and checked for physical possibility."""

from __future__ import annotations

import numpy as np


def parameters(mass: float, com: np.ndarray, inertia_at_com: np.ndarray) -> np.ndarray:
    """The ten parameters (10,) from mass [kg], centre [m] and inertia about it [kg·m²].

    ``inertia_at_com`` (3, 3) and ``com`` are in body axes; the result is about the body's origin.
    """
    about = inertia_at_com + mass * ((com @ com) * np.eye(3) - np.outer(com, com))
    return pack(mass, mass * com, about)


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


def pseudo_inertia(pi: np.ndarray) -> np.ndarray:
    """The 4 x 4 matrix ∫ (x; 1)(x; 1)ᵀ dm, positive definite for every real body."""
    mass, moment, inertia = unpack(pi)
    sigma = 0.5 * np.trace(inertia) * np.eye(3) - inertia
    return np.block([[sigma, moment[:, None]], [moment[None], np.array([[mass]])]])


def objection(mass: float, inertia_at_com: np.ndarray, tolerance: float = 1e-6) -> str | None:
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
