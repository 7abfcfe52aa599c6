"""The verdict: which answer the evidence supports, and with what probability.

Each answer is a *case* with requirements on named pieces of evidence (thresholds.toml). A case is
as strong as its weakest requirement, smoothly; the strengths compete, and where no case stands the
answer is "undetermined". Needs nothing but numbers: a verdict can be computed again from a file.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from discover.evidence import Evidence

CASES = ("lookup table", "physics", "alternative law")
ANSWERS = (*CASES, "undetermined")
_LIMIT = 12.0  # margins beyond this add nothing


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """answer: one of ANSWERS; confidence in [0, 1]; the probability of every answer; and, for each
    case that failed, the requirement that held it back most."""

    answer: str
    confidence: float
    probabilities: dict[str, float]
    weakest: dict[str, str]
    version: int


@lru_cache(maxsize=1)
def thresholds() -> dict[str, Any]:
    """The versioned file of thresholds."""
    return tomllib.loads((Path(__file__).parent / "thresholds.toml").read_text())


def threshold_of(name: str) -> float | None:
    """The first threshold that any case sets on a piece of evidence."""
    for case in thresholds()["case"]:
        for rule in [*case["requires"], *case.get("any", [])]:
            if rule["evidence"] == name:
                return rule.get("below", rule.get("above"))
    return None


def supported(name: str, value: float) -> tuple[str, ...]:
    """The answers whose requirement on this evidence the value meets."""
    met = []
    for case in thresholds()["case"]:
        for rule in [*case["requires"], *case.get("any", [])]:
            if rule["evidence"] == name and _margin(rule, value) > 0:
                met.append(case["answer"])
    return tuple(dict.fromkeys(met))


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How strengths become probabilities; fitted to planted models by `discover calibrate`.

    p = (1 - lapse) · softmax(sharpness · strength + offset) + lapse / 4, *undetermined* having
    strength and offset zero.
    """

    sharpness: float
    offsets: dict[str, float]
    lapse: float

    @classmethod
    def stored(cls) -> Calibration:
        """The calibration in the file of thresholds."""
        held = thresholds()["calibration"]
        return cls(sharpness=held["sharpness"], offsets=held["offsets"], lapse=held["lapse"])

    def probabilities(self, strengths: dict[str, float]) -> dict[str, float]:
        """The probability of every answer."""
        row = self.matrix([[strengths[c] for c in CASES]])[0]
        return dict(zip(ANSWERS, (float(p) for p in row), strict=True))

    def matrix(self, strengths: Any) -> np.ndarray:
        """Probabilities (n, 4) in the order of ANSWERS, from strengths (n, 3) in that of CASES."""
        shift = np.array([self.offsets[c] for c in CASES])
        logits = self.sharpness * np.asarray(strengths, dtype=float) + shift
        logits = np.concatenate([logits, np.zeros((len(logits), 1))], 1)
        weights = np.exp(logits - logits.max(1, keepdims=True))
        share = weights / weights.sum(1, keepdims=True)
        return (1.0 - self.lapse) * share + self.lapse / len(ANSWERS)


def judge(evidence: Iterable[Evidence], calibration: Calibration | None = None) -> Verdict:
    """The answer that the evidence supports."""
    margins = _margins({e.name: e.value for e in evidence})
    probabilities = (calibration or Calibration.stored()).probabilities(
        {answer: _soft_least(m) for answer, m in margins.items()}
    )
    answer = max(probabilities, key=lambda a: probabilities[a])
    return Verdict(
        answer=answer,
        confidence=probabilities[answer],
        probabilities=probabilities,
        weakest={a: min(m, key=lambda n: m[n]) for a, m in margins.items()},
        version=thresholds()["version"],
    )


def strengths(evidence: Iterable[Evidence]) -> dict[str, float]:
    """How strong each case is: its weakest margin, smoothly."""
    margins = _margins({e.name: e.value for e in evidence})
    return {answer: _soft_least(m) for answer, m in margins.items()}


def _margins(values: dict[str, float]) -> dict[str, dict[str, float]]:
    """For each case, the margin of every requirement, and of the best of its `any` group."""
    found: dict[str, dict[str, float]] = {}
    for case in thresholds()["case"]:
        margins = {r["evidence"]: _margin(r, values.get(r["evidence"])) for r in case["requires"]}
        several = {
            r["evidence"]: _margin(r, values.get(r["evidence"])) for r in case.get("any", [])
        }
        if several:
            best = max(several, key=lambda n: several[n])
            margins[best] = several[best]
        found[case["answer"]] = margins
    return found


def _soft_least(margins: dict[str, float]) -> float:
    return -_log_sum_exp([-m for m in margins.values()])


def _margin(rule: dict[str, Any], value: float | None) -> float:
    """Signed distance to the threshold in widths; evidence that is missing never helps a case."""
    if value is None or math.isnan(value):
        return -_LIMIT
    bound: float = rule["below"] if "below" in rule else rule["above"]
    if rule["scale"] == "log":
        value, bound = (math.log10(max(x, 1e-300)) for x in (value, bound))
    gap = (bound - value) / rule["width"]
    if "above" in rule:
        gap = -gap
    return max(-_LIMIT, min(_LIMIT, gap))


def _log_sum_exp(values: list[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(v - top) for v in values))
