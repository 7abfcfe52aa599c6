"""`discover bench verdict`: queries and seconds of a verdict, on robots of 1 to 18 coordinates.

    discover bench verdict --out reports/verdict_costs [--workers N]

One planted model of each kind below on every robot of the planted catalogue; records are stored
under `out` and measured again when the instrument has changed. Verdicts are not scored here, but by
`discover calibrate`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from discover.artifacts import write_text
from discover.calibration import running
from discover.calibration.planted.catalogue import SETTINGS, planted_cases
from discover.calibration.records import Record
from discover.calibration.reporting import table
from discover.study.manifest import versions

KINDS = ("exact", "1 % bias", "drag of power 2", "drag growing with angle", "nearest neighbour")
# (largest number of velocity coordinates, seconds within which the median verdict is asked for)
GOALS = ((3, 5.0), (7, 30.0), (18, 300.0))


def main(out: Path | None = None, say: Callable[[str], None] = print, workers: int = 1) -> None:
    """Examine what is not measured yet and write report.md."""
    out = out or Path("runs/verdict_costs")
    chosen = [
        case
        for case in planted_cases(SETTINGS)
        if case.planted.kind in KINDS
        and case.planted.noise == "clean"
        and case.planted.strength != "hidden"
    ]
    done = running.run(chosen, out, workers=workers, say=say)
    say(f"report: {write_text(out / 'report.md', report(done.records))}")


def report(records: Sequence[Record]) -> str:
    """Queries and time by robot and kind, and the medians against what is asked."""
    rows = [
        [
            r.robot,
            str(r.nv),
            r.kind,
            r.answer,
            str(r.queries),
            "-" if r.cpu is None else f"{r.cpu:.1f}",
            f"{r.seconds:.1f}",
        ]
        for r in sorted(records, key=lambda r: (r.nv, r.robot, KINDS.index(r.kind)))
    ]
    lines = [
        "# What a verdict costs",
        "",
        "Made by `discover bench verdict`, one thread each. Seconds by the clock count what else "
        "the machine was doing; CPU seconds do not.",
        "",
        *table(["joints' coordinates", "median CPU s", "median s", "asked"], _medians(records)),
        "",
        *table(["robot", "nv", "model", "answer", "queries", "CPU s", "s"], rows),
        "",
        f"Versions: {', '.join(f'{k} {v}' for k, v in versions().items())}.",
        "",
    ]
    return "\n".join(lines)


def _medians(records: Sequence[Record]) -> list[list[str]]:
    rows, least = [], 0
    for most, goal in GOALS:
        group = [r for r in records if least < r.nv <= most]
        if group:
            cpu = [r.cpu for r in group if r.cpu is not None]
            rows.append(
                [
                    f"{least + 1} to {most}",
                    f"{median(cpu):.1f}" if cpu else "-",
                    f"{median(r.seconds for r in group):.1f}",
                    f"{goal:g} s",
                ]
            )
        least = most
    return rows
