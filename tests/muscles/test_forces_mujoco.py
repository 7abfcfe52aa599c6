"""MuJoCo's muscle against MuJoCo's own functions, and its closed values."""

import mujoco
import numpy as np
import pytest
import torch

from kinematics.errors import RobotError
from kinematics.muscles.activation import FirstOrderActivation, MujocoActivation, SmoothActivation
from kinematics.muscles.mujoco import MujocoCurves, MujocoForces

# range (2), force, scale, lmin, lmax, vmax, fpmax, fvmax
GAIN = np.array(
    [
        [0.75, 1.05, -1, 200, 0.5, 1.6, 1.5, 1.3, 1.2],
        [0.50, 1.30, 640, 200, 0.4, 1.8, 8.0, 0.9, 1.6],
        [0.90, 1.40, 30, 100, 0.9, 1.1, 3.0, 2.0, 1.0],
    ]
)
RANGE = np.array([[0.2, 0.31], [0.05, 0.12], [0.4, 0.9]])
ACC0 = np.array([3.7, 2.0, 0.1])
DYNAMICS = np.array([[0.01, 0.04, 0.0], [0.015, 0.06, 0.3], [0.2, 0.1, 1e-16]])


def test_force_and_activation_are_mujocos_own() -> None:
    rng = np.random.default_rng(0)
    law = MujocoForces.of(GAIN, RANGE, ACC0, DYNAMICS)
    n = 300
    # fibres from slack to far beyond their range, and exactly at the ends of every branch
    spread = rng.uniform(-1.5, 2.5, (n, 3))
    spread[:3] = [[0.0] * 3, [1.0] * 3, [0.5] * 3]
    length = RANGE[:, 0] + spread * (RANGE[:, 1] - RANGE[:, 0])
    optimal = (RANGE[:, 1] - RANGE[:, 0]) / (GAIN[:, 1] - GAIN[:, 0])
    rate = rng.uniform(-1.5, 1.5, (n, 3)) * optimal * GAIN[:, 6]
    rate[:10] = 0
    act, u = rng.uniform(-0.2, 1.2, (2, n, 3))
    u[:20] = act[:20]
    tension = law.force(length, rate, act)
    follow = law.activation_rate(u, act)
    assert tension.shape == (n, 3)
    for i in range(3):
        for k in range(n):
            gain = mujoco.mju_muscleGain(length[k, i], rate[k, i], RANGE[i], ACC0[i], GAIN[i])
            bias = mujoco.mju_muscleBias(length[k, i], RANGE[i], ACC0[i], GAIN[i])
            scale = float(law.strength[i])
            assert float(tension[k, i]) == pytest.approx(
                -(gain * act[k, i] + bias), abs=1e-12 * scale
            )
            rate_there = mujoco.mju_muscleDynamics(u[k, i], act[k, i], DYNAMICS[i])
            assert float(follow[k, i]) == pytest.approx(rate_there, rel=1e-12, abs=1e-12)


def test_slopes_are_those_of_the_curves() -> None:
    curves = MujocoCurves.of([0.5, 0.7], [1.6, 1.4], 1.3, [1.2, 1.6])
    x = torch.linspace(-1.3, 2.2, 71, dtype=torch.float64)[:, None].expand(-1, 2) + 0.0123
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(curves.passive(x).sum(), x)
    torch.testing.assert_close(slope, curves.passive_slope(x).detach())
    none = torch.zeros_like(x)
    (slope,) = torch.autograd.grad(curves.velocity(x, none).sum(), x)
    torch.testing.assert_close(slope, curves.velocity_slope(x, none).detach())


def test_gradients_are_finite_at_the_corners() -> None:
    law = MujocoForces.of(GAIN, RANGE, ACC0)
    length = torch.tensor(RANGE[:, 0]).requires_grad_()
    rate = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    force = law.force(length, rate, torch.ones(3, dtype=torch.float64)).sum()
    for slope in torch.autograd.grad(force, (length, rate)):
        assert bool(torch.isfinite(slope).all())


def test_dtype_and_leading_axes_follow_the_input() -> None:
    law = MujocoForces.of(GAIN, RANGE, ACC0)
    x = torch.full((2, 5, 3), 0.3, dtype=torch.float32)
    assert law.force(x, 0 * x, x).dtype == torch.float32
    assert law.force(x, 0 * x, x).shape == (2, 5, 3)


@pytest.mark.parametrize(
    "dynamics",
    [MujocoActivation.of(), MujocoActivation.of(width=0.2), FirstOrderActivation.of(),
     SmoothActivation.of()],
)  # fmt: skip
def test_activation_rests_at_the_excitation_and_rises_faster_than_it_falls(dynamics) -> None:
    u = torch.linspace(0.05, 1, 20, dtype=torch.float64)[:, None]
    assert float(dynamics.rate(u, u).abs().max()) == 0
    up, down = dynamics.rate(u + 0, 0 * u + 0.02), dynamics.rate(0 * u + 0.02, u)
    assert bool((up > 0).all())
    assert bool((down < 0).all())
    # around a = 1/3 both constants have their own value
    third = torch.full((1, 1), 1 / 3, dtype=torch.float64)
    assert float(dynamics.rate(third + 0.5, third)) == pytest.approx(
        0.5 / float(dynamics.rise), rel=1e-3
    )
    assert float(dynamics.rate(third - 0.3, third)) == pytest.approx(
        -0.3 / float(dynamics.fall), rel=2e-2
    )


def test_bad_numbers_are_one_line() -> None:
    with pytest.raises(RobotError, match="expected 9 numbers a muscle"):
        MujocoForces.of(GAIN[:, :5], RANGE, ACC0)
    with pytest.raises(RobotError, match="expected length of 3 muscles"):
        MujocoForces.of(GAIN, RANGE, ACC0).force(torch.zeros(2), torch.zeros(3), torch.zeros(3))
    with pytest.raises(RobotError, match="time constant > 0 s, found 0 in muscle 1"):
        FirstOrderActivation.of(rise=[0.01, 0.0])
