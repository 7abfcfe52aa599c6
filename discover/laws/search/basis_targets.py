"""Targets of the regression on basis functions: a flexible function by its effect on accelerations.

A change of the function counts by how much it changes the accelerations beyond what the bodies
could make up for.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from discover import numerics
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.terms import forces
from discover.laws.search.basis_search import Target
from discover.laws.search.pair_fit import FlexiblePair

_GRID = whole("search.grid_points")
_TAIL = threshold("search.tail")


def pair_targets(smooth: FlexiblePair, floor: float) -> tuple[Target, Target]:
    """The flexible function on a grid and at the states, as its effect on accelerations."""
    problem, joined = smooth.problem, smooth.joined
    robot = problem.family.bodies
    terms = [smooth.pair.direction.term(), smooth.pair.feature.term(robot.nv)]
    mechanics = problem.design.mechanics(joined.theta)
    x = problem.answers
    a = torch.nan_to_num(joined.a)
    both = torch.nan_to_num(forces(terms, x.q, x.v, a, x.tau, robot, mechanics))
    _, J = problem.accelerations(joined.theta, joined.coefficients, joined.constants)
    inverse = numerics.pinv(J) / problem.scale[:, None]
    slots = smooth.pair.feature.slots
    # One value of the function a state, or one a joint: (n, nv, slots) and (n, slots).
    each = torch.diag_embed(both[..., 0]) if slots > 1 else both[..., :1]
    pushed, feature = numerics.finite_rows(inverse @ each), both[:, :slots, 1]
    columns = problem.design.columns(a)
    if any(w.startswith("tau") for w in terms[0].names | terms[1].names):
        # tau = H a + b + φ: with the bodies' scale free, tau itself is φ, and so is anything.
        columns = columns @ scale_free_directions(joined.theta, columns)
    value = (smooth.basis(feature.flatten()) @ joined.coefficients).reshape(feature.shape)
    r = torch.nan_to_num(joined.residual)
    return function_targets(pushed, feature, value, inverse @ columns, r, floor)


def function_targets(
    pushed: Tensor, feature: Tensor, value: Tensor, known: Tensor, residual: Tensor, floor: float
) -> tuple[Target, Target]:
    """A function that takes `value` at `feature`, each (n, slots), on a grid and at the states.

    pushed    (n, nv, slots): a change of its values by d changes the residual (n, nv) by pushed d
    known     (n, nv, p): what else could make such a change
    """
    slots = feature.shape[1]
    U = numerics.orthonormal(known.flatten(0, 1))
    shaped = (len(feature), slots, -1)
    r = residual.flatten()
    y = (pushed @ value.unsqueeze(-1)).flatten() - r
    y = y - U @ (U.T @ y)
    left = r - U @ (U.T @ r)
    # A formula may leave less than the flexible function did; what limits it is the linearisation.
    level = max(float(left.square().mean()), floor, 1e-7)
    count = y.numel()

    grid, spread = _grid(feature.flatten())
    rows = (pushed @ spread.reshape(shaped)).flatten(0, 1)
    rows = rows - U @ (U.T @ rows)
    values, vectors = numerics.eigh(rows.T @ rows)
    keep = values > 1e-13 * values.max()
    root = (vectors[:, keep] * values[keep].sqrt()).T
    short = (vectors[:, keep] / values[keep].sqrt()).T @ (rows.T @ y)
    # Few answers reach far out on products and energies; constants are looked for where most are.
    size = min(float(feature.abs().max()), _TAIL * float(feature.abs().median()) or math.inf)
    L = root.numpy()
    coarse = Target(
        z=grid.numpy(),
        push=lambda f: L @ f,
        y=short.numpy(),
        rest=max(float(y @ y - short @ short), 0.0),
        count=count,
        floor=max(level, 3e-5),
        size=size,
    )
    W, B = pushed.numpy(), U.numpy()

    def push(f: np.ndarray) -> np.ndarray:
        out = (W @ f.reshape(len(W), slots, -1)).reshape(-1, f.shape[1])
        return out - B @ (B.T @ out)

    fine = Target(
        z=feature.flatten().numpy(),
        push=push,
        y=y.numpy(),
        rest=0.0,
        count=count,
        floor=level,
        size=size,
    )
    return coarse, fine


def scale_free_directions(theta: Tensor, columns: Tensor) -> Tensor:
    """Directions of the parameters that are orthogonal to their own, each in units of its column.

    (p, p - 1): what is left of the bodies' freedom where their common scale is held.
    """
    size = columns.square().mean((0, 1)).sqrt().clamp_min(1e-300)
    along = (theta * size) / (theta * size).norm().clamp_min(1e-300)
    scale_free_directions = torch.linalg.qr(
        torch.cat([along[:, None], torch.eye(len(theta), dtype=theta.dtype)], 1)
    ).Q[:, 1:]
    return scale_free_directions[:, : len(theta) - 1] / size[:, None]


def _grid(z: Tensor) -> tuple[Tensor, Tensor]:
    """Grid points, dense about zero, and the columns that interpolate from them at z.

    The two sides of zero are interpolated apart, so that jumps and kinks there stay sharp.
    """
    from scipy.interpolate import CubicSpline  # imported late: half a second

    low, high = float(z.min()), float(z.max())
    if high - low < 1e-9 * max(abs(low), abs(high), 1e-300):
        high = low + max(abs(low), 1.0) * 1e-6
    steps = np.linspace(0, 1, _GRID)
    points, columns = [], []
    sides = [(low, high)] if low >= 0 or high <= 0 else [(low, 0.0), (0.0, high)]
    for a, b in sides:
        if a <= 0 <= b or min(abs(a), abs(b)) < 0.05 * max(abs(a), abs(b)):
            spaced = 0.5 * steps + 0.5 * steps**3
        else:
            spaced = steps
        x = a + (b - a) * (spaced if abs(a) <= abs(b) else (1 - spaced)[::-1])
        inside = (z.numpy() >= a) & (z.numpy() <= b) if len(sides) > 1 else np.ones(len(z), bool)
        if len(sides) > 1 and b == 0.0:
            inside &= z.numpy() < 0
        W = np.zeros((len(z), _GRID))
        W[inside] = CubicSpline(x, np.eye(_GRID))(z.numpy()[inside])
        x = x.copy()
        x[x == 0.0] = 1e-12 if abs(a) <= abs(b) else -1e-12
        points.append(x)
        columns.append(W)
    return torch.from_numpy(np.concatenate(points)), torch.from_numpy(np.concatenate(columns, 1))
