"""The report's sentences: what was found, in plain words, and what that does and does not mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from discover.report.numbers import distance, half_widths, listing, number, relative, short_formula
from discover.report.stored import StoredExam

AXIS_WORDS = {
    "q": "in configuration",
    "v": "in velocity",
    "tau": "in joint force",
    "joint": "when all three leave the region together",
}

HEADLINES = {
    "physics": "it computes rigid-body physics",
    "lookup table": "it looks up what it was trained on",
    "alternative law": "it follows a law of its own",
    "undetermined": "the evidence does not settle it",
}

MEANS = {
    "physics": [
        "A rigid-body law of this robot's tree, with physically possible parameters, frozen before "
        "fresh questions were asked further out, predicts the **model** there too, as far as the "
        "reach above says.",
        "It is a statement about behaviour: what goes in and what comes out.",
    ],
    "lookup table": [
        "No compact law was found that describes the model away from its training data, and its "
        "errors are tied to where those data end: it interpolates.",
        "Inside the region its answers may still be good; the figures say how good.",
    ],
    "alternative law": [
        "A compact law outside the rigid-body family, frozen before fresh questions were asked, "
        "predicts the model better than the best rigid-body law does, far out too, and is no "
        "longer to write down than its gain is worth.",
        "The law's extra terms are listed above; they are a property of the **model**, whether or "
        "not the robot has them.",
    ],
    "undetermined": [
        "The findings point in different directions, or the questions asked could not have told "
        "the answers apart. What is known on each axis stands above, and is worth reading.",
        "More questions (`--set examine.budget=thorough`), less noise or a wider region may "
        "settle it.",
    ],
}

MEANS_NOT = {
    "physics": [
        "It does not mean that the model runs a textbook algorithm inside: closed forms, composite "
        "bodies and recursions agree input to output.",
        "It does not mean that its parameters are the robot's: compare the table of parameters.",
        "Departures smaller than the resolution, and anything beyond the reach, were not seen.",
    ],
    "lookup table": [
        "It does not mean that the model is useless, nor that it has stored its samples one by "
        "one: a smooth interpolant counts as a table too.",
        "A law that none of the families tried can express would look much the same; the evidence "
        "table says what speaks *for* a table.",
    ],
    "alternative law": [
        "It does not mean that the law is right about the robot, nor that it is the only one: it "
        "is the shortest one found that predicts the model.",
        "It does not mean that the law is faster to compute; see the time ledger.",
    ],
    "undetermined": [
        "It is not a verdict by halves: it does not mean that the model is partly physics.",
    ],
}

EXACT = 1e-6  # a model with a smaller error needs no law to replace it
USEFUL = 0.1  # a law with a larger error is not worth taking home
DESCRIBES = 0.1  # relative error in the region of a law that the model follows there

RECORDED_MEANING = (
    "There is no simulator behind recordings of a real machine, so nothing here says how far the "
    "model or the law is from the truth outside what was recorded. The trajectories fill a thin "
    "part of the box they span: an error measured in a corner that no trajectory visited is a "
    "statement about the model, not about the machine. Accelerations are derivatives of filtered "
    "measurements, friction and its reversal dominate small torques, and the law pulled out of a "
    "network inherits what the network got wrong. What such data can show is how well each of them "
    "predicts trajectories that it has not seen."
)


def headline(verdict: str) -> str:
    return HEADLINES.get(verdict, verdict)


def answer(stored: StoredExam) -> str:
    """The answer in one paragraph."""
    verdict = str(stored.verdict["verdict"])
    sentences = [
        _found(stored, verdict),
        _inside_only(stored, verdict),
        _reach(stored),
        _taken_home(stored),
        _unseen(stored),
    ]
    confidence = stored.verdict.get("confidence")
    if confidence is not None:
        sentences.append(f"Confidence in the verdict: {100 * float(confidence):.0f} %.")
    return " ".join(sentence for sentence in sentences if sentence)


def resolution(value: Any) -> str:
    """The smallest departures that could have been seen."""
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        named = {"region": "in the region", "inside": "in the region", "far": "far out"}
        return ", ".join(
            f"{relative(_float(x))} {named.get(key, key.replace('_', ' '))}"
            for key, x in value.items()
        )
    if isinstance(value, Sequence) and not isinstance(value, str):
        places = ("in the region", "far out")
        return ", ".join(f"{relative(_float(x))} {p}" for x, p in zip(value, places, strict=False))
    return relative(_float(value))


def reach_words(reach: Mapping[str, Any], limit: float | None) -> list[str]:
    """ "1.3 half-widths in configuration", axis by axis; equal ones are said once."""
    told: dict[str, list[str]] = {}
    for axis, where in AXIS_WORDS.items():
        if reach.get(axis) is not None:
            told.setdefault(half_widths(_float(reach[axis]), limit), []).append(where)
    if len(told) == 1 and len(next(iter(told.values()))) == len(AXIS_WORDS):
        return [f"{next(iter(told))} in every direction"]
    return [f"{size} {listing(where)}" for size, where in told.items()]


def parameters(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many identified parameters agree with the description, in a sentence."""
    known = [row for row in rows if row.get("description") is not None]
    if not known:
        return ""
    agreeing = [row for row in known if agrees(row)]
    if len(agreeing) == len(known):
        share = f"All {len(known)}" if len(known) > 1 else "The one"
        return f"{share} agree with the description within two standard errors or one part in 10⁶."
    return (
        f"{len(agreeing)} of {len(known)} agree with the description within two standard errors "
        "or one part in 10⁶."
    )


def agrees(row: Mapping[str, Any]) -> bool:
    """Within two standard errors of the description's value, or as good as equal to it."""
    value, described = _float(row["value"]), _float(row["description"])
    error = _float(row.get("standard_error"))
    room = 2 * error if math.isfinite(error) else 0.0
    return abs(value - described) <= max(room, 1e-6 * abs(described), 1e-9)


def _found(stored: StoredExam, verdict: str) -> str:
    name = f"**{stored.name}**"
    asked = f"{int(stored.verdict.get('queries') or 0):,} questions"
    inside = stored.error("law against model", "joint", far=False)
    far = stored.error("law against model", "joint", far=True)
    family = (stored.law or {}).get("family") or (stored.verdict.get("law") or {}).get("family")
    if inside is None or far is None:
        fit = ""
    else:
        fit = (
            f"the law misses the model by {relative(inside)} in the region and by {relative(far)} "
            f"at {distance(stored.furthest)} half-widths"
        )
    if verdict == "physics":
        text = (
            f"Asked {asked}, {name} answers as a rigid-body mechanism with this robot's tree would"
        )
        return f"{text}: {fit}." if fit else f"{text}."
    if verdict == "lookup table":
        text = f"Asked {asked}, {name} answers well only near what it was trained on"
        return f"{text}: fitted in the region, {fit}." if fit else f"{text}."
    if verdict == "alternative law":
        terms = (stored.verdict.get("law") or {}).get("terms") or []
        extra = f" with {listing([f'`{short_formula(t)}`' for t in terms[:4]])}" if terms else ""
        text = f"Asked {asked}, {name} follows a law of the family *{family or 'unknown'}*{extra}"
        return f"{text}: {fit}." if fit else f"{text}."
    text = f"{asked} did not settle what {name} has learned"
    return f"{text}: {fit}." if fit else f"{text}."


def _inside_only(stored: StoredExam, verdict: str) -> str:
    """The law that a model follows where it was trained and nowhere else, such as the one that it
    was taught by: told apart from the verdict, which is about all of its answers."""
    terms = (stored.verdict.get("law") or {}).get("terms") or []
    inside = stored.error("law against model", "joint", far=False)
    if verdict == "alternative law" or not terms or inside is None or not inside < DESCRIBES:
        return ""
    told = listing([f"`{short_formula(t)}`" for t in terms[:4]])
    return (
        f"*Inside the region* its answers follow rigid bodies with {told} beside them (to "
        f"{relative(inside)}): that law is offered below and as `exam.law`, though the model does "
        "not follow it outside."
    )


def _reach(stored: StoredExam) -> str:
    reach = {k: r for k, r in (stored.verdict.get("reach") or {}).items() if r is not None}
    if not reach:
        return ""
    tolerance = ((stored.law or {}).get("domain") or {}).get("tolerance")
    within = "" if tolerance is None else f" to within {relative(_float(tolerance))}"
    if all(_float(r) == 0 for r in reach.values()):
        return f"Not even in the region does a law describe the model{within}."
    words = reach_words(reach, stored.exam.get("reach_limit"))
    return (
        "Counted in half-widths from the centre of the region, whose edge is at 1, the law "
        f"describes the model{within} up to {listing(words)}."
    )


def _taken_home(stored: StoredExam) -> str:
    """What the law is worth to a user who has only the network."""
    model = stored.error("model against simulator", "q", far=True)
    law = stored.error("law against simulator", "q", far=True)
    if model is None or law is None or not math.isfinite(law) or model < EXACT:
        return ""
    place = f"at {distance(stored.furthest)} half-widths in configuration"
    if law < min(USEFUL, model / 2):
        source = stored.exam.get("law_from")
        times = f", {_factor(model / law)} times as much" if math.isfinite(model) else ""
        itself = relative(model) if math.isfinite(model) else "an answer that is not finite"
        taken = f"The law, taken from {source}," if source else "The law taken from the model"
        return (
            f"{taken} is worth taking home: {place} it is off from the simulator by "
            f"{relative(law)}, the model itself by {itself}{times}. That is what the "
            "*law* says; the model does not compute it out there."
        )
    return (
        f"The law is no substitute for the simulator either: {place} it is off by {relative(law)}, "
        f"the model by {relative(model)}."
    )


def _unseen(stored: StoredExam) -> str:
    """Recordings: the errors on trajectories that were kept aside."""
    told = recorded(stored)
    if told is None:
        return ""
    text = (
        f"On {told['count']} recorded trajectories that it has not seen, the model's accelerations "
        f"are off by {told['model']} of their size"
    )
    if "law" not in told:
        return f"{text}."
    return (
        f"{text}; the joint forces of the law pulled out of it are off by {told['law']} N·m "
        f"(root mean square, joint by joint), those of the description by {told['description']}."
    )


def recorded(stored: StoredExam) -> dict[str, str] | None:
    """The errors on the test trajectories in short: ranges for the model, means for the laws."""
    trajectories = (stored.recordings or {}).get("trajectories") or []
    if not trajectories:
        return None
    errors = sorted(_float(entry["model_error"]) for entry in trajectories)
    ends = [relative(errors[0]), relative(errors[-1])]
    told = {"count": str(len(errors)), "model": " to ".join(dict.fromkeys(ends))}
    for who in trajectories[0]["torque_errors"]:
        joints = zip(*(entry["torque_errors"][who] for entry in trajectories), strict=True)
        size = [math.sqrt(sum(x * x for x in joint) / len(joint)) for joint in joints]
        told[who] = listing([number(x, 2) for x in size])
    return told


def _factor(x: float) -> str:
    """A ratio to one or two digits: 3.2, 18, about 18,000."""
    if x < 10:
        return f"{x:.1f}"
    digits = 10 ** (math.floor(math.log10(x)) - 1)
    return f"{round(x / digits) * digits:,.0f}"


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)
