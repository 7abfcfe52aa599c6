"""A law and the model's answers state by state, with the force of each term, to be drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.laws.extensions.terms import coordinates
from discover.laws.parts import term_forces
from discover.laws.rigid_body.fit import Fit
from discover.records import Stored

_ROWS = 120  # states a figure shows


@dataclass(frozen=True, kw_only=True)
class Sample(Stored):
    """Accelerations of the model and of the law at some states, and the force of each term there.

    where       the states in words
    model, law  accelerations, a list of rows of nv numbers [rad/s² | m/s²]
    terms       for every term its name, the joint (from 1) where it is largest, its force there
                [N·m | N], and the coordinate of closest rank correlation: name ("along") and values
    """

    where: str
    model: list[list[float]]
    law: list[list[float]]
    terms: list[dict[str, Any]]


def sample_law(fitted: Fit, answers: Answers, where: str) -> Sample:
    """The law at no more than _ROWS of the answers, evenly spaced in their order."""
    n = len(answers)
    if n > _ROWS:
        answers = answers[torch.linspace(0, n - 1, _ROWS).round().long()]
    predicted = fitted.predict(answers.q, answers.v, answers.tau)
    columns = torch.nan_to_num(term_forces(*fitted.bare(answers)))
    terms = []
    for i, term in enumerate(fitted.family.terms):
        joint = int(columns[..., i].square().mean(0).argmax())
        force = columns[:, joint, i]
        name, values = _closest_coordinate(force, answers, fitted)
        terms.append(
            {
                "name": term.name,
                "joint": joint + 1,
                "force": force.tolist(),
                "along": name,
                "values": values.tolist(),
            }
        )
    return Sample(where=where, model=answers.a.tolist(), law=predicted.tolist(), terms=terms)


def _closest_coordinate(force: Tensor, answers: Answers, fitted: Fit) -> tuple[str, Tensor]:
    """The coordinate of closest rank correlation with the force, in value or in size."""
    q = answers.q[..., coordinates(fitted.family.robot)]
    candidates = {
        f"{group}{j + 1}": x[:, j]
        for group, x in (("q", q), ("v", answers.v), ("a", answers.a), ("tau", answers.tau))
        for j in range(x.shape[-1])
    }

    def closeness(x: Tensor) -> float:
        pairs = ((x, force), (x.abs(), force), (x.abs(), force.abs()))
        return max(abs(_correlation(a, b)) for a, b in pairs)

    name = max(candidates, key=lambda n: closeness(torch.nan_to_num(candidates[n])))
    return name, candidates[name]


def _correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's rank correlation."""
    ranks = [x.argsort(stable=True).argsort().double() for x in (a, b)]
    a, b = (r - r.mean() for r in ranks)
    return float((a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-300))
