"""Planted physics: rigid bodies, exact, perturbed, noisy, stepped, rounded."""

from __future__ import annotations

import torch
from torch import Tensor

import kinematics
from discover.zoo.planted import Noisy, Planted, Setting
from kinematics import Robot


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
    """The robot with armature, damping, friction and springs that matter."""
    robot = setting.robot
    torque = setting.region.tau.half_width.expand(robot.nv)
    speed = setting.region.v.half_width.expand(robot.nv)
    q, _, _ = setting.samples(64)
    diagonal = kinematics.crba(robot, q).diagonal(dim1=-2, dim2=-1).mean(0)
    return robot.replace(
        armature=0.2 * diagonal, damping=0.1 * torque / speed, friction=0.1 * torque
    )


def stepper(robot: Robot, integrator: str, dt: float):
    """One step of a simulator, as a next-state model."""

    def model(q: Tensor, v: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
        path = kinematics.simulate(robot, q, v, tau, dt, 1, integrator=integrator)
        return path.q[-1], path.v[-1]

    return model


def zoo(setting: Setting) -> list[Planted]:
    """All planted physics of one setting."""

    def one(kind: str, model, **more) -> Planted:
        return Planted(kind=kind, family="physics: " + kind, truth="physics", model=model, **more)

    robot = setting.robot
    exact = simulator(robot)

    def single(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return kinematics.aba(
            robot.to(dtype=torch.float32), q.float(), v.float(), tau.float()
        ).double()

    return [
        one("exact", exact),
        one("parameters off by 5 %", simulator(perturbed(setting, 0.05))),
        one("parameters off by 30 %", simulator(perturbed(setting, 0.3))),
        one("joint terms", simulator(with_joint_terms(setting))),
        one("float32", single),
        one("1 % bias and 1 % noise", Noisy(exact, setting, 0.01, 0.01)),
        one("1 % bias", Noisy(exact, setting, 0.0, 0.01)),
        one("5 % noise", Noisy(exact, setting, 0.05)),
        one("RK4 steps of 0.01 s", stepper(robot, "rk4", 0.01), outputs="next_state", dt=0.01),
        one(
            "semi-implicit Euler steps of 0.01 s",
            stepper(robot, "semi_implicit_euler", 0.01),
            outputs="next_state",
            dt=0.01,
        ),
        one("RK4 steps of 0.05 s", stepper(robot, "rk4", 0.05), outputs="next_state", dt=0.05),
    ]
