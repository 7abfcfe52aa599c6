"""The calibration's report, written from records alone: nothing in it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from discover.artifacts import write_json, write_text
from discover.calibration import figures, scoring
from discover.calibration.figures import percent
from discover.calibration.fitting import FEWEST, fit, left_out, predict
from discover.calibration.planted.catalogue import DEVELOPMENT, NOT_FITTED_ON, READ
from discover.calibration.records import Record, instrument
from discover.calibration.running import Run
from discover.calibration.scoring import Judged, share
from discover.judgement.thresholds import rules, stored
from discover.judgement.verdict import ANSWERS, CASES, Calibration
from discover.study.manifest import versions

_AXES = ("q", "v", "tau", "joint")


def report(run: Run, out: Path, *, command: str) -> Path:
    """Score the records and write report.md, scores.json and the figures into `out`."""
    records = [r for r in run.records if r.robot not in NOT_FITTED_ON]
    more = [r for r in run.records if r.robot in NOT_FITTED_ON]
    families = scoring.judged(records, left_out(records, "kind"))
    robots = scoring.judged(records, left_out(records, "robot"))
    drawn = figures.draw(families, out)
    known = [r for r in records if r.truth is not None]
    calibration = fit(records) if len(known) >= FEWEST else Calibration.stored()
    not_fitted_on = scoring.judged(more, predict(calibration, more)) if more else []
    later = [r for r in robots if r.record.robot not in DEVELOPMENT]
    sides = {
        "families left out": families,
        "robots left out": robots,
        "robots outside development": later,
        "robots not fitted on": not_fitted_on,
    }
    sides = {name: rows for name, rows in sides.items() if rows}
    lines = [
        "# Calibration: planted models whose mechanism is known",
        "",
        f"Made by `{command}`; {len(records)} planted models, {len({r.kind for r in records})} "
        f"mechanisms, {len({r.robot for r in records})} robots"
        + (f"; {len(more)} models of {len({r.robot for r in more})} robots more" * bool(more))
        + ". Written from the records beside this file; never edited by hand.",
        "",
        *([_first_part(run), ""] * bool(run.left)),
        "## The protocol",
        "",
        *_PROTOCOL,
        f"The robots in view while the requirements were written: {_listed(DEVELOPMENT)}.",
        "",
        "## What it must show",
        "",
        *_claims(sides),
        "",
        "*Physics* means: no departure above the stated resolution within the stated reach. A law "
        "that departs by less and is called physics is described correctly, and still counts as a "
        "miss; only the line *true as stated* counts it as right.",
        "",
        "## Confusion",
        "",
        "Rows: the planted truth. Columns: the answer, families left out.",
        "",
        *_confusion(families),
        "",
        "Brier score (four answers, 0 is perfect): "
        + ", ".join(f"{scoring.brier(rows):.3f} {name}" for name, rows in sides.items())
        + ".",
        "",
        "![Reliability](reliability.png)",
        "",
        "![Answers by mechanism; the label's colour is the truth](mechanisms.png)",
        "",
        "## By robot, strength and noise",
        "",
        *_groups(families),
        *(["", *_by(not_fitted_on, "robot", "robot not fitted on")] * bool(not_fitted_on)),
        "",
        "## By mechanism",
        "",
        *_by(families, "kind", "mechanism"),
        "",
        *_networks(run.records),
        "## Reach",
        "",
        *_reach([*families, *not_fitted_on]),
        "",
        "## Time and queries",
        "",
        *_costs(run.records),
        "",
        "## Every miss",
        "",
        *_misses([*families, *not_fitted_on]),
        *_failed(run),
        "",
        "## The numbers",
        "",
        *_calibration(calibration),
        "",
        f"Measured by code with the hash {', '.join(sorted({r.instrument for r in records}))}; the "
        f"code beside this report has {instrument()}. Where they differ, `discover calibrate` "
        "measures again.",
        "",
        f"Thresholds: version {stored()['version']} ({stored()['provenance']}). "
        f"Versions: {', '.join(f'{k} {v}' for k, v in versions().items())}.",
        "",
    ]
    out.mkdir(parents=True, exist_ok=True)
    write_json(
        out / "scores.json",
        {
            "models": len(records),
            "left": len(run.left),
            "brier": {name: scoring.brier(rows) for name, rows in sides.items()},
            "confusion": scoring.confusion(families),
            "claims": {
                name: [
                    {"what": c.what, "figure": c.figure, "asked": c.asked, "met": c.met}
                    for c in scoring.claims(rows)
                ]
                for name, rows in sides.items()
            },
            "figures": [p.name for p in drawn],
        },
    )
    return write_text(out / "report.md", "\n".join(lines))


_PROTOCOL = (
    "By hand: which pieces of evidence a case requires, and a round bound for each to start from "
    "(discover/judgement/thresholds.toml). Fitted: every bound, and the four numbers that turn "
    "strengths into probabilities, together, with a prior of half a width about the bounds of the "
    "file. Scored, each time with numbers fitted without what is scored: every mechanism "
    "(*families left out*), every robot (*robots left out*), of these the robots that were not in "
    "view while the requirements were written (*robots outside development*), and robots that "
    "belong to no fit (*robots not fitted on*, judged by the fit to all others). None of these is "
    "held out from the developers: results on all of them have been read, and the misses on "
    f"{', '.join(READ)} one by one, last on 2026-11-30; and the kinds of mechanism were known to "
    "those who wrote the search for laws. The stated resolution is measured with planted laws of "
    "its own; the line on laws larger than the resolution counts the other families only.",
    "",
)


def _first_part(run: Run) -> str:
    done = len(run.records) + len(run.failed)
    return (
        f"These are the first {done} of {done + len(run.left)} planted models, in an order of "
        "which every first part is balanced over robots, mechanisms and noise; the same command "
        "goes on with the rest."
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def _claims(sides: Mapping[str, Sequence[Judged]]) -> list[str]:
    words = {True: "", False: " **no**", None: ""}
    columns = [scoring.claims(rows) for rows in sides.values()]
    rows = [
        [row[0].what, row[0].asked, *(c.figure + words[c.met] for c in row)]
        for row in zip(*columns, strict=True)
    ]
    return table(["what", "asked", *sides], rows)


def _confusion(rows: Sequence[Judged]) -> list[str]:
    counts = scoring.confusion(rows)
    body = []
    for truth, answers in counts.items():
        mine = [r for r in rows if r.record.truth == truth]
        body.append(
            [truth, *(str(answers[a]) for a in ANSWERS), percent(share(mine, lambda r: r.right))]
        )
    return table(["truth", *ANSWERS, "right [95 %]"], body)


def _groups(rows: Sequence[Judged]) -> list[str]:
    lines = _by(rows, "robot", "robot")
    lines += ["", *_by([r for r in rows if r.record.strength], "strength", "strength of laws")]
    return [*lines, "", *_by(rows, "noise", "noise")]


def _by(rows: Sequence[Judged], attribute: str, title: str) -> list[str]:
    groups = dict.fromkeys(getattr(r.record, attribute) for r in rows)
    body = []
    for group in groups:
        mine = [r for r in rows if getattr(r.record, attribute) == group]
        lawful = [r for r in mine if r.record.truth != "undetermined"]
        wrong = share(mine, lambda r: not r.right and not r.undecided)
        body.append(
            [
                str(group),
                str(len(mine)),
                percent(share(mine, lambda r: r.right)),
                str(wrong.count),
                percent(share(lawful, lambda r: r.undecided)),
            ]
        )
    return table([title, "models", "right [95 %]", "wrong", "undetermined, though lawful"], body)


def _reach(rows: Sequence[Judged]) -> list[str]:
    found = scoring.reaches(rows)
    if not found:
        return ["No planted model with a known edge was among those examined."]
    body = [
        [record.name, axis, f"{edge:.2f}", f"{measured:.2f}", f"{measured - edge:+.2f}"]
        for record, axis, edge, measured in found
    ]
    head = ["model", "axis", "planted", "measured", "off by"]
    return ["![Reach](reach.png)", "", *table(head, body)]


def _networks(records: Sequence[Record]) -> list[str]:
    mine = [r for r in records if r.truth is None]
    if not mine:
        return []
    body = [
        [r.name, f"{r.answer} ({r.confidence:.2f})", *(f"{r.reach[a]:.2f}" for a in _AXES)]
        for r in mine
    ]
    head = ["network", "answer", *(f"reach {a}" for a in _AXES)]
    words = "What a trained network has learned is not known: reported, not scored."
    return ["## Trained networks", "", words, "", *table(head, body), ""]


def _costs(records: Sequence[Record]) -> list[str]:
    body = [
        [name, str(nv), _known(cpu), f"{middle:.1f}", f"{most:.1f}", str(queries), str(largest)]
        for name, nv, cpu, middle, most, queries, largest in scoring.costs(records)
    ]
    head = ["robot", "nv", "median CPU s", "median s", "largest s", "median queries"]
    words = "Seconds by the clock count what else the machine was doing; CPU seconds do not."
    return [words, "", *table([*head, "largest queries"], body)]


def _known(x: float) -> str:
    return f"{x:.1f}" if x == x else "-"


def _misses(rows: Sequence[Judged]) -> list[str]:
    body = []
    for miss in scoring.misses(rows):
        values = miss.record.values
        told = ", ".join(f"{_SHORT[n]} {values[n]:.2g}" for n in _SHORT if n in values)
        body.append(
            [
                miss.record.name,
                miss.record.truth or "",
                f"{miss.answer} ({miss.confidence:.2f})"
                + " - true as stated" * (miss.true_as_stated and not miss.right),
                _departure(miss.record),
                told,
            ]
        )
    if not body:
        return ["None."]
    return table(["model", "truth", "answer", "departs by / resolution", "evidence"], body)


def _departure(record: Record) -> str:
    """How far a law departs from physics in the region, and what could have been seen there."""
    if record.departure is None:
        return f"- / {record.resolution[0]:.2g}"
    return f"{record.departure:.2g} / {record.resolution[0]:.2g}"


_SHORT = {
    "law error in the region": "inside",
    "refit error far out": "far",
    "extended law error far out": "far with terms",
    "gain of extra terms": "gain",
    "low-dimensional predictability": "R²",
    "residual growth": "growth",
    "cost of possible parameters": "cost",
    "far curvature": "curvature",
    "growth of the inertia's misfit": "inertia",
}


def _failed(run: Run) -> list[str]:
    if not run.failed:
        return []
    lines = [f"- {name}: {line}" for name, line in run.failed.items()]
    return ["", "Not examined, for the instrument refused:", "", *lines]


def _calibration(calibration: Calibration) -> list[str]:
    rows = [["sharpness", "", f"{calibration.sharpness:.3f}"]]
    rows += [["lapse", "", f"{calibration.lapse:.4f}"]]
    rows += [["hiding", "", f"{calibration.hiding:.3f}"]]
    rows += [[f"offset of *{case}*", "", f"{calibration.offsets[case]:+.3f}"] for case in CASES]
    rows += [
        [
            f"*{rule.case}*: {rule.evidence} {'below' if rule.side > 0 else 'above'}",
            f"{rule.bound:g}",
            f"{calibration.bounds.get(rule.name, rule.bound):.3g}",
        ]
        for rule in rules()
    ]
    words = (
        "p(answer) = (1 − lapse) · softmax(sharpness · strength + offset) + lapse / 4; of what "
        "physics gets, hiding · (1 + log10(resolution) / 4) goes to *alternative law*, for what is "
        "smaller than the resolution may hide. Fitted on all planted models of the settings:"
    )
    return [words, "", *table(["number", "begun at", "fitted"], rows)]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1]
