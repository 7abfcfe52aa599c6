"""States that are met on the way: rollouts under smooth random joint forces, cut to a region."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from discover.errors import RegionError
from discover.region import Region
from discover.sampling import Batch, distance, sample
from kinematics import Robot, simulate

STEPS = 100
WAVES = 4
LEAST = 1.5  # mean length in samples
# Periods of the joint forces as fractions of a rollout, so that both slow pushes and shakes occur.
PERIODS = (0.2, 2.0)


class Rollouts(NamedTuple):
    """Samples along trajectories: batch (B, ...), a (B, nv), trajectory (B,), t (B,) [s], and
    where one step of dt with the same joint force leads: q_next (B, nq), v_next (B, nv)."""

    batch: Batch
    a: Tensor
    trajectory: Tensor
    t: Tensor
    q_next: Tensor
    v_next: Tensor


def rollouts(region: Region, robot: Robot, n: int, seed: int, dt: float = 0.01) -> Rollouts:
    """n samples from rollouts that start anywhere in the region and end where they leave it.

    Joint forces are sums of sines that stay in the region, held over each step of dt [s]; the
    integrator is RK4. Every trajectory has at least one sample and at most 100. Raises RegionError
    where they hardly begin before they leave, since such samples are no trajectories.
    """
    box = region.resolve(robot.nv)
    rng = np.random.default_rng(seed)
    found: list[Rollouts] = []
    count = trajectories = 0
    length = 20.0
    while count < n:
        runs = max(8, math.ceil(1.1 * (n - count) / length))
        start = sample(box, robot, runs, int(rng.integers(2**32)))
        tau = _forces(box, runs, rng)
        path = simulate(robot, start.q, start.v, tau, dt, STEPS)
        part = _cut(path.q, path.v, path.a, tau, dt, box, robot, trajectories)
        found.append(part)
        count += len(part.t)
        trajectories += runs
        length = count / trajectories
        if length < LEAST:
            raise RegionError(
                f"sample: rollouts leave the region after {length:.2f} steps of {dt:g} s; "
                "widen the region or make data.dt smaller"
            )
    joined = [torch.cat(parts) for parts in zip(*((*p.batch, *p[1:]) for p in found), strict=True)]
    q, v, tau_, *rest = (x[:n] for x in joined)
    return Rollouts(Batch(q, v, tau_), *rest)


def _forces(box: Region, runs: int, rng: np.random.Generator) -> Tensor:
    """Smooth joint forces (STEPS, runs, nv) within the region."""
    shape = (WAVES, 1, runs, box.tau.low.shape[0])
    time = np.arange(STEPS)[:, None, None] / STEPS
    cycles = 1 / rng.uniform(*PERIODS, shape)
    waves = np.sin(2 * math.pi * (cycles * time + rng.uniform(size=shape)))
    shares = rng.dirichlet(np.ones(WAVES), shape[1:]).transpose(3, 0, 1, 2)
    strength = rng.uniform(0.2, 1.0, shape[1:])
    unit = torch.from_numpy((waves * shares).sum(0) * strength)
    return box.tau.centre + box.tau.half_width * unit


def _cut(
    q: Tensor, v: Tensor, a: Tensor, tau: Tensor, dt: float, box: Region, robot: Robot, first: int
) -> Rollouts:
    """The samples before each trajectory's first step outside, trajectory by trajectory."""
    steps, runs = tau.shape[:2]
    flat = Batch(*(x[:steps].reshape(steps * runs, -1) for x in (q, v, tau)))
    inside = (distance(box, robot, flat).joint <= 1).reshape(steps, runs)
    kept = inside.long().cumprod(0).bool().T  # (runs, steps): one trajectory after the other

    def pick(x: Tensor) -> Tensor:
        return x.transpose(0, 1)[kept]

    run, step = kept.nonzero().T
    return Rollouts(
        batch=Batch(pick(q[:steps]), pick(v[:steps]), pick(tau)),
        a=pick(a[:steps]),
        trajectory=run + first,
        t=step.double() * dt,
        q_next=pick(q[1:]),
        v_next=pick(v[1:]),
    )
