"""The manifest of a study: what it was made of, and which of its stages are finished.

`manifest.json` holds the resolved recipe, seeds, versions, hashes and, for each finished stage, the
hash of everything that went into it and of every file that came out. A stage counts as finished
only if its inputs are still the same and all its files are still whole, so a run that was cut
redoes just the stage it was cut in, and what depends on it.
"""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from discover.artifacts import file_hash, read_json, value_hash, write_json
from discover.errors import OutputError

NAME = "manifest.json"
SCHEMA = 1
NAMED_VERSIONS = ("worldlaw", "torch", "numpy", "scipy", "sympy", "scikit-learn", "h5py")


@dataclass
class Manifest:
    """The study's own record, rewritten after every stage. `stages` maps a stage to its receipt."""

    directory: Path
    study: str
    recipe: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    command: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    source: str = ""
    commit: str | None = None
    dataset: str | None = None
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, directory: Path) -> Manifest | None:
        """The manifest in `directory`, or None where there is none."""
        path = directory / NAME
        if not path.exists():
            return None
        stored = read_json(path, "a study's manifest")
        if not isinstance(stored, dict) or stored.get("schema") != SCHEMA:
            raise OutputError(
                f"expected a manifest of schema {SCHEMA} in {directory}, found another one; "
                "choose another --out"
            )
        stored.pop("schema")
        return cls(directory=directory, **stored)

    def write(self) -> None:
        values = {name: value for name, value in vars(self).items() if name != "directory"}
        write_json(self.directory / NAME, {"schema": SCHEMA, **values})

    def finished(self, stage: str, inputs: str) -> bool:
        """True if `stage` was made from the same inputs and all that it wrote is still whole."""
        receipt = self.stages.get(stage)
        if receipt is None or receipt["inputs"] != inputs:
            return False
        for name, expected in receipt["files"].items():
            path = self.directory / name
            if not path.is_file() or file_hash(path) != expected:
                return False
        return True

    def record(self, stage: str, inputs: str, files: Iterable[Path], seconds: float) -> None:
        """Note that `stage` is done, with the hashes of its files, and write the manifest."""
        self.stages[stage] = {
            "inputs": inputs,
            "files": {
                path.relative_to(self.directory).as_posix(): file_hash(path)
                for path in sorted(files)
            },
            "seconds": round(seconds, 3),
        }
        self.write()

    def outputs(self, stage: str) -> dict[str, str]:
        """The hashes of the files of a finished stage: what the next stages are made from."""
        return dict(self.stages[stage]["files"])

    def forget(self, stage: str) -> None:
        self.stages.pop(stage, None)


def stage_inputs(stage: str, **inputs: Any) -> str:
    """The hash of all that decides the outcome of a stage, this project's version included."""
    return value_hash(
        {"schema": SCHEMA, "stage": stage, "worldlaw": _version("worldlaw"), "inputs": inputs}
    )


def versions() -> dict[str, str]:
    """Versions of the packages that the numbers depend on, of Python, and the architecture."""
    installed = {name: _version(name) for name in NAMED_VERSIONS}
    return {**installed, "python": platform.python_version(), "machine": platform.machine()}


def source_hash() -> str:
    """The hash of this project's own code, to tell whether two reports come from the same."""
    import discover
    import kinematics

    roots = [
        Path(package.__file__).parent for package in (discover, kinematics) if package.__file__
    ]
    files = {
        f"{root.name}/{path.relative_to(root).as_posix()}": file_hash(path)
        for root in roots
        for path in sorted(root.rglob("*.py"))
    }
    return value_hash(files)


def commit() -> str | None:
    """The git commit of this project's checkout, "+changes" if it has some; None if installed."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", "discover", "kinematics", "datasets")
    except (OSError, subprocess.SubprocessError):  # no git here: the source hash still tells
        return None
    return head + ("+changes" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    # without optional locks: reading would rewrite the index, and on a full disk leave it locked
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "absent"
