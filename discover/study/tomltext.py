"""TOML as text: typed overrides from the command line, and plain tables written back.

Python reads TOML and does not write it; recipes need tables, arrays of tables and plain values.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from discover.errors import RecipeError

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")


def override(tables: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """A copy of nested tables with every setting `a.b=value` put in its place.

    The value is read as TOML (`64`, `1e-3`, `true`, `[1, 2]`); what is not TOML is taken as text.
    In an array of tables a key is the `name` of an entry (`model.mlp.width=64`) or its place
    counted from 0; it may be left out where there is one entry only. Raises RecipeError.
    """
    changed = json.loads(json.dumps(tables))
    for setting in settings:
        path, equals, text = setting.partition("=")
        keys = [key.strip() for key in path.split(".")]
        if not equals or not all(keys):
            raise RecipeError(
                f"--set: expected key=value such as train.epochs=50, found {setting!r}"
            )
        _put(changed, keys, value(text.strip()), setting)
    return changed


def value(text: str) -> Any:
    """The TOML value that the text spells, or the text itself."""
    try:
        read = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    # A line break in the text could smuggle in further keys; then it is no single value.
    return read["value"] if set(read) == {"value"} else text


def write(tables: Mapping[str, Any]) -> str:
    """Nested tables as TOML; `tomllib.loads` gives them back. None entries are left out."""
    return "\n".join(_lines(tables, ())).lstrip("\n") + "\n"


def _put(place: Any, keys: list[str], new: Any, setting: str) -> None:
    key, *rest = keys
    if isinstance(place, list):
        by_name = {entry.get("name", k): entry for k, entry in enumerate(place)}
        by_name |= {str(k): entry for k, entry in enumerate(place) if str(k) not in by_name}
        if key in by_name and rest:
            _put(by_name[key], rest, new, setting)
        elif len(place) == 1:
            _put(place[0], keys, new, setting)
        else:
            names = ", ".join(str(entry.get("name", k)) for k, entry in enumerate(place))
            raise RecipeError(f"--set {setting}: expected one of {names} before .{key}")
    elif not isinstance(place, dict):
        raise RecipeError(f"--set {setting}: {key} stands in a value that is not a table")
    elif rest:
        _put(place.setdefault(key, {}), rest, new, setting)
    else:
        place[key] = new


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    """Plain values first, since TOML gives everything below a header to that header."""
    plain, nested, arrays = {}, {}, {}
    for key, entry in table.items():
        if isinstance(entry, Mapping):
            nested[key] = entry
        elif isinstance(entry, list | tuple) and any(isinstance(e, Mapping) for e in entry):
            arrays[key] = entry
        elif entry is not None:
            plain[key] = entry
    lines = [f"{_key(key)} = {_value(entry)}" for key, entry in plain.items()]
    for key, entry in nested.items():
        header = ".".join(_key(k) for k in (*path, key))
        lines += ["", f"[{header}]", *_lines(entry, (*path, key))]
    for key, entries in arrays.items():
        header = ".".join(_key(k) for k in (*path, key))
        for entry in entries:
            lines += ["", f"[[{header}]]", *_lines(entry, (*path, key))]
    return lines


def _key(key: str) -> str:
    return key if _BARE.match(key) else json.dumps(key)


def _value(entry: Any) -> str:
    if isinstance(entry, bool):
        return "true" if entry else "false"
    if isinstance(entry, int | float):
        return repr(entry)
    if isinstance(entry, str):
        return json.dumps(entry, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(entry, list | tuple):
        return "[" + ", ".join(_value(e) for e in entry) + "]"
    raise TypeError(f"expected a value that TOML can hold, found {type(entry).__name__}")
