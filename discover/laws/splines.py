"""Functions of one variable that are linear in their values at knots, and jumps and kinks at zero.

What a law leaves over is first described by such a basis, before any formula is looked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from discover.laws.tabulated import Table

_TAIL = 1.0  # times the median size, from where on knots are further and further apart


@dataclass(frozen=True)
class Basis:
    """Cubic splines through unit vectors at the knots; sign(z) and |z| if `kinks`."""

    knots: np.ndarray
    pieces: Tensor  # (knots + 1, 4, knots)
    kinks: bool

    @classmethod
    def over(cls, z: Tensor, size: int, tails: bool = False) -> Basis:
        """`size` knots over the sample z, half evenly spaced and half where the sample is.

        With `tails` their distance grows with that from zero, for samples that reach far out.
        """
        x = np.sort(z.detach().numpy().ravel())
        low, high = x[0], x[-1]
        if not high - low > 1e-12 * max(abs(low), abs(high)):
            high = low + max(1e-9, abs(low))
        even = np.linspace(low, high, size)
        if tails:
            unit = max(_TAIL * float(np.median(np.abs(x))), 1e-9 * (high - low))
            even = unit * np.sinh(
                np.linspace(np.arcsinh(low / unit), np.arcsinh(high / unit), size)
            )
        dense = np.quantile(x, np.linspace(0, 1, size))
        knots = 0.6 * even + 0.4 * dense
        knots = np.maximum.accumulate(knots + 1e-9 * (high - low) * np.arange(size))
        spline = CubicSpline(knots, np.eye(size))
        line = np.zeros((2, 4, size))
        for row, end in ((0, 0), (1, -1)):
            line[row, 2] = spline(knots[end], 1)
            line[row, 3] = np.eye(size)[end]
        pieces = np.concatenate([line[:1], spline.c.transpose(1, 0, 2), line[1:]])
        return cls(knots, torch.from_numpy(pieces), bool(low < 0 < high))

    @property
    def size(self) -> int:
        """Number of functions."""
        return len(self.knots) + 2 * self.kinks

    def __call__(self, z: Tensor) -> Tensor:
        """(n,) to (n, size)."""
        z = torch.nan_to_num(z)
        at = torch.from_numpy(self.knots)
        piece = torch.searchsorted(at, z.contiguous())
        x = (z - torch.cat([at[:1], at])[piece]).unsqueeze(-1)
        c = self.pieces[piece]
        values = ((c[:, 0] * x + c[:, 1]) * x + c[:, 2]) * x + c[:, 3]
        if self.kinks:
            values = torch.cat([values, z.sign().unsqueeze(-1), z.abs().unsqueeze(-1)], -1)
        return values

    def table(self, name: str, coefficients: Tensor) -> tuple[Table, float, float]:
        """The function as a table, and the heights of sign(z) and of |z| beside it."""
        k = len(self.knots)
        smooth = Table(name, tuple(self.knots.tolist()), tuple(coefficients[:k].tolist()))
        jump, kink = coefficients[k:].tolist() if self.kinks else (0.0, 0.0)
        return smooth, jump, kink
