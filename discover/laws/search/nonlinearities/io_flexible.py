"""Flexible functions of one kind of input/output nonlinearity, fitted together with the bodies.

First with few knots, a function for every joint; then with more, of the fewest joints, sharpened by
corners, and functions of two variables written as products of two functions of one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.tabulated import Basis
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.greedy_search import explained
from discover.laws.search.nonlinearities.io_fit import (
    Group,
    NonlinearityKind,
    NonlinearityProblem,
)
from discover.laws.search.nonlinearities.io_functions import (
    FlexibleNonlinearity,
    Splined,
    corners_of,
    with_corners,
)
from discover.laws.search.nonlinearities.io_limits import SIDES, begun_limits, unlimited_bodies
from discover.laws.search.nonlinearities.io_pairs import Composed, Scaled, Tensored
from discover.laws.search.selection import refit
from discover.numerics import robust_cost

ROUGH = whole("search.rough_knots")
_FINE = whole("search.io_fine_knots")
_ADDED_KNOTS, _SCALE_KNOTS = whole("search.added_knots"), whole("search.scale_knots")
_SEPARABLE = threshold("search.pair_separable")
_CORNERS, _SHARPER = whole("search.corners"), threshold("search.corner_gain")
_SHARED = threshold("search.shared_function")
_MOST = threshold("search.most_held_out")
_NEAR = threshold("search.joint_needed")
_CLEARLY = threshold("search.flexible_gain")


def centred(base: Fit, answers: Answers, kind: NonlinearityKind) -> Tensor:
    """Bodies fitted where the function's variable is near the middle of its sample: there a
    function that bends far out is nearly straight."""
    if kind.limited:
        return unlimited_bodies(base, answers, kind).theta
    x = NonlinearityProblem(base, answers, kind, ()).feature(answers.a)
    x = x if kind.second is None else x[..., 0]
    if kind.whole:
        size = x[:, 0]
    else:
        x = x - x.median(0).values
        size = (x / x.square().mean(0).sqrt().clamp_min(1e-300)).abs().amax(-1)
    count = max(len(answers) // 3, 4 * base.family.size // base.family.robot.nv)
    few = answers[size.argsort(stable=True)[:count]]
    fitted = refit(base, few, base.family.terms)
    return fitted.theta if math.isfinite(fitted.error) else base.theta


def fitted_kind(
    base: Fit,
    theta: Tensor,
    answers: Answers,
    held: Answers,
    kind: NonlinearityKind,
    joints: Sequence[tuple[int, ...]],
    knots: int,
    evaluations: int,
    begun: tuple[NonlinearityProblem, Tensor] | None = None,
) -> FlexibleNonlinearity:
    """Bodies from `theta` and splines from nothing altered, one for each of the groups `joints`,
    or the problem `begun` from these.

    A corner is put in at once: bodies are led astray by a spline that cannot follow one.
    """
    problem, x = begun or begun_problem(base, theta, answers, kind, joints, knots)
    problem, x = with_corners(problem, x) or (problem, x)
    x = problem.solve(x, evaluations, knots <= ROUGH)
    if kind.of_answer and kind.second is None:  # the bodies' own answer has moved with them
        before = problem, x
        problem, x = begun_problem(base, x[: len(theta)], answers, kind, joints, knots, before)
        x = problem.solve(x, evaluations, knots <= ROUGH)
    error = held_out_error(base, held, kind, problem.groups, x)
    return FlexibleNonlinearity(kind=kind, problem=problem, x=x, held_out=error)


def begun_problem(
    base: Fit,
    theta: Tensor,
    answers: Answers,
    kind: NonlinearityKind,
    joints: Sequence[tuple[int, ...]],
    knots: int,
    before: tuple[NonlinearityProblem, Tensor] | None = None,
    alone: tuple[NonlinearityProblem, Tensor] | None = None,
) -> tuple[NonlinearityProblem, Tensor]:
    """That of splines for the groups `joints`, and its start: bodies `theta`, and nothing altered
    or the functions of a problem `before`; `alone` is what `unscaled` gives, where that is known.
    """
    if kind.limited:
        bodies = replace(base, theta=theta)
        return begun_limits(bodies, answers, kind, joints, min(knots, _SCALE_KNOTS), SIDES[-1])
    z = torch.nan_to_num(NonlinearityProblem(base, answers, kind, ()).bodies(theta)[1])
    groups, start = [], []
    if kind.scaled:
        alone = alone or unscaled(base, theta, answers, kind, joints, knots)
        theta = alone[1][: len(theta)]
    for n, group in enumerate(joints):
        own = z[:, list(group)]
        if kind.scaled:
            scale = Splined(Basis.over(own[..., 1], min(knots, _SCALE_KNOTS)))
            assert alone is not None
            groups.append(Group(group, Scaled(alone[0].groups[n].function, scale)))
            ones = scale.like(torch.ones(len(scale.basis.knots)).numpy())
            start.append(torch.cat([alone[1].split(alone[0].split)[1 + n], ones]))
            continue
        if kind.second is not None:
            groups.append(Group(group, Tensored.over(own, min(knots, _ADDED_KNOTS))))
            start.append(theta.new_zeros(groups[-1].function.size))
            continue
        function = Splined(Basis.over(own, knots, tails=kind.whole))
        at = torch.from_numpy(function.basis.knots)
        unaltered = torch.ones_like(at) if kind.factor else (0.0 if kind.added else 1.0) * at
        constants = function.like(unaltered.numpy())
        if before is not None:
            problem, x = before
            was = problem.groups[n].function
            assert isinstance(was, Splined)
            function, constants = was.moved(function.basis, x.split(problem.split)[1 + n])
        groups.append(Group(group, function))
        start.append(constants)
    return NonlinearityProblem(base, answers, kind, groups), torch.cat([theta, *start])


def unscaled(
    base: Fit,
    theta: Tensor,
    answers: Answers,
    kind: NonlinearityKind,
    joints: Sequence[tuple[int, ...]],
    knots: int,
) -> tuple[NonlinearityProblem, Tensor]:
    """Functions of the input or output alone, with corners: a scale acts where they bend."""
    plain = NonlinearityKind(kind.place, kind.place)
    problem, x = begun_problem(base, theta, answers, plain, joints, knots)
    for _ in range(_CORNERS):
        problem, x = with_corners(problem, x, anyway=True) or (problem, x)
    return problem, problem.solve(x, 8, rough=True)


def held_out_error(
    base: Fit, held: Answers, kind: NonlinearityKind, groups: Sequence[Group], x: Tensor
) -> float:
    r = NonlinearityProblem(base, held, kind, groups).residual(x)
    return math.sqrt(robust_cost(r))


def of_most(base: Fit, held: Answers, fitted: FlexibleNonlinearity) -> float:
    """Root mean square of held-out residuals, the largest tenth cut: half of them are no law."""
    problem = NonlinearityProblem(base, held, fitted.kind, fitted.problem.groups)
    r = problem.residual(fitted.x).abs().flatten()
    if not bool(torch.isfinite(r).all()):
        return math.inf
    return float(r.clamp_max(r.quantile(_MOST)).square().mean().sqrt())


def grouped(
    base: Fit, rough: FlexibleNonlinearity, answers: Answers, held: Answers, floor: float
) -> FlexibleNonlinearity:
    """Functions of the fewest joints: one that all share, or of those joints that need one."""
    joints, kind = range(base.family.robot.nv), rough.kind
    start = rough.x[: base.family.size]

    def fitted(groups: Sequence[tuple[int, ...]], theta: Tensor) -> FlexibleNonlinearity:
        if kind.limited:
            return _limited(base, answers, held, kind, groups, floor)
        if kind.scaled:
            tried = [
                fitted_kind(base, theta, answers, held, kind, groups, k, 25) for k in (ROUGH, _FINE)
            ]
            return min(tried, key=lambda f: f.held_out)
        if kind.second is not None:
            both = fitted_kind(base, theta, answers, held, kind, groups, ROUGH, 15)
            return separated(both, base, held, floor)
        # Few answers reach far out in size, and many knots there have nothing to hold them.
        tried = [
            sharpened(fitted_kind(base, theta, answers, held, kind, groups, knots, 15), base, held)
            for knots in ((_FINE, ROUGH) if kind.whole else (_FINE,))
        ]
        return min(tried, key=lambda f: f.held_out)

    exact = explained(rough.held_out, floor) and not kind.limited
    best = rough if exact else fitted([(j,) for j in joints], start)
    theta = best.x[: base.family.size]
    enough = _SHARED * max(best.held_out, floor)
    if len(joints) > 1:
        shared = fitted([tuple(joints)], theta)
        if shared.held_out <= enough:
            return shared
    for j in joints:
        fewer, x = _without(best, j)
        hopeless = _SHARED * max(enough, _NEAR * best.held_out)
        if not fewer or best.problem.with_groups(fewer).promises(x) > hopeless:
            continue
        one = fitted([g.joints for g in fewer], theta)
        if one.held_out <= enough:
            best = one
    return best


def _without(now: FlexibleNonlinearity, j: int) -> tuple[list[Group], Tensor]:
    """The groups of functions without that of joint j alone, and their parameters."""
    theta, *c = now.x.split(now.problem.split)
    kept = [(g, k) for g, k in zip(now.problem.groups, c, strict=True) if g.joints != (j,)]
    return [g for g, _ in kept], torch.cat([theta, *(k for _, k in kept)])


def _limited(
    base: Fit,
    answers: Answers,
    held: Answers,
    kind: NonlinearityKind,
    groups: Sequence[tuple[int, ...]],
    floor: float,
) -> FlexibleNonlinearity:
    """Limits of the plainest sides that leave hardly more than any."""
    bodies = unlimited_bodies(base, answers, kind)
    tried = []
    for sides in SIDES:
        begun = begun_limits(bodies, answers, kind, groups, _SCALE_KNOTS, sides)
        tried.append(
            fitted_kind(base, bodies.theta, answers, held, kind, groups, _SCALE_KNOTS, 15, begun)
        )
    enough = _SHARED * max(floor, min(f.held_out for f in tried))
    return next(f for f in tried if f.held_out <= enough)


def separated(
    both: FlexibleNonlinearity, base: Fit, held: Answers, floor: float
) -> FlexibleNonlinearity:
    """The same with one product of two functions in the place of each function of two variables,
    where that leaves little more; else unchanged."""
    theta, *c = both.x.split(both.problem.split)
    groups, start = [], []
    for group, x in zip(both.problem.groups, c, strict=True):
        assert isinstance(group.function, Tensored)
        product, k = group.function.products(x)[0]
        groups.append(Group(group.joints, product))
        start.append(k)
    now = replace(both, problem=both.problem.with_groups(groups), x=torch.cat([theta, *start]))
    best = both
    # Few knots first: many are led astray by a start that a few have made.
    for knots in (ROUGH, _FINE):
        now = _on_knots(now, knots, base, held)
        if now.held_out <= _SEPARABLE * max(best.held_out, floor):
            best = now
    return best


def fed_back(fitted: FlexibleNonlinearity, base: Fit, held: Answers) -> FlexibleNonlinearity:
    """A force that is a function of the joint force as the same function of the load, which is less
    by the force itself, where that leaves clearly less."""
    kind = fitted.kind
    if not (kind.place == "tau" and kind.added and "tau" in kind.features):
        return fitted
    first, *rest = ("load" if f == "tau" else f for f in kind.features)
    loaded = replace(kind, feature=first, second=rest[0] if rest else None)
    problem = NonlinearityProblem(base, fitted.problem.answers, loaded, fitted.problem.groups)
    x = problem.solve(fitted.x, 25)
    error = held_out_error(base, held, loaded, problem.groups, x)
    better = error < _CLEARLY * fitted.held_out
    if not better:
        return fitted
    return FlexibleNonlinearity(kind=loaded, problem=problem, x=x, held_out=error)


def _on_knots(
    now: FlexibleNonlinearity, knots: int, base: Fit, held: Answers
) -> FlexibleNonlinearity:
    """Products of functions with so many knots, fitted from those of `now`."""
    theta, *c = now.x.split(now.problem.split)
    z = now.problem.at(now.x).z
    groups, start = [], []
    for group, x in zip(now.problem.groups, c, strict=True):
        composed = group.function
        assert isinstance(composed, Composed)
        for which, own in enumerate(composed.split(x)):
            factor = composed.factors[which]
            assert isinstance(factor, Splined)
            finer = Basis.over(z[:, list(group.joints), which], knots)
            function, moved = factor.moved(finer, own)
            composed = composed.with_factor(which, function)
            start.append(moved)
        groups.append(Group(group.joints, composed))
    problem = now.problem.with_groups(groups)
    x = problem.solve(torch.cat([theta, *start]), 25)
    error = held_out_error(base, held, now.kind, groups, x)
    return replace(now, problem=problem, x=x, held_out=error)


def sharpened(smooth: FlexibleNonlinearity, base: Fit, held: Answers) -> FlexibleNonlinearity:
    """The same with corners in its functions, as long as held-out answers show them clearly."""
    now = smooth
    for _ in range(_CORNERS - corners_of(smooth.problem)):
        bent = with_corners(now.problem, now.x)
        if bent is None:
            break
        problem, x = bent[0], bent[0].solve(bent[1], 15)
        error = held_out_error(base, held, now.kind, problem.groups, x)
        if not error < _SHARPER * now.held_out:
            break
        now = replace(now, problem=problem, x=x, held_out=error)
    return now
