"""Motion from impact to impact: the instant of each is found, and is differentiable.

Steps of fixed length put an impact at the end of the step in which it falls, whatever the instant;
the gradient through them misses how that instant moves with the state (equal elastic balls, of
which each should leave with the other's motion, keep part of their own). Here flight is smooth up
to the root of a gap, the impulse acts there, and flight goes on for the rest of the time, shorter
by the time of impact. It is for few contacts: every element of a batch is followed by itself.
While bodies rest or slide on each other there are no events, and the hard law's steps are made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, overload

import torch
from torch import Tensor

from kinematics.algorithms.crba import crba
from kinematics.algorithms.simulate import rk4
from kinematics.contact.geometry import contacts
from kinematics.contact.law import Hard
from kinematics.contact.newton import solve
from kinematics.contact.problem import Problem
from kinematics.contact.rows import numbers, one_sided, own_inertia, pair_friction
from kinematics.contact.step import entered, step
from kinematics.errors import RobotError
from kinematics.robot.tree import Robot

ROOT = 60  # rounds of the search for a root
_COMPLIANCE = 1e-6  # of an impulse, whose share is taken out again by ...
_ROUNDS = 2  # ... rounds of multipliers
_TOUCH = 1e-9  # gap below which bodies touch [m], times the length of the state


@dataclass(frozen=True, kw_only=True)
class Impacts:
    """When impacts were: ``times`` (k,) [s] since the start, differentiable; ``names`` of what
    touched at each, as in `Scene.names`."""

    times: Tensor
    names: tuple[tuple[str, ...], ...]


@overload
def advance(
    robot: Robot, scene: Any, q: Any, v: Any, tau: Any, duration: Any, *,
    dt: float = 0.01, rest: float = 1e-3, impacts: int = 100, details: Literal[False] = False,
) -> tuple[Tensor, Tensor]: ...  # fmt: skip
@overload
def advance(
    robot: Robot, scene: Any, q: Any, v: Any, tau: Any, duration: Any, *,
    dt: float = 0.01, rest: float = 1e-3, impacts: int = 100, details: Literal[True],
) -> tuple[Tensor, Tensor, tuple[Impacts, ...]]: ...  # fmt: skip
def advance(
    robot: Robot, scene: Any, q: Any, v: Any, tau: Any, duration: Any, *,
    dt: float = 0.01, rest: float = 1e-3, impacts: int = 100, details: bool = False,
) -> tuple[Tensor, Tensor] | tuple[Tensor, Tensor, tuple[Impacts, ...]]:  # fmt: skip
    """The state (q, v) after ``duration`` [s], with the hard law's impacts at their instants.

    q (..., nq), v (..., nv), tau (..., nv) held, or None. Flight is stepped by RK4 of at most
    ``dt`` [s]; a gap that opens and closes again within one such step, or closes and opens, is not
    seen. Impacts slower than ``rest`` [m/s] do not rebound; where a contact rests, and after
    ``impacts`` impacts, steps of the hard law of at most ``dt`` follow. With ``details`` also the
    `Impacts` of each element of the flattened batch. Several contacts at one instant share one
    problem: a row of balls that touch is not passed through ball by ball. Raises RobotError.
    """
    q, v, tau, step_width = entered(robot, scene, q, v, tau, dt)
    law = scene.law
    if not isinstance(law, Hard):
        raise RobotError(
            f"expected a scene of the hard law for impacts, found {law!r}; "
            "give scene.replace(law=kinematics.contact.Hard(...))"
        )
    try:
        total = float(duration)
    except (TypeError, ValueError, RuntimeError):
        total = math.nan
    if not 0 <= total < math.inf or not 0 <= rest < math.inf:
        raise RobotError(
            f"expected a finite duration and rest >= 0, found {duration!r} and {rest!r}; "
            "give seconds and metres a second"
        )
    if robot.pi.ndim > 2:
        raise RobotError(
            f"expected one robot for all states, found pi of shape {tuple(robot.pi.shape)}; "
            "advance them one by one"
        )
    batch = q.shape[:-1]
    flat = [x.reshape(-1, x.shape[-1]) for x in (q, v, tau)]
    ends, met = [], []
    for own in zip(*flat, strict=True):
        course = _Course(robot, scene, law, own[2], step_width, float(rest), int(impacts))
        ends.append(course.follow(own[0], own[1], torch.as_tensor(duration).to(q)))
        met.append(course.met())
    if ends:
        q = torch.stack([x for x, _ in ends]).reshape(*batch, robot.nq)
        v = torch.stack([x for _, x in ends]).reshape(*batch, robot.nv)
    return (q, v, tuple(met)) if details else (q, v)


class _Course:
    """One state on its way, and the impacts so far."""

    def __init__(
        self, robot: Robot, scene: Any, law: Hard, tau: Tensor, dt: float, rest: float, impacts: int
    ) -> None:
        self.robot, self.scene, self.law, self.tau = robot, scene, law, tau
        self.dt, self.rest, self.left_impacts = dt, rest, impacts
        self.times: list[Tensor] = []
        self.names: list[tuple[str, ...]] = []
        self.number = numbers(robot, scene, tau)

    def met(self) -> Impacts:
        times = torch.stack(self.times) if self.times else self.tau.new_zeros(0)
        return Impacts(times=times, names=tuple(self.names))

    def follow(self, q: Tensor, v: Tensor, duration: Tensor) -> tuple[Tensor, Tensor]:
        """The state after ``duration``."""
        left, least = duration, 1e-12 * (float(duration.detach()) + self.dt)
        q, v, _ = self._collide(q, v)
        while float(left.detach()) > least:
            short = float(left.detach()) <= self.dt
            width = left if short else torch.full_like(left, self.dt)
            span = float(width.detach())
            if self.left_impacts <= 0 or self._resting(q, v):
                q, v = step(self.robot, self.scene, q, v, self.tau, span)
                left = left - width
                continue
            root = self._first_root(q, v, span)
            if root is None:
                q, v = self._flight(q, v, width)
                left = left - width
                continue
            time = self._recorded(q, v, *root)
            q, v = self._flight(q, v, time)
            left = left - time
            q, v, names = self._collide(q, v, root[1])
            self.left_impacts -= 1
            self.times.append(duration - left)
            self.names.append(names)
        return q, v

    def _flight(self, q: Tensor, v: Tensor, time: Any) -> tuple[Tensor, Tensor]:
        return rk4(self.robot, q, v, self.tau, time)

    def _gaps(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Gaps (n) of contacts and joint limits, and the Jacobian of contacts (nc, 3, nv) as rows
        (3 nc + limits, nv)."""
        met = contacts(self.robot, self.scene, q)
        distance, sides = one_sided(self.number, q)
        return torch.cat((met.gap, distance)), torch.cat((met.jacobian.flatten(0, 1), sides))

    def _normals(self, rows: Tensor) -> Tensor:
        """Of the rows of `_gaps` those along which gaps open (n, nv)."""
        nc = self.scene.nc
        return torch.cat((rows[: 3 * nc : 3], rows[3 * nc :]))

    def _touch(self, q: Tensor) -> float:
        return max(_TOUCH, 100 * torch.finfo(q.dtype).eps) * (1 + float(q.detach().abs().max()))

    @torch.no_grad()
    def _resting(self, q: Tensor, v: Tensor) -> bool:
        """Whether a contact is closed, not opening, and pressed together."""
        gap, rows = self._gaps(q)
        normals = self._normals(rows)
        near = gap < self._touch(q)
        if not bool(near.any()):
            return False
        slow = near & ((normals @ v) <= self.rest)
        if not bool(slow.any()):
            return False
        ahead, _ = self._gaps(self._flight(q, v, 1e-3 * self.dt)[0])
        rounding = 500 * torch.finfo(q.dtype).eps * (1 + float(q.detach().abs().max()))
        return bool((ahead < gap - rounding)[slow].any())

    @torch.no_grad()
    def _first_root(self, q: Tensor, v: Tensor, width: float) -> tuple[float, int] | None:
        """The first instant within ``width`` at which a gap closes, and which."""
        before, rows = self._gaps(q)
        after, _ = self._gaps(self._flight(q, v, width)[0])
        first: tuple[float, int] | None = None
        touch = self._touch(q)
        closing = (after < 0) & ((before > touch) | ((self._normals(rows) @ v) > 0))
        for index in closing.nonzero()[:, 0].tolist():
            low = 0.0
            if float(before[index]) <= touch:  # just parted: it closes after the top of its way
                low = self._top(q, v, index, width)
            time = self._root(q, v, index, low, width if first is None else first[0])
            if time is not None and (first is None or time < first[0]):
                first = (time, index)
        return first

    def _at(self, q: Tensor, v: Tensor, index: int, time: float) -> tuple[float, float]:
        """Gap and its rate after so much flight."""
        q, v = self._flight(q, v, time)
        gap, rows = self._gaps(q)
        return float(gap[index]), float(self._normals(rows)[index] @ v)

    def _top(self, q: Tensor, v: Tensor, index: int, high: float) -> float:
        low = 0.0
        for _ in range(ROOT):
            middle = (low + high) / 2
            gap, rate = self._at(q, v, index, middle)
            low, high = (middle, high) if rate > 0 else (low, middle)
            if gap > 0 and rate <= 0:
                return middle
        return high

    def _root(self, q: Tensor, v: Tensor, index: int, low: float, high: float) -> float | None:
        """The root of a gap between an open and a closed instant; None where it stays open."""
        if self._at(q, v, index, high)[0] > 0:
            return None
        time = (low + high) / 2
        for _ in range(ROOT):
            gap, rate = self._at(q, v, index, time)
            if rate < 0 and abs(gap / rate) <= 4 * torch.finfo(q.dtype).eps * time:
                break
            low, high = (time, high) if gap > 0 else (low, time)
            tried = time - gap / rate if rate < 0 else math.nan
            tried = tried if low <= tried <= high else (low + high) / 2
            if tried == time or high - low <= 1e-16 * high:
                break
            time = tried
        return time

    def _recorded(self, q: Tensor, v: Tensor, time: float, index: int) -> Tensor:
        """The time of impact with its gradient: the gap there is zero however the state moves."""
        fixed = torch.full_like(q[0], time).detach()
        end_q, end_v = self._flight(q, v, fixed)
        gap, rows = self._gaps(end_q)
        rate = (self._normals(rows)[index] @ end_v).detach()
        own = gap[index]
        return fixed - (own - own.detach()) / rate

    def _collide(
        self, q: Tensor, v: Tensor, index: int | None = None
    ) -> tuple[Tensor, Tensor, tuple[str, ...]]:
        """Velocities after the impulses of all that touches and approaches."""
        gap, rows = self._gaps(q)
        normal = self._normals(rows) @ v
        near = gap.detach() < self._touch(q)
        if index is not None:
            near = near | (torch.arange(len(gap), device=gap.device) == index)
        if not bool((near & (normal.detach() < 0)).any()):
            return q, v, ()
        v = self._impulse(q, v, rows, normal, near)
        names = [*self.scene.names, *(f"limit {k}" for k in self.number.limit_dof.tolist())]
        return q, v, tuple(names[k] for k in near.nonzero()[:, 0].tolist())

    def _impulse(self, q: Tensor, v: Tensor, rows: Tensor, normal: Tensor, near: Tensor) -> Tensor:
        nc, number = self.scene.nc, self.number
        stated = number.restitution
        share = torch.where(stated.isnan(), self.law.restitution, stated)
        rebound = torch.where(normal < -self.rest, -normal, 0.0)
        aim = share * rebound[:nc]
        zero = torch.zeros_like(aim)
        target = torch.cat((torch.stack((aim, zero, zero), -1).flatten(), 0 * rebound[nc:]))
        mass = crba(self.robot, q)[None]
        own = own_inertia(mass, rows[None])[0] * _COMPLIANCE
        friction = pair_friction(number, torch.arange(nc, device=q.device)[None])
        mu = friction[..., 0]
        weight = 1 / own[: 3 * nc].unflatten(0, (nc, 3)).mean(-1) if nc else own[:0]
        none = v.new_zeros(1, 0)
        problem = Problem(
            mass=mass,
            free=v[None],
            jacobian=rows[None],
            target=target[None],
            cone_weight=torch.where(near[:nc], weight, 0.0)[None],
            mu=mu,
            ratio=friction / torch.where(mu > 0, mu, 1.0)[..., None],
            lift=mu if self.law.friction == "coulomb" else torch.zeros_like(mu),
            one_sided_weight=torch.where(near[nc:], 1 / own[3 * nc :], 0.0)[None],
            bounded_weight=none,
            bound=none,
        )
        # what the compliance gave way is asked for again: the impulses become those of rigid bodies
        weights = torch.cat(
            (problem.cone_weight.repeat_interleave(3, 1), problem.one_sided_weight), 1
        )
        grip = torch.cat((torch.ones_like(mu)[..., None], problem.ratio.square()), -1).flatten(1)
        stiff = weights * torch.cat((grip, torch.ones_like(problem.one_sided_weight)), 1)
        stiff = torch.where(stiff > 0, stiff, torch.inf)
        made = problem
        for _ in range(_ROUNDS):
            given = solve(made, eased=1 / _COMPLIANCE).forces / stiff
            made = replace(problem, target=problem.target + given)
        return solve(made, eased=1 / _COMPLIANCE).x[0]
