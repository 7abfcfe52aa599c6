"""The evidence for each part of a law, by ablation.

A part is a group of forces of the bodies (inertia, velocity forces, gravity), a term, or all static
nonlinearities or surrogate trigonometry together. A law without the part is fitted again: by how
much its error on answers far out and its description length rise is the evidence for the part. The
spread of a coefficient between disjoint quarters of the answers is its uncertainty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import sympy
import torch
from torch import Tensor

from discover.blackbox.contract import Answers, relative_error
from discover.judgement.thresholds import whole
from discover.laws.extensions.io_nonlinearity import law_output
from discover.laws.extensions.terms import Term, forces
from discover.laws.pareto import Candidate, candidate, pareto_front, with_far_errors
from discover.laws.rigid_body.family import Family, mechanics_for
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.selection import description_length, refit
from discover.numerics import solve_or_zero
from discover.records import Stored

_ANSWERS = 240  # answers that ablations are fitted to
_QUARTERS = 4
_REFITS = whole("fit.refits")


@dataclass(frozen=True, kw_only=True)
class Part(Stored):
    """One part of a law and the evidence for it.

    name           in words
    term           its SymPy expression as text, coefficient included; "" for forces of the bodies
    contribution   root mean square of its generalised force over states and joints [N·m | N]
    share          that over the root mean square of the joint forces
    gain           bits by which the description of held-out answers is longer without it
    error_with     relative error of the law on answers further out that it was not fitted to
    error_without  the same without the part
    spread         standard deviation of the coefficient between disjoint quarters of the answers,
                   relative to it; NaN for forces of the bodies, which have no coefficient
    refitted       whether all else was fitted again without the part
    """

    name: str
    term: str
    contribution: float
    share: float
    error_with: float
    error_without: float
    gain: float = math.nan
    spread: float = math.nan
    refitted: bool = False

    def __str__(self) -> str:
        lines = [
            self.name + (f": {self.term}" if self.term else ""),
            f"  contributes {self.contribution:.3g} (rms), {self.share:.1%} of the joint forces",
        ]
        if not math.isnan(self.error_without):
            lines.append(
                f"  error on fresh answers {self.error_with:.2g}, without it "
                f"{self.error_without:.2g}, "
                + ("the rest fitted again" if self.refitted else "the rest as it is")
            )
        if not math.isnan(self.gain):
            lines.append(f"  {self.gain:.0f} bits longer without it")
        if not math.isnan(self.spread):
            lines.append(f"  coefficient known to {self.spread:.2g} of itself")
        return "\n".join(lines)


def part_evidence(
    fitted: Fit, answers: Answers, held_out: Answers, far: Answers
) -> tuple[Part, ...]:
    """The parts of a law with their evidence: forces of the bodies, terms, then the rest.

    answers: those that it was fitted to; held_out: others from the same region; far: others further
    out.
    """
    answers, held_out = answers.evenly(_ANSWERS), held_out.evenly(_ANSWERS)
    family, k = fitted.family, fitted.family.basis.shape[1]
    inner, at_bodies = fitted.bare(answers)
    columns = term_forces(inner, at_bodies)
    size = float(answers.tau.square().mean().sqrt()) or 1.0
    error = _error(fitted, far)
    floor = max(fitted.standardised_error(held_out), 1e-9)
    choices = max(2, len(family.terms))
    out = []
    for name, force in _forces_of_bodies(inner, at_bodies).items():
        out.append(_part(name, "", force, size, error, _error_without(fitted, name, far)))
    length = description_length(fitted, held_out, floor, choices)
    spreads = _spreads(fitted, answers)
    for i, term in enumerate(family.terms):
        rest = [t for t in family.terms if t is not term]
        refitted = len(family.terms) <= _REFITS or not term.physical
        if refitted:
            without = refit(fitted, answers, rest)
        else:
            keep = [j for j in range(family.size) if j != k + i]
            without = replace(fitted, family=family.with_terms(rest), theta=fitted.theta[keep])
        gain = description_length(without, held_out, floor, choices) - length
        text = _text(term.with_coefficient(float(fitted.theta[k + i])))
        part = _part(term.name, text, columns[..., i], size, error, _error(without, far))
        out.append(replace(part, gain=gain / math.log(2), spread=spreads[i], refitted=refitted))
    if family.non_additive:
        without = plain_rigid_body(fitted, answers, family.terms)
        gain = description_length(without, held_out, floor, choices) - length
        text = "; ".join(x.description for x in family.non_additive)
        force = _equivalent_force(fitted, answers)
        name = family.non_additive[0].label
        part = _part(name, text, force, size, error, _error(without, far))
        out.append(replace(part, gain=gain / math.log(2), refitted=True))
    return tuple(out)


def plain_rigid_body(fitted: Fit, answers: Answers, terms: Sequence[Term] = ()) -> Fit:
    """The rigid body with `terms`, but no other extension, that comes closest to the answers."""
    old, plain = fitted.family, Family.of(fitted.family.robot)
    bodies = plain.basis.T @ (old.basis @ fitted.theta[: old.basis.shape[1]])
    start = replace(fitted, family=plain, theta=bodies)
    return refit(start, answers, terms)


def _equivalent_force(fitted: Fit, x: Answers) -> Tensor:
    """The generalised force (n, nv) that has the effect of all non-additive extensions."""
    bare = replace(fitted.family.bare, trigonometry=None)
    H, _ = bare.inertia_and_bias(fitted.theta, x.q, x.v, x.tau)
    change = fitted.predict(x.q, x.v, x.tau) - bare.acceleration(fitted.theta, x.q, x.v, x.tau)
    return torch.nan_to_num(H @ change.unsqueeze(-1)).squeeze(-1)


def front_of_fits(fits: Sequence[Fit], held_out: Answers, far: Answers) -> tuple[Candidate, ...]:
    """The Pareto front of fitted laws, with their errors on held-out answers and far out."""
    floor = max(min((f.standardised_error(held_out) for f in fits), default=0.0), 1e-12)
    lengths = [description_length(f, held_out, floor, 2) for f in fits]
    pairs = zip(fits, lengths, strict=True)
    candidates = [candidate(f, length, held_out) for f, length in pairs]
    return pareto_front(with_far_errors(candidates, far))


def _part(name: str, term: str, force: Tensor, size: float, error: float, without: float) -> Part:
    contribution = float(force.square().mean().sqrt())
    return Part(
        name=name,
        term=term,
        contribution=contribution,
        share=contribution / size,
        error_with=error,
        error_without=without,
    )


def _text(term: Term) -> str:
    """The force on each joint that it acts on, as text."""
    rows = [(i, row.evalf(5)) for i, row in enumerate(term.expression) if row != 0]
    if len(rows) == 1:
        return sympy.sstr(rows[0][1])
    return "; ".join(f"{sympy.sstr(row)} on joint {i + 1}" for i, row in rows)


def _error_without(fitted: Fit, name: str, answers: Answers) -> float:
    """The relative error of the law without one force of its bodies; NaN for their inertia."""
    if name == "inertia" or not len(answers):
        return math.nan
    inner, x = fitted.bare(answers)
    H, _ = inner.family.inertia_and_bias(inner.theta, x.q, x.v, x.tau)
    force = _forces_of_bodies(inner, x)[name]
    a = _acceleration(inner, x) + solve_or_zero(H, force.unsqueeze(-1)).squeeze(-1)
    a = law_output(fitted.family.nonlinearities, answers.q, answers.v, answers.tau, a)
    return relative_error(a, answers.a)


def _error(fitted: Fit, answers: Answers) -> float:
    if not len(answers):
        return math.nan
    return relative_error(fitted.predict(answers.q, answers.v, answers.tau), answers.a)


def term_forces(fitted: Fit, x: Answers) -> Tensor:
    """The generalised force of each term at the law's own accelerations (n, nv, terms)."""
    family = fitted.family
    c = fitted.theta[family.basis.shape[1] :]
    if not family.terms:
        return x.v.new_zeros(*x.v.shape, 0)
    a = torch.nan_to_num(_acceleration(fitted, x))
    mechanics = mechanics_for(family.terms, family.bodies, x.q, x.v)
    return c * forces(family.terms, x.q, x.v, a, x.tau, family.bodies, mechanics)


def _acceleration(fitted: Fit, x: Answers) -> Tensor:
    return fitted.family.acceleration(fitted.theta, x.q, x.v, x.tau)


def _forces_of_bodies(fitted: Fit, x: Answers) -> dict[str, Tensor]:
    """Inertia, velocity and gravity forces of the bodies, each (n, nv)."""
    family = fitted.family
    a = torch.nan_to_num(_acceleration(fitted, x))
    _, gravity = family.bodies_at(fitted.theta, x.q, torch.zeros_like(x.v))
    H, b = family.bodies_at(fitted.theta, x.q, x.v)
    return {
        "inertia": (H @ a.unsqueeze(-1)).squeeze(-1),
        "velocity forces": b - gravity,
        "gravity": gravity,
    }


def _spreads(fitted: Fit, answers: Answers) -> list[float]:
    """Relative standard deviation of each term's coefficient between quarters of the answers.

    Of a fit to a quarter; that of all answers is about half. NaN where a quarter is too few.
    """
    family, k = fitted.family, fitted.family.basis.shape[1]
    if not family.terms or len(answers) * family.robot.nv < 2 * _QUARTERS * family.size:
        return [math.nan] * len(family.terms)
    fits = [refit(fitted, answers[i::_QUARTERS], family.terms) for i in range(_QUARTERS)]
    c = torch.stack([f.theta[k:] for f in fits])
    return (c.std(0) / fitted.theta[k:].abs().clamp_min(1e-300)).tolist()


def find_part(parts: Sequence[Part], terms: Sequence[Term], wanted: int | str | sympy.Expr) -> Part:
    """The part by its place, its name (or the start of it), or a row of its term's expression.

    Raises ValueError for a part that the law has not.
    """
    names = [p.name for p in parts]
    if isinstance(wanted, int) and not isinstance(wanted, bool):
        if -len(names) <= wanted < len(names):
            return parts[wanted]
    elif isinstance(wanted, str):
        exact = [p for p in parts if p.name == wanted]
        begun = [p for p in parts if p.name.startswith(wanted)]
        if len(exact or begun) == 1:
            return (exact or begun)[0]
    else:
        for term in terms:
            if any(sympy.simplify(row - wanted) == 0 for row in term.equations):
                return find_part(parts, terms, term.name)
    known = "; ".join(names) or "none: this law was not examined"
    raise ValueError(f"expected a part of this law ({known}), found {wanted!r}")
