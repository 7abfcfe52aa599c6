"""Walking robots of gymnasium by their own steps, contacts and limits on: physics beside them."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import mujoco
import pytest

import discover
import kinematics
from tests.oracles.steps_table import TaskStep

BOXES = {
    "HalfCheetah-v5": ([-1, -0.1, -0.5] + [-0.6] * 6, [1, 0.6, 0.5] + [0.6] * 6),
    "Hopper-v5": ([-1, 0.9, -0.3, -1.0, -1.0, -0.6], [1, 1.6, 0.3, 0.0, 0.0, 0.6]),
    "Walker2d-v5": (
        [-1, 0.9, -0.3, -1.0, -1.0, -0.6, -1.0, -1.0, -0.6],
        [1, 1.6, 0.3, 0.0, 0.0, 0.6, 0.0, 0.0, 0.6],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOXES)
def test_a_walking_robot_is_physics_beside_its_floor_and_limits(name):
    env = gymnasium.make(name).unwrapped
    robot = kinematics.load(Path(env.fullpath))
    model = mujoco.MjModel.from_xml_path(env.fullpath)
    as_it_is = model.opt.disableflags
    step = TaskStep(model, robot, env.frame_skip)
    model.opt.disableflags = as_it_is
    region = discover.Region(q=BOXES[name], v=2.0, u=1.0)
    exam = discover.examine(step, robot, region, budget="quick", mechanism=False)
    assert exam.verdict == "physics"
    assert any("height of" in r.scalar and r.force == "positive" for r in exam.regimes)
    assert any("the joint limit of the description" in str(r) for r in exam.regimes)
    assert {r.kind for r in exam.regimes} == {"limit or contact"}
