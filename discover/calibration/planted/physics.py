"""Planted physics: rigid bodies, exact, perturbed, noisy, stepped, rounded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

import kinematics
from discover.calibration.planted.contract import Noisy, Planted, Setting
from kinematics import Robot

INTEGRATORS = {"RK4": "rk4", "semi-implicit Euler": "semi_implicit_euler"}


def simulator(robot: Robot):
    """The exact simulator as a black box."""

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return kinematics.aba(robot, q, v, tau)

    return model


def perturbed(setting: Setting, size: float) -> Robot:
    """The robot with every body's inertia scaled at random by up to `size` (stays possible)."""
    robot = setting.robot
    u = torch.rand(robot.nb, 1, generator=setting.generator(), dtype=torch.float64)
    return robot.replace(pi=robot.pi * (1 + size * (2 * u - 1)))


def with_joint_terms(setting: Setting) -> Robot:
    """The robot with armature, damping and friction that matter, on joints of one coordinate."""
    robot = setting.robot
    torque, speed = setting.half_width("tau"), setting.half_width("v")
    q, _, _ = setting.samples(64)
    diagonal = kinematics.crba(robot, q).diagonal(dim1=-2, dim2=-1).mean(0)
    single = torch.zeros(robot.nv, dtype=torch.float64)
    single[setting.scalar_joints()] = 1.0
    return robot.replace(
        armature=0.2 * diagonal * single,
        damping=0.1 * torque / speed * single,
        friction=0.1 * torque * single,
    )


def in_single(robot: Robot):
    """The simulator in single precision."""
    small = robot.to(dtype=torch.float32)

    def model(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return kinematics.aba(small, q.float(), v.float(), tau.float()).double()

    return model


def quantised(setting: Setting, model: Callable, step: float):
    """Answers on a grid of `step` times each joint's spread in the region."""
    unit = step * model(*setting.samples(256)).square().mean(0).sqrt()

    def rounded(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return unit * (model(q, v, tau) / unit).round()

    return rounded


def stepper(robot: Robot, integrator: str, dt: float):
    """One step of a simulator, as a next-state model."""

    def model(q: Tensor, v: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
        path = kinematics.simulate(robot, q, v, tau, dt, 1, integrator=integrator)
        return path.q[-1], path.v[-1]

    return model


def planted_models(setting: Setting) -> list[Planted]:
    """All planted physics of one setting."""
    robot = setting.robot
    exact = simulator(robot)

    def one(kind: str, build: Callable[[], Callable], **more) -> Planted:
        return Planted(kind=kind, truth="physics", build=build, **more)

    def noisy(noise: float, bias: float) -> Callable[[], Callable]:
        return lambda: Noisy.in_setting(exact, setting, noise, bias)

    planted = [
        one("exact", lambda: exact),
        one("parameters off by 5 %", lambda: simulator(perturbed(setting, 0.05))),
        one("parameters off by 30 %", lambda: simulator(perturbed(setting, 0.3))),
        one("joint terms", lambda: simulator(with_joint_terms(setting))),
        one("float32", lambda: in_single(robot)),
        one("quantised", lambda: quantised(setting, exact, 0.003)),
        one("1 % bias", noisy(0.0, 0.01)),
        one("1 % bias and 1 % noise", noisy(0.01, 0.01), noise="1 % bias and noise"),
        one("5 % noise", noisy(0.05, 0.0), noise="5 % noise"),
    ]
    planted += [
        one(
            f"{name} steps of {dt:g} s",
            partial(stepper, robot, integrator, dt),
            outputs="next_state",
            dt=dt,
        )
        for name, integrator in INTEGRATORS.items()
        for dt in (0.01, 0.05)
    ]
    terms = next(p for p in planted if p.kind == "joint terms")
    planted += [terms.with_noise(setting, n) for n in ("1 % bias and noise", "5 % noise")]
    return planted
