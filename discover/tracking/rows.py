"""What was found at one checkpoint, as numbers and words that can be stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from discover.records import Stored

if TYPE_CHECKING:
    from discover.examination.result import Examination


@dataclass(frozen=True, kw_only=True)
class Row(Stored):
    """What was found at one checkpoint.

    step, name      the training step, and the file or model
    verdict, confidence, probabilities, reach, queries, seconds   as of its examination
    error           relative error of the law against the model's answers in the region
    error_far       the same at the farthest distance measured, all axes together
    family, bits    of the law, None where none describes the model
    parameters      rows of name, value, standard_error, description
    failure         why the model could not be examined; then the other fields are empty
    """

    step: float
    name: str
    verdict: str | None = None
    confidence: float | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    error: float | None = None
    error_far: float | None = None
    reach: dict[str, float] = field(default_factory=dict)
    family: str | None = None
    bits: float | None = None
    parameters: list[dict[str, Any]] = field(default_factory=list)
    queries: int = 0
    seconds: float = 0.0
    failure: str | None = None

    @classmethod
    def of(cls, step: float, name: str, exam: Examination) -> Row:
        """The row of an examination."""
        curve = next(
            (c for c in exam.curves if (c.axis, c.subject) == ("joint", "law against model")), None
        )
        return cls(
            step=step,
            name=name,
            verdict=exam.verdict,
            confidence=exam.confidence,
            probabilities=dict(exam.probabilities),
            error=None if curve is None else float(curve.error[0]),
            error_far=None if curve is None else float(curve.error[-1]),
            reach={axis: float(r) for axis, r in exam.reach.items()},
            family=None if exam.law is None else exam.law.family,
            bits=None if exam.law is None else float(exam.law.complexity.bits),
            parameters=[
                {key: row[key] for key in ("name", "value", "standard_error", "description")}
                for row in exam.parameters
            ],
            queries=exam.queries,
            seconds=exam.seconds,
        )
