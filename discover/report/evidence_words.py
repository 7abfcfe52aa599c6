"""Evidence in readers' words, and what would settle a verdict that is undetermined.

The numbers are those of evidence.json; which of them an answer requires, and above or below which
threshold, is read from the rules of the verdict, so that nothing is decided here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from discover.judgement.evidence import MEANING, Evidence, Name
from discover.judgement.thresholds import Rule, rules
from discover.judgement.verdict import CASES, Calibration, judge, strengths
from discover.report.numbers import distance, listing, number, relative
from discover.report.stored import StoredExam
from discover.report.words import departures, symbols_of

_REGION = "a smaller region or less noise in the model's answers"
_SEARCH = 'a wider search for terms (`budget="thorough"`)'

_RELATIVE = ("structure: ", "recursion: ", "factors: ")  # evidence of which all is relative
_SETTLED = "more questions would not help: it was measured, and clearly missed"


@dataclass(frozen=True)
class Words:
    """How one piece of evidence is shown: its label, its unit, what a user can change so that it
    would meet its requirement, and what it means, as stored with it."""

    label: str
    unit: str
    settle: str = ""
    meaning: str = ""


# By the name in evidence.json. "far": at 2 to 3 half-widths. "relative": root mean square of the
# difference in acceleration over that of the acceleration, joint by joint.
WORDS: Mapping[str, Words] = {
    Name.LAW_ERROR_INSIDE: Words(
        "held-out error of the rigid-body law",
        "relative",
        f"{_REGION}, or a corrected robot description",
    ),
    Name.REFIT_ERROR_FAR: Words("far error of the refitted rigid-body law, worst axis", "relative"),
    Name.SELF_EXTRAPOLATION: Words("far error of the rigid-body law, worst axis", "relative"),
    Name.RESIDUAL_GROWTH: Words("growth of the residual", "ratio"),
    Name.PREDICTABILITY: Words("predictability of the residual", "R²", _SEARCH),
    Name.GAIN: Words("gain of extra terms", "ratio", _SEARCH),
    Name.COST_OF_BODIES: Words(
        "cost of physical consistency",
        "ratio",
        "less noise, for the nearest consistent bodies to become distinguishable",
    ),
    Name.EXTENDED_ERROR_FAR: Words("far error of the law with extra terms, worst axis", "relative"),
    Name.BEST_ERROR_FAR: Words(
        "far error of the best law, worst axis",
        "relative",
        "questions further out: a law still describes the model there",
    ),
    Name.BEST_ERROR_INSIDE: Words(
        "held-out error of the best law",
        "relative",
        "a wider region: in this one a law is exact to many digits",
    ),
    Name.RESOLUTION: Words("resolution", "relative", "less noise in the model's answers"),
    Name.FROZEN_STEPS: Words("frozen steps", "fraction"),
    Name.FAR_CURVATURE: Words("far constancy", "ratio"),
    Name.INERTIA_MISFIT: Words("growth of the inertia misfit", "ratio"),
    Name.KEPT_LABEL_NOISE: Words(
        "memorised label noise",
        "correlation",
        "the training data (`training_data=…`), if they are known and their labels are noisy",
    ),
    Name.INNER_LAW_END: Words("regime switch", "half-widths"),
    Name.INNER_LAW_END_IN_NOISE: Words("regime switch within noise", "half-widths"),
    Name.LAWS_OF_PARTS: Words("error of the laws of parts", "relative"),
    Name.ROUGHNESS: Words(
        "local roughness", "fraction", "less noise, or a law that leaves a smaller residual"
    ),
    Name.TRAINING_GAP: Words("train/fresh gap", "decades"),
    Name.DISTANCE_LINK: Words("error against distance to the training data", "rank correlation"),
    Name.REPEATABILITY: Words("repeatability", "relative"),
}
_FAR = (
    "refit error far out",
    "residual growth",
    "extended law error far out",
)  # requirements that fail because the model leaves the law


def words(name: str, meaning: str = "") -> Words:
    """How that evidence is shown; evidence without an entry keeps its stored name and meaning."""
    unit = "relative" if name.startswith(_RELATIVE) else ""
    meaning = meaning or MEANING.get(name, "")  # type: ignore[call-overload]
    return replace(WORDS.get(name) or Words(name, unit), meaning=meaning)


def requirements(stored: StoredExam) -> list[dict[str, str]]:
    """For each answer, most probable first: its probability, the requirement it misses most
    clearly, the value measured and needed, and what would settle it. Empty without evidence."""
    evidence = [Evidence.from_dict(record) for record in stored.evidence]
    known = {e.name: e.value for e in evidence}
    if not {rule.evidence for rule in rules()} & set(known):
        return []
    verdict = judge(evidence)
    probabilities = stored.verdict.get("probabilities") or verdict.probabilities
    rows = []
    strong = strengths(evidence)  # where probabilities are told alike, the strengths decide
    for case in sorted(CASES, key=lambda c: (-_told(probabilities, c), -strong[c])):
        rule = next(r for r in rules() if r.case == case and r.evidence == verdict.weakest[case])
        entry = words(rule.evidence)
        rows.append(
            {
                "answer": case,
                "probability": relative(_told(probabilities, case)),
                "requirement": entry.label,
                "alternatives": _alternatives(rule),
                "measured": _measured(known.get(rule.evidence), entry.unit),
                "needed": _needed(rule),
                "settle": _settle(rule, known, stored),
            }
        )
    return rows


def runner_up(rows: list[dict[str, str]]) -> str:
    """The second most probable answer, and what speaks against it most, in a sentence."""
    if not rows:
        return ""
    first = rows[0]
    if len(rows) > 1 and rows[1]["probability"] == first["probability"]:
        alike = [f"*{r['answer']}*" for r in rows if r["probability"] == first["probability"]]
        return (
            f"By probability none of {listing(alike)} comes before another ({first['probability']} "
            f"each). *{first['answer']}* misses its requirements by least: the "
            f"*{first['requirement']}* was measured {first['measured']}, needed {first['needed']}."
        )
    return (
        f"Of the three answers, *{first['answer']}* comes closest (probability "
        f"{first['probability']}). What held it back most: its requirement on the "
        f"*{first['requirement']}*, measured {first['measured']}, needed {first['needed']}."
    )


def _told(probabilities: Mapping[str, float], case: str) -> float:
    """A probability to the two digits that are told of it."""
    share = float(probabilities.get(case, 0.0))
    return float(f"{share:.1e}") if math.isfinite(share) else 0.0


def _bound(rule: Rule) -> float:
    return Calibration.stored().bounds.get(rule.name, rule.bound)


def _needed(rule: Rule) -> str:
    return f"{'below' if rule.side > 0 else 'above'} {number(_bound(rule))}"


def _measured(value: float | None, unit: str) -> str:
    return "not measured" if value is None or math.isnan(value) else f"{number(value)} ({unit})"


def _alternatives(rule: Rule) -> str:
    """The other requirements of a group of which one suffices, in words."""
    if not rule.any:
        return ""
    others = [r for r in rules() if r.case == rule.case and r.any and r != rule]
    return listing([f"{words(r.evidence).label} {_needed(r)}" for r in others], "or")


def _settle(rule: Rule, known: Mapping[str, float], stored: StoredExam) -> str:
    """What a user can change so that this requirement would be decided."""
    value = known.get(rule.evidence)
    if rule.evidence in _FAR:
        return _narrower(stored)
    if rule.evidence == "resolution" and value:
        return f"noise smaller by a factor of {number(max(value / _bound(rule), 1.0), 2)}"
    texts = [words(rule.evidence).settle]
    if rule.any:
        others = [r.evidence for r in rules() if r.case == rule.case and r.any]
        texts += [words(name).settle for name in others if name not in known]
    return "; or ".join(dict.fromkeys(filter(None, texts))) or _SETTLED


def _narrower(stored: StoredExam) -> str:
    """A region in which the law could be followed as far as an examination asks."""
    limit = float(stored.exam.get("reach_limit") or stored.furthest)
    ends = {axis: e for axis, e in departures(stored).items() if e is not None and axis != "joint"}
    together = departures(stored).get("joint")
    if any(end == 0 for end in ends.values()) or (not ends and not together):
        return f"{_REGION}, or {_SEARCH}"
    if not ends:
        ends = {"joint": together or 1.0}
    axes = listing([symbols_of(stored)[axis] for axis in ends])
    share = min(ends.values()) / limit
    return (
        f"a region {number(share, 2)} times as wide in {axes}: the law holds to "
        f"{number(min(ends.values()))} of the present half-widths, so the model could be asked out "
        f"to {distance(limit)} of the new ones"
    )
