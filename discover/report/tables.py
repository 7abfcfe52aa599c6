"""The report's tables, as rows of strings ready for Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from discover.records import number_from_json
from discover.report import evidence_words
from discover.report.numbers import (
    MISSING,
    distance,
    half_widths,
    interval,
    number,
    relative,
    seconds,
)
from discover.report.stored import GRADIENTS, INSIDE, StoredExam
from discover.report.words import RECORDED_MEANING, agrees

AXES = {
    "q": "configuration q",
    "v": "velocity v",
    "tau": "joint force τ",
    "joint": "q, v and τ together",
}
LONG = 90  # longer combinations of parameters are named by their first
FOLD = 16  # longer tables of parameters are folded away
ERROR_COLUMNS = (
    ("law against model", "far error, law against model"),
    ("model against simulator", "far error, model against simulator"),
    ("law against simulator", "far error, law against simulator"),
)
PARTS = {"channels": "input/output nonlinearity", "turns": "surrogate trigonometry"}


def cell(text: Any) -> str:
    """Text that cannot break a Markdown table."""
    return " ".join(str(text).replace("|", "\\|").split())


def inside(stored: StoredExam) -> dict[str, Any] | None:
    """What was found inside the network, beside the verdict: claims as they were put in words."""
    found = stored.inside
    if found is None:
        return None
    claims = ("kind", "subject", "answer", "words")
    return {
        "rows": [{name: cell(claim[name]) for name in claims} for claim in found["claims"]],
        "notes": [cell(note) for note in found.get("notes", ())],
        "seconds": seconds(found.get("seconds")),
        "folder": INSIDE.parent.as_posix(),
    }


def gradients(stored: StoredExam) -> dict[str, Any] | None:
    """Whether the model's gradients can be followed, beside the verdict: the sentence, and where
    the numbers are."""
    found = stored.gradients
    if found is None:
        return None
    return {"sentence": cell(found["sentence"]), "folder": GRADIENTS.parent.as_posix()}


def reach(stored: StoredExam) -> tuple[list[str], list[dict[str, Any]]]:
    """Column titles, and a row an axis: reach, and errors in the furthest shell."""
    present = {curve["subject"] for curve in stored.curves}
    columns = [(subject, title) for subject, title in ERROR_COLUMNS if subject in present]
    known = stored.verdict.get("reach") or {}
    limit = stored.exam.get("reach_limit")
    open_ended = set(((stored.law or {}).get("domain") or {}).get("at_least", ()))
    rows = [
        {
            "axis": "controls u" if axis == "tau" and stored.controlled else words,
            "reach": _reach(known.get(axis), limit, axis in open_ended),
            "errors": [relative(stored.error(s, axis, far=True)) for s, _ in columns],
        }
        for axis, words in AXES.items()
    ]
    return [title for _, title in columns], rows


def region(stored: StoredExam) -> str:
    """The region's half-widths in words, "" where they are not stored."""
    bounds = stored.verdict.get("region") or {}
    units = {"q": "rad or m", "v": "rad/s or m/s"}
    units |= {"u": "in their own units"} if stored.controlled else {"tau": "N·m or N"}
    texts = []
    for group, unit in units.items():
        values = _widths(bounds.get(group))
        if not values:
            return ""
        ends = dict.fromkeys(f"{x:.3g}" for x in (min(values), max(values)))
        texts.append(f"{'τ' if group == 'tau' else group} {' to '.join(ends)} {unit}")
    return f"half-widths: {'; '.join(texts)}"


def _widths(bounds: Any) -> list[float]:
    """Half-widths from a number, a list of them, or lower and upper bounds."""
    if isinstance(bounds, int | float):
        return [float(bounds)]
    if isinstance(bounds, Mapping):
        low, high = (np.atleast_1d(bounds[end]) for end in ("low", "high"))
        return [float(x) for x in (high - low) / 2]
    return [float(x) for x in bounds or ()]


def parameters(stored: StoredExam) -> list[dict[str, str]]:
    """The identified parameters beside the description's."""
    rows = stored.exam.get("parameters") or []
    return [
        {
            "name": _combination(str(row["name"])),
            "value": number(_float(row["value"]), 5),
            "error": number(_float(row.get("standard_error")), 2),
            "description": number(_cleaned(_float(row.get("description"))), 5),
            "agree": _agreement(row),
        }
        for row in rows
    ]


def _agreement(row: Mapping[str, Any]) -> str:
    if row.get("impossible"):
        return f"impossible: {row['impossible']}"
    if row.get("description") is None:
        return ""
    return "yes" if agrees(row) else _apart(row)


def _combination(name: str) -> str:
    """The name of a base parameter; of a long combination its first term, and how many follow."""
    terms = re.split(r" (?=[+-] )", name)
    if len(name) <= LONG or len(terms) < 3:
        return f"`{cell(name)}`"
    return f"`{cell(terms[0])}` and {len(terms) - 1} more"


def evidence(stored: StoredExam) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """What the verdict rests on, and what is only descriptive (it has no threshold)."""
    rows: tuple[list[dict[str, str]], list[dict[str, str]]] = ([], [])
    for item in stored.evidence:
        value, ends = _float(item["value"]), [_float(x) for x in item["interval"]]
        words = evidence_words.words(item["name"], item.get("meaning", ""))
        rows[item.get("threshold") is None].append(
            {
                "name": cell(words.label),
                "unit": words.unit or MISSING,
                "value": number(value),
                "interval": "–" if ends[0] == ends[1] else interval(*ends),
                "threshold": number(_float(item.get("threshold"))),
                "supports": ", ".join(item.get("supports") or ()) or "–",
                "meaning": cell(words.meaning),
            }
        )
    return rows


def parts(stored: StoredExam) -> list[dict[str, str]]:
    """The ablation: the parts of the law with the evidence for each."""
    rows = []
    for p in (stored.law or {}).get("account") or []:
        x = {k: number_from_json(v) for k, v in p.items() if k not in ("name", "term", "refitted")}
        rows.append(
            {
                "name": cell(PARTS.get(p["name"], p["name"])),
                "term": f"`{cell(p['term'])}`" if p["term"] else MISSING,
                "contribution": number(x["contribution"]),
                "share": relative(x["share"]),
                "with": relative(_known(x["error_with"])),
                "without": relative(_known(x["error_without"])),
                "gain": number(_known(x["gain"])),
                "spread": relative(_known(x["spread"])),
            }
        )
    return rows


def front(members: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The Pareto front: laws that were tried, each better than all shorter ones."""
    return [
        {
            "index": str(i),
            "words": m["words"],
            "size": str(m["size"]),
            "inside": relative(_known(number_from_json(m["inside"]))),
            "far": relative(_known(number_from_json(m["far"]))),
        }
        for i, m in enumerate(members)
    ]


def near(laws: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Laws about as good as the one that was chosen, and what would tell them apart."""
    rows = []
    for law in laws:
        state = law["question"]
        question = "; ".join(
            f"{'τ' if group == 'tau' else group} = ({', '.join(f'{x:.3g}' for x in row)})"
            for group, row in state.items()
        )
        rows.append(
            {
                "formula": f"`{cell(law['formula'])}`",
                "bits": f"{number_from_json(law['bits']):+.1f}",
                "question": question or MISSING,
                "difference": relative(number_from_json(law["difference"])) if state else MISSING,
            }
        )
    return rows


def _known(x: float) -> float | None:
    return None if math.isnan(x) else x


def forecast(stored: StoredExam) -> dict[str, Any] | None:
    """Valid times and energy of the rollouts, with a caption that says how they were made."""
    record = stored.forecast
    if record is None:
        return None
    rate = _float(record.get("lyapunov_rate"))
    chaotic = math.isfinite(rate) and rate * record["seconds"] > 3
    rows = []
    for name, times in record["subjects"].items():
        whole = times["valid_time"] >= record["seconds"] - 1e-9
        rows.append(
            {
                "name": name,
                "holds": f"{'≥ ' if whole else ''}{number(times['valid_time'])}",
                "quartiles": interval(times["valid_time_low"], times["valid_time_high"]),
                "lyapunov": number(times["valid_time"] * rate, 2),
                "energy": relative(_float(times["energy_drift"])),
            }
        )
    return {"rows": rows, "chaotic": chaotic, "caption": _forecast_caption(record, chaotic, rate)}


def ledger(stored: StoredExam) -> dict[str, Any] | None:
    """Time a state, a row a contender and a column a batch, with its errors beside."""
    record = stored.ledger
    if record is None or not record["timings"]:
        return None
    rows = ledger_rows(record)
    caption = (
        "Batch columns: processor time per state, the median over rounds in which all programs "
        f"took turns on the same states, on one thread of {cell(record['machine']['processor'])}. "
        "Calls start from Python, so a batch of 1 pays for the call itself."
    )
    if rows["radii"]:
        caption += (
            " Errors are relative, against the compiled simulator, with q, v and τ leaving the "
            "region together: in the region, and in the shell that ends at so many half-widths."
        )
    metrics = (stored.training or {}).get("metrics") or {}
    if metrics.get("seconds") is not None:
        caption += f" Training took {seconds(metrics['seconds'])}"
        spent = stored.exam.get("seconds")
        caption += f", the examination that gave the law {seconds(spent)}." if spent else "."
    return {**rows, "caption": caption}


def ledger_rows(record: Mapping[str, Any]) -> dict[str, Any]:
    """The rows of a stored ledger, its batch sizes and the radii of its errors."""
    sizes = sorted({timing["batch"] for timing in record["timings"]})
    known = {entry["name"]: entry for entry in record.get("accuracy", ())}
    radii: list[float] = next((entry["radii"] for entry in known.values()), [])
    grouped: dict[tuple[str, str, int], dict[int, Mapping[str, Any]]] = {}
    for timing in record["timings"]:
        key = (timing["name"], timing["dtype"], timing["threads"])
        grouped.setdefault(key, {})[timing["batch"]] = timing
    rows = []
    for (name, dtype, threads), timings in grouped.items():
        note = next(iter(timings.values()))["note"]
        errors = known[name]["errors"] if name in known else [None] * len(radii)
        times = [
            seconds(1e-9 * timings[size]["nanoseconds"]) if size in timings else MISSING
            for size in sizes
        ]
        rows.append(
            {
                "name": name + (f" ({note})" if note else ""),
                "cells": times + [relative(None if e is None else _float(e)) for e in errors],
                "dtype": dtype,
                "threads": threads,
            }
        )
    titles = [f"batch {size}" for size in sizes]
    titles += [
        f"error at {distance(r)} half-widths" if r != 1 else "error in the region" for r in radii
    ]
    return {"rows": rows, "titles": titles, "radii": radii}


def held_out(stored: StoredExam) -> dict[str, Any] | None:
    """Errors on held-out transitions: a row a joint, a column each of model, law and simulator."""
    record = stored.verdict.get("held_out")
    if not record or not record.get("errors"):
        return None
    subjects = [
        (key, title)
        for key, title in (("model", "model"), ("law", "law"), ("simulator", "simulator"))
        if any(row.get(key) is not None for row in record["errors"])
    ]
    rows = [
        {
            "joint": cell(row["joint"]),
            "quantity": row["quantity"],
            "cells": [
                "–" if row.get(key) is None else relative(float(row[key])) for key, _ in subjects
            ],
        }
        for row in record["errors"]
    ]
    simulator = record.get("simulator")
    return {
        "columns": [title for _, title in subjects],
        "rows": rows,
        "caption": (
            f"{record['asked']:,} of {record['transitions']:,} transitions; root mean square of "
            "each difference over that of what was recorded (of steps: over the recorded change). "
            + (
                "They are too few to say how much of the box they fill."
                if record["filled"] is None
                else f"The transitions fill {record['filled']:.1%} of the box: so many of its "
                "points have a recorded state as near as recorded states are to one another."
            )
            + (f" Simulator: {cell(simulator)}." if simulator else "")
        ),
    }


def recordings(stored: StoredExam) -> dict[str, Any] | None:
    """Errors on the test trajectories: the model's accelerations, the torques of the laws."""
    record = stored.recordings
    if record is None:
        return None
    joints = record["joints"]
    columns = ["model: relative error of a"]
    columns += [f"{who}: torque error, {j}" for who in record["torque_subjects"] for j in joints]
    columns += [f"torque, {j}" for j in joints]
    rows = []
    for entry in record["trajectories"]:
        cells = [relative(_float(entry["model_error"]))]
        for who in record["torque_subjects"]:
            cells += [number(_float(x)) for x in entry["torque_errors"][who]]
        cells += [number(_float(x)) for x in entry["torque_size"]]
        rows.append({"name": cell(entry["name"]), "cells": cells})
    caption = (
        "Root mean squares. The model's error is relative to the size of the accelerations. "
        "Torques are in N·m (forces in N for a prismatic joint), computed from the measured "
        f"position, velocity and filtered acceleration. {record.get('note', '')}"
    )
    return {
        "columns": columns,
        "rows": rows,
        "caption": caption.strip(),
        "meaning": RECORDED_MEANING,
        "processing": record.get("processing") or [],
    }


def _reach(value: Any, limit: float | None, open_ended: bool) -> str:
    text = half_widths(_float(value), limit)
    return f"≥ {text}" if open_ended and not text.startswith("≥") else text


def _apart(row: Mapping[str, Any]) -> str:
    value, described = _float(row["value"]), _float(row["description"])
    error = _float(row.get("standard_error"))
    if math.isfinite(error) and error > 0:
        return f"{number(abs(value - described) / error, 2)} standard errors apart"
    return f"off by {relative(abs(value - described) / abs(described))}" if described else "no"


def _forecast_caption(record: Mapping[str, Any], chaotic: bool, rate: float) -> str:
    lines = [
        f"{record['starts']} starts in the inner half of the region, no joint forces; simulator, "
        f"model and law are stepped by {_stepped(record)} for {number(record['seconds'])} s.",
        "Valid time: until the forecast is "
        f"{100 * record['threshold']:.0f} % of the motion's own spread away from the simulator's.",
        "Energy error: computed with the robot's description, relative to the largest kinetic "
        "energy; the simulator's own drift under this integrator is "
        f"{relative(record['reference_drift'])}.",
    ]
    if record["seconds"] < record.get("asked_seconds", 0):
        lines.append(
            f"The recipe asks for {number(record['asked_seconds'])} s; falling freely, this robot "
            "leaves the region long before, so the horizon was cut."
        )
    if record["inside_share"] < 0.98:
        lines.append(
            f"The simulator's motions are in the region {100 * record['inside_share']:.0f} % of "
            "the time (shaded in the figure until they first leave it)."
        )
    if chaotic:
        lines.append(f"One Lyapunov time is {number(1 / rate, 2)} s here.")
    return " ".join(lines)


def _stepped(record: Mapping[str, Any]) -> str:
    step = f"{1000 * record['dt']:g} ms"
    if record["integrator"] == "its own step map":
        return f"its own map over {step}"
    return f"the same integrator ({record['integrator']}, {step})"


def _short_commit(commit: str) -> str:
    head, plus, changes = commit.partition("+")
    return f"{head[:12]}{plus}{changes}"


def _cleaned(value: float) -> float:
    """Rounding errors of sums that should be zero, as the zero they are."""
    return 0.0 if abs(value) < 1e-12 else value


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)


def lines_of(manifest: Mapping[str, Any] | None, exam: Sequence[str] = ()) -> list[str]:
    """How it was made: command, recipe, seed, versions, hashes; `exam` are lines in between."""
    if manifest is None:
        return list(exam)
    versions = ", ".join(f"{name} {v}" for name, v in manifest["versions"].items() if name)
    lines = []
    if manifest.get("command"):
        lines.append(f"Command: `{cell(manifest['command'])}`")
    lines.append(
        f"Recipe *{manifest['study']}*, every value in `experiment.toml`; seed {manifest['seed']}"
    )
    lines.extend(exam)
    if manifest.get("dataset"):
        lines.append(f"Data set: `{manifest['dataset'][:16]}…` (SHA-256)")
    lines.append(f"Versions: {versions}")
    commit = manifest.get("commit")
    lines.append(
        f"Source: `{manifest['source'][:16]}…`"
        + (f", commit `{_short_commit(commit)}`" if commit else "")
    )
    return lines
