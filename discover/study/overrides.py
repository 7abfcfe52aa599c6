"""Overrides of a recipe from the command line, such as `--set model.mlp.width=64`."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from discover.errors import RecipeError


def override(tables: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """A copy of nested tables with every setting `a.b=value` put in its place.

    The value is read as TOML (`64`, `1e-3`, `true`, `[1, 2]`); what is not TOML is taken as text.
    In an array of tables a key is the `name` of an entry (`model.mlp.width=64`) or its place
    counted from 0; it may be left out where there is one entry only. Raises RecipeError.
    """
    changed = copy.deepcopy(dict(tables))
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
