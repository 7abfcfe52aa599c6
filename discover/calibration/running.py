"""Examine the planted models in processes of one thread each; a run that was cut short goes on."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import os
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from discover.artifacts import read_json, write_json
from discover.calibration.planted.catalogue import NOT_FITTED_ON, PlantedCase, planted_cases
from discover.calibration.planted.contract import Planted
from discover.calibration.records import Record, examine, instrument, slug
from discover.errors import WorldlawError

_QUICK = ("double pendulum", "spatial chain of 2")
_MORE = 0.35  # share of the robots NOT_FITTED_ON, where they are examined as well
_UNLIKE = {"undetermined": 0.6, None: 0.4}  # hybrids and networks: fewer a mechanism


def plan(
    *,
    quick: bool = False,
    robots: Iterable[str] | None = None,
    share: float = 1.0,
    folder: Path | None = None,
) -> list[PlantedCase]:
    """Planted models in the order in which they are examined; `share` (0 to 1) takes the first.

    Any first part is balanced: over robots, of which larger ones, whose examinations take longer,
    come less often; over mechanisms; over strengths and noise. With a `folder`, the robots
    NOT_FITTED_ON are mixed in. The order depends on names alone.
    """
    names = None if robots is None else list(robots)
    if names is None and quick:
        names = list(_QUICK)
    own = _balanced(planted_cases(names))
    more = [] if folder is None else _balanced(planted_cases(None, folder))
    place = {c.name: k / (1 - _MORE) for k, c in enumerate(own)}
    place |= {c.name: k / _MORE for k, c in enumerate(more)}
    ordered = sorted([*own, *more], key=lambda c: place[c.name])
    return ordered[: math.ceil(share * (0.1 if quick else 1.0) * len(ordered))]


def _balanced(listed: list[PlantedCase]) -> list[PlantedCase]:
    """Robots in turn, by weight; of each the model whose mechanism was listed least so far, then
    whose noise, then whose strength."""
    rest: dict[str, list[PlantedCase]] = {}
    for case in sorted(listed, key=lambda c: _fraction(c.name)):
        rest.setdefault(case.robot, []).append(case)
    weight = {robot: _weight(some[0].setting.nv) for robot, some in rest.items()}
    taken, kinds, noises = Counter[str](), Counter[str](), Counter[tuple]()
    variants = Counter[tuple]()
    ordered = []

    def met(case: PlantedCase) -> tuple[float, float, int]:
        p = case.planted
        noise = noises[p.truth, p.noise] / (2.0 if p.noise == "clean" else 1.0)
        return kinds[p.kind] / _UNLIKE.get(p.truth, 1.0), noise, variants[_variant(p)]

    while rest:
        robot = min(rest, key=lambda r: ((taken[r] + 1) / weight[r], _fraction(r)))
        case = min(rest[robot], key=met)
        rest[robot].remove(case)
        if not rest[robot]:
            del rest[robot]
        p = case.planted
        taken[robot] += 1
        kinds[p.kind] += 1
        noises[p.truth, p.noise] += 1
        variants[_variant(p)] += 1
        ordered.append(case)
    return ordered


def _variant(p: Planted) -> tuple[str, str, str]:
    return p.kind, p.strength, p.noise


def _weight(nv: int) -> float:
    return 1.0 if nv <= 3 else 0.6 if nv <= 5 else 0.35 if nv <= 7 else 0.15


def _fraction(name: str) -> float:
    """A number in [0, 1) that depends on the name alone."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 16**8


@dataclass(frozen=True, kw_only=True)
class Task:
    """One model to examine, by names: a planted model is a function and cannot be pickled."""

    robot: str
    name: str
    folder: Path | None
    budget: str
    seed: int
    code: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Run:
    """Result of a run: records, failures by name (one line each), and names of models left."""

    records: list[Record]
    failed: dict[str, str]
    left: list[str]


def run(
    chosen: Iterable[PlantedCase],
    out: Path,
    *,
    folder: Path | None = None,
    budget: str = "standard",
    seed: int = 0,
    workers: int = 1,
    minutes: float | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Run:
    """Examine the chosen models, except those whose record on disk was measured by the same code.

    `workers` processes of one thread each. After `minutes` no model is begun: the same command
    goes on where it stopped.
    """
    code, listed = instrument(), list(chosen)
    kept: dict[str, Record] = {}
    tasks: list[Task] = []
    for case in listed:
        path = out / "records" / f"{slug(case.name)}.json"
        record = _kept(path, code, budget, seed)
        if record is not None:
            kept[case.name] = record
            continue
        tasks.append(
            Task(
                robot=case.robot,
                name=case.name,
                folder=folder if case.robot in NOT_FITTED_ON else None,
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
    """(task, record) in order of completion; a line of text for a task that failed."""
    end = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    if workers <= 1:
        for task in tasks:
            if time.monotonic() > end:
                return
            yield task, carry_out(task)
        return
    waiting = iter(tasks)
    with _single_threads(), ProcessPoolExecutor(workers, get_context("spawn"), _initialise) as pool:
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
    """Examine one model and write its record; or the reason, where the instrument refuses it."""
    case = _cases(task.robot, task.folder)[task.name]
    try:
        record = examine(case, budget=task.budget, seed=task.seed, code=task.code)
    except WorldlawError as error:
        return f"failed: {error}"
    except Exception as error:  # a fault of ours spoils one model of hundreds, and is reported
        return f"failed: {type(error).__name__}: {error}"
    write_json(task.path, record.to_dict())
    return record


@functools.lru_cache(maxsize=32)
def _cases(robot: str, folder: Path | None) -> dict[str, PlantedCase]:
    return {case.name: case for case in planted_cases([robot], folder)}


@contextlib.contextmanager
def _single_threads() -> Iterator[None]:
    """Processes that are started meanwhile use one thread each, whatever library they use."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {n: os.environ.get(n) for n in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for n, value in before.items():
            os.environ.pop(n) if value is None else os.environ.update({n: value})


def _initialise() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")


def _kept(path: Path, code: str, budget: str, seed: int) -> Record | None:
    if not path.exists():
        return None
    record = Record.from_dict(read_json(path, "a record of the calibration"))
    same = (record.instrument, record.budget, record.seed) == (code, budget, seed)
    return record if same else None
