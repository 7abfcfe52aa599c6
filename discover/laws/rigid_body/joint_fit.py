"""Fitting bodies, coefficients and the constants inside shapes together.

    H(θ) a + b(θ) + Σ c_k ψ_k(q, v, a, tau; θ, κ) = tau

θ are the bodies' parameters and the coefficients of the terms already in the family, c those of the
columns ψ, κ their constants. What is minimised is the error in *acceleration*: the law is solved
for a at every state, so that a tautology (0 = 0, which any answers fulfil) predicts nothing and is
no solution. The slope of that error is J⁻¹ ∂(left side), J = ∂(left side)/∂a, at the law's own a.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.laws.extensions.terms import Term, forces
from discover.laws.rigid_body.family import Design, Family
from discover.laws.rigid_body.fit import Fit, design_of, evaluation_point
from discover.laws.search.variables import Mechanics, needs_mechanics
from discover.numerics import (
    Descent,
    batched_jacobian,
    descend,
    differences,
    huber_weights,
    levenberg_step,
    newton,
    robust_cost,
    solve_or_nan,
    unscaled_covariance,
)

Columns = Callable[[Mechanics, Tensor, Tensor], Tensor]  # (mechanics, a, κ) -> (n, nv, m)
_STEP = 1e-6


@dataclass(frozen=True, kw_only=True)
class Added:
    """Columns beside a family: how many, what they depend on.

    columns  (mechanics, a, κ) -> (n, nv, size); (k, n, nv, size) of k bodies' mechanics at once
    of_bodies, of_acceleration   whether they change with θ, with a
    affine   whether they are at most linear in a
    """

    columns: Columns
    size: int
    of_bodies: bool
    of_acceleration: bool
    affine: bool


@dataclass(frozen=True, kw_only=True)
class Joined:
    """A law of some θ, c, κ: its accelerations a (n, nv), J (n, nv, nv), the residual (n, nv)."""

    theta: Tensor
    coefficients: Tensor
    constants: Tensor
    a: Tensor
    J: Tensor
    residual: Tensor

    @functools.cached_property
    def cost(self) -> float:
        """What a fit minimises: the residual's robust mean square."""
        return robust_cost(self.residual)

    @property
    def error(self) -> float:
        """Root mean square of the residual; infinite where it is not finite."""
        r = self.residual
        return float(r.square().mean().sqrt()) if bool(torch.isfinite(r).all()) else float("inf")


class JointProblem:
    """The least-squares problem of one family with added columns, on one set of answers."""

    def __init__(self, fitted: Fit, answers: Answers, added: Added):
        self.family: Family = fitted.family
        self.scale, self.added = fitted.scale, added
        q, v = evaluation_point(answers, self.family.robot, fitted.step)
        self.answers = Answers(q=q, v=v, tau=answers.tau, a=answers.a)
        self.design: Design = design_of(self.family, answers, fitted.step)

    def accelerations(self, theta: Tensor, c: Tensor, kappa: Tensor) -> tuple[Tensor, Tensor]:
        """The law's accelerations (n, nv), NaN where it has none, and J (n, nv, nv) there."""
        mechanics = self.design.mechanics(theta)
        H, tau = self.design.inertia(theta), self.answers.tau
        b = self.design.bias_columns @ theta
        columns, zero = self.added.columns, torch.zeros_like(tau)
        if not self.added.of_acceleration:
            rest = tau - b - columns(mechanics, zero, kappa) @ c
            return solve_or_nan(H, rest), H
        if self.added.affine:
            still = columns(mechanics, zero, kappa) @ c
            J = H.clone()
            for j in range(tau.shape[-1]):
                unit = zero.clone()
                unit[..., j] = 1.0
                J[..., j] += columns(mechanics, unit, kappa) @ c - still
            return solve_or_nan(J, tau - b - still), J

        def left(a: Tensor) -> Tensor:
            own = columns(mechanics, a, kappa) @ c
            return (H @ a.unsqueeze(-1)).squeeze(-1) + b + own - tau

        a = newton(left, solve_or_nan(H, tau - b))
        return a, batched_jacobian(left, torch.nan_to_num(a))

    def slopes(self, at: Joined) -> Tensor:
        """d(residual) / d(θ, c, κ): (n, nv, parameters)."""
        theta, c, kappa, columns = at.theta, at.coefficients, at.constants, self.added.columns
        a = torch.nan_to_num(at.a)
        mechanics = self.design.mechanics(theta)
        parts = [self.design.columns(a), columns(mechanics, a, kappa)]
        if self.added.of_bodies and len(c):
            k = self.design.rest_columns.shape[-1]
            size = _STEP * float(theta[:k].abs().max())
            ahead, behind = (
                columns(self.design.moved(mechanics, s * size), a, kappa) @ c for s in (1.0, -1.0)
            )
            parts[0] = parts[0].clone()
            parts[0][..., :k] += ((ahead - behind) / (2 * size)).movedim(0, -1)
        constants = differences(lambda x: columns(mechanics, a, x) @ c, kappa)
        parts += [x.unsqueeze(-1) for x in constants]
        rows, info = torch.linalg.solve_ex(at.J, torch.cat(parts, -1))
        rows = torch.where((info != 0)[:, None, None], 0.0, rows)
        return torch.nan_to_num(rows) / self.scale[:, None]

    def at(self, theta: Tensor, c: Tensor, kappa: Tensor) -> Joined:
        """The law of these parameters."""
        a, J = self.accelerations(theta, c, kappa)
        r = (self.answers.a - a) / self.scale
        return Joined(theta=theta, coefficients=c, constants=kappa, a=a, J=J, residual=r)

    def solve(
        self,
        theta: Tensor,
        c: Tensor,
        kappa: Tensor,
        steps: int = 12,
        damping: float = 0.0,
        least: float = 0.0,
    ) -> Joined:
        """The minimum of the robust cost near (θ, c, κ); `damping` and `least` as of `Descent`."""
        sizes = [len(theta), len(c), len(kappa)]

        def linearise(now: Joined) -> Callable[[float], Joined]:
            w = huber_weights(now.residual)
            J = (self.slopes(now) * w.unsqueeze(-1)).flatten(0, 1)
            step = levenberg_step(J.numpy(), (now.residual * w).flatten().numpy())

            def trial(damping: float) -> Joined:
                old = (now.theta, now.coefficients, now.constants)
                moves = torch.from_numpy(step(damping)).split(sizes)
                return self.at(*(x + s for x, s in zip(old, moves, strict=True)))

            return trial

        options = Descent(steps=steps, trials=7, damping=max(damping, least), least=least)
        return descend(self.at(theta, c, kappa), linearise, options)


def fit_implicit(family: Family, answers: Answers, start: Tensor, like: Fit) -> Fit:
    """The fit of a family with terms that are not linear in a, from `start`; units as in `like`."""
    k = family.basis.shape[1]
    order = sorted(range(len(family.terms)), key=lambda i: _implicit(family.terms[i]))
    plain = [i for i in order if not _implicit(family.terms[i])]
    others = [i for i in order if _implicit(family.terms[i])]
    base = replace(
        like,
        family=family.with_terms([family.terms[i] for i in plain]),
        theta=torch.cat([start[:k], start[k:][plain]]),
    )
    terms = [family.terms[i] for i in others]
    q, v = evaluation_point(answers, family.robot, like.step)

    def columns(mechanics: Mechanics, a: Tensor, _: Tensor) -> Tensor:
        return forces(terms, q, v, a, answers.tau, family.bodies, mechanics)

    added = Added(
        columns=columns,
        size=len(terms),
        of_bodies=any(needs_mechanics(t.names) for t in terms),
        of_acceleration=True,
        affine=False,
    )
    problem = JointProblem(base, answers, added)
    none = start.new_zeros(0)
    joined = problem.solve(base.theta, start[k:][others], none)
    theta = start.clone()
    theta[:k] = joined.theta[:k]
    theta[[k + i for i in plain]] = joined.theta[k:]
    theta[[k + i for i in others]] = joined.coefficients
    J = problem.slopes(joined).flatten(0, 1)
    columns_in_order = [*range(k), *(k + i for i in plain), *(k + i for i in others)]
    covariance = start.new_zeros(len(start), len(start))
    r = torch.nan_to_num(joined.residual)
    variance = r.square().sum() / max(1, r.numel() - len(start))
    found = variance * unscaled_covariance(J, 1e-6)
    covariance[torch.tensor(columns_in_order)[:, None], torch.tensor(columns_in_order)] = found
    reference = family.member(theta) if added.of_bodies else family.reference
    return replace(
        like,
        family=family.with_terms(family.terms, reference),
        theta=theta,
        covariance=covariance,
        error=joined.error,
    )


def _implicit(term: Term) -> bool:
    return term.nonlinear_in_acceleration
