"""The double pendulum and answers of models of it, for tests of functions around its bodies."""

from __future__ import annotations

import discover
import kinematics
from discover.blackbox.contract import Answers
from discover.blackbox.sampling import sample

ROBOT = kinematics.load("double_pendulum")
REGION = discover.Region(q=1.0, v=3.0, tau=6.0).resolve(2)


def bodies(q, v, tau):
    """The physics."""
    return kinematics.aba(ROBOT, q, v, tau)


def answered(model, scale, n, seed):
    """Its answers to n states of the region, `scale` times as large."""
    states = sample(REGION.scaled(scale), ROBOT, n, seed)
    return Answers(**dict(zip(("q", "v", "tau"), states, strict=True)), a=model(*states))


def fitted_and_held(model):
    """Answers that a search is given: (to fit to, to test on), in the region and twice as far."""
    return (
        Answers.concat([answered(model, 1.0, 180, 1), answered(model, 2.0, 80, 2)]),
        Answers.concat([answered(model, 1.0, 90, 3), answered(model, 2.0, 80, 4)]),
    )
