"""Drives: forces that are functions of the joint forces alone, written as an input nonlinearity.

H a + b + Σ c φ_j(tau) = tau_j     is     H a + b = tau_j - Σ c φ_j(tau)
"""

from __future__ import annotations

import math
from dataclasses import replace

import sympy
import torch

from discover.blackbox.contract import Answers
from discover.judgement.thresholds import threshold
from discover.laws.extensions.io_nonlinearity import StaticNonlinearity
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.nonlinearities.io_fit import fit_with_nonlinearities
from discover.laws.search.selection import Selection, candidate_length
from discover.laws.search.variables import vocabulary

_STRETCHED = threshold("search.drive_unit")
_SLOPE = threshold("search.drive_slope")
_SAME = threshold("search.drive_error")


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
