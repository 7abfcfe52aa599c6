"""The combinations of inertial parameters that the motion can reveal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from kinematics.algorithms.regressor import regressor
from kinematics.arrays.arguments import check_robot
from kinematics.robot.states import random_state
from kinematics.robot.tree import PARAMETERS, Robot


@dataclass(frozen=True, kw_only=True)
class BaseParameters:
    """``matrix`` (k, 10·nb): base parameters = matrix @ robot.pi.flatten().

    ``independent`` are the k columns of the regressor that span it: Y pi = Y[:, independent] base.
    ``names`` writes each base parameter as a combination of the bodies' own.
    """

    matrix: Tensor
    rank: int
    names: tuple[str, ...]
    independent: tuple[int, ...]


def base_parameters(robot: Robot, *, samples: int | None = None, seed: int = 0) -> BaseParameters:
    """Minimal inertial parameters of the tree, from the regressor at random states.

    The rank is that of the stacked regressor (relative tolerance 1e-9). Columns of bodies far from
    the base are kept in preference, so that parameters are regrouped towards the leaves'
    carriers. `symbolic_base_parameters` writes the same space in closed form.
    Gautier (1991), Numerical calculation of the base inertial parameters of robots.
    """
    check_robot(robot)
    count = samples or max(30, int(np.ceil(40 * robot.nb / robot.nv)))
    q, v, a = random_state(robot, count, seed=seed)
    stacked = regressor(robot.to(dtype=torch.float64), q, v, a).reshape(-1, 10 * robot.nb)
    y = stacked.detach().cpu().numpy()
    size = np.linalg.norm(y, axis=0)
    scale = np.where(size > 1e-9 * size.max(), size, 1.0)
    y = np.where(size > 1e-9 * size.max(), y / scale, 0.0)
    independent = _independent_columns(y)
    coefficients, *_ = scipy.linalg.lstsq(y[:, independent], y)
    matrix = coefficients * scale[None] / scale[independent, None]
    matrix[np.abs(matrix) < 1e-9] = 0.0
    matrix[:, independent] = np.eye(len(independent))
    names = tuple(_name(robot, row, k) for row, k in zip(matrix, independent, strict=True))
    return BaseParameters(
        matrix=torch.as_tensor(matrix),
        rank=len(independent),
        names=names,
        independent=tuple(int(k) for k in independent),
    )


def _independent_columns(y: np.ndarray, tolerance: float = 1e-9) -> list[int]:
    """Columns independent of those after them: Gram-Schmidt from the last body inward."""
    r = scipy.linalg.qr(y, mode="r")[0]
    basis = np.zeros((r.shape[0], 0))
    kept: list[int] = []
    for k in reversed(range(r.shape[1])):
        column = r[:, k]
        rest = column - basis @ (basis.T @ column)
        rest = rest - basis @ (basis.T @ rest)
        norm = np.linalg.norm(rest)
        if norm > tolerance * max(1.0, float(np.linalg.norm(column))):
            basis = np.column_stack((basis, rest / norm))
            kept.append(k)
    return kept[::-1]


def _name(robot: Robot, row: np.ndarray, leader: int) -> str:
    terms = [_term(robot, leader, 1.0)]
    for k in np.flatnonzero(row):
        if k != leader:
            terms.append(_term(robot, int(k), float(row[k])))
    return " ".join(terms).removeprefix("+ ")


def _term(robot: Robot, k: int, value: float) -> str:
    symbol = f"{PARAMETERS[k % 10]}[{robot.body_names[k // 10]}]"
    size = "" if abs(abs(value) - 1) < 1e-9 else f"{abs(value):.6g} "
    return f"{'-' if value < 0 else '+'} {size}{symbol}"
