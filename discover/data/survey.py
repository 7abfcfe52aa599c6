"""What is in a log: rates, gaps, repeated samples, noise, saturation, delay, coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from discover.data.delay import LEAST_ROWS, Delay, find_delay
from discover.data.logs import Log
from discover.data.motions import Motion, smooth
from discover.data.smoothing_choice import SmoothingChoice, choose_smoothing
from discover.judgement.thresholds import threshold, whole
from discover.records import Stored

if TYPE_CHECKING:
    from kinematics import Robot

Array = NDArray[np.float64]
_BASE = ("base turn x", "base turn y", "base turn z", "base x", "base y", "base z")
_COMMON = 0.05  # quantiles between which the usual steps of a clock lie


@dataclass(frozen=True, kw_only=True)
class ClockSurvey(Stored):
    """The clock of a log: samples, duration [s], median, least and greatest step [s]; spread of the
    middle 90 % of the steps, in medians; gaps, and the longest [s]."""

    samples: int
    duration: float
    step: float
    least: float
    greatest: float
    spread: float
    gaps: int
    longest_gap: float

    @property
    def uneven(self) -> bool:
        """Whether steps differ by more than a clock of even steps would show."""
        return self.spread > threshold("data.uneven")


@dataclass(frozen=True, kw_only=True)
class JointSurvey(Stored):
    """One joint coordinate of a log, in SI units.

    low, high       extremes of position (q), of the smoothed velocity and acceleration (v, a), and
                    of the joint force as recorded (tau)
    noise_q, noise_tau   standard deviation of what the filter takes out of a sample
    resolution      smallest step between two positions that differ
    repeated        share of the steps of motion in which the position stays exactly where it was
    hold            samples that a position is usually kept for
    saturated_low, saturated_high   share of the samples whose joint force is flat at its extreme
    rests           share of the samples in which the joint hardly moves
    """

    name: str
    q: list[float]
    v: list[float]
    a: list[float]
    tau: list[float]
    noise_q: float
    noise_tau: float
    noise_a: float
    resolution: float
    repeated: float
    hold: float
    saturated_low: float
    saturated_high: float
    rests: float


@dataclass(frozen=True, kw_only=True)
class LogSurvey(Stored):
    """A log: its clock, joints, and notes on how it was read; the delay [s] of its joint forces
    behind the motion with its standard error, and the share of the forces that it leaves
    unexplained, where a robot was given."""

    name: str
    sha256: str
    clock: ClockSurvey
    joints: list[JointSurvey]
    measured_velocity: bool
    notes: list[str]
    scalars: dict[str, float | str]
    delay: float | None
    delay_error: float | None
    unexplained: float | None


@dataclass(frozen=True, kw_only=True)
class Survey(Stored):
    """All logs of a machine, and the filter that was chosen for them; alignment: the delay of all
    logs together in words, where a robot was given."""

    robot: str | None
    logs: list[LogSurvey]
    window_s: float
    order: int
    choice: str
    alignment: str | None


def survey(logs: Sequence[Log], robot: Robot | None = None) -> tuple[Survey, list[Motion]]:
    """What is in the logs, and their motions after smoothing by a filter that is chosen from them.

    Delays are estimated where a robot is given whose joints the logs show.
    """
    choice = choose_smoothing(logs, robot)
    motions = [smooth(log, choice) for log in logs]
    delays = [_delay(motion, robot) for motion in motions]
    together = None
    long_enough = [m for m in motions if len(m.time) >= LEAST_ROWS]
    if robot is not None and long_enough:
        late = delays[0] if len(logs) == 1 else find_delay(long_enough, robot)
        together = None if late is None else late.sentence(robot.independent_names)
    found = [
        _log(log, motion, names_of(log, robot), delay)
        for log, motion, delay in zip(logs, motions, delays, strict=True)
    ]
    return (
        Survey(
            robot=None if robot is None else robot.name,
            logs=found,
            window_s=choice.window_s,
            order=choice.order,
            choice=choice.sentence(),
            alignment=together,
        ),
        motions,
    )


def names_of(log: Log, robot: Robot | None) -> list[str]:
    """A name for each velocity coordinate: of its joint, or by number."""
    if robot is None:
        base = list(_BASE) if log.q.shape[1] != log.tau.shape[1] else []
        return base + [f"joint {k + 1}" for k in range(log.tau.shape[1] - len(base))]
    names = []
    for joint, kind in zip(robot.independent_names, robot.independent_kinds, strict=True):
        names += list(_BASE) if kind == "free" else [joint]
    return names


def position_of(k: int, *, free: bool) -> int:
    """The coordinate of q that goes with coordinate k of v. A free base has its position and then a
    quaternion in q, but turns first in v."""
    if not free:
        return k
    return k + 4 if k < 3 else k - 3 if k < 6 else k + 1


def _delay(motion: Motion, robot: Robot | None) -> Delay | None:
    if robot is None or len(motion.time) < LEAST_ROWS:
        return None
    return find_delay([motion], robot)


def _log(log: Log, motion: Motion, names: Sequence[str], delay: Delay | None) -> LogSurvey:
    free = log.q.shape[1] - log.tau.shape[1]  # a quaternion has one number more than its turn
    joints = []
    for k, name in enumerate(names):
        place = position_of(k, free=bool(free))
        joints.append(_joint(name, log, motion, k, place))
    return LogSurvey(
        name=log.name,
        sha256=log.sha256,
        clock=clock(log.time),
        joints=joints,
        measured_velocity=log.v is not None,
        notes=list(log.notes),
        scalars=dict(log.scalars),
        delay=None if delay is None else delay.found,
        delay_error=None if delay is None else delay.error,
        unexplained=None if delay is None else delay.unexplained,
    )


def clock(time: Array) -> ClockSurvey:
    """The steps of times (N,) [s]."""
    steps = np.diff(time)
    median = float(np.median(steps))
    low, high = np.quantile(steps, [_COMMON, 1 - _COMMON])
    gaps = steps > threshold("data.gap") * median
    return ClockSurvey(
        samples=len(time),
        duration=float(time[-1] - time[0]),
        step=median,
        least=float(steps.min()),
        greatest=float(steps.max()),
        spread=float((high - low) / median),
        gaps=int(gaps.sum()),
        longest_gap=float(steps[gaps].max()) if gaps.any() else 0.0,
    )


def _joint(name: str, log: Log, motion: Motion, k: int, place: int) -> JointSurvey:
    q, tau, v = log.q[:, place], log.tau[:, k], motion.v[:, k]
    speed = np.abs(v)
    moves = speed > threshold("data.moving") * max(float(np.sqrt(np.mean(v**2))), 1e-12)
    between = np.abs(np.diff(q))
    repeated, hold = held(q, motion.rows[moves])
    low, high = saturation(tau)
    steps = between[between > 0]
    return JointSurvey(
        name=name,
        q=_extremes(q),
        v=_extremes(v),
        a=_extremes(motion.a[:, k]),
        tau=_extremes(tau),
        noise_q=float(motion.raw_noise["q"][place]),
        noise_tau=float(motion.raw_noise["tau"][k]),
        noise_a=float(motion.noise["a"][k]),
        resolution=float(steps.min()) if len(steps) else 0.0,
        repeated=repeated,
        hold=hold,
        saturated_low=low,
        saturated_high=high,
        rests=float(1 - moves.mean()),
    )


def held(signal: Array, moving: NDArray[np.int64]) -> tuple[float, float]:
    """The share of the steps before the samples `moving` in which a signal (N,) stays exactly as it
    was, and the median number of samples that it is kept for there."""
    same = np.r_[False, np.diff(signal) == 0]
    if not len(moving):
        return 0.0, 1.0
    starts = np.flatnonzero(~same)
    lengths = np.diff(np.r_[starts, len(signal)])
    of_sample = np.repeat(lengths, lengths)
    return float(same[moving].mean()), float(np.median(of_sample[moving]))


def saturation(force: Array) -> tuple[float, float]:
    """The share of the samples of a joint force (N,) that is flat at its least and greatest value.

    A run of equal samples counts if it is far longer than runs elsewhere in the log.
    """
    starts = np.flatnonzero(np.r_[True, np.diff(force) != 0])
    lengths = np.diff(np.r_[starts, len(force)])
    values = force[starts]
    low, high = values == values.min(), values == values.max()
    inner = ~(low | high)
    if not inner.any():
        return 0.0, 0.0
    usual = float(np.median(lengths[inner]))
    flat = lengths >= whole("data.flat") * usual
    shares = [float(lengths[at & flat].sum() / len(force)) for at in (low, high)]
    bar = threshold("data.saturated")
    return (shares[0] if shares[0] > bar else 0.0), (shares[1] if shares[1] > bar else 0.0)


def _extremes(x: Array) -> list[float]:
    return [float(x.min()), float(x.max())]


__all__ = ["LogSurvey", "SmoothingChoice", "Survey", "clock", "held", "saturation", "survey"]
