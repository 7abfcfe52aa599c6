"""Scores of what was claimed about planted networks, and bounds fitted with kinds left out.

A record holds a plant's truth and what `look_inside` said and measured. Scored is what
construction decides: roles, factorisation, recursion over depth, dormant paths. A bound is fitted
on all kinds but one and applied to that one; what it gets wrong there is listed, every one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from discover.artifacts import write_text

Record = dict[str, Any]

QUESTIONS = ("uses H", "uses C", "factorisation", "recursion", "dormant")
_FEW = 30  # plants, below which the report says that shares mean nothing
_ADOPTED = 0.95  # share of plants that are right, from which on a bound is adopted
_FALSE_ALARM = 5.0  # a false "uses" or "follows" costs as many misses


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


def bound(values: Sequence[float], truths: Sequence[bool]) -> float:
    """The lower bound on a number that tells these apart at the least cost: a false alarm costs
    five misses. Among equals the middle of the widest gap; where nothing is gained, infinite."""
    order = np.sort(np.unique(np.asarray(values, dtype=float)))
    v, t = np.asarray(values, dtype=float), np.asarray(truths, dtype=bool)
    ends = (
        np.concatenate(([order[0] - 1], order, [np.inf])) if len(order) else np.array([0, np.inf])
    )
    best: tuple[float, float, float] | None = None
    for low, high in pairwise(ends):
        at = float((low + high) / 2) if np.isfinite(high) else np.inf
        said = v >= at
        cost = _FALSE_ALARM * float((said & ~t).sum()) + float((~said & t).sum())
        gap = float(high - low) if np.isfinite(high) else 0.0
        if best is None or (cost, -gap) < (best[0], -best[1]):
            best = (cost, gap, at)
    assert best is not None
    return best[2]


def left_out(
    records: Sequence[Record],
    value: Callable[[Record], float | None],
    true: Callable[[Record], Any],
) -> list[tuple[Record, float, bool, bool]]:
    """(record, bound, claim, truth) of every record for which both numbers are there: the bound is
    that of all other kinds."""
    rows = [(r, value(r), true(r)) for r in records]
    rows = [(r, x, t) for r, x, t in rows if x is not None and t is not None]
    found = []
    for kind in sorted({r["kind"] for r, _, _ in rows}):
        others = [(x, t) for r, x, t in rows if r["kind"] != kind]
        if not others:
            continue
        at = bound([x for x, _ in others], [bool(t) for _, t in others])
        found += [(r, at, x >= at, bool(t)) for r, x, t in rows if r["kind"] == kind]
    return found


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
        "built in. The kinds were made beside the instrument, so none is held out; what is fitted "
        "below is fitted with kinds left out, on the seeds that stand in the table.",
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
        "## Bounds fitted with kinds left out",
        "",
        *_refitted(good),
        "",
        "## Bounds to adopt",
        "",
        "Chosen on the plants of odd seeds, scored on those of even seeds; adopted where there are "
        f"{_FEW} plants of either, {_ADOPTED:.0%} of the scored are right and none is a false "
        "alarm. Until then the bounds in force are those of the feasibility study, which were read "
        "off the plants that they were tried on.",
        "",
        *(f"- {n[0]}, {n[1]}: {adoption(good, n)}." for n in _numbers()),
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


Bounded = tuple[str, str, Callable[[Record], float | None], Callable[[Record], Any]]


def _numbers() -> list[Bounded]:
    """(number, truth, its value in a record, the truth there) of all that a bound is put on."""
    rows: list[Bounded] = [
        ("S(H)", "uses H", lambda r: best(r, "H", "S"), lambda r: r["truth"]["roles"]["H"]),
        ("S(C)", "uses C", lambda r: best(r, "C", "S"), lambda r: r["truth"]["roles"]["C"]),
    ]
    for name in ("tip-first", "base-first", "cofactors"):
        rows.append(
            (
                f"S_r({name})",
                f"follows {name}",
                lambda r, n=name: of_factorisation(r, n, "S_r"),
                lambda r, n=name: (
                    None
                    if r["truth"]["factorisation"] is None
                    else r["truth"]["factorisation"] == n
                ),
            )
        )
    return rows


def adoption(records: Sequence[Record], number: Bounded) -> str:
    """What becomes of a bound by the rule that was stated before any was measured: chosen on the
    plants of odd seeds, scored on those of even seeds, adopted if there are enough of both, with no
    false alarm and nearly all right."""
    _, _, value, true = number
    told = [(r["seed"] % 2, value(r), true(r)) for r in records]
    chosen, scored = (
        [(x, bool(t)) for half, x, t in told if half == odd and x is not None and t is not None]
        for odd in (1, 0)
    )
    if min(len(chosen), len(scored)) < _FEW:
        return (
            f"not calibrated: {len(chosen)} plants to choose by and {len(scored)} to score, "
            f"{_FEW} of each needed"
        )
    at = bound([x for x, _ in chosen], [t for _, t in chosen])
    alarms = sum(x >= at and not t for x, t in scored)
    share = sum((x >= at) == t for x, t in scored) / len(scored)
    verdict = "adopt" if not alarms and share >= _ADOPTED else "not adopted"
    return f"{verdict} {at:.3g}: {share:.0%} of {len(scored)} right, {alarms} false alarms"


def _refitted(records: Sequence[Record]) -> list[str]:
    lines = [
        "A bound is the one number that tells the truth apart on the other kinds at the least cost "
        f"(a false alarm costs {_FALSE_ALARM:g} misses), applied to the kind left out.",
        "",
        "| number | truth | plants | right | bounds | missed |",
        "|---|---|--:|--:|---|---|",
    ]
    for number, truth, value, true in _numbers():
        told = left_out(records, value, true)
        if not told:
            continue
        wrong = [
            f"{r['id']} ({'false alarm' if said else 'overlooked'})"
            for r, _, said, t in told
            if said != t
        ]
        bounds = sorted({round(at, 3) for _, at, _, _ in told})
        hits = sum(said == t for _, _, said, t in told)
        lines.append(
            f"| {number} | {truth} | {len(told)} | {hits} ({hits / len(told):.0%}) "
            f"| {bounds[0]:g} … {bounds[-1]:g} | {', '.join(wrong) or 'none'} |"
        )
    return lines


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
