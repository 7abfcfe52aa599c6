"""Wide questions in tau: what the mass matrix and the bias force of a black box are at a state.

A body of joints answers a = A tau + c at every state (q, v), with A = H⁻¹. Whatever the model is,
A and c are fitted to answers over the whole width of tau, by an orthogonal design, so that noise
averages out; what does not fit (noise, rounding, a model that is not affine in tau) is measured
and goes into the standard deviations of H and of the force.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import hadamard

from discover.blackbox.contract import BlackBox
from discover.blackbox.region import Region

Array = NDArray[Any]
ROUNDING = 2e-14  # of the largest acceleration: what the last digits of float64 are worth
_NARROW = 1e-4  # what rounding to narrow numbers may leave of an affine model
_SHARE = 0.3  # of a departure that must be scatter for it to pass as noise
_NOTHING = 1e-150  # no deviation is quite zero
_SHORTEST = 0.9  # of the width of tau
_ENOUGH = 8  # residuals for each coordinate from which a covariance can be inverted
_EXACT = 1e-9  # below this relative misfit the answers are taken as free of noise


@dataclass(frozen=True, kw_only=True)
class LocalDynamics:
    """tau = H a + force at n states, each with its standard deviation.

    q, v (n, nv); H, H_deviation (n, nv, nv), symmetric; force, force_deviation (n, nv) is tau at
    a = 0; A (n, nv, nv) and c (n, nv) as fitted. `misfit` is the share of a that is not affine in
    tau (noise included), `asymmetry` that of A that is not symmetric.

    `raw` (n, nv, nv) is A⁻¹ as it came. The error E of [raw | force] has the covariance
    rows[i, j] columns[k, l] between E[i, k] and E[j, l]: the noise of one answer is shared by its
    coordinates, and of A by all that is inverted with it.
    """

    q: Array
    v: Array
    H: Array
    H_deviation: Array
    force: Array
    force_deviation: Array
    A: Array
    c: Array
    raw: Array
    rows: Array
    columns: Array
    misfit: float
    asymmetry: float

    def __len__(self) -> int:
        return len(self.q)

    def __getitem__(self, rows) -> LocalDynamics:
        alone = ("misfit", "asymmetry")
        picked = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name not in alone}
        return replace(self, **picked)

    def joints(self, keep: list[int], coordinates: list[int] | None = None) -> LocalDynamics:
        """The block of some joints; `coordinates`: their columns of q, where these differ."""
        block = np.ix_(range(len(self)), keep, keep)
        last = [*keep, self.H.shape[1]]
        return replace(
            self,
            q=self.q[:, keep if coordinates is None else coordinates],
            v=self.v[:, keep],
            H=self.H[block],
            H_deviation=self.H_deviation[block],
            force=self.force[:, keep],
            force_deviation=self.force_deviation[:, keep],
            A=self.A[block],
            c=self.c[:, keep],
            raw=self.raw[block],
            rows=self.rows[block],
            columns=self.columns[np.ix_(range(len(self)), last, last)],
        )


@dataclass(kw_only=True)
class DynamicsSampler:
    """Asks one model, in its region, for H and force at states of the caller's choice.

    `stretch` widens the differences in tau beyond the region; `noise` is the relative misfit of
    the answers, measured once, and `replicates` the number of designs asked at each state.
    """

    blackbox: BlackBox
    region: Region
    seed: int = 0
    stretch: float = 1.0

    def __post_init__(self) -> None:
        self.nv = self.blackbox.nv
        self.region = self.region.resolve(self.nv)
        self._rng = np.random.default_rng([self.seed, 17])
        self.noise = self._measure_noise()
        self.scatter = self._measure_scatter() if self.noisy else 0.0

    @property
    def noisy(self) -> bool:
        """Whether the answers depart from a = A tau + c beyond rounding, by noise or not."""
        return self.noise > _EXACT

    @property
    def scatters(self) -> bool:
        """Whether departures are noise, by which answers can be weighed: those of rounding to
        narrow numbers are the same when asked again, and shared by all answers at a state."""
        return self.noisy and (self.noise > _NARROW or self.scatter > _SHARE * self.noise)

    @property
    def excused(self) -> bool:
        """Whether departures may be noise: the same question asked twice is answered in two ways,
        or the departures are as small as the rounding of a narrow number format."""
        return self.noisy and (self.noise < _NARROW or self.scatter > _SHARE * self.noise)

    def draw(self, n: int, width: float = 1.0) -> Array:
        """n configurations, uniform in the region in q, widened about its centre."""
        low, high = self._side("q", width)
        return self._rng.uniform(low, high, (n, self.nv))

    def draw_velocities(self, n: int, width: float = 1.0) -> Array:
        """n velocities, uniform in the region in v."""
        low, high = self._side("v", width)
        return self._rng.uniform(low, high, (n, self.nv))

    def draw_forces(self, n: int, width: float = 1.0) -> Array:
        """n joint forces, uniform in the region in tau."""
        low, high = self._side("tau", width)
        return self._rng.uniform(low, high, (n, self.nv))

    def at(self, q: Array, v: Array | None = None, replicates: int = 1) -> LocalDynamics:
        """H and force at states (n, nv); v = 0 unless given."""
        q = np.atleast_2d(q)
        n, nv = len(q), self.nv
        v = np.zeros((n, nv)) if v is None else np.broadcast_to(np.atleast_2d(v), (n, nv))
        low, high = self._side("tau", self.stretch)
        centre, half = (low + high) / 2, (high - low) / 2
        unit = np.stack([self._design(replicates) for _ in range(n)])  # (n, count, nv)
        count, squares = unit.shape[1], (unit[0] ** 2).sum(0)
        tau = centre + half * unit
        a = self._ask(np.repeat(q, count, 0), np.repeat(v, count, 0), tau.reshape(-1, nv))
        a = a.reshape(n, count, nv)
        mean = a.mean(1, keepdims=True)
        slope = np.einsum("nmi,nmk->nik", a, unit) / squares  # A times the half-widths
        left = a - mean - np.einsum("nik,nmk->nmi", slope, unit)
        freedom = count - nv - 1
        size = np.sqrt((a**2).mean((0, 1))) + _NOTHING
        covariance = _scatter(left, freedom) + np.diag((ROUNDING * size) ** 2)
        A = slope / half
        misfit = float(np.sqrt(np.mean((left**2).sum((0, 1)) / (n * freedom) / size**2)))
        alone = np.append(1.0 / (squares * half**2), 1.0 / count)
        return self._invert(q, v, A, mean[:, 0], covariance, alone, centre, misfit)

    def _invert(self, q, v, A, mean, covariance, alone, centre, misfit) -> LocalDynamics:
        balance = np.sqrt(np.abs(np.einsum("nii->ni", A)).mean(0)) + 1e-300
        scaled = A / balance[:, None] / balance
        asymmetry = float(np.sqrt(np.mean((scaled - scaled.swapaxes(1, 2)) ** 2)))
        asymmetry /= 2 * float(np.sqrt(np.mean(scaled**2))) + 1e-300
        raw = _inverse(A)
        H = 0.5 * (raw + raw.swapaxes(1, 2))
        force = centre - np.einsum("nij,nj->ni", raw, mean)
        # δ[A⁻¹ | force] = -A⁻¹ [δA | δmean] M, and the columns of [δA | δmean] are independent,
        # with `alone` times the covariance of one answer.
        M = np.zeros((len(q), len(alone), len(alone)))
        M[:, :-1, :-1], M[:, :-1, -1], M[:, -1, -1] = raw, force - centre, 1.0
        rows = raw @ covariance @ raw.swapaxes(1, 2)
        columns = M.swapaxes(1, 2) @ (alone[:, None] * M)
        # The symmetric mean is not worse than the better of the two.
        by_rows, by_columns = (np.einsum("nii->ni", x) for x in (rows, columns))
        variance = by_rows[:, :, None] * by_columns[:, None, :-1]
        variance = 0.5 * (variance + variance.swapaxes(1, 2))
        return LocalDynamics(
            q=q,
            v=v,
            H=H,
            H_deviation=np.sqrt(np.abs(variance)) + _NOTHING,
            force=force,
            force_deviation=np.sqrt(np.abs(by_rows * by_columns[:, -1:])) + _NOTHING,
            A=A,
            c=mean - np.einsum("nij,j->ni", A, centre),
            raw=raw,
            rows=rows,
            columns=columns,
            misfit=misfit,
            asymmetry=asymmetry,
        )

    def _measure_noise(self) -> float:
        return self.at(self.draw(6)).misfit

    def _measure_scatter(self) -> float:
        """Relative root mean square of the noise that the same questions, asked twice, show."""
        n = 32
        states = [self.draw(n), self.draw_velocities(n), self.draw_forces(n)]
        # In one call and in two: some noise is drawn once a call.
        twice = self._ask(*(np.concatenate([x, x]) for x in states))
        again = self._ask(*states)
        apart = np.concatenate([twice[:n] - twice[n:], twice[:n] - again])
        size = np.sqrt((again**2).mean(0)) + 1e-300
        return float(np.sqrt(np.mean((apart / size) ** 2) / 2))

    def _design(self, replicates: int) -> Array:
        """Orthogonal columns (m, nv) about zero; no question is asked twice, for what rounds its
        numbers errs in the same way again."""
        size = 1 << int(np.ceil(np.log2(self.nv + 2)))
        base = hadamard(size)[:, 1 : self.nv + 1].astype(float)
        scale = self._rng.choice([-1.0, 1.0], (replicates, 1, self.nv))
        if replicates > 1:
            lengths = np.tile(np.linspace(_SHORTEST, 1.0, replicates)[:, None], self.nv)
            scale *= self._rng.permuted(lengths, axis=0)[:, None]
        return (base * scale).reshape(-1, self.nv)

    def _side(self, group: str, width: float) -> tuple[Array, Array]:
        bounds = getattr(self.region, group)
        centre, half = bounds.centre.numpy(), bounds.half_width.numpy()
        return centre - width * half, centre + width * half

    def _ask(self, q: Array, v: Array, tau: Array) -> Array:
        tensors = [torch.from_numpy(np.ascontiguousarray(x)) for x in (q, v, tau)]
        return self.blackbox.ask(*tensors).a.numpy()


def _scatter(left: Array, freedom: int) -> Array:
    """Covariance (n, nv, nv) of the noise on answers, from residuals (n, m, nv): of each state by
    itself where there are enough, else of all together.

    With few residuals an inverse covariance is too large in the mean by what is divided out here.
    """
    nv = left.shape[-1]
    if freedom < _ENOUGH * nv:
        return np.einsum("nmi,nmk->ik", left, left)[None] / (len(left) * freedom)
    return np.einsum("nmi,nmk->nik", left, left) / (freedom - nv - 1)


def _inverse(A: Array) -> Array:
    """A⁻¹ where there is one, else the pseudo-inverse (a model need not have a mass matrix)."""
    try:
        inverse = np.linalg.inv(A)
    except np.linalg.LinAlgError:
        return np.linalg.pinv(A)
    return inverse if np.isfinite(inverse).all() else np.linalg.pinv(A)
