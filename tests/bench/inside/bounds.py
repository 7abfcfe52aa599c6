"""Which bounds of thresholds.toml stand a trial on planted networks: the rule, and what follows.

A claim rests on one number that must be high enough, and on guards. Its strength is that number
where no guard objects, and −∞ where one does or where nothing was measured. Bounds in force are
tried on plants whose seeds nobody has looked at; only where they fail is a bound fitted, with each
kind left out in turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from discover.judgement.thresholds import threshold

Record = dict[str, Any]

FRESH = 3  # the first seed that counts: plants of seeds 1 and 2 stood beside the instrument
PLANTS, KINDS, KINDS_OF_EACH = 16, 8, 2  # at least, of the plants that decide a claim
CONFIRMED, ADOPTED = 0.95, 0.9  # shares of right claims
FALSE_ALARM = 5.0  # a false claim costs as many misses
NEVER = -math.inf

RULE = (
    f"Written before the run, and committed before it. Only plants of seeds from {FRESH} on count: "
    "no bound and no code was chosen with them in view. A claim (uses, follows, implements; the "
    "flag of a dormant path) rests on one bound, and on guards that can only forbid it; it is "
    "tried as a whole, with guards, for every plant whose construction decides it. What the budget "
    "did not reach claims nothing, and counts as overlooked where it is there.\n\n"
    f"1. A claim is tried by at least {PLANTS} plants of {KINDS} kinds, {KINDS_OF_EACH} kinds of "
    "either truth. With fewer it is *not calibrated*.\n"
    f"2. If the bound in force makes no false claim and {CONFIRMED:.0%} of claims are right, it is "
    "*confirmed* and stays.\n"
    "3. Otherwise one bound is fitted to all kinds but one (the least cost, a false claim as dear "
    f"as {FALSE_ALARM:g} overlooked; the middle of the widest gap) and applied to the kind left "
    f"out, each in turn. If so {ADOPTED:.0%} are right and no claim is false, the bound fitted to "
    "all is *adopted*; where two claims share a bound, the higher.\n"
    "4. Otherwise the bound in force stays, *refuted* if it makes false claims, *cautious* if it "
    "only overlooks; the page of a look inside says so."
)


class Trial(NamedTuple):
    """One claim that the construction of a plant decides: how strong it is, and the truth."""

    record: Record
    subject: str
    strength: float
    truth: bool


class Bounded(NamedTuple):
    """A claim, the name of its bound in [numbers.inside], and its trials in a record."""

    claim: str
    bound: str
    trials: Callable[[Record], list[Trial]]


def claims() -> list[Bounded]:
    """All claims that a bound is put on."""
    return [
        Bounded("uses H", "uses", lambda r: _role(r, "H")),
        Bounded("uses C", "uses", lambda r: _role(r, "C")),
        Bounded("follows a factorisation", "follows", _factorisations),
        Bounded("implements a recursion", "order", _recursion),
        Bounded("dormant path", "flagged", _dormant),
    ]


def uses(record: Record, role: str) -> float:
    """The strength of "uses": S at the best site, of what V's values alone do not foretell."""
    row = _best([r for r in record["table"] if r["variable"] == role], "S")
    if row is None or row["placebo"] is None or row["untrained"] is None:
        return NEVER
    S = float(row["S"])
    if row["placebo"] > threshold("inside.placebo"):
        return NEVER
    if row["untrained"] > 1 - threshold("inside.untrained") * (1 - S):
        return NEVER
    ceiling = row["ceiling"]
    if ceiling is None or ceiling <= threshold("inside.vacuous"):
        return S
    return min(S, 1 - (1 - S) / max(1 - float(ceiling), 1e-12))


def follows(record: Record, factorisation: str) -> float:
    """The strength of "follows": S_r of its best variable and site."""
    rows = [r for r in record["table"] if r.get("factorisation") is not None]
    row = _best([r for r in rows if r["factorisation"] == factorisation], "S_r")
    rival = _best([r for r in rows if r["factorisation"] != factorisation], "S_r")
    if row is None or (row["contrast"] or 0.0) < threshold("inside.contrast"):
        return NEVER
    if rival is not None and rival["S_r"] > threshold("inside.rival"):
        return NEVER
    return float(row["S_r"])


def _best(rows: Sequence[dict[str, Any]], number: str) -> dict[str, Any] | None:
    known = [r for r in rows if r[number] is not None and math.isfinite(r[number])]
    return max(known, key=lambda r: r[number], default=None)


def _role(record: Record, role: str) -> list[Trial]:
    truth = record["truth"]["roles"][role]
    if truth is None or "roles" not in record["variables"]:
        return []
    return [Trial(record, role, uses(record, role), bool(truth))]


def _factorisations(record: Record) -> list[Trial]:
    truth = record["truth"]["factorisation"]
    if truth is None or "factors" not in record["variables"]:
        return []
    names = {r["factorisation"] for r in record["table"] if r.get("factorisation")}
    names |= {truth} - {"none"}
    return [Trial(record, n, follows(record, n), n == truth) for n in sorted(names)]


def _recursion(record: Record) -> list[Trial]:
    truth = record["truth"]["recursion"]
    if truth is None or "factors" not in record["variables"]:
        return []
    taus = [
        tau
        for name, tau in (record.get("order") or {}).items()
        if tau is not None and follows(record, name) >= threshold("inside.follows")
    ]
    return [Trial(record, "recursion", max(taus, default=NEVER), bool(truth))]


def _dormant(record: Record) -> list[Trial]:
    flags = record["truth"]["flags"]
    if record["truth"]["roles"]["H"] is None or "duplicate" in flags:
        return []  # the flag does not tell a dormant path from a duplicate
    lost = [
        r["S_all"] - max(r["S"], 0.0)
        for r in record["table"]
        if r.get("S_all") is not None and r["S"] is not None
    ]
    return [Trial(record, "dormant", max(lost, default=NEVER), "dormant" in flags)]


def trials(records: Sequence[Record], bounded: Bounded) -> list[Trial]:
    """All trials of a claim by plants that count."""
    fresh = [r for r in records if r["seed"] >= FRESH and not r.get("failed")]
    return [t for r in fresh for t in bounded.trials(r)]


def fitted(told: Sequence[Trial]) -> float:
    """The lower bound on a strength that tells these apart at the least cost. Among equals the
    middle of the widest gap; where nothing is gained, infinite."""
    v = np.array([t.strength for t in told], dtype=float)
    true = np.array([t.truth for t in told], dtype=bool)
    known = np.unique(v[np.isfinite(v)])
    if not len(known):
        return math.inf
    best: tuple[float, float] | None = None
    found = math.inf
    for low, high in pairwise([known[0] - 1.0, *known, math.inf]):
        at = (low + high) / 2 if math.isfinite(high) else math.inf
        said = v >= at
        cost = FALSE_ALARM * float((said & ~true).sum()) + float((~said & true).sum())
        gap = high - low if math.isfinite(high) else 0.0
        if best is None or (cost, -gap) < best:
            best, found = (cost, -gap), float(at)
    return found


def left_out(told: Sequence[Trial]) -> list[tuple[Trial, float]]:
    """(trial, bound) where the bound is that of all other kinds."""
    found = []
    for kind in sorted({t.record["kind"] for t in told}):
        others = [t for t in told if t.record["kind"] != kind]
        if others:
            at = fitted(others)
            found += [(t, at) for t in told if t.record["kind"] == kind]
    return found


class Score(NamedTuple):
    """Of claims at their bounds: how many, right, false claims, overlooked; and what was missed."""

    trials: int
    right: int
    false: int
    overlooked: int
    missed: tuple[str, ...]


def score(pairs: Sequence[tuple[Trial, float]]) -> Score:
    """Claims against truths, each trial with its bound."""
    wrong = [(t, at) for t, at in pairs if (t.strength >= at) != t.truth]
    false = sum(not t.truth for t, _ in wrong)
    missed = tuple(
        f"{t.record['id']}, {t.subject} ({'overlooked' if t.truth else 'false claim'}, "
        f"{t.strength:.3g} against {at:.3g})".replace("-inf", "not claimed at any bound")
        for t, at in wrong
    )
    return Score(len(pairs), len(pairs) - len(wrong), false, len(wrong) - false, missed)


class Outcome(NamedTuple):
    """What the rule makes of a bound: "not calibrated", "confirmed", "adopted", "refuted",
    "cautious"; the bound that is then in force; scores of the bound in force before, and with kinds
    left out."""

    word: str
    bound: float
    before: Score
    held_out: Score
    range: tuple[float, float]
    kinds: int


def outcome(records: Sequence[Record], bounded: Bounded) -> Outcome:
    """The rule, applied."""
    told = trials(records, bounded)
    now = threshold(f"inside.{bounded.bound}")
    pairs = left_out(told)
    before, held_out = score([(t, now) for t in told]), score(pairs)
    bounds = [at for _, at in pairs] or [now]
    kinds = {truth: {t.record["kind"] for t in told if t.truth is truth} for truth in (True, False)}
    every = len(kinds[True] | kinds[False])

    def ends(word: str, bound: float) -> Outcome:
        return Outcome(word, bound, before, held_out, (min(bounds), max(bounds)), every)

    few = len({t.record["id"] for t in told}) < PLANTS or every < KINDS
    if few or min(len(k) for k in kinds.values()) < KINDS_OF_EACH:
        return ends("not calibrated", now)
    if not before.false and before.right >= CONFIRMED * before.trials:
        return ends("confirmed", now)
    if not held_out.false and held_out.right >= ADOPTED * held_out.trials:
        return ends("adopted", fitted(told))
    return ends("refuted" if before.false else "cautious", now)


def section(records: Sequence[Record]) -> list[str]:
    """Lines of the report: the rule, a table, and every miss of either trial."""
    lines = [
        *RULE.split("\n"),
        "",
        "| claim | kinds | claims | right with the bound in force | false | with kinds left out "
        "| bounds so fitted | outcome | in force |",
        "|---|--:|--:|---|--:|---|---|---|--:|",
    ]
    misses = []
    for bounded in claims():
        if not trials(records, bounded):
            lines.append(f"| {bounded.claim} | 0 | 0 | | | | | not calibrated | |")
            continue
        o = outcome(records, bounded)
        false = f"{o.before.false}"
        negatives = sum(not t.truth for t in trials(records, bounded))
        if not o.before.false and negatives:
            false += f" of {negatives} (rate below {1 - 0.05 ** (1 / negatives):.0%}, 95 % sure)"
        lines.append(
            f"| {bounded.claim} | {o.kinds} | {o.before.trials} | {_share(o.before)} | {false} "
            f"| {_share(o.held_out)}, {o.held_out.false} false | {o.range[0]:.3g} … "
            f"{o.range[1]:.3g} | {o.word} | {o.bound:.3g} |"
        )
        misses += [f"- {bounded.claim}, bound in force: {m}" for m in o.before.missed]
        misses += [f"- {bounded.claim}, kind left out: {m}" for m in o.held_out.missed]
    if not any(trials(records, b) for b in claims()):
        misses = [f"No plant of a seed from {FRESH} on has been run: nothing is tried yet."]
    return [*lines, "", *(misses or ["No miss."])]


def _share(s: Score) -> str:
    return f"{s.right} ({s.right / max(s.trials, 1):.0%})"
