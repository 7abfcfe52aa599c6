"""Bodies fitted together with what they turn by, in place of sine and cosine.

The two are functions with parameters, flexible ones or formulas. The slopes of the answer with
these are -H⁻¹ ∂(left side)/∂s_j · ∂s(q_j), where the left side is at most of second degree in the
sine and the cosine of a joint, so that a central difference is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.laws.extensions.surrogate_trigonometry import (
    ANGLE,
    Columns,
    SurrogateTrigonometry,
    columns_at,
    identifiable,
    left_side,
)
from discover.laws.rigid_body.family import Design
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.nonlinearities.io_fit import Function
from discover.numerics import minimise_squares, predicted_error, solve_or_zero

_GENERIC = SurrogateTrigonometry(ANGLE, 1 - ANGLE**2 / 3)


@dataclass(frozen=True)
class Slopes:
    """d(residual) / d(bodies and terms) (n, nv, p), / d(value of the sine of joint j, and of the
    cosine), each (n, nv, nv), and / d(parameters of the two functions), each (n, nv, size)."""

    bodies: Tensor
    pushed: list[Tensor]
    functions: list[Tensor]


class TrigonometryProblem:
    """The least-squares problem of bodies that turn by `functions` (sine, cosine) in some `parts`
    of the equations of motion, on one set of answers; x = (bodies and terms, sine, cosine)."""

    def __init__(
        self,
        fitted: Fit,
        answers: Answers,
        parts: Sequence[str],
        composites: bool,
        functions: tuple[Function, Function],
    ):
        old = fitted.family
        # Bodies that do not turn on a circle show more of themselves.
        basis = identifiable(
            old.robot, replace(_GENERIC, composites=composites, parts=tuple(parts))
        )
        self.family = replace(old, basis=basis)
        self.scale, self.answers = fitted.scale, answers
        self.parts, self.composites, self.functions = tuple(parts), composites, functions
        q, v = answers.q, answers.v
        self._plain = columns_at(old.robot, q.sin(), q.cos(), v, basis, composites=False)

    @property
    def split(self) -> list[int]:
        """How many parameters the bodies with their terms and the two functions have."""
        return [self.family.size, *(f.size for f in self.functions)]

    def start(self, fitted: Fit, values: tuple[Tensor, Tensor]) -> Tensor:
        """x of a fit's bodies and of parameters of the functions."""
        k = fitted.family.basis.shape[1]
        bodies = self.family.basis.T @ (fitted.family.basis @ fitted.theta[:k])
        return torch.cat([bodies, fitted.theta[k:], *values])

    def turned(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What stands for sine and cosine at the answers, each (n, nv)."""
        _, *c = x.split(self.split)
        sine, cosine = (f(self.answers.q, k) for f, k in zip(self.functions, c, strict=True))
        return sine, cosine

    def _design(self, turned: tuple[Tensor, Tensor]) -> Design:
        made = self._columns(turned, self.family.basis)
        x = self.answers
        rigid = Design(bias_columns=made.bias, inertia_columns=made.inertia, rest_columns=made.rest)
        return self.family.design(rigid, x.q, x.v, x.tau)

    def _columns(self, turned: tuple[Tensor, Tensor], basis: Tensor) -> Columns:
        x, robot = self.answers, self.family.robot
        made = columns_at(robot, *turned, x.v, basis, self.composites)
        return self._plain.with_parts(self.parts, made)

    def residual(self, x: Tensor) -> Tensor:
        """(a_model - a_law) in units of the scale (n, nv)."""
        theta = x[: self.family.size]
        a = self._design(self.turned(x)).acceleration(theta, self.answers.tau)
        return (self.answers.a - a) / self.scale

    def at(self, x: Tensor) -> Slopes:
        """The slopes of the residual at x."""
        theta, *c = x.split(self.split)
        turned = self.turned(x)
        design = self._design(turned)
        a = torch.nan_to_num(design.acceleration(theta, self.answers.tau))
        nv, inertia = a.shape[-1], design.inertia(theta)
        columns = torch.cat([design.columns(a), *self._pushed(theta, turned, a)], -1)
        made = torch.nan_to_num(solve_or_zero(inertia, columns) / self.scale[:, None])
        bodies, *pushed = made.split([self.family.size, nv, nv], -1)
        functions = [
            push @ function.slopes(self.answers.q, k)
            for function, k, push in zip(self.functions, c, pushed, strict=True)
        ]
        return Slopes(bodies, pushed, functions)

    def jacobian(self, x: Tensor) -> Tensor:
        """d(residual) / d(all parameters) (n, nv, p)."""
        linearised = self.at(x)
        return torch.cat([linearised.bodies, *linearised.functions], -1)

    def _pushed(
        self, theta: Tensor, turned: tuple[Tensor, Tensor], a: Tensor
    ) -> tuple[Tensor, Tensor]:
        """d(left side) / d(sine of joint j), and of the cosine, each (n, nv, nv).

        By a central difference, which is exact at degree two; the left side runs in compiled
        programs, which torch.func cannot follow.
        """
        x, nv = self.answers, a.shape[-1]
        k = self.family.basis.shape[1]
        step = torch.eye(nv, dtype=a.dtype).unsqueeze(1)  # (joint, 1, nv)
        step = torch.stack([step, -step])  # (sign, joint, 1, nv)
        sine, cosine = turned
        moved = [
            (sine + step, cosine.expand_as(sine + step)),
            (sine.expand_as(cosine + step), cosine + step),
        ]
        out = []
        for both in moved:
            v, w = x.v.expand_as(both[0]), a.expand_as(both[0])
            pi = self.family.basis @ theta[:k]
            made = left_side(self.family.robot, both, v, w, pi, self.parts, self.composites)
            out.append((0.5 * (made[0] - made[1])).permute(1, 2, 0))
        return out[0], out[1]

    def solve(self, x: Tensor, evaluations: int) -> Tensor:
        """Least squares from x."""
        return minimise_squares(self.residual, self.jacobian, x, evaluations)

    def promises(self, x: Tensor) -> float:
        """The error that one step from x promises to leave."""
        return predicted_error(self.residual, self.jacobian, x)
