"""Where to ask: designs inside a region, shells around it, and the distance from it.

Distances are in half-widths of the region and use the largest coordinate (the max-norm): 1.0 is
the region's edge. Draws come from numpy's generator, so a seed gives the same points on any device.

States that are met on the way: rollouts under smooth random joint forces, cut to a region.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from discover.blackbox.region import GROUPS, Region
from discover.errors import RegionError

if TYPE_CHECKING:
    from kinematics import Robot
from kinematics import Robot, simulate

DESIGNS = ("box", "sobol", "full_circle", "hole", "trajectories")
AXES = ("joint", *GROUPS)
HOLE = 0.5

Array = NDArray[np.float64]


class Batch(NamedTuple):
    """States and what is commanded there: q (B, nq), v (B, nv), and tau (B, nv), the joint forces,
    or (B, nu), the controls of a region that names controls."""

    q: Tensor
    v: Tensor
    tau: Tensor


class Distance(NamedTuple):
    """Distance from the region's centre in half-widths, each (B,); joint is the largest of all."""

    joint: Tensor
    q: Tensor
    v: Tensor
    tau: Tensor


def sample(
    region: Region,
    robot: Robot | int,
    n: int,
    seed: int,
    design: str = "box",
    *,
    hole: float = HOLE,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Batch:
    """n states in the region, by one of the designs.

    - `box`: independent and uniform; `sobol`: scrambled low-discrepancy points;
    - `full_circle`: as `box`, but every angle is uniform over a full turn about its centre;
    - `hole`: as `box`, without the q whose distance from the centre is below `hole` half-widths;
    - `trajectories`: states met in rollouts under smooth random joint forces, cut to the region
      (see `discover.blackbox.sampling`).

    robot is a Robot, or nv for a robot of which nothing is known but nq == nv (every coordinate
    then counts as an angle). Raises RegionError where the region does not fit or the design is
    unknown.
    """
    if n < 1:
        raise RegionError(f"sample: expected at least one sample, found {n}")
    nv = _nv(robot)
    box = _resolved(region, nv)
    width = _columns(box)[-1].stop
    rng = np.random.default_rng(seed)
    if design == "trajectories":
        if isinstance(robot, int):
            raise RegionError("sample: the design 'trajectories' needs a robot, found only nv")

        states = rollouts(box, robot, n, seed)
        return Batch(*(x.to(dtype=dtype, device=device) for x in states.batch))
    if design == "sobol":
        from scipy.stats import qmc  # a second, for one design

        with warnings.catch_warnings():
            # scipy warns where n is no power of two; the balance of a prefix is still good.
            warnings.simplefilter("ignore", UserWarning)
            unit = 2 * qmc.Sobol(width, scramble=True, seed=rng).random(n) - 1
    else:
        unit = rng.uniform(-1.0, 1.0, (n, width))
    if design == "full_circle":
        half = box.q.half_width.numpy()
        unit[:, :nv] *= np.where(_angles(robot, nv), math.pi / half, 1.0)
    elif design == "hole":
        if not 0 < hole < 1:
            raise RegionError(f"sample: expected a hole between 0 and 1 half-widths, found {hole}")
        # Uniform in the box without its middle: the volume within r grows as r^nv.
        radius = (hole**nv + rng.uniform(size=n) * (1 - hole**nv)) ** (1 / nv)
        unit[:, :nv] = _surface(rng, n, nv) * radius[:, None]
    elif design not in DESIGNS:
        raise RegionError(f"sample: expected a design of {', '.join(DESIGNS)}, found {design!r}")
    return _place(box, robot, unit, dtype, device)


def shell(
    region: Region,
    robot: Robot | int,
    n: int,
    inner: float,
    outer: float,
    axis: str = "joint",
    seed: int = 0,
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Batch:
    """n states whose distance from the region's centre is between inner and outer half-widths.

    The distance r is uniform in [inner, outer]. For `axis="joint"` each of q, v and tau lies on
    the surface of its own box of r half-widths, in a direction uniform on that surface, so all
    three groups leave the region together. For `axis="q"`, `"v"` or `"tau"` only that group does;
    the others stay uniform inside the region. Inner may be 0.
    """
    if not (0 <= inner < outer and math.isfinite(outer)):
        raise RegionError(f"shell: expected 0 <= inner < outer, found {inner} and {outer}")
    if axis not in AXES:
        raise RegionError(f"shell: expected an axis of {', '.join(AXES)}, found {axis!r}")
    if n < 1:
        raise RegionError(f"shell: expected at least one sample, found {n}")
    nv = _nv(robot)
    box = _resolved(region, nv)
    rng = np.random.default_rng(seed)
    unit = rng.uniform(-1.0, 1.0, (n, _columns(box)[-1].stop))
    radius = rng.uniform(inner, outer, (n, 1))
    for group, columns in zip(GROUPS, _columns(box), strict=True):
        if axis in ("joint", group) and columns.stop > columns.start:
            unit[:, columns] = _surface(rng, n, columns.stop - columns.start) * radius
    return _place(box, robot, unit, dtype, device)


def distance(region: Region, robot: Robot | int, batch: Batch) -> Distance:
    """How far each state of the batch is from the region's centre, in half-widths (max-norm)."""
    nv = _nv(robot)
    box = _resolved(region, nv)
    offset = torch.as_tensor(batch.q)
    if not isinstance(robot, int) and robot.nq != robot.nv:
        from kinematics import difference

        neutral = robot.neutral().to(offset)
        offset = difference(robot, neutral.expand_as(offset), offset)
    groups = []
    for group, values in zip(GROUPS, (offset, batch.v, batch.tau), strict=True):
        bounds = getattr(box, group)
        values = torch.as_tensor(values)
        from_centre = values - bounds.centre.to(values)
        groups.append((from_centre.abs() / bounds.half_width.to(values)).amax(-1))
    return Distance(torch.stack(groups).amax(0), *groups)


def _nv(robot: Robot | int) -> int:
    return robot if isinstance(robot, int) else robot.nv


def _resolved(region: Region, nv: int) -> Region:
    """The region with one value a coordinate, and one a control where it has controls."""
    return region.resolve(nv, nv if region.u is None else region.nu)


def _columns(box: Region) -> tuple[slice, slice, slice]:
    """Which columns of a draw belong to q, v and what is commanded."""
    nv, nu = box.nv, box.nu
    assert nv is not None
    assert nu is not None
    return slice(0, nv), slice(nv, 2 * nv), slice(2 * nv, 2 * nv + nu)


def _surface(rng: np.random.Generator, n: int, dimensions: int) -> Array:
    """n points uniform on the surface of the cube [-1, 1]^dimensions."""
    points = rng.uniform(-1.0, 1.0, (n, dimensions))
    rows = np.arange(n)
    points[rows, rng.integers(dimensions, size=n)] = rng.choice([-1.0, 1.0], n)
    return points


def _angles(robot: Robot | int, nv: int) -> NDArray[np.bool_]:
    """Which velocity coordinates belong to a joint with one angle."""
    if isinstance(robot, int):
        return np.ones(nv, dtype=bool)
    angles = np.zeros(nv, dtype=bool)
    for name, kind in zip(robot.independent_names, robot.independent_kinds, strict=True):
        angles[robot.v_slice(name)] = kind in ("revolute", "continuous")
    return angles


def _place(
    box: Region,
    robot: Robot | int,
    unit: Array,
    dtype: torch.dtype,
    device: torch.device | str,
) -> Batch:
    """Map (n, 2 nv + nu) coordinates in half-widths to states; q goes through the tangent space."""
    placed = []
    for group, columns in zip(GROUPS, _columns(box), strict=True):
        bounds = getattr(box, group)
        part = torch.from_numpy(np.ascontiguousarray(unit[:, columns]))
        placed.append(bounds.centre + bounds.half_width * part)
    q, v, tau = placed
    if not isinstance(robot, int) and robot.nq != robot.nv:
        from kinematics import integrate

        neutral = robot.neutral().to(q)
        q = integrate(robot, neutral.expand(q.shape[0], robot.nq), q, 1.0)
    return Batch(*(x.to(dtype=dtype, device=device) for x in (q, v, tau)))


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
