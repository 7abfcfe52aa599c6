"""Designed touches of one surface at a time, and what they show of the law of touch.

States are moved to a wanted gap of one surface, all others clear, with a wanted approach. From the
answers follow the contact impulse λ (normal, two tangents; least squares in p = Jᵀ λ) and
velocities at the contact before, after, and after free motion. Restitution, friction and stiffness
are then regressions on numbers that were measured, none of which needs a simulator.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

import kinematics
from discover import numerics
from discover.blackbox.sampling import Batch
from discover.contacts.free_law import Asked
from discover.contacts.gaps import Gap
from discover.contacts.moving import Motion
from discover.contacts.surfaces import Search, Surface

_PROJECTIONS = 8  # Newton steps to a wanted gap
_CLEAR = 1.5  # steps of approach that the other surfaces are away
_RANK = 1e-7
_FRICTION = 1e-3  # share of an impulse that no limit gives: it rubs, and is a floor
_EXPLAINED = 1e-7  # share of an impulse that one force leaves: rounding


@dataclass(frozen=True, kw_only=True)
class Touches:
    """n touches of one surface each. Velocities (n, 3) along normal and tangents [m/s].

    gap (n,) at the start of the step, as `timing` has it too (`closing`); before, free, after:
    contact velocities at the start, after free motion, after the step; impulse (n, 3) [N·s];
    unexplained (n,) share of the generalised impulse that no λ gives; delassus (n, 3, 3) J H⁻¹ Jᵀ;
    batch, and the surface's number (n,)
    """

    batch: Batch
    surface: Tensor
    gap: Tensor
    before: Tensor
    free: Tensor
    after: Tensor
    impulse: Tensor
    unexplained: Tensor
    delassus: Tensor
    jump: Tensor
    dt: float

    def __len__(self) -> int:
        return len(self.gap)

    def __getitem__(self, rows: Tensor) -> Touches:
        return Touches(
            batch=Batch(*(x[rows] for x in self.batch)),
            dt=self.dt,
            **{
                n: getattr(self, n)[rows]
                for n in (
                    "surface", "gap", "before", "free", "after", "impulse", "unexplained",
                    "delassus", "jump",
                )
            },
        )  # fmt: skip

    @staticmethod
    def concat(parts: list[Touches]) -> Touches:
        """All rows, in order."""
        names = ("surface", "gap", "before", "free", "after", "impulse", "unexplained",
                 "delassus", "jump")  # fmt: skip
        return Touches(
            batch=Batch(*(torch.cat(x) for x in zip(*(p.batch for p in parts), strict=True))),
            dt=parts[0].dt,
            **{n: torch.cat([getattr(p, n) for p in parts]) for n in names},
        )

    @property
    def normal(self) -> Tensor:
        """(n,) normal impulse [N·s]."""
        return self.impulse[:, 0]

    @property
    def friction(self) -> Tensor:
        """(n,) size of the tangential impulse [N·s]."""
        return self.impulse[:, 1:].norm(dim=-1)

    @property
    def slip(self) -> Tensor:
        """(n,) tangential speed after the step [m/s]."""
        return self.after[:, 1:].norm(dim=-1)


def designed(
    search: Search, surfaces: list[Surface], kind: str, count: int, seed: int, speed: float = 1.0
) -> Touches | None:
    """Touches of each surface: kind "impact" (just outside, fast enough to close the gap within the
    step) or "depth" (inside, slow and fast, coming and going); None where no state came out."""
    parts = []
    for number in range(len(surfaces)):
        batch = _states(search, surfaces, number, kind, count, seed + 17 * number, speed)
        if batch is not None:
            touches = measured(search.asked, surfaces, number, batch)
            if len(touches):
                parts.append(touches)
    return Touches.concat(parts) if parts else None


def _states(
    search: Search, surfaces: list[Surface], number: int, kind: str, count: int, seed: int,
    speed: float,
) -> Batch | None:  # fmt: skip
    law, robot = search.asked.law, search.asked.law.robot
    gap, dt = surfaces[number].gap, law.dt
    generator = torch.Generator().manual_seed(seed)

    def unit(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    rows = torch.randperm(len(search.batch.q), generator=generator)[: 4 * count]
    q, tau = search.batch.q[rows], search.batch.tau[rows]
    n = len(q)
    v = speed * search.half_v * (2 * unit(n, robot.nv) - 1)
    motion = Motion.standing(law, q, v)
    rates = (gap.jacobian(motion)[:, 0] * v).sum(-1).abs()
    typical = float(rates.median()) + 1e-12
    deep = float(-gap.value(search.motion, "now").min())
    deep = min(max(deep, 4 * typical * dt), 20 * typical * dt)
    u = typical * (0.2 + 1.3 * unit(n))
    if kind == "impact":
        want = 0.3 * u * dt * unit(n)
    else:
        want = -deep * (10.0 ** (-2.0 * unit(n)))
        u = typical * torch.where(unit(n) < 0.3, 0.0, 2 * unit(n) - 0.7)
    for _ in range(_PROJECTIONS):
        motion = Motion.standing(law, q, v)
        g = gap.jacobian(motion)[:, 0] * search.half_q
        step = (want - gap.value(motion, "now"))[:, None] * g
        step = step / g.square().sum(-1, keepdim=True).clamp_min(1e-300) * search.half_q
        limit = (step / search.half_q).abs().amax(-1, keepdim=True).clamp_min(0.3) / 0.3
        q = kinematics.integrate(robot, q, step / limit, 1.0)
    motion = Motion.standing(law, q, v)
    J = gap.jacobian(motion)
    slow = torch.where(unit(n, 1) < 0.5, 1.0, 10.0 ** (-2.5 * unit(n, 1))) * (unit(n, 1) > 0.15)
    now = (J @ v[..., None])[..., 0]
    aim = torch.cat((-u[:, None], slow * now[:, 1:]), 1)
    change = torch.linalg.pinv(J * search.half_v, rtol=_RANK) @ (aim - now)[..., None]
    v = v + search.half_v * change[..., 0]
    motion = Motion.of(law, q, v, tau)
    good = (gap.value(motion, "now") - want).abs() < 1e-6 * max(deep, typical * dt)
    good &= (v.abs() <= 3 * speed * search.half_v).all(-1)
    for other, surface in enumerate(surfaces):
        if other != number:
            near = torch.minimum(
                surface.gap.value(motion, "now"), surface.gap.value(motion, "linearised")
            )
            good &= near > _CLEAR * u.abs() * dt
    rows = good.nonzero()[:count, 0]
    return Batch(q[rows], v[rows], tau[rows]) if len(rows) else None


def with_levers(search: Search, surfaces: list[Surface], seed: int) -> list[Surface]:
    """The surfaces with the place where forces act: the radius of each body about its point, the
    lever of friction, which gaps to one plane do not show, and where within an overlap. Left as
    they
    are where the impulses explain themselves."""
    out = []
    for number, surface in enumerate(surfaces):
        if surface.rival is not None:
            batch = _states(search, surfaces, number, "impact", 24, seed + number, 1.0)
            if batch is not None:
                seen = measured(search.asked, surfaces, number, batch)
                if len(seen) and float(seen.unexplained.max()) > _FRICTION:
                    robot = search.asked.law.robot
                    surface = surface.as_plane((*robot.body_names, "world"))
                    surfaces = [*surfaces[:number], surface, *surfaces[number + 1 :]]
        found = surface
        if surface.gap.kind == "plane":
            for kind in ("impact", "depth"):
                batch = _states(search, surfaces, number, kind, 24, seed + number, 1.0)
                gap = None if batch is None else _lever(search.asked, surface.gap, batch)
                if gap is not None:
                    found = replace(surface, gap=gap)
                    break
        out.append(found)
    return out


def _lever(asked: Asked, gap: Gap, batch: Batch) -> Gap | None:
    """The gap whose one force explains the answers; None where none does much better than it."""
    met = asked(batch)
    rows = met.touching.nonzero()[:, 0]
    if len(rows) < 8:
        return None
    motion = Motion.of(asked.law, *(x[rows] for x in batch))
    half = torch.linalg.cholesky(asked.law.mass(motion.q))
    jump = half.mT @ met.jump[rows][..., None]

    def left(at: Gap) -> float:
        across = torch.linalg.solve_triangular(half, at.jacobian(motion).mT, upper=False)
        square = across.mT @ across
        square = square + 1e-13 * torch.eye(3, dtype=square.dtype) * square.abs().amax()
        rest = jump - across @ torch.linalg.solve(square, across.mT @ jump)
        return float((rest.square().sum(1) / jump.square().sum(1)).mean().sqrt())

    plain = left(gap)
    if plain < _EXPLAINED:
        return None
    found = []
    for between in (0.5, 0.0, 1.0):
        sizes = [0.0, *(10.0 ** (-3.5 + 0.2 * k) for k in range(20))]
        best = min(sizes, key=lambda r: left(replace(gap, radius=r, between=between)))
        low, high = best / 1.6, best * 1.6
        for _ in range(45 if best else 0):
            one, two = high - 0.618034 * (high - low), low + 0.618034 * (high - low)
            nearer = left(replace(gap, radius=one, between=between)) < left(
                replace(gap, radius=two, between=between)
            )
            low, high = (low, two) if nearer else (one, high)
        at = replace(gap, radius=(low + high) / 2 if best else 0.0, between=between)
        found.append((left(at), at))
        if found[-1][0] < _EXPLAINED:
            break
    error, at = min(found, key=lambda x: x[0])
    return at if error < 0.2 * plain else None


def measured(asked: Asked, surfaces: list[Surface], number: int, batch: Batch) -> Touches:
    """The model's answers to states at one surface, as touches."""
    law = asked.law
    met = asked(batch)
    motion = Motion.of(law, *batch)
    gap = surfaces[number].gap
    J = gap.jacobian(motion)
    p = asked.impulse(met)
    H = law.mass(batch.q)
    A = J @ torch.linalg.solve(H, J.mT)
    # in the metric of H⁻¹, so that what λ cannot give is measured as a velocity
    half = torch.linalg.cholesky(H)
    rows = torch.linalg.solve_triangular(half, J.mT, upper=False)
    aim = torch.linalg.solve_triangular(half, p[..., None], upper=False)
    impulse = torch.linalg.pinv(rows, rtol=_RANK) @ aim
    rest = (aim - rows @ impulse)[..., 0].norm(dim=-1) / aim[..., 0].norm(dim=-1).clamp_min(1e-300)

    def at(v: Tensor) -> Tensor:
        return (J @ v[..., None])[..., 0]

    kept = met.touching
    touches = Touches(
        batch=batch,
        surface=torch.full((len(batch.q),), number),
        gap=gap.value(motion, "now"),
        before=at(batch.v),
        free=at(met.free),
        after=at(met.free + met.jump),
        impulse=impulse[..., 0],
        unexplained=torch.where(kept, rest, 0.0),
        delassus=A,
        jump=met.jump,
        dt=law.dt,
    )
    return touches[kept.nonzero()[:, 0]]


def regression(columns: list[Tensor], y: Tensor) -> tuple[Tensor, float]:
    """(coefficients, rms residual over rms of y) of y on columns (n,), with rows that fit far worse
    than half of them do left out."""
    A = torch.stack(columns, 1)
    rows = torch.ones(len(y), dtype=torch.bool)
    found = torch.zeros(A.shape[1], dtype=y.dtype)
    for _ in range(8):
        found = numerics.least_squares(A[rows], y[rows])
        r = (A @ found - y).abs()
        cut = 6 * float(r.median()) / 0.6745 + 1e-13 * float(y.abs().max())
        fresh = r <= cut
        if bool((fresh == rows).all()) or int(fresh.sum()) < max(6, 2 * A.shape[1]):
            break
        rows = fresh
    left = float((A @ found - y)[rows].square().mean().sqrt())
    share = float(rows.double().mean())
    return found, left / max(float(y[rows].square().mean().sqrt()), 1e-300) / max(share, 0.1)
