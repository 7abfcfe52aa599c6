"""Examine the zoo, by many processes of one thread each, so that a run goes on where it was cut."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from discover.artifacts import read_json, write_json
from discover.calibration.records import Record, examine, instrument, slug
from discover.errors import WorldlawError
from discover.zoo.catalogue import UNUSED, Cage, cages

_QUICK = ("double pendulum", "spatial chain of 2")


def plan(
    *,
    quick: bool = False,
    robots: Iterable[str] | None = None,
    share: float = 1.0,
    folder: Path | None = None,
) -> list[Cage]:
    """Which planted models are examined: all of small robots, a spread of those of large ones.

    Noisy copies are thinned, and larger robots are thinned more, by a rule that depends on names
    alone: every mechanism meets several robots. `share` (0 to 1) takes the first part of the plan,
    which is in an order that mixes robots and mechanisms. `folder` is that of the unused robots.
    """
    names = None if robots is None else list(robots)
    if names is None and quick and folder is None:
        names = list(_QUICK)
    listed = cages(names, folder)
    place = {cage.name: _fraction(cage.name) / _share(cage, quick) for cage in listed}
    kept = [cage for cage in listed if place[cage.name] < share]
    return sorted(kept, key=lambda cage: place[cage.name])


def _share(cage: Cage, quick: bool) -> float:
    nv = cage.setting.nv
    share = 1.0 if nv <= 3 else 0.3 if nv <= 5 else 0.16 if nv <= 7 else 0.07
    if cage.robot in UNUSED:
        share = 0.3 if nv <= 5 else 0.12 if nv <= 7 else 0.06
    if cage.planted.noise != "clean" and cage.planted.truth != "physics":
        share *= 0.35
    return share * (0.25 if quick else 1.0)


def _fraction(name: str) -> float:
    """A number in [0, 1) that depends on the name alone."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 16**8


@dataclass(frozen=True, kw_only=True)
class Task:
    """One model to examine, by names: a planted model is a function, and does not travel."""

    robot: str
    name: str
    folder: Path | None
    budget: str
    seed: int
    code: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Run:
    """What came of a run: records, failures by name (one line each), and names left for later."""

    records: list[Record]
    failed: dict[str, str]
    left: list[str]


def run(
    chosen: Iterable[Cage],
    out: Path,
    *,
    folder: Path | None = None,
    budget: str = "standard",
    seed: int = 0,
    workers: int = 1,
    minutes: float | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Run:
    """Examine the chosen models; what is on disk and measured by the same code is kept.

    `workers` processes of one thread each. After `minutes` nothing new is begun: the same command
    goes on where it stopped.
    """
    code, listed = instrument(), list(chosen)
    kept: dict[str, Record] = {}
    tasks: list[Task] = []
    first = -1 if minutes is None else 1  # the longest first, unless there is an end to it
    for cage in sorted(listed, key=lambda c: first * c.setting.nv):
        path = out / "records" / f"{slug(cage.name)}.json"
        record = _kept(path, code, budget, seed)
        if record is not None:
            kept[cage.name] = record
            continue
        tasks.append(
            Task(
                robot=cage.robot,
                name=cage.name,
                folder=folder if cage.robot in UNUSED else None,
                budget=budget,
                seed=seed,
                code=code,
                path=path,
            )
        )
    failed: dict[str, str] = {}
    if kept:
        say(f"{len(kept)} of {len(listed)} planted models are measured already")
    for task, found in _carried_out(tasks, workers, minutes):
        if isinstance(found, Record):
            kept[task.name] = found
            right = "" if found.answer == found.truth or found.truth is None else "  <--"
            told = f"{found.answer} ({found.confidence:.2f}), {found.queries} queries, "
            told += f"{found.seconds:.1f} s{right}"
        else:
            failed[task.name] = told = found
        say(f"{len(kept) + len(failed)}/{len(listed)} {task.name}: {told}")
    left = [c.name for c in listed if c.name not in kept and c.name not in failed]
    records = [kept[c.name] for c in listed if c.name in kept]
    return Run(records=records, failed=failed, left=left)


def _carried_out(
    tasks: list[Task], workers: int, minutes: float | None
) -> Iterator[tuple[Task, Record | str]]:
    """Tasks with their records, as they end; a line of text for one that failed."""
    end = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    if workers <= 1:
        for task in tasks:
            if time.monotonic() > end:
                return
            yield task, carry_out(task)
        return
    waiting = iter(tasks)
    with _single_threads(), ProcessPoolExecutor(workers, get_context("spawn"), _settle) as pool:
        running: dict[Future, Task] = {}
        while True:
            while len(running) < workers + 2 and time.monotonic() < end:
                following = next(waiting, None)
                if following is None:
                    break
                running[pool.submit(carry_out, following)] = following
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()


def carry_out(task: Task) -> Record | str:
    """Examine one model and write its record; where the instrument refuses it, say why."""
    cage = _cages(task.robot, task.folder)[task.name]
    try:
        record = examine(cage, budget=task.budget, seed=task.seed, code=task.code)
    except WorldlawError as error:
        return f"failed: {error}"
    write_json(task.path, record.to_dict())
    return record


@functools.lru_cache(maxsize=4)
def _cages(robot: str, folder: Path | None) -> dict[str, Cage]:
    return {cage.name: cage for cage in cages([robot], folder)}


@contextlib.contextmanager
def _single_threads() -> Iterator[None]:
    """Processes that are started meanwhile use one thread each, whatever library counts them."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {n: os.environ.get(n) for n in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for n, value in before.items():
            os.environ.pop(n) if value is None else os.environ.update({n: value})


def _settle() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")


def _kept(path: Path, code: str, budget: str, seed: int) -> Record | None:
    if not path.exists():
        return None
    record = Record.from_dict(read_json(path, "a record of the calibration"))
    same = (record.instrument, record.budget, record.seed) == (code, budget, seed)
    return record if same else None
