"""Dataclasses as strict JSON, and back by the types of their fields."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from functools import cache
from typing import Any, Self, get_args, get_origin, get_type_hints

import numpy as np


class Stored:
    """A dataclass that is stored: its fields' names are the keys.

    Tuples and arrays become lists, and numbers that JSON cannot hold strings ("inf", "nan").
    """

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {f.name: to_json(getattr(self, f.name)) for f in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises KeyError for a field that is not there, and TypeError
        for one that is missing."""
        kinds = _kinds(cls)  # type: ignore[arg-type]  # mypy: no class is hashable
        return cls(**{name: from_json(kinds[name], x) for name, x in record.items()})


@cache
def _kinds(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)


def to_json(x: Any) -> Any:
    """A value as strict JSON can hold it."""
    if isinstance(x, Stored):
        return x.to_dict()
    if isinstance(x, Enum):
        return x.value
    if isinstance(x, np.ndarray | np.generic):
        return to_json(x.tolist())
    if isinstance(x, Mapping):
        return {str(k): to_json(y) for k, y in x.items()}
    if isinstance(x, list | tuple):
        return [to_json(y) for y in x]
    return number_to_json(x) if isinstance(x, float) else x


def from_json(kind: Any, x: Any) -> Any:
    """The inverse of `to_json` for a value of the type `kind`; what is `Any` stays as it is."""
    if x is None:
        return None
    origin, inner = get_origin(kind), [k for k in get_args(kind) if k not in (type(None), ...)]
    if origin is np.ndarray:
        array = np.asarray(x)  # of text, where a number is "inf"
        return array.astype(float) if array.dtype.kind == "U" else array
    if origin is tuple:
        kinds = inner if len(inner) == len(x) else inner * len(x)
        return tuple(from_json(k, y) for k, y in zip(kinds, x, strict=False))
    if origin is list:
        return [from_json(inner[0], y) for y in x]
    if origin is dict:
        return {key: from_json(inner[1], y) for key, y in x.items()}
    if len(inner) == 1:  # an optional value
        return from_json(inner[0], x)
    if isinstance(kind, type) and issubclass(kind, Stored):
        return kind.from_dict(x)
    return number_from_json(x) if kind is float else x


def number_to_json(x: float | None) -> float | str | None:
    """A number as strict JSON can hold it."""
    if x is None or math.isfinite(x):
        return x
    return str(float(x))


def number_from_json(x: float | str) -> float:
    """The inverse of `number_to_json`."""
    return float(x)
