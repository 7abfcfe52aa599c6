"""Search for static input/output nonlinearities (Hammerstein–Wiener) around the bodies.

Where rigid bodies with any force terms leave something over, every input and output is given a
flexible function of each kind (io_kinds.py). The kind that predicts held-out answers best goes on:
which joints share a function; then its formula is searched for; without one it stays a table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.tabulated import Basis
from discover.laws.regression.engines.contract import formula_length
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.basis_search import search
from discover.laws.search.basis_targets import function_targets, scale_free_directions
from discover.laws.search.greedy_search import (
    CandidateFamily,
    CandidateLaw,
    explained,
    greedy_search,
)
from discover.laws.search.nonlinearities.io_fit import (
    Group,
    NonlinearityKind,
    NonlinearityProblem,
)
from discover.laws.search.nonlinearities.io_functions import (
    FlexibleNonlinearity,
    Formula,
    Splined,
    as_fit,
    corners_of,
    formulas_one_by_one,
    with_corners,
)
from discover.laws.search.nonlinearities.io_kinds import KINDS
from discover.laws.search.nonlinearities.io_pairs import Composed, Scaled, Tensored
from discover.laws.search.selection import Selection, candidate_length, refit
from discover.laws.search.variables import has_points
from discover.numerics import robust_cost

_LAID_OUT_ONCE = ("a", "tau")  # places whose bodies are laid out once: a second start is cheap
_SCREENED = whole("search.io_screened_answers")
_FITTED, _TESTED = whole("search.fitted_answers"), whole("search.held_out_answers")
_ADDED_KNOTS, _SCALE_KNOTS = whole("search.added_knots"), whole("search.scale_knots")
_SEPARABLE = threshold("search.pair_separable")
_ROUGH, _FINE = whole("search.rough_knots"), whole("search.io_fine_knots")
_PROMISING = threshold("search.flexible_gain")
_EXPLAINED = threshold("search.io_explained")
_CORNERS, _SHARPER = whole("search.corners"), threshold("search.corner_gain")
_CLOSE = threshold("search.close_kind")
_HOPELESS = threshold("search.hopeless_kind")
_KINDS_FITTED = whole("search.io_kinds")
_SHARED = threshold("search.shared_function")
_SEARCHED, _TRIED = whole("search.io_formulas_searched"), whole("search.io_formulas_tried")
_MOST = threshold("search.most_held_out")
_REACHED = threshold("search.formula_reached")
_HOLDS, _LEFT = threshold("search.io_error"), threshold("search.io_error_over_floor")

# Splines begun: the kind, the bodies to start from, and the problems with their starts.
Begun = tuple[NonlinearityKind, list[Tensor], list[tuple[NonlinearityProblem, Tensor]]]


def search_io_nonlinearity(
    base: Fit,
    best: Fit,
    answers: Answers,
    held: Answers,
    *,
    floor: float,
    kinds: Sequence[NonlinearityKind] = KINDS,
    begun: int = len(KINDS),
    strict: bool = False,
) -> Selection | None:
    """The law with an input/output nonlinearity around the rigid body `base` with its joint terms,
    fitted to `answers`, that describes held-out answers more shortly than `best`, or None."""
    if not has_points(base.family.robot) or base.step is not None:
        return None
    answers = answers[torch.isfinite(answers.a).all(-1)].evenly(_FITTED)
    held = held[torch.isfinite(held.a).all(-1)].evenly(_TESTED)
    family = IONonlinearities(
        answers=answers,
        held=held,
        floor=floor,
        base=base,
        kinds=tuple(kinds),
        begun=begun,
        strict=strict,
    )
    if explained(best.standardised_error(held), floor):
        return None
    selected = greedy_search(family, Selection(fit=best, length=family.price(best))).best
    return None if selected.fit is best else selected


@dataclass(frozen=True, kw_only=True)
class IONonlinearities(CandidateFamily[Begun, FlexibleNonlinearity]):
    """Kinds of input/output nonlinearities around the bodies of `base`."""

    base: Fit
    kinds: tuple[NonlinearityKind, ...] = field(default=KINDS)
    begun: int = len(KINDS)
    strict: bool = False

    @property
    def _joints(self) -> list[tuple[int, ...]]:
        """Groups of one joint each."""
        return [(j,) for j in range(self.base.family.robot.nv)]

    def _worth(self, error: float) -> float:
        """What a kind may leave: clearly less than the best law, or little of what bodies leave."""
        return max(_PROMISING * error, _EXPLAINED * self.base.standardised_error(self.held))

    def propose(self, current: Fit, error: float) -> list[Begun]:
        """The kinds whose first step, with few knots, promises to leave clearly less; of many, the
        `begun` most promising."""
        few, worth = self.answers.evenly(_SCREENED), self._worth(error)
        if self.strict and _PROMISING * error <= self.floor:  # noise alone is not clearly less
            return []
        hopeful: list[tuple[float, Begun]] = []
        for kind in (k for k in self.kinds if not k.whole or len(self._joints) > 1):
            starts = [_centred(self.base, few, kind)]
            starts += [self.base.theta] if kind.place in _LAID_OUT_ONCE else []
            problems = [_problem(self.base, s, few, kind, self._joints, _ROUGH) for s in starts]
            left = min(problem.promises(x) for problem, x in problems)
            if left <= _HOPELESS * worth:
                hopeful.append((left, (kind, starts, problems)))
        if len(hopeful) <= self.begun:
            return [each for _, each in hopeful]
        hopeful.sort(key=lambda each: each[0])
        return [each for _, each in hopeful[: self.begun]]

    def fit_flexible(
        self, current: Fit, candidates: Sequence[Begun], error: float
    ) -> list[FlexibleNonlinearity]:
        """Few knots, few answers: those that leave least on held-out answers."""
        few, tested = self.answers.evenly(_SCREENED), self.held.evenly(_SCREENED)
        fitted: list[tuple[float, FlexibleNonlinearity]] = []
        for kind, starts, problems in candidates:
            tried = [
                _fitted(self.base, start, few, tested, kind, self._joints, _ROUGH, 8, begun)
                for start, begun in zip(starts, problems, strict=True)
            ]
            if kind.second is not None and kind.added:
                tried = [separated(each, self.base, tested, self.floor) for each in tried]
            best = min(tried, key=lambda f: f.held_out)
            fitted.append((max(best.held_out, _of_most(self.base, tested, best)), best))
        if not fitted:
            return []
        fitted.sort(key=lambda each: each[0])
        limit = min(self._worth(error), _CLOSE * max(fitted[0][0], self.floor))
        return [f for left, f in fitted if left <= limit][:_KINDS_FITTED]

    def laws(
        self, current: Fit, flexible: FlexibleNonlinearity, error: float, place: int
    ) -> list[CandidateLaw]:
        """The law of one kind with tables, and with formulas."""
        tables = _grouped(self.base, flexible, self.answers, self.held, self.floor)
        laws = []
        for each in (tables, _with_formulas(self.base, tables, self.held, self.floor)):
            law = as_fit(self.base, each)
            law = refit(law, self.answers, law.family.terms)
            if math.isfinite(law.standardised_error(self.held)):
                laws.append(CandidateLaw(fit=law, length=self.price(law), origin=flexible.kind))
        return laws

    def accepted(self, laws: list[CandidateLaw]) -> list[CandidateLaw]:
        """Of each kind the shortest, if it leaves little enough."""
        limit = max(_HOLDS, _LEFT * self.floor)
        kinds = dict.fromkeys(law.origin for law in laws)
        best = [min((x for x in laws if x.origin == k), key=lambda x: x.length) for k in kinds]
        return [law for law in best if law.fit.standardised_error(self.held) <= limit]


def _centred(base: Fit, answers: Answers, kind: NonlinearityKind) -> Tensor:
    """Bodies fitted where the function's variable is near the middle of its sample: there a
    function that bends far out is nearly straight."""
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


def _fitted(
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
    problem, x = begun or _problem(base, theta, answers, kind, joints, knots)
    problem, x = with_corners(problem, x) or (problem, x)
    x = problem.solve(x, evaluations, knots <= _ROUGH)
    if kind.of_answer and kind.second is None:  # the bodies' own answer has moved with them
        problem, x = _problem(base, x[: len(theta)], answers, kind, joints, knots, (problem, x))
        x = problem.solve(x, evaluations, knots <= _ROUGH)
    return FlexibleNonlinearity(
        kind=kind, problem=problem, x=x, held_out=_error(base, held, kind, problem.groups, x)
    )


def _problem(
    base: Fit,
    theta: Tensor,
    answers: Answers,
    kind: NonlinearityKind,
    joints: Sequence[tuple[int, ...]],
    knots: int,
    before: tuple[NonlinearityProblem, Tensor] | None = None,
) -> tuple[NonlinearityProblem, Tensor]:
    """That of splines for the groups `joints`, and its start: bodies `theta`, and nothing altered
    or the functions of a problem `before`."""
    z = torch.nan_to_num(NonlinearityProblem(base, answers, kind, ()).bodies(theta)[1])
    groups, start = [], []
    if kind.scaled:
        alone = _unscaled(base, theta, answers, kind, joints, knots)
        theta = alone[1][: len(theta)]
    for n, group in enumerate(joints):
        own = z[:, list(group)]
        if kind.scaled:
            scale = Splined(Basis.over(own[..., 1], min(knots, _SCALE_KNOTS)))
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


def _unscaled(
    base: Fit,
    theta: Tensor,
    answers: Answers,
    kind: NonlinearityKind,
    joints: Sequence[tuple[int, ...]],
    knots: int,
) -> tuple[NonlinearityProblem, Tensor]:
    """Functions of the input or output alone, with corners: a scale acts where they bend."""
    plain = NonlinearityKind(kind.place, kind.place)
    problem, x = _problem(base, theta, answers, plain, joints, knots)
    for _ in range(_CORNERS):
        problem, x = with_corners(problem, x, anyway=True) or (problem, x)
    return problem, problem.solve(x, 8, rough=True)


def _error(
    base: Fit, held: Answers, kind: NonlinearityKind, groups: Sequence[Group], x: Tensor
) -> float:
    r = NonlinearityProblem(base, held, kind, groups).residual(x)
    return math.sqrt(robust_cost(r))


def _of_most(base: Fit, held: Answers, fitted: FlexibleNonlinearity) -> float:
    """Root mean square of held-out residuals, the largest tenth cut: half of them are no law."""
    problem = NonlinearityProblem(base, held, fitted.kind, fitted.problem.groups)
    r = problem.residual(fitted.x).abs().flatten()
    if not bool(torch.isfinite(r).all()):
        return math.inf
    return float(r.clamp_max(r.quantile(_MOST)).square().mean().sqrt())


def _grouped(
    base: Fit, rough: FlexibleNonlinearity, answers: Answers, held: Answers, floor: float
) -> FlexibleNonlinearity:
    """Functions of the fewest joints: one that all share, or of those joints that need one."""
    joints, kind = range(base.family.robot.nv), rough.kind
    start = rough.x[: base.family.size]

    def fitted(groups: Sequence[tuple[int, ...]], theta: Tensor) -> FlexibleNonlinearity:
        if kind.scaled:
            tried = [
                _fitted(base, theta, answers, held, kind, groups, k, 25) for k in (_ROUGH, _FINE)
            ]
            return min(tried, key=lambda f: f.held_out)
        if kind.second is not None:
            both = _fitted(base, theta, answers, held, kind, groups, _ROUGH, 15)
            return separated(both, base, held, floor)
        # Few answers reach far out in size, and many knots there have nothing to hold them.
        tried = [
            _sharpened(_fitted(base, theta, answers, held, kind, groups, knots, 15), base, held)
            for knots in ((_FINE, _ROUGH) if kind.whole else (_FINE,))
        ]
        return min(tried, key=lambda f: f.held_out)

    best = fitted([(j,) for j in joints], start)
    theta = best.x[: base.family.size]
    enough = _SHARED * max(best.held_out, floor)
    if len(joints) > 1:
        shared = fitted([tuple(joints)], theta)
        if shared.held_out <= enough:
            return shared
    groups = [(j,) for j in joints]
    for j in joints:
        fewer = [g for g in groups if g != (j,)]
        if fewer and (one := fitted(fewer, theta)).held_out <= enough:
            best, groups = one, fewer
    return best


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
    for knots in (_ROUGH, _FINE):
        now = _on_knots(now, knots, base, held)
        if now.held_out <= _SEPARABLE * max(best.held_out, floor):
            best = now
    return best


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
    return replace(now, problem=problem, x=x, held_out=_error(base, held, now.kind, groups, x))


def _sharpened(smooth: FlexibleNonlinearity, base: Fit, held: Answers) -> FlexibleNonlinearity:
    """The same with corners in its functions, as long as held-out answers show them clearly."""
    now = smooth
    for _ in range(_CORNERS - corners_of(smooth.problem)):
        bent = with_corners(now.problem, now.x)
        if bent is None:
            break
        problem, x = bent[0], bent[0].solve(bent[1], 15)
        error = _error(base, held, now.kind, problem.groups, x)
        if not error < _SHARPER * now.held_out:
            break
        now = replace(now, problem=problem, x=x, held_out=error)
    return now


def _with_formulas(
    base: Fit, flexible: FlexibleNonlinearity, held: Answers, floor: float
) -> FlexibleNonlinearity:
    """The functions one after the other as formulas, all else fitted along with each."""
    parts = _parts(flexible.problem)
    return formulas_one_by_one(
        flexible,
        len(parts),
        formulas=lambda now, n: _formulas_for(now, *parts[n], floor),
        replaced=lambda now, n, formula: _replaced(base, now, *parts[n], formula, held),
        length=lambda tried: candidate_length(as_fit(base, tried), held, floor),
        floor=floor,
        enough=_REACHED,
    )


def _parts(problem: NonlinearityProblem) -> list[tuple[int, int | None]]:
    """The functions of one variable: (number of the group, which factor of a product)."""
    out: list[tuple[int, int | None]] = []
    for n, group in enumerate(problem.groups):
        if isinstance(group.function, Composed):
            out += [(n, 1), (n, 0)]  # where a function is scaled, the scale is the plainer one
        elif not isinstance(group.function, Tensored):
            out.append((n, None))
    return out


def _formulas_for(
    now: FlexibleNonlinearity, n: int, factor: int | None, floor: float
) -> list[tuple[Formula, Tensor]]:
    """Formulas that come close to the n-th function, or to a factor of it, by what they make of the
    answers."""
    problem, x = now.problem, now.x
    theta, *c = x.split(problem.split)
    linearised = problem.at(x)
    group = problem.groups[n]
    joints = list(group.joints)
    feature, pushed = linearised.z[:, joints], linearised.pushed[..., joints]
    bodies = linearised.slopes
    if problem.kind.place == "tau":
        bodies = bodies @ scale_free_directions(
            theta, bodies
        )  # forces twice as large on bodies twice as heavy
    slopes = problem.function_slopes(linearised, c)
    others = [s for m, s in enumerate(slopes) if m != n]
    if factor is None:
        value = group.function(feature, c[n])
    else:
        composed = group.function
        assert isinstance(composed, Composed)
        feature, gain = composed.part(factor, feature, c[n])
        value = composed.factors[factor](feature, composed.split(c[n])[factor])
        pushed = pushed * gain.unsqueeze(1)
    coarse, fine = function_targets(
        -pushed,
        feature,
        value,
        torch.cat([bodies, *others], -1),
        torch.nan_to_num(linearised.residual),
        floor,
    )

    length = partial(formula_length, floor=fine.floor)
    # A limit has two ends, and they need not be alike.
    expansions = search(coarse, fine, length, _SEARCHED, summands=3)
    sizes = [[f for f in expansions if len(f.functions) == k][:_TRIED] for k in (1, 2, 3)]
    return [Formula.of(f, fine.size) for chosen in sizes for f in chosen]


def _replaced(
    base: Fit,
    now: FlexibleNonlinearity,
    n: int,
    factor: int | None,
    formula: tuple[Formula, Tensor],
    held: Answers,
) -> FlexibleNonlinearity | None:
    """The n-th function, or a factor of it, replaced by a formula, all fitted together again."""
    problem = now.problem
    theta, *c = now.x.split(problem.split)
    groups = list(problem.groups)
    function, constants = formula
    if factor is None:
        groups[n], c[n] = Group(groups[n].joints, function), constants
    else:
        composed = groups[n].function
        assert isinstance(composed, Composed)
        own = composed.split(c[n])
        c[n] = torch.cat([constants if i == factor else k for i, k in enumerate(own)])
        groups[n] = Group(groups[n].joints, composed.with_factor(factor, function))
    replaced = NonlinearityProblem(base, problem.answers, now.kind, groups)
    start = torch.cat([theta, *c])
    if not bool(torch.isfinite(replaced.residual(start)).all()):
        return None
    x = replaced.solve(start, 12)
    error = _error(base, held, now.kind, groups, x)
    return (
        FlexibleNonlinearity(kind=now.kind, problem=replaced, x=x, held_out=error)
        if error < math.inf
        else None
    )
