"""Parameters that a fit cannot tell from zero are zero in the law: shorter, and as true.

Which base parameters (Gautier 1991) they are is decided by description length: leaving one out
saves half a logarithm of the effective samples and costs half of what the misfit rises by.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

import kinematics
from discover.laws.fit import Fit
from discover.laws.selection import EFFECTIVE_SAMPLES

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
