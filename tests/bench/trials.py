"""Benches that consist of many small trials: stored one by one, resumed, spread over processes.

A bench has parts. A `Part` lists its trials, runs one, and writes its section of the report from
the stored records. `measure` runs the parts that are asked for and writes the report of all that is
stored. Trials alternate over their kinds, so that a run that is cut short holds some of each kind.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from discover.artifacts import read_json, write_json, write_text
from discover.errors import RecipeError
from discover.threads import one_thread

Trial = dict[str, Any]
Record = dict[str, Any]
_STORE_EVERY = 2.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Part:
    """One section of a bench.

    name    a word, for --part
    title   heading of the section
    trials  seeds -> trials, each JSON-able with an "id" that is unique in the part
    run     trial -> measurements, JSON-able; a function of a module, so that worker processes can
            import it
    report  (stored records, folder for figures) -> lines of Markdown
    """

    name: str
    title: str
    trials: Callable[[Sequence[int]], list[Trial]]
    run: Callable[[Trial], Record]
    report: Callable[[list[Record], Path], list[str]]


def bench(name: str, title: str, modules: Sequence[str]) -> Callable[..., None]:
    """The `main` of a bench whose parts are in `modules`, each with a list PARTS."""

    def main(
        out: Path | None = None,
        say: Callable[[str], None] = print,
        part: str = "all",
        workers: int = 1,
        seeds: Sequence[int] = (0,),
    ) -> None:
        measure(name, title, modules, Path(out or f"runs/{name}"), part, workers, seeds, say)

    return main


def measure(
    bench: str,
    title: str,
    modules: Sequence[str],
    folder: Path,
    part: str,
    workers: int,
    seeds: Sequence[int],
    say: Callable[[str], None],
) -> None:
    """Run the missing trials of `part` (names separated by commas, "all", or "none") and write the
    report of all that is stored in `folder`.

    Raises RecipeError for an unknown part, no worker, or a negative seed.
    """
    parts = collect(modules)
    chosen = list(parts) if part == "all" else [] if part == "none" else part.split(",")
    for name in chosen:
        if name not in parts:
            raise RecipeError(
                f"bench {bench}: expected a part of {', '.join(parts)}, found {name!r}"
            )
    if workers < 1 or not seeds or min(seeds) < 0:
        raise RecipeError(
            f"bench {bench}: expected at least one worker and seeds from 0, found {workers} and "
            f"{list(seeds)}"
        )
    for name in chosen:
        run_part(parts[name], folder, seeds, workers, say)
    say(f"report: {write_report(bench, title, folder, parts)}")


def collect(modules: Sequence[str]) -> dict[str, Part]:
    """The parts of these modules (each has a list PARTS) by name, in the order given."""
    return {part.name: part for m in modules for part in import_module(m).PARTS}


def write_report(bench: str, title: str, folder: Path, parts: dict[str, Part]) -> Path:
    """Write `folder`/report.md with a section for each part that has stored records."""
    sections: list[str] = []
    loads: list[float] = []
    machines: set[str] = set()
    for part in parts.values():
        records = list(stored(folder, part.name).values())
        if not records:
            continue
        loads += [r["load"] for r in records if r.get("load") is not None]
        machines |= {machines_of(records)}
        sections += [f"## {part.title}", "", *part.report(records, folder), ""]
        listed = len(part.trials((0,)))
        if len(records) < listed:
            sections += [
                f"{len(records)} of {listed} trials were run; `discover bench {bench} --out ... "
                f"--part {part.name}` goes on with the others.",
                "",
            ]
    made = f"Made by `discover bench {bench}` on {' and '.join(sorted(machines))}, one thread each."
    lines = [f"# {title}", "", made]
    if loads:
        lines.append(
            f"While it ran, {np.median(loads):.1f} processes wanted each core (median): times in "
            "seconds are as long as that made them."
        )
    return write_text(folder / "report.md", "\n".join([*lines, "", *sections]).rstrip() + "\n")


def run_part(
    part: Part, folder: Path, seeds: Sequence[int], workers: int, say: Callable[[str], None]
) -> list[Record]:
    """Run the trials that `folder`/records/<part>.json lacks; returns the records of all trials."""
    trials = part.trials(seeds)
    records = stored(folder, part.name)
    missing = [t for t in trials if t["id"] not in records]
    if len(missing) < len(trials):
        say(f"{part.name}: {len(trials) - len(missing)} of {len(trials)} trials are stored")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(part.name, total=len(missing))
        written = time.monotonic()
        try:
            for trial, record in _results(part, missing, workers):
                records[trial["id"]] = {**trial, **record, "load": _load(), "machine": machine()}
                progress.advance(bar)
                if time.monotonic() - written > _STORE_EVERY:
                    _store(folder, part.name, records)
                    written = time.monotonic()
        finally:
            if missing:
                _store(folder, part.name, records)
    return [records[t["id"]] for t in trials]


def stored(folder: Path, name: str) -> dict[str, Record]:
    """The stored records of a part by trial id."""
    path = folder / "records" / f"{name}.json"
    return dict(read_json(path, "records of a bench")) if path.exists() else {}


def _store(folder: Path, name: str, records: dict[str, Record]) -> None:
    write_json(folder / "records" / f"{name}.json", dict(sorted(records.items())))


def run_trials(
    trials: list[Trial],
    run: Callable[[Trial], Record],
    folder: Path,
    workers: int,
    say: Callable[[str], None],
    name: str = "measured",
) -> list[Record]:
    """A bench of a single part: drop records of other settings, run what is missing, return all."""
    part = Part(
        name=name, title="", trials=lambda seeds: trials, run=run, report=lambda records, folder: []
    )
    forget_stale(part, folder, ())
    return run_part(part, folder, (), workers, say)


def forget_stale(part: Part, folder: Path, seeds: Sequence[int]) -> None:
    """Drop records that were measured with other settings: those whose "identity" is not that of
    their trial. Records of trials without an identity stay."""
    known = {t["id"]: t.get("identity") for t in part.trials(seeds)}
    records = stored(folder, part.name)
    good = {k: r for k, r in records.items() if k not in known or r.get("identity") == known[k]}
    if len(good) < len(records):
        _store(folder, part.name, good)


def _results(part: Part, trials: Sequence[Trial], workers: int):
    """(trial, record) in order of completion; without worker processes where one is enough."""
    if workers <= 1 or len(trials) <= 1:
        for trial in trials:
            yield trial, _run_on_one_thread(part.run, trial)
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        rest = list(reversed(trials))
        running: dict[Future[Record], Trial] = {}
        try:
            while rest or running:
                while rest and len(running) < 2 * workers:
                    trial = rest.pop()
                    running[pool.submit(_run_on_one_thread, part.run, trial)] = trial
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield running.pop(future), future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _run_on_one_thread(run: Callable[[Trial], Record], trial: Trial) -> Record:
    with one_thread():
        return run(trial)


def _load() -> float | None:
    """Load average of the last minute per core, under which timings were taken."""
    if not hasattr(os, "getloadavg"):
        return None
    return round(os.getloadavg()[0] / (os.cpu_count() or 1), 2)


def machines_of(records: Sequence[Record]) -> str:
    """The machines that ran these trials, in words."""
    known = sorted({r["machine"] for r in records if "machine" in r})
    return " and ".join(known) or "a machine that was not recorded"


def machine() -> str:
    """Processor name and number of cores."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")]
        name = names[0] if names else name
    except OSError:
        pass
    return f"{name}, {os.cpu_count()} cores"


def alternate(groups: Sequence[Sequence[Trial]]) -> list[Trial]:
    """One trial of each group in turn, until all groups are empty."""
    longest = max((len(g) for g in groups), default=0)
    return [g[k] for k in range(longest) for g in groups if k < len(g)]


def share(records: Sequence[Record], key: str) -> str:
    """Share of the records whose `key` is true, in words: "197 of 200 (98.5 %)"."""
    good = sum(bool(r[key]) for r in records)
    return f"{good} of {len(records)} ({good / max(1, len(records)):.1%})".replace("%)", " %)")
