"""Which reader opens a file: the format that was named, or the one that its ending says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from discover.artifacts import file_hash, refuse_pointer
from discover.data.formats.bags import read_bag
from discover.data.formats.containers import read_hdf5, read_mat, read_npz, read_parquet
from discover.data.formats.records import read_json
from discover.data.formats.table import ENDINGS, Dialect, Table
from discover.data.formats.text import read_csv
from discover.errors import DatasetError

READERS: dict[str, Callable[[Path, Sequence[str], Dialect], Table]] = {
    "csv": read_csv,
    "parquet": read_parquet,
    "hdf5": read_hdf5,
    "npz": read_npz,
    "json": read_json,
    "mat": read_mat,
    "rosbag": read_bag,
}


def is_bag(path: Path) -> bool:
    """Whether a folder is a bag of ROS 2."""
    return path.is_dir() and (path / "metadata.yaml").is_file()


def open_table(
    path: Path, kind: str, wanted: Sequence[str] = (), dialect: Dialect | None = None
) -> tuple[Table, str]:
    """The columns of a file, and its SHA-256. wanted are the columns that the table must have, the
    clock first; kind may be "auto". Raises DatasetError."""
    bag = is_bag(path)
    if not (path.is_file() or bag):
        raise DatasetError(
            f"recording {path}: no such file; name its folder with --set recording.folder=PATH"
            if not path.is_dir()
            else f"recording {path}: expected a file or a bag of ROS 2, found another folder"
        )
    if not bag:
        refuse_pointer(path, DatasetError)
    if kind == "auto":
        kind = "rosbag" if bag else ENDINGS.get(path.suffix.lower(), "csv")
    try:
        return READERS[kind](path, wanted, dialect or Dialect()), _hash(path)
    except (OSError, ValueError, UnicodeError, KeyError, TypeError, NotImplementedError) as error:
        found = " ".join(str(error).split())[:300]
        raise DatasetError(f"recording {path}: not readable as {kind}: {found}") from error


def _hash(path: Path) -> str:
    if path.is_file():
        return file_hash(path)
    inside = sorted(p for p in path.iterdir() if p.is_file() and p.name != "metadata.yaml")
    return file_hash(inside[0] if inside else path / "metadata.yaml")
