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

_SHOWN = 3  # objects that a message names
_OBJECT = (
    "expected arrays and structs, found the MATLAB {found}, which only MATLAB can open; "
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
    objects: dict[str, str] = {}
    with h5py.File(path, "r") as file:
        scalars = {key: scalar(value) for key, value in file.attrs.items()}

        def note(name: str, item: Any) -> None:
            if not isinstance(item, h5py.Dataset) or name.startswith("#"):
                return
            if "MATLAB_object_decode" in item.attrs:
                objects[name] = str(scalar(item.attrs.get("MATLAB_class", b"object")))
            elif item.dtype.names and item.ndim == 1:
                arrays.update({f"{name}/{field}": item[field] for field in item.dtype.names})
            elif item.size == 1:
                scalars[name] = scalar(item[()])
            elif item.ndim in (1, 2) and item.dtype.kind in "fiubSO":
                arrays[name] = item[()]

        file.visititems(note)
    return _without_objects(arrays, objects, wanted, scalars)


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
    objects = {}
    for name, value in list(held.items()):
        if type(value).__name__ == "MatlabOpaque":
            own, kind = _of_object(value)
            objects[own or name] = kind
            del held[name]
    return _of_tree({k: x for k, x in held.items() if not k.startswith("__")}, wanted, objects)


def _of_object(value: Any) -> tuple[str, str]:
    """Name and class of an object in a file of version 7, as far as SciPy tells them."""
    fields = value.dtype.names or ()
    words = [scalar(value.ravel()[0][x]) for x in ("s0", "s2") if x in fields]
    own, kind = (*words, "", "")[:2]
    return str(own or ""), str(kind or "object")


def _without_objects(
    arrays: Mapping[str, Any],
    objects: Mapping[str, str],
    wanted: Sequence[str],
    scalars: Mapping[str, Scalar | None],
) -> Table:
    """The table of a file's arrays. MATLAB's objects (strings, tables, timeseries) beside them are
    left out, and told; ValueError where the log lies in them."""
    told = ", ".join(f"{kind} {name!r}" for name, kind in list(objects.items())[:_SHOWN])
    told += f" and {len(objects) - _SHOWN} more" if len(objects) > _SHOWN else ""
    paths = [name.strip("/").partition("[")[0] + "/" for name in wanted]
    if objects and (
        not any(np.size(x) > 1 for x in arrays.values())
        or any(path.startswith(f"{name}/") for path in paths for name in objects)
    ):
        raise ValueError(_OBJECT.format(found=told))
    found, notes = _timed(dict(arrays))
    if objects:
        notes = (*notes, f"left out, as only MATLAB can open them: {told}")
    try:
        return of_arrays(_named(found), wanted, _held(scalars), notes)
    except ValueError as error:
        if not objects:
            raise
        raise ValueError(f"{error}; {_OBJECT.format(found=told)}") from error


def _named(arrays: dict[str, Any]) -> dict[str, Any]:
    """The arrays, with the columns of a matrix also by name where a list of as many different
    names lies beside it, and no other matrix has as many columns."""
    found = dict(arrays)
    for words in arrays.values():
        names = np.ravel(np.asarray(words))
        if names.dtype.kind not in "UO" or not all(isinstance(x, str) and x for x in names):
            continue
        fit = [
            x for x in arrays.values()
            if np.ndim(x) == 2 and np.asarray(x).dtype.kind in "fiub" and len(names) in np.shape(x)
        ]  # fmt: skip
        if len(fit) == 1 and len(set(names)) == len(names) > 1:
            upright = fit[0] if fit[0].shape[1] == len(names) else fit[0].T
            found |= {name: upright[:, k] for k, name in enumerate(names) if name not in arrays}
    return found


def _of_tree(
    tree: Mapping[str, Any], wanted: Sequence[str], objects: Mapping[str, str] | None = None
) -> Table:
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
    return _without_objects(arrays, objects or {}, wanted, scalars)


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
