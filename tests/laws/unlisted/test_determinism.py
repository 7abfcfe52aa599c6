"""The same seed gives the same bytes, on one thread or two."""

import json

import pytest
import torch
from threadpoolctl import threadpool_limits

import discover
import kinematics
from tests.bench.laws.lists import first
from tests.bench.laws.planting import plant, with_noise

REGION = discover.Region(q=1.0, v=2.0, tau=5.0)


def law_on(threads: int) -> str:
    robot = kinematics.load("double_pendulum")
    planted = next(x for x in first.laws(robot) if x.name == "sin 3q")
    model = with_noise(plant(robot, planted, REGION), robot, REGION, 1e-3, 5)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            law = discover.examine(model, robot, REGION, seed=2).law
    finally:
        torch.set_num_threads(before)
    return json.dumps(law.to_dict())


@pytest.mark.slow
def test_one_thread_or_two_the_law_has_the_same_bytes():
    one, two = law_on(1), law_on(2)
    assert json.loads(one)["extra"]
    assert one == two
