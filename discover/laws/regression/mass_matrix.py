"""The mass matrix of a model from full circles, and of a law as a short straight-line program.

Where a model can be queried at all angles, its answers on a grid of 5ⁿ⁻¹ configurations give every
Fourier coefficient of its mass matrix. A flat sum of them is long; where the tree is known, the
same numbers give its bodies, and the tree's recursion is short.

The composite-rigid-body recursion over frames in which constants vanish, with the inertia that a
joint cannot tell from its parent's moved to the parent. What cancels is never written down: an arm
of six hinges at right angles takes about a fifth of what its Fourier sum of 1,913 terms does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

import kinematics
from discover.judgement.thresholds import whole
from discover.laws.regression.fourier import Waves, grid, transform
from discover.laws.rigid_body.family import identifiable_basis
from kinematics import Robot
from kinematics.programs import Graph, Program, make_program
from kinematics.programs.elimination.frames import moves, wrench_up
from kinematics.programs.elimination.inertias import Rigid, rigid_from_moments, total
from kinematics.programs.elimination.mechanism import mechanism
from kinematics.programs.elimination.regrouping import regrouped

_RULES = ("second moment", "Ixx", "Iyy")  # which entry of a hinge's body is moved to its parent
_CLEAN = 1e-9  # second moments below this, beside the body's largest of their kind, are rounding
_CONFIGURATIONS = whole("regression.grid_configurations")
_MOST = 1 + max(k for k in range(1, 40) if 5**k <= _CONFIGURATIONS)  # angles


@dataclass(frozen=True, kw_only=True)
class FullCircles:
    """The mass matrix of a model of n hinges, from all around.

    waves      the upper triangle's entries, row by row, in the angles 2 … n
    off_band   how far fresh configurations are from it, relative: what is no trigonometric
               polynomial of degree 2, or noise
    queries    how many answers it took
    """

    waves: Waves
    off_band: float
    queries: int

    def __call__(self, q: np.ndarray) -> np.ndarray:
        """H (…, n, n) at angles q (…, n)."""
        n = q.shape[-1]
        upper = self.waves(q[..., 1:])
        H = np.empty((*q.shape[:-1], n, n))
        rows, columns = np.triu_indices(n)
        H[..., rows, columns] = H[..., columns, rows] = upper
        return H


def mass_matrix_from_full_circles(
    model: Callable, n: int, *, checks: int = 20, seed: int = 0
) -> FullCircles:
    """The mass matrix of a model of n hinges from its answers on a grid of full circles.

    Raises ValueError where the grid has more configurations than the budget of queries.
    """
    if not 2 <= n <= _MOST:
        raise ValueError(f"expected 2 to {_MOST} hinges, found {n}: ask fewer, or fit scattered")
    points = np.concatenate([np.zeros((5 ** (n - 1), 1)), grid(n - 1)], 1)
    rows, columns = np.triu_indices(n)
    H = _sampled(model, torch.from_numpy(points))
    waves = transform(H[:, rows, columns], n - 1)
    fresh = np.random.default_rng(seed).uniform(-np.pi, np.pi, (checks, n))
    true = _sampled(model, torch.from_numpy(fresh))[:, rows, columns]
    off = np.sqrt(np.mean((waves(fresh[:, 1:]) - true) ** 2) / np.mean(true**2))
    queries = (len(points) + checks) * (n + 1)
    return FullCircles(waves=waves, off_band=float(off), queries=queries)


def _sampled(model: Callable, q: Tensor) -> np.ndarray:
    """H at q (m, n) from the response to unit forces at rest: (m, n, n)."""
    m, n = q.shape
    units = torch.cat([torch.zeros(1, n), torch.eye(n)]).to(q.dtype)
    asked = q.repeat_interleave(n + 1, 0)
    a = model(asked, torch.zeros_like(asked), units.repeat(m, 1)).reshape(m, n + 1, n)
    inverse = (a[:, 1:] - a[:, :1]).mT.numpy()
    H = np.linalg.inv(inverse)
    return 0.5 * (H + H.swapaxes(1, 2))


def identified_bodies(found: FullCircles, tree: Robot, seed: int = 0) -> tuple[Robot, float]:
    """`tree` with the inertial parameters that the mass matrix shows, and its relative misfit."""
    n = tree.nv
    q = torch.from_numpy(np.random.default_rng(seed).uniform(-np.pi, np.pi, (20 + 4 * n, n)))
    basis, zero = identifiable_basis(tree), torch.zeros_like(q)
    still = kinematics.regressor(tree, q, zero, zero)
    units = torch.eye(n, dtype=q.dtype)
    moved = [kinematics.regressor(tree, q, zero, e.expand_as(q)) - still for e in units]
    A = (torch.stack(moved, 1) @ basis).reshape(-1, basis.shape[1])
    y = torch.from_numpy(found(q.numpy())).reshape(-1, 1)
    beta = torch.linalg.lstsq(A, y, driver="gelsd").solution
    misfit = float((A @ beta - y).norm() / y.norm())
    return tree.replace(pi=(basis @ beta).reshape(-1, 10)), misfit


def mass_matrix_program(robot: Robot) -> Program:
    """H(q) of a tree of hinges and slides (port q) with the fewest operations of three forms."""
    return min((_program(robot, rule) for rule in _RULES), key=lambda p: p.arithmetic)


def _program(robot: Robot, rule: str) -> Program:
    made, graph = mechanism(robot), Graph()
    q = graph.inputs("q", robot.nq)
    chains = [moves(graph, b.steps, list(q[b.q])) for b in made.bodies]
    carried: list[Any] = [rigid_from_moments(graph, m) for m in _cleaned(made, rule)]
    zero = graph.zero
    H = np.array([[zero] * robot.nv for _ in range(robot.nv)], dtype=object)
    columns: list[dict[int, tuple[Any, Any]]] = [{} for _ in made.bodies]
    for body in reversed(made.bodies):
        if not body.scalar:
            raise ValueError(f"expected hinges and slides, found a {body.kind} joint")
        i, inertia = body.index, carried[body.index]
        assert isinstance(inertia, Rigid)
        angular, dof = body.kind != "prismatic", body.v.start
        for other, (moment, force) in columns[i].items():
            H[dof, other] = H[other, dof] = moment[2] if angular else force[2]
        moment, force = inertia.column(graph, angular, 2)
        armature = graph.const(float(robot.armature[dof]))
        H[dof, dof] = (moment[2] if angular else force[2]) + armature
        columns[i][dof] = (moment, force)
        if body.parent < 0:
            continue
        chain = chains[i]
        carried[body.parent] = total(graph, carried[body.parent], inertia.up(graph, chain))
        for other, (moment, force) in columns[i].items():
            columns[body.parent][other] = wrench_up(chain, moment, force)
    return make_program("mass_matrix", graph, {"q": q}, H)


def _cleaned(made: Any, rule: str) -> list[np.ndarray]:
    """Regrouped second moments (4, 4) with rounding, such as identification leaves, at zero."""
    out = []
    units = [np.abs(b.moments) for b in made.bodies]
    sizes = [max(u[at].max() for u in units) for at in _BLOCKS]
    for moments in regrouped(made, rule):
        clean = moments.copy()
        for at, size in zip(_BLOCKS, sizes, strict=True):
            clean[at] = np.where(np.abs(clean[at]) > _CLEAN * size, clean[at], 0.0)
        out.append(clean)
    return out


# Second moments, first moments and mass: numbers of different units.
_BLOCKS: tuple[Any, ...] = (np.s_[:3, :3], np.s_[:3, 3], np.s_[3, :3], np.s_[3, 3])
