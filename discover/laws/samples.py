"""A law beside the answers that it describes, state by state: what a reader wants to see drawn."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.judgement.evidence import number_from_json, number_to_json
from discover.laws.extensions.terms import coordinates
from discover.laws.parts import term_forces
from discover.laws.rigid_body.fit import Fit

_ROWS = 120


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Some states, what the model answered there, what the law says, and the force of each term.

    where   in words
    model, law   accelerations, a list of rows of nv numbers [rad/s² | m/s²]
    terms   for every term its name, the joint (from 1) where it is largest, its force there
            [N·m | N], and the coordinate that it goes along with most closely: name and values
    """

    where: str
    model: list[list[float]]
    law: list[list[float]]
    terms: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return _each(asdict(self), number_to_json)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Sample:
        """The inverse of `to_dict`."""
        rows = {
            k: [[number_from_json(x) for x in row] for row in record[k]] for k in ("model", "law")
        }
        return cls(where=record["where"], terms=record["terms"], **rows)


def sample(fitted: Fit, answers: Answers, where: str) -> Sample:
    """At most _ROWS of the answers, drawn evenly over their order."""
    n = len(answers)
    if n > _ROWS:
        answers = answers[torch.linspace(0, n - 1, _ROWS).round().long()]
    own = fitted.predict(answers.q, answers.v, answers.tau)
    each = torch.nan_to_num(term_forces(*fitted.bare(answers)))
    terms = []
    for i, term in enumerate(fitted.family.terms):
        joint = int(each[..., i].square().mean(0).argmax())
        force = each[:, joint, i]
        word, along = _companion(force, answers, fitted)
        terms.append(
            {
                "name": term.name,
                "joint": joint + 1,
                "force": force.tolist(),
                "along": word,
                "values": along.tolist(),
            }
        )
    return Sample(where=where, model=answers.a.tolist(), law=own.tolist(), terms=terms)


def _companion(force: Tensor, answers: Answers, fitted: Fit) -> tuple[str, Tensor]:
    """The coordinate whose order (or that of its size) is closest to the force's."""
    q = answers.q[..., coordinates(fitted.family.robot)]
    candidates = {
        f"{group}{j + 1}": x[:, j]
        for group, x in (("q", q), ("v", answers.v), ("a", answers.a), ("tau", answers.tau))
        for j in range(x.shape[-1])
    }

    def closeness(x: Tensor) -> float:
        pairs = ((x, force), (x.abs(), force), (x.abs(), force.abs()))
        return max(abs(_correlation(a, b)) for a, b in pairs)

    word = max(candidates, key=lambda w: closeness(torch.nan_to_num(candidates[w])))
    return word, candidates[word]


def _correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's."""
    ranks = [x.argsort(stable=True).argsort().double() for x in (a, b)]
    a, b = (r - r.mean() for r in ranks)
    return float((a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-300))


def _each(record: Any, change: Any) -> Any:
    if isinstance(record, dict):
        return {k: _each(v, change) for k, v in record.items()}
    if isinstance(record, list):
        return [_each(v, change) for v in record]
    return change(record) if isinstance(record, float) else record
