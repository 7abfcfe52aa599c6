"""Evidence in readers' words, and what would settle a verdict that is undetermined.

The numbers are those of evidence.json; which of them an answer requires, and above or below which
threshold, is read from the rules of the verdict, so that nothing is decided here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from discover.judgement.evidence import Evidence
from discover.judgement.thresholds import Rule, rules
from discover.judgement.verdict import CASES, Calibration, judge
from discover.report.numbers import distance, listing, number, relative
from discover.report.stored import StoredExam
from discover.report.words import SYMBOLS, departures

_REGION = "a smaller region or less noise in the model's answers"
_SEARCH = 'a wider search for terms (`budget="thorough"`)'

_RELATIVE = ("structure: ", "recursion: ", "factors: ")  # evidence of which all is relative
_SETTLED = "more questions would not help: it was measured, and clearly missed"


@dataclass(frozen=True)
class Words:
    """How one piece of evidence is shown: its label, its unit, what it means, and what a user can
    change so that it would meet its requirement."""

    label: str
    unit: str
    meaning: str
    settle: str = ""


# By the name in evidence.json. "far": at 2 to 3 half-widths. "relative": root mean square of the
# difference in acceleration over that of the acceleration, joint by joint.
WORDS: Mapping[str, Words] = {
    "law error in the region": Words(
        "held-out error of the rigid-body law",
        "relative",
        "error of the rigid-body law on held-out answers in the region, beyond noise",
        f"{_REGION}, or a corrected robot description",
    ),
    "refit error far out": Words(
        "far error of the refitted rigid-body law",
        "relative",
        "rigid-body law fitted out to 2 half-widths, tested beyond, on its worst axis",
    ),
    "self-extrapolation error": Words(
        "far error of the rigid-body law",
        "relative",
        "rigid-body law fitted in the region only, tested at 2–3 half-widths, on its worst axis",
    ),
    "residual growth": Words(
        "growth of the residual",
        "ratio",
        "residual of the rigid-body law at 2–3 half-widths over that in the region",
    ),
    "low-dimensional predictability": Words(
        "predictability of the residual",
        "R²",
        "share of the torque residual's variance that a few variables predict; 1 is a missing term",
        _SEARCH,
    ),
    "gain of extra terms": Words(
        "gain of extra terms",
        "ratio",
        "far error of the rigid-body law over that of the law with extra terms; 1 is no gain",
        _SEARCH,
    ),
    "cost of possible parameters": Words(
        "cost of physical consistency",
        "ratio",
        "1 + the error that physically consistent bodies add, over the law's error",
        "less noise, for the nearest consistent bodies to become distinguishable",
    ),
    "extended law error far out": Words(
        "far error of the law with extra terms",
        "relative",
        "best law with extra terms, frozen, at 2–3 half-widths",
    ),
    "best law error far out": Words(
        "far error of the best law",
        "relative",
        "best of all fitted laws at 2–3 half-widths, on its worst axis",
        "questions further out: a law still describes the model there",
    ),
    "best law error in the region": Words(
        "held-out error of the best law",
        "relative",
        "best of all fitted laws on held-out answers in the region",
        "a wider region: in this one a law is exact to many digits",
    ),
    "resolution": Words(
        "resolution",
        "relative",
        "smallest departure from the law that noise and residual could not have hidden",
        "less noise in the model's answers",
    ),
    "frozen steps": Words(
        "frozen steps",
        "fraction",
        "steps of 1/1000 half-width that change nothing, as between cells of a stored table",
    ),
    "far curvature": Words(
        "far constancy",
        "ratio",
        "second difference at 9–11 half-widths over that in the region, the smaller of q and v; "
        "below 1 where the model goes flat or straight far out, as interpolation does",
    ),
    "growth of the inertia's misfit": Words(
        "growth of the inertia misfit",
        "ratio",
        "misfit of the response to τ outside the region over that inside",
    ),
    "kept label noise": Words(
        "memorised label noise",
        "correlation",
        "between the noise of the training labels and the model's answers at the training points",
        "the training data (`training_data=…`), if they are known and their labels are noisy",
    ),
    "end of the law inside": Words(
        "regime switch",
        "half-widths",
        "nearest distance at which a model that goes flat far out leaves the law of the region",
    ),
    "end of the law up to noise": Words(
        "regime switch within noise",
        "half-widths",
        "the same for a law known up to noise: where the error beyond noise exceeds 5 %",
    ),
    "local roughness of the residual": Words(
        "local roughness",
        "fraction",
        "share of the best law's residual that changes within a fraction of a half-width, as it "
        "does between memorised samples; beyond noise",
        "less noise, or a law that leaves a smaller residual",
    ),
    "train/fresh gap": Words(
        "train/fresh gap",
        "decades",
        "log10 of the error at fresh points over that at training points",
    ),
    "error against distance to training data": Words(
        "error against distance to the training data", "rank correlation", "1 where errors grow"
    ),
    "repeatability": Words(
        "repeatability", "relative", "spread of repeated answers over the spread of a; 0 is exact"
    ),
}
_FAR = (
    "refit error far out",
    "residual growth",
    "extended law error far out",
)  # requirements that fail because the model leaves the law


def words(name: str, meaning: str = "") -> Words:
    """How that evidence is shown; evidence without an entry keeps its stored name and meaning."""
    unit = "relative" if name.startswith(_RELATIVE) else ""
    return WORDS.get(name) or Words(name, unit, meaning)


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
    for case in sorted(CASES, key=lambda c: -float(probabilities.get(c, 0.0))):
        rule = next(r for r in rules() if r.case == case and r.evidence == verdict.weakest[case])
        entry = words(rule.evidence)
        rows.append(
            {
                "answer": case,
                "probability": relative(float(probabilities.get(case, math.nan))),
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
    return (
        f"Of the three answers, *{first['answer']}* comes closest (probability "
        f"{first['probability']}). What held it back most: its requirement on the "
        f"*{first['requirement']}*, measured {first['measured']}, needed {first['needed']}."
    )


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
    axes = listing([SYMBOLS[axis] for axis in ends])
    share = min(ends.values()) / limit
    return (
        f"a region {number(share, 2)} times as wide in {axes}: the law holds to "
        f"{number(min(ends.values()))} of the present half-widths, so the model could be asked out "
        f"to {distance(limit)} of the new ones"
    )
