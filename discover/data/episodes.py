"""Episodes of Minari and LeRobot data sets as tables of columns, read by their own packages.

Neither package is needed otherwise, so each is imported when it is asked for. An episode becomes
columns named like `observations[3]`, `actions[0]`, `observation.state[0]`, and `index`, the number
of the sample, which is the time where a data set has none (`recording.scale.time` is its step).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from discover.errors import DatasetError

INSTALL = {"minari": "pip install 'minari[hdf5]'", "lerobot": "pip install lerobot"}


def episode(library: str, name: str, number: str) -> tuple[Mapping[str, Any], str]:
    """Columns of one episode of the data set `name`, and a hash of their content."""
    if not number.isdecimal():
        raise DatasetError(
            f"recording {name}: expected episodes by their numbers, as train = ['0', '1'], found "
            f"{number!r}"
        )
    columns = {"minari": _minari, "lerobot": _lerobot}[library](name, int(number))
    digest = hashlib.sha256()
    for key, values in sorted(columns.items()):
        digest.update(key.encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return columns, digest.hexdigest()


def _minari(name: str, number: int) -> dict[str, np.ndarray]:
    """`minari.load_dataset(name)`: an episode has one more observation than it has actions; the
    last observation is left out."""
    data = _package("minari").load_dataset(name)
    if number >= data.total_episodes:
        raise _missing(name, number, int(data.total_episodes))
    (record,) = data.iterate_episodes([number])
    steps = len(np.asarray(record.rewards))
    columns: dict[str, np.ndarray] = {"index": np.arange(steps, dtype=float)}
    for key in ("observations", "actions", "infos"):
        _spread(columns, key, getattr(record, key, None), steps)
    return columns


def _lerobot(name: str, number: int) -> dict[str, np.ndarray]:
    """`LeRobotDataset(name)`: frames of all episodes in one table with `episode_index`."""
    try:
        module = import_module("lerobot.datasets.lerobot_dataset")
    except ImportError:  # where it was before 2025
        module = _package("lerobot", "lerobot.common.datasets.lerobot_dataset")
    data = module.LeRobotDataset(name)
    if number >= data.num_episodes:
        raise _missing(name, number, int(data.num_episodes))
    frames = data.hf_dataset.with_format("numpy")
    rows = np.flatnonzero(np.asarray(frames["episode_index"]) == number)
    columns: dict[str, np.ndarray] = {"index": np.arange(len(rows), dtype=float)}
    for key in frames.column_names:
        if key.startswith("observation.image"):
            continue
        _spread(columns, key, np.asarray(frames[key])[rows], len(rows))
    return columns


def _spread(columns: dict[str, np.ndarray], key: str, values: Any, steps: int) -> None:
    """Numbers and vectors as columns; anything else is skipped."""
    if isinstance(values, Mapping):
        for name, inner in values.items():
            _spread(columns, f"{key}/{name}", inner, steps)
        return
    if values is None:
        return
    array = np.asarray(values)
    if array.dtype.kind not in "fiub" or array.ndim not in (1, 2) or len(array) < steps:
        return
    array = array[:steps].astype(float)
    if array.ndim == 1:
        columns[key] = array
    for k in range(array.shape[1] if array.ndim == 2 else 0):
        columns[f"{key}[{k}]"] = array[:, k]


def _package(library: str, module: str | None = None) -> Any:
    try:
        return import_module(module or library)
    except ImportError as error:
        raise DatasetError(
            f"recording.format = {library!r} needs the package {library}, which is not installed: "
            f"{INSTALL[library]}"
        ) from error


def _missing(name: str, number: int, count: int) -> DatasetError:
    return DatasetError(f"recording {name}: expected an episode below {count}, found {number}")
