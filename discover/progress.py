"""Which stage an examination is in: shown on a terminal, and told where it is cut short.

`examine` is decorated with `reported`; what it calls says `stage("…")`. The line on the terminal
goes to stderr and is gone when the work is done.
"""

from __future__ import annotations

import functools
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
# What shows progress: nothing, a line on the terminal, or a function of (stage, queries so far).
Show = bool | Callable[[str, int], object] | None


class Asked(Protocol):
    """What counts the queries: a black box."""

    @property
    def queries(self) -> int:
        """How many states were asked so far."""


class Progress:
    """The stage that a long piece of work is in, and the queries that it has cost."""

    def __init__(self, tell: Callable[[str, int], object] | None = None) -> None:
        self.stage = "its arguments"
        self.started = time.monotonic()
        self._tell = tell
        self._earlier = 0
        self._asked: Asked | None = None

    @property
    def queries(self) -> int:
        """Queries so far, of all black boxes that were watched."""
        return self._earlier + (0 if self._asked is None else self._asked.queries)

    def watch(self, asked: Asked) -> None:
        """Count the queries of this black box too, from now on instead of the one before."""
        self._earlier, self._asked = self.queries, asked

    def enter(self, stage: str) -> None:
        """A stage begins."""
        self.stage = stage
        if self._tell is not None:
            self._tell(stage, self.queries)

    def where(self) -> str:
        """Where the work stands, in words."""
        seconds = time.monotonic() - self.started
        return f"in {self.stage}, after {self.queries:,} queries and {seconds:.0f} s"


_CURRENT: ContextVar[Progress | None] = ContextVar("discover.progress", default=None)


def stage(name: str) -> None:
    """Say that a stage begins; outside of a reported piece of work nothing happens."""
    progress = _CURRENT.get()
    if progress is not None:
        progress.enter(name)


def watch(asked: Asked) -> None:
    """Say which black box counts the queries from now on."""
    progress = _CURRENT.get()
    if progress is not None:
        progress.watch(asked)


def reported(what: str, again: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator of a function with an argument `progress`: None shows a line where stderr is a
    terminal, True always, False never; a function is called with (stage, queries) instead.

    Where it is cut short by Ctrl-C, the KeyboardInterrupt gets a note of one line: what was cut
    short and where, and how to go on (`again`).
    """

    def decorated(work: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(work)
        def shown(*arguments: P.args, **options: P.kwargs) -> T:
            with _shown(what, options.get("progress")) as progress:
                mark = _CURRENT.set(progress)
                try:
                    return work(*arguments, **options)
                except KeyboardInterrupt as error:
                    error.add_note(f"{what} cut short {progress.where()}; {again}")
                    raise
                finally:
                    _CURRENT.reset(mark)

        return shown

    return decorated


def on_terminal(wanted: Any) -> bool:
    """Whether to draw: as asked for, else where stderr is a terminal that no other process of ours
    writes to."""
    if wanted is not None:
        return bool(wanted)
    return sys.stderr.isatty() and multiprocessing.parent_process() is None


@contextmanager
def _shown(what: str, show: Any) -> Iterator[Progress]:
    if callable(show) or not on_terminal(show):
        yield Progress(show if callable(show) else None)
        return
    with line(what) as tell:
        yield Progress(tell)


@contextmanager
def line(what: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """A line on the terminal while the block runs: tell(stage, queries, done) changes it.

    With a total, a bar is drawn of what is done.
    """
    # not needed where nothing is drawn, and it takes its time
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    counted = (
        []
        if total is None
        else [BarColumn(bar_width=20), TextColumn("{task.completed:g}/{task.total:g}")]
    )
    columns = (
        SpinnerColumn(),
        TextColumn(what, markup=False),
        *counted,
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[asked]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, asked="")

        def tell(stage: str, queries: int, done: int | None = None) -> None:
            bar.update(task, description=stage, asked=f"{queries:,} queries", completed=done)

        yield tell
