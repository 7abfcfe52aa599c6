"""Heights of bodies: scalars of the configuration that a floor sets a threshold on.

A description of rigid bodies states no shapes. Each body is taken as the ellipsoidal box that has
its inertia, so that the height of its lowest point follows from inertial parameters alone; for rods
and boxes it is right to about a tenth of their thickness.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

import kinematics
from kinematics import Robot
from kinematics.robot.inertial_parameters import about_centre

_FLAT = 1e-9  # m/s²: gravity below it has no direction


@dataclass(frozen=True, kw_only=True, eq=False)
class LowestPoint:
    """The height of the lowest point of a body, above the base's origin and against gravity [m].

    The body's semi-axes are those of the solid box with its inertia; it is a box along the longest
    and round about it.
    """

    robot: Robot
    body: int
    entry: None = field(default=None, init=False)

    @property
    def name(self) -> str:
        """In words."""
        return f"height of {self.robot.body_names[self.body]}"

    @cached_property
    def _shape(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(centre (3,), semi-axes (3,) [m], the shortest first, and their directions (3, 3))."""
        mass, centre, inertia = about_centre(self.robot.pi[self.body].detach().numpy())
        moments, directions = np.linalg.eigh(0.5 * (inertia + inertia.T))
        # a box: I_i = m (b_j² + b_k²) / 3
        squares = 1.5 * (moments.sum() - 2 * moments) / max(mass, 1e-300)
        axes = np.sqrt(squares.clip(min=0.0))
        order = axes.argsort()
        return centre, axes[order], directions[:, order]

    def __call__(self, q: Tensor) -> Tensor:
        """q (n, nq) -> (n,) [m]."""
        return self.among(_against_gravity(self.robot, q))

    def among(self, upward: Tensor) -> Tensor:
        """(n,) [m], where the heights of all bodies' frames (n, nb, 4) are known."""
        centre, axes, directions = (torch.from_numpy(x) for x in self._shape)
        origin, up = upward[:, self.body, 0], upward[:, self.body, 1:]
        sides = (up @ directions) * axes
        round_ = sides[:, :2].square().sum(-1).sqrt()
        return origin + up @ centre - sides[:, 2].abs() - round_


def _against_gravity(robot: Robot, q: Tensor) -> Tensor:
    """Of each body (n, nb, 4) the height of its origin [m] and the upward parts of its axes:
    potential energy, which is linear in inertial parameters, of one parameter after the other."""
    probe = _single_parameters(robot)
    rows = q.expand(4 * robot.nb, *q.shape)
    energy = torch.as_tensor(kinematics.potential_energy(probe, rows))
    return energy.T.reshape(len(q), robot.nb, 4) / float(robot.gravity.norm())


_PROBES: WeakKeyDictionary[Robot, Robot] = WeakKeyDictionary()


def _single_parameters(robot: Robot) -> Robot:
    """The robot without springs and, along a leading axis (4 nb, 1), with one inertial parameter of
    one body alone; kept, for a robot is prepared for its recursions once."""
    if robot not in _PROBES:
        pi = torch.zeros(robot.nb, 4, 1, robot.nb, 10, dtype=torch.float64)
        for body in range(robot.nb):
            pi[body, :, 0, body, :4] = torch.eye(4, dtype=torch.float64)
        loose = torch.zeros_like(robot.stiffness)
        _PROBES[robot] = robot.replace(pi=pi.reshape(-1, 1, robot.nb, 10), stiffness=loose)
    return _PROBES[robot]


@dataclass(frozen=True, kw_only=True, eq=False)
class LowestOfAll:
    """The height of the lowest of several points [m]: what a level floor under all of them sets its
    threshold on."""

    points: tuple[LowestPoint, ...]
    entry: None = field(default=None, init=False)

    @property
    def name(self) -> str:
        """In words."""
        return f"height of the lowest of {len(self.points)} bodies"

    def __call__(self, q: Tensor) -> Tensor:
        """q (n, nq) -> (n,) [m]."""
        upward = _against_gravity(self.points[0].robot, q)
        return torch.stack([point.among(upward) for point in self.points]).amin(0)


def heights(robot: Robot) -> list[LowestPoint | LowestOfAll]:
    """The lowest points of all bodies that have mass, and the lowest of them; none without
    gravity."""
    if float(robot.gravity.norm()) < _FLAT:
        return []
    points = [LowestPoint(robot=robot, body=b) for b in range(robot.nb) if robot.pi[b, 0] > 0]
    return [*points, LowestOfAll(points=tuple(points))] if len(points) > 1 else [*points]
