"""Writing files so that each is either whole or absent.

A file is written under a hidden name in the same folder, flushed to the disk and renamed. A reader,
or a run that resumes after `kill -9`, never finds half a file. What the disk refuses (no space, no
permission, a file where a folder should be) is raised as one `OutputError`.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discover.errors import OutputError

_POINTER = b"version https://git-lfs.github.com/spec/"
PART = ".part"  # what an unfinished file's name ends with
AGAIN = "make it again: a study with `discover run … --resume`, an examination by examining again"


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError about `path` into an OutputError of one line that names the mend."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"expected to write {path}, found: {reason}; free space there or choose another --out"
        ) from error


def write(path: Path | str, fill: Callable[[Path], None]) -> Path:
    """Let `fill` write a hidden file beside `path`, then rename it. Raises OutputError."""
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            fill(part)
            _flush(part)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        if os.name == "posix":  # the rename itself must survive a power cut
            _flush(path.parent)
    return path


def made(directory: str | Path) -> Path:
    """The directory, made where it is missing. Raises OutputError, one line."""
    directory = Path(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"expected a writable directory, found {directory}: {error.strerror}"
        ) from error
    return directory


def write_bytes(path: Path | str, content: bytes) -> Path:
    def fill(part: Path) -> None:
        part.write_bytes(content)

    return write(path, fill)


def write_text(path: Path | str, text: str) -> Path:
    return write_bytes(path, text.encode("utf-8"))


def write_json(path: Path | str, value: Any) -> Path:
    return write_text(path, json.dumps(plain(value), indent=1, ensure_ascii=False) + "\n")


def write_arrays(path: Path | str, **arrays: np.ndarray) -> Path:
    """A NumPy archive whose bytes depend on the arrays alone (the entries carry no date)."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return write_bytes(path, buffer.getvalue())


def read_json(path: Path | str, what: str = "a JSON file of ours") -> Any:
    """The value in `path`. Raises OutputError, one line, where it is missing or damaged."""
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OutputError(f"expected {what} at {path}, found: {error.strerror}") from error
    except ValueError as error:
        raise OutputError(
            f"expected {what} at {path}, found damaged JSON ({error}); {AGAIN}"
        ) from error


def read_toml(path: Path | str, what: str, refused: type[Exception]) -> dict[str, Any]:
    """The tables of a TOML file; `what` it should hold, in a word. Raises `refused`, in one
    line."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise refused(f"{what} {path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise refused(f"{what} {path}: not TOML: {error}") from error


def sweep_parts(directory: Path) -> None:
    """Remove unfinished files of a killed run below `directory`."""
    for part in directory.rglob(f".*{PART}"):
        part.unlink(missing_ok=True)


def file_hash(path: Path | str) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def value_hash(value: Any) -> str:
    """SHA-256 of a value's canonical JSON: equal values, equal hash, in any process."""
    text = json.dumps(plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def plain(value: Any) -> Any:
    """`value` in JSON's own types: arrays become lists, and what is not finite becomes null."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "tolist"):  # NumPy and torch, scalars and arrays
        return plain(value.tolist())
    raise TypeError(f"expected something JSON can hold, found {type(value).__name__}")


def refuse_pointer(path: Path, error: type[Exception]) -> None:
    """Raise `error`, in one line, where a clone without Git LFS left its pointer instead of the
    file."""
    with path.open("rb") as file:
        start = file.read(len(_POINTER))
    if start == _POINTER:
        raise error(f"expected a file at {path}, found Git LFS's pointer to it; run git lfs pull")


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
