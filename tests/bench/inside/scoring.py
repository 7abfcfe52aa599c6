"""Scores of what was claimed about planted networks, and the report.

A record holds a plant's truth and what `look_inside` said and measured. Scored is what
construction decides: roles, factorisation, recursion over depth, dormant paths. What is wrong is
listed, every one; what becomes of the bounds is in bounds.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discover.artifacts import write_text
from tests.bench.inside import bounds

Record = dict[str, Any]

QUESTIONS = ("uses H", "uses C", "factorisation", "recursion", "dormant")
_FEW = 30  # plants, below which the report says that shares mean nothing


def answers(record: Record) -> dict[str, tuple[Any, Any]]:
    """{question: (truth, claim)} of a plant, for the questions that its construction decides."""
    truth, claim = record["truth"], record["claims"]
    found: dict[str, tuple[Any, Any]] = {}
    for role in ("H", "C"):
        if truth["roles"][role] is not None and role in claim["uses"]:
            found[f"uses {role}"] = (truth["roles"][role], claim["uses"][role])
    if truth["factorisation"] is not None and "factors" in record["variables"]:
        found["factorisation"] = (truth["factorisation"], claim["factorisation"])
    if truth["recursion"] is not None and "factors" in record["variables"]:
        found["recursion"] = (truth["recursion"], claim["recursion"])
    if truth["roles"]["H"] is not None and "duplicate" not in truth["flags"]:
        # the instrument's flag is of a path that is dormant or a duplicate, without a difference
        found["dormant"] = ("dormant" in truth["flags"], "dormant" in claim["flags"])
    return found


def right(question: str, truth: Any, claim: Any) -> bool:
    """Whether a claim is right. Where there is nothing, "undetermined" is right too: it claims
    nothing."""
    if question == "factorisation" and truth == "none":
        return claim in ("none", "undetermined")
    return bool(claim == truth) or (truth is False and claim == "undetermined")


def false_alarm(question: str, truth: Any, claim: Any) -> bool:
    """Whether something was claimed that is not there."""
    if right(question, truth, claim):
        return False
    return claim not in ("none", "undetermined", False)


def best(record: Record, variable: str, number: str) -> float | None:
    """The largest value of a number over sites, or None where it was not measured."""
    values = [row[number] for row in record["table"] if row["variable"] == variable]
    values = [x for x in values if x is not None and np.isfinite(x)]
    return max(values) if values else None


def of_factorisation(record: Record, name: str, number: str) -> float | None:
    """The largest value of a number over sites and over the variables of a factorisation."""
    rows = [row for row in record["table"] if row.get("factorisation") == name]
    values = [row[number] for row in rows if row[number] is not None and np.isfinite(row[number])]
    return max(values) if values else None


def report(
    records: Sequence[Record], folder: Path, command: str, kinds: Sequence[str] = ()
) -> Path:
    """Write `folder`/report.md: scores as claimed, misses one by one, bounds by kinds left out, and
    the measured numbers of every plant; of `kinds`, which were not run."""
    records = sorted(records, key=lambda r: (r["kind"], r["shape"], r["seed"]))
    failed = [r for r in records if r.get("failed")]
    good = [r for r in records if not r.get("failed")]
    lines = [
        "# Claims about planted networks",
        "",
        f"Made by `{command}`. {len(records)} plants of {len({r['kind'] for r in records})} kinds, "
        f"{sum(r['seconds'] for r in records):.0f} s of processor time in all. Truths are what was "
        "built in. The kinds were made beside the instrument, so no kind is held out.",
        "",
        *[x for note in sorted({r.get("note", "") for r in records} - {""}) for x in (note, "")],
        *_not_run(records, kinds),
        "## As claimed, with the bounds in force",
        "",
        *_claimed(good),
        "",
        "### Every miss",
        "",
        *_misses(good),
        "",
        "## The rule of bounds, and what follows",
        "",
        *bounds.section(good),
        "",
        "## What was measured",
        "",
        *_measured(good),
    ]
    if failed:
        lines += ["", "## Not measured", ""]
        lines += [f"- {r['id']}: {r['failed']}" for r in failed]
    return write_text(folder / "report.md", "\n".join(lines) + "\n")


def _not_run(records: Sequence[Record], kinds: Sequence[str]) -> list[str]:
    missing = [k for k in kinds if k not in {r["kind"] for r in records}]
    few = f"**{len(records)} plants measure no rate.** " if len(records) < _FEW else ""
    if not missing:
        return [few, ""] if few else []
    return [f"{few}Kinds that were not run: {', '.join(missing)}.", ""]


def _claimed(records: Sequence[Record]) -> list[str]:
    lines = ["| question | plants | right | false alarms | overlooked |", "|---|--:|--:|--:|--:|"]
    for question in QUESTIONS:
        told = [answers(r)[question] for r in records if question in answers(r)]
        if not told:
            continue
        hits = sum(right(question, *x) for x in told)
        alarms = sum(false_alarm(question, *x) for x in told)
        lines.append(
            f"| {question} | {len(told)} | {hits} ({hits / len(told):.0%}) | {alarms} "
            f"| {len(told) - hits - alarms} |"
        )
    deep = [r for r in records if r["shape"] != "2R" and r["truth"]["factorisation"] != "none"]
    told = [answers(r)["factorisation"] for r in deep if "factorisation" in answers(r)]
    if told:
        hits = sum(right("factorisation", *x) for x in told)
        lines.append(
            f"| a factorisation that is there, 3 joints and more | {len(told)} "
            f"| {hits} ({hits / len(told):.0%}) | | |"
        )
    return lines


def _misses(records: Sequence[Record]) -> list[str]:
    found = []
    for r in records:
        for question, (truth, claim) in answers(r).items():
            if not right(question, truth, claim):
                said = f"{question}: built in {_word(truth)}, said {_word(claim)}"
                found.append(f"- {r['id']}: {said}.{_sentence(r, question, truth)}")
    return found or ["None."]


def _sentence(record: Record, question: str, truth: Any) -> str:
    """What the instrument said to it, in its own words."""
    begins = {
        "factorisation": f"follows {truth}:",
        "recursion": "implements ",
        "uses H": "uses H:",
        "uses C": "uses C:",
    }
    words = [w for w in record["words"] if w.startswith(begins.get(question, "-"))]
    return f" *{words[0]}*" if words else ""


def _word(x: Any) -> str:
    return {True: "yes", False: "no"}.get(x, str(x)) if isinstance(x, bool) else str(x)


def _measured(records: Sequence[Record]) -> list[str]:
    lines = [
        "Best site each. Error is relative to the accelerations' spread. `claims`: uses; "
        "factorisation; recursion; flags.",
        "",
        "| plant | error | S(H) | placebo | S(C) | S_r tip / base / cofactors | claims | s |",
        "|---|--:|--:|--:|--:|---|---|--:|",
    ]
    for r in records:
        c = r["claims"]
        used = "+".join(k for k, x in c["uses"].items() if x) or "–"
        said = "; ".join(
            (
                used,
                c["factorisation"],
                _word(c["recursion"]),
                "+".join(c["flags"]) or "–",
            )
        )
        S_r = " / ".join(
            _short(of_factorisation(r, n, "S_r")) for n in ("tip-first", "base-first", "cofactors")
        )
        S = " | ".join(_short(best(r, *x)) for x in (("H", "S"), ("H", "placebo"), ("C", "S")))
        lines.append(
            f"| {r['id']} (condition {r['condition']:g}) | {r['error']:.3f} | {S} | {S_r} | {said} "
            f"| {r['seconds']:.0f} |"
        )
    return lines


def _short(x: float | None) -> str:
    return "·" if x is None else f"{x:.2f}"
