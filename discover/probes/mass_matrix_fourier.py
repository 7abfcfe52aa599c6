"""The mass matrix on full circles: a trigonometric polynomial of degree two that bodies make?

Where the region covers full turns of every hinge, the response to unit forces at rest on a grid of
five angles a joint gives every Fourier coefficient of H, with nothing assumed of the tree. Fresh
configurations say whether there is anything beyond degree two; the tree, whether bodies make it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from discover.blackbox.session import QuerySession
from discover.judgement.evidence import Evidence, description
from discover.judgement.thresholds import threshold
from discover.laws.regression.mass_matrix import identified_bodies, mass_matrix_from_full_circles

_GRID_QUERIES = threshold("probes.full_circle_queries")
_WHOLE = 1e-6  # of a turn, by which a region may fall short of it
_MEANING = (
    "what of the mass matrix at fresh angles its Fourier coefficients up to degree 2, from full "
    "circles, do not give; 0 for mechanics"
)
_BODIES = "what of these coefficients no bodies on the tree have; 0 for mechanics"


def describe(session: QuerySession) -> list[Evidence]:
    """Both numbers; nothing where the region is no torus, or the grid costs too many queries."""
    robot = session.robot
    hinges = all(kind not in ("prismatic", "spherical", "free") for kind in robot.kinds)
    plain = robot.nq == robot.nv == robot.nb and robot.nv >= 2
    if not (plain and hinges and 5 ** (robot.nv - 1) <= _GRID_QUERIES):
        return []
    if float(session.half_widths("q").min()) < math.pi * (1 - _WHOLE):
        return []

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return session.ask(q, v, tau).a

    try:
        matrix = mass_matrix_from_full_circles(model, robot.nv)
        _, misfit = identified_bodies(matrix, robot)
    except (torch.linalg.LinAlgError, ValueError, ArithmeticError):
        return []  # a response to forces that has no inverse is no mass matrix's
    name = "structure: full circles"
    return [
        description(f"{name}, degree", matrix.off_band, _MEANING),
        description(f"{name}, bodies", misfit, _BODIES),
    ]
