"""Limits that are functions of another quantity: a torque whose limit falls with speed.

An input or output x is itself between its limits. Where they act, the answers show the limits
themselves: the force that the bodies must have felt, or the answer. So bodies are fitted first to
answers that no limit has changed, by least trimmed squares (Rousseeuw 1984), and the limits start
from what they make of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import sympy
import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.tabulated import Basis
from discover.laws.rigid_body.fit import Fit, design_of
from discover.laws.search.nonlinearities.io_fit import (
    Function,
    Group,
    NonlinearityKind,
    NonlinearityProblem,
)
from discover.laws.search.nonlinearities.io_functions import Splined
from discover.laws.search.nonlinearities.io_pairs import Composed
from discover.laws.search.selection import refit
from discover.numerics import plain_least_squares

# What the limits of x are, from plain to less plain: ± L(z); L(z) in the direction of x and L(-z)
# against it, as a motor's that falls with the speed that it drives; one function for each side.
SIDES = ("alike", "driving", "two")
_TRIMMED = threshold("search.limit_trimmed_share")
_STEPS = whole("search.limit_trimming_steps")
_OUTSIDE = threshold("search.limit_outlier")
_FEWEST = whole("search.limit_fewest_answers")
_UNSEEN = 2.0  # times the largest x: a limit there does nothing
_ROUNDING = 1e-7  # of the spread: what differs by less is not limited


@dataclass(frozen=True)
class Limited(Composed):
    """x = z1 between limits that are functions of z2, of one of the `SIDES`."""

    sides: str
    functions: tuple[Function, ...]

    @property
    def factors(self) -> tuple[Function, ...]:
        """The limit, or the upper and the lower one."""
        return self.functions

    def with_factor(self, which: int, function: Function) -> Limited:
        """The same with another limit."""
        functions = (function if i == which else f for i, f in enumerate(self.functions))
        return replace(self, functions=tuple(functions))

    def variable(self, z: Tensor) -> Tensor:
        """What the limits are functions of (…), at z (…, 2)."""
        return z[..., 1] * z[..., 0].sign() if self.sides == "driving" else z[..., 1]

    def _ends(self, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The upper and the lower limit; limits of one function meet at zero."""
        u = self.variable(z)
        at = [f(u, k) for f, k in zip(self.functions, self.split(c), strict=True)]
        if len(at) > 1:
            return at[0], at[1]
        size = at[0].clamp_min(0.0)
        return size, -size

    def __call__(self, z: Tensor, c: Tensor) -> Tensor:
        """The value at z (…, 2)."""
        upper, lower = self._ends(z, c)
        return z[..., 0].minimum(upper).maximum(lower)

    def part(self, which: int, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The variable of one limit, and 1 or -1 where it acts, else 0."""
        upper, lower = self._ends(z, c)
        x, u = z[..., 0], self.variable(z)
        above = ((x > upper) & (upper > lower)).to(x)
        below = (x.minimum(upper) < lower).to(x)
        if len(self.functions) > 1:
            return u, (above if which == 0 else below)
        return u, torch.where(upper > 0, above - below, 0.0)

    def scaled(self, c: Tensor, factor: float) -> Tensor:
        """Unchanged: between its limits the function is x itself, and has no other scale."""
        return c

    def combined(
        self, z: tuple[sympy.Expr, sympy.Expr], write: Callable[[int, sympy.Expr], sympy.Expr]
    ) -> sympy.Expr:
        """As minimum and maximum."""
        x, u = z
        if len(self.functions) > 1:
            return sympy.Max(write(1, u), sympy.Min(write(0, u), x))
        size = write(0, sympy.sign(x) * u if self.sides == "driving" else u)
        return sympy.sign(x) * sympy.Min(sympy.Abs(x), sympy.Max(0, size))


def unlimited_bodies(base: Fit, answers: Answers, kind: NonlinearityKind) -> Fit:
    """`base` fitted to the answers that no limit has changed, by least trimmed squares from those
    of the smallest input or output."""
    x = answers.tau if kind.place == "tau" else answers.a
    size = (x / x.square().mean(0).sqrt().clamp_min(1e-300)).abs().amax(-1)
    nv, n = base.family.robot.nv, len(answers)
    count = min(n, max(round(_TRIMMED * n), 4 * base.family.size // nv))
    for _ in range(_STEPS):
        fitted = refit(base, answers[size.argsort(stable=True)[:count]], base.family.terms)
        now = torch.nan_to_num(fitted.residual(answers), nan=torch.inf).abs().amax(-1)
        if torch.equal(now.argsort(stable=True)[:count], size.argsort(stable=True)[:count]):
            break
        size = now
    level = max(float(size.sort().values[:count].median()), _ROUNDING)
    return refit(fitted, answers[size <= _OUTSIDE * level], base.family.terms)


def begun_limits(
    bodies: Fit,
    answers: Answers,
    kind: NonlinearityKind,
    joints: Sequence[tuple[int, ...]],
    knots: int,
    sides: str,
) -> tuple[NonlinearityProblem, Tensor]:
    """The problem of limits for the groups `joints`, and its start: `bodies` that no limit has
    changed, and the limits that the other answers show."""
    if kind.place == "tau":
        design = design_of(bodies.family.bare, answers)
        x = answers.tau
        shown = (design.columns(answers.a) @ bodies.theta.unsqueeze(-1)).squeeze(-1)
    else:
        x, shown = bodies.predict(answers.q, answers.v, answers.tau), answers.a
    z = NonlinearityProblem(bodies, answers, kind, ()).feature(x)
    groups, start = [], []
    for group in joints:
        at = list(group)
        own, value = torch.nan_to_num(z[:, at]), torch.nan_to_num(shown[:, at])
        off = value - own[..., 0]
        level = max(float(off.abs().quantile(_TRIMMED)), _ROUNDING * float(own[..., 0].abs().max()))
        # A limit takes away from x, and does not turn it round.
        acts = (off.abs() > _OUTSIDE * level) & (value.abs() < own[..., 0].abs())
        unseen = _UNSEEN * float(own[..., 0].abs().max())
        function = Limited(sides, ())
        u = function.variable(own)
        parts: list[tuple[Tensor, Tensor, float]] = [(acts, value.abs(), unseen)]
        if sides == "two":
            parts = [(acts & (off < 0), value, unseen), (acts & (off > 0), value, -unseen)]
        functions, constants = [], []
        for seen, level_at, otherwise in parts:
            spline = Splined(Basis.over(u, knots))
            functions.append(spline)
            constants.append(_level(spline, u[seen], level_at[seen], otherwise))
        groups.append(Group(group, Limited(sides, tuple(functions))))
        start += constants
    return NonlinearityProblem(bodies, answers, kind, groups), torch.cat([bodies.theta, *start])


def _level(spline: Splined, u: Tensor, value: Tensor, otherwise: float) -> Tensor:
    """Parameters of a limit that has these values at u: a line with a bend at zero and a curve,
    as far as there are answers for it."""
    knots = torch.from_numpy(spline.basis.knots)
    if len(u) < _FEWEST:
        return spline.like((otherwise + 0.0 * knots).numpy())
    both = torch.stack([torch.ones_like(u), u, u.abs(), u.square()], -1)
    if bool((u > 0).all()) or bool((u < 0).all()):
        both[:, 2] = 0.0
    c = torch.from_numpy(plain_least_squares(both.numpy(), value.numpy(), rcond=1e-9))
    out = spline.like((c[0] + c[1] * knots + c[3] * knots.square()).numpy())
    if spline.basis.kinks:
        out[len(knots) + 1] = c[2]
    return out
