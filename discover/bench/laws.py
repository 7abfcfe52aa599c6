"""`discover bench laws`: does the search find the laws that are there, and none that are not?

    discover bench laws [--part entries|torques|mass|feynman|planted|nothing|all] [--out DIR]
                        [--workers N] [--seeds 0,1,…]

Trials are kept in DIR/records as they are done; the same command goes on where it was cut
short, and report.md is written from what is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from discover.bench.parts import collect, run_chosen, tell
from discover.bench.trials import Part

MODULES = (
    "discover.bench.entries",
    "discover.bench.rows",
    "discover.bench.feynman",
    "discover.bench.unlisted",
    "discover.bench.taught",
    "discover.bench.nothing",
)


def parts() -> dict[str, Part]:
    """All parts by name, in the order in which they are told."""
    return collect(MODULES)


def main(
    out: Path | None = None,
    say: Callable[[str], None] = print,
    part: str = "all",
    workers: int = 1,
    seeds: Sequence[int] = (0,),
) -> None:
    """Run the trials that are missing and write the report. Raises RecipeError."""
    folder = Path(out or "runs/laws")
    known = parts()
    run_chosen("laws", known, folder, part=part, workers=workers, seeds=seeds, say=say)
    say(f"report: {write_report(folder, known)}")


def write_report(folder: Path, known: dict[str, Part]) -> Path:
    """report.md of all parts of which anything is kept."""
    return tell("laws", "Finding laws: what comes out, and what it takes", folder, known)
