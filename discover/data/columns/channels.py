"""The channels of one log: columns of one or several files as checked numbers on one clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from discover.artifacts import value_hash
from discover.data.columns.formula import evaluate, is_formula, names_in
from discover.data.episodes import episode
from discover.data.formats.registry import open_table
from discover.data.formats.table import Dialect, Scalar, Table, missing
from discover.data.settings import Column, LogLayout
from discover.errors import DatasetError
from discover.judgement.thresholds import threshold

Array = NDArray[np.float64]
_AROUND = 51  # rows around one: of so few a handful of strays are no majority
_MOST_STRAY = threshold("logs.most_stray")
LONGEST_STEP = 1.0  # s; a log with longer ones counts in another unit
_MISSING = ("", "nan", "na", "n/a", "null", "none", "inf", "infinity", "-")
TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9, "min": 60.0}


@dataclass(frozen=True, kw_only=True)
class Channels:
    """time (N,) [s] from the first sample, strictly increasing; values: each column (N,), in the
    file's units; scalars beside them; notes on what was found out or mended; SHA-256 of the files.
    """

    time: Array
    values: Mapping[Column, Array]
    scalars: Mapping[str, Scalar]
    notes: tuple[str, ...]
    sha256: str


def columns_of(layout: LogLayout) -> list[Column]:
    """All columns that a layout names, but for clocks."""
    columns, base = layout.columns, layout.columns.base
    based = [] if base is None else [*base.position, *base.quaternion]
    if base is not None and base.angular is not None and base.linear is not None:
        based += [*base.angular, *base.linear]
    return list(dict.fromkeys([*columns.q, *(columns.v or ()), *columns.tau, *based]))


def read_channels(label: Path, parts: Mapping[str, Path], layout: LogLayout) -> Channels:
    """Read the channels of a log from its files, by part ("" for a log of one file).

    label stands in messages. Raises DatasetError, one line with file, column and row, where a
    column is missing, an entry is no number, or time does not increase. Rows with an entry that is
    empty, NaN or infinite are gaps: left out, and told.
    """
    wanted = {part: _wanted(part, parts, layout) for part in parts}
    tables, digests, notes = {}, [], []
    for part, path in parts.items():
        tables[part], digest = _table(path, layout, [str(c) for c in wanted[part]])
        digests.append(digest)
        notes += [f"{part}: {x}" if part else x for x in tables[part].notes]
    values: dict[Column, Array] = {}
    homes: dict[Column, str] = {}
    for column in columns_of(layout):
        homes[column] = _home(column, parts)
        values[column] = _values(column, homes[column], parts, tables)
    clocks = {part: _clock(parts[part], part, tables[part], layout) for part in parts}
    first = homes[next(iter(values))]
    time, values, more = _on_one_clock(label, parts, layout, first, clocks, values, homes)
    _check_times(label, layout, time)
    scalars = {
        f"{part}/{name}" if part else name: x
        for part in parts
        for name, x in tables[part].scalars.items()
    }
    return Channels(
        time=time - time[0],
        values=values,
        scalars=scalars,
        notes=(*notes, *more),
        sha256=digests[0] if len(digests) == 1 else value_hash(digests),
    )


def _home(column: Column, parts: Mapping[str, Path]) -> str:
    """The part that a column lies in. Raises DatasetError where it names none, or several."""
    names = names_in(column) if isinstance(column, str) and is_formula(column) else [column]
    homes = {_split(name, parts)[0] for name in names} or {next(iter(parts))}
    if len(homes) > 1:
        raise DatasetError(
            f"recording.columns: expected the columns of one file in {column!r}, found "
            f"{', '.join(sorted(homes))}; compute it before"
        )
    return homes.pop()


def _split(column: Column, parts: Mapping[str, Path]) -> tuple[str, str]:
    """Part and name of a column."""
    if "" in parts:
        return "", str(column)
    part, colon, name = str(column).partition(":")
    if colon and part in parts:
        return part, name
    if len(parts) == 1:
        return next(iter(parts)), str(column)
    raise DatasetError(
        f"recording.columns: expected a column with its file before it, such as "
        f"'{next(iter(parts))}:{column}', found {column!r}; the files are {', '.join(parts)}"
    )


def _time_column(part: str, layout: LogLayout) -> str | None:
    time = layout.columns.time
    if isinstance(time, dict):
        return None if time.get(part) is None else str(time[part])
    return None if time is None else str(time)


def _wanted(part: str, parts: Mapping[str, Path], layout: LogLayout) -> list[Column]:
    """The names that a part must have, its clock first."""
    clock = _time_column(part, layout)
    wanted: list[Column] = []
    if clock is not None:
        home, name = _split(clock, parts) if ":" in clock else (part, clock)
        wanted += [name] if home == part else []
    for column in columns_of(layout):
        if isinstance(column, str) and is_formula(column):
            continue  # its names may be scalars of the file
        home, name = _split(column, parts)
        wanted += [name] if home == part else []
    return list(dict.fromkeys(wanted))


def _table(path: Path, layout: LogLayout, wanted: list[str]) -> tuple[Table, str]:
    if layout.format in ("minari", "lerobot"):
        columns, digest = episode(layout.format, str(path.parent), path.name)
        return Table(columns=columns), digest
    dialect = Dialect(
        separator=layout.separator,
        decimal=layout.decimal,
        header=layout.header,
        topic=layout.topic,
    )
    return open_table(path, layout.format, wanted, dialect)


def _values(
    column: Column, home: str, parts: Mapping[str, Path], tables: Mapping[str, Table]
) -> Array:
    path, table = parts[home], tables[home]
    if not (isinstance(column, str) and is_formula(column)):
        return _numbers(path, _split(column, parts)[1], table.columns)
    held: dict[str, Array | float] = {}
    for name in names_in(column):
        inner = _split(name, parts)[1]
        single = table.scalars.get(inner)
        held[name] = (
            float(single)
            if isinstance(single, float | int) and inner not in table.columns
            else _numbers(path, inner, table.columns)
        )
    try:
        computed = evaluate(column, held)
    except (ValueError, TypeError) as error:
        raise DatasetError(f"recording.columns: {column!r} has no value: {error}") from error
    if computed.ndim == 0:
        lengths = [len(x) for x in table.columns.values()]
        computed = np.full(max(lengths, default=0), float(computed))
    return np.where(np.isfinite(computed), computed, np.nan)


def _clock(path: Path, part: str, table: Table, layout: LogLayout) -> tuple[Array, Any] | None:
    """Times [s] from the first sample and what the first one is; None where a part has none."""
    column = _time_column(part, layout)
    if column is not None and part and ":" in column:
        home, _, name = column.partition(":")
        column = name if home == part else None
    if column is None or (part and column not in table.columns):
        return None
    factor = TIME_UNITS.get(layout.units.time)
    if factor is None:
        raise DatasetError(
            f"recording.units.time: expected one of {', '.join(TIME_UNITS)}, found "
            f"{layout.units.time!r}"
        )
    return _times(path, column, table.columns, layout.scale.time, factor)


def _on_one_clock(
    label: Path,
    parts: Mapping[str, Path],
    layout: LogLayout,
    first: str,
    clocks: Mapping[str, tuple[Array, Any] | None],
    values: dict[Column, Array],
    homes: Mapping[Column, str],
) -> tuple[Array, dict[Column, Array], list[str]]:
    """The clock of the part with the first column, with the others' channels interpolated onto it.

    Parts without a clock of their own share the first one's, sample by sample.
    """
    own = [part for part, clock in clocks.items() if clock is not None]
    if layout.rate is None and not own:
        raise DatasetError(
            f"recording {label}: no column {layout.columns.time!r}; name the column of times, or "
            "give a rate [Hz]"
        )
    reference = first if first in own else (own[0] if own else None)
    separate = len(own) > 1
    lengths = {str(c): len(x) for c, x in values.items() if not separate or homes[c] not in own}
    if reference is not None:
        clock = clocks[reference]
        assert clock is not None
        time, origin = clock
        lengths[str(_time_column(reference, layout))] = len(time)
    else:
        time, origin = np.arange(len(next(iter(values.values())))) / float(layout.rate or 1.0), 0.0
    if len(set(lengths.values())) > 1:
        described = ", ".join(f"{column} has {n}" for column, n in lengths.items())
        raise DatasetError(f"recording {label}: expected columns of one length, found {described}")
    notes: list[str] = []
    shared = [c for c in values if homes[c] in (reference, None) or not separate]
    kept, told = _finite(label, time, values, shared)
    time, notes = time[kept], [*notes, *told]
    values = {c: x[kept] if c in shared else x for c, x in values.items()}
    if reference is not None:
        stray = _strays(time)
        if stray.any() and layout.repeated == "mean":
            notes.append(_of_strays(label, stray))
            time, time_kept = time[~stray], ~stray
            values = {c: x[time_kept] if c in shared else x for c, x in values.items()}
            origin, time = origin + _seconds(origin, time[0]), time - time[0]
        clock_of = str(_time_column(reference, layout))
        _check_order(parts[reference], clock_of, time, layout, origin)
    time, values, merged = _merged(time, values, shared)
    notes += merged
    if not separate or reference is None:
        return time, values, notes
    low, high = time[0], time[-1]
    recorded = np.ones(len(time), dtype=bool)
    for part in own:
        if part == reference:
            continue
        clock = clocks[part]
        assert clock is not None
        there = clock[0] + _between(label, origin, clock[1])
        for column in [c for c in values if homes[c] == part]:
            if len(values[column]) != len(there):
                raise DatasetError(
                    f"recording {parts[part]}: expected columns of one length, found {column} has "
                    f"{len(values[column])}, its clock {len(there)}"
                )
        here = [c for c in values if homes[c] == part]
        there_kept, told = _finite(parts[part], there, values, here)
        notes += told
        recorded &= ~_in_holes(time, there, there_kept)
        there = there[there_kept]
        _check_order(parts[part], str(_time_column(part, layout)), there, layout, origin)
        low, high = max(low, there[0]), min(high, there[-1])
        for column in here:
            values[column] = np.interp(time, there, values[column][there_kept])
        notes.append(f"{part} has a clock of its own and was interpolated onto that of {reference}")
    kept = (time >= low) & (time <= high) & recorded
    if not kept.any():
        raise DatasetError(f"recording {label}: its files have no time in common")
    return time[kept], {c: x[kept] for c, x in values.items()}, notes


def _finite(
    label: Path, time: Array, values: Mapping[Column, Array], columns: Sequence[Column]
) -> tuple[NDArray[np.bool_], list[str]]:
    """The rows in which all columns and the clock have a number, and a note on the others.

    Raises DatasetError where a column has none in most rows: then it is no gap.
    """
    missing_in = {c: ~np.isfinite(values[c]) for c in columns} | {"time": ~np.isfinite(time)}
    kept = ~np.any(list(missing_in.values()), axis=0)
    lost = int((~kept).sum())
    if not lost:
        return kept, []
    worst = max(missing_in, key=lambda c: int(missing_in[c].sum()))
    row = int(np.flatnonzero(missing_in[worst])[0])
    if lost > threshold("logs.most_lost") * len(kept):
        raise DatasetError(
            f"recording {label}: column {worst!r} expects finite numbers, found none in row "
            f"{row + 1} and {int(missing_in[worst].sum())} of {len(kept)} rows in all; leave that "
            "column out, or mend it"
        )
    rows = "1 row was" if lost == 1 else f"{lost} rows were"
    return kept, [
        f"{label.name}: {rows} left out (of {len(kept)}): no finite number, first in row {row + 1} "
        f"of {worst}"
    ]


def _in_holes(time: Array, clock: Array, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which times lie between two rows kept of another clock with a row left out between them."""
    at = np.flatnonzero(kept)
    if len(at) < 2 or kept.all():
        return np.zeros(len(time), dtype=bool)
    place = np.searchsorted(clock[at], time).clip(1, len(at) - 1)
    exact = clock[at[place]] == time
    return (np.diff(at)[place - 1] > 1) & ~exact


def _between(label: Path, origin: Any, other: Any) -> float:
    """Seconds from one clock's first sample to another's."""
    if isinstance(origin, pd.Timestamp) != isinstance(other, pd.Timestamp):
        raise DatasetError(
            f"recording {label}: expected dates on all clocks of a log, or on none; found both"
        )
    gap = other - origin
    return gap.total_seconds() if isinstance(gap, pd.Timedelta) else float(gap)


def _strays(time: Array) -> NDArray[np.bool_]:
    """Rows (N,) whose time is far from that of the rows around them, where times do not increase: a
    few that a broken transmission left. None where they are more than a few."""
    steps = np.diff(time)
    none = np.zeros(len(time), dtype=bool)
    if len(time) < _AROUND or (steps >= 0).all():
        return none
    step = float(np.median(steps))
    middle = pd.Series(time).rolling(_AROUND, center=True, min_periods=1).median().to_numpy()
    stray = np.abs(time - middle) > _AROUND * max(step, 0.0)
    few = stray.mean() <= _MOST_STRAY and step > 0
    return np.asarray(stray) if few else none


def _of_strays(label: Path, stray: NDArray[np.bool_]) -> str:
    many = int(stray.sum())
    rows = "1 row was" if many == 1 else f"{many} rows were"
    return (
        f"{label.name}: {rows} left out (of {len(stray)}): a time far from those around it, first "
        f"in row {int(np.flatnonzero(stray)[0]) + 1}"
    )


def _seconds(origin: Any, seconds: float) -> Any:
    """Seconds to add to the first time of a clock, a number or a date."""
    return pd.Timedelta(seconds=seconds) if isinstance(origin, pd.Timestamp) else seconds


def _check_order(path: Path, column: str, time: Array, layout: LogLayout, origin: Any) -> None:
    """Raises DatasetError where times do not increase; numbers are told as the file has them."""
    steps = np.diff(time)
    back = np.flatnonzero(steps < 0 if layout.repeated == "mean" else steps <= 0)
    if back.size:
        row = int(back[0]) + 1
        factor = layout.scale.time * TIME_UNITS.get(layout.units.time, 1.0)
        dates = isinstance(origin, pd.Timestamp | pd.Timedelta)
        now, before = (
            f"{x:g} s" if dates else f"{(x + origin) / factor:.9g}" for x in time[[row, row - 1]]
        )
        raise DatasetError(
            f"recording {path}: column {column!r} must increase, found {now} after {before} in row "
            f"{row + 1}; sort the rows or drop the repeated one"
        )


def _merged(
    time: Array, values: dict[Column, Array], columns: Sequence[Column]
) -> tuple[Array, dict[Column, Array], list[str]]:
    """Rows with the same time as one, their mean."""
    steps = np.diff(time)
    repeated = int((steps == 0).sum())
    if not repeated:
        return time, values, []
    starts = np.flatnonzero(np.r_[True, steps != 0])
    count = np.diff(np.r_[starts, len(time)])
    mended = dict(values)
    for column in columns:
        x = values[column]
        same = np.repeat(x[starts], count) == x  # a row that was written twice stays as it is
        mean = np.add.reduceat(x, starts) / count
        mended[column] = np.where(np.logical_and.reduceat(same, starts), x[starts], mean)
    return time[starts], mended, [f"{repeated} rows repeat the time before: the mean was taken"]


def _check_times(label: Path, layout: LogLayout, time: Array) -> None:
    if len(time) < 2:
        raise DatasetError(f"recording {label}: expected a log, found {len(time)} rows")
    step = float(np.median(np.diff(time)))
    if step > LONGEST_STEP:
        raise DatasetError(
            f"recording {label}: column {layout.columns.time!r} has steps of {step:g} s, too long "
            f"to see a motion (at most {LONGEST_STEP:g} s); set recording.scale.time to the "
            "column's unit in seconds, such as 1e-3 for milliseconds"
        )


def _column(path: Path, column: str, table: Mapping[str, Any]) -> pd.Series:
    if column not in table:
        raise DatasetError(f"recording {path}: {missing(column, [str(key) for key in table])}")
    return pd.Series(table[column])


def _numbers(path: Path, column: str, table: Mapping[str, Any]) -> Array:
    """The entries of a column, NaN where one is empty or not finite. Raises DatasetError where one
    is something else than a number."""
    entries = _column(path, column, table)
    if entries.dtype.kind in "mM":
        raise DatasetError(f"recording {path}: column {column!r} expects numbers, found dates")
    numbers = pd.to_numeric(entries, errors="coerce").to_numpy(dtype=np.float64)
    bad = ~np.isfinite(numbers)
    if bad.any() and entries.dtype.kind not in "fiub":
        strange = bad.copy()
        strange[bad] = [not _is_missing(x) for x in entries[bad]]
        _refuse(path, column, entries, strange, "finite numbers")
    return np.where(bad, np.nan, numbers)


def _is_missing(entry: Any) -> bool:
    """Whether an entry says that there is no number."""
    if isinstance(entry, str):
        return entry.strip().lower().lstrip("+-") in _MISSING
    return entry is None or (isinstance(entry, float | np.floating) and not np.isfinite(entry))


def _times(
    path: Path, column: str, table: Mapping[str, Any], scale: float, unit: float
) -> tuple[Array, Any]:
    """The column of times [s] from the first one, and the first one: numbers by their unit, or
    dates, or durations."""
    entries = _column(path, column, table)
    numeric = entries.dtype.kind not in "mM" and not (
        entries.dtype.kind in "OTU" and pd.to_numeric(entries, errors="coerce").isna().all()
    )
    if not numeric and entries.dtype.kind not in "mM":
        try:
            entries = pd.to_datetime(entries, format="ISO8601", utc=True)
        except (TypeError, ValueError):
            numeric = True  # which says what it found
    if numeric:
        numbers = _numbers(path, column, table)
        factor = scale * unit
        known = numbers[np.isfinite(numbers)]
        first = known[0] if len(known) else 0.0
        return (numbers - first) * factor, float(first * factor)
    _refuse(path, column, entries, entries.isna().to_numpy(), "dates")
    if scale not in (1.0, 1e-9):  # 1e-9 is what pandas' own integers of such dates need
        raise DatasetError(
            f"recording {path}: column {column!r} holds dates, which are read as seconds; expected "
            f"recording.scale.time = 1, found {scale:g}; leave it out"
        )
    since = (entries - entries.iloc[0]).dt.total_seconds().to_numpy(dtype=np.float64)
    return since, entries.iloc[0]


def _refuse(
    path: Path, column: str, entries: pd.Series, bad: NDArray[np.bool_], expected: str
) -> None:
    rows = np.flatnonzero(bad)
    if rows.size:
        row = int(rows[0])
        entry = entries.iloc[row]
        plain = entry.item() if isinstance(entry, np.generic) else entry  # no np.float64(nan)
        found = " ".join(repr(plain).split())[:60]
        raise DatasetError(
            f"recording {path}: column {column!r} expects {expected}, found {found} in row "
            f"{row + 1} (of {len(entries)}); mend or cut that row"
        )
