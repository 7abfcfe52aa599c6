"""The identified parameters, named, with standard errors, beside those of the description."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import kinematics
from discover.blackbox.region import Region
from discover.blackbox.sampling import sample
from discover.laws.rigid_body.fit import Fit
from kinematics import Robot

_ALIKE = 1e-9  # relative misfit below which rotors are moved as bodies are
_STATES = 40


def parameter_table(fitted: Fit, described: Robot) -> list[dict[str, Any]]:
    """One row a base parameter, then one a term: name, value, standard_error, description."""
    family = fitted.family
    base = kinematics.base_parameters(family.robot)
    matrix = torch.as_tensor(base.matrix, dtype=torch.float64)
    V, k = family.basis, family.basis.shape[1]
    value = matrix @ (V @ fitted.theta[:k])
    spread = matrix @ V
    error = torch.einsum("ik,kl,il->i", spread, fitted.covariance[:k, :k], spread).clamp_min(0)
    bodies, stated = _as_the_family_states_it(fitted, described)
    known = matrix @ bodies
    rows = [
        {
            "name": name,
            "value": float(value[i]),
            "standard_error": float(error[i].sqrt()),
            "description": float(known[i]),
        }
        for i, name in enumerate(base.names)
    ]
    for i, term in enumerate(family.terms):
        rows.append(
            {
                "name": term.name,
                "value": float(fitted.theta[k + i]),
                "standard_error": float(fitted.covariance[k + i, k + i].clamp_min(0).sqrt()),
                "description": stated[i],
            }
        )
    return rows


def _as_the_family_states_it(fitted: Fit, described: Robot) -> tuple[Tensor, list[float | None]]:
    """The description's bodies (10 nb,) and its value for each term of the family.

    A rotor that turns with its joint's first body (any rotor at the base of a tree) moves the robot
    as this body's own inertia would; a family has no term for it then, and it is counted with the
    bodies."""
    family = fitted.family
    bodies = described.pi.to(torch.float64).flatten()
    stated = [
        None if t.joint_term is None else float(getattr(described, t.joint_term)[t.joint])
        for t in family.terms
    ]
    rotors = {t.joint: i for i, t in enumerate(family.terms) if t.joint_term == "armature"}
    others = [j for j in described.armature.nonzero().flatten().tolist() if j not in rotors]
    if not others:
        return bodies, stated
    batch = sample(Region(q=1.0, v=1.0, tau=1.0), described, _STATES, 0)
    a = batch.tau  # any accelerations will do
    turning = torch.diag_embed(a)
    Y = kinematics.regressor(family.robot, batch.q, batch.v, a) @ family.basis
    columns = torch.cat([Y, turning[..., list(rotors)]], -1).flatten(0, 1)
    torques = turning[..., others].flatten(0, 1)
    shares = torch.linalg.lstsq(columns, torques, driver="gelsd").solution
    alike = (columns @ shares - torques).norm(dim=0) < _ALIKE * torques.norm(dim=0)
    armature = described.armature[others].to(torch.float64) * alike
    rank = family.basis.shape[1]
    bodies = bodies + family.basis @ shares[:rank] @ armature
    for i, share in zip(rotors.values(), shares[rank:] @ armature, strict=True):
        stated[i] = (stated[i] or 0.0) + float(share)
    return bodies, stated
