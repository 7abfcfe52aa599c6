"""Smoothing and differentiation of recorded signals, at the times they were recorded.

A Savitzky–Golay filter fits a polynomial to a window of samples and takes its value and slope in
the middle. Logs seldom have even steps, so here the polynomial is fitted in true time, window by
window: what is a polynomial of that order comes out unchanged on any grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.signal import oaconvolve

Array = NDArray[np.float64]
_AT_A_TIME = 4096
_EVEN = 1e-9  # relative spread of the steps below which one set of weights serves all windows
_LONG = 3.0  # windows longer than so many medians lie across a gap, where powers are near ties


@dataclass(frozen=True, kw_only=True)
class Smoothed:
    """A signal after the filter, at the M = N - window + 1 samples that have a whole window.

    value (M, k); first and second (M, k): derivatives by time [1/s, 1/s²]; raw_noise (k,): standard
    deviation of a recorded sample about the filter; noise, first_noise, second_noise (k,): the
    standard deviation that such noise, if it is white, has in the three. The filter's own bias is
    not included.
    """

    value: Array
    first: Array
    second: Array
    raw_noise: Array
    noise: Array
    first_noise: Array
    second_noise: Array


def savitzky_golay(time: Array, signal: Array, window: int, order: int) -> Smoothed:
    """Filter signal (N, k), recorded at strictly increasing times (N,) [s]; N >= window.

    Savitzky and Golay (1964), for uneven steps.
    """
    half = window // 2
    windows = len(time) - window + 1
    coefficients = np.zeros((windows, 3, signal.shape[1]))
    spread = np.zeros((windows, 3))  # standard deviation that unit white noise has in each
    own_weight = np.zeros(windows)
    if is_even(time):
        step = (time[-1] - time[0]) / (len(time) - 1)
        weights = window_weights(step * np.arange(window)[None], half, order)[0]
        for p, row in enumerate(weights):
            coefficients[:, p] = oaconvolve(signal, row[::-1, None], mode="valid", axes=0)
        spread[:, : len(weights)] = np.sqrt((weights**2).sum(axis=1))
        own_weight[:] = weights[0, half]
    else:
        for start in range(0, windows, _AT_A_TIME):
            rows = slice(start, min(start + _AT_A_TIME, windows))
            part = slice(rows.start, rows.stop + window - 1)
            weights = window_weights(sliding_window_view(time[part], window), half, order)
            windowed = sliding_window_view(signal[part], window, axis=0)  # (m, k, window)
            fitted = np.matmul(weights, windowed.transpose(0, 2, 1))
            coefficients[rows, : weights.shape[1]] = fitted
            spread[rows, : weights.shape[1]] = np.sqrt((weights**2).sum(axis=2))
            own_weight[rows] = weights[:, 0, half]
    residual = signal[half : half + windows] - coefficients[:, 0]
    # The middle residual of a least-squares fit has variance (1 - its own weight) of the noise.
    residual /= np.sqrt(np.maximum(1 - own_weight, 1e-12))[:, None]
    raw = np.sqrt(np.mean(residual**2, axis=0))
    noise, first_noise, second_noise = np.sqrt(np.mean(spread**2, axis=0))
    return Smoothed(
        value=coefficients[:, 0],
        first=coefficients[:, 1],
        second=coefficients[:, 2],
        raw_noise=raw,
        noise=raw * noise,
        first_noise=raw * first_noise,
        second_noise=raw * second_noise,
    )


def window_weights(times: Array, half: int, order: int) -> Array:
    """Weights (m, ≤ 3, window) of the samples in value, slope and curvature at the middle, of
    windows at times (m, window) [s]."""
    offset = times - times[:, half : half + 1]
    # In units of the window's reach, or the powers of milliseconds would ruin the conditioning.
    reach = np.abs(offset).max(axis=1)
    unit = offset / reach[:, None]
    powers = np.ones((len(unit), order + 1, unit.shape[1]))
    for k in range(order):
        np.multiply(powers[:, k], unit, out=powers[:, k + 1])
    weights = np.empty((*times.shape[:1], min(order + 1, 3), times.shape[1]))
    span = times[:, -1] - times[:, 0]
    across = span > _LONG * np.median(span)
    plain = powers[~across] if across.any() else powers
    if len(plain):
        # only three rows of the inverse are asked for: three right-hand sides, not a window of them
        gram = np.matmul(plain, plain.transpose(0, 2, 1))
        wanted = np.broadcast_to(
            np.eye(order + 1)[:, :3], (len(gram), order + 1, min(order + 1, 3))
        )
        weights[~across] = np.matmul(np.linalg.solve(gram, wanted).transpose(0, 2, 1), plain)
    if across.any():
        weights[across] = np.linalg.pinv(powers[across].transpose(0, 2, 1))[:, :3]
    scale = np.stack([np.ones_like(reach), 1 / reach, 2 / reach**2], axis=1)
    return weights * scale[:, : weights.shape[1], None]


def is_even(time: Array) -> bool:
    """Whether times (N,) have steps that are equal but for rounding."""
    steps = np.diff(time)
    return bool(np.ptp(steps) <= _EVEN * np.median(steps))
