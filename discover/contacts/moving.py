"""Where bodies are and how they move over a step: what a gap can be measured from.

The gap of a contact may be taken at the start of a step ("now"), extrapolated over the step with
the velocity of free motion ("linearised"), or where free motion ends ("next"). In each case it is
the same function of a rotation and a place, so that a surface is fitted to all three alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from discover.contacts.free_law import FreeLaw
from kinematics import Robot
from kinematics.contact.placing import places
from kinematics.recursion.inputs import enter

TIMINGS = ("linearised", "next", "now")


@dataclass(frozen=True, kw_only=True)
class Poses:
    """Bodies and the base (the last of nb + 1) at n states.

    place (n, nb + 1, 3) [m], turn (n, nb + 1, 3, 3) to the base's axes; axes (n, nv, 6), the motion
    at the base's origin of what a joint carries; carries (nb + 1, nv)
    """

    place: Tensor
    turn: Tensor
    axes: Tensor
    carries: Tensor

    def twist(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Angular velocity and that at the base's origin (n, nb + 1, 3), of v (n, nv)."""
        each = self.carries[None, :, :, None] * (self.axes * v[..., None])[:, None]
        total = each.sum(2)
        return total[..., :3], total[..., 3:]

    def jacobian(self, body: int, at: Tensor) -> Tensor:
        """(n, 3, nv) of points at (n, 3) in the base's axes that move with a body."""
        turn, slide = self.axes[..., :3], self.axes[..., 3:]
        moved = slide + torch.linalg.cross(turn, at[:, None].expand_as(turn))
        return (moved * self.carries[body][:, None]).mT


def poses(robot: Robot, q: Tensor) -> Poses:
    """The poses at q (n, nq)."""
    found = places(enter(robot, q))
    return Poses(
        place=found.position.permute(2, 0, 1),
        turn=found.rotation.permute(3, 0, 1, 2),
        axes=found.axes.permute(2, 0, 1),
        carries=found.chain.carries,
    )


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A body as another sees it: place (n, 3) and turn (n, 3, 3) of its frame; a point c of it is
    at place + turn c, a linear function of c whatever the timing."""

    place: Tensor
    turn: Tensor

    def __getitem__(self, rows: Tensor) -> Seen:
        return Seen(place=self.place[rows], turn=self.turn[rows])

    def at(self, point: Tensor) -> Tensor:
        """(n, 3)"""
        return self.place + self.turn @ point


@dataclass(frozen=True, kw_only=True)
class Motion:
    """States and their free motion over one step: q, q' (n, nq), x_free (n, nv), poses at both."""

    q: Tensor
    q_next: Tensor
    free: Tensor
    dt: float
    robot: Robot
    now: Poses
    after: Poses

    @classmethod
    def of(cls, law: FreeLaw, q: Tensor, v: Tensor, tau: Tensor) -> Motion:
        """The free motion from states."""
        q_next, v_next = law.next(q, v, tau)
        free = law.carried(q, q_next, v_next)
        robot = law.robot
        return cls(
            q=q, q_next=q_next, free=free, dt=law.dt, robot=robot,
            now=poses(robot, q), after=poses(robot, q_next),
        )  # fmt: skip

    @classmethod
    def standing(cls, law: FreeLaw, q: Tensor, v: Tensor) -> Motion:
        """States whose free motion is not asked for: gaps now, and jacobians."""
        at = poses(law.robot, q)
        return cls(q=q, q_next=q, free=v, dt=law.dt, robot=law.robot, now=at, after=at)

    def seen(self, body: int, by: int, timing: str) -> Seen:
        """Body `body` in the frame of body `by`, at a timing of TIMINGS."""
        at = self.after if timing == "next" else self.now
        there, here = at.place[:, body], at.place[:, by]
        back = at.turn[:, by].mT
        apart = (there - here)[..., None]
        place, turn = (back @ apart)[..., 0], back @ at.turn[:, body]
        if timing != "linearised":
            return Seen(place=place, turn=turn)
        spin, slide = at.twist(self.free)
        rate = slide + torch.linalg.cross(spin, at.place)
        relative = rate[:, body] - rate[:, by] - torch.linalg.cross(spin[:, by], apart[..., 0])
        turning = torch.linalg.cross(
            (spin[:, body] - spin[:, by])[:, None].expand(-1, 3, -1), at.turn[:, body].mT, dim=-1
        ).mT
        return Seen(
            place=place + self.dt * (back @ relative[..., None])[..., 0],
            turn=turn + self.dt * (back @ turning),
        )

    def coordinate(self, dof: int, at: int, timing: str) -> Tensor:
        """(n,) a scalar joint's coordinate q[at], of velocity dof."""
        if timing == "next":
            return self.q_next[:, at]
        now = self.q[:, at]
        return now if timing == "now" else now + self.dt * self.free[:, dof]
