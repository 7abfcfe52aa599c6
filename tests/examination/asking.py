"""An interview with a model in a region, before anything was asked."""

from __future__ import annotations

from collections.abc import Callable

from discover.dynamics import Respondent
from discover.interview import BUDGETS, Interview
from discover.region import Region
from discover.support import Box
from kinematics import Robot


def interview(model: Callable, robot: Robot, region: Region) -> Interview:
    return Interview(
        respondent=Respondent(model, robot.nq, robot.nv),
        robot=robot,
        support=Box(robot=robot, region=region),
        budget=BUDGETS["standard"],
        seed=0,
    )
