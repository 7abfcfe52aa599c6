"""Data sets: states, joint forces and what followed, with the metadata to read them alone.

Stored as HDF5 with a leading block (HDF5 calls it the user block) that holds the length and SHA-256
of what follows, so that a truncated or edited file is refused before its content is read.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata as distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import torch
from torch import Tensor

from discover.artifacts import plain, write_bytes
from discover.blackbox.region import Region
from discover.errors import DatasetError

if TYPE_CHECKING:
    from kinematics import Robot

SPLITS = ("train", "validation", "test")
FORMAT = "worldlaw data set 1"
OUTPUTS = ("acceleration", "next_state")
_BLOCK = 512
_FLOATS = ("q", "v", "tau", "a", "q_next", "v_next", "t")
_ARRAYS = (*_FLOATS, "trajectory", "split")
_MEANING = {
    "q": "configuration",
    "v": "velocity",
    "tau": "joint force",
    "a": "acceleration",
    "q_next": "configuration one step later",
    "v_next": "velocity one step later",
    "t": "time since the start of the trajectory",
    "trajectory": "which trajectory a sample belongs to; independent samples have one each",
    "split": "0 train, 1 validation, 2 test",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """N samples: q (N, nq), v (N, nv), tau (N, nv), and the acceleration a (N, nv) or the next
    state q_next (N, nq), v_next (N, nv), or all three.

    trajectory (N,) int64 numbers the trajectories, t (N,) is the time in each [s], split (N,) int64
    counts in `SPLITS`. metadata is JSON-able; see `describe`. Raises DatasetError where shapes do
    not agree or a value is not finite.
    """

    q: Tensor
    v: Tensor
    tau: Tensor
    a: Tensor | None = None
    q_next: Tensor | None = None
    v_next: Tensor | None = None
    trajectory: Tensor
    t: Tensor
    split: Tensor
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = self.q.shape[0] if self.q.ndim == 2 else -1
        nq, nv = self.q.shape[-1], self.v.shape[-1]
        expected = {
            "q": (n, nq),
            "v": (n, nv),
            "tau": (n, nv),
            "a": (n, nv),
            "q_next": (n, nq),
            "v_next": (n, nv),
        }
        for name in _ARRAYS:
            values = getattr(self, name)
            if values is None:
                continue
            shape = expected.get(name, (n,))
            if tuple(values.shape) != shape:
                raise DatasetError(
                    f"data set: expected {name} of shape {shape}, found {tuple(values.shape)}"
                )
            if values.is_floating_point() and not bool(torch.isfinite(values).all()):
                row = int((~torch.isfinite(values)).reshape(n, -1).any(-1).nonzero()[0])
                raise DatasetError(
                    f"data set: expected finite numbers, found {name} not so in sample {row}"
                )
        if self.a is None and (self.q_next is None or self.v_next is None):
            raise DatasetError("data set: expected accelerations or next states, found neither")

    def __len__(self) -> int:
        return int(self.q.shape[0])

    @property
    def nq(self) -> int:
        return int(self.q.shape[-1])

    @property
    def nv(self) -> int:
        return int(self.v.shape[-1])

    @property
    def outputs(self) -> str:
        """What a model is asked to answer: "acceleration" or "next_state"."""
        return str(self.metadata.get("outputs", OUTPUTS[self.a is None]))

    @property
    def dt(self) -> float | None:
        """The time step of next states and recordings [s]; None for independent samples."""
        step = self.metadata.get("dt")
        return None if step is None else float(step)

    @property
    def recorded(self) -> bool:
        """Whether a real machine was recorded; otherwise the samples are simulated."""
        return self.metadata.get("source") == "recording"

    @property
    def region(self) -> Region:
        """The box that the states were drawn from, or that the training trajectories span."""
        return Region.from_dict(self.metadata["region"])

    def select(self, rows: Tensor) -> Dataset:
        """The samples at the given rows (an index or a mask), with the same metadata."""
        chosen = {k: x[rows] for k in _ARRAYS if (x := getattr(self, k)) is not None}
        return replace(self, **chosen)

    def part(self, split: str) -> Dataset:
        """The samples of one split: "train", "validation" or "test"; it may be empty."""
        if split not in SPLITS:
            raise DatasetError(
                f"data set: expected a split of {', '.join(SPLITS)}, found {split!r}"
            )
        return self.select(self.split == SPLITS.index(split))

    def to(
        self, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> Dataset:
        """The same data on another device or in another precision (indices stay integers)."""
        moved = {}
        for name in _ARRAYS:
            values = getattr(self, name)
            if values is not None:
                kind = dtype if name in _FLOATS else None
                moved[name] = values.to(device=device, dtype=kind or values.dtype)
        return replace(self, **moved)

    @property
    def hash(self) -> str:
        """SHA-256 of the arrays and the metadata, the same for the same data on any machine."""
        digest = hashlib.sha256(_json(self.metadata).encode())
        for name in _ARRAYS:
            values = getattr(self, name)
            if values is not None:
                array = _array(values)
                digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
                digest.update(array.tobytes())
        return digest.hexdigest()

    def save(self, path: str | Path) -> Path:
        """Write the data set in one step; OutputError where the place cannot be written."""
        image = self._image()
        head = json.dumps({"format": FORMAT, "bytes": len(image), "sha256": _sha256(image)})
        return write_bytes(path, head.encode().ljust(_BLOCK, b"\n") + image)

    def _image(self) -> bytes:
        """The HDF5 file, made in memory so that only one plain write can meet a full disk."""
        buffer = io.BytesIO()
        coordinates = self.metadata.get("coordinates", {})
        units = self.metadata.get("units", {})
        with h5py.File(buffer, "w") as file:
            file.attrs["format"] = FORMAT
            file.attrs["hash"] = self.hash
            file.attrs["metadata"] = _json(self.metadata)
            for name in _ARRAYS:
                values = getattr(self, name)
                if values is None:
                    continue
                stored = file.create_dataset(name, data=_array(values), track_times=False)
                stored.attrs["meaning"] = _MEANING[name]
                for key, table in (("coordinates", coordinates), ("units", units)):
                    if table.get(name):
                        stored.attrs[key] = table[name]
        return buffer.getvalue()


def load(path: str | Path) -> Dataset:
    """Read a stored data set; DatasetError where it is truncated, edited or not one of ours."""
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"data set {path}: cannot be read: {error.strerror}") from error
    head, image = content[:_BLOCK], content[_BLOCK:]
    try:
        seal = json.loads(head)
    except ValueError:
        seal = None
    if not isinstance(seal, dict) or seal.get("format") != FORMAT:
        raise DatasetError(
            f"data set {path}: expected a file that says {FORMAT!r}, found another or a damaged "
            "one; make it again from its recipe"
        )
    if len(image) != seal.get("bytes"):
        raise DatasetError(
            f"data set {path}: expected {seal.get('bytes')} bytes after the head, found "
            f"{len(image)}: it was cut off or added to; make it again from its recipe"
        )
    if _sha256(image) != seal.get("sha256"):
        raise DatasetError(
            f"data set {path}: its content does not match its SHA-256, so it was edited or "
            "damaged; make it again from its recipe"
        )
    try:
        with h5py.File(io.BytesIO(image), "r") as file:
            stored_hash = str(file.attrs["hash"])
            metadata = json.loads(str(file.attrs["metadata"]))
            arrays = {k: torch.from_numpy(np.array(file[k])) for k in _ARRAYS if k in file}
        dataset = Dataset(metadata=metadata, **arrays)
    except (OSError, KeyError, ValueError, TypeError) as error:
        found = " ".join(str(error).split())
        raise DatasetError(f"data set {path}: not readable as {FORMAT!r}: {found}") from error
    if dataset.hash != stored_hash:
        raise DatasetError(f"data set {path}: its arrays do not match the hash stored with them")
    return dataset


def describe(
    robot: Robot, *, outputs: str = "acceleration", dt: float | None = None, **more: Any
) -> dict[str, Any]:
    """The metadata that every data set carries: names, units, frames and versions.

    more is added as it stands and must be JSON-able: seed, design, region, recipe, noise, source.
    """
    names: dict[str, list[str]] = {"q": [], "v": []}
    units: dict[str, list[str]] = {"q": [], "v": [], "tau": [], "a": []}
    for joint, kind in zip(robot.independent_names, robot.independent_kinds, strict=True):
        q_labels, v_labels, lengths = _LABELS[kind]
        names["q"] += [f"{joint}{label}" for label in q_labels]
        names["v"] += [f"{joint}{label}" for label in v_labels]
        units["q"] += _Q_UNITS[kind]
        for is_length in lengths:
            unit = "m" if is_length else "rad"
            units["v"].append(f"{unit}/s")
            units["a"].append(f"{unit}/s^2")
            units["tau"].append("N" if is_length else "N*m")
    coordinates = {"q": names["q"], "q_next": names["q"]}
    coordinates |= dict.fromkeys(("v", "tau", "a", "v_next"), names["v"])
    return {
        "robot": robot.name,
        "joints": list(robot.joint_names),
        "coordinates": coordinates,
        "units": {**units, "q_next": units["q"], "v_next": units["v"], "t": ["s"]},
        "frames": (
            "q and v are joint coordinates; a free joint has its position in the parent's frame, "
            "a quaternion wxyz, and its spatial velocity (angular, linear) in the body's frame"
        ),
        "outputs": outputs,
        "dt": dt,
        "versions": versions(),
        **more,
    }


def versions() -> dict[str, str]:
    """The versions of the packages that the numbers depend on."""
    return {name: distributions.version(name) for name in ("worldlaw", "torch", "numpy", "scipy")}


_LABELS: dict[str, tuple[list[str], list[str], list[bool]]] = {
    "revolute": ([""], [""], [False]),
    "continuous": ([""], [""], [False]),
    "prismatic": ([""], [""], [True]),
    "spherical": (
        [".qw", ".qx", ".qy", ".qz"],
        [".angular_x", ".angular_y", ".angular_z"],
        [False] * 3,
    ),
    "free": (
        [".x", ".y", ".z", ".qw", ".qx", ".qy", ".qz"],
        [f".{part}_{axis}" for part in ("angular", "linear") for axis in "xyz"],
        [False] * 3 + [True] * 3,
    ),
}
_Q_UNITS = {
    "revolute": ["rad"],
    "continuous": ["rad"],
    "prismatic": ["m"],
    "spherical": ["1"] * 4,
    "free": ["m"] * 3 + ["1"] * 4,
}


def _json(metadata: Mapping[str, Any]) -> str:
    """Metadata as text; numbers that are not finite become null."""
    return json.dumps(plain(dict(metadata)), sort_keys=True, ensure_ascii=False, allow_nan=False)


def _array(values: Tensor) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(values.detach().cpu().numpy())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
