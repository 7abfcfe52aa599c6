"""Base parameters (Gautier 1991) that are zero: within their uncertainty, or up to rounding.

`with_zeros` sets to zero what a fit cannot tell from zero, if that shortens the description:
leaving out one parameter saves ½ log(EFFECTIVE_SAMPLES) nats and costs half of what the misfit
rises by. `lean_bodies` makes rounding errors (1e-17 in the place of zero) exact zeros, so that
programs need not multiply by them.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

import kinematics
from discover.judgement.thresholds import threshold
from discover.laws.contract import EFFECTIVE_SAMPLES
from discover.laws.rigid_body.fit import Fit
from kinematics import Robot

_ZERO = threshold("fit.zero_parameter")
_NOTHING = 1e-13  # of the joint forces: about what least squares leave of a zero
_STATES = 40


def with_zeros(fitted: Fit) -> tuple[Fit, int]:
    """The fit with as many base parameters at zero as shorten it, and their number.

    The other parameters change as their covariance with these requires.
    """
    k = fitted.family.basis.shape[1]
    base = kinematics.base_parameters(fitted.family.robot)
    rows = torch.as_tensor(base.matrix, dtype=torch.float64) @ fitted.family.basis
    wide = torch.nn.functional.pad(rows, (0, len(fitted.theta) - k))
    value = wide @ fitted.theta
    error = torch.einsum("ik,kl,il->i", wide, fitted.covariance, wide).clamp_min(0).sqrt()
    small = [i for i in range(len(value)) if value[i].abs() <= _ZERO * error[i]]
    small.sort(key=lambda i: float(value[i].abs() / error[i].clamp_min(1e-300)))
    best, dropped = fitted, 0
    for count in range(len(small), 0, -1):
        constrained = _constrained(fitted, wide[small[:count]])
        if constrained is not None and constrained[1] < count * math.log(EFFECTIVE_SAMPLES):
            best, dropped = constrained[0], count
            break
    return best, dropped


def _constrained(fitted: Fit, rows: Tensor) -> tuple[Fit, float] | None:
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


def lean_bodies(robot: Robot) -> Robot:
    """A robot with the dynamics of ``robot`` and exact zeros for parameters of no effect.

    The remaining base parameters are carried by as few inertial parameters as possible; where all
    have an effect, ``robot`` itself.
    """
    base = kinematics.base_parameters(robot)
    columns = list(base.independent)
    states = kinematics.random_state(robot, _STATES, seed=1)
    contribution = kinematics.regressor(robot, *states).flatten(0, -2)[:, columns]
    value = base.matrix @ robot.pi.flatten()
    size = contribution.norm(dim=0) * value.abs()
    kept = size > _NOTHING * (contribution @ value).norm()
    if bool(kept.all()):
        return robot
    pi = torch.zeros_like(robot.pi).flatten()
    pi[columns] = torch.where(kept, value, 0.0)
    return robot.replace(pi=pi.reshape(-1, 10))
