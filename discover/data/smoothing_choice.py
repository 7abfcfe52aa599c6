"""The smoothing window, chosen from the logs: by the estimated error of the acceleration, and by
how well joint forces are predicted on logs that were held out.

A longer window takes out more noise and rounds off more of the motion. Both errors of the second
derivative can be estimated without knowing the motion: the noise from what a filter of the same
window leaves in the band above its own, the rounding from what a polynomial of higher order finds
in the same window (an unbiased estimate of risk, as Mallows' C_p; for local polynomials Fan and
Gijbels 1995, "Data-driven bandwidth selection in local polynomial fitting"). Each is measured on
samples of all logs.

What the robot's bodies do not follow, such as a vibration of the mount, is no error of the filter,
yet disturbs a law. So where there is a robot, windows are left out whose motion predicts held-out
joint forces clearly worse than another's (torque_prediction.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from discover.data.logs import Log
from discover.data.settings import Smoothing
from discover.data.smoothing import is_even, window_weights
from discover.data.torque_prediction import prediction_errors
from discover.errors import DatasetError
from discover.judgement.thresholds import threshold, whole

if TYPE_CHECKING:
    from kinematics import Robot

Array = NDArray[np.float64]
ORDER = 3
_HIGHER = 5  # the order that says what ORDER rounds off
_SHORTEST = 2 * _HIGHER + 1  # samples, so that its half still holds a polynomial of _HIGHER
_AT_A_TIME = 256


@dataclass(frozen=True, kw_only=True)
class SmoothingChoice:
    """A window of duration window_s [s], the same for all channels and logs, and the polynomial's
    order.

    risks: for each window tried, by its duration [s], the estimated mean square error of the
    acceleration (n,) a joint coordinate [(rad/s²)² | (m/s²)²]. predictions: the held-out error of
    the joint forces by window, relative to their variance; empty without a robot.
    """

    window_s: float
    order: int
    risks: dict[float, list[float]]
    predictions: dict[float, float] = field(default_factory=dict)

    def of(self, log: Log) -> Smoothing:
        """The filter for a log: an odd number of samples about as long as the window."""
        half = round(self.window_s / log.step / 2)
        least = self.order // 2 + 1
        most = (len(log.time) - 1) // 2
        return Smoothing(window=2 * max(min(half, most), least) + 1, order=self.order)

    @property
    def at_an_end(self) -> bool:
        """Whether the best window is the shortest or the longest that was tried."""
        return self.window_s in (min(self.risks), max(self.risks))

    def sentence(self) -> str:
        """The choice in words."""
        tried = sorted(self.risks)
        among = f"of {len(tried)} from {1e3 * tried[0]:.3g} to {1e3 * tried[-1]:.3g} ms"
        end = ", at the end of what was tried" if self.at_an_end and len(tried) > 1 else ""
        fair = " among those that predict held-out joint forces best" if self.predictions else ""
        return (
            f"the filter's window, {1e3 * self.window_s:.3g} ms, has the least estimated error of "
            f"the acceleration{fair}, {among}{end}"
        )


def choose_smoothing(logs: Sequence[Log], robot: Robot | None = None) -> SmoothingChoice:
    """The window whose accelerations have the least estimated error over all logs, among those that
    predict held-out joint forces as well as any, where a robot with a fixed base is given.

    Joints count by the share of their acceleration that is no error, so that one at rest does not
    decide. Raises DatasetError where a log is too short for the shortest window.
    """
    if not logs:
        raise DatasetError("expected a log to choose the smoothing from, found none")
    windows = _windows(logs)
    risks: dict[float, Array] = {}
    sizes: dict[float, Array] = {}
    longest = windows[-1]
    for window in windows:
        of_logs = [_risk(log, window, longest) for log in logs]
        risks[window] = np.mean([risk for risk, _ in of_logs], axis=0)
        sizes[window] = np.mean([size for _, size in of_logs], axis=0)
    table = np.array([risks[window] for window in windows])  # (windows, n)
    least = table.min(axis=0)
    size = np.array([sizes[window] for window in windows])[table.argmin(axis=0), range(len(least))]
    signal = np.maximum(size - least, 0.0)
    share = signal / np.maximum(signal + least, 1e-300)
    cost = (share * table / np.maximum(least, 1e-300)).sum(axis=1)
    predictions: dict[float, float] = {}
    if robot is not None and "free" not in robot.kinds and any(np.ptp(x.tau) > 0 for x in logs):
        ratio = np.array(windows) / windows[int(cost.argmin())]
        about = threshold("data.windows_about")
        tried = np.flatnonzero((ratio <= about) & (ratio >= 1 / about))
        compared = [windows[k] for k in tried]
        errors = prediction_errors(logs, robot, compared, ORDER)
        fair = tried[_as_good(errors)]
        cost[np.setdiff1d(np.arange(len(cost)), fair)] = np.inf
        predictions = dict(zip(compared, errors.mean(axis=1).tolist(), strict=True))
    return SmoothingChoice(
        window_s=windows[int(cost.argmin())],
        order=ORDER,
        risks={window: risk.tolist() for window, risk in risks.items()},
        predictions=predictions,
    )


def _as_good(errors: Array) -> NDArray[np.bool_]:
    """Which rows of errors (windows, pieces) are not clearly above the least: within a standard
    error of the difference over pieces, or a small share."""
    mean = errors.mean(axis=1)
    best = int(mean.argmin())
    apart = errors - errors[best]
    error = apart.std(axis=1, ddof=1) / np.sqrt(errors.shape[1])
    share = threshold("data.as_good_prediction")
    return apart.mean(axis=1) <= np.maximum(error, share * mean[best])


def _windows(logs: Sequence[Log]) -> list[float]:
    """Durations [s] to try, from a few samples to a share of the shortest log."""
    step = max(log.step for log in logs)
    shortest = (_SHORTEST - 1) * step
    share = threshold("data.longest_window_share")
    longest = min(threshold("data.longest_window"), share * min(log.duration for log in logs))
    short = min(logs, key=lambda log: len(log.time))
    longest = max(longest, shortest)
    if len(short.time) < 2 * _SHORTEST:
        raise DatasetError(
            f"recording {short.name}: expected at least {2 * _SHORTEST} rows to choose a "
            f"smoothing window, found {len(short.time)}; set one"
        )
    count = 1 + int(np.log(longest / shortest) / np.log(threshold("data.window_ratio")))
    return (shortest * threshold("data.window_ratio") ** np.arange(count)).tolist()


def _risk(log: Log, window_s: float, longest_s: float) -> tuple[Array, Array]:
    """Estimated mean square error of the acceleration by this window, and its mean square."""
    half = max(round(window_s / log.step / 2), _HIGHER)
    inner = max(half // 2, _HIGHER // 2 + 1)
    edge = max(round(longest_s / log.step / 2), half)
    centres = np.linspace(edge, len(log.time) - 1 - edge, whole("data.smoothing_samples"))
    centres = np.unique(centres.astype(int))
    even = is_even(log.time)
    squares: dict[str, Array] = {}
    total = 0
    for start in range(0, len(centres), _AT_A_TIME):
        rows = centres[start : start + _AT_A_TIME, None] + np.arange(-half, half + 1)
        values = log.q[rows].transpose(0, 2, 1)  # (m, n, window)
        times = log.time[rows[:1]] if even else log.time[rows]
        plain = window_weights(times, half, ORDER)[:, 2]
        higher = window_weights(times, half, _HIGHER)
        short = np.zeros_like(plain)
        middle = slice(half - inner, half + inner + 1)
        short[:, middle] = window_weights(times[:, middle], inner, _HIGHER)[:, 0]
        band = short - higher[:, 0]
        parts = {"plain": plain, "rounded": plain - higher[:, 2], "band": band}
        for name, weights in parts.items():
            seen = np.einsum("mnw,mw->mn" if not even else "mnw,ow->mn", values, weights)
            squares[name] = squares.get(name, 0) + (seen**2).sum(axis=0)
            norm = (weights**2).sum() * (len(rows) / len(weights))
            squares[f"{name} norm"] = squares.get(f"{name} norm", 0) + np.asarray(norm)
        total += len(rows)
    mean = {name: x / total for name, x in squares.items()}
    noise = mean["band"] / mean["band norm"]  # variance of a sample, were all of it like the band
    rounding = np.maximum(mean["rounded"] - noise * mean["rounded norm"], 0.0)
    return rounding + noise * mean["plain norm"], mean["plain"]
