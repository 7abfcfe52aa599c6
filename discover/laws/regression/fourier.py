"""Trigonometric polynomials of several angles: libraries, fast transforms, formulas.

Every entry of a mass matrix is one, of degree at most 2 in each hinge's angle; gravity's are of
degree 1. Where full circles can be queried, a grid of (2 · degree + 1)ⁿ points and a fast Fourier
transform give all coefficients at once, exactly.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import sympy


@dataclass(frozen=True, kw_only=True)
class Waves:
    """Σ c cos(k·q) + s sin(k·q); frequencies (m, n) whole numbers, the first not zero positive."""

    frequencies: np.ndarray
    cosines: np.ndarray  # (m,) or (m, entries)
    sines: np.ndarray

    def __call__(self, q: np.ndarray) -> np.ndarray:
        """Values (…,) or (…, entries) at angles q (…, n)."""
        angle = q @ self.frequencies.T
        return np.cos(angle) @ self.cosines + np.sin(angle) @ self.sines

    def entry(self, index: int, tolerance: float = 1e-12) -> Waves:
        """One entry of several, without the waves that are rounding beside its largest."""
        c, s = self.cosines[:, index], self.sines[:, index]
        keep = np.hypot(c, s) > tolerance * max(float(np.hypot(c, s).max()), 1e-300)
        return Waves(frequencies=self.frequencies[keep], cosines=c[keep], sines=s[keep])

    @property
    def count(self) -> int:
        """Terms whose coefficient is not zero."""
        return int((self.cosines != 0).sum() + (self.sines[self.frequencies.any(1)] != 0).sum())

    def expression(self, angles: Sequence[sympy.Symbol]) -> sympy.Expr:
        """The sum of one entry in SymPy."""
        total = sympy.Integer(0)
        for k, c, s in zip(self.frequencies, self.cosines, self.sines, strict=True):
            angle = sum(int(f) * a for f, a in zip(k, angles, strict=True))
            total += sympy.Float(c) * sympy.cos(angle) + sympy.Float(s) * sympy.sin(angle)
        return total


def grid(angles: int, degree: int = 2) -> np.ndarray:
    """The points at which `transform` wants its samples: ((2 degree + 1)^angles, angles) [rad]."""
    count = 2 * degree + 1
    circle = 2 * np.pi * np.arange(count) / count
    return np.stack(np.meshgrid(*[circle] * angles, indexing="ij"), -1).reshape(-1, angles)


def transform(samples: np.ndarray, angles: int, degree: int = 2) -> Waves:
    """The trigonometric polynomial through samples (points of the grid, entries)."""
    count = 2 * degree + 1
    entries = samples.shape[1]
    values = samples.reshape(*[count] * angles, entries)
    spectrum = np.fft.fftn(values, axes=tuple(range(angles))).reshape(-1, entries)
    spectrum = spectrum / count**angles
    steps = np.fft.fftfreq(count, 1 / count).round().astype(int)
    k = np.array(list(itertools.product(steps, repeat=angles))).reshape(-1, angles)
    lead = np.array([next((x for x in row if x), 0) for row in k])
    zero, positive = lead == 0, lead > 0
    keep = zero | positive
    factor = np.where(zero[keep], 1.0, 2.0)[:, None]
    return Waves(
        frequencies=k[keep],
        cosines=factor * spectrum[keep].real,
        sines=-factor * spectrum[keep].imag,
    )


@dataclass(frozen=True, kw_only=True)
class Library:
    """Columns by name: `columns(q)` (…, p) and the SymPy expression of each."""

    columns: Callable[[np.ndarray], np.ndarray]
    expressions: Callable[[int], sympy.Expr]
    size: int


def waves(angles: Sequence[sympy.Symbol], which: Sequence[int], degree: int) -> Library:
    """cos(k·q) and sin(k·q) for all |k| ≤ degree over the angles `which`."""
    n = len(angles)
    rows = []
    for k in itertools.product(range(-degree, degree + 1), repeat=len(which)):
        lead = next((x for x in k if x), 0)
        if lead >= 0:
            row = [0] * n
            for i, x in zip(which, k, strict=True):
                row[i] = x
            rows.append(row)
    frequencies = np.array(rows)
    moving = frequencies.any(1)

    def columns(q: np.ndarray) -> np.ndarray:
        angle = q @ frequencies.T
        return np.concatenate([np.cos(angle), np.sin(angle[..., moving])], -1)

    def expression(index: int) -> sympy.Expr:
        if index < len(rows):
            k, function = frequencies[index], sympy.cos
        else:
            k, function = frequencies[moving][index - len(rows)], sympy.sin
        return function(sum(int(f) * a for f, a in zip(k, angles, strict=True)))

    return Library(columns=columns, expressions=expression, size=len(rows) + int(moving.sum()))


def products(angles: Sequence[sympy.Symbol], which: Sequence[int], degree: int) -> Library:
    """Products of one of 1, cos q, sin q, (cos² q, sin q cos q) for each angle of `which`."""
    one = sympy.Integer(1)
    factors = [
        [one, sympy.cos(a), sympy.sin(a), sympy.cos(a) ** 2, sympy.sin(a) * sympy.cos(a)][
            : 2 * degree + 1
        ]
        for a in (angles[i] for i in which)
    ]
    size = (2 * degree + 1) ** len(which)

    def columns(q: np.ndarray) -> np.ndarray:
        out = np.ones((*q.shape[:-1], 1))
        for i in which:
            c, s = np.cos(q[..., i]), np.sin(q[..., i])
            own = np.stack([np.ones_like(c), c, s, c * c, s * c][: 2 * degree + 1], -1)
            out = (out[..., :, None] * own[..., None, :]).reshape(*q.shape[:-1], -1)
        return out

    def expression(index: int) -> sympy.Expr:
        out = one
        for own in reversed(factors):
            index, k = divmod(index, len(own))
            out *= own[k]
        return out

    return Library(columns=columns, expressions=expression, size=size)
