"""Motions: the logs of a machine after smoothing, with accelerations, and the noise in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from discover.data.logs import Log
from discover.data.settings import Smoothing
from discover.data.smoothing import Smoothed, savitzky_golay
from discover.errors import DatasetError

if TYPE_CHECKING:
    from kinematics import Robot

GAP = 2.0  # a window of so many times the median duration lies across a gap in the log

Array = NDArray[np.float64]


class Choice(Protocol):
    """A filter that fits its window to the rate of a log."""

    def of(self, log: Log) -> Smoothing:
        """The filter for a log."""


@dataclass(frozen=True, kw_only=True)
class Motion:
    """One trajectory after smoothing, at M of the samples of its log.

    time (M,) from the start of the log [s]; q (M, nq), v, a, tau (M, nv) in SI units, in the
    robot's coordinates. rows (M,) are the samples of the log, so that what the filter did not touch
    can be looked up: log.q[rows]. segment (M,) numbers the pieces between gaps in the log. noise
    and raw_noise: standard deviation a channel ("q", "v", "a", "tau") of white noise that is left
    in the values, and of that in the log's samples before the filter.
    """

    time: Array
    q: Array
    v: Array
    a: Array
    tau: Array
    name: str = ""
    rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    segment: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    noise: dict[str, Array] = field(default_factory=dict)
    raw_noise: dict[str, Array] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Samples a second [Hz]."""
        return float(1 / np.median(np.diff(self.time)))


def smooth(log: Log, smoothing: Smoothing | Choice, robot: Robot | None = None) -> Motion:
    """A log through one Savitzky–Golay filter, which gives its velocities and accelerations too.

    Half a window is trimmed at both ends; windows across a gap are left out. Raises DatasetError
    where nothing is left, or the log has not the coordinates of the robot, where one is given.
    """
    if robot is not None and (log.q.shape[1], log.tau.shape[1]) != (robot.nq, robot.nv):
        raise DatasetError(
            f"recording {log.name}: expected {robot.nq} positions and {robot.nv} joint forces, as "
            f"{robot.name} has, found {log.q.shape[1]} and {log.tau.shape[1]}; read it with that "
            "robot"
        )
    chosen = smoothing if isinstance(smoothing, Smoothing) else smoothing.of(log)
    window = chosen.window
    if window == "auto":
        raise DatasetError(
            f"recording {log.name}: expected a window of the filter, found 'auto'; choose one by "
            "discover.data.smoothing_choice.choose_smoothing"
        )
    if len(log.time) < window:
        raise DatasetError(
            f"recording {log.name}: expected at least {window} rows (the smoothing window), found "
            f"{len(log.time)}"
        )
    smoothed, keep = filtered(log, chosen)
    if not keep.any():
        raise DatasetError(
            f"recording {log.name}: expected {window} rows without a gap, found none; make the "
            "smoothing window shorter"
        )
    states = states_of(smoothed, log, chosen)
    noise, raw = noise_of(smoothed, log, chosen)
    rows = np.flatnonzero(keep)
    return Motion(
        time=log.time[rows + window // 2],
        name=log.name,
        rows=rows + window // 2,
        segment=np.cumsum(np.r_[0, np.diff(rows) > 1]),
        noise=noise,
        raw_noise=raw,
        **{key: values[rows] for key, values in states.items()},
    )


def filtered(log: Log, smoothing: Smoothing) -> tuple[Smoothed, NDArray[np.bool_]]:
    """q, tau and v (where it was recorded) through one filter, and which windows have no gap."""
    window = smoothing.window
    assert isinstance(window, int)
    signals = [log.q, log.tau] if log.v is None else [log.q, log.tau, log.v]
    smoothed = savitzky_golay(log.time, np.hstack(signals), window, smoothing.order)
    span = log.time[window - 1 :] - log.time[: len(log.time) - window + 1]
    return smoothed, span <= GAP * np.median(span)


def states_of(smoothed: Smoothed, log: Log, smoothing: Smoothing) -> dict[str, Array]:
    """q, v, a and tau of the filter's output."""
    q, tau, v = _parts(log)
    states = {"q": smoothed.value[:, q], "tau": smoothed.value[:, tau]}
    first, second = smoothed.first[:, q], smoothed.second[:, q]
    if log.q.shape[1] != log.tau.shape[1]:  # a free base, whose quaternion has four numbers
        states["q"], first, second = _free_base(states["q"], first, second)
    if smoothing.acceleration == "v":
        return states | {"v": smoothed.value[:, v], "a": smoothed.first[:, v]}
    return states | {"v": first, "a": second}


def noise_of(
    smoothed: Smoothed, log: Log, smoothing: Smoothing
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Standard deviation of the noise in each group, after the filter and before it."""
    q, tau, v = _parts(log)
    raw = {"q": smoothed.raw_noise[q], "tau": smoothed.raw_noise[tau]}
    if log.v is not None:
        raw["v"] = smoothed.raw_noise[v]
    left = {"q": smoothed.noise[q], "tau": smoothed.noise[tau]}
    if smoothing.acceleration == "v":
        return left | {"v": smoothed.noise[v], "a": smoothed.first_noise[v]}, raw
    velocity, acceleration = smoothed.first_noise[q], smoothed.second_noise[q]
    if log.q.shape[1] != log.tau.shape[1]:  # of a free base: a turn is twice its quaternion
        velocity, acceleration = (
            np.r_[np.full(3, 2 * x[3:7].mean()), x[:3], x[7:]] for x in (velocity, acceleration)
        )
    return left | {"v": velocity, "a": acceleration}, raw


def _parts(log: Log) -> tuple[slice, slice, slice]:
    """Where q, tau and v stand among the filter's signals."""
    nq, nv = log.q.shape[1], log.tau.shape[1]
    return slice(0, nq), slice(nq, nq + nv), slice(nq + nv, nq + 2 * nv)


def _free_base(q: Array, first: Array, second: Array) -> tuple[Array, Array, Array]:
    """q, v and a of a log whose first seven coordinates are a position and a quaternion wxyz.

    From the derivatives of the quaternion p, which the filter leaves with a length near one:
    ω = 2 vec(p* ṗ) / |p|², in the body's frame, and its derivative; the linear velocity is that of
    the body's origin, in the body's frame.
    """
    from kinematics.spatial import rotations

    p, dp, ddp = (torch.from_numpy(np.ascontiguousarray(x[:, 3:7])) for x in (q, first, second))
    square = (p * p).sum(-1, keepdim=True)
    back = rotations.quaternion_conjugate(p)
    angular = 2 * rotations.quaternion_product(back, dp)[:, 1:] / square
    growth = 2 * (p * dp).sum(-1, keepdim=True) / square
    turning = 2 * rotations.quaternion_product(back, ddp)[:, 1:] / square - growth * angular
    unit = p / square.sqrt()
    inward = rotations.quaternion_conjugate(unit)
    linear, pushed = (
        rotations.rotate_by_quaternion(inward, torch.from_numpy(np.ascontiguousarray(x[:, :3])))
        for x in (first, second)
    )
    pushed = pushed - torch.linalg.cross(angular, linear)
    return (
        np.hstack([q[:, :3], unit.numpy(), q[:, 7:]]),
        np.hstack([angular.numpy(), linear.numpy(), first[:, 7:]]),
        np.hstack([turning.numpy(), pushed.numpy(), second[:, 7:]]),
    )
