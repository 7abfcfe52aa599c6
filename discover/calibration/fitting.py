"""From strengths of cases to probabilities: five numbers, fitted to planted models.

    p(answer) = (1 - lapse) · softmax(sharpness · strength + offset) + lapse / 4

with strength and offset zero for *undetermined*. Few parameters, so that a family that was left
out is judged by the same rule as those that were not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from discover import verdict
from discover.artifacts import write_text
from discover.calibration.running import Record
from discover.errors import RecipeError
from discover.verdict import ANSWERS, CASES, Calibration

_PRIOR = 0.02  # pull towards the start, per model and squared unit: keeps few data sober
FEWEST = 8
_START = np.array([0.0, 0.0, 0.0, 0.0, -3.5])
# A case whose requirements fail must not win because the zoo holds many of its kind: each truth
# weighs the same, and no offset is positive.
_BOUNDS = [(-2.0, 1.5), (-1.5, 0.0), (-1.5, 0.0), (-1.5, 0.0), (-6.0, -2.0)]


def fit(records: Sequence[Record]) -> Calibration:
    """The most probable calibration of the records whose truth is known."""
    known = [r for r in records if r.truth is not None]
    if len(known) < FEWEST:
        raise RecipeError(
            f"expected at least {FEWEST} planted models to calibrate on, found {len(known)}"
        )
    strengths = np.array([_row(r) for r in known])
    truth = np.array([ANSWERS.index(r.truth) for r in known])

    weight = 1.0 / np.maximum(np.bincount(truth), 1)[truth]
    weight = weight / weight.sum()

    def loss(x: np.ndarray) -> float:
        p = _calibration(x).matrix(strengths)
        likelihood = -(weight * np.log(p[np.arange(len(truth)), truth])).sum()
        return float(likelihood + _PRIOR * np.square(x - _START).mean())

    found = minimize(loss, _START, method="L-BFGS-B", bounds=_BOUNDS)
    return _calibration(found.x)


def predict(calibration: Calibration, records: Sequence[Record]) -> np.ndarray:
    """Probabilities of all answers (n, 4), in the order of ANSWERS."""
    return calibration.matrix(np.array([_row(r) for r in records]))


def left_out(records: Sequence[Record], by: str) -> np.ndarray:
    """Probabilities of every record by a calibration fitted without its `by` ("kind", "robot").

    Where too few are left to fit anything, the stored calibration judges.
    """
    result = np.zeros((len(records), len(ANSWERS)))
    for group in sorted({getattr(r, by) for r in records}):
        inside = [i for i, r in enumerate(records) if getattr(r, by) == group]
        others = [r for r in records if getattr(r, by) != group]
        enough = sum(r.truth is not None for r in others) >= FEWEST
        calibration = fit(others) if enough else Calibration.stored()
        result[inside] = predict(calibration, [records[i] for i in inside])
    return result


def adopt(calibration: Calibration, path: Path, *, command: str, models: int, code: str) -> None:
    """Write the calibration into the file of thresholds, in place of the one before."""
    text = re.sub(r"\n*\[calibration\]\n.*?(?=\n\[|\Z)", "", path.read_text(), flags=re.S)
    offsets = ", ".join(f'"{c}" = {calibration.offsets[c]:.3f}' for c in CASES)
    text = text.rstrip("\n") + (
        "\n\n[calibration]\n"
        f'command = "{command}"\n'
        f"models = {models}\n"
        f'instrument = "{code}"\n'
        f"sharpness = {calibration.sharpness:.3f}\n"
        f"lapse = {calibration.lapse:.4f}\n"
        f"offsets = {{ {offsets} }}\n"
    )
    write_text(path, text)
    verdict.thresholds.cache_clear()


def _row(record: Record) -> list[float]:
    found = verdict.strengths(record.evidence)
    return [found[c] for c in CASES]


def _calibration(x: np.ndarray) -> Calibration:
    return Calibration(
        sharpness=float(np.exp(x[0])),
        offsets=dict(zip(CASES, x[1:4].tolist(), strict=True)),
        lapse=float(1.0 / (1.0 + np.exp(-x[4]))),
    )
