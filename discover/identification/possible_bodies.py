"""Bodies that can exist, as near to the data as such bodies come, and to the description where the
data say nothing: one semidefinite program.

Least squares in base parameters knows nothing of mass distributions, so noise makes some impossible
(a negative mass further out in the chain). Here the quadratic of the fit, θ̂ and its precision, is
minimised over all ten parameters of every body with positive pseudo-inertias (Wensing, Kim &
Slotine 2018) and over the coefficients of the drives with the signs that physics allows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discover.identification.estimate import GAIN, Estimate, misfit, refitted, reloaded
from discover.identification.samples import Samples
from discover.judgement.thresholds import threshold, whole
from discover.laws.rigid_body.consistency import minimiser, pseudo_inertias
from kinematics import Robot

Array = NDArray[np.float64]

_HOLD = threshold("identification.hold")
_MOST_ROUNDS = whole("identification.most_load_rounds")
_SETTLED = threshold("identification.loads_settled")
_AGREE = threshold("identification.loads_agree")
_MARGIN = 1e-7  # least eigenvalue of a pseudo-inertia, in units of a typical body


@dataclass(frozen=True, kw_only=True)
class PossibleBodies:
    """robot: possible bodies, without drives; coefficients: of the terms beside them; pi (n, 10):
    the parameters of all bodies, those of payloads behind the robot's.

    cost is how much the weighted mean square of the residual grows by it, as a share; solved is
    false where the solvers failed, and then the bodies are the fit's own.
    """

    robot: Robot
    coefficients: Array
    pi: Array
    cost: float
    solved: bool


def possible_bodies(fit: Estimate) -> PossibleBodies:
    """The nearest possible bodies to a fit."""
    import cvxpy as cp

    bodies = fit.bodies
    k = bodies.size
    pi, units = bodies.pi, bodies.units
    columns = list(fit.columns)
    information = fit.moments.information(columns)
    size = fit.moments.size[columns]
    acts = np.isfinite(size)
    theta = np.where(acts, fit.theta, 0.0)
    scale = 1 / np.sqrt(np.maximum(information.diagonal(), 1e-300))
    root = _root(information * scale[:, None] * scale) / scale  # misfit = root (θ - θ̂)
    x = cp.Variable(pi.size)
    drives = cp.Variable(len(columns) - k) if len(columns) > k else None
    moved = (bodies.matrix * units) @ x - bodies.described - theta[:k]
    misfit = root[:, :k] @ moved
    limits = [P >> _MARGIN * np.eye(4) for P in pseudo_inertias(x, len(pi))]
    if drives is not None:
        inverse = scale[k:]  # drives in units of their own standard error
        misfit = misfit + (root[:, k:] * inverse) @ drives - root[:, k:] @ theta[k:]
        signed = [n for n, term in enumerate(_single(fit)) if term]
        if signed:
            limits.append(drives[signed] >= 0)
    start = pi.flatten() / units
    away = cp.sum_squares(x - start)
    per = float(np.sqrt(max(fit.moments.count.sum(), 1.0)))
    problem = cp.Problem(
        cp.Minimize(cp.sum_squares(misfit / per) + (_HOLD / per) ** 2 * away), limits
    )
    solution = minimiser(problem, x)
    if solution is None:
        return as_fitted(fit)
    found = (solution * units).reshape(-1, 10)
    coefficients = np.zeros(0) if drives is None else np.asarray(drives.value) * scale[k:]
    cost = float(np.sum(np.asarray(misfit.value) ** 2)) / per**2
    residual = fit.residual() / fit.noise
    return PossibleBodies(
        robot=bodies.with_parameters(found),
        coefficients=coefficients,
        pi=found,
        cost=cost / max(float(np.mean(residual**2)), 1e-300),
        solved=True,
    )


def with_their_loads(
    fit: Estimate, samples: Samples, twins: tuple[Samples, Samples] | None
) -> tuple[Estimate, PossibleBodies]:
    """The nearest possible bodies to a fit whose load-dependent terms have the loads of these very
    bodies, and that fit.

    Where data do not tell a body from a drive (a slider's weight from an offset or from a gain of
    its force) possible bodies lie far from the fit's own, and so do their loads: coefficients that
    were fitted to other loads would miss by the difference. So the fit is repeated with their loads
    until it misses by no less; of the rounds the one that misses least is kept. Where none comes
    near to what the linear problem promised, the terms cannot be told from bodies: gains of the
    force are left out, and if that is not enough all terms with loads.
    """
    settled, possible, agrees = _settled(fit, samples, twins)
    kinds = {term.kind for term in fit.terms if term.loaded}
    for left_out in ({GAIN}, kinds):
        if not agrees and left_out & kinds:
            terms = [x for x in fit.terms if x.kind not in left_out]
            fit = refitted(fit, samples, twins, terms)
            settled, possible, agrees = _settled(fit, samples, twins)
    return settled, possible


def _settled(
    fit: Estimate, samples: Samples, twins: tuple[Samples, Samples] | None
) -> tuple[Estimate, PossibleBodies, bool]:
    """The fit and its bodies of the best round, and whether they miss by what was promised."""
    best: tuple[float, Estimate, PossibleBodies] | None = None
    promised = np.inf
    for _ in range(_MOST_ROUNDS):
        possible = possible_bodies(fit)
        if not any(term.loaded for term in fit.terms):
            return fit, possible, True
        beta = fit.bodies.matrix @ possible.pi.flatten() - fit.bodies.described
        theta = np.concatenate([beta, possible.coefficients])
        missed = misfit(fit, samples, possible.robot, theta)
        promised = min(promised, misfit(fit, samples, None, theta))
        if best is not None and missed > (1 - _SETTLED) * best[0]:
            break
        best = missed, fit, possible
        fit = reloaded(fit, samples, twins, possible.robot)
    assert best is not None
    return best[1], best[2], best[0] <= (1 + _AGREE) * promised


def as_fitted(fit: Estimate) -> PossibleBodies:
    """The bodies of a fit, possible or not."""
    return PossibleBodies(
        robot=fit.robot,
        coefficients=fit.coefficients,
        pi=fit.bodies.parameters(fit.beta),
        cost=float("nan"),
        solved=False,
    )


def _single(fit: Estimate) -> list[bool]:
    """For each coefficient whether it may not be negative."""
    return [drive.nonnegative for drive in fit.terms for _ in drive.terms]


def _root(information: Array) -> Array:
    """R with RᵀR = information."""
    values, vectors = np.linalg.eigh(information)
    return np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
