"""Robots, regions and points of bodies that the sealed list of mechanisms is written on.

A `Place` is a robot with the region in which models of it are asked. Points of bodies and their
Jacobians are computed here, from the description alone, so that planted forces share no code with
what is examined but the recursions of `kinematics`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

import kinematics
from kinematics import Robot

SAMPLES = 600  # states of the region on which spreads and departures are measured


@dataclass(frozen=True)
class Point:
    """A point fixed in a body, at a batch of configurations, in the base's frame.

    position (B, 3) [m]; rotation (B, 3, 3) of the body; jacobian (B, 3, nv) of the point's
    velocity; turning (B, 3, nv) of the body's angular velocity.
    """

    position: Tensor
    rotation: Tensor
    jacobian: Tensor
    turning: Tensor

    def velocity(self, v: Tensor) -> Tensor:
        """The point's velocity (B, 3) [m/s]."""
        return (self.jacobian @ v[..., None])[..., 0]

    def spin(self, v: Tensor) -> Tensor:
        """The body's angular velocity (B, 3) [rad/s]."""
        return (self.turning @ v[..., None])[..., 0]

    def joint_forces(self, force: Tensor) -> Tensor:
        """Joint forces (B, nv) of a force (B, 3) [N] at the point."""
        return (self.jacobian.mT @ force[..., None])[..., 0]

    def joint_forces_of_torque(self, torque: Tensor) -> Tensor:
        """Joint forces (B, nv) of a torque (B, 3) [N·m] on the body."""
        return (self.turning.mT @ torque[..., None])[..., 0]


@dataclass(frozen=True, eq=False)
class Place:
    """A chain of hinges and the half-widths (nv,) of its region about zero."""

    robot: Robot
    q: Tensor
    v: Tensor
    tau: Tensor
    tip: tuple[float, float, float]  # in the last body's frame [m]

    def aba(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        """Accelerations of the plain robot."""
        return kinematics.aba(self.robot, q, v, tau)

    def bias(self, q: Tensor, v: Tensor) -> Tensor:
        """Joint forces of gravity and velocities."""
        return kinematics.bias(self.robot, q, v)

    def gravity(self, q: Tensor) -> Tensor:
        """Joint forces of gravity."""
        return kinematics.bias(self.robot, q, torch.zeros_like(q))

    def solve(self, mass: Tensor, force: Tensor) -> Tensor:
        """Accelerations of a mass matrix (B, nv, nv) under joint forces (B, nv)."""
        return torch.linalg.solve(mass, force[..., None])[..., 0]

    def at_tip(self, q: Tensor) -> Point:
        """The end point."""
        return point(self.robot, q, self.robot.nb - 1, self.tip)

    def with_last(self, q: Tensor, v: Tensor, tau: Tensor, pi: Tensor) -> Tensor:
        """Accelerations where the last body has the parameters ``pi`` (B, 10)."""
        if (
            len(q) == 1
        ):  # `aba` takes parameters of a single state for those of all states, and fails
            return self.with_last(*(x.repeat(2, 1) for x in (q, v, tau, pi)))[:1]
        every = self.robot.pi.expand(len(q), -1, -1)
        changed = torch.cat([every[:, :-1], pi[:, None]], 1)
        return kinematics.aba(self.robot.replace(pi=changed), q, v, tau)

    def states(self, count: int, seed: int, *, inner: float = 0.0, outer: float = 1.0) -> Any:
        """States (q, v, tau), each (count, nv): uniform in the box of ``outer`` half-widths,
        outside the one of ``inner``."""
        nv = self.robot.nv
        generator = torch.Generator().manual_seed(seed)
        kept = torch.zeros(0, 3 * nv, dtype=torch.float64)
        while len(kept) < count:
            drawn = torch.rand(count, 3 * nv, generator=generator, dtype=torch.float64)
            drawn = outer * (2 * drawn - 1)
            kept = torch.cat([kept, drawn[drawn.abs().amax(1) >= inner]])
        return tuple((kept[:count] * torch.cat([self.q, self.v, self.tau])).split(nv, 1))

    @cached_property
    def spread(self) -> Tensor:
        """Standard deviation (nv,) of the plain robot's accelerations in the region [rad/s²]."""
        return self.aba(*self.states(SAMPLES, 11)).std(0)

    @cached_property
    def usual_energy(self) -> float:
        """Mean kinetic energy in the region [J]."""
        q, v, _ = self.states(SAMPLES, 11)
        return float(kinematics.kinetic_energy(self.robot, q, v).mean())

    @cached_property
    def usual_inertia(self) -> Tensor:
        """Mean diagonal (nv,) of the mass matrix in the region [kg·m²]."""
        q, _, _ = self.states(SAMPLES, 11)
        return kinematics.crba(self.robot, q).diagonal(dim1=-2, dim2=-1).mean(0)

    @cached_property
    def gravity_slope(self) -> Tensor:
        """Derivative (nv, nv) of the joint forces of gravity by q at zero [N·m/rad]."""
        slope = torch.autograd.functional.jacobian(
            lambda q: self.gravity(q[None])[0], torch.zeros(self.robot.nv, dtype=torch.float64)
        )
        assert isinstance(slope, Tensor)
        return slope


def point(robot: Robot, q: Tensor, body: int, offset: Any) -> Point:
    """A point at ``offset`` (3,) [m] in the frame of ``body``, of a chain of hinges."""
    count = len(q)
    turn = torch.eye(3, dtype=q.dtype).expand(count, 3, 3)
    origin = q.new_zeros(count, 3)
    axes, origins = [], []
    for i in range(body + 1):
        origin = origin + turn @ robot.tree_offset[i]
        turn = turn @ robot.tree_rotation[i] @ _about(robot.axes[i], q[:, i])
        axes.append(turn @ robot.axes[i])
        origins.append(origin)
    position = origin + turn @ torch.as_tensor(offset, dtype=q.dtype)
    nothing = [q.new_zeros(count, 3)] * (robot.nv - body - 1)
    columns = [torch.linalg.cross(z, position - o) for z, o in zip(axes, origins, strict=True)]
    return Point(
        position=position,
        rotation=turn,
        jacobian=torch.stack([*columns, *nothing], -1),
        turning=torch.stack([*axes, *nothing], -1),
    )


def _about(axis: Tensor, angle: Tensor) -> Tensor:
    """Rotations (B, 3, 3) about a unit axis (Rodrigues)."""
    x, y, z = axis.tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=angle.dtype)
    sine, cosine = angle.sin()[:, None, None], angle.cos()[:, None, None]
    return torch.eye(3, dtype=angle.dtype) + sine * cross + (1 - cosine) * (cross @ cross)


def point_mass(mass: float, at: Tensor) -> Tensor:
    """Ten inertial parameters (..., 10) of a point mass [kg] at ``at`` (..., 3) [m]."""
    x, y, z = at.unbind(-1)
    entries = (y * y + z * z, -x * y, x * x + z * z, -x * z, -y * z, x * x + y * y)
    return mass * torch.stack([torch.ones_like(x), x, y, z, *entries], -1)


def without_products(pi: Tensor) -> Tensor:
    """Inertial parameters (nb, 10) of bodies without products of inertia about their centres."""
    mass, centre = pi[:, :1], pi[:, 1:4] / pi[:, :1]
    about_centre = pi - mass * point_mass(1.0, centre)
    about_centre = about_centre * torch.tensor([0.0] * 4 + [1, 0, 1, 0, 0, 1], dtype=pi.dtype)
    return mass * point_mass(1.0, centre) + about_centre


@lru_cache
def places() -> dict[str, Place]:
    """The four robots: two hinges, three in a plane, three in space, six of a real arm."""

    def vector(*x: float) -> Tensor:
        return torch.tensor(x, dtype=torch.float64)

    panda = kinematics.load("panda", lock={"panda_joint3": 0.0})
    unlimited = np.full(6, np.inf)
    panda = panda.replace(
        lower=-unlimited, upper=unlimited, velocity_limit=unlimited, effort_limit=unlimited
    )
    spatial = kinematics.random_tree(3, 0.0, seed=2023, kinds=("revolute",))
    return {
        "double": Place(
            kinematics.load("double_pendulum"),
            vector(1.2, 1.2),
            vector(2.5, 2.5),
            vector(15, 6),
            (0.0, 0.0, -1.0),
        ),
        "planar": Place(
            kinematics.load("planar_3r"),
            vector(1.2, 1.2, 1.2),
            vector(2.5, 2.5, 2.5),
            vector(12, 4, 1),
            (0.3, 0.0, 0.0),
        ),
        "spatial": Place(
            spatial,
            vector(1.2, 1.2, 1.2),
            vector(3, 3, 3),
            vector(4, 3, 0.4),
            (0.2, 0.1, 0.25),
        ),
        "six": Place(
            panda,
            vector(1, 1, 1, 1, 1, 1),
            vector(1.5, 1.5, 1.5, 1.5, 1.5, 1.5),
            vector(20, 25, 12, 2, 2, 0.3),
            (0.05, 0.0, 0.2),
        ),
    }
