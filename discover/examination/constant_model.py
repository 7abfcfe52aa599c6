"""A constant model: the same answer to every query, inside and far out.

Bodies answer so only where they are infinitely heavy, which none are: a constant is the simplest
alternative law, and it is compared with the robot as described.
"""

from __future__ import annotations

from torch import Tensor

import kinematics
from discover.blackbox.contract import Answers, relative_error
from discover.blackbox.session import QuerySession
from discover.examination.metrics import gain, relative_noise
from discover.examination.opening.screen import Screen
from discover.examination.outcome import Outcome
from discover.examination.result import Resolution
from discover.judgement.evidence import Name
from discover.judgement.thresholds import threshold
from discover.laws.constant import ConstantLaw
from discover.probes.noise import NoiseFloor
from discover.probes.reach import curves

_ROUNDING = 1e-12  # of the answers: a smaller spread is rounding
_AS_NOISE = threshold("examination.constant_as_noise")
_STANDS_OUT = threshold("examination.constant_stands_out")
_HOLDS = threshold("examination.constant_holds")


def constant_model(session: QuerySession, screen: Screen) -> Outcome | None:
    """The outcome for a model whose answers do not change, inside and far out; else None."""
    answers, noise = screen.answers, screen.noise
    mean = _constant(answers, noise)
    if mean is None:
        return None
    law = ConstantLaw(values=tuple(mean.tolist()))
    drawn = curves(session, law, answers)
    spread = relative_noise(noise, answers)
    if max(e for c in drawn.values() for e in c.error) > _HOLDS + _AS_NOISE * spread:
        return None
    far, inside = max(c.error[-1] for c in drawn.values()), drawn["joint"].error[0]
    described = relative_error(
        kinematics.aba(session.robot, answers.q, answers.v, answers.tau), answers.a
    )
    resolution = Resolution(max(inside, noise.level), max(far, noise.level))
    return Outcome(
        session=session,
        law=law,
        values={
            Name.LAW_ERROR_INSIDE: described,
            Name.REFIT_ERROR_FAR: described,
            Name.GAIN: gain(described, far, screen.gate),
            Name.EXTENDED_ERROR_FAR: far,
            Name.BEST_ERROR_FAR: far,
            Name.BEST_ERROR_INSIDE: inside,
            Name.RESOLUTION: resolution.region,
            Name.REPEATABILITY: noise.random,
        },
        curves=drawn,
        law_from=f"{len(answers)} answers inside the region",
        resolution=resolution,
        notes=[
            "The answer is the same to every query. Bodies would have to be infinitely heavy for "
            "that: the law has none, and the errors given for physics are those of the robot as "
            "described."
        ],
    )


def _constant(answers: Answers, noise: NoiseFloor) -> Tensor | None:
    """The mean answer (nv,), where answers differ by rounding or noise only; else None."""
    mean = answers.a.mean(0)
    spread = (answers.a - mean).square().mean(0).sqrt()
    rounding = _ROUNDING * mean.abs().max()
    if noise.random == 0.0:
        return mean if bool((spread <= rounding).all()) else None
    same = spread <= _AS_NOISE * noise.sigma + rounding
    return mean if bool(same.all()) and noise.random < _STANDS_OUT else None
