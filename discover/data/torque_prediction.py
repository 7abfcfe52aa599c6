"""How well joint forces are predicted on held-out pieces of logs, by the window of the filter.

The bodies' regressor of the smoothed motion, rotor inertia, friction and an offset a joint are
fitted to the joint forces as recorded, by least squares, on all pieces but one: a log each, or
fifths of a single log. The description's masses are not used, only its tree and geometry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from discover.data.logs import Log
from discover.data.smoothing import is_even, window_weights

if TYPE_CHECKING:
    from kinematics import Robot

Array = NDArray[np.float64]
PIECES = 5  # of a single log
MOST_ROWS = 2000  # of all logs together
SMOOTHED_SIGN = 0.05  # rad/s or m/s over which Coulomb friction changes its sign
_RIDGE = 1e-9  # of the mean square of the columns: base parameters are fewer than parameters
_AT_A_TIME = 256


def torque_columns(robot: Robot, q: Array, v: Array, a: Array) -> Array:
    """(n, nv, p): the bodies' regressor, rotor inertia, viscous and Coulomb friction, and an offset
    a joint, at states (n, nq), (n, nv), (n, nv)."""
    import kinematics

    states = (torch.from_numpy(np.ascontiguousarray(x)) for x in (q, v, a))
    bodies = kinematics.regressor(robot, *states).numpy()
    identity = np.eye(robot.nv)[None]
    own = (a, v, np.tanh(v / SMOOTHED_SIGN), np.ones_like(v))
    return np.concatenate([bodies, *(identity * x[:, :, None] for x in own)], axis=2)


def smoothed_at(log: Log, half: int, order: int, centres: NDArray[np.int64]) -> list[Array]:
    """Position, velocity and acceleration (m, nq) at some samples, by windows of 2 half + 1."""
    parts: list[list[Array]] = [[], [], []]
    even = is_even(log.time)
    for start in range(0, len(centres), _AT_A_TIME):
        rows = centres[start : start + _AT_A_TIME, None] + np.arange(-half, half + 1)
        weights = window_weights(log.time[rows[:1]] if even else log.time[rows], half, order)
        weights = np.broadcast_to(weights, (len(rows), *weights.shape[1:]))
        fitted = np.matmul(weights, log.q[rows])  # (m, 3, nq)
        for k, part in enumerate(parts):
            part.append(fitted[:, k])
    return [np.concatenate(part) for part in parts]


def prediction_errors(
    logs: Sequence[Log], robot: Robot, windows: Sequence[float], order: int
) -> Array:
    """(windows, pieces): mean square of the held-out error of the joint forces, relative to each
    joint's variance and averaged over joints. windows: durations [s]; the same samples for all."""
    longest = max(windows)
    each = max(60, MOST_ROWS // len(logs))
    places, pieces = [], []
    for k, log in enumerate(logs):
        edge = round(longest / log.step / 2) + 1
        centres = np.unique(np.linspace(edge, len(log.time) - 1 - edge, each).astype(int))
        places.append(centres)
        several = len(logs) > 1
        piece = (
            np.full(len(centres), k)
            if several
            else np.arange(len(centres)) * PIECES // len(centres)
        )
        pieces.append(piece)
    piece = np.concatenate(pieces)
    tau = np.concatenate([log.tau[at] for log, at in zip(logs, places, strict=True)])
    scale = tau.std(axis=0)
    weight = np.where(scale > 0, 1 / np.maximum(scale, 1e-300), 0.0)
    errors = np.zeros((len(windows), piece.max() + 1))
    for row, window in enumerate(windows):
        states = [
            smoothed_at(log, max(round(window / log.step / 2), order), order, at)
            for log, at in zip(logs, places, strict=True)
        ]
        q, v, a = (np.concatenate([state[k] for state in states]) for k in range(3))
        design = torque_columns(robot, q, v, a) * weight[None, :, None]
        errors[row] = _held_out(design, tau * weight, piece)
    return errors


def _held_out(design: Array, target: Array, piece: NDArray[np.int64]) -> Array:
    """(pieces,): mean square error on each piece of a fit to the others."""
    norms = np.sqrt(np.square(design).mean(axis=(0, 1)))
    design = design / np.where(norms > 0, norms, 1.0)
    count = int(piece.max()) + 1
    grams, sides = [], []
    for k in range(count):
        rows = design[piece == k].reshape(-1, design.shape[2])
        grams.append(rows.T @ rows)
        sides.append(rows.T @ target[piece == k].ravel())
    whole, side = np.sum(grams, axis=0), np.sum(sides, axis=0)
    errors = np.zeros(count)
    for k in range(count):
        gram = whole - grams[k]
        gram[np.diag_indices_from(gram)] += _RIDGE * np.trace(gram) / len(gram) + 1e-300
        theta = np.linalg.solve(gram, side - sides[k])
        errors[k] = np.square(target[piece == k] - design[piece == k] @ theta).mean()
    return errors
