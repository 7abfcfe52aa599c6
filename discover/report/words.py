"""The report's sentences: what the model does, in plain words, and what that does not mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from discover.report.numbers import distance, half_widths, listing, number, relative, short_formula
from discover.report.stored import StoredExam, crossing

AXIS_WORDS = {
    "q": "in configuration",
    "v": "in velocity",
    "tau": "in joint force",
    "joint": "when all three leave the region together",
}
SYMBOLS = {"q": "q", "v": "v", "tau": "τ", "joint": "all three together"}
_CONTROLLED = {"tau": "u"}

VERDICTS = {
    "physics": "it answers as a rigid-body mechanism",
    "lookup table": "it interpolates what it was trained on",
    "alternative law": "it follows a law that is not plain rigid-body mechanics",
    "undetermined": "the evidence does not settle it",
}

MEANS = {
    "physics": [
        "A rigid-body law of {tree}, with physically consistent parameters, was fitted "
        "in the region and frozen; it then predicted fresh answers of the **model** further out, "
        "as far as the reach above says.",
    ],
    "lookup table": [
        "No compact law that was tried describes the model away from its training data, and its "
        "errors are tied to where those data end: it interpolates.",
        "Inside the region its answers may still be good; the error curves say how good.",
    ],
    "alternative law": [
        "A compact law outside the plain rigid-body family was fitted and frozen; it predicted "
        "fresh answers better than the best rigid-body law does, far out too, and its terms pay "
        "for their description length.",
        "The extra terms are listed above; they are a property of the **model**, whether or not "
        "the robot has them.",
    ],
    "undetermined": [
        "No answer meets all its requirements, or the questions could not have told the answers "
        "apart. The reach, the error curves and the law above hold all the same.",
    ],
}

MEANS_NOT = {
    "physics": [
        "It does not mean that the model runs a textbook algorithm: closed forms, composite "
        "bodies and recursions give the same answers.",
        "It does not mean that its parameters are the robot's: compare the table of parameters.",
        "Departures smaller than the resolution, or beyond the reach, were not seen.",
    ],
    "lookup table": [
        "It does not mean that the model is useless, nor that it has stored its samples one by "
        "one: a smooth interpolant counts as a lookup table too.",
        "A law that none of the families tried can express would look much the same; the evidence "
        "table says what supports *lookup table*.",
    ],
    "alternative law": [
        "It does not mean that the law is right about the robot, nor that it is the only one: it "
        "is the shortest one found that predicts the model.",
        "It does not mean that the law is faster to compute; see the computing times.",
    ],
    "undetermined": [
        "It does not mean that the model is partly physics.",
    ],
}

LIMITS = (
    "Joint limits, contacts and resets are recognised where they set in at a value of one "
    "coordinate, told, and left out of the law; others are compared with laws that have none.",
    "Inputs are joint forces τ, or controls that a declared actuation turns into them. A model of "
    "other inputs is examined with these taken for τ.",
    "Mechanisms are trees of rigid bodies. Closed kinematic loops and flexible links are not among "
    "the laws that are tried.",
    "Hidden states: repeated answers and the influence of the one previous question are tested. "
    "A longer memory is not.",
    "Every statement is about behaviour, what goes in and what comes out, in the box that was "
    "questioned and as far around it as the reach says; nothing is said about what happens inside "
    "the model.",
)

EXACT = 1e-6  # a model with a smaller error needs no law to replace it
USEFUL = 0.1  # a law with a larger error is recommended over no model
DESCRIBES = 0.1  # relative error in the region of a law that the model follows there
COARSE = 0.5  # a resolution above it is about the size of the answers themselves
_EDGE = 0.05  # half-widths: a law that is left so near the region's edge is left at the edge
_APART = 1.1  # a reach this many times beyond the crossing of the error curve drawn contradicts it

RECORDED_MEANING = (
    "There is no simulator behind recordings of a real machine, so nothing here says how far the "
    "model or the law is from the truth outside what was recorded. The trajectories fill a thin "
    "part of the box they span: an error measured in a corner that no trajectory visited is a "
    "statement about the model, not about the machine. Accelerations are derivatives of filtered "
    "measurements, friction and its reversal dominate small torques, and the law identified from a "
    "network inherits the network's errors. What such data can show is how well each of them "
    "predicts trajectories that were kept aside."
)


def headline(stored: StoredExam) -> str:
    """What is useful about the model, in one sentence made of stored numbers: how well a law
    describes it in the region, and where the model departs from that law.

    Where the stored reach and the error curve that the report draws differ, the smaller distance
    is given, so that the sentence never promises more than the figure shows.
    """
    inside = stored.error("law against model", "joint", far=False)
    ends = departures(stored)
    if inside is None or not ends:
        return f"{stored.name}: {VERDICTS.get(stored.verdict['verdict'], 'no verdict')}."
    if all(end == 0 for end in ends.values()):
        return (
            "No law that was tried describes the model, not even in the region: the best is off by "
            f"{relative(inside)} there."
        )
    follows = f"The model follows a {_family_words(stored)} to {relative(inside)} in the region"
    limit = f"as far as it was asked ({distance(_limit(stored))} half-widths)"
    left = {axis: end for axis, end in ends.items() if end is not None}
    if not left:
        worst = max(stored.error("law against model", axis, far=True) or 0.0 for axis in ends)
        return f"{follows} and to {relative(worst)} outside along its worst axis, {limit}."
    places: dict[str, list[str]] = {}
    for axis, end in left.items():
        places.setdefault(_place(end), []).append(symbols_of(stored)[axis])
    nearest = sorted(places.items(), key=lambda item: min(left[a] for a in _axes(stored, item[1])))
    where = listing([f"{place} in {listing(symbols)}" for place, symbols in nearest])
    kept = listing([symbols_of(stored)[axis] for axis in ends if axis not in left])
    rest = f"; in {kept} it follows the law {limit}" if kept else ""
    return f"{follows}, and departs from that law at {where}{rest}."


def departures(stored: StoredExam) -> dict[str, float | None]:
    """For each axis the distance at which the model leaves the law [half-widths]: 0 if the law
    fails in the region, None if it was followed as far as it was asked."""
    ends: dict[str, float | None] = {}
    for axis, value in _reach(stored).items():
        curve = stored.curve("law against model", axis)
        crossed = None
        if curve is not None and stored.tolerance is not None:
            crossed = crossing(curve, stored.tolerance)
        unbounded = value >= _limit(stored) - 1e-9
        if crossed is not None and (unbounded or value > _APART * crossed):
            ends[axis] = crossed
        else:
            ends[axis] = None if unbounded else value
    return ends


def answer(stored: StoredExam) -> str:
    """The answer in one paragraph."""
    sentences = [
        _fit(stored),
        _inside_only(stored),
        _reach_sentence(stored),
        _recommendation(stored),
        _on_recordings(stored),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def resolution(value: Any) -> str:
    """The smallest departures that could have been seen."""
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        named = {"region": "in the region", "inside": "in the region", "far": "far out"}
        return ", ".join(
            _smallest(_float(x), named.get(key, key.replace("_", " "))) for key, x in value.items()
        )
    if isinstance(value, Sequence) and not isinstance(value, str):
        places = ("in the region", "far out")
        return ", ".join(_smallest(_float(x), p) for x, p in zip(value, places, strict=False))
    return relative(_float(value))


def _smallest(x: float, place: str) -> str:
    """The smallest departure that would have shown in a place; where it is about as large as the
    answers, that none smaller would."""
    if x < COARSE:
        return f"{relative(x)} {place}"
    if not math.isfinite(x):
        return f"{place} none, for not all answers are finite"
    return f"{place} no law smaller than the model itself would have shown ({relative(x)})"


def reach_words(reach: Mapping[str, Any], limit: float | None) -> list[str]:
    """ "1.3 half-widths in configuration", axis by axis; equal ones are given once."""
    places: dict[str, list[str]] = {}
    for axis, where in AXIS_WORDS.items():
        if reach.get(axis) is not None:
            places.setdefault(half_widths(_float(reach[axis]), limit), []).append(where)
    if len(places) == 1 and len(next(iter(places.values()))) == len(AXIS_WORDS):
        places = {next(iter(places)): ["in every direction"]}
    sizes = {size: size.replace("≥", "at least") for size in places}
    return [f"{sizes[size]} half-widths {listing(where)}" for size, where in places.items()]


def parameters(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many identified parameters agree with the description, in a sentence."""
    known = [row for row in rows if row.get("description") is not None]
    if not known:
        return ""
    agreeing = [row for row in known if agrees(row)]
    share = f"{len(agreeing)} of {len(known)}"
    if len(agreeing) == len(known):
        share = f"All {len(known)}" if len(known) > 1 else "The one"
    return (
        f"{share} agree with the robot's description within two standard errors or one part in "
        "10⁶. Values in SI units (kg, kg·m, kg·m²)."
    )


def agrees(row: Mapping[str, Any]) -> bool:
    """Within two standard errors of the description's value, or as good as equal to it."""
    value, described = _float(row["value"]), _float(row["description"])
    error = _float(row.get("standard_error"))
    room = 2 * error if math.isfinite(error) else 0.0
    return abs(value - described) <= max(room, 1e-6 * abs(described), 1e-9)


def recorded(stored: StoredExam) -> dict[str, str] | None:
    """The errors on the test trajectories in short: ranges for the model, means for the laws.

    None where no trajectory was kept aside; `law` is "" where no law was found.
    """
    trajectories = (stored.recordings or {}).get("trajectories") or []
    if not trajectories:
        return None
    errors = sorted(_float(entry["model_error"]) for entry in trajectories)
    ends = [relative(errors[0]), relative(errors[-1])]
    texts = dict.fromkeys(("law", "description"), "")
    texts |= {"count": str(len(errors)), "model": " to ".join(dict.fromkeys(ends))}
    for who in trajectories[0]["torque_errors"]:
        joints = zip(*(entry["torque_errors"][who] for entry in trajectories), strict=True)
        size = [math.sqrt(sum(x * x for x in joint) / len(joint)) for joint in joints]
        texts[who] = listing([number(x, 2) for x in size])
    return texts


def law_terms(stored: StoredExam) -> str:
    """The law's terms beyond the rigid body as text, the first four; "" where there are none."""
    terms = (stored.verdict.get("law") or {}).get("terms") or []
    return listing([f"`{short_formula(term)}`" for term in terms[:4]])


def _family(stored: StoredExam) -> str:
    return str(
        (stored.law or {}).get("family") or (stored.verdict.get("law") or {}).get("family") or ""
    )


def _family_words(stored: StoredExam) -> str:
    family = _family(stored)
    if family == "rigid body":
        return "rigid-body law"
    return f"law (*{family}*)" if family else "law"


def _limit(stored: StoredExam) -> float:
    """How far out the examination asked [half-widths]."""
    return _float(stored.exam.get("reach_limit") or stored.furthest)


def _reach(stored: StoredExam) -> dict[str, float]:
    reach = stored.verdict.get("reach") or {}
    return {axis: _float(reach[axis]) for axis in AXIS_WORDS if reach.get(axis) is not None}


def symbols_of(stored: StoredExam) -> dict[str, str]:
    """The symbol of each axis; that of what is commanded is u where those are controls."""
    return SYMBOLS | (_CONTROLLED if stored.controlled else {})


def _axes(stored: StoredExam, symbols: Sequence[str]) -> list[str]:
    return [axis for axis, symbol in symbols_of(stored).items() if symbol in symbols]


def _place(end: float) -> str:
    """A distance in words."""
    return "the edge of the region" if abs(end - 1) < _EDGE else f"{end:.2g} half-widths"


def _fit(stored: StoredExam) -> str:
    """The verdict in a sentence, with the law's errors on the model."""
    verdict, name = str(stored.verdict["verdict"]), f"**{stored.name}**"
    questions = f"{int(stored.verdict.get('queries') or 0):,} questions"
    inside = stored.error("law against model", "joint", far=False)
    far = stored.error("law against model", "joint", far=True)
    text = {
        "physics": f"Asked {questions}, {name} answers as a rigid-body mechanism with "
        f"{stored.tree} would",
        "lookup table": f"Asked {questions}, {name} answers well only near what it was trained on",
        "alternative law": f"Asked {questions}, {name} follows a law of the family "
        f"*{_family(stored) or 'unknown'}*"
        + (f" with {law_terms(stored)}" if law_terms(stored) else ""),
    }.get(verdict, f"{questions} did not settle what {name} has learned")
    if inside is None or far is None:
        return f"{text}."
    together = f"q, v and {'u' if stored.controlled else 'τ'}"
    where = f"where {together} leave it together, at {distance(stored.furthest)} half-widths"
    outside = f"by {relative(far)} {where}" if math.isfinite(far) else f"not all is finite {where}"
    return (
        f"{text}: the law fitted in the region is off from the model by {relative(inside)} there, "
        f"and {outside}."
    )


def _inside_only(stored: StoredExam) -> str:
    """The law that a model follows where it was trained and nowhere else, such as the one that it
    was taught by: kept apart from the verdict, which is about all of its answers."""
    terms = law_terms(stored)
    inside = stored.error("law against model", "joint", far=False)
    if stored.verdict["verdict"] == "alternative law" or not terms or inside is None:
        return ""
    if not inside < DESCRIBES:
        return ""
    return (
        f"*Inside the region* its answers follow rigid bodies with {terms} in addition (to "
        f"{relative(inside)}): that law is given below and as `exam.law`, though the model does "
        "not follow it outside."
    )


def _reach_sentence(stored: StoredExam) -> str:
    reach = _reach(stored)
    if not reach:
        return ""
    within = "" if stored.tolerance is None else f" to within {relative(stored.tolerance)}"
    if all(value == 0 for value in reach.values()):
        return f"Not even in the region does a law describe the model{within}."
    words = reach_words(reach, stored.exam.get("reach_limit"))
    return f"The law describes the model{within} up to {listing(words)}."


def _recommendation(stored: StoredExam) -> str:
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
        identified = f"The law, identified from {source}," if source else "The identified law"
        return (
            f"{identified} is recommended over the model: {place} it is off from the simulator by "
            f"{relative(law)}, the model itself by {itself}{times}. The *law* says so; the model "
            "does not compute it out there."
        )
    return (
        f"The law is no substitute for the simulator either: {place} it is off by {relative(law)}, "
        f"the model by {relative(model)}."
    )


def _on_recordings(stored: StoredExam) -> str:
    """Recordings: the errors on trajectories that were kept aside."""
    texts = recorded(stored)
    if texts is None:
        return ""
    text = (
        f"On {texts['count']} recorded trajectories that were kept aside, the model's "
        f"accelerations are off by {texts['model']} of their size"
    )
    if not texts["law"]:
        return f"{text}; the joint forces of the description by {texts['description']} N·m."
    return (
        f"{text}; the joint forces of the law identified from it are off by {texts['law']} N·m "
        f"(root mean square, joint by joint), those of the description by {texts['description']}."
    )


def _factor(x: float) -> str:
    """A ratio to one or two digits: 3.2, 18, about 18,000."""
    if x < 10:
        return f"{x:.1f}"
    digits = 10 ** (math.floor(math.log10(x)) - 1)
    return f"{round(x / digits) * digits:,.0f}"


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)
