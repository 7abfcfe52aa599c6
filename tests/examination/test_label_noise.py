"""What is known of the labels' noise is a floor under what can be told of a model."""

import pytest
import torch

import discover
import kinematics
from discover.errors import ModelError
from discover.evaluation.simulators.reference import simulator

REGION = discover.Region(q=1.0, v=2.0, tau=5.0)


def examine(**options):
    robot = kinematics.load("double_pendulum")
    truth = simulator(robot)

    def model(q, v, tau):  # a little off, as what was learned from noisy labels is
        return truth(q, v, tau) + 0.05 * torch.sin(7 * q + 3 * v)

    return discover.examine(model, robot, REGION, budget="quick", **options)


@pytest.mark.slow
def test_label_noise_is_the_floor_of_the_resolution_and_is_said():
    silent, told = examine(), examine(label_noise=[1.0, 2.0])
    assert not any("training labels carry noise" in note for note in silent.notes)
    assert any("training labels carry noise" in note for note in told.notes)
    assert silent.resolution.region < 0.02
    assert told.resolution.region > 0.03
    assert told.resolution.far >= told.resolution.region


@pytest.mark.parametrize("noise", [[1.0], [1.0, -1.0], [float("nan"), 1.0]])
def test_label_noise_of_the_wrong_kind_is_refused(noise):
    with pytest.raises(ModelError, match=r"label_noise of shape \(2,\)"):
        examine(label_noise=noise)
