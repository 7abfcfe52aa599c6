"""How often verdicts on planted models are right, with intervals, and every wrong one by name.

All figures are of probabilities from a fit that leaves out the model's family (or its robot), see
`fitting.left_out`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from discover.calibration.planted.alternatives import DEFINE_RESOLUTION
from discover.calibration.records import Record
from discover.judgement.verdict import ANSWERS

_FEWEST = 10  # models in a bin of confidence
_SURE = 0.9
NEAR = 0.15  # half-widths within which a known reach must be measured


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A record with the answer and probabilities of a calibration that was fitted without it."""

    record: Record
    answer: str
    confidence: float
    probabilities: np.ndarray

    @property
    def right(self) -> bool:
        return self.answer == self.record.truth

    @property
    def true_as_stated(self) -> bool:
        """Right; or called physics, which states "no departure above the resolution", where the law
        departs from physics by less than that."""
        small = (self.record.departure or 0.0) < self.record.resolution[0]
        lawful = self.record.truth == "alternative law"
        return self.right or (lawful and small and self.answer == "physics")

    @property
    def undecided(self) -> bool:
        """Undetermined although the truth is not."""
        return self.answer == "undetermined" and self.record.truth != "undetermined"


@dataclass(frozen=True, kw_only=True)
class Share:
    """count of total, with a 95 % Wilson interval."""

    count: int
    total: int

    @property
    def value(self) -> float:
        return self.count / self.total if self.total else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval."""
        if not self.total:
            return 0.0, 1.0
        z, n, p = 1.96, self.total, self.value
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        low, high = self.interval
        if not self.total:
            return "none"
        return f"{self.count} of {self.total} ({self.value:.0%}, {low:.0%} to {high:.0%})"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One thing that the instrument must show: what, the figure, what is asked, and whether."""

    what: str
    figure: str
    asked: str
    met: bool | None


def judged(records: Sequence[Record], probabilities: np.ndarray) -> list[Judged]:
    """Records of known truth with their answers."""
    rows = []
    for record, p in zip(records, probabilities, strict=True):
        best = int(np.argmax(p))
        if record.truth is not None:
            rows.append(
                Judged(
                    record=record, answer=ANSWERS[best], confidence=float(p[best]), probabilities=p
                )
            )
    return rows


def share(rows: Sequence[Judged], good: Callable[[Judged], bool]) -> Share:
    """How many of the rows are good."""
    return Share(count=sum(good(r) for r in rows), total=len(rows))


def decided(rows: Sequence[Judged]) -> list[Judged]:
    """All rows but those where a truth exists and the answer is "undetermined"."""
    return [r for r in rows if not r.undecided]


def confusion(rows: Sequence[Judged]) -> dict[str, dict[str, int]]:
    """Counts by truth and answer."""
    return {
        truth: {a: sum(r.record.truth == truth and r.answer == a for r in rows) for a in ANSWERS}
        for truth in ANSWERS
    }


def brier(rows: Sequence[Judged]) -> float:
    """Mean squared distance of the probabilities from the truth, summed over the answers."""
    if not rows:
        return float("nan")
    truth = np.array([[a == r.record.truth for a in ANSWERS] for r in rows], dtype=float)
    p = np.array([r.probabilities for r in rows])
    return float(np.square(p - truth).sum(1).mean())


def reliability(rows: Sequence[Judged]) -> list[tuple[float, Share]]:
    """(mean confidence, share right) in bins of about as many models each, by confidence."""
    ordered = sorted(rows, key=lambda r: r.confidence)
    count = max(1, min(8, len(ordered) // _FEWEST))
    found = []
    for part in np.array_split(np.arange(len(ordered)), count):
        inside = [ordered[i] for i in part]
        if inside:
            found.append((float(np.mean([r.confidence for r in inside])), share(inside, _right)))
    return found


def misses(rows: Sequence[Judged]) -> list[Judged]:
    """Every wrong answer, the surest first; then every one left undetermined."""
    wrong = [r for r in rows if not r.right]
    return sorted(wrong, key=lambda r: (r.undecided, -r.confidence, r.record.name))


def reaches(rows: Sequence[Judged]) -> list[tuple[Record, str, float, float]]:
    """(record, axis, planted edge, measured reach) for all planted models with a known edge."""
    return [
        (r.record, axis, edge, r.record.reach[axis])
        for r in rows
        for axis, edge in r.record.edges.items()
    ]


def claims(rows: Sequence[Judged]) -> list[Claim]:
    """What is required of the verdicts on planted models, and what was measured.

    The stated resolution is scored on laws whose family does not define it (`DEFINE_RESOLUTION`).
    """
    lawful = [r for r in rows if r.record.truth != "undetermined"]
    sure_wrong = [
        r
        for r in rows
        if r.record.truth in ("alternative law", "lookup table")
        and r.answer == "physics"
        and r.confidence > _SURE
    ]
    tabled = [r for r in rows if r.record.truth == "physics" and r.answer == "lookup table"]
    hidden = [r for r in rows if r.record.strength == "hidden" and r.record.noise == "clean"]
    little = [r for r in rows if r.record.noise == "1 % bias and noise"]
    large = [
        r
        for r in rows
        if r.record.truth == "alternative law"
        and r.record.kind not in DEFINE_RESOLUTION
        and (r.record.departure or 0.0) > r.record.resolution[0]
    ]
    blind = share(large, lambda r: r.answer == "physics")
    near = reaches(rows)
    reached = Share(count=sum(abs(m - e) <= NEAR for _, _, e, m in near), total=len(near))
    right, open_ = share(decided(rows), _right), share(lawful, lambda r: r.undecided)
    found = share(hidden, _right)
    stated = share(decided(rows), lambda r: r.true_as_stated)
    apart = [r for r in decided(rows) if r.record.strength != "hidden"]
    honest = share(little, lambda r: r.right or r.undecided)
    clean = [r for r in rows if r.record.noise == "clean"]
    clean_right = share(decided(clean), _right)
    clean_open = share(
        [r for r in clean if r.record.truth != "undetermined"], lambda r: r.undecided
    )
    exact = share([r for r in rows if r.record.kind == "exact"], lambda r: r.record.queries <= 200)
    most = share(rows, lambda r: r.record.queries <= 1000)
    return [
        _most("right among those decided, without noise", clean_right, 0.95),
        _few("undetermined where a truth exists, without noise", clean_open, 0.08),
        _most("right among those decided, hidden laws apart", share(apart, _right), 0.95),
        _most("right among those decided", right, 0.95),
        _most("right, or true as stated (no departure above x), among those decided", stated, 0.95),
        _few("undetermined where a truth exists", open_, 0.08),
        _none("tables or laws called physics with confidence above 0.9", len(sure_wrong)),
        _none("physics called lookup table", len(tabled)),
        _most("hidden laws found, without noise", found, 0.9),
        _most("right or undetermined at 1 % bias and noise", honest, 0.85),
        _none(
            "laws larger than the stated resolution, of families that do not define it, called "
            "physics, at any noise",
            blind.count,
            str(blind),
        ),
        _most(f"planted reaches measured within {NEAR} half-widths", reached, 0.95),
        replace(_most("exact physics within 200 queries", exact, 1.0), asked="all"),
        Claim(
            what="all models within 1000 queries",
            figure=str(most),
            asked="most",
            met=most.value > 0.5 if most.total else None,
        ),
    ]


def _right(row: Judged) -> bool:
    return row.right


def _most(what: str, found: Share, least: float) -> Claim:
    met = found.value >= least if found.total else None
    return Claim(what=what, figure=str(found), asked=f"≥ {100 * least:.0f} %", met=met)


def _few(what: str, found: Share, limit: float) -> Claim:
    met = found.value <= limit if found.total else None
    return Claim(what=what, figure=str(found), asked=f"≤ {100 * limit:.0f} %", met=met)


def _none(what: str, count: int, figure: str | None = None) -> Claim:
    return Claim(what=what, figure=figure or str(count), asked="0", met=count == 0)


def costs(records: Sequence[Record]) -> list[tuple[str, int, float, float, float, int, int]]:
    """By robot: (name, nv, median processor seconds (NaN where unknown), median and largest
    seconds, median and largest queries)."""
    rows = []
    for name in dict.fromkeys(r.robot for r in records):
        mine = [r for r in records if r.robot == name]
        seconds, queries = [r.seconds for r in mine], [r.queries for r in mine]
        rows.append(
            (
                name,
                mine[0].nv,
                median([r.cpu for r in mine if r.cpu is not None] or [float("nan")]),
                median(seconds),
                max(seconds),
                int(median(queries)),
                max(queries),
            )
        )
    return sorted(rows, key=lambda row: row[1])
