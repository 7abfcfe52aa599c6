"""Should a learned model run faster than the simulator? The time ledger on four robots.

    discover bench dynamics --out DIR [--device cuda]

A double pendulum, an arm, a quadruped and a humanoid are measured (`ledger_measurement`). What was
measured is stored as JSON, one file a robot, and the report is written from these files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from discover.artifacts import read_json, write_json
from discover.bench import ledger_report
from discover.bench.ledger_measurement import ON_CARD, Effort, measure, measure_on_card
from discover.bench.ledger_robots import SUBJECTS, Subject, load

Say = Callable[[str], None]
CARD_SUFFIX = "_cuda.json"


def main(
    out: Path | None = None,
    say: Say = print,
    *,
    subjects: Sequence[Subject] = SUBJECTS,
    effort: Effort | None = None,
    device: str = "cpu",
) -> None:
    """Measure every robot that can be loaded, print its ledger, and write all under ``out``.

    A robot whose file is in ``out`` already is not measured again; delete the file to do so. On
    ``device`` "cuda" the files are ``<robot>_cuda.json`` and make a section of the same report.
    """
    on_card = device == "cuda"
    effort = effort or (ON_CARD if on_card else Effort())
    measure_one = measure_on_card if on_card else measure
    ledgers: dict[str, dict[str, Any]] = {}
    for subject in subjects:
        stored = None
        if out is not None:
            stored = out / f"{subject.key}{CARD_SUFFIX if on_card else '.json'}"
        if stored is not None and stored.exists():
            ledgers[subject.key] = read_json(stored)
        else:
            robot = load(subject, out)
            if robot is None:
                say(f"{subject.title}: left out, example-robot-data is not installed")
                continue
            say(f"{subject.title}: training, distilling, timing, some minutes …")
            ledgers[subject.key] = measure_one(subject, robot, effort)
            if stored is not None:
                write_json(stored, ledgers[subject.key])
        say(ledger_report.plain_table(ledgers[subject.key]))
    if out is not None:
        say(f"report: {report(out, subjects)}")


def report(out: Path, subjects: Sequence[Subject] = SUBJECTS) -> Path:
    """Write the report of what is stored under ``out``, for the processor and for the card."""

    def stored(ending: str) -> dict[str, dict[str, Any]]:
        paths = {s.key: out / f"{s.key}{ending}" for s in subjects}
        return {key: read_json(path) for key, path in paths.items() if path.exists()}

    return ledger_report.write(stored(".json"), out, stored(CARD_SUFFIX))
