"""The verdict: which answer the evidence supports, and with what probability.

Each answer is a *case* with requirements on named pieces of evidence (thresholds.toml). A case is
as strong as its weakest requirement, smoothly; the strengths compete, and where no case stands the
answer is "undetermined". Needs nothing but numbers: a verdict can be computed again from a file.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from discover.judgement.evidence import Evidence

CASES = ("lookup table", "physics", "alternative law")
ANSWERS = (*CASES, "undetermined")
PHYSICS, ALTERNATIVE = CASES.index("physics"), CASES.index("alternative law")
LIMIT = 12.0  # margins beyond this add nothing


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


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One requirement of a case: the evidence, the bound that it starts from, which side is right
    (+1 below, -1 above), how wide the change is, whether decades count; `any`: one of a group;
    `optional`: nothing against the case where it was not measured."""

    case: str
    evidence: str
    bound: float
    side: int
    width: float
    log: bool
    any: bool
    optional: bool = False

    @property
    def name(self) -> str:
        """Case and evidence: what a fitted bound is stored under."""
        return f"{self.case}: {self.evidence}"

    def coordinate(self, value: float) -> float:
        """A value on the scale of the rule: decades, or as it stands."""
        return math.log10(max(value, 1e-300)) if self.log else value


@lru_cache(maxsize=1)
def rules() -> tuple[Rule, ...]:
    """All requirements of all cases, in the order of the file."""
    found = []
    for case in thresholds()["case"]:
        listed = [(r, False) for r in case["requires"]] + [(r, True) for r in case.get("any", [])]
        for rule, several in listed:
            found.append(
                Rule(
                    case=case["answer"],
                    evidence=rule["evidence"],
                    bound=rule["below"] if "below" in rule else rule["above"],
                    side=1 if "below" in rule else -1,
                    width=rule["width"],
                    log=rule["scale"] == "log",
                    any=several,
                    optional=rule.get("optional", False),
                )
            )
    return tuple(found)


def threshold_of(name: str) -> float | None:
    """The first threshold that any case sets on a piece of evidence."""
    bounds = Calibration.stored().bounds
    return next((bounds.get(r.name, r.bound) for r in rules() if r.evidence == name), None)


def supported(name: str, value: float) -> tuple[str, ...]:
    """The answers whose requirement on this evidence the value meets."""
    bounds = Calibration.stored().bounds
    met = [r.case for r in rules() if r.evidence == name and _margin(r, value, bounds) > 0]
    return tuple(dict.fromkeys(met))


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Bounds, and how strengths become probabilities; fitted to planted models by
    `discover calibrate`.

    p = (1 - lapse) · softmax(sharpness · strength + offset) + lapse / 4, *undetermined* having
    strength and offset zero. Of what physics gets, the share hiding · room(resolution) goes to
    *alternative law*: a law smaller than the resolution looks like physics, and the coarser the
    resolution the more of them there may be. `bounds` replace those of the rules, by name.
    """

    sharpness: float
    offsets: dict[str, float]
    lapse: float
    hiding: float = 0.0
    bounds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def stored(cls) -> Calibration:
        """The calibration in the file of thresholds."""
        held = thresholds()["calibration"]
        return cls(
            sharpness=held["sharpness"],
            offsets=held["offsets"],
            lapse=held["lapse"],
            hiding=held.get("hiding", 0.0),
            bounds=held.get("bounds", {}),
        )

    def probabilities(
        self, strengths: dict[str, float], resolution: float | None = None
    ) -> dict[str, float]:
        """The probability of every answer."""
        row = self.matrix([[strengths[c] for c in CASES]], [room(resolution)])[0]
        return dict(zip(ANSWERS, (float(p) for p in row), strict=True))

    def matrix(self, strengths: Any, rooms: Any) -> np.ndarray:
        """Probabilities (n, 4) in the order of ANSWERS, from strengths (n, 3) in that of CASES and
        the rooms (n,) that resolutions leave."""
        shift = np.array([self.offsets[c] for c in CASES])
        logits = self.sharpness * np.asarray(strengths, dtype=float) + shift
        logits = np.concatenate([logits, np.zeros((len(logits), 1))], 1)
        weights = np.exp(logits - logits.max(1, keepdims=True))
        share = weights / weights.sum(1, keepdims=True)
        moved = self.hiding * np.asarray(rooms, dtype=float) * share[:, PHYSICS]
        share[:, PHYSICS] -= moved
        share[:, ALTERNATIVE] += moved
        return (1.0 - self.lapse) * share + self.lapse / len(ANSWERS)


def room(resolution: float | None) -> float:
    """How much may hide below a resolution: 0 at 1e-4 and less, 1 at 1; decades count."""
    if resolution is None or math.isnan(resolution):
        return 1.0
    return min(max(math.log10(max(resolution, 1e-300)) / 4.0 + 1.0, 0.0), 1.0)


def judge(evidence: Iterable[Evidence], calibration: Calibration | None = None) -> Verdict:
    """The answer that the evidence supports."""
    calibration = calibration or Calibration.stored()
    values = {e.name: e.value for e in evidence}
    margins = _margins(values, calibration.bounds)
    probabilities = calibration.probabilities(
        {answer: _soft_least(m) for answer, m in margins.items()}, values.get("resolution")
    )
    answer = max(probabilities, key=lambda a: probabilities[a])
    return Verdict(
        answer=answer,
        confidence=probabilities[answer],
        probabilities=probabilities,
        weakest={a: min(m, key=lambda n: m[n]) for a, m in margins.items()},
        version=thresholds()["version"],
    )


def strengths(
    evidence: Iterable[Evidence], calibration: Calibration | None = None
) -> dict[str, float]:
    """How strong each case is: its weakest margin, smoothly."""
    bounds = (calibration or Calibration.stored()).bounds
    margins = _margins({e.name: e.value for e in evidence}, bounds)
    return {answer: _soft_least(m) for answer, m in margins.items()}


def _margins(values: dict[str, float], bounds: dict[str, float]) -> dict[str, dict[str, float]]:
    """For each case, the margin of every requirement, and of the best of its `any` group."""
    found: dict[str, dict[str, float]] = {}
    for case in CASES:
        mine = [r for r in rules() if r.case == case]
        margins = {
            r.evidence: _margin(r, values.get(r.evidence), bounds) for r in mine if not r.any
        }
        several = {r.evidence: _margin(r, values.get(r.evidence), bounds) for r in mine if r.any}
        if several:
            best = max(several, key=lambda n: several[n])
            margins[best] = several[best]
        found[case] = margins
    return found


def _soft_least(margins: dict[str, float]) -> float:
    return -_log_sum_exp([-m for m in margins.values()])


def _margin(rule: Rule, value: float | None, bounds: dict[str, float]) -> float:
    """Signed distance to the threshold in widths; evidence that is missing never helps a case."""
    if value is None or math.isnan(value):
        return LIMIT if rule.optional else -LIMIT
    bound = rule.coordinate(bounds.get(rule.name, rule.bound))
    gap = rule.side * (bound - rule.coordinate(value)) / rule.width
    return max(-LIMIT, min(LIMIT, gap))


def _log_sum_exp(values: list[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(v - top) for v in values))
