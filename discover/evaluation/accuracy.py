"""Error curves: relative error of one `Dynamics` about another against distance from the region.

Any two can be compared: a model with the simulator, a law with the simulator, a law with the model
it was taken from. Errors are relative (root mean square over the spread of the reference,
joint by joint), distances are in half-widths of the region, bands are bootstrapped over states.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from discover.blackbox.contract import Dynamics
from discover.blackbox.region import Region
from discover.blackbox.sampling import AXES, Batch, sample, shell
from discover.errors import ModelError
from discover.probes.reach import EDGES, ErrorCurve

if TYPE_CHECKING:
    from kinematics import Robot


Array = NDArray[np.float64]

SAMPLES = 512  # states in each shell
BAND = 0.95


@dataclass(frozen=True, kw_only=True)
class States:
    """The states (B, …) of one shell: axis and outer radius [half-widths]."""

    axis: str
    outer: float
    batch: Batch


def shells(
    region: Region,
    robot: Robot | int,
    *,
    axes: Sequence[str] = AXES,
    radii: Sequence[float] = EDGES,
    samples: int = SAMPLES,
    seed: int = 0,
) -> list[States]:
    """The states at which curves are measured: the region, then shell after shell, per axis."""
    inside = sample(region, robot, samples, seed)
    drawn: list[States] = []
    for number, axis in enumerate(axes):
        drawn.append(States(axis=axis, outer=radii[0], batch=inside))
        for step, (inner, outer) in enumerate(itertools.pairwise(radii), start=1):
            draw = seed + 1 + number * len(radii) + step
            batch = shell(region, robot, samples, inner, outer, axis, draw)
            drawn.append(States(axis=axis, outer=outer, batch=batch))
    return drawn


def answers(dynamics: Dynamics, questions: Sequence[States]) -> list[Array]:
    """The accelerations of `dynamics` in each shell, (B, nv) in float64."""
    return [ask(dynamics, states.batch) for states in questions]


def ask(dynamics: Dynamics, batch: Batch) -> Array:
    """One batch of accelerations (B, nv) as float64. Raises ModelError where the shape is wrong."""
    with torch.no_grad():
        answer = torch.as_tensor(dynamics(batch.q.clone(), batch.v.clone(), batch.tau.clone()))
    if answer.shape != batch.v.shape:
        raise ModelError(
            f"expected accelerations of shape {tuple(batch.v.shape)}, found {tuple(answer.shape)}"
        )
    return answer.to(device="cpu", dtype=torch.float64).numpy()


def compare(
    candidate: Sequence[Array],
    reference: Sequence[Array],
    questions: Sequence[States],
    *,
    subject: str,
    seed: int = 0,
) -> list[ErrorCurve]:
    """One curve an axis, from two sets of answers on the same shells (`answers`)."""
    curves = []
    for axis in dict.fromkeys(states.axis for states in questions):
        rows = [
            (states.outer, *banded_error(predicted, true, seed=seed))
            for predicted, true, states in zip(candidate, reference, questions, strict=True)
            if states.axis == axis
        ]
        distance, error, low, high = (list(column) for column in zip(*rows, strict=True))
        curves.append(
            ErrorCurve(
                axis=axis,
                subject=subject,
                distance=distance,
                error=error,
                low=low,
                high=high,
            )
        )
    return curves


def error_curves(
    candidate: Dynamics,
    reference: Dynamics,
    robot: Robot | int,
    region: Region,
    *,
    subject: str = "candidate against reference",
    axes: Sequence[str] = AXES,
    radii: Sequence[float] = EDGES,
    samples: int = SAMPLES,
    seed: int = 0,
) -> list[ErrorCurve]:
    """How the candidate's error grows away from the region, one curve an axis."""
    questions = shells(region, robot, axes=axes, radii=radii, samples=samples, seed=seed)
    return compare(
        answers(candidate, questions),
        answers(reference, questions),
        questions,
        subject=subject,
        seed=seed,
    )


def banded_error(
    predicted: Array, true: Array, *, resamples: int = 200, seed: int = 0
) -> tuple[float, float, float]:
    """Relative error with its bootstrapped band: (error, low, high).

    The error is sqrt(mean over joints of (mean square error / mean square of the reference)), for
    arrays (B, nv); the bootstrap redraws the B rows.
    """
    if not np.isfinite(predicted).all():
        return math.inf, math.inf, math.inf
    wrong, spread = (predicted - true) ** 2, true**2
    error = _relative(wrong.mean(0), spread.mean(0))
    rng = np.random.default_rng(seed)
    rows = len(predicted)
    weights = rng.multinomial(rows, np.full(rows, 1 / rows), size=resamples) / rows
    draws = _relative(weights @ wrong, weights @ spread)
    low, high = np.quantile(draws, [(1 - BAND) / 2, (1 + BAND) / 2])
    return float(error), float(low), float(high)


def _relative(wrong: Array, spread: Array) -> Any:
    """(..., nv) mean squares to (...) relative errors; a joint that never moves counts as it is."""
    scale = np.where(spread > 0, spread, 1.0)
    return np.sqrt((wrong / scale).mean(-1))
