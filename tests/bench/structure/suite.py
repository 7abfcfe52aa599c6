"""`discover bench structure`: trees, geometries, recursions and forward programs of black boxes.

    discover bench structure --out reports/structure [--part trees,…] [--workers N] [--seeds 0,1,…]

Trials are kept one by one under `out`/records and not run again; other seeds draw other fresh
robots and truths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.parts import measure

TITLE = "Structure out of black boxes: trees, geometry, recursions"
MODULES = (
    "tests.bench.structure.trees",
    "tests.bench.structure.geometry",
    "tests.bench.structure.recursions",
    "tests.bench.structure.forward",
    "tests.bench.structure.controls",
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
