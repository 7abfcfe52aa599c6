"""Six tasks: five with contact, each difficult in its own way for gradients, and a smooth control.

A task is a description in MJCF, from which robot, scene and soft contact are read, a horizon, a
cost without a price on controls (which would hide dead gradients), and where it starts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

import kinematics
from kinematics import Robot

_OPTION = '<option timestep="0.02" cone="elliptic" gravity="{gravity}" integrator="Euler"/>'


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is moved and what is wanted.

    xml             MJCF; every joint has a motor of one newton (metre) a unit
    low, high       (nq + nv) box of starting states
    force           half-width of the controls [N, N·m]; joints that have none: 0
    goal            (q (B, nq), v (B, nv) at the end) -> (B,)
    """

    name: str
    why: str
    xml: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    force: tuple[float, ...]
    goal: Callable[[Tensor, Tensor], Tensor]
    horizon: int = 20
    dt: float = 0.02

    @property
    def robot(self) -> Robot:
        """Read from the description."""
        return kinematics.load(self.xml)

    def cost(self, q: Tensor, v: Tensor, u: Tensor) -> Tensor:
        """The goal at the end of roll-outs (B, K + 1, nq), (B, K + 1, nv), (B, K, nu)."""
        return self.goal(q[:, -1], v[:, -1])

    def simulator(self) -> Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]:
        """(q, v, u) -> (q', v') by one step with contact; joints without a motor feel none."""
        robot, scene = self.robot, kinematics.contact.load(self.xml)
        driven = torch.tensor([float(f > 0) for f in self.force], dtype=torch.float64)

        def step(q: Tensor, v: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
            return kinematics.step(robot, scene, q, v, driven * u, self.dt)

        return step

    def starts(self, count: int, seed: int) -> tuple[Tensor, Tensor]:
        """States (count, nq), (count, nv), uniform in the box."""
        generator = torch.Generator().manual_seed(seed)
        low, high = (torch.tensor(x, dtype=torch.float64) for x in (self.low, self.high))
        x = low + (high - low) * torch.rand(
            count, len(low), dtype=torch.float64, generator=generator
        )
        n = len(self.force)
        return x[:, :n], x[:, n:]


def _world(bodies: str, gravity: str = "0 0 0") -> str:
    return (
        f'<mujoco model="task">{_OPTION.format(gravity=gravity)}'
        f"<worldbody>{bodies}</worldbody></mujoco>"
    )


PUSH = Task(
    name="push",
    why="the block feels nothing until it is touched: exact gradients are dead",
    xml=_world(
        '<body name="finger"><joint name="x" type="slide" axis="1 0 0"/>'
        '<geom type="sphere" size="0.05" mass="1"/></body>'
        '<body name="block" pos="0.3 0 0">'
        '<joint name="b" type="slide" axis="1 0 0" frictionloss="0.5"/>'
        '<geom type="sphere" size="0.05" mass="0.5"/></body>'
    ),
    low=(-0.05, -0.02, 0.0, 0.0),
    high=(0.05, 0.02, 0.1, 0.0),
    force=(10.0, 0.0),
    goal=lambda q, v: (q[:, 1] - 0.3).square(),
    horizon=25,
)

BALL = Task(
    name="ball and wall",
    why="over the wall or against it: the cost jumps",
    xml=_world(
        '<body name="ball" pos="0 0 0.3"><joint name="x" type="slide" axis="1 0 0"/>'
        '<joint name="z" type="slide" axis="0 0 1"/><geom type="sphere" size="0.05" mass="1"/>'
        '</body><geom name="wall" type="box" pos="0.6 0 0.2" size="0.03 0.5 0.4"/>',
        gravity="0 0 -9.81",
    ),
    low=(-0.05, 0.0, 1.0, 1.0),
    high=(0.05, 0.1, 2.0, 2.5),
    force=(8.0, 8.0),
    goal=lambda q, v: (q[:, 0] - 1.2).square() + (q[:, 1] - 0.3).square(),
    horizon=25,
)

BALLS = Task(
    name="balls",
    why="an impact in the middle of the motion",
    xml=_world(
        '<body name="one"><joint name="a" type="slide" axis="1 0 0"/>'
        '<geom type="sphere" size="0.05" mass="1" solref="0.02 0.2"/></body>'
        '<body name="two" pos="0.25 0 0"><joint name="b" type="slide" axis="1 0 0"/>'
        '<geom type="sphere" size="0.05" mass="1" solref="0.02 0.2"/></body>'
    ),
    low=(-0.02, -0.02, 0.6, -0.1),
    high=(0.02, 0.02, 1.2, 0.1),
    force=(5.0, 0.0),
    goal=lambda q, v: (q[:, 1] - 0.35).square(),
    horizon=25,
)

CART = Task(
    name="cart-pole between walls",
    why="stiff impacts of an unstable body",
    xml=_world(
        '<body name="cart"><joint name="x" type="slide" axis="1 0 0"/>'
        '<geom type="sphere" size="0.05" mass="1" contype="0" conaffinity="0"/>'
        '<body name="pole"><joint name="h" type="hinge" axis="0 1 0" damping="0.02"/>'
        '<geom type="capsule" fromto="0 0 0 0 0 0.5" size="0.01" mass="0.1" contype="0" '
        'conaffinity="0"/><geom type="sphere" pos="0 0 0.5" size="0.03" mass="0.1"/></body></body>'
        '<geom name="left" type="plane" pos="-0.35 0 0" zaxis="1 0 0" size="2 2 0.1"/>'
        '<geom name="right" type="plane" pos="0.35 0 0" zaxis="-1 0 0" size="2 2 0.1"/>',
        gravity="0 0 -9.81",
    ),
    low=(-0.1, -0.4, -0.3, -1.0),
    high=(0.1, 0.4, 0.3, 1.0),
    force=(20.0, 0.0),
    goal=lambda q, v: q[:, 1].square() + 0.1 * v[:, 1].square() + q[:, 0].square(),
)

HOPPER = Task(
    name="hopper",
    why="contact all the time: smooth where it counts",
    xml=_world(
        '<body name="trunk" pos="0 0 0.5"><joint name="z" type="slide" axis="0 0 1"/>'
        '<geom type="sphere" size="0.05" mass="1" contype="0" conaffinity="0"/>'
        '<body name="leg"><joint name="l" type="slide" axis="0 0 1" stiffness="200" damping="2"/>'
        '<geom type="sphere" pos="0 0 -0.4" size="0.05" mass="0.1"/></body></body>'
        '<geom name="floor" type="plane" size="2 2 0.1"/>',
        gravity="0 0 -9.81",
    ),
    low=(-0.05, -0.02, -0.5, 0.0),
    high=(0.05, 0.02, 0.0, 0.0),
    force=(0.0, 20.0),
    goal=lambda q, v: (q[:, 0] - 0.15).square(),
)

PENDULUM = Task(
    name="pendulum",
    why="no contact: the control",
    xml=_world(
        '<body name="one"><joint name="a" type="hinge" axis="0 1 0"/>'
        '<geom type="capsule" fromto="0 0 0 0 0 -0.5" size="0.02" mass="1" contype="0" '
        'conaffinity="0"/><body name="two" pos="0 0 -0.5">'
        '<joint name="b" type="hinge" axis="0 1 0"/><geom type="capsule" '
        'fromto="0 0 0 0 0 -0.5" size="0.02" mass="1" contype="0" conaffinity="0"/></body></body>',
        gravity="0 0 -9.81",
    ),
    low=(-0.5, -0.5, -0.5, -0.5),
    high=(0.5, 0.5, 0.5, 0.5),
    force=(8.0, 8.0),
    goal=lambda q, v: (q - 0.8).square().sum(-1),
)

TASKS = (PUSH, BALL, BALLS, CART, HOPPER, PENDULUM)
