"""The report of the sealed list, from stored records alone: before and after, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from pathlib import Path
from typing import Any

from discover.artifacts import read_json, write_text
from tests.bench.sealed_laws import MECHANISMS

SEAL = "10487d8cd2fa25c1373c0f18726699648441f813"
SEALED = "2026-12-01 09:39 UTC"
LIMIT = 300  # processor seconds a mechanism, without making the model
NEAR_ENOUGH = 2e-3  # of the spread: a law with no larger error predicts far
CONFIDENT = 0.85  # a wrong verdict from this confidence on is a confident one
_SIDES = ("before", "after")
_SETTLED = ("lookup table", "physics", "alternative law")

Record = dict[str, Any]


def write(folder: Path) -> Path:
    """Write report.md beside ``folder``: a column for it, and for "before" and "after" there."""
    names = [*_SIDES] if folder.name in _SIDES else [*_SIDES, folder.name]
    sides = {name: found for name in names if (found := records(folder.parent / name))}
    return write_text(folder.parent / "report.md", "\n".join(lines(sides)) + "\n")


def records(folder: Path) -> dict[str, Record]:
    """The records of a folder by the mechanism's name, in the order of the list."""
    stored = [
        read_json(p, "a sealed mechanism") for p in sorted((folder / "records").glob("*.json"))
    ]
    found = {r["name"]: dict(r) for r in stored}
    return {m.name: found[m.name] for m in MECHANISMS if m.name in found}


def lines(sides: dict[str, dict[str, Record]]) -> list[str]:
    """The report, line by line."""
    text = [*_HEAD]
    for side, found in sides.items():
        text.append(f"- **{side}**: {_provenance(found)}")
    if len({r["list"] for found in sides.values() for r in found.values()}) > 1:
        text.append("- **The list's files differ between records**: columns are not comparable.")
    text += ["", "## Totals", "", *_totals(sides), "", "## By kind", ""]
    text += _groups(
        sides, "kind", [*dict.fromkeys(m.kind for m in MECHANISMS)], lambda r: r["kind"]
    )
    text += ["", "## By difficulty and robot", ""]
    groups = ["departs by 15 %", "hidden (1.5 %)", "noise of 1 %", "no noise"]
    text += _groups(sides, "group", groups, _difficulties)
    text += [""]
    text += _groups(
        sides, "robot", [*dict.fromkeys(m.place for m in MECHANISMS)], lambda r: r["robot"]
    )
    text += ["", "## Each mechanism", ""]
    for side, found in sides.items():
        text += [f"### {side.capitalize()}", "", *_each(found), ""]
    return [*text, *_WORDS]


def _provenance(found: dict[str, Record]) -> str:
    def distinct(key: str) -> str:
        return ", ".join(sorted({str(r[key]) for r in found.values()}))

    dates = sorted(r["date"] for r in found.values())
    return (
        f"{len(found)} of {len(MECHANISMS)} scored, {dates[0]} to {dates[-1]}, "
        f"code {distinct('code')}, budget {distinct('budget')}, list {distinct('list')}"
    )


def _acceptable(r: Record) -> bool:
    return bool(r.get("acceptable"))


def _wrong(r: Record) -> bool:
    return r["verdict"] in _SETTLED and not _acceptable(r)


def _confident_wrong(r: Record) -> bool:
    return _wrong(r) and r["confidence"] >= CONFIDENT


def _has_truth(r: Record) -> bool:
    """Whether a law was planted, and can be judged by 2e-3."""
    return r["kind"] != "table" and not r["noisy"]


def _far(r: Record) -> bool:
    return r.get("median") is not None and r["median"] <= NEAR_ENOUGH


def _far_throughout(r: Record) -> bool:
    return r.get("rms") is not None and r["rms"] <= NEAR_ENOUGH


def _closed(r: Record) -> bool:
    return bool(r.get("closed"))


def _any(r: Record) -> bool:
    return True


_COUNTS: tuple[tuple[str, Callable[[Record], bool], Callable[[Record], bool]], ...] = (
    ("verdict acceptable", _acceptable, _any),
    ("wrong verdict", _wrong, _any),
    (f"wrong with confidence of {CONFIDENT} or more", _confident_wrong, _any),
    ("undetermined", lambda r: r["verdict"] == "undetermined", _any),
    (f"timeout ({LIMIT} s)", lambda r: r["verdict"] == "timeout", _any),
    ("error", lambda r: r["verdict"].startswith("error"), _any),
    ("law predicts far, median error (no noise, no tables)", _far, _has_truth),
    ("law predicts far, rms error (no noise, no tables)", _far_throughout, _has_truth),
    ("law in closed form (no tables)", _closed, lambda r: r["kind"] != "table"),
    ("alternative laws: closed form and far (median, no noise)",
     lambda r: _closed(r) and _far(r),
     lambda r: _has_truth(r) and r["kind"] != "disguise"),
)  # fmt: skip


def _totals(sides: dict[str, dict[str, Record]]) -> list[str]:
    rows = [f"| | {' | '.join(sides)} |", f"|---|{'--:|' * len(sides)}"]
    for words, true, of in _COUNTS:
        cells = [share([true(r) for r in found.values() if of(r)]) for found in sides.values()]
        rows.append(f"| {words} | {' | '.join(cells)} |")
    for words, key in (("queries", "queries"), ("processor seconds", "seconds")):
        cells = [_mean([r[key] for r in found.values() if key in r]) for found in sides.values()]
        rows.append(f"| {words}, mean (most) | {' | '.join(cells)} |")
    return rows


def _mean(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.0f} ({max(values):.0f})" if values else "–"


def _difficulties(r: Record) -> list[str]:
    groups = ["noise of 1 %" if r["noisy"] else "no noise"]
    if r["kind"] not in ("table", "disguise"):
        groups.append("hidden (1.5 %)" if r["hidden"] else "departs by 15 %")
    return groups


def _groups(
    sides: dict[str, dict[str, Record]],
    word: str,
    groups: Sequence[str],
    of: Callable[[Record], Any],
) -> list[str]:
    heads = [f"{what}, {side}" for side in sides for what in ("acceptable", "far", "closed")]
    rows = [f"| {word} | {' | '.join(heads)} |", f"|---|{'--:|' * len(heads)}"]
    for group in groups:
        cells = []
        for found in sides.values():
            own = [r for r in found.values() if group == of(r) or group in _listed(of(r))]
            laws = [r for r in own if r["kind"] != "table"]
            cells.append(share([_acceptable(r) for r in own]))
            cells.append(share([_far(r) for r in laws if _has_truth(r)]))
            cells.append(share([_closed(r) for r in laws]))
        rows.append(f"| {group} | {' | '.join(cells)} |")
    return rows


def _listed(x: Any) -> list[str]:
    return x if isinstance(x, list) else []


def share(hits: Sequence[bool]) -> str:
    """ "3 of 4, 30–95 %": how many, with Wilson's interval of 95 %."""
    if not hits:
        return "–"
    low, high = wilson(sum(hits), len(hits))
    return f"{sum(hits)} of {len(hits)} ({100 * low:.0f}–{100 * high:.0f} %)"


def wilson(hits: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share (1927)."""
    middle = (hits + z * z / 2) / (of + z * z)
    half = z / (of + z * z) * sqrt(hits * (of - hits) / of + z * z / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def _each(found: dict[str, Record]) -> list[str]:
    rows = [
        "| mechanism | kind | robot | | verdict | confidence | acceptable | far: median | far: rms "
        "| closed form | queries | processor s |",
        "|---|---|---|---|---|--:|---|--:|--:|---|--:|--:|",
    ]
    for r in found.values():
        marks = ", ".join(k for k in ("hidden", "noisy") if r[k])
        confidence = f"{r['confidence']:.2f}" if "confidence" in r else "–"
        errors = [f"{r[k]:.1e}" if r.get(k) is not None else "–" for k in ("median", "rms")]
        yes = ["yes" if true(r) else "no" for true in (_acceptable, _closed)]
        cells = [r["name"], r["kind"], r["robot"], marks, r["verdict"], confidence, yes[0], *errors]
        cells += [yes[1], str(r.get("queries", "–")), f"{r['seconds']:.0f}"]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


_HEAD = f"""# A sealed list of forty mechanisms

Thirty alternative laws, six robots that are plain physics, four tables: written by somebody who had
read neither the search nor its lists, and committed before any was scored
({SEALED}, `{SEAL[:10]}`). Each is scored once before and once after a round of work;
since then the list is **seen**: it holds nothing out, and no later score on it is one of unseen
mechanisms.

Made by `python -m tests.bench.sealed_mechanisms --out reports/sealed_mechanisms/before` (or
`after`); {LIMIT} s of processor time a mechanism.

""".splitlines()

_WORDS = """## What the words mean

Mechanisms alter the accelerations by 15 % of their spread in the region (root mean square), hidden
ones by 1.5 %; noise is 1 % of the spread. No alternative can be written as rigid bodies of the tree
with joint terms (least squares leave 0.5 % at least, 1.8 % where 15 % are altered); what is
disguised can, to rounding (`tests/calibration/test_sealed_mechanisms.py`). Acceptable is one
verdict only: *alternative law*, *physics* for what is disguised, *lookup table* for tables.

Far errors are on 500 fresh states between 1 and 2 half-widths, against the planted function without
noise, in spreads of its answers there; a law predicts far whose error is 2e-3 or less. Closed form:
terms are SymPy of known functions in at most four pieces, the exported program holds no row of
eight numbers, and where an alternative was planted, the law has terms. It says nothing about
whether the formula is the planted one; far errors do. Intervals are Wilson's, 95 %.
""".splitlines()
