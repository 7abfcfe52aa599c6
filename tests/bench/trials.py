"""Benches that consist of many small trials: kept one by one, resumed, spread over processes.

A `Part` lists its trials, runs one, and writes its section of the report from what was kept. Trials
are taken in turns over their kinds, so that a run that is cut short has seen some of everything.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from discover.artifacts import read_json, write_json
from discover.threads import one_thread

Trial = dict[str, Any]
Record = dict[str, Any]
_KEEP_EVERY = 2.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Part:
    """One section of a bench.

    name    a word, for --part
    title   the section's heading
    trials  seeds -> the trials; each JSON-able, with an "id" that can name a file
    run     trial -> what was measured, JSON-able; a function of a module, so that processes find it
    report  (all records kept, folder for figures) -> Markdown, line by line
    """

    name: str
    title: str
    trials: Callable[[Sequence[int]], list[Trial]]
    run: Callable[[Trial], Record]
    report: Callable[[list[Record], Path], list[str]]


def run_part(
    part: Part, folder: Path, seeds: Sequence[int], workers: int, say: Callable[[str], None]
) -> list[Record]:
    """Run what is not kept yet in `folder`/records/<part>.json; returns all trials' records."""
    trials = part.trials(seeds)
    held = kept(folder, part.name)
    missing = [t for t in trials if t["id"] not in held]
    if len(missing) < len(trials):
        say(f"{part.name}: {len(trials) - len(missing)} of {len(trials)} trials are kept")
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
                held[trial["id"]] = {**trial, **record, "load": _load()}
                progress.advance(bar)
                if time.monotonic() - written > _KEEP_EVERY:
                    _keep(folder, part.name, held)
                    written = time.monotonic()
        finally:
            if missing:
                _keep(folder, part.name, held)
    return [held[t["id"]] for t in trials]


def kept(folder: Path, name: str) -> dict[str, Record]:
    """The records of one part by the ids of their trials, in order."""
    path = folder / "records" / f"{name}.json"
    return dict(read_json(path, "records of a bench")) if path.exists() else {}


def _keep(folder: Path, name: str, held: dict[str, Record]) -> None:
    write_json(folder / "records" / f"{name}.json", dict(sorted(held.items())))


def run_trials(
    trials: list[Trial],
    run: Callable[[Trial], Record],
    folder: Path,
    workers: int,
    say: Callable[[str], None],
    name: str = "measured",
) -> list[Record]:
    """A bench of one part: forget what other settings gave, run what is missing, return all."""
    part = Part(
        name=name, title="", trials=lambda seeds: trials, run=run, report=lambda records, folder: []
    )
    forget_stale(part, folder, ())
    return run_part(part, folder, (), workers, say)


def forget_stale(part: Part, folder: Path, seeds: Sequence[int]) -> None:
    """Drop what was measured with other settings: records whose "identity" is no longer that of
    their trial. Trials without an identity are kept as they are."""
    known = {t["id"]: t.get("identity") for t in part.trials(seeds)}
    held = kept(folder, part.name)
    good = {k: r for k, r in held.items() if k not in known or r.get("identity") == known[k]}
    if len(good) < len(held):
        _keep(folder, part.name, good)


def _results(part: Part, trials: Sequence[Trial], workers: int):
    """(trial, record) as they come; in this process where one worker is enough."""
    if workers <= 1 or len(trials) <= 1:
        for trial in trials:
            yield trial, _alone(part.run, trial)
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        rest = list(reversed(trials))
        running: dict[Future[Record], Trial] = {}
        try:
            while rest or running:
                while rest and len(running) < 2 * workers:
                    trial = rest.pop()
                    running[pool.submit(_alone, part.run, trial)] = trial
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield running.pop(future), future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _alone(run: Callable[[Trial], Record], trial: Trial) -> Record:
    with one_thread():
        return run(trial)


def _load() -> float | None:
    """How many processes wanted a core a minute ago, per core: what timings were taken under."""
    if not hasattr(os, "getloadavg"):
        return None
    return round(os.getloadavg()[0] / (os.cpu_count() or 1), 2)


def machine() -> str:
    """The machine in words, as far as the operating system tells."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")]
        name = names[0] if names else name
    except OSError:
        pass
    return f"{name}, {os.cpu_count()} cores"


def trigonometry(groups: Sequence[Sequence[Trial]]) -> list[Trial]:
    """One of each group in turn, until all are empty."""
    longest = max((len(g) for g in groups), default=0)
    return [g[k] for k in range(longest) for g in groups if k < len(g)]


def share(records: Sequence[Record], key: str) -> str:
    """How many of the records have a true `key`: "197 of 200 (98.5 %)"."""
    good = sum(bool(r[key]) for r in records)
    return f"{good} of {len(records)} ({good / max(1, len(records)):.1%})".replace("%)", " %)")
