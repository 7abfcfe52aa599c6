"""Inertias and rotations in the forms that other simulators take."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def about_centre(pi: Array) -> tuple[float, Array, Array]:
    """Mass, centre of mass and inertia about it, from the ten parameters about the origin."""
    mass = float(pi[0])
    centre = pi[1:4] / mass if mass > 0 else np.zeros(3)
    xx, xy, yy, xz, yz, zz = pi[4:]
    about_origin = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    shift = mass * (centre @ centre * np.eye(3) - np.outer(centre, centre))
    return mass, centre, about_origin - shift
