"""Logs of a machine as arrays: CSV, Parquet or HDF5, by a map of columns, all values checked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from discover.artifacts import file_hash
from discover.data.episodes import episode
from discover.data.settings import Recording
from discover.errors import DatasetError

Array = NDArray[np.float64]
_PLACE = re.compile(r"(?P<path>.+)\[(?P<column>\d+)\]\Z")


@dataclass(frozen=True, kw_only=True)
class Log:
    """One trajectory as recorded, in SI units: time (N,) from 0 [s], q, v, tau (N, nv).

    v is None where the recipe maps no velocity.
    """

    name: str
    sha256: str
    time: Array
    q: Array
    v: Array | None
    tau: Array


def read_log(name: str, recording: Recording) -> Log:
    """Read one file of the recording. DatasetError, one line with file, column and row, where a
    column is missing, a value is no finite number, or time does not increase."""
    columns, scale = recording.columns, recording.scale
    wanted = [columns.time, *columns.q, *(columns.v or ()), *columns.tau]
    path = Path(recording.folder).expanduser() / name
    if recording.format in ("minari", "lerobot"):
        path = Path(recording.folder) / name
        table, digest = episode(recording.format, recording.folder, name)
    else:
        table, digest = _file(path, recording.format, wanted)
    values = {column: _numbers(path, column, table) for column in wanted}
    lengths = {column: len(x) for column, x in values.items()}
    if len(set(lengths.values())) > 1:
        described = ", ".join(f"{column} has {n}" for column, n in lengths.items())
        raise DatasetError(f"recording {path}: expected columns of one length, found {described}")
    time = values[columns.time] * scale.time
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
    if recording.delay:  # what acted at t was recorded at t + delay
        late = time + recording.delay
        tau = np.stack([np.interp(late, time, column) for column in tau.T], axis=1)
    return Log(
        name=name,
        sha256=digest,
        time=time - time[0],
        q=np.unwrap(q, axis=0) if recording.unwrap else _without_jumps(path, columns.q, q),
        v=None if columns.v is None else stack(columns.v, scale.v, "v"),
        tau=tau,
    )


def _file(path: Path, kind: str, wanted: list[str]) -> tuple[Mapping[str, Any], str]:
    """The columns of a file, and its hash."""
    if not path.is_file():
        raise DatasetError(
            f"recording {path}: no such file; name its folder with --set recording.folder=PATH"
        )
    try:
        return _READERS[kind](path, wanted), file_hash(path)
    except (OSError, ValueError, UnicodeError) as error:
        found = " ".join(str(error).split())[:120]
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


def _numbers(path: Path, column: str, table: Mapping[str, Any]) -> Array:
    if column not in table:
        near = difflib.get_close_matches(column, [str(key) for key in table], n=1)
        found = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(map(str, table))}"
        raise DatasetError(f"recording {path}: no column {column!r}; {found[:200]}")
    entries = pd.Series(table[column])
    numbers = pd.to_numeric(entries, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        row = int(bad[0])
        raise DatasetError(
            f"recording {path}: column {column!r} expects finite numbers, found "
            f"{entries.iloc[row]!r} in row {row + 1} (of {len(numbers)}); mend or cut that row"
        )
    return numbers


def _read_csv(path: Path, wanted: list[str]) -> Mapping[str, Any]:
    return dict(pd.read_csv(path, skipinitialspace=True).items())  # type: ignore[arg-type]


def _read_parquet(path: Path, wanted: list[str]) -> Mapping[str, Any]:
    return dict(pd.read_parquet(path).items())  # type: ignore[arg-type]


def _read_hdf5(path: Path, wanted: list[str]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    with h5py.File(path, "r") as file:

        def note(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.ndim == 1:
                found[name] = item[()]

        file.visititems(note)
        for column in wanted:
            place = _PLACE.match(column)
            item = file.get(place["path"]) if place else None
            if place and isinstance(item, h5py.Dataset) and item.ndim == 2:
                k = int(place["column"])
                if k < item.shape[1]:
                    found[column] = item[:, k]
    return found


_READERS: dict[str, Callable[[Path, list[str]], Mapping[str, Any]]] = {
    "csv": _read_csv,
    "parquet": _read_parquet,
    "hdf5": _read_hdf5,
}
