"""Whether a law with terms is equivalent to a rigid body.

Numerically: the closest rigid body (with joint terms) is fitted to the law's accelerations over a
wide region and tested on others. Symbolically, for short laws: the difference of the two formulas
must vanish.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy
import torch

from discover.blackbox.contract import Answers
from discover.blackbox.sampling import Batch
from discover.judgement.thresholds import threshold
from discover.laws.export.formulas import has_flat_formulas
from discover.laws.extensions.terms import joint_terms, symbols
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import Fit, fit
from discover.laws.rigid_body.law import RigidBodyLaw
from kinematics import Robot

_EQUIVALENT = threshold("fit.rigid_equivalence")
_ROUNDING = 1e-7  # coefficients of a difference, beside the largest of the law


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """How far the closest rigid body is from a law.

    misfit    standardised, on held-out accelerations of the law
    symbolic  whether the formulas are the same; None where they are too long to compare
    closest   the closest rigid body
    """

    misfit: float
    symbolic: bool | None
    closest: Fit

    @property
    def rigid(self) -> bool:
        """Whether the law is a rigid body."""
        return self.misfit < _EQUIVALENT and self.symbolic is not False


def to_rigid_body(law: RigidBodyLaw, tree: Robot, batch: Batch) -> Equivalence:
    """The law compared with rigid bodies on `tree`, at states and forces of `batch` (n rows).

    A third of the rows is held out.
    """
    with torch.no_grad():
        a = law(*batch)
    good = torch.isfinite(a).all(-1)
    answers = Answers(q=batch.q, v=batch.v, tau=batch.tau, a=a)[good]
    held = torch.arange(len(answers)) % 3 == 2
    closest = fit(Family.of(tree, joint_terms(tree)), answers[~held])
    misfit = closest.standardised_error(answers[held])
    symbolic = None
    if misfit < _EQUIVALENT and has_flat_formulas(tree):
        symbolic = _same_formulas(law, RigidBodyLaw.from_fit(closest))
    return Equivalence(misfit=misfit, symbolic=symbolic, closest=closest)


def _same_formulas(one: RigidBodyLaw, other: RigidBodyLaw) -> bool:
    """Whether the left sides are the same in q, v, a up to the rounding of their numbers.

    Laws that name momenta, points or tables are left to the numerical test.
    """
    s = symbols(one.robot.nv)
    plain = {x for group in ("q", "v", "a") for x in s[group]}
    a = sympy.Matrix(s["a"])

    def left(law: RigidBodyLaw) -> sympy.Matrix:
        still = law.bias.subs(dict.fromkeys(s["a"], 0))
        added = sum((t.expression for t in law.extra), sympy.zeros(len(a), 1))
        return law.mass_matrix * a + still + added

    difference = left(one) - left(other)
    if not difference.free_symbols <= plain:
        return True
    largest = max((abs(c) for c in _coefficients(left(one))), default=1)
    expanded = difference.applyfunc(lambda e: sympy.expand(sympy.expand_trig(e)))
    return all(abs(c) < _ROUNDING * largest for c in _coefficients(expanded))


def _coefficients(column: sympy.Matrix) -> list[float]:
    out = []
    for row in column:
        for term in sympy.Add.make_args(sympy.expand(row)):
            out.append(float(term.as_coeff_Mul()[0]))
    return out
