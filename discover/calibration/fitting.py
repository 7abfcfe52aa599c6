"""Maximum a posteriori fit of the verdict's bounds and probabilities to planted models.

The requirements of a case are written by hand in thresholds.toml, with round bounds to start from.
Here the bounds, the four numbers of

    p(answer) = (1 - lapse) · softmax(sharpness · strength + offset) + lapse / 4

and the share of *physics* that hides other laws (see `verdict.Calibration`) are fitted together,
with a Gaussian prior of half a width about the bounds of the file. A family or a robot that is
scored is left out of the fit of the bounds too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tomlkit
import torch
from scipy.optimize import minimize
from torch import Tensor

from discover.artifacts import write_text
from discover.calibration.records import Record
from discover.errors import RecipeError
from discover.judgement import thresholds, verdict
from discover.judgement.thresholds import rules
from discover.judgement.verdict import (
    ALTERNATIVE,
    ANSWERS,
    CASES,
    LIMIT,
    PHYSICS,
    Calibration,
    room,
)

FEWEST = 8
_SPREAD = 0.5  # of the prior over bounds, in widths: few data keep the bounds of the file
_START = (0.0, 0.0, 0.0, 0.0, -3.5, 0.3)  # log sharpness, offsets, logit of the lapse, hiding
_FEW = len(_START)
_SOBER = 0.02  # pull of these numbers towards their start, per squared unit
# A case whose requirements fail must not win because many planted models are of its kind: each
# truth has the same weight, and no offset is positive. Another law can always hide below a
# resolution: at a resolution of 0.01, the probability of physics is at most 0.9.
_LIMITS = ((-2.0, 1.5), (-1.5, 0.0), (-1.5, 0.0), (-1.5, 0.0), (-6.0, -2.0), (0.2, 0.6))
_SHIFT = (-1.5, 1.5)  # a bound keeps its meaning


def fit(records: Sequence[Record]) -> Calibration:
    """The most probable calibration of the records whose truth is known."""
    known = [r for r in records if r.truth is not None]
    if len(known) < FEWEST:
        raise RecipeError(
            f"expected at least {FEWEST} planted models to calibrate on, found {len(known)}"
        )
    margins = _margins(known)
    rooms = torch.tensor([room(r.values.get("resolution")) for r in known], dtype=torch.float64)
    truth = torch.tensor([ANSWERS.index(r.truth) for r in known])
    weight = 1.0 / torch.bincount(truth).clamp_min(1)[truth]
    weight = weight / weight.sum()
    start = torch.tensor(_START, dtype=torch.float64)

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        z = torch.tensor(x, requires_grad=True)
        p = _probabilities(margins, rooms, z)
        likelihood = -(weight * p[torch.arange(len(truth)), truth].log()).sum()
        prior = 0.5 * (z[_FEW:] / _SPREAD).square().sum() / len(known)
        total = likelihood + prior + _SOBER * (z[:_FEW] - start).square().mean()
        total.backward()
        assert z.grad is not None
        return total.item(), z.grad.numpy()

    count = len(rules())
    found = minimize(
        loss,
        np.concatenate([_START, np.zeros(count)]),
        jac=True,
        method="L-BFGS-B",
        bounds=[*_LIMITS, *[_SHIFT] * count],
    )
    return _calibration(found.x)


def predict(calibration: Calibration, records: Sequence[Record]) -> np.ndarray:
    """Probabilities of all answers (n, 4), in the order of ANSWERS."""
    rows = [verdict.strengths(r.evidence, calibration) for r in records]
    rooms = [room(r.values.get("resolution")) for r in records]
    return calibration.matrix(np.array([[row[c] for c in CASES] for row in rows]), rooms)


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
    """Write the calibration into the file of thresholds, in place of the one before.

    Everything else in the file, comments included, stays as it is.
    command, models, code  how it was made: command line, number of models, hash of the instrument
    """
    document = tomlkit.parse(path.read_text())
    section = document.setdefault("calibration", tomlkit.table())
    offsets = tomlkit.inline_table()
    offsets.update({case: round(calibration.offsets[case], 3) for case in CASES})
    section.update(
        {
            "command": command,
            "models": models,
            "instrument": code,
            "sharpness": round(calibration.sharpness, 3),
            "lapse": round(calibration.lapse, 4),
            "hiding": round(calibration.hiding, 3),
            "offsets": offsets,
        }
    )
    bounds = section.setdefault("bounds", tomlkit.table())
    for name in [name for name in bounds if name not in calibration.bounds]:
        del bounds[name]
    bounds.update({name: float(f"{x:.4g}") for name, x in calibration.bounds.items()})
    write_text(path, tomlkit.dumps(document))
    thresholds.forget()


def _margins(records: Sequence[Record]) -> Tensor:
    """Margins (n, rules) at the bounds of the file; NaN where needed evidence is missing."""
    rows = []
    for record in records:
        values = record.values
        row = []
        for rule in rules():
            value = values.get(rule.evidence)
            missing = value is None or value != value
            if missing and rule.optional:
                row.append(LIMIT)
                continue
            at = float("nan") if missing else rule.coordinate(value)  # type: ignore[arg-type]
            row.append(rule.side * (rule.coordinate(rule.bound) - at) / rule.width)
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float64)


def _probabilities(margins: Tensor, rooms: Tensor, z: Tensor) -> Tensor:
    """What `Calibration` says of these margins, differentiable: (n, 4)."""
    moved = margins + z[_FEW:]
    moved = torch.where(margins.isnan(), -LIMIT, moved.clamp(-LIMIT, LIMIT))
    columns = []
    for case in CASES:
        mine = [k for k, r in enumerate(rules()) if r.case == case and not r.any]
        several = [k for k, r in enumerate(rules()) if r.case == case and r.any]
        parts = [moved[:, mine]]
        if several:
            parts.append(moved[:, several].amax(1, keepdim=True))
        columns.append(-torch.logsumexp(-torch.cat(parts, 1), 1))
    logits = z[0].exp() * torch.stack(columns, 1) + z[1:4]
    logits = torch.cat([logits, torch.zeros(len(margins), 1, dtype=logits.dtype)], 1)
    share, lapse = torch.softmax(logits, 1), torch.sigmoid(z[4])
    moved = z[5] * rooms * share[:, PHYSICS]
    change = torch.zeros_like(share)
    change[:, PHYSICS], change[:, ALTERNATIVE] = -moved, moved
    return (1 - lapse) * (share + change) + lapse / len(ANSWERS)


def _calibration(x: np.ndarray) -> Calibration:
    bounds = {}
    for rule, shift in zip(rules(), x[_FEW:].tolist(), strict=True):
        at = rule.coordinate(rule.bound) + rule.side * shift * rule.width
        bounds[rule.name] = 10.0**at if rule.log else at
    return Calibration(
        sharpness=float(np.exp(x[0])),
        offsets=dict(zip(CASES, x[1:4].tolist(), strict=True)),
        lapse=float(1.0 / (1.0 + np.exp(-x[4]))),
        hiding=float(x[5]),
        bounds=bounds,
    )
