"""The identified parameters, named, with standard errors, beside those of the description."""

from __future__ import annotations

from typing import Any

import torch

import kinematics
from discover.laws.fit import Fit
from kinematics import Robot


def parameter_table(fitted: Fit, described: Robot) -> list[dict[str, Any]]:
    """One row a base parameter, then one a term: name, value, standard_error, description."""
    base = kinematics.base_parameters(fitted.family.robot)
    matrix = torch.as_tensor(base.matrix, dtype=torch.float64)
    V, k = fitted.family.basis, fitted.family.basis.shape[1]
    value = matrix @ (V @ fitted.theta[:k])
    spread = matrix @ V
    error = torch.einsum("ik,kl,il->i", spread, fitted.covariance[:k, :k], spread).clamp_min(0)
    known = matrix @ described.pi.to(torch.float64).flatten()
    rows = [
        {
            "name": name,
            "value": float(value[i]),
            "standard_error": float(error[i].sqrt()),
            "description": float(known[i]),
        }
        for i, name in enumerate(base.names)
    ]
    for i, term in enumerate(fitted.family.terms):
        stated = None
        if term.joint_term is not None:
            stated = float(getattr(described, term.joint_term)[term.joint])
        rows.append(
            {
                "name": term.name,
                "value": float(fitted.theta[k + i]),
                "standard_error": float(fitted.covariance[k + i, k + i].clamp_min(0).sqrt()),
                "description": stated,
            }
        )
    return rows
