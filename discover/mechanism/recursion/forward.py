"""The forward program of a robot: sparse base parameters, joints eliminated in the cheapest order.

The equations of motion of a tree are sparse along it, and any order of elimination is an algorithm:
articulated bodies, composite bodies with LᵀDL, and what lies between. Orders are compared by the
operations of their traced programs. Depends on the robot alone, not on how it was inferred.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from discover.laws.rigid_body.family import identifiable_basis, without_joint_terms
from discover.mechanism.geometry.robots import rounded
from discover.mechanism.geometry.screws import Array
from kinematics import Robot
from kinematics.programs.elimination.elimination import forward_dynamics
from kinematics.programs.elimination.mechanism import Mechanism, mechanism
from kinematics.programs.elimination.orders import ABOVE, BEFORE, Order
from kinematics.programs.elimination.regrouping import regrouped
from kinematics.programs.elimination.search import QUICK, better_order, named_order
from kinematics.programs.program import Program

_BUDGET = 4 * QUICK  # traced operations: half a second, four times what `kinematics.compile` takes
ELIMINATION_ORDERS = {"aba": "articulated bodies", "crba": "composite bodies, LᵀDL"}
_UPPER = np.triu_indices(4)
_POWERS = np.array([2 - (i == 3) - (j == 3) for i, j in zip(*_UPPER, strict=True)], dtype=float)
# The order in which moments are made zero: products of inertia first, then one of two squares of
# which only the sum is identifiable; both choices of which one.
_SQUARES = [
    np.array([(i == j) * (1 + k * i + (1 - k) * (3 - i)) for i, j in zip(*_UPPER, strict=True)])
    for k in (0, 1)
]


def sparse_mechanism(robot: Robot, tolerance: float = 1e-11) -> Mechanism:
    """The robot prepared for programs, with as many base parameters zero as can be.

    Parameters that no torque shows (of links that move in a plane, of upright roots) are shifted to
    make others zero, and what is below `tolerance` of its size is zero. The dynamics stays the
    same; the bodies need not be possible. Joints of one coordinate, or a free base with such.
    """
    made, base = mechanism(robot), _base_parameters(robot)
    shown = identifiable_basis(without_joint_terms(robot)).numpy()
    hidden = np.linalg.svd(shown, full_matrices=True)[0][:, shown.shape[1] :]
    mapped = _regrouping(robot)
    moved = mapped @ hidden
    room = tolerance * _sizes(robot)
    length = np.linalg.norm(moved, axis=1)
    free = length > 1e-9 * np.abs(mapped).max()
    sparse = [_sparsest(base, moved, free, room, squares) for squares in _SQUARES]
    candidates = [_with_moments(made, x) for x in sparse]
    return min(candidates, key=lambda m: forward_dynamics(m, named_order(m, "aba")).arithmetic)


def _sparsest(base: Array, moved: Array, free: Array, room: Array, squares: Array) -> Array:
    """Base parameters (10 nb,) with as many zeros as shifts along `moved` (10 nb, k) can make: what
    is zero already stays so, then products, then the entries that `squares` ranks last."""
    chosen: list[int] = []
    rows = np.zeros((0, moved.shape[1]))
    places = np.arange(len(base))
    for k in np.lexsort((-places, squares[places % 10], np.abs(base) > room)):
        if free[k]:
            more = np.vstack([rows, moved[k] / np.linalg.norm(moved[k])])
            if np.linalg.svd(more, compute_uv=False)[-1] > 1e-7:
                rows = more
                chosen.append(int(k))
    if chosen:
        base = base - moved @ np.linalg.lstsq(moved[chosen], base[chosen], rcond=1e-12)[0]
        base[chosen] = 0.0
    return np.where(np.abs(base) < room, 0.0, rounded(base, room))


def _with_moments(made: Mechanism, base: Array) -> Mechanism:
    bodies = []
    for body, own in zip(made.bodies, base.reshape(-1, 10), strict=True):
        moments = np.zeros((4, 4))
        moments[_UPPER] = own
        bodies.append(replace(body, moments=moments + np.triu(moments, 1).T))
    return replace(made, bodies=bodies)


def _base_parameters(robot: Robot) -> Array:
    """Base parameters (10 nb,): what is left of each body when all that can is moved to parents."""
    return np.concatenate([m[_UPPER] for m in regrouped(mechanism(robot))])


def _regrouping(robot: Robot) -> Array:
    """The map (10 nb, 10 nb) from inertial parameters to base parameters."""
    units = torch.eye(robot.pi.numel(), dtype=torch.float64).reshape(-1, robot.nb, 10)
    return np.stack([_base_parameters(robot.replace(pi=e)) for e in units], 1)


def _sizes(robot: Robot) -> Array:
    """Typical sizes (10 nb,) of base parameters, from the largest mass and offset."""
    mass = float(robot.pi[:, 0].abs().max()) or 1.0
    length = max(float(robot.tree_offset.abs().max()), 0.05)
    return mass * np.tile(np.power(length, _POWERS), robot.nb)


def cheapest_elimination(made: Mechanism) -> tuple[Order, Program]:
    """The cheapest order found within a budget of traced operations, and its program."""
    order = better_order(made, budget=_BUDGET).order
    return order, forward_dynamics(made, order)


def forward_program(robot: Robot) -> Program:
    """The forward program of a robot, (q, v, tau) -> a, straight-line.

    robot   joints of one coordinate, or a free base with such; as fitted (`InferredRobot.exact`) or
            with possible bodies, which has the same dynamics
    """
    return cheapest_elimination(sparse_mechanism(robot))[1]


def elimination_text(made: Mechanism, order: Order) -> str:
    """The elimination in an order as passes over the tree."""
    names = [b.name for b in made.bodies]
    lines = ["outward, from the base to the leaves:"]
    lines += ["    T_i = X T_p + S v_i,   C_i = what velocities add to the acceleration of body i"]
    lines.append("inward, from the leaves to the base (inertia I, wrench W; to the parent I, W):")
    for body in reversed(made.bodies):
        leaving = [(j, stage) for j, (at, stage) in enumerate(order.places) if at == body.index]
        words = []
        for j, stage in sorted(leaving, reverse=True):
            words.append(f"{names[j]} leaves{_where(j, body.index, stage)}")
        if not words:
            at = names[order.places[body.index][0]]
            words = [f"{names[body.index]} is carried on as a column, to {at}"]
        lines.append(f"    {names[body.index]}: {'; '.join(words)}")
    lines.append("outward: accelerations, each joint's from its body's and those above it")
    lines.append("a joint leaves: D = Sᵀ I S + rotor,  I ← I - I S D⁻¹ Sᵀ I,  W ← W - I S D⁻¹ …")
    return "\n".join(lines)


def _where(joint: int, body: int, stage: str) -> str:
    if stage == ABOVE:
        return " in the parent's frame"
    if stage == BEFORE:
        return " before this joint is added"
    return "" if joint == body else " here, carried as a column till now"
