"""What lies in a study's folder, read back as plain dictionaries and arrays.

A report is made from these alone: no model, no simulator and no data set is needed to make it
again.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discover.artifacts import read_json
from discover.errors import OutputError

MANIFEST, STUDY, VERDICT = "manifest.json", "study.json", "verdict.json"


@dataclass(frozen=True, kw_only=True)
class StoredExam:
    """One model's folder. What was not measured is None or empty."""

    directory: Path
    verdict: dict[str, Any]
    evidence: list[dict[str, Any]]
    law: dict[str, Any] | None
    exam: dict[str, Any]
    accuracy: dict[str, Any] | None = None
    forecast: dict[str, Any] | None = None
    forecast_drawn: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    ledger: dict[str, Any] | None = None
    recordings: dict[str, Any] | None = None
    training: dict[str, Any] | None = None
    manifest: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        return str(self.verdict.get("model") or self.directory.name)

    @property
    def curves(self) -> list[dict[str, Any]]:
        """All error curves: the examination's own, and those against the simulator."""
        measured = (self.accuracy or {}).get("curves", [])
        subjects = {curve["subject"] for curve in measured}
        own = [c for c in self.exam.get("curves", []) if c["subject"] not in subjects]
        return [_readable(curve) for curve in [*measured, *own]]

    @property
    def account(self) -> dict[str, Any] | None:
        """The structure that the answers show, where it was looked for."""
        return self.exam.get("account")

    def error(self, subject: str, axis: str, *, far: bool) -> float | None:
        """The relative error of a subject in the region, or in the furthest shell of an axis."""
        for curve in self.curves:
            if curve["subject"] == subject and curve["axis"] == axis and curve["error"]:
                return float(curve["error"][-1 if far else 0])
        return None

    @property
    def furthest(self) -> float:
        return max((c["distance"][-1] for c in self.curves if c["distance"]), default=1.0)


def read_exam(directory: Path) -> StoredExam:
    """The evidence in one model's folder. Raises OutputError where it is missing or damaged."""
    held = {
        name: _optional(directory / f"{name}.json")
        for name in ("law", "accuracy", "forecast", "ledger", "recordings", "training", "exam")
    }
    verdict = read_json(directory / VERDICT, "a verdict")
    evidence = _optional(directory / "evidence.json") or verdict.get("evidence", [])
    manifest = _optional(directory / MANIFEST) or _optional(directory.parent / MANIFEST)
    exam = held.pop("exam") or {}
    return StoredExam(
        directory=directory,
        verdict=verdict,
        evidence=evidence["evidence"] if isinstance(evidence, Mapping) else evidence,
        exam=exam,
        forecast_drawn=_arrays(directory / "forecast.npz"),
        manifest=manifest,
        **held,
    )


def read_study(directory: Path) -> tuple[dict[str, Any], list[StoredExam]]:
    """A study's summary and the folders of the models that have a verdict."""
    study = read_json(directory / STUDY, "a study")
    exams = [
        read_exam(directory / entry["name"])
        for entry in study["models"]
        if (directory / entry["name"] / VERDICT).exists()
    ]
    return study, exams


def _optional(path: Path) -> Any:
    return read_json(path) if path.exists() else None


def _arrays(path: Path) -> dict[str, NDArray[np.float64]]:
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
        raise OutputError(
            f"expected arrays in {path}, found a damaged file; make it again with --resume"
        ) from error


def _readable(curve: Mapping[str, Any]) -> dict[str, Any]:
    """A curve with numbers throughout: null and "inf" are an answer that was not finite."""
    held = dict(curve)
    for name in ("error", "low", "high"):
        held[name] = _numbers(held.get(name) or held["error"])
    return held


def _numbers(values: Sequence[Any]) -> list[float]:
    return [float("inf") if value is None else float(value) for value in values]
