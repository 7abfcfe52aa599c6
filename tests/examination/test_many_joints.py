"""An arm of eight joints gets every hypothesis that an arm of two gets."""

import pytest
import torch

import discover
import kinematics
from discover.calibration.planted.catalogue import setting_of

JOINTS = 8


@pytest.mark.slow
def test_a_drag_that_no_library_lists_is_found_on_eight_joints():
    robot = kinematics.random_tree(JOINTS, 0.0, 4)
    setting = setting_of(robot, 0.7, 1.0)

    def model(q, v, tau):
        drag = torch.zeros_like(tau)
        drag[:, 0] = 0.8 * torch.log1p(2 * v[:, 0].abs()).square() * v[:, 0].sign()
        return kinematics.aba(robot, q, v, tau - drag)

    exam = discover.examine(model, robot, setting.region, mechanism=False)
    assert exam.verdict == "alternative law"
    assert "log" in str(exam.law.terms[0])
    q, v, tau = (3 * x for x in setting.samples(50))
    far = model(q, v, tau)
    assert float((exam.law(q, v, tau) - far).norm() / far.norm()) < 0.01
