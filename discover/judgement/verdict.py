"""The verdict: which answer the evidence supports, and with what probability.

Each answer is a *case* with requirements on named pieces of evidence (thresholds.toml). A case is
as strong as its weakest requirement, smoothly; the strengths compete, and where no case stands the
answer is "undetermined". Needs nothing but numbers: a verdict can be computed again from a file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from discover.judgement.evidence import MEANING, NULL, Evidence, Name, Values
from discover.judgement.thresholds import Rule, fitted_bounds, rules, stored

CASES = ("lookup table", "physics", "alternative law")
ANSWERS = (*CASES, "undetermined")
PHYSICS, ALTERNATIVE = CASES.index("physics"), CASES.index("alternative law")
LIMIT = 12.0  # margins beyond this add nothing


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer, one of ANSWERS, and how it came about.

    confidence     the probability of the answer, in [0, 1]; `probabilities` has that of every one
    weakest        for each case, the evidence whose requirement it meets least
    version        of the thresholds
    """

    answer: str
    confidence: float
    probabilities: dict[str, float]
    weakest: dict[str, str]
    version: int


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
        held = stored()["calibration"]
        return cls(
            sharpness=held["sharpness"],
            offsets=held["offsets"],
            lapse=held["lapse"],
            hiding=held.get("hiding", 0.0),
            bounds=fitted_bounds(),
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


def judge(evidence: Iterable[Evidence] | Values, calibration: Calibration | None = None) -> Verdict:
    """The answer that the evidence supports; `evidence` as a list, or as values by name."""
    calibration = calibration or Calibration.stored()
    values = _values(evidence)
    margins = _margins(values, calibration.bounds)
    probabilities = calibration.probabilities(
        {answer: _soft_least(m) for answer, m in margins.items()}, values.get(Name.RESOLUTION)
    )
    answer = max(probabilities, key=lambda a: probabilities[a])
    return Verdict(
        answer=answer,
        confidence=probabilities[answer],
        probabilities=probabilities,
        weakest={a: min(m, key=lambda n: m[n]) for a, m in margins.items()},
        version=stored()["version"],
    )


def in_words(answer: str, confidence: float, evidence: Iterable[Evidence] | Values) -> str:
    """The answer with its confidence; of *undetermined*, which says nothing by its confidence, the
    closest case and what holds it back most."""
    if answer != "undetermined":
        return f"{answer} (confidence {confidence:.2f})"
    margins = _margins(_values(evidence), fitted_bounds())
    closest, second = sorted(CASES, key=lambda case: -_soft_least(margins[case]))[:2]
    if math.isclose(_soft_least(margins[closest]), _soft_least(margins[second]), rel_tol=1e-6):
        return f"{answer} ({closest} and {second} equally far)"
    weakest = min(margins[closest], key=lambda name: margins[closest][name])
    return f"{answer} (closest: {closest}, held back by {weakest})"


def strengths(
    evidence: Iterable[Evidence] | Values, calibration: Calibration | None = None
) -> dict[str, float]:
    """How strong each case is: its weakest margin, smoothly."""
    bounds = (calibration or Calibration.stored()).bounds
    return {a: _soft_least(m) for a, m in _margins(_values(evidence), bounds).items()}


def positive_evidence(answer: str, values: Values) -> bool:
    """Whether one of the requirements of which an answer needs any single one is met."""
    bounds = fitted_bounds()
    group = [r for r in rules() if r.case == answer and r.any]
    return any(_margin(r, values.get(r.evidence), bounds) > 0 for r in group)


def evidence_of(
    values: Values, intervals: Mapping[Name, tuple[float, float]] | None = None
) -> list[Evidence]:
    """Measured values as evidence: with null, threshold, supported answers and meaning."""
    bounds = Calibration.stored().bounds
    found = []
    for name, value in values.items():
        mine = [r for r in rules() if r.evidence == name]
        supports = [r.case for r in mine if _margin(r, value, bounds) > 0]
        found.append(
            Evidence(
                name=name,
                value=value,
                interval=(intervals or {}).get(name, (value, value)),
                null=NULL.get(name, 0.0),
                threshold=next((bounds.get(r.name, r.bound) for r in mine), None),
                supports=tuple(dict.fromkeys(supports)),
                meaning=MEANING[name],
            )
        )
    return found


def _values(evidence: Iterable[Evidence] | Values) -> Mapping[str, float]:
    if isinstance(evidence, Mapping):
        return {str(name): value for name, value in evidence.items()}
    return {e.name: e.value for e in evidence}


def _margins(values: Mapping[str, float], bounds: dict[str, float]) -> dict[str, dict[str, float]]:
    """For each case, the margin of every requirement, and of the best of its `any` group."""
    found: dict[str, dict[str, float]] = {}
    for case in CASES:
        mine = [r for r in rules() if r.case == case]
        margins: dict[str, float] = {
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
