"""Where a model was trained, as a place to draw questions from: a box, or recorded states.

Distances count in units of the support itself: 1 is its edge. For a box that is the half-width;
for recordings, states further out are recorded states moved away from their centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

import kinematics
from discover.blackbox import sampling
from discover.blackbox.region import GROUPS, Bounds, Region
from kinematics import Actuation, Robot

_JITTER = 0.02  # half-widths: questions lie between recorded states, not on them


class Support(Protocol):
    """Draws states inside, and between two distances along an axis ("joint", "q", "v", "tau")."""

    @property
    def region(self) -> Region:
        """The box that spans the support."""

    def inside(self, n: int, seed: int) -> sampling.Batch:
        """n states (q, v, tau) of the support."""

    def shell(self, axis: str, inner: float, outer: float, n: int, seed: int) -> sampling.Batch:
        """n states whose distance along `axis` lies between inner and outer."""


def in_joint_forces(region: Region, actuation: Actuation) -> Region:
    """The box of joint forces that the controls of a region make; a joint that none of them drives
    gets a share of what the others get, for the law that is asked there knows all of them."""
    box = region.tau
    low, high = (x.expand(actuation.nu) for x in (box.low, box.high))
    ends = torch.maximum(torch.minimum(torch.stack([low, high]), actuation.high), actuation.low)
    forces = actuation.gain * ends + actuation.offset
    centre, half = forces.mean(0) @ actuation.arms, (forces[1] - forces[0]).abs() / 2
    width = half @ actuation.arms.abs()
    least = _UNDRIVEN * float(width.max()) or 1.0
    width = width.clamp_min(least)
    return Region(q=region.q, v=region.v, tau=(centre - width, centre + width))


_UNDRIVEN = 0.1  # of the largest half-width in joint forces


@dataclass(frozen=True, kw_only=True)
class Box:
    """The region as it stands: uniform questions."""

    robot: Robot
    region: Region

    def inside(self, n: int, seed: int) -> sampling.Batch:
        """n uniform states of the box."""
        return sampling.sample(self.region, self.robot, n, seed)

    def shell(self, axis: str, inner: float, outer: float, n: int, seed: int) -> sampling.Batch:
        """n states between two boxes, see `sampling.shell`."""
        return sampling.shell(self.region, self.robot, n, inner, outer, axis=axis, seed=seed)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """The states of recorded trajectories: a thin part of the box that they span.

    q (n, nq), v and tau (n, nv), all of them inside; `region` is the box that they span.
    """

    robot: Robot
    region: Region
    q: Tensor
    v: Tensor
    tau: Tensor

    @classmethod
    def of(
        cls, robot: Robot, q: Tensor, v: Tensor, tau: Tensor, *, controls: bool = False
    ) -> Recorded:
        """The support of recorded states; its region spans the middle 99 % of each coordinate.
        With `controls`, tau (n, nu) are controls and not joint forces."""
        offset = kinematics.difference(robot, robot.neutral().expand(len(q), -1), q)
        sides = {}
        names = (*GROUPS[:2], "u" if controls else "tau")
        for name, x in zip(names, (offset, v, tau), strict=True):
            low, high = torch.quantile(x, torch.tensor([0.005, 0.995], dtype=x.dtype), dim=0)
            width = (high - low).clamp_min(1e-6 * float((high - low).max()) + 1e-12)
            sides[name] = Bounds(low, low + width)
        region = Region(**sides).resolve(robot.nv, tau.shape[-1])
        return cls(robot=robot, region=region, q=q, v=v, tau=tau)

    def inside(self, n: int, seed: int) -> sampling.Batch:
        """n recorded states, each moved by a little so that none is met exactly."""
        return self._draw(n, seed, {})

    def shell(self, axis: str, inner: float, outer: float, n: int, seed: int) -> sampling.Batch:
        """Recorded states moved outward from the centre by a factor between inner and outer."""
        generator = torch.Generator().manual_seed(seed + 1)
        factor = inner + (outer - inner) * torch.rand(
            n, 1, generator=generator, dtype=torch.float64
        )
        names = GROUPS if axis == "joint" else (axis,)
        return self._draw(n, seed, dict.fromkeys(names, factor))

    def _draw(self, n: int, seed: int, factors: dict[str, Tensor]) -> sampling.Batch:
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randint(len(self.q), (n,), generator=generator)
        neutral = self.robot.neutral().to(torch.float64).expand(n, -1)
        recorded = {
            "q": kinematics.difference(self.robot, neutral, self.q[rows]),
            "v": self.v[rows],
            "tau": self.tau[rows],
        }
        moved = {}
        for name, x in recorded.items():
            side: Bounds = getattr(self.region, name)
            noise = 2 * torch.rand(x.shape, generator=generator, dtype=torch.float64) - 1
            x = x + _JITTER * side.half_width * noise
            moved[name] = side.centre + factors.get(name, torch.ones(n, 1)) * (x - side.centre)
        return sampling.Batch(
            kinematics.integrate(self.robot, neutral, moved["q"], 1.0), moved["v"], moved["tau"]
        )
