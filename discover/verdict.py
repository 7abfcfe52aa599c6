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

from discover.evidence import Evidence

ANSWERS = ("lookup table", "physics", "alternative law", "undetermined")
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


def judge(evidence: Iterable[Evidence]) -> Verdict:
    """The answer that the evidence supports."""
    values = {e.name: e.value for e in evidence}
    rules = thresholds()
    strengths: dict[str, float] = {}
    weakest: dict[str, str] = {}
    for case in rules["case"]:
        margins = {r["evidence"]: _margin(r, values.get(r["evidence"])) for r in case["requires"]}
        alternatives = case.get("any", [])
        if alternatives:
            several = {r["evidence"]: _margin(r, values.get(r["evidence"])) for r in alternatives}
            best = max(several, key=lambda n: several[n])
            margins[best] = several[best]
        strengths[case["answer"]] = -_log_sum_exp([-m for m in margins.values()])
        weakest[case["answer"]] = min(margins, key=lambda n: margins[n])
    sharp = rules["sharpness"]
    weights = {answer: sharp * s for answer, s in strengths.items()} | {"undetermined": 0.0}
    total = _log_sum_exp(list(weights.values()))
    probabilities = {a: math.exp(weights[a] - total) for a in ANSWERS}
    answer = max(probabilities, key=lambda a: probabilities[a])
    return Verdict(
        answer=answer,
        confidence=probabilities[answer],
        probabilities=probabilities,
        weakest=weakest,
        version=rules["version"],
    )


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
