"""Optimisation of a formula's constants together with the bodies, then rounding of the constants.

An expansion in basis functions is a start. Here it becomes a fit of the whole family, with its
numbers at the values that the answers ask for, or at round ones where the description is shorter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import sympy
import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold
from discover.laws.extensions.terms import Term, forces, frames_at, whole_numbers
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import Fit
from discover.laws.rigid_body.joint_fit import Added, JointProblem
from discover.laws.search.basis_functions import BasisFunction
from discover.laws.search.basis_search import BasisExpansion
from discover.laws.search.force_directions import RATIO
from discover.laws.search.pair_fit import FlexiblePair
from discover.laws.search.selection import refit
from discover.laws.search.variables import Mechanics, moved_points, needs_mechanics

Length = Callable[[Fit], float]

_FRACTION, _DIGITS = threshold("search.round_fraction"), threshold("search.round_digits")


def optimise_constants(
    base: Fit,
    answers: Answers,
    smooth: FlexiblePair,
    expansion: BasisExpansion,
    size: float,
    merged: bool = False,
) -> Fit | None:
    """The bodies, coefficients, constants (and the points, where there are any) fitted together.

    merged  whether a sum of basis functions is one term, the sum being its factor: where a
            direction is long it is cheaper to write it down once
    """
    if merged and len(expansion.functions) > 1:
        expansion = _as_one(expansion)
    pair, family = smooth.pair, base.family
    points, opened = pair.points, pair.with_symbols
    templates: list[Term] = []
    names: list[str] = []
    start: list[float] = []
    for shape, first in zip(expansion.functions, expansion.constants, strict=True):
        symbols = [f"k{len(names) + i + 1}" for i in range(len(first))]
        k = [sympy.Symbol(n, real=True) for n in symbols]
        function = _scaled(shape, size, k)
        phi, term = pair.feature.through(function), opened.term(function)
        words = set().union(*(x.free_symbols for x in (phi if isinstance(phi, list) else [phi])))
        constant = not words & pair.feature.free_symbols
        name = pair.direction.name if constant else pair.name
        templates.append(replace(term, name=name))
        names += symbols
        start += list(first)
    if pair.ridge is not None:
        names, start = [*names, RATIO.name], [*start, *pair.numbers]
    kappa = torch.tensor([*start, *(x for p in points for x in p.numbers)], dtype=torch.float64)
    words = set().union(*(t.names for t in templates))
    robot = family.bodies

    def at(values: Tensor) -> tuple[list[Term], dict[str, float]]:
        constants = dict(zip(names, values.tolist(), strict=False))
        if not points:
            return templates, constants
        moved = moved_points(points, values[len(names) :].tolist())
        return [replace(t, points=moved) for t in templates], constants

    x = smooth.problem.answers
    frames = frames_at(robot, points, x.q)

    def columns(mechanics: Mechanics, a: Tensor, values: Tensor) -> Tensor:
        terms, constants = at(values)
        return forces(terms, x.q, x.v, a, x.tau, robot, mechanics, constants, frames)

    added = Added(
        columns=columns,
        size=len(templates),
        of_bodies=needs_mechanics(words - set(names)),
        of_acceleration=any(t.moves_with_acceleration for t in templates),
        affine=not any(t.nonlinear_in_acceleration for t in templates),
    )
    problem = JointProblem(base, answers, added)
    # First with the constants held, for the bodies must follow from the flexible function.
    c = torch.tensor(expansion.coefficients, dtype=torch.float64)
    still = replace(added, columns=lambda mechanics, a, _: columns(mechanics, a, kappa))
    none = kappa.new_zeros(0)
    joined = JointProblem(base, answers, still).solve(smooth.joined.theta, c, none, 4)
    if len(kappa):
        least = pair.least_damping
        joined = problem.solve(joined.theta, joined.coefficients, kappa, 25, least=least)
    if not len(kappa):
        joined = replace(joined, constants=kappa)
    if not math.isfinite(joined.error):
        return None
    terms, constants = at(joined.constants)
    frozen = []
    for t in terms:
        values = {sympy.Symbol(n, real=True): sympy.Float(c, 17) for n, c in constants.items()}
        frozen.append(replace(t, shape=tuple(row.subs(values) for row in t.shape)))
    frozen, coefficients = _normalised(frozen, joined.coefficients)
    mechanics = problem.design.mechanics(joined.theta)
    if not bool(torch.isfinite(forces(frozen, x.q, x.v, x.a, x.tau, robot, mechanics)).all()):
        return None
    theta = torch.cat([joined.theta, coefficients])
    reference = family.member(joined.theta) if added.of_bodies else family.reference
    whole = family.with_terms([*family.terms, *frozen], reference)
    return _settled(base, whole, theta, answers)


def _as_one(expansion: BasisExpansion) -> BasisExpansion:
    """The sum as one function, in units of its largest summand, whose coefficient is that of it."""
    summands = list(
        zip(expansion.coefficients, expansion.functions, expansion.constants, strict=True)
    )
    summands.sort(key=lambda x: -abs(x[0]))
    unit = summands[0][0] or 1.0
    ends = np.cumsum([len(k) + 1 for _, _, k in summands]).tolist()

    def summed(m: Any, u: Any, *k: Any) -> Any:
        numbers, total = (1, *k), 0
        for (_, f, _), i, j in zip(summands, [0, *ends[:-1]], ends, strict=True):
            total = total + numbers[i] * f.function(m, u, *numbers[i + 1 : j])
        return total

    numbers = [x for c, _, k in summands for x in (c / unit, *k)][1:]
    cost = sum(f.cost for f in expansion.functions)
    one = BasisFunction(expansion.name, summed, cost=cost)
    return replace(expansion, functions=(one,), constants=(tuple(numbers),), coefficients=(unit,))


def _scaled(
    shape: BasisFunction, size: float, constants: list[sympy.Symbol]
) -> Callable[[sympy.Expr], sympy.Expr]:
    """The basis function of a feature, in the unit `size` in which it was fitted."""
    return lambda z: shape.expression(z / sympy.Float(size), constants)


def _normalised(terms: list[Term], coefficients: Tensor) -> tuple[list[Term], Tensor]:
    """Number factors moved from the formulas to the coefficients."""
    out, numbers = [], coefficients.clone()
    for k, term in enumerate(terms):
        rows = [sympy.sympify(r) for r in term.shape]
        factors = [r.as_coeff_Mul()[0] for r in rows if r != 0]
        first = factors[0] if factors else sympy.Integer(1)
        same = first != 0 and all(abs(abs(f / first) - 1) < 1e-12 for f in factors)
        if same and (first.is_Float or abs(first) != 1):
            signs = iter(sympy.Integer(1 if f / first > 0 else -1) for f in factors)
            rows = [r if r == 0 else next(signs) * r.as_coeff_Mul()[1] for r in rows]
            numbers[k] = numbers[k] * float(first)
        out.append(replace(term, shape=tuple(whole_numbers(r) for r in rows)))
    return out, numbers


def _settled(base: Fit, family: Family, theta: Tensor, answers: Answers) -> Fit:
    """The fit of a family whose constants stand, started where it was found."""
    start = replace(base, family=family, theta=theta)
    return refit(start, answers, family.terms)


def with_tabulated_function(base: Fit, answers: Answers, smooth: FlexiblePair) -> Fit:
    """direction × φ(feature) with the flexible φ: a table, and a jump and a kink beside it."""
    pair, family = smooth.pair, base.family
    count = sum(len(t.tables) for t in family.terms)
    table, jump, kink = smooth.basis.table(f"phi{count + 1}", smooth.joined.coefficients)

    def phi(z: sympy.Expr) -> sympy.Expr:
        beside = sympy.Float(jump, 17) * sympy.sign(z) + sympy.Float(kink, 17) * sympy.Abs(z)
        return table.function(z) + beside

    term = replace(pair.term(phi), name=pair.name, tables=(table,))
    words = term.names
    reference = family.member(smooth.joined.theta) if needs_mechanics(words) else None
    whole = family.with_terms([*family.terms, term], reference)
    theta = torch.cat([smooth.joined.theta, smooth.joined.theta.new_ones(1)])
    return _settled(base, whole, theta, answers)


def with_round_numbers(fitted: Fit, answers: Answers, measure: Length, fresh: int) -> Fit:
    """Numbers in the last `fresh` terms made round where `measure`, a length, gets shorter."""
    length = measure(fitted)
    for k in range(len(fitted.family.terms) - fresh, len(fitted.family.terms)):
        for number in sorted(_floats(fitted.family.terms[k]), key=float):
            for rounded in _round_numbers(float(number)):
                terms = list(fitted.family.terms)
                if number not in _floats(terms[k]):
                    break
                shape = tuple(row.subs(number, rounded) for row in terms[k].shape)
                if any(row.has(sympy.zoo, sympy.nan) for row in shape) or not any(shape):
                    continue
                terms[k] = replace(terms[k], shape=shape)
                theta = fitted.theta.clone()
                trial = _settled(fitted, fitted.family.with_terms(terms), theta, answers)
                new = measure(trial)
                if new < length:
                    fitted, length = trial, new
                    break
    return fitted


def _floats(term: Term) -> set[sympy.Float]:
    return set().union(*(row.atoms(sympy.Float) for row in term.shape))


def _round_numbers(x: float) -> list[sympy.Rational]:
    """Round numbers close to x: small fractions, then two and three digits."""
    out: list[sympy.Rational] = [sympy.Integer(0)] if abs(x) < 1e-2 else []
    if not 1e-3 < abs(x) < 1e4:
        return out
    for denominator in (1, 2, 3, 4):
        candidate = sympy.Rational(round(x * denominator), denominator)
        if candidate != 0 and abs(float(candidate) / x - 1) < _FRACTION:
            out.append(candidate)
    for digits in (1, 2):
        scale = 10 ** (digits - math.floor(math.log10(abs(x))))
        candidate = sympy.Rational(round(x * scale), scale) if scale >= 1 else None
        if candidate and abs(float(candidate) / x - 1) < _DIGITS:
            out.append(candidate)
    return list(dict.fromkeys(out))
