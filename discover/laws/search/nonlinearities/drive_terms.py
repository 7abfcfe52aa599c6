"""Forces that are functions of the joint forces alone, told as what the bodies feel of it.

    H a + b + Σ c φ_j(tau) = tau_j     is     H a + b = tau_j - Σ c φ_j(tau)

The same law may stand beside bodies of any size: where tau_j itself is nothing beside the functions
of it, bodies come out heavier without end. What the bodies feel has the unit of what was asked.
"""

from __future__ import annotations

import math
from dataclasses import replace

import sympy
import torch

from discover.blackbox.contract import Answers
from discover.laws.extensions.io_nonlinearity import StaticNonlinearity
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.nonlinearities.io_fit import fit_behind
from discover.laws.search.rounds import length_of
from discover.laws.search.selection import Selection
from discover.laws.search.variables import vocabulary

_ALIKE = 5.0  # times larger or smaller than what was asked, forces and bodies that may stay
_FELT = 0.3  # of its most, what is felt near no force for it to be the unit there
_SAME = 1.1  # times the error, in other words


def as_felt(law: Fit, answers: Answers, held: Answers, floor: float) -> Selection | None:
    """The law with its forces of tau as a channel, where these outgrow tau; else None."""
    family, k = law.family, law.family.basis.shape[1]
    coefficients = law.theta[k:].tolist()
    drive = [not t.physical for t in family.terms]
    own = [t for t in family.terms if not t.physical]
    if not own or family.non_additive or law.integrator is not None:
        return None
    words = vocabulary(family.robot.nv)
    asked = [words[f"tau{j + 1}"] for j in range(family.robot.nv)]
    if any(not row.free_symbols <= set(asked) for t in own for row in t.shape):
        return None
    tables = [table for t in own for table in t.tables]
    if len({t.name for t in tables}) < len(tables):
        return None
    felt = list(asked)
    for term, c, mine in zip(family.terms, coefficients, drive, strict=True):
        if mine:
            felt = [x - sympy.Float(c, 17) * row for x, row in zip(felt, term.shape, strict=True)]
    nonlinearity = StaticNonlinearity(place="tau", rows=tuple(felt), tables=tuple(tables))
    unit = _unit(nonlinearity, answers)
    if unit is None or 1 / _ALIKE < unit < _ALIKE:
        return None
    kept = [k + i for i, mine in enumerate(drive) if not mine]
    bare = family.with_terms([t for t in family.terms if t.physical])
    start = law.theta[[*range(k), *kept]] / unit
    limit = _SAME * max(law.standardised_error(held), floor)
    found = []
    for share in (sympy.Float(1 / unit, 17), sympy.Integer(0)):
        rows = tuple(
            share * x + sympy.expand((row - x) / sympy.Float(unit, 17))
            for x, row in zip(asked, felt, strict=True)
        )
        behind = replace(bare, nonlinearities=(replace(nonlinearity, rows=rows),))
        fitted = fit_behind(behind, answers, start, law)
        if fitted.standardised_error(held) <= limit:
            found.append(Selection(fit=fitted, length=length_of(fitted, held, floor)))
    return min(found, key=lambda s: s.length, default=None)


def _unit(nonlinearity: StaticNonlinearity, answers: Answers) -> float | None:
    """By how much more is felt than is asked: the slope near no force or, where nothing is felt
    there, where most is, the mean of all joints; None where some joint is not altered, for that
    holds the bodies to their size."""
    tau = answers.tau
    h = 0.02 * tau.abs().amax(0)
    asked = torch.cat([torch.zeros_like(tau[:1]), tau])
    q, v = (torch.cat([x[:1], x]) for x in (answers.q, answers.v))
    ahead, behind = (nonlinearity.values(q, v, asked + s * h) for s in (1.0, -1.0))
    middle, *_ = slopes = (ahead - behind) / (2 * h)
    most = slopes.quantile(0.98, dim=0)
    chosen = torch.where(middle > _FELT * most, middle, most)
    unit = float(chosen.mean())
    whole = len(nonlinearity.altered) == tau.shape[-1]
    return unit if whole and math.isfinite(unit) and unit > 0 else None
