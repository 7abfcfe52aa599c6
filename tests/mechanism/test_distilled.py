"""`discover bench distilled`: the simulator is accepted, a bent model is not, and it says so."""

from __future__ import annotations

import pytest
import torch

from discover.blackbox.region import Region
from discover.evaluation.simulators.reference import simulator
from tests.bench.mechanism.distilled import robots, structure_of
from tests.bench.mechanism.distilled_report import report, sentence


@pytest.mark.slow
def test_what_is_mechanics_and_what_is_not(tmp_path):
    robot = robots()["double pendulum"]
    region = Region(q=[1.0, 1.0], v=[1.0, 1.0], tau=[2.0, 2.0])
    exact = simulator(robot)

    def bent(q, v, tau):
        return exact(q, v, tau) + 0.3 * torch.sin(3 * q) * torch.sin(tau)

    rows = [
        {
            "name": name,
            "robot": "double pendulum",
            "validation_error": 0.0,
            "budget": 1.0,
            "load": 0.5,
            **structure_of(model, robot, region, 0),
        }
        for name, model in (("simulator", exact), ("bent", bent))
    ]
    assert rows[0]["alone"]["equivalent"]
    assert rows[0]["beside"]["equivalent"]
    assert not rows[1]["alone"]["equivalent"]
    assert rows[0]["H error"] < 1e-9 < rows[1]["H error"]
    assert "accepted as equivalent" in sentence(rows[0])
    assert "no recursion is accepted" in sentence(rows[1])
    text = report(rows, tmp_path)
    assert (tmp_path / "figures" / "double_pendulum.png").exists()
    assert "| simulator | what was inferred | **yes** |" in text
    assert "| bent | what was inferred | no |" in text
