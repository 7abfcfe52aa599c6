"""Heights of bodies: scalars of the configuration that a floor sets a threshold on.

A description of rigid bodies states no shapes. Each body is taken as the ellipsoidal box that has
its inertia, so that the height of its lowest point follows from inertial parameters alone; for rods
and boxes it is right to about a tenth of their thickness.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

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
        centre, axes, directions = self._shape
        height = self._against_gravity(q, 1.0, centre)
        up = [self._against_gravity(q, 0.0, d) for d in directions.T]
        round_ = torch.sqrt((axes[0] * up[0]).square() + (axes[1] * up[1]).square())
        return height - axes[2] * up[2].abs() - round_

    def _against_gravity(self, q: Tensor, mass: float, moment: np.ndarray) -> Tensor:
        """The height of a point of the body (mass 1), or of the tip of a direction (mass 0), times
        the point's place or direction `moment` (3,): potential energy is linear in both."""
        pi = torch.zeros(self.robot.nb, 10, dtype=torch.float64)
        pi[self.body, 0] = mass
        pi[self.body, 1:4] = torch.as_tensor(moment, dtype=torch.float64)
        size = float(self.robot.gravity.norm())
        loose = self.robot.replace(pi=pi, stiffness=torch.zeros_like(self.robot.stiffness))
        return torch.as_tensor(kinematics.potential_energy(loose, q)) / size


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
        return torch.stack([point(q) for point in self.points]).amin(0)


def heights(robot: Robot) -> list[LowestPoint | LowestOfAll]:
    """The lowest points of all bodies that have mass, and the lowest of them; none without
    gravity."""
    if float(robot.gravity.norm()) < _FLAT:
        return []
    points = [LowestPoint(robot=robot, body=b) for b in range(robot.nb) if robot.pi[b, 0] > 0]
    return [*points, LowestOfAll(points=tuple(points))] if len(points) > 1 else [*points]
