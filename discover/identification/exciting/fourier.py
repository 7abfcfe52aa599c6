"""Periodic motions as finite Fourier series (Swevers et al. 1997), at rest where they begin.

q(t) = start + Σ_k s_k sin(k w t) + c_k (cos(k w t) - 1),  w = 2π / period,  k = 1 … K

with Σ k s_k = 0 and Σ k² c_k = 0, so that velocity and acceleration are zero at the start and after
each period: a controller can begin there, repeat the motion and average the periods. Velocities and
accelerations are exact, without any filter. In coordinates of the null space of these two
conditions (2 K - 2 numbers a joint) nothing is left to enforce.

Swevers, Ganseman, Tükel, De Schutter & Van Brussel (1997), Optimal robot excitation and
identification, IEEE Trans. Robotics and Automation 13(5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import null_space

from discover.records import Stored

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class FourierMotion(Stored):
    """period [s]; start (nv,), sine and cosine (nv, K) [rad | m]."""

    period: float
    start: Array
    sine: Array
    cosine: Array

    @property
    def harmonics(self) -> int:
        """K."""
        return int(self.sine.shape[1])

    def at(self, time: Array) -> tuple[Array, Array, Array]:
        """q, v, a (N, nv) at the times (N,) [s]."""
        w: Array = 2 * np.pi / self.period * np.arange(1.0, self.harmonics + 1)
        angle = np.asarray(time, dtype=np.float64)[:, None] * w
        s, c = self.sine.T, self.cosine.T
        sin, cos = np.sin(angle), np.cos(angle)
        return (
            self.start + sin @ s + (cos - 1) @ c,
            (cos * w) @ s - (sin * w) @ c,
            -(sin * w**2) @ s - (cos * w**2) @ c,
        )

    def grid(self, count: int) -> Array:
        """Times (count,) evenly over a period."""
        times: Array = np.linspace(0.0, self.period, count, endpoint=False)
        return times


@dataclass(frozen=True, kw_only=True)
class Basis:
    """The motions of a period with K harmonics: coefficients = rows of `free` @ numbers.

    free (2 K, 2 K - 2) gives sines, then cosines, all with the same size of velocity [s].
    """

    period: float
    free: Array

    @classmethod
    def of(cls, period: float, harmonics: int) -> Basis:
        """All motions at rest at the start; K is at least 2."""
        k = np.arange(1.0, harmonics + 1)
        conditions = np.zeros((2, 2 * harmonics))
        conditions[0, :harmonics] = 1.0  # Σ k s_k with s_k = x_k / (k w)
        conditions[1, harmonics:] = k / harmonics
        scale = np.tile(period / (2 * np.pi * k), 2)
        return cls(period=period, free=scale[:, None] * null_space(conditions))

    @property
    def numbers(self) -> int:
        """Free numbers of a joint."""
        return int(self.free.shape[1])

    def motion(self, start: Array, numbers: Array) -> FourierMotion:
        """The motion from `start` (nv,) with the free numbers (nv, 2 K - 2)."""
        coefficients = numbers @ self.free.T
        half = coefficients.shape[1] // 2
        return FourierMotion(
            period=self.period,
            start=np.asarray(start, dtype=np.float64),
            sine=coefficients[:, :half],
            cosine=coefficients[:, half:],
        )

    def columns(self, time: Array) -> tuple[Array, Array, Array]:
        """Displacement, velocity and acceleration (N, 2 K - 2) of each free number."""
        one = self.motion(np.zeros(self.numbers), np.eye(self.numbers))
        return one.at(time)
