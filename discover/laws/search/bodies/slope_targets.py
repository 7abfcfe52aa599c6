"""Targets of the regression on basis functions for a function that acts with its slope.

What a Lagrangian times φ(z) makes holds φ and φ'. Both are linear in the values of φ on a grid,
through a cubic spline, so that formulas are compared with it there.
"""

from __future__ import annotations

import numpy as np
import torch

from discover import numerics
from discover.judgement.thresholds import whole
from discover.laws.extensions.terms import forces
from discover.laws.search.basis_search import Target
from discover.laws.search.pair_fit import FlexiblePair

_GRID = whole("search.grid_points")
_FINER = 4  # times as many points in earnest: a spline's error falls with their fourth power
_LEAST = 1e-7  # standardised: what the linearisation and the spline leave


def slope_targets(smooth: FlexiblePair, floor: float) -> tuple[Target, Target]:
    """The flexible function on a coarse and on a fine grid, as its effect on accelerations."""
    from scipy.interpolate import CubicSpline  # imported late: half a second

    problem, joined = smooth.problem, smooth.joined
    robot, x = problem.family.bodies, problem.answers
    mechanics = problem.design.mechanics(joined.theta)
    a = torch.nan_to_num(joined.a)
    parts = torch.nan_to_num(forces(smooth.pair.parts, x.q, x.v, a, x.tau, robot, mechanics))
    _, J = problem.accelerations(joined.theta, joined.coefficients, joined.constants)
    inverse = numerics.pinv(J) / problem.scale[:, None]
    z = parts[:, 0, 1].numpy()
    beside = numerics.finite_rows(inverse @ parts[..., [0, 2]])  # φ's and φ'': (n, nv, 2)
    U = numerics.orthonormal((inverse @ problem.design.columns(a)).flatten(0, 1))
    r = torch.nan_to_num(joined.residual).flatten()

    def target(count: int, least: float) -> Target:
        grid = np.linspace(z.min(), z.max(), count)
        spline = CubicSpline(grid, np.eye(count))
        spread = torch.from_numpy(np.stack([spline(z), spline(z, 1)], 1))  # (n, 2, count)
        rows = (beside @ spread).flatten(0, 1)
        value = smooth.basis(torch.from_numpy(grid)) @ joined.coefficients
        y = rows @ value - r
        rows, y = rows - U @ (U.T @ rows), y - U @ (U.T @ y)
        left = r - U @ (U.T @ r)
        values, vectors = numerics.eigh(rows.T @ rows)
        keep = values > 1e-13 * values.max()
        root = (vectors[:, keep] * values[keep].sqrt()).T.numpy()
        short = ((vectors[:, keep] / values[keep].sqrt()).T @ (rows.T @ y)).numpy()
        return Target(
            z=grid,
            push=lambda f: root @ f,
            y=short,
            rest=max(float(y @ y) - float(short @ short), 0.0),
            count=y.numel(),
            floor=max(float(left.square().mean()), floor, least),
            size=max(float(np.abs(z).max()), 1e-300),
        )

    return target(_GRID, 3e-5), target(_FINER * _GRID, _LEAST)
