"""Time alignment of recordings: delay of the joint forces behind the motion, and their offsets.

Torques pass through other filters and buses than encoders and often arrive later; sensors have
offsets. For each lag on a grid, the torques are shifted back by it and regressed on the rigid-body
regressor of the motion with friction and an offset a joint; the lag of the least residual is the
delay. The description's masses are not used, only its tree and geometry.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from discover.artifacts import plain
from discover.data.motions import Motion
from discover.data.torque_prediction import torque_columns

if TYPE_CHECKING:
    from kinematics import Robot

LAGS = 41  # of the grid, evenly on both sides of zero
WIDEST = 0.06  # s, at first; wider where the best lag is the last
ALIGNMENT = "time alignment"  # how the result begins among the steps of the processing
MOST_ROWS = 1500  # of each trajectory
PIECES = 5  # of a single trajectory
LEAST_ROWS = 50  # shorter trajectories say nothing about a delay

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Delay [s] of the torques behind the motion, and offset (nv,) [N·m | N] a joint.

    The errors are standard errors over the trajectories (NaN for a single one). `unexplained` is
    the relative residual of the torques at this delay, `unexplained_as_given` at none. `clear`:
    the delay differs from zero by more than two standard errors, lies within the lags that were
    tried, and shifting by it helps.
    """

    delay: float
    delay_error: float
    offset: list[float]
    offset_error: list[float]
    unexplained: float
    unexplained_as_given: float
    trajectories: int
    widest: float = WIDEST  # s, the greatest lag that was tried

    @property
    def clear(self) -> bool:
        sure = self.trajectories > 1 and abs(self.delay) > 2 * self.delay_error
        return sure and not self.at_the_end and self.unexplained < 0.98 * self.unexplained_as_given

    @property
    def at_the_end(self) -> bool:
        """Whether the least residual is at the greatest lag that was tried."""
        return abs(self.delay) >= self.widest * (1 - 1e-9)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; an error that cannot be estimated is null."""
        return cast("dict[str, Any]", plain({**vars(self), "clear": self.clear}))

    def sentence(self, names: Sequence[str]) -> str:
        """The result in words, for the data set's metadata and the report."""
        spread = f" ± {1e3 * self.delay_error:.1f}" if np.isfinite(self.delay_error) else ""
        offsets = ", ".join(
            f"{name} {x:+.3g}" + (f" ± {e:.2g}" if np.isfinite(e) else "")
            for name, x, e in zip(names, self.offset, self.offset_error, strict=True)
        )
        if self.at_the_end:
            return (
                f"{ALIGNMENT}: of all lags up to {1e3 * self.widest:.0f} ms either way, the "
                f"last, {1e3 * self.delay:.0f} ms, fits best: no delay of the joint forces was "
                f"found; offsets: {offsets}"
            )
        sentence = f"joint forces lag the motion by {1e3 * self.delay:.1f}{spread} ms"
        advice = (
            f"; set recording.delay = {self.delay:.4f}, which leaves {self.unexplained:.1%} of "
            f"them unexplained instead of {self.unexplained_as_given:.1%}"
            if self.clear
            else ", which is not told apart from none"
        )
        return f"{ALIGNMENT}: {sentence}{advice}; offsets: {offsets}"


def align(robot: Robot, motions: Sequence[Motion], widest: float | None = None) -> Alignment:
    """Estimate delay and offsets of the torques, each trajectory by itself, then together.

    No lag is tried beyond `widest` [s] or a quarter of the shortest trajectory. Left out, it is
    60 ms, and twice as much as long as the last lag fits best.
    """
    longest = min((motion.time[-1] - motion.time[0]) / 4 for motion in motions)
    if widest is not None:
        return _aligned(robot, motions, min(widest, longest))
    widest = min(WIDEST, longest)
    found = _aligned(robot, motions, widest)
    while found.at_the_end and widest < longest:
        widest = min(2 * widest, longest)
        found = _aligned(robot, motions, widest)
    return found


def pieces(motion: Motion) -> list[Motion]:
    """A single trajectory in pieces of time, so that its delay has an error; whole if short."""
    count = min(PIECES, len(motion.time) // (4 * LEAST_ROWS))
    if count < 2:
        return [motion]
    edges = np.linspace(0, len(motion.time), count + 1).astype(int)
    arrays = {k: getattr(motion, k) for k in ("time", "q", "v", "a", "tau")}
    return [
        Motion(name=motion.name, **{k: x[low:high] for k, x in arrays.items()})
        for low, high in itertools.pairwise(edges)
    ]


def _aligned(robot: Robot, motions: Sequence[Motion], widest: float) -> Alignment:
    lags = np.linspace(-widest, widest, LAGS)
    costs = np.zeros((len(motions), LAGS))
    for row, motion in enumerate(motions):
        costs[row], _ = _costs(robot, motion, lags, widest)
    delays = np.array([_least(lags, cost) for cost in costs])
    delay = _least(lags, costs.mean(0))
    both = [_costs(robot, motion, np.array([0.0, delay]), widest) for motion in motions]
    as_given, unexplained = np.mean([cost for cost, _ in both], axis=0)
    offsets = np.array([offset[1] for _, offset in both])
    n = len(motions)
    error = float(delays.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    offset_error = offsets.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full(robot.nv, np.nan)
    return Alignment(
        delay=delay,
        # A grid cannot tell apart what lies between its points better than this.
        delay_error=max(error, 0.02 * (lags[1] - lags[0])) if n > 1 else error,
        offset=offsets.mean(0).tolist(),
        offset_error=offset_error.tolist(),
        unexplained=float(np.sqrt(unexplained)),
        unexplained_as_given=float(np.sqrt(as_given)),
        trajectories=n,
        widest=widest,
    )


def _costs(robot: Robot, motion: Motion, lags: Array, widest: float) -> tuple[Array, Array]:
    """The unexplained share of the torques' variance at each lag, mean over joints; the offsets."""
    time = motion.time
    inside = np.flatnonzero((time >= time[0] + widest) & (time <= time[-1] - widest))
    rows = inside[:: max(1, len(inside) // MOST_ROWS)]
    design = torque_columns(robot, motion.q[rows], motion.v[rows], motion.a[rows])
    shifted = np.stack(
        [[np.interp(time[rows] + lag, time, column) for column in motion.tau.T] for lag in lags]
    )  # (lags, nv, n)
    size = motion.tau.var(axis=0).clip(1e-12)
    weight = 1 / np.sqrt(size)
    nv, n = robot.nv, len(rows)
    whole = (design * weight[None, :, None]).reshape(n * nv, -1)
    target = (shifted * weight[:, None]).transpose(2, 1, 0).reshape(n * nv, len(lags))
    norms = np.linalg.norm(whole, axis=0)
    norms[norms == 0] = 1.0
    theta = np.linalg.lstsq(whole / norms, target, rcond=1e-9)[0]
    rest = (target - (whole / norms) @ theta).reshape(n, nv, len(lags))
    left = np.square(rest).mean(axis=0).T
    offset = (theta / norms[:, None])[-nv:].T
    return left.mean(axis=1), offset


def _least(lags: Array, cost: Array) -> float:
    """The minimum of a parabola through the lowest point and its neighbours."""
    k = int(np.argmin(cost))
    if k in (0, len(lags) - 1):
        return float(lags[k])
    before, here, after = cost[k - 1 : k + 2]
    bend = before - 2 * here + after
    shift = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return float(lags[k] + shift * (lags[1] - lags[0]))
