"""Every number on which an answer or a branch of the search depends, read from thresholds.toml.

Control flow and verdict take the same values from here. A fixed number is `threshold("room.name")`;
the file gives each a unit, a reason and an origin. The bounds of the verdict's requirements, fitted
by `discover calibrate`, are `bound("answer", "evidence")`.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "thresholds.toml"


@lru_cache(maxsize=1)
def stored() -> dict[str, Any]:
    """The versioned file of thresholds."""
    return tomllib.loads(FILE.read_text())


def threshold(name: str) -> float:
    """The fixed number "room.name" of thresholds.toml. Raises KeyError for an unknown name."""
    room, key = name.split(".")
    return float(stored()["numbers"][room][key]["value"])


def whole(name: str) -> int:
    """The same, of a number that counts something."""
    value = threshold(name)
    if value != int(value):
        raise ValueError(f"expected a whole number for {name} in {FILE.name}, found {value}")
    return int(value)
