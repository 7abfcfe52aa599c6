"""Mass matrix and bias force of a black box at chosen states, by regression on tau.

A tree of bodies answers a = A tau + c at every state (q, v), with A = H⁻¹. Whatever the model is,
A and c are fitted to answers over the whole width of tau. The design is orthogonal, so noise
averages out; the residual (noise, rounding, whatever is not affine in tau) is measured and
propagated to standard deviations of H and of the bias force.
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
from discover.judgement.thresholds import threshold, whole

Array = NDArray[Any]
EXACT = threshold("mechanism.exact_misfit")
_NARROW = threshold("mechanism.narrow_format_misfit")
_SHARE = threshold("mechanism.noise_share")
_RESIDUALS = whole("mechanism.residuals_per_coordinate")
_SHORTEST = threshold("mechanism.shortest_design")
_ROUNDING = 2e-14  # of the largest acceleration: what the last digits of float64 are worth
_NOTHING = 1e-150  # keeps standard deviations from being zero, by which residuals are divided


@dataclass(frozen=True, kw_only=True)
class LocalDynamics:
    """tau = H a + force at n states, in the model's coordinates, with standard deviations.

    q, v                    (n, nq), (n, nv) the states
    H, H_deviation          (n, nv, nv) mass matrix, symmetric
    force, force_deviation  (n, nv) bias force: tau at a = 0; at v = 0 the static force
    A, c                    (n, nv, nv), (n, nv) of the regression a = A tau + c
    raw                     (n, nv, nv) A⁻¹ before it is made symmetric
    rows, columns           (n or 1, nv, nv), (n, nv + 1, nv + 1): the errors E[i, k] and E[j, l] of
                            [raw | force] have the covariance rows[i, j] columns[k, l], for the
                            noise of one answer is shared by its coordinates, and that of A by all
                            that is inverted with it
    misfit                  relative root mean square of what is not affine in tau, noise included
    asymmetry               relative root mean square of the antisymmetric part of A
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
        """The diagonal block of some joints, by their velocity coordinates.

        keep         indices of v, H and force
        coordinates  their columns of q, where these differ from `keep` (a free base has a
                     quaternion)
        """
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
    """Estimates H and bias force of one black box at states of the caller's choice.

    blackbox  what answers; joints of one coordinate (`FloatingBaseSampler` takes a free base)
    region    where questions are drawn
    seed      of the drawn states and designs
    stretch   factor on the half-widths of the region in tau
    noise     relative misfit of a = A tau + c, measured once in the region at rest
    scatter   relative deviation between two answers to the same question; 0 where noise is
    """

    blackbox: BlackBox
    region: Region
    seed: int = 0
    stretch: float = 1.0

    def __post_init__(self) -> None:
        self.nv = self.blackbox.nv
        self.region = self.region.resolve(self.nv)
        self.rng = np.random.default_rng([self.seed, 17])
        self.noise = self._measure_noise()
        self.scatter = self._measure_scatter() if self.noisy else 0.0

    @property
    def noisy(self) -> bool:
        """Whether the answers depart from a = A tau + c beyond rounding, by noise or not."""
        return self.noise > EXACT

    @property
    def scatters(self) -> bool:
        """Whether residuals are random noise, by whose covariance answers can be weighted.

        The error of rounding to a narrow number format is no such noise: it is the same when a
        question is repeated, and shared by all answers at a state.
        """
        return self.noisy and (self.noise > _NARROW or self.scatter > _SHARE * self.noise)

    @property
    def excused(self) -> bool:
        """Whether residuals may be noise or rounding, and so don't speak against a recursion: the
        same question asked twice is answered in two ways, or the residuals are as small as the
        rounding of a narrow number format."""
        return self.noisy and (self.noise < _NARROW or self.scatter > _SHARE * self.noise)

    def draw(self, n: int, width: float = 1.0) -> Array:
        """n configurations (n, nv), uniform in the region in q, times `width` about its centre."""
        low, high = self.bounds("q", width)
        return self.rng.uniform(low, high, (n, self.nv))

    def draw_velocities(self, n: int, width: float = 1.0) -> Array:
        """n velocities (n, nv), uniform in the region in v, times `width` about its centre."""
        low, high = self.bounds("v", width)
        return self.rng.uniform(low, high, (n, self.nv))

    def draw_forces(self, n: int, width: float = 1.0) -> Array:
        """n joint forces (n, nv), uniform in the region in tau, times `width` about its centre."""

        low, high = self.bounds("tau", width)
        return self.rng.uniform(low, high, (n, self.nv))

    def at(self, q: Array, v: Array | None = None, replicates: int = 1) -> LocalDynamics:
        """H and bias force at states q (n, nq), v (n, nv), at rest unless given.

        replicates  how many orthogonal designs are asked at each state
        """
        q = np.atleast_2d(q)
        n, nv = len(q), self.nv
        v = np.zeros((n, nv)) if v is None else np.broadcast_to(np.atleast_2d(v), (n, nv))
        low, high = self.bounds("tau", self.stretch)
        centre, half = (low + high) / 2, (high - low) / 2
        unit = np.stack([self._design(replicates) for _ in range(n)])  # (n, count, nv)
        count, squares = unit.shape[1], (unit[0] ** 2).sum(0)
        tau = centre + half * unit
        a = self._ask(np.repeat(q, count, 0), np.repeat(v, count, 0), tau.reshape(-1, nv))
        a = a.reshape(n, count, nv)
        mean = a.mean(1, keepdims=True)
        slope = np.einsum("nmi,nmk->nik", a, unit) / squares  # A times the half-widths
        residual = a - mean - np.einsum("nik,nmk->nmi", slope, unit)
        freedom = count - nv - 1
        size = np.sqrt((a**2).mean((0, 1))) + _NOTHING
        covariance = _noise_covariance(residual, freedom) + np.diag((_ROUNDING * size) ** 2)
        A = slope / half
        misfit = float(np.sqrt(np.mean((residual**2).sum((0, 1)) / (n * freedom) / size**2)))
        variances = np.append(1.0 / (squares * half**2), 1.0 / count)
        return self._invert(q, v, A, mean[:, 0], covariance, variances, centre, misfit)

    def _invert(self, q, v, A, mean, covariance, variances, centre, misfit) -> LocalDynamics:
        """From A and the mean acceleration (at the centre of tau) to H and bias force."""
        balance = np.sqrt(np.abs(np.einsum("nii->ni", A)).mean(0)) + 1e-300
        scaled = A / balance[:, None] / balance
        asymmetry = float(np.sqrt(np.mean((scaled - scaled.swapaxes(1, 2)) ** 2)))
        asymmetry /= 2 * float(np.sqrt(np.mean(scaled**2))) + 1e-300
        raw = _inverse(A)
        H = 0.5 * (raw + raw.swapaxes(1, 2))
        force = centre - np.einsum("nij,nj->ni", raw, mean)
        # δ[A⁻¹ | force] = -A⁻¹ [δA | δmean] M, and the columns of [δA | δmean] are independent,
        # with `variances` times the covariance of one answer.
        M = np.zeros((len(q), len(variances), len(variances)))
        M[:, :-1, :-1], M[:, :-1, -1], M[:, -1, -1] = raw, force - centre, 1.0
        rows = raw @ covariance @ raw.swapaxes(1, 2)
        columns = M.swapaxes(1, 2) @ (variances[:, None] * M)
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
        """Relative root mean square of the difference between answers to one question, over √2."""
        n = 32
        states = [self.draw(n), self.draw_velocities(n), self.draw_forces(n)]
        # Within one call and between two: some noise is drawn once a call.
        twice = self._ask(*(np.concatenate([x, x]) for x in states))
        again = self._ask(*states)
        difference = np.concatenate([twice[:n] - twice[n:], twice[:n] - again])
        size = np.sqrt((again**2).mean(0)) + 1e-300
        return float(np.sqrt(np.mean((difference / size) ** 2) / 2))

    def _design(self, replicates: int) -> Array:
        """Orthogonal columns (m, nv) about zero. Replicates differ in length: a model that rounds
        its numbers would repeat its error at the same question."""
        size = 1 << int(np.ceil(np.log2(self.nv + 2)))
        base = hadamard(size)[:, 1 : self.nv + 1].astype(float)
        scale = self.rng.choice([-1.0, 1.0], (replicates, 1, self.nv))
        if replicates > 1:
            lengths = np.tile(np.linspace(_SHORTEST, 1.0, replicates)[:, None], self.nv)
            scale *= self.rng.permuted(lengths, axis=0)[:, None]
        return (base * scale).reshape(-1, self.nv)

    def bounds(self, group: str, width: float = 1.0) -> tuple[Array, Array]:
        """Lower and upper bounds (nv,), (nv,) of q, v or tau, times `width` about the centre."""
        bounds = getattr(self.region, group)
        centre, half = bounds.centre.numpy(), bounds.half_width.numpy()
        return centre - width * half, centre + width * half

    def _ask(self, q: Array, v: Array, tau: Array) -> Array:
        tensors = [torch.from_numpy(np.ascontiguousarray(x)) for x in (q, v, tau)]
        return self.blackbox.ask(*tensors).a.numpy()


def _noise_covariance(residual: Array, freedom: int) -> Array:
    """Covariance (n or 1, nv, nv) of the noise on answers, from residuals (n, m, nv): of each state
    where there are enough, else of all together.

    The inverse of a covariance of few residuals is too large in the mean; the divisor makes up
    for it.
    """
    nv = residual.shape[-1]
    if freedom < _RESIDUALS * nv:
        return np.einsum("nmi,nmk->ik", residual, residual)[None] / (len(residual) * freedom)
    return np.einsum("nmi,nmk->nik", residual, residual) / (freedom - nv - 1)


def _inverse(A: Array) -> Array:
    """A⁻¹ where there is one, else the pseudo-inverse (a model need not have a mass matrix)."""
    try:
        inverse = np.linalg.inv(A)
    except np.linalg.LinAlgError:
        return np.linalg.pinv(A)
    return inverse if np.isfinite(inverse).all() else np.linalg.pinv(A)
