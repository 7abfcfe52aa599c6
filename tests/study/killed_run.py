"""Runs a study in child processes that are killed in the act; started by test_resume.py.

    python killed_run.py RECIPE OUT FIRST

Every child resumes where the one before was killed, and is killed (SIGKILL, no goodbye) at its n-th
write, n doubling from FIRST: in turns just before the file gets its name, just after, and half way
through its bytes. The last child finishes. Prints how many were killed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch

import discover.evaluation.measure

# Loaded here once, so that the children need not.
import discover.examination.examine
import discover.report.rendering  # noqa: F401
from discover import artifacts
from discover.study import experiment

PLACES = ("before", "after", "half")


def arm(every: int, place: str) -> None:
    """Let this process die at its `every`-th write."""
    rename, flush = os.replace, artifacts._flush
    count = 0

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def deadly_rename(source: Path, target: Path) -> None:
        nonlocal count
        count += 1
        if count == every and place == "before":
            die()
        rename(source, target)
        if count == every and place == "after":
            die()

    def deadly_flush(path: Path) -> None:
        if count + 1 == every and place == "half" and Path(path).is_file():
            os.truncate(path, Path(path).stat().st_size // 2)
            die()
        flush(path)

    os.replace, artifacts._flush = deadly_rename, deadly_flush  # type: ignore[assignment]


def child(recipe: str, out: str, every: int, place: str) -> int:
    """Run in a fork; returns the signal that killed it, 0 where it finished."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            arm(every, place)
            experiment.run(recipe, out, resume=True, say=lambda line: None, progress=False)
            status = 0
        finally:
            os._exit(status)
    _, ended = os.waitpid(pid, 0)
    if os.WIFSIGNALED(ended):
        return os.WTERMSIG(ended)
    if os.WEXITSTATUS(ended):
        sys.exit(f"a child failed with status {os.WEXITSTATUS(ended)}")
    return 0


def main(recipe: str, out: str, first: int) -> None:
    torch.set_num_threads(1)
    killed = 0
    while child(recipe, out, first << killed, PLACES[killed % len(PLACES)]) == signal.SIGKILL:
        killed += 1
        if killed > 60:
            sys.exit("resuming makes no progress")
    print(killed)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
