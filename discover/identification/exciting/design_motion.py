"""`design_motion`: a motion that shows a robot's parameters, within its limits. From top to bottom.

Among periodic motions (fourier.py) that keep ranges, speeds and accelerations by construction, the
one with the largest gain of information about the base parameters is sought by a quasi-Newton
method of a library, from the best of many random motions; efforts are kept by a penalty on the way
and exactly at the end.
"""

from __future__ import annotations

import time as clock
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from torch import Tensor

import kinematics
from discover.errors import DatasetError
from discover.identification.design import Bodies
from discover.identification.exciting.fourier import Basis, FourierMotion
from discover.identification.exciting.information import Yardstick
from discover.identification.exciting.limits import MotionLimits, motion_limits
from discover.identification.exciting.result import ExcitingMotion
from discover.identification.result import Identification
from discover.judgement.thresholds import threshold, whole
from discover.progress import Show, reported, stage
from kinematics import Robot

Array = NDArray[np.float64]

_RANDOM = whole("exciting.random_motions")
_NOISE = threshold("exciting.noise")
_RATE = threshold("exciting.rate")
_GRID = 12  # points of the search in the period of the highest harmonic
_FINE = 200  # of the check of limits: a maximum between two of them is higher by 1e-4
_SLOW = 0.02  # of the velocity limit: Coulomb friction is rounded off below it
_SHARP = 24  # power of the smooth maximum over time
_EFFORT = 300.0  # weight of the mean square of what exceeds an effort limit [nats]
_MIDDLE = 0.9  # of half a range: the starting pose is sought within it
_ITERATIONS = 400


@reported("the design", "run it again")
def design_motion(
    robot: Robot | Identification,
    *,
    period: float = 10.0,
    harmonics: int = 5,
    start: ArrayLike | None = None,
    position: tuple[ArrayLike, ArrayLike] | None = None,
    velocity: ArrayLike | None = None,
    acceleration: ArrayLike | None = None,
    effort: ArrayLike | None = None,
    noise: ArrayLike | None = None,
    starts: int = 4,
    budget_s: float = 20.0,
    seed: int = 0,
    progress: Show = None,
) -> ExcitingMotion:
    """Design a periodic motion that shows the base parameters of a robot as well as possible.

    robot       the description; or an identification, whose robot and noise are then taken, and
                whose logs count as known: the motion shows most of what they showed least
    period      of the motion [s], which begins and ends at rest
    harmonics   of its Fourier series, from 2 on
    start       pose (nv,) at which it begins and ends [rad | m; sought too]
    position, velocity, acceleration, effort   limits in place of the robot's own: numbers, or one
                a joint [rad, rad/s, rad/s², N·m; of sliders m, m/s, m/s², N]; position (low, high)
    noise       standard deviation of each joint force (nv,) [N·m | N; the identification's, or a
                share of the joint's own forces]
    starts, budget_s   at most so many searches, in so many seconds

    Of collisions nothing is known here. Raises DatasetError, in one line, for limits or poses that
    no motion keeps.
    """
    begin = clock.monotonic()
    known = robot if isinstance(robot, Identification) else None
    described = known.robot if known is not None else robot
    assert not isinstance(described, Identification)
    _check(described, period, harmonics)
    limits = motion_limits(
        described, position=position, velocity=velocity, acceleration=acceleration, effort=effort
    )
    family = _Family.of(described, limits, Basis.of(period, harmonics), start)
    generator = np.random.default_rng(seed)
    stage("random motions")
    drawn = [family.random(generator) for _ in range(_RANDOM)]
    yardstick, notes = _yardstick(family, drawn, known, noise)
    usable = [m for m in map(family.within_effort, drawn) if m is not None]
    fine = family.fine()[::8]
    shown = [yardstick.showing(*m.at(fine), period) for m in usable]
    stage("the best motion")
    ranked = list(zip(shown, usable, strict=True))
    best_first = sorted(ranked, key=lambda x: -x[0].gain)
    for origin in [m for _, m in best_first[:starts]] or drawn[:starts]:
        left = budget_s - (clock.monotonic() - begin)
        if left <= 0:
            break
        found = _search(family, yardstick, family.point_of(origin), left / 2)
        motions = [m for m in map(family.within_effort, found) if m is not None]
        ranked += [(yardstick.showing(*m.at(fine), period), m) for m in motions]
    if not ranked:
        raise DatasetError(_too_weak(family, drawn[0]))
    showing, motion = max(ranked, key=lambda x: x[0].gain)
    middle = sorted(shown, key=lambda x: x.gain)[len(shown) // 2] if shown else None
    return ExcitingMotion(
        robot_name=described.name,
        joints=described.independent_names,
        motion=motion,
        limits=limits,
        effort=np.abs(family.forces(motion, family.fine())).max(axis=0),
        noise=yardstick.noise.numpy(),
        rate=yardstick.rate,
        parameters=yardstick.bodies.base.names,
        after_logs=known.logs if known is not None else (),
        before=yardstick.before(),
        random=middle,
        designed=showing,
        notes=(*limits.notes, *notes),
        seconds=clock.monotonic() - begin,
        seed=seed,
    )


def _check(robot: Robot, period: float, harmonics: int) -> None:
    if robot.nq != robot.nv or robot.nb == 0:
        raise DatasetError(
            f"design: expected joints with one coordinate each, found {robot.nq} coordinates for "
            f"{robot.nv} velocities of {robot.name}; lock its base, or give the arm alone"
        )
    if harmonics < 2 or not period > 0:
        raise DatasetError(
            f"design: expected at least 2 harmonics of a positive period, found {harmonics} of "
            f"{period:g} s"
        )


def _yardstick(
    family: _Family, drawn: list[FourierMotion], known: Identification | None, noise: Any
) -> tuple[Yardstick, list[str]]:
    """The yardstick, and how its noise was taken, in a sentence."""
    robot, notes = family.robot, []
    speed = np.where(family.limits.held, 1.0, family.limits.velocity)
    shown = known.shown_by_logs if known is not None else None
    rate = shown.rate if shown is not None else _RATE
    if noise is not None:
        sigma = np.broadcast_to(np.asarray(noise, dtype=np.float64), (robot.nv,)).copy()
        if not (np.isfinite(sigma).all() and (sigma > 0).all()):
            raise DatasetError(f"design: expected noise above zero, found {noise}")
    elif shown is not None:
        sigma = shown.noise
    else:
        time = drawn[0].grid(200)
        forces = np.concatenate([family.forces(m, time) for m in drawn])
        size = np.sqrt(np.mean(forces**2, axis=0))
        sigma = _NOISE * np.maximum(size, 1e-3 * max(float(size.max()), 1e-12))
        notes.append(
            f"expected standard errors take the noise of each joint force as {_NOISE:.0%} of its "
            f"size in random motions, in {_RATE:g} independent samples a second"
        )
    yardstick = Yardstick.of(
        Bodies.of(robot), sigma, rate, _SLOW * speed, None if shown is None else shown.matrix
    )
    return yardstick, notes


@dataclass(frozen=True, kw_only=True)
class _Family:
    """The motions that keep a robot's limits, by unbounded points.

    A point holds the free numbers of each joint (nv, m) and, where the starting pose is sought,
    nv more. The size of a joint's numbers is pressed below the largest that its limits allow.
    """

    robot: Robot
    limits: MotionLimits
    basis: Basis
    start: Array | None
    time: Array
    columns: tuple[Tensor, Tensor, Tensor]

    @classmethod
    def of(cls, robot: Robot, limits: MotionLimits, basis: Basis, start: Any) -> _Family:
        harmonics = basis.free.shape[0] // 2
        time = np.arange(_GRID * harmonics) * (basis.period / (_GRID * harmonics))
        one, two, three = (torch.from_numpy(x) for x in basis.columns(time))
        pose = None if start is None else _pose(robot, limits, start)
        return cls(
            robot=robot, limits=limits, basis=basis, start=pose, time=time,
            columns=(one, two, three),
        )  # fmt: skip

    def fine(self) -> Array:
        """Times at which limits are checked."""
        count = _FINE * (self.basis.free.shape[0] // 2)
        return np.arange(count) * (self.basis.period / count)

    def random(self, generator: np.random.Generator) -> FourierMotion:
        """A random motion that goes to its limits, efforts aside."""
        nv, m = self.robot.nv, self.basis.numbers
        return self.to_limits(
            self.motion(np.r_[generator.normal(size=nv * m) * 30.0, generator.normal(size=nv)])
        )

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Starting pose (nv,) and free numbers (nv, m) at a point, within the limits."""
        nv, m = self.robot.nv, self.basis.numbers
        low, high = torch.from_numpy(self.limits.low), torch.from_numpy(self.limits.high)
        if self.start is None:
            start = (low + high) / 2 + _MIDDLE * (high - low) / 2 * torch.tanh(x[nv * m :])
        else:
            start = torch.from_numpy(self.start)
        scale = torch.from_numpy(np.where(self.limits.held, 1.0, self.limits.velocity))
        numbers = x[: nv * m].reshape(nv, m) * scale[:, None]
        size = self._size(start, numbers)
        pressed = numbers / (1 + size**_SHARP).pow(1 / _SHARP)[:, None]
        moves = torch.from_numpy((~self.limits.held).astype(np.float64))
        return start, pressed * moves[:, None]

    def _size(self, start: Tensor, numbers: Tensor) -> Tensor:
        """Of a joint's motion (nv,): 1 where its limits are reached, a smooth maximum."""
        d, v, a = (numbers @ x.T for x in self.columns)  # (nv, N)
        low, high = torch.from_numpy(self.limits.low), torch.from_numpy(self.limits.high)
        least = 1e-3 * (high - low).clamp_min(1e-9)
        above = torch.maximum(high - start, least)[:, None]
        below = torch.maximum(start - low, least)[:, None]
        speed, hardest = (
            torch.from_numpy(np.where(self.limits.held, 1.0, x))[:, None]
            for x in (self.limits.velocity, self.limits.acceleration)
        )
        ratios = [torch.relu(d) / above, torch.relu(-d) / below, v.abs() / speed, a.abs() / hardest]
        largest = torch.stack(ratios).amax((0, 2)).detach().clamp_min(1e-12)
        power = sum((r / largest[:, None]).pow(_SHARP).sum(1) for r in ratios)
        return largest * torch.as_tensor(power).pow(1 / _SHARP)

    def motion(self, x: Array) -> FourierMotion:
        """The motion at a point."""
        with torch.no_grad():
            start, numbers = self.split(torch.from_numpy(x))
        return self.basis.motion(start.numpy(), numbers.numpy())

    def point_of(self, motion: FourierMotion) -> Array:
        """A point whose motion is close to this one."""
        scale = np.where(self.limits.held, 1.0, self.limits.velocity)[:, None]
        numbers = np.hstack([motion.sine, motion.cosine]) @ np.linalg.pinv(self.basis.free).T
        half = (self.limits.high - self.limits.low) / 2
        away = (motion.start - (self.limits.low + self.limits.high) / 2) / np.maximum(half, 1e-9)
        return np.r_[(numbers / scale).ravel(), np.arctanh(np.clip(away / _MIDDLE, -0.999, 0.999))]

    def to_limits(self, motion: FourierMotion, *, only_inward: bool = False) -> FourierMotion:
        """Each joint's motion scaled so that it just reaches its limits, exactly."""
        q, v, a = motion.at(self.fine())
        limits, d = self.limits, q - motion.start
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.stack([
                (d / (limits.high - motion.start)).max(0),
                (-d / (motion.start - limits.low)).max(0),
                (np.abs(v) / limits.velocity).max(0),
                (np.abs(a) / limits.acceleration).max(0),
            ])  # fmt: skip
        size = np.nanmax(np.where(np.isfinite(ratios), ratios, np.inf), axis=0)
        size = np.where(limits.held, np.inf, np.maximum(size, 1e-12))
        factor = np.minimum(1 / size, 1.0) if only_inward else 1 / size
        return _scaled(motion, factor)

    def forces(self, motion: FourierMotion, time: Array) -> Array:
        """Joint forces (N, nv) along the motion."""
        q, v, a = (torch.from_numpy(x) for x in motion.at(time))
        return kinematics.rnea(self.robot, q, v, a).numpy()

    def within_effort(self, motion: FourierMotion) -> FourierMotion | None:
        """The motion, made smaller about its starting pose where efforts would be too large; None
        where they are at the pose itself."""
        limit = self.limits.effort
        if not np.isfinite(limit).any():
            return motion
        time = self.fine()[::4]

        def kept(factor: float) -> bool:
            tried = _scaled(motion, np.full(self.robot.nv, factor))
            return bool((np.abs(self.forces(tried, time)) <= limit).all())

        if kept(1.0):
            return motion
        if not kept(0.0):
            return None
        low, high = 0.0, 1.0
        for _ in range(12):
            middle = (low + high) / 2
            low, high = (middle, high) if kept(middle) else (low, middle)
        return _scaled(motion, np.full(self.robot.nv, low * 0.999)) if low > 0 else None


def _scaled(motion: FourierMotion, factor: Array) -> FourierMotion:
    column = factor[:, None]
    return replace(motion, sine=motion.sine * column, cosine=motion.cosine * column)


def _pose(robot: Robot, limits: MotionLimits, start: Any) -> Array:
    """The given pose (nv,). Raises DatasetError where the limits forbid it."""
    pose = np.asarray(start, dtype=np.float64)
    if pose.shape != (robot.nv,):
        raise DatasetError(f"design: expected a start of {robot.nv} joints, found {start}")
    off = ~((pose > limits.low - 1e-9) & (pose < limits.high + 1e-9))
    if off.any():
        j = int(np.argmax(off))
        raise DatasetError(
            f"design: expected a start between {limits.low[j]:.4g} and {limits.high[j]:.4g} of "
            f"{robot.independent_names[j]}, found {pose[j]:.4g}; begin further inside"
        )
    return pose


def _search(family: _Family, yardstick: Yardstick, x: Array, seconds: float) -> list[FourierMotion]:
    """Motions at the end of one search: as found, and scaled out to the limits."""
    until = clock.monotonic() + seconds
    pi = family.robot.pi.flatten().to(torch.float64)
    limit = torch.from_numpy(family.limits.effort)

    def cost(point: Array) -> tuple[float, Array]:
        at = torch.from_numpy(point).requires_grad_()
        start, numbers = family.split(at)
        d, v, a = (c @ numbers.T for c in family.columns)
        Y, base = yardstick.regressor(start + d, v, a)
        value = -yardstick.gain(yardstick.information(base, v, a, family.basis.period))
        excess = torch.relu((Y @ pi).abs() / limit - 1)
        value = value + _EFFORT * excess.square().mean()
        value.backward()
        assert at.grad is not None
        return float(value.detach()), at.grad.numpy()

    def on_time(*_: Any) -> None:
        if clock.monotonic() > until:
            raise StopIteration

    found = minimize(
        cost, x, jac=True, method="L-BFGS-B", callback=on_time, options={"maxiter": _ITERATIONS}
    )
    motion = family.motion(found.x)
    return [family.to_limits(motion, only_inward=True), family.to_limits(motion)]


def _too_weak(family: _Family, motion: FourierMotion) -> str:
    """Why no motion keeps the efforts."""
    forces = np.abs(family.forces(_scaled(motion, np.zeros(family.robot.nv)), np.zeros(1)))[0]
    ratio = forces / family.limits.effort
    j = int(ratio.argmax())
    return (
        f"design: expected efforts that hold {family.robot.name} at some pose within its limits, "
        f"found {forces[j]:.3g} needed of {family.limits.effort[j]:.3g} at "
        f"{family.robot.independent_names[j]}; give effort = … or start = …"
    )
