"""What a reader of logs returns: columns by name, scalars of metadata, and what it found out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_PLACE = re.compile(r"(?P<path>.+)\[(?P<column>\d+)\]\Z")
# The format that the ending of a file says.
ENDINGS = {
    ".csv": "csv", ".txt": "csv", ".tsv": "csv", ".dat": "csv", ".log": "csv", ".asc": "csv",
    ".parquet": "parquet", ".pq": "parquet",
    ".h5": "hdf5", ".hdf5": "hdf5", ".hdf": "hdf5",
    ".npz": "npz", ".npy": "npz",
    ".json": "json", ".jsonl": "json", ".ndjson": "json",
    ".mat": "mat",
    ".bag": "rosbag", ".db3": "rosbag", ".mcap": "rosbag",
}  # fmt: skip
_LISTED = 40  # columns that an error names
Scalar = float | str


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a text is written, and which topic of a bag is meant; None is to be found out."""

    separator: str | None = None
    decimal: str | None = None
    header: bool | None = None
    topic: str | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """A file: columns of one axis by name, scalars beside them, and notes on how it was read."""

    columns: Mapping[str, Any]
    scalars: Mapping[str, Scalar] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def of_arrays(
    arrays: Mapping[str, Any],
    wanted: Sequence[str],
    scalars: Mapping[str, Scalar],
    notes: tuple[str, ...] = (),
) -> Table:
    """Arrays of one and two axes as a table; columns of a matrix are called `path[k]`.

    Time runs along the axis of a matrix that is as long as the first column wanted, or else as the
    longest array, so that matrices may lie either way. Raises ValueError where a wanted column does
    not lie in them.
    """
    vectors, matrices = {}, {}
    for name, array in arrays.items():
        if array.ndim == 2 and 1 in array.shape:
            vectors[name] = array.ravel()
        elif array.ndim == 2:
            matrices[name] = array
        elif array.ndim == 1:
            vectors[name] = array
    lengths = [max(x.shape) for x in (*vectors.values(), *matrices.values())]
    samples = max(lengths, default=0)
    first = wanted[0].strip("/") if wanted else ""
    if first in vectors:
        samples = len(vectors[first])
    elif wanted and not _PLACE.match(first):
        samples = len(_column(first, vectors, matrices, None))
    found = dict(vectors)
    for name, matrix in matrices.items():
        upright = _upright(matrix, samples)
        if len(upright) == samples:
            found |= {f"{name}[{k}]": upright[:, k] for k in range(upright.shape[1])}
    found |= {name: _column(name, vectors, matrices, samples) for name in wanted}
    return Table(columns=found, scalars=scalars, notes=notes)


def missing(name: str, names: Sequence[str]) -> str:
    """What to say of a column that is not among the names."""
    names = [x for x in names if not x.isdecimal()] or list(names)  # numbers are second names
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"no column {name!r}; did you mean {near[0]!r}?"
    more = ", …" if len(names) > _LISTED else ""
    return f"no column {name!r}; it has {', '.join(names[:_LISTED])}{more}"


def scalar(value: Any) -> Scalar | None:
    """A number or a word beside the columns, None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    array = np.asarray(value)
    if array.size == 1 and array.dtype.kind in "fiub":
        return float(array.ravel()[0])
    if array.size == 1 and array.dtype.kind in "US":
        return str(array.ravel()[0])
    return None


def _column(
    column: str, vectors: Mapping[str, Any], matrices: Mapping[str, Any], samples: int | None
) -> Any:
    name = column.strip("/")
    if name in vectors:
        return vectors[name]
    place = _PLACE.match(name)
    path = place["path"] if place else name
    if path in vectors and place and place["column"] == "0":
        return vectors[path]
    matrix = matrices.get(path)
    if matrix is None:
        if path in vectors:
            raise ValueError(f"{path!r} has 1 columns, found {column!r}")
        raise ValueError(missing(column, [*vectors, *(f"{key}[0]" for key in matrices)]))
    if samples is not None:
        matrix = _upright(matrix, samples)
    if place is None:
        raise ValueError(
            f"{column!r} is a matrix of {matrix.shape[0]} x {matrix.shape[1]}; name its columns, "
            f"{column}[0] to {column}[{matrix.shape[1] - 1}]"
        )
    k = int(place["column"])
    if k >= matrix.shape[1]:
        raise ValueError(f"{path!r} has {matrix.shape[1]} columns, found {column!r}")
    return matrix[:, k]


def _upright(matrix: Any, samples: int) -> Any:
    """The matrix with one row a sample."""
    return matrix.T if matrix.shape[0] != samples == matrix.shape[1] else matrix
