"""Formulas for the flexible functions of an input/output nonlinearity, by what they make of the
answers: the functions are replaced one after the other, all else fitted along with each."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold, whole
from discover.laws.regression.engines.contract import formula_length
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.basis_search import search
from discover.laws.search.basis_targets import function_targets, scale_free_directions
from discover.laws.search.nonlinearities.io_fit import Group, NonlinearityProblem
from discover.laws.search.nonlinearities.io_flexible import held_out_error
from discover.laws.search.nonlinearities.io_functions import (
    FlexibleNonlinearity,
    Formula,
    as_fit,
    formulas_one_by_one,
)
from discover.laws.search.nonlinearities.io_pairs import Composed, Tensored
from discover.laws.search.selection import candidate_length

_SEARCHED, _TRIED = whole("search.io_formulas_searched"), whole("search.io_formulas_tried")
_REACHED = threshold("search.formula_reached")


def with_formulas(
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
            # Where a function is scaled, the scale is the plainer one: the last first.
            out += [(n, i) for i in reversed(range(len(group.function.factors)))]
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
    if problem.kind.place == "tau" and not problem.kind.limited:
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
    error = held_out_error(base, held, now.kind, groups, x)
    return (
        FlexibleNonlinearity(kind=now.kind, problem=replaced, x=x, held_out=error)
        if error < math.inf
        else None
    )
