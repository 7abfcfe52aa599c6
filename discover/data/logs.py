"""Logs of a machine as arrays: CSV, Parquet or HDF5, by a map of columns, all values checked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from discover.artifacts import file_hash, refuse_pointer
from discover.data.episodes import episode
from discover.data.settings import Recording
from discover.errors import DatasetError

Array = NDArray[np.float64]
_PLACE = re.compile(r"(?P<path>.+)\[(?P<column>\d+)\]\Z")
LONGEST_STEP = 1.0  # s; a log with longer ones counts in another unit
_SEPARATORS = (",", ";", "\t", r"\s+", "|")
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d*,\d+([eE][-+]?\d+)?\s*\Z")
_THOUSANDS = re.compile(r"\s*[-+]?[1-9]\d{0,2},\d{3}\s*\Z")
_WHOLE = re.compile(r"\s*[-+]?\d+([eE][-+]?\d+)?\s*\Z")


@dataclass(frozen=True, kw_only=True)
class Log:
    """One trajectory as recorded, in SI units: time (N,) from its start [s], q, v, tau (N, nv).

    v is None where the recipe maps no velocity. Where joint forces were shifted by a delay, only
    samples are left whose force was recorded.
    """

    name: str
    sha256: str
    time: Array
    q: Array
    v: Array | None
    tau: Array


def read_log(name: str, recording: Recording) -> Log:
    """Read one file of the recording. DatasetError, one line with file, column and row, where a
    column is missing, a value is no finite number, or time does not increase.

    Dates are read as seconds from the first one.
    """
    columns, scale = recording.columns, recording.scale
    wanted = [columns.time, *columns.q, *(columns.v or ()), *columns.tau]
    path = Path(recording.folder).expanduser() / name
    if recording.format in ("minari", "lerobot"):
        path = Path(recording.folder) / name
        table, digest = episode(recording.format, recording.folder, name)
    else:
        table, digest = _file(path, recording.format, wanted)
    values = {column: _numbers(path, column, table) for column in wanted if column != columns.time}
    values[columns.time] = _times(path, columns.time, table, scale.time)
    lengths = {column: len(x) for column, x in values.items()}
    if len(set(lengths.values())) > 1:
        described = ", ".join(f"{column} has {n}" for column, n in lengths.items())
        raise DatasetError(f"recording {path}: expected columns of one length, found {described}")
    time = values[columns.time]
    if len(time) < recording.smoothing.window:
        raise DatasetError(
            f"recording {path}: expected at least {recording.smoothing.window} rows (the smoothing "
            f"window), found {len(time)}"
        )
    back = np.flatnonzero(np.diff(time) <= 0)
    if back.size:
        row = int(back[0]) + 1
        raise DatasetError(
            f"recording {path}: column {columns.time!r} must increase, found {time[row]:g} after "
            f"{time[row - 1]:g} in row {row + 1}; sort the rows or drop the repeated one"
        )
    step = float(np.median(np.diff(time)))
    if step > LONGEST_STEP:
        raise DatasetError(
            f"recording {path}: column {columns.time!r} has steps of {step:g} s, too long to see "
            f"a motion (at most {LONGEST_STEP:g} s); set recording.scale.time to the column's unit "
            "in seconds, such as 1e-3 for milliseconds"
        )

    def stack(names: tuple[str, ...], factor: float | tuple[float, ...], what: str) -> Array:
        factors = np.asarray(factor)
        if factors.ndim and len(factors) != len(names):
            raise DatasetError(
                f"recording.scale.{what}: expected one number or {len(names)}, found {len(factors)}"
            )
        return np.stack([values[column] for column in names], axis=1) * factors

    q = stack(columns.q, scale.q, "q")
    tau = stack(columns.tau, scale.tau, "tau")
    offset = np.asarray(recording.offset)
    if offset.ndim and len(offset) != len(columns.tau):
        raise DatasetError(
            f"recording.offset: expected one number or {len(columns.tau)}, found {len(offset)}"
        )
    tau = tau - offset
    q = np.unwrap(q, axis=0) if recording.unwrap else _without_jumps(path, columns.q, q)
    v = None if columns.v is None else stack(columns.v, scale.v, "v")
    log = Log(name=name, sha256=digest, time=time - time[0], q=q, v=v, tau=tau)
    return _without_delay(path, log, recording) if recording.delay else log


def _without_delay(path: Path, log: Log, recording: Recording) -> Log:
    """What acted at t was recorded at t + delay; samples whose force was not recorded are left out.

    Those are at an end of the log, or before a gap as long as a window of the filter.
    """
    window = recording.smoothing.window
    late = log.time + recording.delay
    steps = np.diff(log.time)
    into = np.searchsorted(log.time, late).clip(1, len(steps)) - 1
    near = (late == log.time[into]) | (late == log.time[into + 1])
    recorded = near | (steps[into] <= (window - 1) * np.median(steps))
    kept = recorded & (late >= log.time[0]) & (late <= log.time[-1])
    if kept.sum() < window:
        raise DatasetError(
            f"recording {path}: recording.delay = {recording.delay:g} s leaves {int(kept.sum())} "
            f"of {len(kept)} rows with a joint force (the log lasts {log.time[-1]:.3g} s), "
            f"expected at least {window} (the smoothing window); make the delay smaller"
        )
    tau = np.stack([np.interp(late[kept], log.time, column) for column in log.tau.T], axis=1)
    v = None if log.v is None else log.v[kept]
    return replace(log, time=log.time[kept], q=log.q[kept], v=v, tau=tau)


def _file(path: Path, kind: str, wanted: list[str]) -> tuple[Mapping[str, Any], str]:
    """The columns of a file, and its hash."""
    if not path.is_file():
        raise DatasetError(
            f"recording {path}: no such file; name its folder with --set recording.folder=PATH"
        )
    refuse_pointer(path, DatasetError)
    try:
        return _READERS[kind](path, wanted), file_hash(path)
    except (OSError, ValueError, UnicodeError) as error:
        found = " ".join(str(error).split())[:200]
        raise DatasetError(f"recording {path}: not readable as {kind}: {found}") from error


def _without_jumps(path: Path, names: tuple[str, ...], q: Array) -> Array:
    """q unchanged. Raises DatasetError where it jumps by more than half a turn between samples."""
    rows, places = np.nonzero(np.abs(np.diff(q, axis=0)) > np.pi)
    if rows.size:
        raise DatasetError(
            f"recording {path}: column {names[places[0]]!r} leaps by more than half a turn in row "
            f"{rows[0] + 2}; set recording.unwrap = true, or correct recording.scale.q"
        )
    return q


def _column(path: Path, column: str, table: Mapping[str, Any]) -> pd.Series:
    if column not in table:
        near = difflib.get_close_matches(column, [str(key) for key in table], n=1)
        found = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(map(str, table))}"
        raise DatasetError(f"recording {path}: no column {column!r}; {found[:200]}")
    return pd.Series(table[column])


def _numbers(path: Path, column: str, table: Mapping[str, Any]) -> Array:
    """The entries of a column. Raises DatasetError where one is no finite number."""
    entries = _column(path, column, table)
    if entries.dtype.kind in "mM":
        raise DatasetError(f"recording {path}: column {column!r} expects numbers, found dates")
    numbers = pd.to_numeric(entries, errors="coerce").to_numpy(dtype=np.float64)
    _refuse(path, column, entries, ~np.isfinite(numbers), "finite numbers")
    return numbers


def _times(path: Path, column: str, table: Mapping[str, Any], scale: float) -> Array:
    """The column of times [s]: numbers by `scale`, or dates, or durations from the first one."""
    entries = _column(path, column, table)
    if entries.dtype.kind not in "mM" and not (
        entries.dtype.kind in "OTU" and pd.to_numeric(entries, errors="coerce").isna().all()
    ):
        return _numbers(path, column, table) * scale
    if entries.dtype.kind not in "mM":
        try:
            entries = pd.to_datetime(entries, format="ISO8601", utc=True)
        except (TypeError, ValueError):
            return _numbers(path, column, table)  # which says what it found
    _refuse(path, column, entries, entries.isna().to_numpy(), "dates")
    if scale not in (1.0, 1e-9):  # 1e-9 is what pandas' own integers of such dates need
        raise DatasetError(
            f"recording {path}: column {column!r} holds dates, which are read as seconds; expected "
            f"recording.scale.time = 1, found {scale:g}; leave it out"
        )
    return (entries - entries.iloc[0]).dt.total_seconds().to_numpy(dtype=np.float64)


def _refuse(
    path: Path, column: str, entries: pd.Series, bad: NDArray[np.bool_], expected: str
) -> None:
    rows = np.flatnonzero(bad)
    if rows.size:
        row = int(rows[0])
        found = " ".join(repr(entries.iloc[row]).split())[:60]
        raise DatasetError(
            f"recording {path}: column {column!r} expects {expected}, found {found} in row "
            f"{row + 1} (of {len(entries)}); mend or cut that row"
        )


def _read_csv(path: Path, wanted: list[str]) -> Mapping[str, Any]:
    """Separated by comma, semicolon, tab, blanks or a bar, whichever gives the wanted columns; with
    a decimal comma where every fraction has one."""
    separator = _separator(path, wanted)
    options: dict[str, Any] = {"skipinitialspace": True, "sep": separator}
    table = pd.read_csv(path, **options)
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes surplus fields for an index
        if not _ends_with_a_separator(path, separator):
            raise ValueError(
                "its rows have more fields than its header; a decimal comma needs another separator"
            )
        options["index_col"] = False
        table = pd.read_csv(path, **options)
    if _has_decimal_commas(table, wanted):
        table = pd.read_csv(path, **options, decimal=",")
    return dict(table.items())


def _separator(path: Path, wanted: list[str]) -> str:
    """The first separator that makes columns of the names wanted out of the header."""
    for separator in _SEPARATORS:
        try:
            header = pd.read_csv(path, sep=separator, skipinitialspace=True, nrows=0)
        except pd.errors.ParserError:
            continue
        if set(wanted) <= set(header.columns):
            return separator
    return _SEPARATORS[0]


def _ends_with_a_separator(path: Path, separator: str) -> bool:
    with path.open(encoding="utf-8") as lines:
        _, row = lines.readline(), lines.readline().rstrip("\r\n")
    return row.endswith(separator)


def _has_decimal_commas(table: pd.DataFrame, wanted: list[str]) -> bool:
    """Raises ValueError where commas may as well stand between thousands."""
    texts = [
        str(entry)
        for column in wanted
        if column in table and table[column].dtype.kind in "OTU"
        for entry in table[column]
    ]
    with_comma = [text for text in texts if not _WHOLE.match(text)]
    if not with_comma or not all(_DECIMAL_COMMA.match(text) for text in with_comma):
        return False
    if all(_THOUSANDS.match(text) for text in with_comma):
        raise ValueError(
            f"numbers such as {with_comma[0].strip()!r} may have thousands or decimals behind the "
            "comma; write them with a decimal point"
        )
    return True


def _read_parquet(path: Path, wanted: list[str]) -> Mapping[str, Any]:
    return dict(pd.read_parquet(path).items())  # type: ignore[arg-type]


def _read_hdf5(path: Path, wanted: list[str]) -> Mapping[str, Any]:
    """Vectors by their paths, fields of a table as `path/field`, columns of a matrix as `path[k]`.

    wanted begins with the time, whose length tells which way a matrix lies.
    """
    found: dict[str, Any] = {}
    matrices: dict[str, Any] = {}
    with h5py.File(path, "r") as file:

        def note(name: str, item: Any) -> None:
            if not isinstance(item, h5py.Dataset):
                return
            if item.dtype.names and item.ndim == 1:
                found.update({f"{name}/{field}": item[field] for field in item.dtype.names})
            elif item.ndim == 1:
                found[name] = item[()]
            elif item.ndim == 2 and 1 in item.shape:
                found[name] = item[()].ravel()
            elif item.ndim == 2:
                matrices[name] = item[()]

        file.visititems(note)
    matrices |= {name: x[:, None] for name, x in found.items() if x.ndim == 1}
    samples = len(_hdf5_column(wanted[0], found, matrices, None))
    return {**found, **{c: _hdf5_column(c, found, matrices, samples) for c in wanted}}


def _hdf5_column(
    column: str, found: Mapping[str, Any], matrices: Mapping[str, Any], samples: int | None
) -> Any:
    """One column of an HDF5 file. Raises ValueError where it does not lie in it."""
    name = column.strip("/")
    if name in found:
        return found[name]
    place = _PLACE.match(name)
    matrix = matrices.get(place["path"] if place else name)
    if matrix is None:
        names = [*found, *(f"{key}[0]" for key, x in matrices.items() if key not in found)]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names)}"
        raise ValueError(f"no column {column!r}; {hint}")
    if samples is not None and matrix.shape[0] != samples == matrix.shape[1]:
        matrix = matrix.T  # one row a coordinate
    if place is None:
        raise ValueError(
            f"{column!r} is a matrix of {matrix.shape[0]} x {matrix.shape[1]}; name its columns, "
            f"{column}[0] to {column}[{matrix.shape[1] - 1}]"
        )
    k = int(place["column"])
    if k >= matrix.shape[1]:
        raise ValueError(f"{place['path']!r} has {matrix.shape[1]} columns, found {column!r}")
    return matrix[:, k]


_READERS: dict[str, Callable[[Path, list[str]], Mapping[str, Any]]] = {
    "csv": _read_csv,
    "parquet": _read_parquet,
    "hdf5": _read_hdf5,
}
