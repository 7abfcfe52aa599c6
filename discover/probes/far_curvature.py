"""Behaviour far outside: does the model still bend there, as it does inside, or is it constant?

The laws of mechanics are trigonometric in angles and quadratic in velocities: their second
differences do not die out. Networks become linear or saturate, tables become constant: theirs do.
The statistic is the size of the second difference far out over the size inside.

Two corrections. Interpolants made of waves, as random Fourier features are, bend far out as much as
inside, but never the same way twice, while a square of velocities bends the same everywhere: bends
in v that are unrelated at a distance and at twice the distance count as none. And friction can bend
more inside than all else and be constant far out: an axis along which the model bends far out as
the law of the region does is not flat, whatever it does inside.
"""

from __future__ import annotations

import torch
from torch import Tensor

from discover.blackbox.sampling import Batch
from discover.blackbox.session import QuerySession
from discover.judgement.evidence import Name
from discover.judgement.thresholds import bound, threshold, whole
from discover.probes.contract import Probe, Subject
from discover.probes.reach import Predicts

_NEAR, _FAR = 0.0, 10.0  # centres of the chords, in half-widths
_STEP = 1.0  # half-widths
_AGREE = threshold("probes.bends_related")
_FOLLOWS = threshold("probes.bends_follow_law")
_ALIKE = threshold("probes.bends_alike")
_BLIND = 1e-6  # relative second differences below this are rounding
_BLUR = 3.0  # times the noise, below which they are not known
_CHORDS, _CHORDS_IN_NOISE = whole("probes.chords"), whole("probes.chords_in_noise")
_CONSTANT_SHELL = (9.0, 11.0)  # half-widths, where the chords are
_CONSTANT_STATES = 24
_CONSTANT_SHARE = threshold("probes.constant_share")
_SAME = threshold("probes.constant_spread")


class FarCurvature(Probe):
    """Second difference far out over inside, the lesser of q and v."""

    measures = (Name.FAR_CURVATURE,)

    def measure(self, subject: Subject) -> dict[Name, float]:
        """Nothing where the model is flat inside along both axes."""
        session, noise = subject.session, subject.noise
        chords = _CHORDS if noise.random == 0 else _CHORDS_IN_NOISE
        chords = max(chords, session.budget.shell // 3)
        least = curvature(session, noise.level, subject.law.scale, chords, subject.law)
        return {} if least is None else {Name.FAR_CURVATURE: least}


def curvature(
    session: QuerySession, floor: float, scale: Tensor, n: int, law: Predicts | None = None
) -> float | None:
    """The smaller ratio of `curvature_by_axis`; None where there is none."""
    return min(curvature_by_axis(session, floor, scale, n, law).values(), default=None)


def curvature_by_axis(
    session: QuerySession, floor: float, scale: Tensor, n: int, law: Predicts | None = None
) -> dict[str, float]:
    """Second differences on n random chords at 9–11 half-widths over those inside, along q and v;
    an axis along which the model is flat inside is left out.

    floor  standardised noise; scale (nv,) of accelerations; where the model bends far out as `law`
    does, that of the region, the ratio is 1 at least
    """
    ratios: dict[str, float] = {}
    noise = 6**0.5 * floor  # what noise alone makes of a second difference
    bends = {}
    for axis in ("q", "v"):
        bends[axis] = _bends(session, axis, _FAR, scale, n)
        near, far = (
            max(_typical(b) ** 2 - noise**2, 0.0) ** 0.5
            for b in (_bends(session, axis, _NEAR, scale, n), bends[axis])
        )
        if near < max(_BLIND, _BLUR * floor):
            continue
        ratios[axis] = far / near
        if law is not None and _follows(bends[axis], _bends(session, axis, _FAR, scale, n, law)):
            ratios[axis] = max(far / near, 1.0)
    flat = bound("lookup table", Name.FAR_CURVATURE)
    if "v" in ratios and min(ratios.values()) > flat:
        beyond = _bends(session, "v", 2 * _FAR, scale, n)
        if _agreement(bends["v"], beyond) < _AGREE:
            ratios["v"] = 0.0
    return ratios


def constant_far_out(session: QuerySession, scale: Tensor, floor: float) -> bool:
    """Whether most answers far out along q or along v are one, whatever the rest of the query.

    Motion that stops beyond some speed or angle is flat there, as a table is far from its samples;
    but a network trained on a region still answers differently to different forces beyond it.

    scale (nv,) of accelerations in the region; `floor` is the noise in units of it.
    """
    for axis in ("q", "v"):
        a = session.shell(axis, *_CONSTANT_SHELL, _CONSTANT_STATES).a
        away = (a - a.median(0).values).abs() / scale
        if float((away < _SAME + 3 * floor).all(-1).double().mean()) > _CONSTANT_SHARE:
            return True
    return False


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
        states = Batch(q, v, batch.tau)
        at = states if law is None else session.forced(states)
        answers.append(session.ask(*at).a if law is None else law.predict(*at))
    low, middle, high = answers
    return (high - 2 * middle + low) / scale


def _typical(bends: Tensor) -> float:
    """Their median size."""
    size = bends.square().mean(-1).sqrt()
    size = size[torch.isfinite(size)]
    return float(size.median()) if len(size) else float("inf")


def _follows(bends: Tensor, lawful: Tensor) -> bool:
    """Whether the model bends as its law does: the same ways, and about as much."""
    sizes = _typical(bends), _typical(lawful)
    alike = max(sizes) < _ALIKE * min(sizes)
    return alike and _agreement(bends, lawful) > _FOLLOWS


def _agreement(bends: Tensor, others: Tensor) -> float:
    """The mean cosine of the angles between them; 1 where nothing can be said."""
    cosine = torch.nn.functional.cosine_similarity(bends, others, dim=-1)
    cosine = cosine[torch.isfinite(cosine)]
    return float(cosine.mean()) if len(cosine) else 1.0
