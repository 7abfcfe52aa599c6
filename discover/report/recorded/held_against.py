"""The section of a recorded study that holds every network against the law of the same logs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from discover.artifacts import read_json
from discover.judgement.thresholds import threshold
from discover.report.numbers import number, relative

HELD = "held_against.json"
_OFF = threshold("held.off")
_SURE = threshold("held.sure")
_LEAST = threshold("identification.unexplained_least")

Record = Mapping[str, Any]


def section(directory: Path) -> str:
    """The section in Markdown, from what is stored in a study's folder; "" where nothing is."""
    path = directory / HELD
    return in_words(read_json(path)) if path.exists() else ""


def in_words(record: Record) -> str:
    """The section of a record."""
    where = "" if record["unseen"] else (
        " No log was kept aside: these are the ends of the training logs, which no law was fitted "
        "to, but which stopped the models' training."
    )  # fmt: skip
    parts = [
        "## Held against the law of the same logs",
        "\n".join(f"- {x}" for x in sentences(record)),
        _forces(record),
        "Root mean square errors of joint forces on held-out logs [N·m or N]. *zero* predicts "
        "none, so it is the size of the force; *description* is the robot's file; *least squares* "
        "and the *identified law* were fitted to the training logs "
        "([their report](law_of_the_logs/report.md)). A model's error of acceleration is turned "
        f"into force by the identified law's mass matrix, so that all have one unit.{where}",
        *_within(record),
        _accelerations(record),
        "Errors of accelerations on the same rows, relative to the joint's own root mean square "
        "acceleration: 1 is no better than predicting none, – a joint at rest. Measured joint "
        "forces go into them, and on light joints their noise weighs most.",
    ]
    if record["knowledge"]:
        parts += [
            _knowledge(record),
            "Shares of the mean square of a residual. *The law's, by the model*: what the law of "
            "the logs leaves of the joint force and the model's departure from it explains; *its "
            "own, by the law*: the other way round. One factor a joint, fitted to other "
            "blocks of time, and no share above that factor: what must be scaled down to almost "
            "nothing is like the residual in shape only. *all* is the mean over joints, ± its "
            "standard error over blocks. Zero or below: it knows nothing that the other does not.",
        ]
    parts += [f"- {note[:1].upper()}{note[1:]}." for note in record["notes"]]
    return "\n\n".join(parts)


def sentences(record: Record) -> list[str]:
    """What a reader should know first."""
    out = [_best(record), *_in_the_box(record)]
    for entry in record["predictors"]:
        if entry["kind"] == "network" and not off(entry) < _OFF:
            out.append(
                f"**{entry['name']} is off by {relative(off(entry))} of the motion**: on held-out "
                "logs its accelerations are no better than predicting none."
            )
    inside = record.get("knowledge_within") or ()
    if inside:  # outside of it a network's errors hide what it knows
        return out + [x for k in inside for x in _known(k, "In that box ")]
    return out + [x for k in record["knowledge"] for x in _known(k)]


def off(entry: Record) -> float:
    """Relative error of accelerations over the joints that move; inf where an answer is not finite,
    nan where no joint moves."""
    values = [float(x) for x in entry["relative"]]
    finite = [x for x in values if math.isfinite(x)]
    if any(math.isinf(x) for x in values):
        return math.inf
    return math.sqrt(sum(x * x for x in finite) / len(finite)) if finite else math.nan


def _best(record: Record) -> str:
    shares = {entry["name"]: _share(record, entry) for entry in record["predictors"]}
    networks = [e["name"] for e in record["predictors"] if e["kind"] == "network"]
    text = (
        f"The law identified from the training logs leaves {relative(shares['identified law'])} of "
        f"the joint forces where they were held out, least squares "
        f"{relative(shares['least squares'])}, the description {relative(shares['description'])}"
    )
    if not networks:
        return text + "."
    best = min(networks, key=lambda n: shares[n] if math.isfinite(shares[n]) else math.inf)
    # The best on the logs that it is reported on: flattered a little, and told so.
    several = f"the best of {len(networks)} models on these very logs, {best}"
    which = several if len(networks) > 1 else best
    return f"{text}; {which}, {relative(shares[best])}."


def _known(entry: Record, where: str = "") -> list[str]:
    """What a network knows that the law does not, and the other way round; `where` stands before,
    such as "In that box "."""
    out = []
    name = entry["network"]
    for knower, other, key in (
        (name, "the law of the logs", "law"),
        ("the law of the logs", name, "network"),
    ):
        share, error = float(entry[f"{key}_all"]), float(entry[f"{key}_error"])
        if not math.isfinite(share):
            out.append(f"What {knower} knows beyond {other} cannot be told: no finite answers.")
        elif share > max(_SURE * error, _LEAST):
            who = name if knower == name else ("the" if where else "The") + " law of the logs"
            out.append(
                f"{who} knows something that {other} does not: it explains {100 * share:.0f} ± "
                f"{100 * error:.0f} % of what {other} leaves."
            )
        elif key == "law":
            out.append(f"{name} knows nothing of what {other} leaves that these logs would show.")
    return [where + (x[0].lower() + x[1:] if x.startswith("What") and where else x) for x in out]


def _share(record: Record, entry: Record, rows: str = "force") -> float:
    """Over all joints and logs, of the force's own size, each joint counting alike; over the rows
    of "force_within" or "force_outside" alone."""
    zero = next(e for e in record["predictors"] if e["name"] == "zero")
    sizes, errors = ([e[rows]] if rows != "force" else e[rows] for e in (zero, entry))
    ratios = []
    for j in range(len(record["joints"])):
        size = sum(float(row[j]) ** 2 for row in sizes)
        if size > 0:
            ratios.append(sum(float(row[j]) ** 2 for row in errors) / size)
    return math.sqrt(sum(ratios) / len(ratios)) if ratios else math.nan


def _has_a_box(record: Record) -> bool:
    """Whether some held-out rows lie in the box of the training rows and some do not."""
    inside = [float(x) for x in record.get("within", ())]
    return bool(inside) and any(x > 0 for x in inside) and any(x < 1 for x in inside)


def _in_the_box(record: Record) -> list[str]:
    """How the best network and the law compare where the training rows were, and elsewhere."""
    networks = [e for e in record["predictors"] if e["kind"] == "network"]
    if not (_has_a_box(record) and networks):
        return []
    law = next(e for e in record["predictors"] if e["name"] == "identified law")
    words = []
    for rows, where in (
        ("force_within", "in the box that the training rows span"),
        ("force_outside", "outside it"),
    ):
        best = min(networks, key=lambda e: _share(record, e, rows))
        words.append(
            f"{where} the law leaves {relative(_share(record, law, rows))} of the joint forces, "
            f"the best model there, {best['name']}, {relative(_share(record, best, rows))}"
        )
    text = "; ".join(words)
    return [f"{text[:1].upper()}{text[1:]}."]


def _within(record: Record) -> list[str]:
    """The same errors by joint, apart in the box of the training rows and outside it."""
    if not _has_a_box(record):
        return []
    joints: Sequence[str] = record["joints"]
    head = [f"{joint}, {where}" for where in ("inside", "outside") for joint in joints]
    lines = ["| predictor | " + " | ".join(head) + " |", "|---|" + "--:|" * len(head)]
    for entry in record["predictors"]:
        values = [float(x) for rows in ("force_within", "force_outside") for x in entry[rows]]
        cells = ["–" if math.isnan(x) else number(x, 3) for x in values]
        lines.append(f"| {entry['name']} | {' | '.join(cells)} |")
    shares = ", ".join(
        f"{log} {100 * float(x):.0f} %"
        for log, x in zip(record["logs"], record["within"], strict=True)
    )
    return [
        "\n".join(lines),
        "The same errors over the rows *inside* and *outside* the box between the least and the "
        "greatest that the training rows have of each position, velocity and joint force. Inside: "
        f"{shares}. A network can be asked only there for what it was taught; a law should go on.",
    ]


def _forces(record: Record) -> str:
    joints: Sequence[str] = record["joints"]
    names = [entry["name"] for entry in record["predictors"]]
    lines = ["| log | joint | " + " | ".join(names) + " |", "|---|---|" + "--:|" * len(names)]
    for k, log in enumerate(record["logs"]):
        for j, joint in enumerate(joints):
            cells = [number(float(e["force"][k][j]), 3) for e in record["predictors"]]
            lines.append(f"| {log} | {joint} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _accelerations(record: Record) -> str:
    joints: Sequence[str] = record["joints"]
    lines = ["| predictor | " + " | ".join(joints) + " |", "|---|" + "--:|" * len(joints)]
    for entry in record["predictors"]:
        values = [float(x) for x in entry["relative"]]
        cells = ["–" if math.isnan(x) else number(x, 3) for x in values]
        lines.append(f"| {entry['name']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _knowledge(record: Record) -> str:
    joints: Sequence[str] = record["joints"]
    head = ["model", "whose residual", *joints, "all", "±"]
    lines = ["| " + " | ".join(head) + " |", "|---|---|" + "--:|" * (len(head) - 2)]
    inside = record.get("knowledge_within") or ()
    entries = [(entry, "") for entry in record["knowledge"]]
    for entry, where in [*entries, *((entry, ", inside") for entry in inside)]:
        for words, key in (
            (f"the law's, by the model{where}", "law"),
            (f"its own, by the law{where}", "network"),
        ):
            values = [*entry[f"of_{key}"], entry[f"{key}_all"], entry[f"{key}_error"]]
            cells = [_percent(float(x)) for x in values]
            lines.append(f"| {entry['network']} | {words} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(x: float) -> str:
    return f"{100 * x:.0f} %" if math.isfinite(x) else "–"
