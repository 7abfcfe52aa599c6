"""Logs in containers of arrays: Parquet, HDF5, NumPy's .npz and .npy, MATLAB's .mat."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from discover.data.formats.table import Dialect, Scalar, Table, of_arrays, scalar

_OBJECT = (
    "expected arrays and structs, found the MATLAB {kind} {name!r}, which only MATLAB can open; "
    "save it there as a struct: s = struct('Time', x.Time, 'Data', x.Data)"
)


def read_parquet(path: Path, wanted: Sequence[str], dialect: Dialect) -> Table:
    """A Parquet file: columns by their names."""
    frame = pd.read_parquet(path)
    return Table(columns={str(name): column for name, column in frame.items()})


def read_hdf5(path: Path, wanted: Sequence[str], dialect: Dialect) -> Table:
    """Vectors by their paths, fields of a table as `path/field`, columns of a matrix as `path[k]`.

    Attributes of the file and single numbers are its scalars.
    """
    arrays: dict[str, Any] = {}
    with h5py.File(path, "r") as file:
        scalars = {key: scalar(value) for key, value in file.attrs.items()}

        def note(name: str, item: Any) -> None:
            if not isinstance(item, h5py.Dataset) or name.startswith("#"):
                return
            if "MATLAB_object_decode" in item.attrs:
                kind = scalar(item.attrs.get("MATLAB_class", b"object"))
                raise ValueError(_OBJECT.format(kind=kind, name=name))
            if item.dtype.names and item.ndim == 1:
                arrays.update({f"{name}/{field}": item[field] for field in item.dtype.names})
            elif item.size == 1:
                scalars[name] = scalar(item[()])
            elif item.ndim in (1, 2) and item.dtype.kind in "fiubSO":
                arrays[name] = item[()]

        file.visititems(note)
    arrays, notes = _timed(arrays)
    return of_arrays(arrays, wanted, _held(scalars), notes)


def read_npz(path: Path, wanted: Sequence[str], dialect: Dialect) -> Table:
    """The arrays of an .npz by name, or a single .npy, whose columns are called by number."""
    content = np.load(path, allow_pickle=False)
    if isinstance(content, np.ndarray):
        if content.dtype.names:
            return Table(columns={name: content[name] for name in content.dtype.names})
        if content.ndim != 2:
            raise ValueError(f"expected a matrix, one row a sample, found shape {content.shape}")
        upright = content.T if content.shape[0] < content.shape[1] else content
        return Table(columns={str(k): upright[:, k] for k in range(upright.shape[1])})
    with content:
        held = {name: content[name] for name in content.files}
    return _of_tree(held, wanted)


def read_mat(path: Path, wanted: Sequence[str], dialect: Dialect) -> Table:
    """Variables and fields of structs as `struct/field`. Files of version 7.3 are HDF5."""
    from scipy.io import loadmat

    if h5py.is_hdf5(path):
        return read_hdf5(path, wanted, dialect)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of objects, which are refused below
        held = loadmat(str(path), simplify_cells=True)
    for name, value in held.items():
        if type(value).__name__ == "MatlabOpaque":
            raise ValueError(_OBJECT.format(kind="object", name=name))
    return _of_tree({k: x for k, x in held.items() if not k.startswith("__")}, wanted)


def _of_tree(tree: Mapping[str, Any], wanted: Sequence[str]) -> Table:
    arrays: dict[str, Any] = {}
    scalars: dict[str, Scalar | None] = {}

    def note(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                note(f"{name}/{key}" if name else key, inner)
            return
        array = np.asarray(value)
        if array.dtype.names and array.ndim == 1:
            arrays.update({f"{name}/{key}": array[key] for key in array.dtype.names})
        elif array.size == 1:
            scalars[name] = scalar(value)
        elif array.ndim in (1, 2) and array.dtype.kind in "fiubmMUO":
            arrays[name] = array

    note("", tree)
    arrays, notes = _timed(arrays)
    return of_arrays(arrays, wanted, _held(scalars), notes)


def _timed(arrays: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Structs of a signal with times of its own, `q/Time` and `q/Data`, also as the columns of `q`
    at the times `time` of the first one; others are interpolated onto them."""
    fields = {name.lower(): name for name in arrays}
    signals = {
        name[: -len("/time")]: (name, fields[f"{low[: -len('/time')]}/data"])
        for low, name in fields.items()
        if low.endswith("/time") and f"{low[: -len('/time')]}/data" in fields
    }
    if not signals:
        return arrays, ()
    first = next(iter(signals))
    time = np.ravel(arrays[signals[first][0]]).astype(float)
    found, moved = dict(arrays), []
    for signal, (clock, data) in signals.items():
        own = np.ravel(arrays[clock]).astype(float)
        values = np.squeeze(np.asarray(arrays[data]))
        upright = values if values.shape[0] == len(own) else values.T
        if len(own) != len(upright) or upright.dtype.kind not in "fiub":
            raise ValueError(f"{signal!r} has {len(own)} times for {values.shape} values")
        if not np.array_equal(own, time):
            columns = upright.reshape(len(own), -1).T
            upright = np.stack([np.interp(time, own, x) for x in columns], axis=1)
            moved.append(signal)
        found[signal] = upright
        del found[clock], found[data]
    name = first.rpartition("/")[0]
    found.setdefault(f"{name}/time" if name else "time", time)
    said = [f"signals with times of their own: {', '.join(signals)}"]
    if moved:
        said.append(f"{', '.join(moved)} were interpolated onto the times of {first}")
    return found, tuple(said)


def _held(scalars: Mapping[str, Scalar | None]) -> dict[str, Scalar]:
    return {name: value for name, value in scalars.items() if value is not None}
