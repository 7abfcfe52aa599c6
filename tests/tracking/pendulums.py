"""Pendulums of which every checkpoint knows another mass, for the tests of this folder."""

from __future__ import annotations

import kinematics
from discover import Region

ROBOT = kinematics.random_tree(1, seed=3)
REGION = Region(q=1.0, v=1.0, tau=2.0)


class Pendulum:
    """The simulator with all masses scaled; counts how often it is asked."""

    def __init__(self, scale: float) -> None:
        self.robot = ROBOT.replace(pi=ROBOT.pi * scale)
        self.calls = 0

    def __call__(self, q, v, tau):
        self.calls += 1
        return kinematics.aba(self.robot, q, v, tau)


def broken(q, v, tau):
    return tau * float("nan")
