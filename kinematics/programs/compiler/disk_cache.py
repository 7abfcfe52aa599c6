"""Compiled kernels on disk, by content hash; safe for processes that write at the same time.

An entry is one file: a header line of JSON, which describes the program and holds the checksum of
this description and of what follows, then the machine code. It is written under another name and
moved into place, so a reader sees all of it or none. An entry that fails its checksum is treated as
absent, and is built again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

VARIABLE = "WORLDLAW_CACHE"


def folder() -> Path | None:
    """Where kernels are kept: $WORLDLAW_CACHE ("off" for nowhere), else the user's cache."""
    chosen = os.environ.get(VARIABLE)
    if chosen == "off":
        return None
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "worldlaw" / "kernels"


@lru_cache(maxsize=1)
def _own_sources() -> str:
    """A hash of the package's sources: a changed recursion never meets an old kernel."""
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parents[2]
    for path in sorted(root.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def key(**content: Any) -> str:
    """The content hash of everything a kernel depends on."""
    text = json.dumps({"sources": _own_sources(), **content}, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


def _checksum(description: dict[str, Any], code: bytes) -> str:
    return hashlib.sha256(json.dumps(description).encode() + b"\n" + code).hexdigest()


def read(name: str) -> tuple[dict[str, Any], bytes] | None:
    """The entry ``name`` as (description, machine code), or None if absent or damaged."""
    place = folder()
    if place is None:
        return None
    try:
        whole = (place / name).read_bytes()
    except OSError:
        return None
    line, _, code = whole.partition(b"\n")
    try:
        header = json.loads(line)
        description = header["description"]
        sound = header["checksum"] == _checksum(description, code)
    except (ValueError, KeyError, TypeError):
        return None
    return (description, code) if sound and isinstance(description, dict) else None


def write(name: str, description: dict[str, Any], code: bytes) -> None:
    """Store an entry; where the folder cannot be written, nothing is stored."""
    place = folder()
    if place is None:
        return
    header = {"checksum": _checksum(description, code), "description": description}
    whole = json.dumps(header).encode() + b"\n" + code
    try:
        place.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=place, prefix=".new-")
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(whole)
        os.replace(temporary, place / name)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
