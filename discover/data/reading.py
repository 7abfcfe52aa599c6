"""`read_logs`: logs of a machine by their paths, with what their columns mean."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from discover.artifacts import read_toml, refuse_pointer
from discover.data.columns.channels import columns_of
from discover.data.columns.formula import is_formula
from discover.data.columns.guessing import guess, speaks
from discover.data.formats.registry import is_bag, open_table
from discover.data.formats.table import ENDINGS
from discover.data.formats.text import has_numbers
from discover.data.logs import Log, log_of
from discover.data.settings import LogLayout
from discover.errors import DatasetError

if TYPE_CHECKING:
    from kinematics import Robot

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
TOGETHER = "+"  # between files that make one log


def read_logs(
    paths: Paths,
    robot: Robot | None = None,
    layout: LogLayout | Mapping[str, Any] | str | os.PathLike[str] | None = None,
) -> list[Log]:
    """The logs at one path or several: files, folders of files, patterns, or "pos.csv+torque.csv"
    for one log in several files.

    layout: what the columns mean, or the TOML file that says it; without one it is told from the
    columns' names, and noted in the logs. A layout with `files` takes the folder of each log. With
    a robot, coordinates are brought into the order of its joints. Raises DatasetError, in one line.
    """
    found = as_layout(layout)
    logs: list[Log] = []
    left_out: list[str] = []
    for path, sought in expanded(paths, found):
        reason = no_log(path, found, robot) if sought else None
        if reason is not None:
            left_out.append(f"{path.name} ({reason})")
            continue
        if TOGETHER in str(path) and not path.exists():
            logs.append(_together(path, found, robot))
            continue
        guessed: tuple[str, ...] = ()
        chosen = found
        if chosen is None:
            chosen, guessed = _guessed(path, robot)
        log = log_of(path, chosen, robot)
        logs.append(replace(log, notes=(*guessed, *log.notes)))
    if not logs:
        mend = "; say which column is which in a file for --columns" if found is None else ""
        raise DatasetError(
            "recording: expected a log, found only files that are none: "
            f"{'; '.join(left_out)}{mend}"
        )
    if left_out:
        note = f"left out, as no logs: {'; '.join(left_out)}"
        logs[0] = replace(logs[0], notes=(note, *logs[0].notes))
    return _by_different_names(logs)


def no_log(path: Path, layout: LogLayout | None, robot: Robot | None) -> str | None:
    """Why a file that was found in a folder is no log, None where it is one: it holds no columns of
    numbers, or none that a layout, or else a name, takes for positions or joint forces.

    A log in which some of its columns are missing is one, and is refused when it is read.
    """
    if is_bag(path) or (layout is not None and layout.files):
        return None
    refuse_pointer(path, DatasetError)
    kind = ENDINGS.get(path.suffix.lower(), "csv")
    if layout is not None and layout.format != "auto":
        kind = layout.format
    if kind not in ("csv", "json"):
        return None  # nobody writes a readme as that
    try:
        table, _ = open_table(path, kind)
    except DatasetError:
        return None if kind == "csv" and has_numbers(path) else f"not readable as {kind}"
    names = [str(name) for name in table.columns]
    with_numbers = [
        x for x in table.columns.values() if np.asarray(x).dtype.kind in "fiub" and len(x) > 1
    ]
    if not with_numbers:
        return "no rows of numbers"
    if layout is None:
        return None if speaks(names, robot) else "no column of positions or joint forces"
    wanted = [str(c) for c in columns_of(layout)]
    known = {*names, *(name.partition("[")[0] for name in names)}
    hit = any(
        is_formula(c) or c in known or c.strip("/").partition("[")[0] in known for c in wanted
    )
    return None if hit else "none of the columns of a log"


def as_layout(
    layout: LogLayout | Mapping[str, Any] | str | os.PathLike[str] | None,
) -> LogLayout | None:
    """A layout as it is, of nested tables, or of the TOML file that holds them. Raises
    DatasetError."""
    if isinstance(layout, str | os.PathLike):
        return load_layout(layout)
    return checked(layout, "layout") if isinstance(layout, Mapping) else layout


def _by_different_names(logs: Sequence[Log]) -> list[Log]:
    """Logs of one file name have their folder before it."""
    names = [log.name for log in logs]
    return [
        replace(log, name=f"{Path(log.path).parent.name}/{log.name}")
        if names.count(log.name) > 1 and Path(log.path).parent.name
        else log
        for log in logs
    ]


def load_layout(path: str | os.PathLike[str]) -> LogLayout:
    """A layout from a TOML file, or the table [recording] of a recipe. Raises DatasetError."""
    place = Path(path)
    return checked(read_toml(place, "columns", DatasetError), f"columns {place.name}")


def checked(tables: Mapping[str, Any], origin: str) -> LogLayout:
    """A layout from nested tables. Raises DatasetError at the first key that is not one."""
    try:
        return LogLayout.model_validate(dict(tables), strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(x) for x in first["loc"]) or "it"
        reason = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            reason = f"unknown key (keys: {', '.join(LogLayout.model_fields)})"
        raise DatasetError(f"{origin}: {where}: {reason}") from error


def expanded(paths: Paths, layout: LogLayout | None = None) -> list[tuple[Path, bool]]:
    """The files and folders that are one log each, in order, and whether they were only found, in a
    folder or by a pattern, so that some may be no logs. Raises DatasetError."""
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found: list[tuple[Path, bool]] = []
    for entry in given:
        path = Path(entry).expanduser()
        in_parts = (layout is not None and bool(layout.files)) or (
            TOGETHER in str(path) and not path.exists()
        )
        if in_parts or is_bag(path) or path.is_file():
            found.append((path, False))
        elif path.is_dir():
            inside = [
                p
                for p in sorted(path.iterdir())
                if is_bag(p) or (p.is_file() and p.suffix.lower() in ENDINGS)
            ]
            if not inside:
                raise DatasetError(
                    f"recording {path}: expected logs in this folder ({', '.join(ENDINGS)}), found "
                    "none"
                )
            found += [(p, True) for p in inside]
        else:
            matches = [p for p in map(Path, sorted(glob(str(path)))) if p.is_file() or is_bag(p)]
            if not matches:
                raise DatasetError(f"recording {path}: no such file or folder; check the path")
            found += [(p, True) for p in matches]
    if not found:
        raise DatasetError("expected the path of a log, found none; name files or folders")
    return found


def _together(path: Path, layout: LogLayout | None, robot: Robot | None) -> Log:
    """One log in several files; each part is called by its file's name without ending."""
    files = _files(path)
    notes: tuple[str, ...] = ()
    if layout is None:
        layout, notes = _guessed(path, robot)
    parts = {file.stem: str(file.resolve()) for file in files}
    whole = layout.model_copy(update={"files": parts})
    log = log_of(files[0], whole, robot, name=TOGETHER.join(file.name for file in files))
    return replace(log, notes=(*notes, *log.notes))


def _files(path: Path) -> list[Path]:
    """The files of "pos.csv+torque.csv". Raises DatasetError where one is missing."""
    files = [Path(x) for x in str(path).split(TOGETHER)]
    lost = [file for file in files if not file.exists()]
    if lost:
        raise DatasetError(f"recording {lost[0]}: no such file or folder; check the path")
    return files


def _guessed(path: Path, robot: Robot | None) -> tuple[LogLayout, tuple[str, ...]]:
    """What the columns of a file, or of several, mean by their names. Raises DatasetError."""
    if path.exists() or TOGETHER not in str(path):
        return guess(path, robot)
    files = _files(path)
    try:
        return guess(path, robot, {file.stem: file for file in files})
    except DatasetError as error:
        raise DatasetError(
            f"recording {path}: expected columns whose names tell what they are, or a file for "
            f'--columns that says it, such as q = ["{files[0].stem}:q1"]; found neither'
        ) from error


def with_logged_joints(
    paths: Paths,
    robot: Robot,
    layout: LogLayout | Mapping[str, Any] | str | os.PathLike[str] | None = None,
) -> tuple[Robot, tuple[str, ...]]:
    """The robot with the joints held of which the logs say nothing, and a note that says so.

    That is where a layout names `joints`, or columns have names, and only some of the robot's: a
    mobile manipulator whose arm was logged. They are held at zero, or at the limit next to it.
    """
    import kinematics

    found = as_layout(layout)
    logged = None if found is None else found.joints
    if found is None:
        for path, _ in expanded(paths):
            try:
                logged = _guessed(path, robot)[0].joints
            except DatasetError:  # it is told when the log is read
                continue
            break
    pairs = list(zip(robot.independent_names, robot.independent_kinds, strict=True))
    names = [name for name, kind in pairs if kind != "free"]
    if logged is None or not set(logged) < set(names):
        return robot, ()
    low, high = (
        dict(zip(robot.independent_names, x.tolist(), strict=True)) if len(x) == len(pairs) else {}
        for x in (robot.lower, robot.upper)
    )
    held = {
        name: min(max(0.0, low.get(name, -np.inf)), high.get(name, np.inf))
        for name, kind in pairs
        if name not in logged and kind in ("revolute", "continuous", "prismatic")
    }
    words = ", ".join(f"{name} at {value:g}" for name, value in held.items())
    note = f"held, since the logs say nothing of them: {words}; --lock holds them elsewhere"
    return kinematics.lock(robot, held), (note,)
