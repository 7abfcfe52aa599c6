"""States where contact begins, to the last digit, between free and touching ones.

Where the impulse grows from zero (hard contact, springs) the secant through two touching answers
meets the boundary almost exactly, and two questions close to it cut the bracket a thousandfold;
where it jumps, as of a damper that acts from the first touch, brackets are cut in three.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

import kinematics
from discover.blackbox.sampling import Batch
from discover.contacts.free_law import Asked
from kinematics import Robot

ROUNDS = 34  # a third of the bracket each, where the secant never helps: 1e-16 of it
_CLOSE = 1e-3  # of the bracket, to both sides of where the secant meets the boundary
_DONE = 2e-13  # of the path


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """States between free and touching: batch (n), their path's ends, where on it (n,), the size of
    the jump just beyond (n,) in cuts, and how far along the path that was asked (n,)."""

    batch: Batch
    ends: tuple[Batch, Batch]
    share: Tensor
    beyond: Tensor

    def __len__(self) -> int:
        return len(self.share)

    def __getitem__(self, rows: Tensor) -> Boundary:
        def pick(b: Batch) -> Batch:
            return Batch(*(x[rows] for x in b))

        return Boundary(
            batch=pick(self.batch), ends=(pick(self.ends[0]), pick(self.ends[1])),
            share=self.share[rows], beyond=self.beyond[rows],
        )  # fmt: skip

    @staticmethod
    def concat(parts: list[Boundary]) -> Boundary:
        """All rows, in order."""
        return Boundary(
            batch=joined([p.batch for p in parts]),
            ends=(joined([p.ends[0] for p in parts]), joined([p.ends[1] for p in parts])),
            share=torch.cat([p.share for p in parts]),
            beyond=torch.cat([p.beyond for p in parts]),
        )


def joined(batches: list[Batch]) -> Batch:
    """All rows of batches, in order."""
    return Batch(*(torch.cat(x) for x in zip(*batches, strict=True)))


def along(robot: Robot, ends: tuple[Batch, Batch], share: Tensor) -> Batch:
    """States (n) on the straight paths between two ends (n), at shares (n,)."""
    one, two = ends
    s = share[:, None]
    way = kinematics.difference(robot, one.q, two.q)
    return Batch(
        kinematics.integrate(robot, one.q, s * way, 1.0),
        one.v + s * (two.v - one.v),
        one.tau + s * (two.tau - one.tau),
    )


def find(asked: Asked, free: Batch, touching: Batch, rounds: int = ROUNDS) -> Boundary:
    """The boundary on each path from a free to a touching state (n)."""
    robot = asked.law.robot
    ends = (free, touching)
    n = len(free.q)
    low, high = torch.zeros(n, dtype=torch.float64), torch.ones(n, dtype=torch.float64)
    size = asked(touching).size
    further = torch.full_like(low, torch.nan)  # the touching answer before the nearest
    further_size = further.clone()
    for _ in range(rounds):
        open_ = (high - low > _DONE).nonzero()[:, 0]
        if not len(open_):
            break
        lo, hi = low[open_], high[open_]
        width = hi - lo
        # the size counts in cuts, so that it is zero at the boundary only up to the cut
        slope = (further_size[open_] - size[open_]) / (further[open_] - hi)
        guess = hi - size[open_] / slope
        near = (_CLOSE * width).clamp_min(_DONE / 4)
        good = guess.isfinite() & (guess > lo) & (guess < hi) & (slope > 0)
        one = torch.where(good, (guess - near).clamp_min(lo), lo + width / 3)
        two = torch.where(good, (guess + near).clamp_max(hi), lo + 2 * width / 3)
        both = torch.cat((one, two))
        rows = torch.cat((open_, open_))
        picked = tuple(Batch(*(x[rows] for x in end)) for end in ends)
        met = asked(along(robot, picked, both))  # type: ignore[arg-type]
        for share, each in zip((two, one), met.size.reshape(2, -1).flip(0), strict=True):
            inside = (share > low[open_]) & (share < high[open_])
            hit = inside & (each > 1)
            at = open_[hit]
            further[at], further_size[at] = high[at], size[at]
            high[at], size[at] = share[hit], each[hit]
            miss = inside & (each <= 1)
            low[open_[miss]] = share[miss]
    share = (low + high) / 2
    return Boundary(batch=along(robot, ends, share), ends=ends, share=share, beyond=size)


def beside(
    asked: Asked,
    found: Boundary,
    radius: Tensor,
    count: int,
    seed: int,
    *,
    moving: Tensor | None = None,
) -> Boundary:
    """Boundary states near one (found has one row): displaced by up to `radius` (nv,), with
    velocities up to `moving` (nv,), each sought along the direction of the first one's path."""
    robot = asked.law.robot
    generator = torch.Generator().manual_seed(seed)
    way = kinematics.difference(robot, found.ends[0].q, found.ends[1].q)
    # into the contact, as long as the largest displacement: in units of the radius
    way = way / (way / radius).norm().clamp_min(1e-300)

    def draw(width: Tensor) -> Tensor:
        return width * (
            2 * torch.rand(count, robot.nv, generator=generator, dtype=torch.float64) - 1
        )

    q = kinematics.integrate(robot, found.batch.q.expand(count, -1), draw(radius), 1.0)
    v = found.batch.v.expand(count, -1) + (0.0 if moving is None else draw(moving))
    tau = found.batch.tau.expand(count, -1)
    kept = []
    left = torch.arange(count)
    for reach in (2.0, 6.0):
        sides = [
            Batch(
                kinematics.integrate(
                    robot, q[left], sign * reach * way.expand(len(left), -1), 1.0
                ),
                v[left],
                tau[left],
            )
            for sign in (-1.0, 1.0)
        ]  # fmt: skip
        touching = asked(joined(sides)).touching.reshape(2, -1)
        good = ~touching[0] & touching[1]
        if bool(good.any()):
            ends = [Batch(*(x[good] for x in side)) for side in sides]
            kept.append(find(asked, ends[0], ends[1]))
        left = left[~good]
        if not len(left):
            break
    return Boundary.concat(kept) if kept else found[torch.zeros(0, dtype=torch.long)]
