"""Parameters that a fit cannot tell from zero are zero in the law: shorter, and as true.

Which base parameters (Gautier 1991) they are is decided by description length: leaving one out
saves half a logarithm of the effective samples and costs half of what the misfit rises by.

Bodies for programs: parameters that a fit found to be zero, up to its rounding, are zero.

A fit returns some bodies of the many that move alike, and what its data say is zero comes out as
1e-17. A program multiplies by such numbers all the same. Here the base parameters (Gautier 1991)
that contribute nothing are dropped, and the rest are carried by as few numbers as there can be;
where all contribute, the bodies stay as they are.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

import kinematics
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.selection import EFFECTIVE_SAMPLES
from kinematics import Robot

_DEVIATIONS = 2.0  # standard errors within which a parameter may be zero


def with_zeros(fitted: Fit) -> tuple[Fit, int]:
    """The fit on the condition that what may be zero is zero, and how many parameters that are.

    The other parameters move as their covariance with those demands.
    """
    k = fitted.family.basis.shape[1]
    base = kinematics.base_parameters(fitted.family.robot)
    rows = torch.as_tensor(base.matrix, dtype=torch.float64) @ fitted.family.basis
    wide = torch.nn.functional.pad(rows, (0, len(fitted.theta) - k))
    value = wide @ fitted.theta
    error = torch.einsum("ik,kl,il->i", wide, fitted.covariance, wide).clamp_min(0).sqrt()
    small = [i for i in range(len(value)) if value[i].abs() <= _DEVIATIONS * error[i]]
    small.sort(key=lambda i: float(value[i].abs() / error[i].clamp_min(1e-300)))
    best, dropped = fitted, 0
    for count in range(len(small), 0, -1):
        held = _held(fitted, wide[small[:count]])
        if held is not None and held[1] < count * math.log(EFFECTIVE_SAMPLES):
            best, dropped = held[0], count
            break
    return best, dropped


def _held(fitted: Fit, rows: Tensor) -> tuple[Fit, float] | None:
    """(the fit with `rows` @ theta = 0, the rise of its misfit in variances)."""
    S = fitted.covariance
    joint = rows @ S @ rows.T
    unit = joint.diagonal().clamp_min(1e-300).sqrt()
    scaled, status = torch.linalg.inv_ex(joint / unit / unit[:, None])
    if int(status) != 0 or not bool(torch.isfinite(scaled).all()):
        return None
    inverse = scaled / unit / unit[:, None]
    off = rows @ fitted.theta
    gain = S @ rows.T @ inverse
    rise = float(off @ inverse @ off)
    theta = fitted.theta - gain @ off
    return replace(fitted, theta=theta, covariance=S - gain @ rows @ S), rise


NOTHING = 1e-13  # of the joint forces: about what least squares leave of a zero
STATES = 40


def lean_bodies(robot: Robot) -> Robot:
    """A robot that moves as ``robot`` does, with exact zeros for what contributes nothing."""
    base = kinematics.base_parameters(robot)
    columns = list(base.independent)
    states = kinematics.random_state(robot, STATES, seed=1)
    contribution = kinematics.regressor(robot, *states).flatten(0, -2)[:, columns]
    value = base.matrix @ robot.pi.flatten()
    size = contribution.norm(dim=0) * value.abs()
    kept = size > NOTHING * (contribution @ value).norm()
    if bool(kept.all()):
        return robot
    pi = torch.zeros_like(robot.pi).flatten()
    pi[columns] = torch.where(kept, value, 0.0)
    return robot.replace(pi=pi.reshape(-1, 10))
