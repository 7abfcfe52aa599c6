"""`discover bench structure`: trees, geometries, recursions and forward programs of black boxes.

    discover bench structure --out reports/structure [--part trees,…] [--workers N] [--seeds 0,1,…]

Records are stored trial by trial under `out`/records and trials not run again; other seeds draw
other robots and truths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.trials import measure

TITLE = "Mechanisms from black boxes: trees, geometry, recursions, forward programs"
MODULES = (
    "tests.bench.mechanism.trees",
    "tests.bench.mechanism.geometry",
    "tests.bench.mechanism.recursions",
    "tests.bench.mechanism.forward",
    "tests.bench.mechanism.controls",
)


def main(
    out: Path | None = None,
    say: Callable[[str], None] = print,
    part: str = "all",
    workers: int = 1,
    seeds: Sequence[int] = (0,),
) -> None:
    """Run the trials that are missing and write the report. Raises RecipeError."""
    folder = Path(out or "runs/structure")
    measure("structure", TITLE, MODULES, folder, part=part, workers=workers, seeds=seeds, say=say)
