"""A law's residual in acceleration units, beside what the law already holds.

Whitened by J⁻¹ at the law's own accelerations, J = ∂(left side)/∂a: a force that cancels itself
moves nothing there, so that no tautology scores.

Fitting a family to a model's answers, in acceleration units.

The residual that counts is what a user of the law would see, a_model - a_law, each joint in units
of its own spread. Its derivative is -H⁻¹ Y(q, v, a_law): a regression on inverse dynamics with rows
weighted by H⁻¹. Evaluated at the *law's* accelerations it is free of the bias that noisy answers
cause in a regressor (errors in variables).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from discover import numerics
from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold
from discover.laws.extensions.io_nonlinearity import bodies_input
from discover.laws.extensions.terms import Term, forces
from discover.laws.rigid_body.family import Design, Family, evaluation_point, step_response
from discover.laws.rigid_body.step_map import StepMap
from discover.laws.search.variables import Mechanics
from discover.numerics import (
    Descent,
    Iterate,
    batched_jacobian,
    minimise,
    robust_cost,
    solve_or_nan,
    solve_or_zero,
)
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
    q, v = evaluation_point(answers, family.robot, fitted.step)
    design = design_of(family, answers, fitted.step)
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

        J = batched_jacobian(left, a)
        k = family.basis.shape[1]
        own = forces(family.terms, q, v, a, answers.tau, family.bodies)
        columns = torch.cat([design.columns(a)[..., :k], own], -1)
    else:
        columns = design.columns(a)
    eye = torch.eye(J.shape[-1], dtype=J.dtype).expand_as(J)
    inverse = torch.where(good[:, None, None], solve_or_zero(J, eye), 0.0) / scale[:, None]
    known = numerics.finite_rows(inverse @ columns)
    n, nv, p = known.shape
    U = numerics.orthonormal(known.reshape(n * nv, p))
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


# Nearly linear: a full step fails far from the minimum only, where a small damping fails as well.
_DIRECT = Descent(steps=12, onset=1e-3)
# Through an integrator the derivative is that of the middle of a step, which is not quite its own.
_THROUGH_STEPS = replace(_DIRECT, steps=24, trials=4, solved=1e-26)
_NEAR = threshold("fit.near_start")
_HOPELESS = threshold("fit.hopeless_start")


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A member of a family and how it came out.

    theta (p,), covariance (p, p) from the residual's own variance; `error` is the residual's
    root mean square in units of `scale` (nv,), the spread of each joint's acceleration.
    """

    family: Family
    theta: Tensor
    covariance: Tensor
    error: float
    scale: Tensor
    step: StepMap | None = None

    def predict(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        """What the model would answer if it were this law (n, nv)."""
        return self.family.effective_acceleration(self.theta, q, v, tau, self.step)

    def acceleration(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        """The law's accelerations (n, nv) at states: those of a model of accelerations, and what
        the steps of a model of next states are made of."""
        return self.family.stepping(None).acceleration(self.theta, q, v, tau)

    @property
    def _by_velocity(self) -> bool:
        return self.step is not None and self.step.scheme == "implicit_velocity"

    def residual(self, answers: Answers) -> Tensor:
        """a_model - a_law in units of `scale` (n, nv)."""
        implicit = any(t.nonlinear_in_acceleration for t in self.family.terms)
        direct = not implicit and not self.family.nonlinearities
        direct = direct and (self.step is None or self.step.direct) and not self._by_velocity
        if answers in _RIGID and direct:
            design = design_of(self.family, answers, self.step)
            return (answers.a - design.acceleration(self.theta, answers.tau)) / self.scale
        return (answers.a - self.predict(answers.q, answers.v, answers.tau)) / self.scale

    def bare(self, answers: Answers) -> tuple[Fit, Answers]:
        """The law without input and output functions, and the queries as the bodies see them.

        Without such functions, both are unchanged.
        """
        nonlinearities = self.family.nonlinearities
        if not nonlinearities:
            return self, answers
        inner = replace(self, family=self.family.bare)
        q, v, tau = bodies_input(nonlinearities, answers.q, answers.v, answers.tau)
        return inner, Answers(q=q, v=v, tau=tau, a=inner.predict(q, v, tau))

    def standardised_error(self, answers: Answers) -> float:
        """Root mean square of the residual; infinite where the law or the model is not finite."""
        r = self.residual(answers)
        return float(r.square().mean().sqrt()) if bool(torch.isfinite(r).all()) else float("inf")


def spread(answers: Answers) -> Tensor:
    """The root mean square of each joint's acceleration (nv,), the unit of residuals."""
    scale = answers.a.square().mean(0).sqrt()
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def fit(
    family: Family,
    answers: Answers,
    *,
    start: Tensor | None = None,
    scale: Tensor | None = None,
    step: StepMap | None = None,
    alone: bool = False,
) -> Fit:
    """The member of `family` that comes closest to the answers, in robust least squares.

    Descends from `start`, where given, and from weighted inverse dynamics, and keeps the better.
    The second start is left out where it would end where the first does: if the residual of the
    first is small already, it has not pulled the bodies away; and if the second begins far above
    where the first has ended. With `alone` it is always left out.

    start (p,), scale (nv,) the unit of the residual of each joint (its spread by default);
    step of a model that answers with next states.
    """
    scale = spread(answers) if scale is None else scale
    problem = _Problem(family, answers, scale, step)
    minima = [] if start is None else [problem.minimise(start)]
    if not minima or not (alone or problem.near(minima[0].x)):
        second = problem.inverse_dynamics(start)
        if not minima or robust_cost(problem.residual(second)) < _HOPELESS * minima[0].cost:
            minima.append(problem.minimise(second))
    best = min(minima, key=lambda m: m.cost)
    theta, r = best.x, best.residual
    error = float(r.square().mean().sqrt()) if bool(torch.isfinite(r).all()) else float("inf")
    return Fit(
        family=family,
        theta=theta,
        covariance=problem.covariance(theta, r),
        error=error,
        scale=scale,
        step=step,
    )


_RIGID: WeakKeyDictionary[Answers, dict[tuple, Design]] = WeakKeyDictionary()


def design_of(family: Family, answers: Answers, step: StepMap | None = None) -> Design:
    """The family's left side at the answers, linear in its parameters.

    Its rigid-body part does not change with the terms: it is made once for a set of answers.
    """
    q, v = evaluation_point(answers, family.robot, step)
    kept = _RIGID.setdefault(answers, {})
    key = (id(family.basis), family.trigonometry, step is None or step.starts, step and step.dt)
    if key not in kept:
        kept[key] = family.rigid_design(q, v)
    return family.stepping(step).design(kept[key], q, v, answers.tau)


class _Problem:
    """The least-squares problem of one family on one set of answers."""

    def __init__(
        self,
        family: Family,
        answers: Answers,
        scale: Tensor,
        step: StepMap | None,
    ):
        self.family, self.answers, self.scale, self.step = family, answers, scale, step
        self.design = design_of(family, answers, step)
        self.direct = step is None or (step.direct and step.scheme != "implicit_velocity")
        self.descent = _DIRECT if self.direct else _THROUGH_STEPS
        self._inertia: tuple[Tensor, Tensor] | None = None

    def inertia(self, theta: Tensor) -> Tensor:
        """H (n, nv, nv); the last one is kept, for it takes as long as the rest of a step."""
        if self._inertia is None or self._inertia[0] is not theta:
            self._inertia = theta, self.design.inertia(theta)
        return self._inertia[1]

    def residual(self, theta: Tensor) -> Tensor:
        x = self.answers
        if self.direct:
            predicted = solve_or_nan(self.inertia(theta), x.tau - self.design.bias_columns @ theta)
        else:
            predicted = self.family.effective_acceleration(theta, x.q, x.v, x.tau, self.step)
        return (x.a - predicted) / self.scale

    def near(self, theta: Tensor) -> bool:
        """Whether what theta leaves over is small."""
        size = float(self.residual(theta).square().mean().sqrt())
        return size < _NEAR

    def whitened(self, theta: Tensor, a: Tensor) -> Tensor:
        """H⁻¹ · columns at accelerations a, in units of the scale: (n, nv, p)."""
        return solve_or_zero(self.inertia(theta), self.design.columns(a)) / self.scale[:, None]

    def inverse_dynamics(self, start: Tensor | None) -> Tensor:
        """tau = columns · theta, first as it stands, then twice with rows weighted by H⁻¹.

        What the answers do not show, such as the mass of a body that no force ever moves, stays as
        the robot's description says: at zero, H could not be inverted.
        """
        x, described = self.answers, self.family.described
        columns = self.design.columns(x.a)
        weight = columns.square().mean((0, 2)).sqrt().clamp_min(1e-300)
        rest = x.tau - columns @ described
        theta = described + numerics.least_squares(
            (columns / weight[:, None]).flatten(0, 1), (rest / weight).flatten()
        )
        for _ in range(2):
            H = self.inertia(theta)
            if not numerics.definite(H):
                if start is None:
                    return theta
                H = self.inertia(start)
            rows = solve_or_zero(H, torch.cat([columns, rest.unsqueeze(-1)], -1))
            rows = rows / self.scale[:, None]
            theta = described + numerics.least_squares(
                rows[..., :-1].flatten(0, 1), rows[..., -1].flatten()
            )
        return theta

    def minimise(self, start: Tensor) -> Iterate:
        """The minimum of the (Huber) residual near `start`."""
        return minimise(self.residual, self.jacobian, start, self.descent)

    def jacobian(self, now: Iterate) -> Tensor:
        """d(residual) / d(theta) (n, nv, p), at the law's own accelerations."""
        J = self.whitened(now.x, self.answers.a - now.residual * self.scale)
        if self.step is None or self.step.starts:
            return J
        response = step_response(self.family.stepping(self.step), now.x, self.answers, self.step)
        response = response * self.scale / self.scale[:, None]
        return response @ J

    def covariance(self, theta: Tensor, r: Tensor) -> Tensor:
        """(JᵀJ)⁺ times the residual variance, directions without information left at zero."""
        p = len(theta)
        if not bool(torch.isfinite(r).all()):
            return torch.full((p, p), float("inf"), dtype=theta.dtype)
        J = self.whitened(theta, self.answers.a - r * self.scale).flatten(0, 1)
        variance = r.square().sum() / max(1, r.numel() - p)
        return variance * numerics.unscaled_covariance(J)
