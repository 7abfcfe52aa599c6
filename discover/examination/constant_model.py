"""Does the model answer the same whatever it is asked? Then there is nothing else to be found.

Bodies answer so only where they are infinitely heavy, which none are: a constant is the simplest
alternative law, and what is held against it is the robot as described.
"""

from __future__ import annotations

from torch import Tensor

import kinematics
from discover.blackbox.contract import Answers, relative_error
from discover.blackbox.session import QuerySession
from discover.examination.description import Finding
from discover.examination.metrics import gain, relative_noise
from discover.examination.result import Resolution
from discover.judgement.catalogue import evidence_from
from discover.laws.constant import ConstantLaw
from discover.laws.contract import Domain
from discover.probes.noise import Floor
from discover.probes.reach import curves, reach

_ROUNDING = 1e-12  # of the answers, their spread where it is nothing else
_AS_NOISE = 1.8  # times the noise: spreads of forty and fifty answers differ by so much by chance
_STANDS_OUT = 0.3  # noise over the answers themselves, above which no constant shows
_HOLDS = 0.01  # relative error far out, beyond noise, at which it has ended
_TOLERANCE = 0.05


def investigate(session: QuerySession, screen: Answers, floor: Floor) -> Finding | None:
    """What is found out about a model whose answers do not change, inside and far out; else None.

    screen  answers in the region
    """
    values = _constant(screen, floor)
    if values is None:
        return None
    law = ConstantLaw(values=tuple(values.tolist()))
    drawn = curves(session, law, screen)
    far = max(c.error[-1] for c in drawn.values())
    inside, noise = drawn["joint"].error[0], relative_noise(floor, screen)
    if max(e for c in drawn.values() for e in c.error) > _HOLDS + _AS_NOISE * noise:
        return None
    described = relative_error(
        kinematics.aba(session.robot, screen.q, screen.v, screen.tau), screen.a
    )
    resolution = Resolution(max(inside, floor.level), max(far, floor.level))
    values_ = {
        "law error in the region": described,
        "refit error far out": described,
        "gain of extra terms": gain(described, far, max(floor.rounding, 1e-10)),
        "extended law error far out": far,
        "best law error far out": far,
        "best law error in the region": inside,
        "resolution": resolution.region,
        "repeatability": floor.random,
    }
    tolerance = _TOLERANCE + 3 * floor.random
    reached = {axis: reach(c, tolerance) for axis, c in drawn.items()}
    domain = Domain(
        reach={axis: r for axis, (r, _) in reached.items()},
        tolerance=tolerance,
        at_least=tuple(axis for axis, (_, whole) in reached.items() if whole),
    )
    return Finding(
        evidence=evidence_from(values_, {}),
        law=law.within(domain),
        reach=domain.reach,
        resolution=resolution,
        curves=list(drawn.values()),
        parameters=[],
        structure={},
        notes=[
            "The answers are the same whatever is asked. Bodies would have to be infinitely heavy "
            "for that: the law has none, and the errors given for physics are those of the robot "
            "as described."
        ],
        law_from=f"{len(screen)} answers inside the region",
    )


def _constant(screen: Answers, floor: Floor) -> Tensor | None:
    """The mean answer (nv,), where the answers do not change but for their noise; else None."""
    mean = screen.a.mean(0)
    rest = (screen.a - mean).square().mean(0).sqrt()
    if floor.random == 0.0:
        same = rest <= _ROUNDING * mean.abs().max()
        return mean if bool(same.all()) else None
    same = rest <= _AS_NOISE * floor.sigma + _ROUNDING * mean.abs().max()
    return mean if bool(same.all()) and floor.random < _STANDS_OUT else None
