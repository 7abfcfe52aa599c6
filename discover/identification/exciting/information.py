"""What motions show of the bodies: information about base parameters, with the drives unknown.

A row of the regressor says as much as its square over the square of the joint's noise. Friction,
offset and rotor of every joint are fitted beside the bodies, so what they can explain counts for
nothing. Residuals of real machines last, so rows count as independent only at a limited rate; of
logs that rate is read off their standard errors, which leave out pieces of time.

Gain of information: log det(prior + information) - log det(prior), in nats; the half of it is what
a Gaussian learns (D-optimal Bayesian design: Chaloner & Verdinelli 1995, Statistical Science 10).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import kinematics
from discover.identification.design import Bodies
from discover.identification.estimate import Estimate
from discover.identification.samples import Samples
from discover.records import Stored

Array = NDArray[np.float64]

_RIDGE = 1e-6  # of a drive's column at its size: what keeps a drive that never acts from dividing
_SAME = 1e-6  # share of a rotor's force that no bodies have: less is rounding


@dataclass(frozen=True, kw_only=True)
class LogInformation(Stored):
    """matrix (k, k): what logs say of the base parameters, in their own units; rate: independent
    rows a second [1/s]; noise (nv,) of a row [N·m | N]."""

    matrix: Array
    rate: float
    noise: Array


@dataclass(frozen=True, kw_only=True)
class Showing(Stored):
    """condition: of the base regressor, columns scaled to a typical body, joints weighted by noise;
    errors (k,): expected standard errors of the base parameters; gain: of information [nats]."""

    condition: float
    errors: Array
    gain: float


def of_logs(fit: Estimate, samples: Samples, errors: Array) -> LogInformation:
    """Of a fit to logs, whose base parameters have the standard errors (k,)."""
    k, columns = fit.bodies.size, list(fit.columns)
    size = fit.moments.size[columns]
    size = np.where(np.isfinite(size), size, 0.0)
    G = fit.moments.G.sum(0)[np.ix_(columns, columns)] * size[:, None] * size
    G = G[:k, :k] - G[:k, k:] @ np.linalg.pinv(G[k:, k:], hermitian=True) @ G[k:, :k]
    values, vectors = np.linalg.eigh((G + G.T) / 2)
    G = (vectors * np.maximum(values, 0.0)) @ vectors.T
    scaled = fit.moments.prior[:k, :k] * size[:k, None] * size[:k]
    white = np.sqrt(np.diag(np.linalg.pinv(G + scaled, hermitian=True)))
    wider = max(1.0, float(np.median((errors / np.maximum(white, 1e-300)) ** 2)))
    seconds = sum(
        float(np.ptp(samples.time[samples.log == n])) for n in range(int(samples.log.max()) + 1)
    )
    return LogInformation(
        matrix=G / wider, rate=len(samples) / max(seconds, 1e-9) / wider, noise=fit.noise
    )


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """Judges motions of one robot: noise (nv,) [N·m | N], rows a second, what is known before.

    prior (k, k) precision of the base parameters; root its covariance's Cholesky factor; slow (nv,)
    below it Coulomb friction is rounded off; own_rotor (nv,): the bodies have not got its force.
    """

    bodies: Bodies
    noise: Tensor
    rate: float
    prior: Array
    root: Tensor
    slow: Tensor
    own_rotor: Tensor

    @classmethod
    def of(
        cls, bodies: Bodies, noise: Array, rate: float, slow: Array, logs: Array | None = None
    ) -> Yardstick:
        """`logs` (k, k) is the information that there is before any motion."""
        k = bodies.size
        floor = 1e-12 * np.trace(bodies.spread) / k * np.eye(k)
        prior = np.linalg.inv(bodies.spread + floor)
        if logs is not None:
            prior = prior + logs
        covariance = np.linalg.inv(prior)
        return cls(
            bodies=bodies,
            noise=torch.from_numpy(noise),
            rate=rate,
            prior=prior,
            root=torch.from_numpy(np.linalg.cholesky((covariance + covariance.T) / 2)),
            slow=torch.from_numpy(slow),
            own_rotor=_own_rotors(bodies),
        )

    def regressor(self, q: Tensor, v: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        """All ten columns a body (N, nv, 10 nb), and those of the base parameters (N, nv, k)."""
        Y = kinematics.regressor(self.bodies.robot, q, v, a)
        return Y, Y[..., list(self.bodies.base.independent)]

    def information(self, base: Tensor, v: Tensor, a: Tensor, seconds: float) -> Tensor:
        """(k, k) from rows (N, nv, k) of the base regressor that spread over so many seconds."""
        rows = (base / self.noise[:, None]).transpose(0, 1)  # (nv, N, k)
        drives = self._drives(v, a)
        square = drives.mT @ drives
        ridge = _RIDGE * len(v) * torch.eye(square.shape[-1], dtype=v.dtype)
        across = drives.mT @ rows
        left = rows.mT @ rows - across.mT @ torch.linalg.solve(square + ridge, across)
        return left.sum(0) * (self.rate * seconds / len(v))

    def gain(self, information: Tensor) -> Tensor:
        """log det(prior + information) - log det(prior) [nats]."""
        inner = self.root.mT @ information @ self.root
        return torch.linalg.slogdet(torch.eye(len(inner), dtype=inner.dtype) + inner).logabsdet

    def showing(self, q: Array, v: Array, a: Array, seconds: float) -> Showing:
        """What a motion (N, nv) of that length shows."""
        states = [torch.from_numpy(np.ascontiguousarray(x)) for x in (q, v, a)]
        _, base = self.regressor(*states)
        information = self.information(base, states[1], states[2], seconds)
        rows = (base / self.noise[:, None]).reshape(-1, base.shape[-1]).numpy()
        sizes = np.sqrt(np.maximum(self.bodies.spread.diagonal(), 1e-300))
        singular = np.linalg.svd(rows * sizes, compute_uv=False)
        whole = singular[-1] > 1e-10 * singular[0]
        return Showing(
            condition=float(singular[0] / singular[-1]) if whole else float("inf"),
            errors=np.sqrt(np.diag(np.linalg.inv(self.prior + information.numpy()))),
            gain=float(self.gain(information)),
        )

    def before(self) -> Array:
        """Standard errors (k,) without any new motion."""
        return np.sqrt(np.diag(np.linalg.inv(self.prior)))

    def _drives(self, v: Tensor, a: Tensor) -> Tensor:
        """Columns of viscous and Coulomb friction, offset and rotor (nv, N, 4), each of size about
        one, so that the ridge means the same to all."""
        largest = [x.detach().abs().amax(0).clamp_min(1e-9) for x in (v, a)]
        return torch.stack(
            [
                v / largest[0],
                torch.tanh(v / self.slow),
                torch.ones_like(v),
                a / largest[1] * self.own_rotor,
            ],
            -1,
        ).transpose(0, 1)


def _own_rotors(bodies: Bodies) -> Tensor:
    """Which rotors (nv,) have a force that no bodies have: 1 or 0. That of a joint on the base,
    for one, cannot be told from the inertia of what it carries."""
    nv = bodies.robot.nv
    q, v, a = torch.randn(3, 20 + 3 * bodies.size // nv, nv, dtype=torch.float64,
                          generator=torch.Generator().manual_seed(0)).unbind(0)  # fmt: skip
    Y = kinematics.regressor(bodies.robot, q, v, a)[..., list(bodies.base.independent)]
    base = Y.reshape(-1, bodies.size).numpy()
    base = base / np.maximum(np.linalg.norm(base, axis=0), 1e-300)
    rotors = torch.diag_embed(a).reshape(-1, nv).numpy()
    left = rotors - base @ np.linalg.lstsq(base, rotors, rcond=1e-9)[0]
    apart = np.linalg.norm(left, axis=0) > _SAME * np.linalg.norm(rotors, axis=0)
    return torch.from_numpy(apart.astype(np.float64))
