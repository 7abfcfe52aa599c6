"""A law's residual in acceleration units, beside what the law already holds.

Whitened by J⁻¹ at the law's own accelerations, J = ∂(left side)/∂a: a force that cancels itself
moves nothing there, so that no tautology scores.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from discover.dynamics import Answers
from discover.laws import least_squares
from discover.laws.fit import Fit, design_of, evaluation_point
from discover.laws.newton import slope
from discover.laws.quantities import Mechanics
from discover.laws.terms import Term, forces
from kinematics import Robot


@dataclass(frozen=True)
class Whitened:
    """A law's residual, its slopes and its words, at a set of answers."""

    residual: Tensor  # (n, nv)
    known: Tensor  # (n, nv, p), slopes of what is already in the law, orthonormal
    inverse: Tensor  # (n, nv, nv), J⁻¹ / scale
    q: Tensor
    v: Tensor
    a: Tensor
    tau: Tensor
    mechanics: Mechanics
    theta: Tensor

    @functools.cached_property
    def rest(self) -> Tensor:
        """The residual without what is already in the law (n, nv)."""
        y = self.residual
        return y - self.known @ torch.einsum("nip,ni->p", self.known, y)

    @property
    def beyond_known(self) -> float:
        """The sum of its squares."""
        return float(self.rest.square().sum())

    def evaluate(self, terms: Sequence[Term], robot: Robot) -> Tensor:
        """Columns of terms (n, nv, m) at the law's accelerations."""
        return forces(terms, self.q, self.v, self.a, self.tau, robot, self.mechanics)


def whiten(fitted: Fit, answers: Answers) -> Whitened:
    """The residual of a law and all that is needed to see what explains it."""
    family, scale = fitted.family, fitted.scale
    q, v = evaluation_point(answers, family.robot, fitted.integrator, fitted.dt)
    design = design_of(family, answers, fitted.integrator, fitted.dt)
    r = fitted.residual(answers)
    good = torch.isfinite(r).all(-1)
    r = torch.where(good[:, None], r, 0.0)
    a = answers.a - r * scale
    J = design.inertia(fitted.theta)
    if any(t.nonlinear_in_acceleration for t in family.terms):
        c = fitted.theta[family.basis.shape[1] :]

        def left(x: Tensor) -> Tensor:
            return (design.mechanics(fitted.theta).H @ x.unsqueeze(-1)).squeeze(-1) + forces(
                family.terms, q, v, x, answers.tau, family.bodies
            ) @ c

        J = slope(left, a)
        k = family.basis.shape[1]
        own = forces(family.terms, q, v, a, answers.tau, family.bodies)
        columns = torch.cat([design.columns(a)[..., :k], own], -1)
    else:
        columns = design.columns(a)
    eye = torch.eye(J.shape[-1], dtype=J.dtype).expand_as(J)
    inverse, info = torch.linalg.solve_ex(J, eye)
    inverse = torch.where(((info == 0) & good)[:, None, None], inverse, 0.0) / scale[:, None]
    known = inverse @ columns
    n, nv, p = known.shape
    U = least_squares.orthonormal(known.reshape(n * nv, p))
    return Whitened(
        residual=r,
        known=U.reshape(n, nv, -1),
        inverse=inverse,
        q=q,
        v=v,
        a=a,
        tau=answers.tau,
        mechanics=design.mechanics(fitted.theta),
        theta=fitted.theta,
    )
