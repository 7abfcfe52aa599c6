"""An interview with a model in a region, before anything was asked."""

from __future__ import annotations

from collections.abc import Callable

from discover.blackbox.contract import BlackBox
from discover.blackbox.region import Region
from discover.blackbox.session import BUDGETS, QuerySession
from discover.blackbox.support import Box
from kinematics import Robot


def session(model: Callable, robot: Robot, region: Region) -> QuerySession:
    return QuerySession(
        blackbox=BlackBox(model, robot.nq, robot.nv),
        robot=robot,
        support=Box(robot=robot, region=region),
        budget=BUDGETS["standard"],
        seed=0,
    )
