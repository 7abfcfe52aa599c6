"""Far curvature: does the model still bend far outside, as it does inside?

The laws of mechanics are trigonometric in angles and quadratic in velocities: their second
differences do not die out. Networks go straight or saturate, tables stay constant: theirs do. The
statistic is the size of the second difference far out over the size inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from discover.interview import Interview

_NEAR, _FAR = 0.0, 10.0  # centres of the chords, in half-widths
_STEP = 1.0  # half-widths
_BLIND = 1e-6  # relative second differences below this are no curvature


@dataclass(frozen=True, kw_only=True)
class Curvature:
    """Second difference far out over inside, for q and v; None where the model is flat inside."""

    q: float | None
    v: float | None

    @property
    def least(self) -> float | None:
        """The smaller ratio, the one that speaks."""
        known = [x for x in (self.q, self.v) if x is not None]
        return min(known) if known else None


def measure(interview: Interview, floor: float, scale: Tensor, n: int) -> Curvature:
    """Second differences on n random chords along q and along v, at 5–7 half-widths and inside."""
    ratios: dict[str, float | None] = {}
    noise = 6**0.5 * floor  # what noise alone makes of a second difference
    for axis in ("q", "v"):
        near, far = (
            max(_second_difference(interview, axis, c, scale, n) ** 2 - noise**2, 0.0) ** 0.5
            for c in (_NEAR, _FAR)
        )
        blind = max(_BLIND, 5 * floor)
        ratios[axis] = None if near < blind else far / near
    return Curvature(q=ratios["q"], v=ratios["v"])


def _second_difference(
    interview: Interview, axis: str, centre: float, scale: Tensor, n: int
) -> float:
    """Median size of a(c + h) - 2 a(c) + a(c - h), standardised, along random directions."""
    batch = interview.draw("curvature", n)
    generator = torch.Generator().manual_seed(interview.seed + 29)
    nv = interview.robot.nv
    direction = torch.randn(n, nv, generator=generator, dtype=torch.float64)
    direction = direction / direction.abs().amax(-1, keepdim=True)
    unit = direction * interview.half_widths(axis)
    answers = []
    for offset in (-_STEP, 0.0, _STEP):
        q, v = batch.q, batch.v
        if axis == "q":
            q = interview.move(q, (centre + offset) * unit)
        else:
            v = v + (centre + offset) * unit
        answers.append(interview.ask(q, v, batch.tau).a)
    low, middle, high = answers
    bend = ((high - 2 * middle + low) / scale).square().mean(-1).sqrt()
    bend = bend[torch.isfinite(bend)]
    return float(bend.median()) if len(bend) else float("inf")
