"""Are the bodies asked, or do they answer, through a function that nobody listed?

Where bodies with any force beside them leave something over, every channel is given a flexible
function: of itself, or a factor that is a function of another coordinate of its joint, or of the
size of a whole vector, as where everything stops at a total speed. The kind
that predicts held-out answers best goes on: which joints have a function of their own, which share
one; then the formula of each is looked for, as for forces; where none is found it stays a table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.laws.extensions.tabulated import Basis
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.additive import prune
from discover.laws.search.basis_search import search
from discover.laws.search.basis_targets import across, laid_beside
from discover.laws.search.nonlinearities.io_fit import ChannelProblem, Group, Kind
from discover.laws.search.nonlinearities.io_functions import (
    Flexible,
    Formula,
    Splined,
    as_fit,
    corners_of,
    with_corners,
)
from discover.laws.search.rounds import length_of
from discover.laws.search.selection import _ALPHABET, EFFECTIVE_SAMPLES, Selection, refit
from discover.laws.search.variables import has_points
from discover.numerics import robust_cost

KINDS = (
    Kind("a", "a"),
    Kind("a", "v"),
    Kind("a", "q"),
    Kind("tau", "tau"),
    Kind("tau", "v"),
    Kind("tau", "q"),
    Kind("v", "v"),
    Kind("q", "q"),
    Kind("a", "|v|"),
    Kind("a", "|q|"),
    Kind("a", "|a|"),
    Kind("tau", "|v|"),
    Kind("tau", "|tau|"),
)
_CHEAP = ("a", "tau")  # places whose bodies are laid out once
_FEW, _SOME, _MANY = 200, 480, 720  # answers of the screening, of the search, held out
_ROUGH, _FINE = 8, 18  # knots
_PROMISING = 0.6  # of what laws without channels leave, for a kind to be looked at
_EXPLAINED = 0.25  # of what bodies leave: few knots follow no corner, as a fine table does
_CORNERS, _SHARPER = 2, 0.8  # of a function at most; of the error before, what one may leave
_CLOSE = 1.5  # times the least, a kind that is looked at too
_HOPELESS = 1.3  # times what a kind may leave, that a first step promises to leave
_ALIKE = 1.15  # times what functions of their own leave, and joints share one
_SEEN, _SHAPES = 12, 2  # formulas seen for a function, and tried of each number of summands
_NOTHING_LEFT = 1.15
_HOLDS, _LEFT = 0.02, 1.5  # what a law may leave (standardised), and in units of the floor


def explain(
    base: Fit, best: Fit, answers: Answers, held: Answers, *, floor: float
) -> Selection | None:
    """The law behind a channel that describes held-out answers more shortly than `best`, or None.

    `base` is the rigid body with its joint terms, fitted to `answers`, `best` the best law found
    without channels.
    """
    robot = base.family.robot
    if not has_points(robot) or base.integrator is not None:
        return None
    finite = torch.isfinite(answers.a).all(-1)
    answers = answers[finite].evenly(_MANY)
    held = held[torch.isfinite(held.a).all(-1)].evenly(_SOME)
    before = best.standardised_error(held)
    if before <= _NOTHING_LEFT * floor:
        return None
    length, chosen = length_of(best, held, floor), None
    for rough in _promising(base, answers, held, before, floor):
        found = _law(base, rough, answers, held, floor)
        if found is None or found.fit.standardised_error(held) > max(_HOLDS, _LEFT * floor):
            continue
        if found.length < length:
            length, chosen = found.length, found
    return chosen


def _promising(
    base: Fit, answers: Answers, held: Answers, before: float, floor: float
) -> list[Flexible]:
    """The kinds whose rough functions leave clearly less than laws without channels, or hardly
    anything of what bodies alone leave, best first."""
    few, tested = answers.evenly(_FEW), held.evenly(_FEW)
    every = [(j,) for j in range(base.family.robot.nv)]
    worth = max(_PROMISING * before, _EXPLAINED * base.standardised_error(held))
    found = []
    for kind in (k for k in KINDS if not k.whole or len(every) > 1):
        starts = [_centred(base, few, kind)]
        starts += [base.theta] if kind.place in _CHEAP else []
        problems = [_problem(base, s, few, kind, every, _ROUGH) for s in starts]
        if min(problem.promises(x) for problem, x in problems) > _HOPELESS * worth:
            continue
        tried = [
            _fitted(base, start, few, tested, kind, every, _ROUGH, 8, begun)
            for start, begun in zip(starts, problems, strict=True)
        ]
        found.append(min(tried, key=lambda f: f.held_out))
    if not found:
        return []
    found.sort(key=lambda f: f.held_out)
    limit = min(worth, _CLOSE * max(found[0].held_out, floor))
    return [f for f in found if f.held_out <= limit][:2]


def _centred(base: Fit, answers: Answers, kind: Kind) -> Tensor:
    """Bodies fitted to answers where the channel is near the middle of what was seen.

    There a function that bends far out is nearly straight.
    """
    x = {"q": answers.q, "v": answers.v, "tau": answers.tau, "a": answers.a}[kind.quantity]
    if kind.whole:
        size = x.norm(dim=-1)
    else:
        x = x - x.median(0).values
        size = (x / x.square().mean(0).sqrt().clamp_min(1e-300)).abs().amax(-1)
    count = max(len(answers) // 3, 4 * base.family.size // base.family.robot.nv)
    few = answers[size.argsort(stable=True)[:count]]
    found = refit(base, few, base.family.terms)
    return found.theta if math.isfinite(found.error) else base.theta


def _fitted(
    base: Fit,
    theta: Tensor,
    answers: Answers,
    held: Answers,
    kind: Kind,
    joints: Sequence[tuple[int, ...]],
    knots: int,
    evaluations: int,
    begun: tuple[ChannelProblem, Tensor] | None = None,
) -> Flexible:
    """Bodies from `theta` and splines from nothing altered, one for each of the groups `joints`,
    or the problem `begun` from these.

    A corner is put in at once: bodies are led astray by a spline that cannot follow one.
    """
    problem, x = begun or _problem(base, theta, answers, kind, joints, knots)
    problem, x = with_corners(problem, x) or (problem, x)
    x = problem.solve(x, evaluations, knots <= _ROUGH)
    if kind.quantity == "a":  # the bodies' own answer has moved with them
        problem, x = _problem(base, x[: len(theta)], answers, kind, joints, knots, (problem, x))
        x = problem.solve(x, evaluations, knots <= _ROUGH)
    return Flexible(
        kind=kind, problem=problem, x=x, held_out=_error(base, held, kind, problem.groups, x)
    )


def _problem(
    base: Fit,
    theta: Tensor,
    answers: Answers,
    kind: Kind,
    joints: Sequence[tuple[int, ...]],
    knots: int,
    before: tuple[ChannelProblem, Tensor] | None = None,
) -> tuple[ChannelProblem, Tensor]:
    """That of splines for the groups `joints`, and its start: bodies `theta`, and nothing altered
    or the functions of a problem `before`."""
    z = torch.nan_to_num(ChannelProblem(base, answers, kind, ()).bodies(theta)[1])
    groups, start = [], []
    for n, group in enumerate(joints):
        function = Splined(Basis.over(z[:, list(group)], knots, tails=kind.whole))
        at = torch.from_numpy(function.basis.knots)
        own = function.like((torch.ones_like(at) if kind.factor else at).numpy())
        if before is not None:
            problem, x = before
            was = problem.groups[n].function
            assert isinstance(was, Splined)
            function, own = was.moved(function.basis, x.split(problem.split)[1 + n])
        groups.append(Group(group, function))
        start.append(own)
    return ChannelProblem(base, answers, kind, groups), torch.cat([theta, *start])


def _error(base: Fit, held: Answers, kind: Kind, groups: Sequence[Group], x: Tensor) -> float:
    r = ChannelProblem(base, held, kind, groups).residual(x)
    return math.sqrt(robust_cost(r))


def _law(
    base: Fit, rough: Flexible, answers: Answers, held: Answers, floor: float
) -> Selection | None:
    """The law of one kind with the shortest description: formulas, or tables where none does."""
    flexible = _grouped(base, rough, answers, held, floor)
    found: list[Selection] = []
    for each in (flexible, _formulas(base, flexible, held, floor)):
        law = as_fit(base, each)
        law = refit(law, answers, law.family.terms)
        if math.isfinite(law.standardised_error(held)):
            kept = Selection(fit=law, length=length_of(law, held, floor))
            found.append(prune(kept, answers, held, floor))
    return min(found, key=lambda s: s.length, default=None)


def _grouped(base: Fit, rough: Flexible, answers: Answers, held: Answers, floor: float) -> Flexible:
    """Flexible functions of the fewest joints: one that all share, or of those that need one."""
    joints, kind = range(base.family.robot.nv), rough.kind
    start = rough.x[: base.family.size]

    def fitted(groups: Sequence[tuple[int, ...]], theta: Tensor) -> Flexible:
        # Few answers reach far out in size, and many knots there have nothing to hold them.
        tried = [
            _sharpened(_fitted(base, theta, answers, held, kind, groups, knots, 15), base, held)
            for knots in ((_FINE, _ROUGH) if kind.whole else (_FINE,))
        ]
        return min(tried, key=lambda f: f.held_out)

    best = fitted([(j,) for j in joints], start)
    theta = best.x[: base.family.size]
    enough = _ALIKE * max(best.held_out, floor)
    if len(joints) > 1:
        alike = fitted([tuple(joints)], theta)
        if alike.held_out <= enough:
            return alike
    groups = [(j,) for j in joints]
    for j in joints:
        fewer = [g for g in groups if g != (j,)]
        if fewer and (one := fitted(fewer, theta)).held_out <= enough:
            best, groups = one, fewer
    return best


def _sharpened(smooth: Flexible, base: Fit, held: Answers) -> Flexible:
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


def _formulas(base: Fit, flexible: Flexible, held: Answers, floor: float) -> Flexible:
    """The functions one after the other as formulas, all else fitted along with each."""
    now = flexible
    for n in range(len(flexible.problem.groups)):
        seen = _shapes_of(now, n, floor)
        tried: list[Flexible] = []
        for formula in seen:  # the fewest summands first
            trial = _replaced(base, now, n, formula, held)
            tried += [] if trial is None else [trial]
            if trial is not None and trial.held_out <= 1.03 * max(now.held_out, floor):
                break
        enough = [t for t in tried if t.held_out < 1.5 * max(now.held_out, floor)]
        if enough:
            now = min(enough, key=lambda t: length_of(as_fit(base, t), held, floor))
    return now


def _shapes_of(now: Flexible, n: int, floor: float) -> list[tuple[Formula, Tensor]]:
    """Formulas that come close to the n-th function, by what they make of the answers."""
    problem, x = now.problem, now.x
    theta, *c = x.split(problem.split)
    seen = problem.at(x)
    group = problem.groups[n]
    joints = list(group.joints)
    feature = seen.z[:, joints]
    bodies = seen.slopes
    if problem.kind.place == "tau":
        bodies = bodies @ across(theta, bodies)  # forces twice as large on bodies twice as heavy
    slopes = problem.function_slopes(seen, c)
    others = [s for m, s in enumerate(slopes) if m != n]
    coarse, fine = laid_beside(
        -seen.pushed[..., joints],
        feature,
        group.function(feature, c[n]),
        torch.cat([bodies, *others], -1),
        torch.nan_to_num(seen.residual),
        floor,
    )

    def length(error: float, symbols: int, numbers: int) -> float:
        bits = EFFECTIVE_SAMPLES * math.log(max(error, fine.floor))
        return bits + symbols * math.log(_ALPHABET) + 0.5 * numbers * math.log(EFFECTIVE_SAMPLES)

    # A limit has two ends, and they need not be alike.
    found = search(coarse, fine, length, _SEEN, summands=3)
    sizes = [[f for f in found if len(f.shapes) == k][:_SHAPES] for k in (1, 2, 3)]
    return [Formula.of(f, fine.size) for some in sizes for f in some]


def _replaced(
    base: Fit, now: Flexible, n: int, formula: tuple[Formula, Tensor], held: Answers
) -> Flexible | None:
    """The n-th function replaced by a formula, everything fitted together again."""
    problem = now.problem
    theta, *c = now.x.split(problem.split)
    groups = list(problem.groups)
    groups[n], c[n] = Group(groups[n].joints, formula[0]), formula[1]
    own = ChannelProblem(base, problem.answers, now.kind, groups)
    start = torch.cat([theta, *c])
    if not bool(torch.isfinite(own.residual(start)).all()):
        return None
    x = own.solve(start, 12)
    error = _error(base, held, now.kind, groups, x)
    return Flexible(kind=now.kind, problem=own, x=x, held_out=error) if error < math.inf else None
