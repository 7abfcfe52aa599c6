"""Forward dynamics of an identified robot by the elimination order with the fewest operations.

The equations of motion of rigid bodies are sparse along the tree, and any order in which joints are
eliminated is an algorithm: articulated bodies, composite bodies with LᵀDL, and what lies between
(`kinematics.programs.elimination`). An identified robot has inertial parameters that no torque
shows in its geometry; here they are chosen so that as many as possible are exactly zero.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from discover.laws.extensions.terms import without_joint_terms
from discover.laws.rigid_body.family import identifiable_basis
from kinematics import Robot
from kinematics.programs import Program
from kinematics.programs.elimination.elimination import forward_dynamics
from kinematics.programs.elimination.mechanism import Mechanism, mechanism
from kinematics.programs.elimination.orders import Order
from kinematics.programs.elimination.regrouping import regrouped
from kinematics.programs.elimination.search import QUICK, better_order, named_order

Array = np.ndarray

# Operations that are traced while orders are compared: four times what `kinematics.compile` spends
# on small robots; of large ones as many as some orders have.
_PATIENCE, _ORDERS = 4 * QUICK, 32
# Upper triangle of a symmetric 4×4 pseudo-inertia; the power of length in the unit of each entry.
_UPPER = np.triu_indices(4)
_POWERS = np.array([2 - (i == 3) - (j == 3) for i, j in zip(*_UPPER, strict=True)], dtype=float)
# Which entries become zero first: products of inertia; then one square of two that only their sum
# shows, either one.
_RANKINGS = [
    np.array([(i == j) * (1 + k * i + (1 - k) * (3 - i)) for i, j in zip(*_UPPER, strict=True)])
    for k in (0, 1)
]


def forward_program(robot: Robot) -> Program:
    """Forward dynamics (q, v, tau) -> a of an identified robot, straight-line."""
    return cheapest_program(sparsest_mechanism(robot))[1]


def cheapest_program(mechanism: Mechanism) -> tuple[Order, Program]:
    """The elimination order with the fewest operations found within a budget of operations."""
    one = forward_dynamics(mechanism, named_order(mechanism, "aba")).arithmetic
    order = better_order(mechanism, budget=max(_PATIENCE, _ORDERS * one)).order
    return order, forward_dynamics(mechanism, order)


def sparsest_mechanism(robot: Robot, tolerance: float = 1e-11) -> Mechanism:
    """The robot prepared for elimination, with as many zero inertial parameters as possible.

    Parameters that no torque shows in this geometry (of links that move in a plane, of upright
    roots) are zero, and so are those below `tolerance` relative to their typical size. The dynamics
    is unchanged; the bodies need not be physically consistent. For joints of one coordinate, with
    or without a free base.
    """
    prepared, base = mechanism(robot), _regrouped_moments(robot)
    visible = identifiable_basis(without_joint_terms(robot)).numpy()
    hidden = np.linalg.svd(visible, full_matrices=True)[0][:, visible.shape[1] :]
    regrouping = _regrouping_matrix(robot)
    directions = regrouping @ hidden
    room = tolerance * _typical_sizes(robot)
    free = np.linalg.norm(directions, axis=1) > 1e-9 * np.abs(regrouping).max()
    candidates = [_with_zeros(base, directions, free, room, ranking) for ranking in _RANKINGS]
    mechanisms = [_with_moments(prepared, x) for x in candidates]
    return min(mechanisms, key=lambda m: forward_dynamics(m, named_order(m, "aba")).arithmetic)


def _with_zeros(base: Array, directions: Array, free: Array, room: Array, ranking: Array) -> Array:
    """Base parameters with as many zeros as moving along `directions` (…, k) can make.

    What is zero already stays zero; then come products of inertia, then the entries that `ranking`
    puts last.
    """
    chosen: list[int] = []
    rows = np.zeros((0, directions.shape[1]))
    places = np.arange(len(base))
    for k in np.lexsort((-places, ranking[places % 10], np.abs(base) > room)):
        if free[k]:
            more = np.vstack([rows, directions[k] / np.linalg.norm(directions[k])])
            if np.linalg.svd(more, compute_uv=False)[-1] > 1e-7:
                rows = more
                chosen.append(int(k))
    if chosen:
        base = base - directions @ np.linalg.lstsq(directions[chosen], base[chosen], rcond=1e-12)[0]
        base[chosen] = 0.0
    return np.where(np.abs(base) < room, 0.0, rounded(base, room))


def _with_moments(prepared: Mechanism, base: Array) -> Mechanism:
    bodies = []
    for body, entries in zip(prepared.bodies, base.reshape(-1, 10), strict=True):
        moments = np.zeros((4, 4))
        moments[_UPPER] = entries
        bodies.append(replace(body, moments=moments + np.triu(moments, 1).T))
    return replace(prepared, bodies=bodies)


def _regrouped_moments(robot: Robot) -> Array:
    """Base parameters, ten a body: what is left when all that can has moved to parents."""
    return np.concatenate([m[_UPPER] for m in regrouped(mechanism(robot))])


def _regrouping_matrix(robot: Robot) -> Array:
    """Base parameters of unit parameters, a column each: (10 nb, 10 nb)."""
    units = torch.eye(robot.pi.numel(), dtype=torch.float64).reshape(-1, robot.nb, 10)
    return np.stack([_regrouped_moments(robot.replace(pi=e)) for e in units], 1)


def _typical_sizes(robot: Robot) -> Array:
    mass = float(robot.pi[:, 0].abs().max()) or 1.0
    length = max(float(robot.tree_offset.abs().max()), 0.05)
    return mass * np.tile(np.power(length, _POWERS), robot.nb)


def rounded(x: Array, room: Array | float) -> Array:
    """Numbers within `room`, and one part in 10⁹, of one of four digits, made that number."""
    short = np.array([float(f"{c:.3e}") for c in x])
    close = (np.abs(x - short) < room) & (np.abs(x - short) < 1e-9 * np.abs(x))
    return np.where(close, short, x)
