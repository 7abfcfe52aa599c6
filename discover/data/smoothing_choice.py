"""The choice of the smoothing window: by cross-validation over logs, not by the user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from discover.data.logs import Log
from discover.data.settings import Smoothing

if TYPE_CHECKING:
    from kinematics import Robot


@dataclass(frozen=True, kw_only=True)
class SmoothingChoice:
    """A window of duration window_s [s], the same for all channels and logs, and the polynomial's
    order; scores: what each window that was tried gave, by its duration, on the scale of criterion.
    """

    window_s: float
    order: int
    criterion: str
    scores: dict[float, float]

    def of(self, log: Log) -> Smoothing:
        """The filter for a log: an odd number of samples about as long as the window."""
        half = round(self.window_s / log.step / 2)
        least = self.order // 2 + 1
        most = (len(log.time) - 1) // 2
        return Smoothing(window=2 * max(min(half, most), least) + 1, order=self.order)

    def sentence(self) -> str:
        """The choice in words."""
        tried = sorted(self.scores)
        return (
            f"the filter's window, {1e3 * self.window_s:.3g} ms, was chosen by {self.criterion} "
            f"among {len(tried)} from {1e3 * tried[0]:.3g} to {1e3 * tried[-1]:.3g} ms"
        )


def choose_smoothing(logs: Sequence[Log], robot: Robot | None = None) -> SmoothingChoice:
    """The window that predicts best. To be filled."""
    step = float(np.median([log.step for log in logs]))
    return SmoothingChoice(window_s=41 * step, order=3, criterion="none", scores={41 * step: 0.0})
