"""Search for static input/output nonlinearities (Hammerstein–Wiener) around the bodies.

Where the rigid body with any force terms leaves something over, every input and output is given a
flexible function: of itself, or a factor that is a function of another coordinate of its joint, or
of the norm of a whole vector, as where motion ends at a total speed. The kind that predicts
held-out answers best goes on: which joints have a function of their own, which share one; then the
formula of each function is searched for; where none is found it stays a table.

Forces that are functions of the joint forces alone are such a nonlinearity in another form:

    H a + b + Σ c φ_j(tau) = tau_j     is     H a + b = tau_j - Σ c φ_j(tau)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import sympy
import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold, whole
from discover.laws.extensions.io_nonlinearity import PLACES, StaticNonlinearity
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
    fit_with_nonlinearities,
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
from discover.laws.search.nonlinearities.io_pairs import Composed, Scaled, Tensored
from discover.laws.search.selection import Selection, candidate_length, refit
from discover.laws.search.variables import has_points, vocabulary
from discover.numerics import robust_cost

KINDS = (
    NonlinearityKind("a", "a"),
    NonlinearityKind("a", "v"),
    NonlinearityKind("a", "q"),
    NonlinearityKind("tau", "tau"),
    NonlinearityKind("tau", "v"),
    NonlinearityKind("tau", "q"),
    NonlinearityKind("v", "v"),
    NonlinearityKind("q", "q"),
    NonlinearityKind("a", "|v|"),
    NonlinearityKind("a", "|q|"),
    NonlinearityKind("a", "|a|"),
    NonlinearityKind("tau", "|v|"),
    NonlinearityKind("tau", "|tau|"),
)
_OF_JOINT = ("q", "v", "tau")  # what a function of joint j may be one of, beside its own answer


def _quantities(place: str) -> tuple[str, ...]:
    return (*_OF_JOINT, "a") if place == "a" else _OF_JOINT


def _of_one(place: str) -> list[NonlinearityKind]:
    """Something added that is a function of another quantity of the same joint; or a factor that is
    a function of a product of two."""
    # A force that is a function of q or v is a term beside the bodies, and is searched for as one.
    others = [] if place == "tau" else [x for x in _quantities(place) if x != place]
    products = ["*".join(pair) for pair in itertools.combinations(_quantities(place), 2)]
    return [
        *(NonlinearityKind(place, x, added=True) for x in others),
        *(NonlinearityKind(place, x) for x in products),
    ]


def _of_two(place: str) -> list[NonlinearityKind]:
    """Something added that is a function of any two quantities of the joint."""
    pairs = itertools.combinations(_quantities(place), 2)
    return [NonlinearityKind(place, x, y, added=True) for x, y in pairs]


def _on_a_scale(place: str) -> list[NonlinearityKind]:
    """A function of the input or output whose scale another quantity of the joint sets."""
    return [NonlinearityKind(place, place, x) for x in _quantities(place) if x != place]


# Any function of one joint's quantities, plain ones first: the later ones follow the earlier, too.
JOINT_FUNCTIONS = tuple(
    tuple(kind for place in PLACES for kind in kinds(place))
    for kinds in (_of_one, _of_two, _on_a_scale)
)
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
_REACHED = threshold("search.formula_reached")
_HOLDS, _LEFT = threshold("search.io_error"), threshold("search.io_error_over_floor")
_STRETCHED = threshold("search.drive_unit")
_SLOPE = threshold("search.drive_slope")
_SAME = threshold("search.drive_error")

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
) -> Selection | None:
    """The law with an input/output nonlinearity that describes held-out answers more shortly than
    `best`, or None.

    base  the rigid body with its joint terms, fitted to `answers`
    best  the best law found without such nonlinearities
    """
    if not has_points(base.family.robot) or base.step is not None:
        return None
    answers = answers[torch.isfinite(answers.a).all(-1)].evenly(_FITTED)
    held = held[torch.isfinite(held.a).all(-1)].evenly(_TESTED)
    family = IONonlinearities(
        answers=answers, held=held, floor=floor, base=base, kinds=tuple(kinds)
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

    @property
    def _joints(self) -> list[tuple[int, ...]]:
        """Groups of one joint each."""
        return [(j,) for j in range(self.base.family.robot.nv)]

    def _worth(self, error: float) -> float:
        """What a kind may leave: clearly less than the best law, or hardly anything of what the
        bodies alone leave."""
        return max(_PROMISING * error, _EXPLAINED * self.base.standardised_error(self.held))

    def propose(self, current: Fit, error: float) -> list[Begun]:
        """The kinds whose first step, with few knots, promises to leave clearly less."""
        few, worth = self.answers.evenly(_SCREENED), self._worth(error)
        out = []
        for kind in (k for k in self.kinds if not k.whole or len(self._joints) > 1):
            starts = [_centred(self.base, few, kind)]
            starts += [self.base.theta] if kind.place in _LAID_OUT_ONCE else []
            problems = [_problem(self.base, s, few, kind, self._joints, _ROUGH) for s in starts]
            if min(problem.promises(x) for problem, x in problems) <= _HOPELESS * worth:
                out.append((kind, starts, problems))
        return out

    def fit_flexible(
        self, current: Fit, candidates: Sequence[Begun], error: float
    ) -> list[FlexibleNonlinearity]:
        """Few knots, few answers: those that leave least on held-out answers."""
        few, tested = self.answers.evenly(_SCREENED), self.held.evenly(_SCREENED)
        fitted = []
        for kind, starts, problems in candidates:
            tried = [
                _fitted(self.base, start, few, tested, kind, self._joints, _ROUGH, 8, begun)
                for start, begun in zip(starts, problems, strict=True)
            ]
            fitted.append(min(tried, key=lambda f: f.held_out))
        fitted.sort(key=lambda f: f.held_out)
        if not fitted:
            return []
        limit = min(self._worth(error), _CLOSE * max(fitted[0].held_out, self.floor))
        return [f for f in fitted if f.held_out <= limit][:_KINDS_FITTED]

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
    """Bodies fitted to answers where the function's variable is near the middle of its sample.

    There a function that bends far out is nearly straight.
    """
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
    """Functions of the input or output alone, with a corner each, fitted: a scale acts on them only
    where they bend."""
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


def _grouped(
    base: Fit, rough: FlexibleNonlinearity, answers: Answers, held: Answers, floor: float
) -> FlexibleNonlinearity:
    """Functions of the fewest joints: one that all share, or of those joints that need one."""
    joints, kind = range(base.family.robot.nv), rough.kind
    start = rough.x[: base.family.size]

    def fitted(groups: Sequence[tuple[int, ...]], theta: Tensor) -> FlexibleNonlinearity:
        if kind.scaled:
            tried = [_fitted(base, theta, answers, held, kind, groups, k, 25) for k in (_ROUGH, _FINE)]
            return min(tried, key=lambda f: f.held_out)
        if kind.second is not None:
            both = _fitted(base, theta, answers, held, kind, groups, _ROUGH, 15)
            return separated(both, base, answers, held, floor)
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
    both: FlexibleNonlinearity, base: Fit, answers: Answers, held: Answers, floor: float
) -> FlexibleNonlinearity:
    """The same with one product of finer functions in the place of each function of two variables,
    where that leaves little more; else unchanged."""
    problem, kind = both.problem, both.kind
    theta, *c = both.x.split(problem.split)
    z = problem.at(both.x).z
    groups, start = [], []
    for group, x in zip(problem.groups, c, strict=True):
        assert isinstance(group.function, Tensored)
        product, k = group.function.products(x)[0]
        for which, (factor, own) in enumerate(zip(product.factors, product.split(k), strict=True)):
            assert isinstance(factor, Splined)
            finer = Basis.over(z[:, list(group.joints), which], _FINE)
            function, moved = factor.moved(finer, own)
            product = product.with_factor(which, function)
            start.append(moved)
        groups.append(Group(group.joints, product))
    finer_problem = problem.with_groups(groups)
    x = finer_problem.solve(torch.cat([theta, *start]), 25)
    error = _error(base, held, kind, groups, x)
    if not error <= _SEPARABLE * max(both.held_out, floor):
        return both
    return FlexibleNonlinearity(kind=kind, problem=finer_problem, x=x, held_out=error)


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


def as_input_nonlinearity(
    law: Fit, answers: Answers, held: Answers, floor: float
) -> Selection | None:
    """The law with its forces of tau as an input nonlinearity, where these outgrow tau; else None.

    The same law may stand beside bodies of any size: where tau_j itself is nothing beside the
    functions of it, bodies come out heavier without end. Here the input has the unit of tau.
    """
    family, k = law.family, law.family.basis.shape[1]
    coefficients = law.theta[k:].tolist()
    drive = [not t.physical for t in family.terms]
    extra = [t for t in family.terms if not t.physical]
    if not extra or family.non_additive or law.step is not None:
        return None
    words = vocabulary(family.robot.nv)
    joint_forces = [words[f"tau{j + 1}"] for j in range(family.robot.nv)]
    if any(not row.free_symbols <= set(joint_forces) for t in extra for row in t.shape):
        return None
    tables = [table for t in extra for table in t.tables]
    if len({t.name for t in tables}) < len(tables):
        return None
    bodies_tau = list(joint_forces)
    for term, c, mine in zip(family.terms, coefficients, drive, strict=True):
        if mine:
            bodies_tau = [
                x - sympy.Float(c, 17) * row for x, row in zip(bodies_tau, term.shape, strict=True)
            ]
    nonlinearity = StaticNonlinearity(place="tau", rows=tuple(bodies_tau), tables=tuple(tables))
    unit = _unit(nonlinearity, answers)
    if unit is None or 1 / _STRETCHED < unit < _STRETCHED:
        return None
    kept = [k + i for i, mine in enumerate(drive) if not mine]
    bare = family.with_terms([t for t in family.terms if t.physical])
    start = law.theta[[*range(k), *kept]] / unit
    limit = _SAME * max(law.standardised_error(held), floor)
    selections = []
    for share in (sympy.Float(1 / unit, 17), sympy.Integer(0)):
        rows = tuple(
            share * x + sympy.expand((row - x) / sympy.Float(unit, 17))
            for x, row in zip(joint_forces, bodies_tau, strict=True)
        )
        behind = replace(bare, nonlinearities=(replace(nonlinearity, rows=rows),))
        fitted = fit_with_nonlinearities(behind, answers, start, law)
        if fitted.standardised_error(held) <= limit:
            selections.append(Selection(fit=fitted, length=candidate_length(fitted, held, floor)))
    return min(selections, key=lambda s: s.length, default=None)


def _unit(nonlinearity: StaticNonlinearity, answers: Answers) -> float | None:
    """The slope of the altered joint force with the joint force: near no force or, where it is flat
    there, where it is steepest, the mean of all joints; None where some joint is not altered, for
    that holds the bodies to their size."""
    tau = answers.tau
    h = 0.02 * tau.abs().amax(0)
    probed = torch.cat([torch.zeros_like(tau[:1]), tau])
    q, v = (torch.cat([x[:1], x]) for x in (answers.q, answers.v))
    ahead, behind = (nonlinearity.values(q, v, probed + s * h) for s in (1.0, -1.0))
    middle, *_ = slopes = (ahead - behind) / (2 * h)
    most = slopes.quantile(0.98, dim=0)
    chosen = torch.where(middle > _SLOPE * most, middle, most)
    unit = float(chosen.mean())
    whole = len(nonlinearity.altered) == tau.shape[-1]
    return unit if whole and math.isfinite(unit) and unit > 0 else None
