"""`discover bench laws`: does the search find the laws that are there, and none that are not?

    discover bench laws [--part entries|torques|mass|feynman|planted|nothing|all] [--out DIR]
                        [--workers N] [--seeds 0,1,…]

Trials are kept in DIR/records as they are done; the same command goes on where it was cut
short, and report.md is written from what is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from discover.artifacts import write_text
from discover.bench.trials import Part, kept, machine, run_part
from discover.errors import RecipeError

# Where each part is made. A module has PARTS, a list of Part.
MODULES = (
    "discover.bench.entries",
    "discover.bench.rows",
    "discover.bench.feynman",
    "discover.bench.unlisted",
    "discover.bench.taught",
    "discover.bench.nothing",
)
REPORT = "report.md"


def parts() -> dict[str, Part]:
    """All parts by name, in the order in which they are told."""
    found = [p for m in MODULES if find_spec(m) for p in import_module(m).PARTS]
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
            raise RecipeError(f"bench laws: expected a part of {', '.join(known)}, found {name!r}")
    if workers < 1 or not seeds or min(seeds) < 0:
        raise RecipeError(
            f"bench laws: expected at least one worker and seeds from 0, found {workers} and "
            f"{list(seeds)}"
        )
    folder = out or Path("runs/laws")
    for name in chosen:
        run_part(known[name], folder, seeds, workers, say)
    say(f"report: {write_report(folder, known)}")


def write_report(folder: Path, known: dict[str, Part]) -> Path:
    """report.md of all parts of which anything is kept."""
    lines = ["# Finding laws: what comes out, and what it takes", ""]
    told = []
    for part in known.values():
        records = list(kept(folder, part.name).values())
        if records:
            told += [f"## {part.title}", "", *part.report(records, folder), ""]
    every = [r for name in known for r in kept(folder, name).values()]
    loads = [r["load"] for r in every if r.get("load") is not None]
    lines.append(f"Made by `discover bench laws` on {machine()}.")
    if loads:
        lines.append(
            f"While it ran, {np.median(loads):.1f} processes wanted each core (median): times in "
            "seconds are as long as that made them."
        )
    return write_text(folder / REPORT, "\n".join([*lines, "", *told]).rstrip() + "\n")
