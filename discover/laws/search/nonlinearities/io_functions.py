"""Functions of input/output nonlinearities: splines on knots, and formulas with their constants.

No spline of few knots follows a corner, such as a limit, a dead zone or a clip has. Beside one, a
corner |z - k| is put where it explains the most of the residual; its place is then fitted along
with all else.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
import sympy
import torch
from torch import Tensor

from discover import numerics
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.io_nonlinearity import StaticNonlinearity
from discover.laws.extensions.tabulated import Basis, Table
from discover.laws.extensions.terms import Term
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.basis_functions import BasisFunction
from discover.laws.search.basis_search import BasisExpansion
from discover.laws.search.nonlinearities.io_fit import (
    Group,
    NonlinearityKind,
    NonlinearityProblem,
    loads,
)
from discover.laws.search.variables import vocabulary

_OWN = 1e-4  # of a corner's length: less beside splines and bodies is rounding
_PLACES = whole("search.corner_places")
_END = threshold("search.corner_margin")
_WORTH = threshold("search.corner_gain")
_MAY_LEAVE = threshold("search.formula_may_leave")
_NEAR = threshold("search.near_middle")
_SLOPE = threshold("search.drive_slope")


class HeldOut(Protocol):
    """A fit with its error on held-out answers."""

    @property
    def held_out(self) -> float: ...


F = TypeVar("F", bound=HeldOut)


@dataclass(frozen=True)
class Splined:
    """A cubic spline by its values at knots, a jump and a kink at zero and corners beside it.

    Parameters: those of the basis, then the heights of |z - k| and the places k of `corners`.
    """

    basis: Basis
    corners: int = 0

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.basis.size + 2 * self.corners

    def _split(self, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(of the basis, heights, places)."""
        weights, heights, places = c.split([self.basis.size, self.corners, self.corners])
        return weights, heights, places

    def like(self, values: np.ndarray) -> Tensor:
        """The parameters of a function without jump, kink or corner that has these values at the
        knots."""
        c = torch.zeros(self.size, dtype=torch.float64)
        c[: len(values)] = torch.as_tensor(values, dtype=torch.float64)
        return c

    def moved(self, basis: Basis, c: Tensor) -> tuple[Splined, Tensor]:
        """About the same function on other knots, with its corners and without jump or kink."""
        _, heights, places = self._split(c)
        at = torch.from_numpy(basis.knots)
        smooth = self(at, c) - (at.unsqueeze(-1) - places).abs() @ heights
        weights = torch.cat([smooth, c.new_zeros(basis.size - len(at))])
        return replace(self, basis=basis), torch.cat([weights, heights, places])

    def with_corner(self) -> Splined:
        """With one corner more."""
        return replace(self, corners=self.corners + 1)

    def started(self, c: Tensor, place: float) -> Tensor:
        """Parameters `c` of the function with one corner fewer, and one of no height at `place`."""
        weights, heights, places = replace(self, corners=self.corners - 1)._split(c)
        return torch.cat([weights, heights, c.new_zeros(1), places, c.new_tensor([place])])

    def __call__(self, z: Tensor, c: Tensor) -> Tensor:
        """The value at z, of any function."""
        weights, heights, places = self._split(c)
        smooth = (self.basis(z.flatten()) @ weights).reshape(z.shape)
        return smooth + (z.unsqueeze(-1) - places).abs() @ heights

    def slopes(self, z: Tensor, c: Tensor) -> Tensor:
        """d(value) / d(c): (*z.shape, size)."""
        _, heights, places = self._split(c)
        away = z.unsqueeze(-1) - places
        smooth = self.basis(z.flatten()).reshape(*z.shape, -1)
        return torch.cat([smooth, away.abs(), -heights * away.sign()], -1)

    def scaled(self, c: Tensor, factor: float) -> Tensor:
        """The parameters of `factor` times the function."""
        weights, heights, places = self._split(c)
        return torch.cat([weights * factor, heights * factor, places])

    def written(self, z: sympy.Expr, c: Tensor, name: str) -> tuple[sympy.Expr, tuple[Table, ...]]:
        """As SymPy, with the table that it names."""
        weights, heights, places = self._split(c)
        table, jump, kink = self.basis.table(name, weights)
        beside = sympy.Float(jump, 17) * sympy.sign(z) + sympy.Float(kink, 17) * sympy.Abs(z)
        for height, place in zip(heights.tolist(), places.tolist(), strict=True):
            beside += sympy.Float(height, 17) * sympy.Abs(z - sympy.Float(place, 17))
        return table.function(z) + beside, (table,)


@dataclass(frozen=True)
class Formula:
    """Σ coefficient · function(z / unit; constants): parameters are the coefficients, then the
    constants of one function after the other."""

    functions: tuple[BasisFunction, ...]
    unit: float

    @classmethod
    def of(cls, expansion: BasisExpansion, unit: float) -> tuple[Formula, Tensor]:
        """The function of an expansion, and its parameters."""
        numbers = [*expansion.coefficients, *(x for group in expansion.constants for x in group)]
        return cls(expansion.functions, unit), torch.tensor(numbers, dtype=torch.float64)

    @property
    def size(self) -> int:
        """Number of parameters."""
        return len(self.functions) + sum(len(s.grids) for s in self.functions)

    def _parts(self, c: np.ndarray) -> list[tuple[float, BasisFunction, np.ndarray]]:
        k, out = len(self.functions), []
        for coefficient, function in zip(c, self.functions, strict=False):
            out.append((coefficient, function, c[k : k + len(function.grids)]))
            k += len(function.grids)
        return out

    def __call__(self, z: Tensor, c: Tensor) -> Tensor:
        """The value at z, of any function."""
        u = z.numpy().ravel() / self.unit
        with np.errstate(over="ignore", invalid="ignore"):  # such constants are refused
            total = sum(x * function.values(u, k) for x, function, k in self._parts(c.numpy()))
        return torch.from_numpy(np.asarray(total)).reshape(z.shape)

    def slopes(self, z: Tensor, c: Tensor) -> Tensor:
        """d(value) / d(c): (*z.shape, size)."""
        return torch.stack(numerics.differences(lambda x: self(z, x), c), -1)

    def scaled(self, c: Tensor, factor: float) -> Tensor:
        """The parameters of `factor` times the function."""
        k = len(self.functions)
        return torch.cat([c[:k] * factor, c[k:]])

    def written(self, z: sympy.Expr, c: Tensor, name: str) -> tuple[sympy.Expr, tuple[Table, ...]]:
        """As SymPy; names no table."""
        u = z / sympy.Float(self.unit, 17)
        whole = functools.reduce(
            lambda total, part: (
                total
                + sympy.Float(float(part[0]), 17)
                * part[1].expression(u, [sympy.Float(float(x), 17) for x in part[2]])
            ),
            self._parts(c.numpy()),
            sympy.Integer(0),
        )
        return whole, ()


def with_corners(
    problem: NonlinearityProblem, x: Tensor, anyway: bool = False
) -> tuple[NonlinearityProblem, Tensor] | None:
    """The problem with one more corner in each function, and x with corners of no height where
    they promise the most; None where they do not promise much, unless they are wanted `anyway`."""
    theta, *c = x.split(problem.split)
    linearised = problem.at(x)
    J = torch.cat([linearised.slopes, *problem.function_slopes(linearised, c)], -1).flatten(0, 1)
    U = numerics.orthonormal(torch.nan_to_num(J, posinf=0.0, neginf=0.0))
    left = torch.nan_to_num(linearised.residual).flatten()
    left = left - U @ (U.T @ left)
    before, groups, start = float(left.norm()), [], []
    for group, constants in zip(problem.groups, c, strict=True):
        if not isinstance(group.function, Splined):
            return None
        joints = list(group.joints)
        z = linearised.z[:, joints]
        places = z.flatten().quantile(torch.linspace(_END, 1 - _END, _PLACES, dtype=z.dtype))
        bent = (z.unsqueeze(-1) - places).abs()  # (n, joints, places)
        columns = torch.nan_to_num(linearised.pushed[..., joints] @ bent).flatten(0, 1)
        columns = columns / numerics.column_norms(columns)
        columns = columns - U @ (U.T @ columns)
        size = columns.norm(dim=0)
        gain = torch.where(size > _OWN, (columns.T @ left / size.clamp_min(_OWN)).square(), 0.0)
        best = int(gain.argmax())
        if gain[best] > 0:
            new = columns[:, best] / size[best]
            left, U = left - new * (new @ left), torch.cat([U, new[:, None]], 1)
        function = group.function.with_corner()
        groups.append(Group(group.joints, function))
        start.append(function.started(constants, float(places[best])))
    if not anyway and float(left.norm()) > _WORTH * before:
        return None
    return problem.with_groups(groups), torch.cat([theta, *start])


def corners_of(problem: NonlinearityProblem) -> int:
    """How many corners its functions have at most."""
    functions = [g.function for g in problem.groups]
    return max((f.corners for f in functions if isinstance(f, Splined)), default=0)


def formulas_one_by_one(
    flexible: F,
    count: int,
    *,
    formulas: Callable[[F, int], list[tuple[Formula, Tensor]]],
    replaced: Callable[[F, int, tuple[Formula, Tensor]], F | None],
    length: Callable[[F], float],
    floor: float,
    enough: float | None = None,
) -> F:
    """A fit with its `count` functions replaced by formulas, one after the other.

    formulas  those to try for the n-th function, with their start
    replaced  the fit with the n-th function replaced and everything fitted again
    length    its description length [nats]: the shortest of those that leave little more is kept
    enough    times the error before: a formula that leaves no more ends the trial of others
    """
    now = flexible
    for n in range(count):
        before, tried = max(now.held_out, floor), []
        for formula in formulas(now, n):  # the fewest summands first
            trial = replaced(now, n, formula)
            if trial is None:
                continue
            tried.append(trial)
            if enough is not None and trial.held_out <= enough * before:
                break
        usable = [t for t in tried if t.held_out < _MAY_LEAVE * before]
        if usable:
            now = min(usable, key=length)
    return now


@dataclass(frozen=True, kw_only=True)
class FlexibleNonlinearity:
    """A nonlinearity of one kind with its functions, fitted; `held_out` is its held-out error."""

    kind: NonlinearityKind
    problem: NonlinearityProblem
    x: Tensor
    held_out: float


def as_fit(base: Fit, flexible: FlexibleNonlinearity) -> Fit:
    """The fit of the bodies with the nonlinearity."""
    problem, kind = flexible.problem, flexible.kind
    nv = base.family.robot.nv
    theta, *c = _in_scale(flexible)
    words = vocabulary(nv)
    rows: list[sympy.Expr] = [words[f"{kind.place}{j + 1}"] for j in range(nv)]
    tables: list = []
    for n, (group, x) in enumerate(zip(problem.groups, c, strict=True), 1):
        for j in group.joints:
            z = kind.variables(j, words, nv)
            written, named = group.function.written(z, x, f"phi{n}")  # type: ignore[attr-defined]
            if kind.factor:
                written = rows[j] * written
            rows[j] = rows[j] + written if kind.added else written
        tables += named
    if kind.of_bodies:
        return _beside(base, theta, kind, rows, tables)
    nonlinearity = StaticNonlinearity(place=kind.place, rows=tuple(rows), tables=tuple(tables))
    family = replace(base.family, nonlinearities=(nonlinearity,))
    return replace(base, family=family, theta=theta)


def _beside(
    base: Fit, theta: Tensor, kind: NonlinearityKind, rows: list[sympy.Expr], tables: list
) -> Fit:
    """The fit of the bodies with the force as a term, whose bodies' quantities are theirs.

    H a + b = tau + φ     is     H a + b - φ = tau
    """
    words = vocabulary(len(rows))
    given = [words[f"{kind.place}{j + 1}"] for j in range(len(rows))]
    forces = (sympy.expand_mul(x - row) for x, row in zip(given, rows, strict=True))
    shape = tuple(force.xreplace(loads(len(rows))) for force in forces)
    name = f"force as a function of {' and '.join(kind.features)}"
    term = Term(name=name, shape=shape, tables=tuple(tables))
    family, k = base.family, base.family.basis.shape[1]
    family = family.with_terms([*family.terms, term], family.member(theta[:k]))
    return replace(base, family=family, theta=torch.cat([theta, theta.new_ones(1)]))


def _in_scale(flexible: FlexibleNonlinearity) -> tuple[Tensor, ...]:
    """The parameters, with the altered forces in the unit of the joint forces.

    Forces twice as large on bodies twice as heavy, or both with the other sign, are the same law,
    unless some joint's force is not altered. The altered force is given slope one: near no force
    or, where it is flat there, where it is steepest.
    """
    problem, kind = flexible.problem, flexible.problem.kind
    theta, *c = flexible.x.split(problem.split)
    altered = sum(len(group.joints) for group in problem.groups)
    unit_given = kind.added or kind.limited or altered < problem.family.robot.nv
    if kind.place != "tau" or unit_given:
        return theta, *c
    gains = []
    for group, x in zip(problem.groups, c, strict=True):
        z = problem.feature()[:, list(group.joints)].flatten(0, 1)  # (n,), or (n, 2) on a scale
        if kind.factor:
            gain = group.function(z, x)
            middle = group.function(z.quantile(_NEAR if kind.whole else 0.5)[None], x)[0]
        else:
            own = z[:, 0] if kind.scaled else z
            h = 0.02 * own.abs().max()
            step = h * torch.tensor([1.0, 0.0], dtype=z.dtype) if kind.scaled else h
            gain = (group.function(z + step, x) - group.function(z - step, x)) / (2 * h)
            middle = gain[own.abs().argmin()]
        size = gain.abs()
        most = gain[(size - size.quantile(0.98)).abs().argmin()]
        gains.append(float(middle if middle.abs() > _SLOPE * most.abs() else most))
    unit = sum(gains) / len(gains)
    if unit == 0 or not math.isfinite(unit):
        return theta, *c
    scaled = (g.function.scaled(x, 1 / unit) for g, x in zip(problem.groups, c, strict=True))
    return theta / unit, *scaled
