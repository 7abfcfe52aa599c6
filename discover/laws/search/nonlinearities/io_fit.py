"""Bodies fitted with input/output nonlinearities: known ones, and ones being fitted along.

What is minimised is the error of the answer. Its slopes are those of the bodies through the
nonlinearity: gain · H⁻¹ Y for their parameters, and for a function before the bodies the change of
their answer with what they feel.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import sympy
import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.io_nonlinearity import bodies_input, has_output_function, law_output
from discover.laws.rigid_body.family import Design, Family
from discover.laws.rigid_body.fit import Fit, design_of, fit
from discover.laws.search.variables import vocabulary
from discover.numerics import (
    batched_jacobian,
    finite,
    minimise_squares,
    predicted_error,
    robust_cost,
    solve_or_zero,
)

_STEP = 1e-5  # of a quantity's size, for its slope
_EVALUATIONS = 20  # of the slopes in a fit with a known nonlinearity
_EVEN = threshold("search.outlier_share")
_STILL = threshold("search.still_quantity")
_FED_BACK = whole("search.load_rounds")
_WILD = 10.0  # times the largest joint force: no load
_SAME = 1e-13  # of the largest load: a smaller change ends the rounds
OF_BODIES = ("g", "load")  # what bodies show of a joint, beside its coordinates


@dataclass(frozen=True)
class NonlinearityKind:
    """Which input or output is altered, and what its function is a function of.

    The function is of the input or output itself (place == feature), or it is a factor on it:
    a function of another coordinate of the same joint, or of the size of a whole vector ("|v|", the
    root of the sum of squares over all joints), as where motion ends at a total speed. Or it is
    `added` to it: a function of another coordinate, as a joint that yields under its force, or of
    that and a `second` one, as friction that grows with the load. With a second one and not added,
    the input or output is replaced by a function whose scale the second one sets, or, `limited`, it
    is itself between limits that are functions of the second one, as a torque whose limit falls
    with speed. "tau*v" is the product of two coordinates of a joint: its power. "g" is the gravity
    torque of the fitted bodies at the joint, which moves with their parameters, and "load" all that
    the joint force makes of the bodies, h + g + c, which the force itself alters; the function is
    then a force beside the bodies, and is written down as a term.
    """

    place: str
    feature: str
    second: str | None = None
    added: bool = False
    limited: bool = False

    @property
    def factor(self) -> bool:
        """Whether the function multiplies the input or output."""
        return self.place != self.feature and not self.added

    @property
    def features(self) -> tuple[str, ...]:
        """What the function is one of: one or two."""
        return (self.feature,) if self.second is None else (self.feature, self.second)

    @property
    def scaled(self) -> bool:
        """Whether a second coordinate sets the scale of the function."""
        return self.second is not None and not self.added and not self.limited

    @property
    def of_answer(self) -> bool:
        """Whether that includes the bodies' own answer."""
        return any(w == "a" for f in self.features for w in coordinates_in(f))

    @property
    def of_bodies(self) -> bool:
        """Whether the function is one of what the fitted bodies show."""
        return any(w in OF_BODIES for f in self.features for w in coordinates_in(f))

    @property
    def quantity(self) -> str:
        """The coordinates that the function is (first) one of: "q", "v", "tau" or "a", or a
        product of two."""
        return self.feature.strip("|")

    @property
    def whole(self) -> bool:
        """Whether the function is of the size of a whole vector."""
        return self.feature != self.quantity

    def variables(
        self, j: int, words: dict[str, sympy.Symbol], nv: int
    ) -> sympy.Expr | tuple[sympy.Expr, ...]:
        """What the function of joint j is one of: one expression, or two; a load by itself, which
        `loads` writes out."""
        if self.whole:
            return sympy.sqrt(sum(words[f"{self.quantity}{i + 1}"] ** 2 for i in range(nv)))
        words = words | {x.name: x for x in loads(nv)}
        named = tuple(
            sympy.prod(words[f"{w}{j + 1}"] for w in coordinates_in(f)) for f in self.features
        )
        return named[0] if len(named) == 1 else named

    @property
    def name(self) -> str:
        """In words."""
        if self.limited:
            return f"{self.place} between limits that are functions of {self.second}"
        if self.scaled:
            return f"a function of {self.place} on the scale of {self.second}"
        if self.added:
            return f"{self.place} plus a function of {' and '.join(self.features)}"
        return f"{self.place} times a function of {self.feature}" if self.factor else (
            f"a function of {self.place}"
        )  # fmt: skip


def coordinates_in(feature: str) -> list[str]:
    """The coordinates that a feature is the product, or the size of the whole vector, of."""
    return feature.strip("|").split("*")


def loads(nv: int) -> dict[sympy.Symbol, sympy.Expr]:
    """What the bodies make of every joint, h + g + c, by a symbol of its own: "load1", …"""
    words = vocabulary(nv)
    return {
        sympy.Symbol(f"load{j}", real=True): words[f"h{j}"] + words[f"g{j}"] + words[f"c{j}"]
        for j in range(1, nv + 1)
    }


class Function(Protocol):
    """A function of one variable (z of any shape) or of two (z of shape (…, 2)) with `size`
    parameters."""

    @property
    def size(self) -> int: ...

    def __call__(self, z: Tensor, c: Tensor) -> Tensor:
        """Values at z, c (size,)."""

    def slopes(self, z: Tensor, c: Tensor) -> Tensor:
        """d(value) / d(c), the last index that of c."""

    def scaled(self, c: Tensor, factor: float) -> Tensor:
        """The parameters of `factor` times the function."""


@dataclass(frozen=True)
class Group:
    """Joints that share a function; joints in no group stay as they are."""

    joints: tuple[int, ...]
    function: Function


@dataclass(frozen=True, kw_only=True)
class Linearisation:
    """The problem at some parameters: residual (n, nv), the bodies' answer a, the features z of the
    functions, (n, nv) or (n, nv, 2), and what a change of their values makes of the answer.

    slopes    d(answer) / d(θ), (n, nv, p)
    pushed    d(answer) / d(value of the function of joint j), (n, nv, nv)
    """

    residual: Tensor
    a: Tensor
    z: Tensor
    slopes: Tensor
    pushed: Tensor

    @property
    def error(self) -> float:
        """Root mean square of the residual."""
        return float(self.residual.square().mean().sqrt())


class NonlinearityProblem:
    """The least-squares problem of bodies with one nonlinearity, on one set of answers."""

    def __init__(
        self, fitted: Fit, answers: Answers, kind: NonlinearityKind, groups: Sequence[Group]
    ):
        self.fitted, self.family, self.scale = fitted, fitted.family.bare, fitted.scale
        self.answers, self.kind, self.groups = answers, kind, tuple(groups)
        self.given = {"q": answers.q, "v": answers.v, "tau": answers.tau}

    def with_groups(self, groups: Sequence[Group]) -> NonlinearityProblem:
        """The same with other functions."""
        return NonlinearityProblem(self.fitted, self.answers, self.kind, groups)

    @property
    def split(self) -> list[int]:
        """How many parameters the bodies and each function have."""
        return [self.family.size, *(g.function.size for g in self.groups)]

    def values(self, signal: Tensor, z: Tensor, c: Sequence[Tensor]) -> Tensor:
        """The altered input or output (n, nv)."""
        out = list(signal.unbind(-1))
        for group, x in zip(self.groups, c, strict=True):
            for j in group.joints:
                value = group.function(z[:, j], x)
                if self.kind.factor:
                    value = signal[:, j] * value
                out[j] = signal[:, j] + value if self.kind.added else value
        return torch.stack(out, -1)

    def feature(
        self, a: Tensor | None = None, theta: Tensor | None = None, c: Sequence[Tensor] = ()
    ) -> Tensor:
        """What the functions are of, (n, nv) or (n, nv, 2), where the bodies `theta` [those it was
        begun with] answer `a` behind functions of parameters `c` [nothing altered]."""
        shown = {}
        if "g" in self.kind.features:
            bodies = self.fitted.theta if theta is None else theta
            shown["g"] = self._gravity_columns @ bodies[: self._gravity_columns.shape[-1]]
        if "load" in self.kind.features:
            shown["load"] = self._loads(c)
        columns = [self._product(f, a, shown) for f in self.kind.features]
        if len(columns) > 1:
            return torch.stack(columns, -1)
        z = columns[0]
        return z.norm(dim=-1, keepdim=True).expand_as(z) if self.kind.whole else z

    @property
    def has_features(self) -> bool:
        """Whether everything that the functions are of is there: without gravity, no torque of it
        is."""
        return "g" not in self.kind.features or bool(self._gravity_columns.any())

    def _loads(self, c: Sequence[Tensor]) -> Tensor:
        """What the bodies feel of each joint, (n, nv): load = tau + function(…, load), in rounds.

        Friction is less than what it is a share of, so that the rounds contract; where they do not,
        the load is held, and the residual is large.
        """
        most = _WILD * float(self.given["tau"].abs().max())
        tau, which = self.given["tau"], self.kind.features.index("load")
        others = [self.given[f] for f in self.kind.features if f != "load"]
        out = list(tau.unbind(-1))
        for group, x in zip(self.groups, c, strict=bool(c)):
            for j in group.joints:
                for _ in range(_FED_BACK):
                    parts = [y[:, j] for y in others]
                    parts.insert(which, out[j])
                    z = parts[0] if len(parts) == 1 else torch.stack(parts, -1)
                    before, force = out[j], torch.nan_to_num(group.function(z, x))
                    out[j] = (tau[:, j] + force).clamp(-most, most)
                    if float((out[j] - before).abs().max()) <= _SAME * float(tau[:, j].abs().max()):
                        break
        return torch.stack(out, -1)

    @functools.cached_property
    def _gravity_columns(self) -> Tensor:
        """d(gravity torque of each joint) / d(parameters of the bodies) (n, nv, k); zero where the
        joint feels none but rounding."""
        design = design_of(self.family, self.answers)
        columns = design.rest_columns
        felt = columns.abs().amax((0, 2)) > _STILL * design.inertia_columns.abs().max()
        return torch.where(felt[:, None], columns, 0.0)

    def _product(self, feature: str, a: Tensor | None, shown: dict[str, Tensor]) -> Tensor:
        given = {**self.given, **shown}
        found = [given.get(w, a) for w in coordinates_in(feature)]
        columns = [z for z in found if z is not None]
        assert len(columns) == len(found), "a function of the answer needs the answer"
        return functools.reduce(torch.mul, columns)

    def _felt(self, theta: Tensor, c: Sequence[Tensor]) -> dict[str, Tensor]:
        place, felt_ = self.kind.place, dict(self.given)
        if place in felt_:
            felt_[place] = self.values(felt_[place], self.feature(None, theta, c), c)
        return felt_

    def _design(self, inputs: dict[str, Tensor]) -> Design:
        if self.kind.place in ("q", "v"):
            bodies = self.family.rigid_design(inputs["q"], inputs["v"])
            return self.family.design(bodies, inputs["q"], inputs["v"], inputs["tau"])
        return design_of(self.family, self.answers)

    def bodies(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(the bodies' answer, the features of the functions, the altered answer), each (n, nv)."""
        theta, *c = x.split(self.split)
        inputs = self._felt(theta, c)
        a = self._design(inputs).acceleration(theta, inputs["tau"])
        return a, *self._answered(a, theta, c)

    def _answered(self, a: Tensor, theta: Tensor, c: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        z = self.feature(a, theta, c)
        return z, self.values(a, z, c) if self.kind.place == "a" else a

    def residual(self, x: Tensor) -> Tensor:
        """(a_model - a_law) in units of the scale (n, nv)."""
        return (self.answers.a - self.bodies(x)[2]) / self.scale

    def at(self, x: Tensor) -> Linearisation:
        """The problem linearised at x."""
        theta, *c = x.split(self.split)
        inputs = self._felt(theta, c)
        design = self._design(inputs)
        a = design.acceleration(theta, inputs["tau"])
        z, out = self._answered(a, theta, c)
        a, z = torch.nan_to_num(a), torch.nan_to_num(z)
        slopes = -solve_or_zero(design.inertia(theta), design.columns(a))
        if self.kind.place == "a":
            slopes = self._gain(a, z, theta, c) @ slopes
            pushed = torch.diag_embed(a if self.kind.factor else torch.ones_like(a))
        else:
            pushed = self._sensitivity(theta, inputs, design)
            if self.kind.factor:
                pushed = pushed * self.given[self.kind.place].unsqueeze(-2)
        if "load" in self.kind.features:  # the force alters what it is a function of
            fed_back = self._slopes_in(self.kind.features.index("load"), z, c)
            pushed = torch.nan_to_num(pushed / (1.0 - fed_back).unsqueeze(-2))
        if "g" in self.kind.features:
            k = self._gravity_columns.shape[-1]
            slope = self._slopes_in(self.kind.features.index("g"), z, c)
            slopes[..., :k] += pushed @ (slope.unsqueeze(-1) * self._gravity_columns)
        return Linearisation(
            residual=(self.answers.a - out) / self.scale,
            a=a,
            z=z,
            slopes=slopes / self.scale[:, None],
            pushed=pushed / self.scale[:, None],
        )

    def _gain(self, a: Tensor, z: Tensor, theta: Tensor, c: Sequence[Tensor]) -> Tensor:
        """d(altered answer) / d(the bodies' own) (n, nv, nv)."""
        if not self.kind.of_answer:
            ones = torch.ones_like(a)
            return torch.diag_embed(ones if self.kind.added else self.values(ones, z, c))
        return torch.nan_to_num(batched_jacobian(lambda x: self._answered(x, theta, c)[1], a))

    def _slopes_in(self, which: int, z: Tensor, c: Sequence[Tensor]) -> Tensor:
        """d(value of the function of each joint) / d(one of its variables) (n, nv)."""
        out = z.new_zeros(z.shape[:2])
        step = torch.zeros(z.shape[2:], dtype=z.dtype)
        step[(which,) if step.ndim else ()] = 1.0
        for group, x in zip(self.groups, c, strict=True):
            for j in group.joints:
                own = z[:, j]
                h = _STEP * float(own.abs().max().clamp_min(_STEP)) * step
                ahead, behind = group.function(own + h, x), group.function(own - h, x)
                out[:, j] = (ahead - behind) / (2 * h.sum())
        return torch.nan_to_num(out)

    def _sensitivity(self, theta: Tensor, inputs: dict[str, Tensor], design: Design) -> Tensor:
        """d(the bodies' answer) / d(what they feel of joint j) (n, nv, nv)."""
        n, nv = inputs["v"].shape
        if self.kind.place == "tau":
            return solve_or_zero(
                design.inertia(theta), torch.eye(nv, dtype=theta.dtype).expand(n, -1, -1)
            )
        place = self.kind.place

        def answer(x: Tensor) -> Tensor:
            return self.family.acceleration(theta, *({**inputs, place: x}).values())

        return torch.nan_to_num(batched_jacobian(answer, inputs[place], 1e-5))

    def function_slopes(self, linearised: Linearisation, c: Sequence[Tensor]) -> list[Tensor]:
        """d(answer) / d(parameters of each function), each (n, nv, size), in units of the scale."""
        out = []
        for group, x in zip(self.groups, c, strict=True):
            total = linearised.a.new_zeros(*linearised.a.shape, group.function.size)
            for j in group.joints:
                slopes = group.function.slopes(linearised.z[:, j], x)
                total = total + linearised.pushed[:, :, j, None] * slopes.unsqueeze(1)
            out.append(total)
        return out

    def jacobian(self, x: Tensor) -> Tensor:
        """d(residual) / d(all parameters) (n, nv, p)."""
        linearised = self.at(x)
        parts = [linearised.slopes, *self.function_slopes(linearised, x.split(self.split)[1:])]
        return -torch.nan_to_num(torch.cat(parts, -1), posinf=0.0, neginf=0.0)

    def solve(self, x: Tensor, evaluations: int, rough: bool = False) -> Tensor:
        """Least squares from x, then, unless `rough`, with outliers weighing less.

        What a flexible function cannot follow, as a kink, shows in few answers.
        """
        x = minimise_squares(self.residual, self.jacobian, x, evaluations)
        r = torch.nan_to_num(self.residual(x))
        if rough or robust_cost(r) > _EVEN * float(r.square().mean()):
            return x
        return minimise_squares(self.residual, self.jacobian, x, evaluations, robust=True)

    def promises(self, x: Tensor) -> float:
        """The error that one step from x promises to leave."""
        return predicted_error(self.residual, self.jacobian, x)


def fit_with_nonlinearities(family: Family, answers: Answers, start: Tensor, like: Fit) -> Fit:
    """The fit of bodies and terms with the family's nonlinearities, as they stand, from `start`."""
    nonlinearities, bare = family.nonlinearities, family.bare
    q, v, tau = bodies_input(nonlinearities, answers.q, answers.v, answers.tau)
    inner = Answers(q=q, v=v, tau=tau, a=answers.a)
    if not has_output_function(nonlinearities):
        fitted = fit(bare, inner, start=start, scale=like.scale)
        return replace(fitted, family=family)
    design = design_of(bare, inner)

    def residual(theta: Tensor) -> Tensor:
        a = design.acceleration(theta, tau)
        return (
            answers.a - law_output(nonlinearities, answers.q, answers.v, answers.tau, a)
        ) / like.scale

    def jacobian(theta: Tensor) -> Tensor:
        a = torch.nan_to_num(design.acceleration(theta, tau))
        inputs = (answers.q, answers.v, answers.tau)
        gain = batched_jacobian(lambda x: law_output(nonlinearities, *inputs, x), a)
        gain = torch.nan_to_num(gain) / like.scale[:, None]
        return torch.nan_to_num(gain @ solve_or_zero(design.inertia(theta), design.columns(a)))

    theta = minimise_squares(residual, jacobian, start, _EVALUATIONS)
    r, J = finite(residual(theta)), jacobian(theta).flatten(0, 1)
    variance = r.square().sum() / max(1, r.numel() - len(theta))
    norms = J.norm(dim=0).clamp_min(1e-300)
    inverse = torch.linalg.pinv((J / norms).T @ (J / norms), rtol=1e-12, hermitian=True)
    return replace(
        like,
        family=family,
        theta=theta,
        covariance=variance * inverse / norms[:, None] / norms,
        error=float(r.square().mean().sqrt()),
    )
