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

from discover.artifacts import AGAIN, read_json
from discover.errors import OutputError

MANIFEST, STUDY, VERDICT = "manifest.json", "study.json", "verdict.json"
INSIDE = Path("inside", "inside.json")
GRADIENTS = Path("gradients", "gradients.json")


@dataclass(frozen=True, kw_only=True)
class StoredExam:
    """One model's folder. What was not measured is None or empty.

    verdict, evidence   the contents of verdict.json and evidence.json
    law, exam           law.json (None where no law was kept) and exam.json
    accuracy, forecast, ledger, recordings, training   what a study measured beside the verdict
    inside, gradients   of a look inside the network, of its gradients, where there was one
    forecast_drawn      the trajectories of one rollout (forecast.npz)
    manifest            how it was made: the study's manifest.json
    """

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
    inside: dict[str, Any] | None = None
    gradients: dict[str, Any] | None = None
    manifest: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        return str(self.verdict.get("model") or self.directory.name)

    @property
    def curves(self) -> list[dict[str, Any]]:
        """All error curves: the examination's own, and those against the simulator."""
        measured = (self.accuracy or {}).get("curves", [])
        subjects = {curve["subject"] for curve in measured}
        examined = [c for c in self.exam.get("curves", []) if c["subject"] not in subjects]
        return [_readable(curve) for curve in [*measured, *examined]]

    @property
    def controlled(self) -> bool:
        """Whether the model was asked with controls u, not with joint forces τ."""
        return "u" in (self.verdict.get("region") or {})

    @property
    def robot_inferred(self) -> bool:
        """Whether there was no description, so that tree and geometry are the model's own."""
        return self.verdict.get("robot") == "inferred"

    @property
    def tree(self) -> str:
        """The tree of the law, in words."""
        return "the tree inferred from its answers" if self.robot_inferred else "this robot's tree"

    @property
    def mechanism(self) -> dict[str, Any] | None:
        """The inferred tree, geometry and recursion, where they were looked for."""
        return self.exam.get("account")

    @property
    def tolerance(self) -> float | None:
        """The relative error up to which the law counts as describing the model, where stored."""
        value = ((self.law or {}).get("domain") or {}).get("tolerance")
        return None if value is None else float(value)

    def error(self, subject: str, axis: str, *, far: bool) -> float | None:
        """The relative error of a subject in the region, or in the furthest shell of an axis."""
        curve = self.curve(subject, axis)
        return None if curve is None else float(curve["error"][-1 if far else 0])

    def curve(self, subject: str, axis: str) -> dict[str, Any] | None:
        """The error curve of a subject along an axis, where it was measured."""
        wanted = (c for c in self.curves if c["subject"] == subject and c["axis"] == axis)
        return next((c for c in wanted if c["error"]), None)

    @property
    def furthest(self) -> float:
        """The outer edge of the outermost shell [half-widths]."""
        return max((c["distance"][-1] for c in self.curves if c["distance"]), default=1.0)


def midpoints(curve: Mapping[str, Any]) -> NDArray[np.float64]:
    """Where the errors of a curve stand [half-widths]: 1 for the region, then mid-shell."""
    outer = np.asarray(curve["distance"], dtype=float)
    return np.concatenate([[1.0], (outer[:-1] + outer[1:]) / 2])


def crossing(curve: Mapping[str, Any], tolerance: float) -> float | None:
    """Where an error curve first exceeds a tolerance [half-widths], interpolated in the logarithm
    of the error; 0 if it does in the region already, None if it never does."""
    error = np.maximum(np.asarray(curve["error"], dtype=float), 1e-15)
    if not error[0] <= tolerance:
        return 0.0
    x = midpoints(curve)
    for k in range(1, len(error)):
        if not error[k] <= tolerance:
            if not np.isfinite(error[k]):
                return float(x[k - 1])
            share = np.log(tolerance / error[k - 1]) / np.log(error[k] / error[k - 1])
            return float(x[k - 1] + share * (x[k] - x[k - 1]))
    return None


def read_exam(directory: Path) -> StoredExam:
    """The evidence in one model's folder. Raises OutputError where it is missing or damaged."""
    records = {
        name: _optional(directory / f"{name}.json")
        for name in ("law", "accuracy", "forecast", "ledger", "recordings", "training", "exam")
    }
    verdict = read_json(directory / VERDICT, "a verdict")
    evidence = _optional(directory / "evidence.json") or verdict.get("evidence", [])
    manifest = _optional(directory / MANIFEST) or _optional(directory.parent / MANIFEST)
    exam = records.pop("exam") or {}
    return StoredExam(
        directory=directory,
        verdict=verdict,
        evidence=evidence["evidence"] if isinstance(evidence, Mapping) else evidence,
        exam=exam,
        forecast_drawn=_arrays(directory / "forecast.npz"),
        manifest=manifest,
        inside=_optional(directory / INSIDE),
        gradients=_optional(directory / GRADIENTS),
        **records,
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
        raise OutputError(f"expected arrays in {path}, found a damaged file; {AGAIN}") from error


def _readable(curve: Mapping[str, Any]) -> dict[str, Any]:
    """A curve with numbers throughout: null and "inf" are an answer that was not finite."""
    readable = dict(curve)
    for name in ("error", "low", "high"):
        readable[name] = _numbers(readable.get(name) or readable["error"])
    return readable


def _numbers(values: Sequence[Any]) -> list[float]:
    return [float("inf") if value is None else float(value) for value in values]
