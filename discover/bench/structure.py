"""`discover bench structure`: trees, geometries and recursions out of black boxes, counted.

    discover bench structure --out reports/structure [--part trees,…] [--workers N] [--seeds 0,1,…]

Trials are kept one by one under `out`/records and not run again; other seeds draw other fresh
robots and truths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np

from discover.artifacts import write_text
from discover.bench.trials import Part, kept, machine, run_part
from discover.errors import RecipeError

MODULES = (
    "discover.bench.inferred_trees",
    "discover.bench.inferred_geometry",
    "discover.bench.inferred_recursions",
    "discover.bench.structure_controls",
)


def parts() -> dict[str, Part]:
    """All parts by name, in the order in which they are told."""
    found = [p for m in MODULES for p in import_module(m).PARTS]
    return {p.name: p for p in found}


def main(
    out: Path | None = None,
    say: Callable[[str], None] = print,
    part: str = "all",
    workers: int = 1,
    seeds: Sequence[int] = (0,),
) -> None:
    """Run the trials that are missing and write the report. Raises RecipeError."""
    known = parts()
    chosen = list(known) if part == "all" else part.split(",")
    for name in chosen:
        if name not in known:
            raise RecipeError(
                f"bench structure: expected a part of {', '.join(known)}, found {name!r}"
            )
    if workers < 1 or not seeds or min(seeds) < 0:
        raise RecipeError(
            f"bench structure: expected at least one worker and seeds from 0, found {workers} and "
            f"{list(seeds)}"
        )
    folder = Path(out or "runs/structure")
    for name in chosen:
        run_part(known[name], folder, seeds, workers, say)
    say(f"report: {write_report(folder, known)}")


def write_report(folder: Path, known: dict[str, Part]) -> Path:
    """report.md of all parts of which anything is kept."""
    told: list[str] = []
    loads: list[float] = []
    for part in known.values():
        records = list(kept(folder, part.name).values())
        if records:
            loads += [r["load"] for r in records if r.get("load") is not None]
            told += [f"## {part.title}", "", *part.report(records, folder), ""]
            listed = len(part.trials((0,)))
            if len(records) < listed:
                told += [
                    f"{len(records)} of {listed} trials were run; `discover bench structure --out "
                    f"... --part {part.name}` goes on with the others.",
                    "",
                ]
    lines = [
        "# Structure out of black boxes: trees, geometry, recursions",
        "",
        f"Made by `discover bench structure` on {machine()}, one thread a trial.",
    ]
    if loads:
        lines.append(
            f"While it ran, {np.median(loads):.1f} processes wanted each core (median): times in "
            "seconds are as long as that made them."
        )
    return write_text(folder / "report.md", "\n".join([*lines, "", *told]).rstrip() + "\n")
