"""Benches of several parts: parts chosen by name, run, and told in one report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np

from discover.artifacts import write_text
from discover.errors import RecipeError
from tests.bench.trials import Part, kept, machine, run_part


def measure(
    bench: str,
    title: str,
    modules: Sequence[str],
    folder: Path,
    *,
    part: str,
    workers: int,
    seeds: Sequence[int],
    say: Callable[[str], None],
) -> None:
    """Run the trials of `part` (names with commas between, or all) that are missing, and write the
    report of all that are kept. Raises RecipeError.
    """
    known = collect(modules)
    chosen = list(known) if part == "all" else part.split(",")
    for name in chosen:
        if name not in known:
            raise RecipeError(
                f"bench {bench}: expected a part of {', '.join(known)}, found {name!r}"
            )
    if workers < 1 or not seeds or min(seeds) < 0:
        raise RecipeError(
            f"bench {bench}: expected at least one worker and seeds from 0, found {workers} and "
            f"{list(seeds)}"
        )
    for name in chosen:
        run_part(known[name], folder, seeds, workers, say)
    say(f"report: {tell(bench, title, folder, known)}")


def collect(modules: Sequence[str]) -> dict[str, Part]:
    """The parts of some modules, each a list PARTS, by name and in the order given."""
    return {part.name: part for m in modules for part in import_module(m).PARTS}


def tell(bench: str, title: str, folder: Path, known: dict[str, Part]) -> Path:
    """`folder`/report.md of all parts of which anything is kept."""
    told: list[str] = []
    loads: list[float] = []
    for part in known.values():
        records = list(kept(folder, part.name).values())
        if not records:
            continue
        loads += [r["load"] for r in records if r.get("load") is not None]
        told += [f"## {part.title}", "", *part.report(records, folder), ""]
        listed = len(part.trials((0,)))
        if len(records) < listed:
            told += [
                f"{len(records)} of {listed} trials were run; `discover bench {bench} --out ... "
                f"--part {part.name}` goes on with the others.",
                "",
            ]
    lines = [f"# {title}", "", f"Made by `discover bench {bench}` on {machine()}, one thread each."]
    if loads:
        lines.append(
            f"While it ran, {np.median(loads):.1f} processes wanted each core (median): times in "
            "seconds are as long as that made them."
        )
    return write_text(folder / "report.md", "\n".join([*lines, "", *told]).rstrip() + "\n")
