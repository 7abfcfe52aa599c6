"""What the residual still depends on, whatever the form: a law that lacks a term shows it here.

For each joint and each quantity, a flexible function of it (random Fourier features, on ranks) is
fitted to the residual of some blocks of time and tested on the others. The share of the residual
that it explains there is the share that a law could gain from that quantity, listed term or not.
Functions of load, position and others are compared with functions of the joint's own velocity, so
that friction does not speak for all. Rahimi & Recht (2007) for the features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from discover.identification.moments import Moments
from discover.identification.samples import Samples
from discover.judgement.thresholds import threshold, whole
from discover.records import Stored

Array = NDArray[np.float64]

_FEATURES = whole("identification.features")
_SURE = threshold("identification.unexplained_sure")
_LEAST = threshold("identification.unexplained_least")
_RIDGES = tuple(1e-3 * 10.0**k for k in range(5))  # of the features' mean square


@dataclass(frozen=True, kw_only=True)
class Dependence(Stored):
    """Of a joint's residual on a quantity: the share (of its mean square) that a function of it
    explains where it was not fitted, with its standard error over folds."""

    joint: str
    quantity: str
    share: float
    error: float

    @property
    def clear(self) -> bool:
        """Whether it is beyond chance and worth a term."""
        return self.share > max(_SURE * self.error, _LEAST)


def dependences(
    samples: Samples, joints: Sequence[str], residual: Array, load: Array, seed: int = 0
) -> list[Dependence]:
    """Every joint's residual (N, nv) against the quantities, the largest share first; load (N, nv)
    is what the bodies ask of each joint."""
    generator = np.random.default_rng(seed)
    v, a = samples.v.numpy(), samples.a.numpy()
    q = samples.q.numpy()
    out = []
    for j, joint in enumerate(joints):
        own = v[:, [j]]
        direction = np.sign(own)
        quantities = {
            "load": np.hstack([own, load[:, [j]], np.abs(load[:, [j]]) * direction]),
            "acceleration": np.hstack([own, a[:, [j]]]),
            "time": np.hstack([own, samples.time[:, None]]),
        }
        if q.shape[1] == v.shape[1]:
            quantities["position"] = np.hstack([own, q[:, [j]]])
        if v.shape[1] > 1:
            rest = np.delete(v, j, axis=1)
            quantities["velocities of other joints"] = np.hstack([own, rest, np.sign(rest + own)])
        rows = samples.moving[:, j]
        if not rows.any():
            continue  # a joint that rests shows nothing
        base = _held_out(own, direction, residual[:, j], rows, samples, generator)
        own_share = 1 - base.mean() / max(float(np.mean(residual[rows, j] ** 2)), 1e-300)
        shares = {"velocity": (float(own_share), _error(base / max(base.mean(), 1e-300)))}
        for name, values in quantities.items():
            with_it = _held_out(values, direction, residual[:, j], rows, samples, generator)
            gain = (base - with_it) / max(float(base.mean()), 1e-300)
            shares[name] = (float(gain.mean()), _error(gain))
        out += [
            Dependence(joint=joint, quantity=name, share=share, error=error)
            for name, (share, error) in shares.items()
        ]
    return sorted(out, key=lambda d: -d.share)


def _error(x: Array) -> float:
    """The standard error of the mean over folds (F,); of so few, twice of it covers as much as two
    standard errors of many do (Student's t)."""
    if len(x) < 2:
        return float("inf")
    few = t.ppf(norm.cdf(2.0), len(x) - 1) / 2.0
    return float(few * x.std(ddof=1) / len(x) ** 0.5)


def _held_out(
    values: Array,
    direction: Array,
    y: Array,
    rows: NDArray[np.bool_],
    samples: Samples,
    generator: np.random.Generator,
) -> Array:
    """Mean square in each fold (F,) of what a function of `values` and the direction leaves, as
    smooth as the other folds ask for."""
    ranks = np.argsort(np.argsort(values, axis=0), axis=0) / max(len(values) - 1, 1)
    waves = generator.normal(size=(values.shape[1], _FEATURES)) * 4.0
    phases = generator.uniform(0, 2 * np.pi, _FEATURES)
    smooth = np.cos(ranks @ waves + phases)
    X = np.hstack([np.ones_like(direction), direction, smooth, smooth[:, ::2] * direction])
    unit = rows.sum() * np.eye(X.shape[1]) * float(np.mean(np.square(X)))
    moments = Moments.of(
        X[:, None, :], y[:, None], rows[:, None].astype(np.float64), samples.block, unit
    )
    columns, fold = range(X.shape[1]), samples.fold_of_block
    left = np.array([moments.with_prior(x, columns).held_out(columns, fold) for x in _RIDGES])
    others = left.sum(axis=1, keepdims=True) - left
    return np.asarray(left[others.argmin(axis=0), np.arange(left.shape[1])])
