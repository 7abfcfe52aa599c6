"""Logs in JSON: lists of entries with named keys, or lists of numbers by name, beside scalars."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discover.data.formats.table import Dialect, Scalar, Table, of_arrays, scalar


def read_json(path: Path, wanted: Sequence[str], dialect: Dialect) -> Table:
    """One JSON document, or one object a line.

    A list of entries becomes one column a key, with the list's own name before it
    (`entries/position`) where the document has several lists; vectors in entries become
    `key[k]`. What stands beside the lists is a scalar of the log. Raises ValueError.
    """
    text = path.read_text(encoding="utf-8-sig")
    try:
        content = json.loads(text)
    except json.JSONDecodeError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        content = [json.loads(line) for line in lines]
    if not isinstance(content, list | dict):
        raise ValueError(f"expected entries of a log, found a single {type(content).__name__}")
    arrays: dict[str, Any] = {}
    scalars: dict[str, Scalar] = {}
    tree = {"": content} if isinstance(content, list) else content
    lists: dict[str, dict[str, Any]] = {}
    _collect("", tree, arrays, scalars, lists)
    for name, columns in lists.items():
        alone = len(lists) == 1 and not set(columns) & set(arrays)
        arrays |= {key if alone or not name else f"{name}/{key}": x for key, x in columns.items()}
    if not arrays:
        raise ValueError("expected lists of numbers or of entries with named numbers, found none")
    return of_arrays(arrays, wanted, scalars)


def _collect(
    name: str,
    value: Any,
    arrays: dict[str, Any],
    scalars: dict[str, Scalar],
    lists: dict[str, dict[str, Any]],
) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _collect(f"{name}/{key}" if name else key, inner, arrays, scalars, lists)
    elif isinstance(value, list) and value and all(isinstance(x, dict) for x in value):
        lists[name] = _entries(name, value)
    elif isinstance(value, list) and len(value) > 1:
        array = _array(name, value)
        if array.ndim in (1, 2):
            arrays[name] = array
    elif (held := scalar(value)) is not None:
        scalars[name] = held


def _entries(name: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Columns of a list of entries; a key that some entries lack is left out."""
    flat = [_flat(entry) for entry in entries]
    keys = [key for key in flat[0] if all(key in entry for entry in flat)]
    return {key: _array(f"{name}/{key}", [entry[key] for entry in flat]) for key in keys}


def _flat(entry: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in entry.items():
        if isinstance(value, Mapping):
            out |= _flat(value, f"{before}{key}/")
        else:
            out[before + key] = value
    return out


def _array(name: str, values: list[Any]) -> Any:
    """An array of numbers, or of whatever the list holds where they are none."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"entries of {name!r} have different lengths") from error
    return array.astype(float) if array.dtype.kind == "b" else array
