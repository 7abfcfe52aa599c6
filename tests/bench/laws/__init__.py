"""`discover bench laws`: does the search identify laws that are there, and none where none is?

    discover bench laws [--part entries,torques,mass,feynman,planted,taught,nothing | all]
                        [--out DIR] [--workers N] [--seeds 0,1,…]

Records are stored in DIR/records trial by trial; the same command goes on where it was cut short,
and report.md is written from the stored records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.trials import measure

TITLE = "Law search: what is identified, and at what cost"
MODULES = (
    "tests.bench.laws.entries",
    "tests.bench.laws.torque_rows",
    "tests.bench.laws.feynman",
    "tests.bench.laws.planted",
    "tests.bench.laws.distilled",
    "tests.bench.laws.negative_controls",
)


def main(
    out: Path | None = None,
    say: Callable[[str], None] = print,
    part: str = "all",
    workers: int = 1,
    seeds: Sequence[int] = (0,),
) -> None:
    """Run the trials that are missing and write the report. Raises RecipeError."""
    folder = Path(out or "runs/laws")
    measure("laws", TITLE, MODULES, folder, part=part, workers=workers, seeds=seeds, say=say)
