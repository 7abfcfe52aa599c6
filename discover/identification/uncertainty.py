"""Standard errors of everything identified, by drawing blocks of time anew.

Residuals of real machines are no white noise: they last, and return with the motion. Formulas for
white noise understate errors many times over; drawing whole blocks (Künsch 1989) keeps what belongs
together. Blocks are drawn within each log.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from discover.identification.estimate import Estimate
from discover.identification.samples import Samples
from discover.judgement.thresholds import whole

Array = NDArray[np.float64]
_DRAWS = whole("identification.draws")


def bootstrap(fit: Estimate, samples: Samples, seed: int = 0) -> Array:
    """Coefficients of many draws (draws, k), in the fit's columns and units."""
    generator = np.random.default_rng(seed)
    columns = list(fit.columns)
    log_of_block = samples.log[np.unique(samples.block, return_index=True)[1]]
    members = [np.flatnonzero(log_of_block == k) for k in np.unique(log_of_block)]
    draws = np.empty((_DRAWS, len(columns)))
    for n in range(_DRAWS):
        times = np.zeros(len(log_of_block))
        for blocks in members:
            np.add.at(times, generator.choice(blocks, len(blocks)), 1.0)
        draws[n] = fit.moments.solve(columns, times)
    return draws


def standard_errors(draws: Array, fit: Estimate) -> Array:
    """Half the width of the middle 68 % of the draws (k,), widened for the parameters that the
    blocks had to determine besides."""
    low, high = np.quantile(draws, [0.1587, 0.8413], axis=0)
    blocks, a_joint = len(fit.moments.G), len(fit.columns) / len(fit.noise)
    return (high - low) / 2 * np.sqrt(blocks / max(blocks - a_joint, 0.5 * blocks))
