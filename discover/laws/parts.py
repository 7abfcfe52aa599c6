"""What speaks for each part of a law, and the laws that came close: numbers that are kept with it.

A part is a group of forces (inertia, velocity forces, gravity) or a term. For a term everything is
fitted again without it: what that costs on fresh answers, and in description length, is its
evidence; how much its coefficient changes between disjoint quarters of the answers is its spread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import sympy
import torch
from torch import Tensor

from discover.blackbox.contract import Answers, relative_error
from discover.judgement.evidence import number_from_json, number_to_json
from discover.laws.extensions.io_nonlinearity import answered
from discover.laws.extensions.terms import Term, forces
from discover.laws.pareto import Candidate, candidate, front
from discover.laws.rigid_body.family import Family, mechanics_for
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.selection import description_length, refit
from discover.numerics import solve_or_zero

_ANSWERS = 240  # that refits for the account look at
_QUARTERS = 4
_REFITS = 8  # terms up to which everything is fitted again without each of them


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a law and the evidence for it.

    name           in words; `term` its SymPy expression, coefficient included, "" for the bodies'
    contribution   root mean square of its generalised force over states and joints [N·m | N]
    share          that over the root mean square of the joint forces
    gain           bits by which the description of fresh answers is longer without it
    error_with     relative error of the law on answers further out that it was not fitted to
    error_without  the same without the part, everything else fitted again (`refitted`)
    spread         standard deviation of the coefficient between disjoint quarters of the answers,
                   relative to it; NaN for the bodies' parts, which have no coefficient
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

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            k: number_to_json(x) if isinstance(x, float) else x for k, x in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Part:
        """The inverse of `to_dict`."""
        texts = ("name", "term", "refitted")
        values: dict[str, Any] = {
            k: x if k in texts else number_from_json(x) for k, x in record.items()
        }
        return cls(**values)


def parts(fitted: Fit, answers: Answers, held: Answers, fresh: Answers) -> tuple[Part, ...]:
    """The parts of a law with their evidence, the bodies' first, then its terms.

    `answers` are what it was fitted to, `held` others of the kind, `fresh` others further out.
    """
    answers, held = answers.evenly(_ANSWERS), held.evenly(_ANSWERS)
    family, k = fitted.family, fitted.family.basis.shape[1]
    inner, seen = fitted.bare(answers)
    whole = term_forces(inner, seen)
    size = float(answers.tau.square().mean().sqrt()) or 1.0
    error = _error(fitted, fresh)
    floor = max(fitted.standardised_error(held), 1e-9)
    choices = max(2, len(family.terms))
    out = []
    for name, column in _bodies(inner, seen).items():
        out.append(_part(name, "", column, size, error, _error_less(fitted, name, fresh)))
    lengths = description_length(fitted, held, floor, choices)
    spreads = _spreads(fitted, answers)
    for i, term in enumerate(family.terms):
        rest = [t for t in family.terms if t is not term]
        again = len(family.terms) <= _REFITS or not term.physical
        if again:
            without = refit(fitted, answers, rest)
        else:
            keep = [j for j in range(family.size) if j != k + i]
            without = replace(fitted, family=family.with_terms(rest), theta=fitted.theta[keep])
        gain = description_length(without, held, floor, choices) - lengths
        text = _written(term.with_coefficient(float(fitted.theta[k + i])))
        made = _part(term.name, text, whole[..., i], size, error, _error(without, fresh))
        out.append(replace(made, gain=gain / math.log(2), spread=spreads[i], refitted=again))
    if family.around:
        without = plainly(fitted, answers, family.terms)
        gain = description_length(without, held, floor, choices) - lengths
        text = "; ".join(x.in_words for x in family.around)
        force = _force_of_channels(fitted, answers)
        name = "channels" if family.nonlinearities else "turns"
        made = _part(name, text, force, size, error, _error(without, fresh))
        out.append(replace(made, gain=gain / math.log(2), refitted=True))
    return tuple(out)


def plainly(fitted: Fit, answers: Answers, terms: Sequence[Term] = ()) -> Fit:
    """The rigid body with `terms` that comes closest to the answers: its bodies turn by sine and
    cosine, and nothing stands between them and the question."""
    old, plain = fitted.family, Family.of(fitted.family.robot)
    bodies = plain.basis.T @ (old.basis @ fitted.theta[: old.basis.shape[1]])
    start = replace(fitted, family=plain, theta=bodies)
    return refit(start, answers, terms)


def _force_of_channels(fitted: Fit, x: Answers) -> Tensor:
    """The generalised force (n, nv) that would do to plain bodies what channels or turns do."""
    bare = replace(fitted.family.bare, trigonometry=None)
    H, _ = bare.inertia_and_bias(fitted.theta, x.q, x.v, x.tau)
    change = fitted.predict(x.q, x.v, x.tau) - bare.acceleration(fitted.theta, x.q, x.v, x.tau)
    return torch.nan_to_num(H @ change.unsqueeze(-1)).squeeze(-1)


def tried(fits: Sequence[Fit], held: Answers, fresh: Answers) -> tuple[Candidate, ...]:
    """The front of the laws that were fitted, with their errors inside and far out."""
    some: list[Candidate] = []
    for f in fits:
        floor = max(min(x.standardised_error(held) for x in fits), 1e-12)
        made = candidate(f, description_length(f, held, floor, 2), held)
        some.append(replace(made, far=_error(f, fresh)))
    return front(some)


def _part(name: str, term: str, column: Tensor, size: float, error: float, without: float) -> Part:
    contribution = float(column.square().mean().sqrt())
    return Part(
        name=name,
        term=term,
        contribution=contribution,
        share=contribution / size,
        error_with=error,
        error_without=without,
    )


def _written(term: Term) -> str:
    """The force on each joint that it acts on, as text."""
    rows = [(i, row.evalf(5)) for i, row in enumerate(term.expression) if row != 0]
    if len(rows) == 1:
        return sympy.sstr(rows[0][1])
    return "; ".join(f"{sympy.sstr(row)} on joint {i + 1}" for i, row in rows)


def _error_less(fitted: Fit, name: str, answers: Answers) -> float:
    """The error of the law with one force of its bodies left out; NaN for inertia's."""
    if name == "inertia" or not len(answers):
        return math.nan
    inner, x = fitted.bare(answers)
    H, _ = inner.family.inertia_and_bias(inner.theta, x.q, x.v, x.tau)
    force = _bodies(inner, x)[name]
    a = _acceleration(inner, x) + solve_or_zero(H, force.unsqueeze(-1)).squeeze(-1)
    told = answered(fitted.family.nonlinearities, answers.q, answers.v, answers.tau, a)
    return relative_error(told, answers.a)


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


def _bodies(fitted: Fit, x: Answers) -> dict[str, Tensor]:
    """The forces of the bodies by what they stand for."""
    family: Family = fitted.family
    a = torch.nan_to_num(_acceleration(fitted, x))
    _, gravity = family.bodies_at(fitted.theta, x.q, torch.zeros_like(x.v))
    H, b = family.bodies_at(fitted.theta, x.q, x.v)
    return {
        "inertia": (H @ a.unsqueeze(-1)).squeeze(-1),
        "velocity forces": b - gravity,
        "gravity": gravity,
    }


def _spreads(fitted: Fit, answers: Answers) -> list[float]:
    """Relative standard deviation of each term's coefficient over quarters of the answers.

    That of a quarter; the whole is known about twice as well. NaN where a quarter is too few.
    """
    family, k = fitted.family, fitted.family.basis.shape[1]
    if not family.terms or len(answers) * family.robot.nv < 2 * _QUARTERS * family.size:
        return [math.nan] * len(family.terms)
    some = [refit(fitted, answers[i::_QUARTERS], family.terms) for i in range(_QUARTERS)]
    c = torch.stack([f.theta[k:] for f in some])
    return (c.std(0) / fitted.theta[k:].abs().clamp_min(1e-300)).tolist()


def find_part(
    account: Sequence[Part], extra: Sequence[Term], wanted: int | str | sympy.Expr
) -> Part:
    """The part by its place, its name (or how that begins), or a row of its term's expression."""
    names = [p.name for p in account]
    if isinstance(wanted, int) and not isinstance(wanted, bool):
        if -len(names) <= wanted < len(names):
            return account[wanted]
    elif isinstance(wanted, str):
        exact = [p for p in account if p.name == wanted]
        begun = [p for p in account if p.name.startswith(wanted)]
        if len(exact or begun) == 1:
            return (exact or begun)[0]
    else:
        for own in extra:
            rows = [sympy.Float(own.coefficient) * row for row in own.shape if row != 0]
            if any(sympy.simplify(row - wanted) == 0 for row in rows):
                return find_part(account, extra, own.name)
    told = "; ".join(names) or "none: this law was not examined"
    raise ValueError(f"expected a part of this law ({told}), found {wanted!r}")
