"""Surrogates of muscle geometry: polynomials and networks from configurations to lengths.

They are trained on lengths alone, and their moment arms are the lengths' own slopes, r = -∂L/∂q, so
that they are integrable whatever they have learned. `surrogate_table` says what they cost and miss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import comb
from typing import Any

import torch
from torch import Tensor

from discover.blackbox.region import Region
from discover.errors import ModelError
from discover.numerics import least_squares
from discover.records import Stored
from kinematics.muscles.geometry import moment_arms, muscle_lengths
from kinematics.robot.tree import Robot

_BATCH = 256
_MOST = 200_000  # coefficients of a polynomial, over all its samples


@dataclass(frozen=True, kw_only=True, eq=False)
class Surrogate:
    """A model q (..., nv) -> lengths (..., nm) [m] of a region.

    of_unit     lengths (n, nm) of configurations in the region's half-widths (n, nv)
    coefficients    numbers a muscle
    """

    of_unit: Callable[[Tensor], Tensor]
    centre: Tensor
    half: Tensor
    coefficients: int
    name: str

    def __call__(self, q: Any) -> Tensor:
        """Lengths [m]."""
        q = torch.as_tensor(q, dtype=torch.float64)
        x = (q.reshape(-1, q.shape[-1]) - self.centre) / self.half
        out = self.of_unit(x)
        return out.reshape(*q.shape[:-1], out.shape[-1])

    def with_arms(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Lengths (n, nm) and moment arms (n, nm, nv) [m] by differentiation."""
        with torch.enable_grad():
            q = q.detach().to(torch.float64).requires_grad_()
            L = self(q)
            slopes = [
                torch.autograd.grad(L[:, i].sum(), q, retain_graph=True)[0]
                for i in range(L.shape[1])
            ]
        return L.detach(), -torch.stack(slopes, 1)


@dataclass(frozen=True, kw_only=True)
class SurrogateRow(Stored):
    """What one surrogate costs and misses, on fresh configurations in the region.

    length      rms over the muscles' range, of all muscles [1]
    arm_median, arm_upper, arm_worst    by muscle, rms of the moment arms about the joints that it
                crosses over their largest: the median, the upper quartile and the worst muscle
    close       share of the muscles below 1 %
    """

    name: str
    coefficients: int
    samples: int
    length: float
    arm_median: float
    arm_upper: float
    arm_worst: float
    close: float


def polynomial(
    lengths: Callable[[Tensor], Tensor], region: Any, nv: int, degree: int, samples: int,
    seed: int = 0,
) -> Surrogate:  # fmt: skip
    """A polynomial of a total degree in all nv joints, by least squares. Raises ModelError where
    samples are fewer than its coefficients."""
    count = comb(nv + degree, degree)
    if count > samples or count * samples > _MOST * 100:
        raise ModelError(
            f"expected at least as many samples as coefficients, of a size that fits, found "
            f"{samples} and {count} (degree {degree} in {nv} joints); lower the degree"
        )
    centre, half, x = _drawn(region, nv, samples, seed)
    y = lengths(centre + half * x)
    powers = _powers(nv, degree)
    c = least_squares(_terms(x, powers), y)
    return Surrogate(
        of_unit=lambda z: _terms(z, powers) @ c, centre=centre, half=half, coefficients=count,
        name=f"degree {degree}",
    )  # fmt: skip


def network(
    lengths: Callable[[Tensor], Tensor], region: Any, nv: int, widths: Sequence[int], samples: int,
    *, steps: int = 4000, seed: int = 0,
) -> Surrogate:  # fmt: skip
    """Layers of tanh, trained on lengths by Adam with a falling rate."""
    centre, half, x = _drawn(region, nv, samples, seed)
    y = lengths(centre + half * x)
    mean, size = y.mean(0), y.std(0).clamp_min(1e-12)
    target = (y - mean) / size
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers: list[torch.nn.Module] = []
        for a, b in zip((nv, *widths[:-1]), widths, strict=True):
            layers += [torch.nn.Linear(a, b), torch.nn.Tanh()]
        net = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], y.shape[1])).double()
        optimiser = torch.optim.Adam(net.parameters(), 3e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(steps):
            batch = torch.randint(samples, (min(_BATCH, samples),))
            optimiser.zero_grad()
            ((net(x[batch]) - target[batch]) ** 2).mean().backward()
            optimiser.step()
            schedule.step()
    net.requires_grad_(False)
    return Surrogate(
        of_unit=lambda z: mean + size * net(z), centre=centre, half=half,
        coefficients=sum(p.numel() for p in net.parameters()), name=f"network {list(widths)}",
    )  # fmt: skip


def surrogate_table(
    robot: Robot, region: Any, degrees: Sequence[int] = (2, 3, 4, 5, 6), samples: int = 1000,
    seed: int = 0,
) -> list[SurrogateRow]:  # fmt: skip
    """Polynomials of the lengths of a robot's muscles: degree by error."""

    def lengths(q: Tensor) -> Tensor:
        return muscle_lengths(robot, q)

    return [
        measured(polynomial(lengths, region, robot.nv, d, samples, seed), robot, samples)
        for d in degrees
    ]


def measured(surrogate: Surrogate, robot: Robot, samples: int, n: int = 500) -> SurrogateRow:
    """A surrogate against the robot's own muscles, on n fresh configurations."""
    generator = torch.Generator().manual_seed(99)
    x = 2 * torch.rand(n, robot.nv, generator=generator, dtype=torch.float64) - 1
    q = surrogate.centre + surrogate.half * x
    L, r = surrogate.with_arms(q)
    true, arms = muscle_lengths(robot, q), moment_arms(robot, q)
    span = (true.amax(0) - true.amin(0)).clamp_min(1e-12)
    size = arms.abs().amax((0, 2)).clamp_min(1e-12)
    crossed = arms.abs().amax(0) > 1e-12  # (nm, nv)
    square = ((r - arms) ** 2).mean(0) * crossed
    miss = (square.sum(1) / crossed.sum(1).clamp_min(1)).sqrt() / size
    return SurrogateRow(
        name=surrogate.name,
        coefficients=surrogate.coefficients,
        samples=samples,
        length=float((((L - true) / span) ** 2).mean().sqrt()),
        arm_median=float(miss.median()),
        arm_upper=float(miss.quantile(0.75)),
        arm_worst=float(miss.max()),
        close=float((miss < 0.01).double().mean()),
    )


def _drawn(region: Any, nv: int, samples: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """The box's centre and half-widths, and samples in half-widths."""
    side = region.q if isinstance(region, Region) else region
    box = Region(q=side, v=1.0, tau=1.0).resolve(nv).q
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(samples, nv, generator=generator, dtype=torch.float64) - 1
    return box.centre.double(), box.half_width.double(), x


def _powers(nv: int, degree: int) -> list[tuple[int, ...]]:
    return [c for d in range(degree + 1) for c in combinations_with_replacement(range(nv), d)]


def _terms(x: Tensor, powers: list[tuple[int, ...]]) -> Tensor:
    """Products (n, ·) of Chebyshev polynomials, which keep least squares well conditioned."""
    degree = max(map(len, powers), default=0)
    T = [torch.ones_like(x), x]
    for _ in range(2, degree + 1):
        T.append(2 * x * T[-1] - T[-2])
    columns = []
    for joints in powers:
        term = torch.ones_like(x[:, 0])
        for j in set(joints):
            term = term * T[joints.count(j)][:, j]
        columns.append(term)
    return torch.stack(columns, 1)
