"""All numbers of a program at once: parameters, root vector and coefficients."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from discover.mechanism.geometry.least_squares import truncated
from discover.mechanism.geometry.screws import Array
from discover.mechanism.recursion.degree_split import DegreeSplit
from discover.mechanism.recursion.grammar import Block, Samples
from discover.numerics import Descent, Projection, descend, levenberg_step, project

_TRUNCATION = 1e-9  # relative singular value of parameters that are left alone
_SHOWN = 1e-8  # and of numbers whose change the parameters make up for
# Three steps in a row that leave more than 96 % of the squares end it; misfits are relative to tau,
# so that 1e-13 is rounding.
_DESCENT = Descent(steps=18, trials=5, slow=0.04, patience=3, solved=1e-26)


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """phi (p,), the coefficients of the v² blocks, the root vector (6,), and the misfit."""

    phi: Array
    coefficients: Array
    root: Array
    error: float


@dataclass(frozen=True, kw_only=True, eq=False)
class _Point:
    """The numbers that are not linear, coefficients (k,) then root vector (0 or 6,), and the
    parameters projected out; the cost is the mean square of what is left."""

    numbers: Array
    left: Projection
    cost: float


def refit(
    samples: Samples,
    data: DegreeSplit,
    inertia: Block,
    root: Block | None,
    values: list[Array],
    root_vector: Array,
) -> Fit:
    """Parameters, root vector and coefficients together: least squares on the whole of tau.

    tau is linear in the parameters, which are projected out, and bilinear in them and the others.
    values: the v² blocks, each (n, nv, p); root_vector (6,), from which the search starts.
    """
    p, k = samples.parameters, len(values)
    weight = 1.0 / data.H_scale
    A = (samples.block(inertia) * weight[None, :, :, None]).reshape(-1, p)
    V = np.reshape([Y / data.scale[None, :, None] for Y in values], (k, data.even.size, p))
    R = np.zeros((0, data.rest.size, p))
    if root is not None:
        R = np.moveaxis(samples.block(root) / data.scale[None, :, None, None], 2, 0)
        R = R.reshape(6, -1, p)
    y = [x.ravel() for x in (data.H * weight, data.rest / data.scale, data.even / data.scale)]
    target = np.concatenate(y)

    def at(numbers: Array) -> _Point:
        rows = [A, np.tensordot(numbers[k:], R, 1), np.tensordot(numbers[:k], V, 1)]
        left = project(np.concatenate(rows), target, _TRUNCATION)
        return _Point(numbers=numbers, left=left, cost=float(np.mean(left.residual**2)))

    def linearise(now: _Point) -> Callable[[float], _Point]:
        phi = now.left.coefficients
        slopes = np.zeros((len(target), len(now.numbers)))
        slopes[len(y[0]) + len(y[1]) :, :k] = (V @ phi).T
        slopes[len(y[0]) : len(y[0]) + len(y[1]), k:] = (R @ phi).T
        J = now.left.jacobian(slopes)
        step = levenberg_step(J, now.left.residual, _SHOWN, np.linalg.norm(slopes, axis=0))
        return lambda damping: at(now.numbers + step(damping))

    shown = truncated(A, y[0])
    c = np.linalg.lstsq((V @ shown).T, y[2], rcond=1e-9)[0]
    start = at(np.concatenate([c, root_vector if len(R) else np.zeros(0)]))
    best = descend(start, linearise, _DESCENT) if len(start.numbers) else start
    return Fit(
        phi=best.left.coefficients,
        coefficients=best.numbers[:k],
        root=best.numbers[k:] if len(R) else root_vector,
        error=math.sqrt(best.cost),
    )
