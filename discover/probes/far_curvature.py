"""Far curvature: does the model still bend far outside, as it does inside?

The laws of mechanics are trigonometric in angles and quadratic in velocities: their second
differences do not die out. Networks go straight or saturate, tables stay constant: theirs do. The
statistic is the size of the second difference far out over the size inside.

Interpolants of waves, as of random Fourier features, bend far out as much as inside, but never the
same way twice; a square of velocities bends there as it does everywhere. So bends in v that have
nothing to do with each other, at a distance and at twice the distance, count for none.

Inside, friction can bend more than all else, and is constant far out. So an axis along which the
model bends far out as the law of the region does there is not flat, whatever it does inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from discover.blackbox.session import QuerySession
from discover.probes.reach import Predicts

FLAT = 0.1  # far curvature of what has no law far out
_NEAR, _FAR = 0.0, 10.0  # centres of the chords, in half-widths
_STEP = 1.0  # half-widths
_AGREE = 0.5  # mean cosine of bends in v at _FAR and at twice _FAR, below which they are unrelated
_FOLLOWS = 0.9  # mean cosine with the bends of the law of the region, from which they are its own
_ALIKE = 2.0  # times as large or as small, at most, that bends of the same law are
_BLIND = 1e-6  # relative second differences below this are no curvature
_BLUR = 3.0  # times the noise, below which they are not known


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


def measure(
    session: QuerySession, floor: float, scale: Tensor, n: int, law: Predicts | None = None
) -> Curvature:
    """Second differences on n random chords along q and along v, at 9–11 half-widths and inside.

    Where the model bends far out as `law` does, that of the region, the ratio is 1 at least.
    """
    ratios: dict[str, float | None] = {}
    noise = 6**0.5 * floor  # what noise alone makes of a second difference
    bends = {}
    for axis in ("q", "v"):
        bends[axis] = _bends(session, axis, _FAR, scale, n)
        near, far = (
            max(_typical(b) ** 2 - noise**2, 0.0) ** 0.5
            for b in (_bends(session, axis, _NEAR, scale, n), bends[axis])
        )
        blind = max(_BLIND, _BLUR * floor)
        ratios[axis] = None if near < blind else far / near
        if law is not None and ratios[axis] is not None:
            own = _bends(session, axis, _FAR, scale, n, law)
            if _follows(bends[axis], own):
                ratios[axis] = max(far / near, 1.0)
    known = [x for x in ratios.values() if x is not None]
    if ratios["v"] is not None and min(known) > FLAT:
        beyond = _bends(session, "v", 2 * _FAR, scale, n)
        if _agreement(bends["v"], beyond) < _AGREE:
            ratios["v"] = 0.0
    return Curvature(q=ratios["q"], v=ratios["v"])


def _bends(
    session: QuerySession,
    axis: str,
    centre: float,
    scale: Tensor,
    n: int,
    law: Predicts | None = None,
) -> Tensor:
    """a(c + h) - 2 a(c) + a(c - h), standardised, along n random directions (n, nv), of the model
    or of a law."""
    batch = session.draw("curvature", n)
    generator = torch.Generator().manual_seed(session.seed + 29)
    nv = session.robot.nv
    direction = torch.randn(n, nv, generator=generator, dtype=torch.float64)
    direction = direction / direction.abs().amax(-1, keepdim=True)
    unit = direction * session.half_widths(axis)
    answers = []
    for offset in (-_STEP, 0.0, _STEP):
        q, v = batch.q, batch.v
        if axis == "q":
            q = session.move(q, (centre + offset) * unit)
        else:
            v = v + (centre + offset) * unit
        asked = (q, v, batch.tau)
        answers.append(session.ask(*asked).a if law is None else law.predict(*asked))
    low, middle, high = answers
    return (high - 2 * middle + low) / scale


def _typical(bends: Tensor) -> float:
    """Their median size."""
    size = bends.square().mean(-1).sqrt()
    size = size[torch.isfinite(size)]
    return float(size.median()) if len(size) else float("inf")


def _follows(bends: Tensor, own: Tensor) -> bool:
    """Whether the model bends as its law does: the same ways, and about as much."""
    sizes = _typical(bends), _typical(own)
    alike = max(sizes) < _ALIKE * min(sizes)
    return alike and _agreement(bends, own) > _FOLLOWS


def _agreement(bends: Tensor, others: Tensor) -> float:
    """The mean cosine of the angles between them; 1 where nothing can be said."""
    cosine = torch.nn.functional.cosine_similarity(bends, others, dim=-1)
    cosine = cosine[torch.isfinite(cosine)]
    return float(cosine.mean()) if len(cosine) else 1.0
