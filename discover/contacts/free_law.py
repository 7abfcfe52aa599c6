"""The smooth law of a model that also meets contact, fitted to its free answers alone.

Answers in contact are outliers of the rigid-body regression, and there may be more of them than
free ones. The fit that leaves the smallest residual on the best third of all states is sought from
many starts (random minimal subsets, Fischler and Bolles 1981) by concentration steps (least trimmed
squares, Rousseeuw and Van Driessen 1999); the free answers are then those at its noise.

Impulses are p = H(q) (x' - x_free), with velocities after the step in the axes of its start: a free
joint's linear velocity turns with the body between both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

import kinematics
from discover import numerics
from discover.blackbox.contract import Answers, BlackBox
from discover.blackbox.sampling import Batch
from discover.errors import ModelError
from discover.laws.extensions.terms import Term, joint_terms
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import Fit, design_of, fit
from discover.laws.rigid_body.law import RigidBodyLaw
from discover.laws.rigid_body.step_map import StepMap, advance
from discover.laws.rigid_body.step_search import find_step
from kinematics import Robot
from kinematics.contact.step import fixed, turned, turning

_STARTS = 60  # random minimal subsets
_BEST = 0.3  # share of the states that are surely free, where any law can be found
_CUT = 8.0  # spreads of the free residual beyond which an answer met something
_ROUNDING = 1e-9  # of the accelerations' spread
_EULER_EXACT = 1e-6  # standardised: what semi-implicit Euler leaves where it is the model's step
_FEWEST = 1.5  # equations for each parameter in a minimal subset


@dataclass(frozen=True, kw_only=True)
class FreeLaw:
    """The law of free motion through the model's own step.

    fit      rigid bodies and joint terms, through the step; share, of the fitting states, that are
             free; noise, standardised spread of the free answers; cut, standardised residual beyond
             which an answer is none of free motion
    """

    fit: Fit
    share: float
    noise: float
    cut: float

    @cached_property
    def law(self) -> RigidBodyLaw:
        """The printable law."""
        return RigidBodyLaw.from_fit(self.fit)

    @cached_property
    def robot(self) -> Robot:
        """The robot with the identified parameters and joint terms."""
        return self.law.robot

    @property
    def step(self) -> StepMap:
        """The model's step in free motion."""
        assert self.fit.step is not None
        return self.fit.step

    @property
    def dt(self) -> float:
        """[s]"""
        return self.step.dt

    def next(self, q: Tensor, v: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
        """(q', v') in free motion."""
        if self.law.extensions:
            q_next, rate = self.fit.family.step(self.fit.theta, q, v, tau, self.step)
        else:
            q_next, rate = advance(self.step, self.robot, self._acceleration, q, v, tau)
        return q_next, v + self.dt * rate

    def _acceleration(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return kinematics.aba(self.robot, q, v, tau)

    def carried(self, q: Tensor, q_next: Tensor, v_next: Tensor) -> Tensor:
        """v' (n, nv) in the axes of the step's start, as constraints act on it."""
        if self.step.frame != "world":
            return v_next
        return turned(self.robot, q, fixed(self.robot, q_next, v_next))

    def free(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        """x_free (n, nv), velocity after free motion in the axes of the start."""
        q_next, v_next = self.next(q, v, tau)
        return self.carried(q, q_next, v_next)

    def mass(self, q: Tensor) -> Tensor:
        """H (n, nv, nv) with rotors."""
        return kinematics.crba(self.robot, q)


@dataclass(frozen=True, kw_only=True)
class Met:
    """Answers beside free motion: what was asked, x_free and the jump Δ = x' - x_free (n, nv);
    size (n,) of the jump in units of the free law's cut: above one, something was met."""

    answers: Answers
    free: Tensor
    jump: Tensor
    size: Tensor

    @property
    def touching(self) -> Tensor:
        """(n,)"""
        return self.size > 1.0


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A model beside its free law: every question that is put to find contacts."""

    box: BlackBox
    law: FreeLaw

    def __call__(self, batch: Batch) -> Met:
        """The answers to states; where the model answers with nan, nothing was met."""
        answers = self.box.ask(*batch, strict=False)
        assert answers.q_next is not None
        assert answers.v_next is not None
        free = self.law.free(batch.q, batch.v, batch.tau)
        jump = self.law.carried(batch.q, answers.q_next, answers.v_next) - free
        jump = torch.where(jump.isfinite().all(-1, keepdim=True), jump, 0.0)
        unit = self.law.dt * self.law.fit.scale * self.law.cut
        return Met(answers=answers, free=free, jump=jump, size=(jump / unit).abs().amax(-1))

    def impulse(self, met: Met) -> Tensor:
        """p = H Δ (n, nv) [N·m·s | N·s]."""
        return (self.law.mass(met.answers.q) @ met.jump[..., None])[..., 0]


def find_free_law(robot: Robot, answers: Answers, dt: float, seed: int) -> FreeLaw:
    """The law that free answers follow, from answers of which some met contact.

    answers: of next states over the region. Raises ModelError where too few answers are finite.
    """
    assert answers.q_next is not None
    rows = torch.isfinite(answers.a).all(-1) & torch.isfinite(answers.q_next).all(-1)
    answers = answers[rows]
    family = Family.of(robot, _terms(robot))
    if len(answers) < max(20, 3 * family.size // robot.nv):
        raise ModelError(
            f"expected at least {max(20, 3 * family.size // robot.nv)} finite answers to fit "
            f"{family.size} parameters, found {len(answers)}; ask more, or narrow the region"
        )
    frames = ("body", "world") if "free" in robot.kinds else ("body",)
    found = [_trimmed(family, answers, dt, frame, seed) for frame in frames]
    good, step = min(found, key=lambda x: x[2])[:2]
    return _settled(family, answers, good, step)


def _terms(robot: Robot) -> list[Term]:
    """Joint terms that free motion may have: springs only where the description has one, since a
    soft wall looks like one to those who see a wall alone."""
    sprung = [j for j in range(robot.nv) if float(robot.stiffness[j]) != 0]
    return [
        term
        for term in joint_terms(robot)
        if not term.name.startswith("stiffness")
        or any(term.name == f"stiffness, joint {j + 1}" for j in sprung)
    ]


def _trimmed(
    family: Family, answers: Answers, dt: float, frame: str, seed: int
) -> tuple[Tensor, StepMap, float]:
    """(rows that are surely free, step, what the best law leaves on them)."""
    robot = family.robot
    step = StepMap(scheme="semi_implicit_euler", dt=dt, frame=frame)
    a = answers.a
    if frame == "world":
        assert answers.q_next is not None
        assert answers.v_next is not None
        after = turned(robot, answers.q, fixed(robot, answers.q_next, answers.v_next))
        a = (after - answers.v) / dt - turning(robot, answers.v)
    columns = design_of(family, answers, step).columns(a)
    weight = (columns.square().mean((0, 2)).sqrt()).clamp_min(1e-300)
    rest = (answers.tau - columns @ family.described) / weight
    columns = columns / weight[:, None]
    n, nv, p = columns.shape
    generator = torch.Generator().manual_seed(seed)
    fewest = min(n, math.ceil(_FEWEST * p / nv) + 1)
    best = max(fewest, math.ceil(_BEST * n))

    def left(theta: Tensor) -> Tensor:
        return (columns @ theta - rest).norm(dim=-1)

    def of(rows: Tensor) -> Tensor:
        return numerics.least_squares(columns[rows].flatten(0, 1), rest[rows].flatten())

    def concentrated(theta: Tensor, times: int) -> tuple[float, Tensor]:
        rows = left(theta).argsort()[:best]
        for _ in range(times):
            theta = of(rows)
            rows = left(theta).argsort()[:best]
        return float(left(theta)[rows].square().mean().sqrt()), theta

    starts = [torch.zeros(p, dtype=rest.dtype), of(torch.arange(n))]
    tried = [concentrated(start, 3) for start in starts]
    for _ in range(_STARTS):
        if min(tried, key=lambda x: x[0])[0] < 1e-10:
            break
        tried.append(concentrated(of(torch.randperm(n, generator=generator)[:fewest]), 2))
    cost, theta = concentrated(min(tried, key=lambda x: x[0])[1], 10)
    size = left(theta)
    return _within(size, best), step, cost


def _within(size: Tensor, best: int) -> Tensor:
    """Rows whose residual (n,) is that of free answers: within `_CUT` spreads of the best ones,
    widened until no more come in (the best third of a normal spread is narrower than it)."""
    good = size.argsort()[:best]
    for _ in range(12):
        cut = _CUT * float(size[good].median()) / 0.6745 + 1e-13
        found = (size <= cut).nonzero()[:, 0]
        if len(found) <= len(good):
            break
        good = found
    return good


def _settled(family: Family, answers: Answers, good: Tensor, step: StepMap) -> FreeLaw:
    """The fit through the model's own step on its free answers."""
    free = answers[good]
    scale = free.a.std(0).clamp_min(1e-3 * float(free.a.abs().max()) + 1e-12)
    fitted = fit(family, free, scale=scale, step=step)
    if fitted.error > _EULER_EXACT and len(free) >= 30:
        half = len(free) // 2
        choice = find_step(family.robot, free[:half], free[half:], step.dt, scale=scale)
        if choice.error < 0.5 * fitted.error:
            found = fit(family, free, scale=scale, step=choice.step)
            fitted = found if found.error < fitted.error else fitted
    for _ in range(3):
        size = fitted.residual(answers).norm(dim=-1)
        inside = _within(size, max(3, len(good)))
        if len(inside) == len(good):
            break
        good = inside
        fitted = fit(family, answers[good], scale=scale, step=fitted.step, start=fitted.theta)
    size = fitted.residual(answers[good]).norm(dim=-1)
    noise = float(size.square().mean().sqrt())
    cut = max(_ROUNDING, _CUT * float(size.median()) / 0.6745)
    return FreeLaw(fit=replace(fitted), share=len(good) / len(answers), noise=noise, cut=cut)
