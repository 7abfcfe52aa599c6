"""Simulation error over short windows: the parameters whose simulated motion stays with the log.

From the filtered state at the begin of each window the law is simulated with the joint forces that
were measured, and held against the positions. Positions are measured well and accelerations are
not, so nothing noisy is a regressor; in exchange the problem is not linear any more, and begins
from least squares. As in multiple shooting (Bock & Plitt 1984) the states at the begin of windows
are free: over a short window a wrong one adds little but a constant and a slope to each position,
which are projected out. Sensitivities S = ∂(q, v)/∂θ are integrated along the measured motion,

    dS_q/dt = S_v,    dS_v/dt = ∂a/∂q S_q + ∂a/∂v S_v - H⁻¹ X;

the residual is simulated. Windows in which a joint rests or reverses are left out: there friction
is too stiff to simulate, and says little. The start is least squares with bodies that can exist,
since others run away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares

import kinematics
from discover.data.motions import Motion
from discover.identification.estimate import Estimate
from discover.identification.possible_bodies import possible_bodies
from discover.identification.samples import Samples
from kinematics import Robot

Array = NDArray[np.float64]
_STEPS = 16  # of a window
_WINDOWS = 300
_LOST = 1e3  # standard deviations: a simulation that is further off has left the motion
_EVALUATIONS = 12
_FEWEST = 20  # windows
_STEP = 1e-6  # rad | m, and by s, of differences


@dataclass(frozen=True, kw_only=True)
class Windows:
    """States along W windows at K times: q, v, a, tau (K, W, nv); step [s] between them."""

    q: Array
    v: Array
    a: Array
    tau: Array
    step: float

    @classmethod
    def of(cls, motions: Sequence[Motion], rest: Array, duration: float) -> Windows | None:
        """Windows in which every joint moves one way; None where there are hardly any."""
        cut = [x for m in motions for x in _cut(m, rest, duration)]
        if len(cut) < _FEWEST:
            return None
        chosen = [cut[k] for k in np.linspace(0, len(cut) - 1, min(len(cut), _WINDOWS)).astype(int)]
        states = np.stack(chosen, axis=2)  # (4, K, W, nv)
        return cls(**dict(zip(("q", "v", "a", "tau"), states, strict=True)), step=duration / _STEPS)


def _cut(motion: Motion, rest: Array, duration: float) -> list[Array]:
    """(4, K, nv) of each window, end to end where they fit."""
    out = []
    segment = motion.segment if len(motion.segment) else np.zeros(len(motion.time), dtype=int)
    for k in np.unique(segment):
        rows = np.flatnonzero(segment == k)
        time = motion.time[rows]
        for begin in np.arange(time[0], time[-1] - duration, duration):
            at = begin + duration / _STEPS * np.arange(_STEPS + 1)
            inside = rows[(time >= at[0]) & (time <= at[-1])]
            v = motion.v[inside]
            one_way = (v > rest).all(axis=0) | (v < -rest).all(axis=0)
            if len(inside) > 1 and one_way.all():
                out.append(
                    np.stack([
                        np.stack([np.interp(at, time, x) for x in values[rows].T], axis=1)
                        for values in (motion.q, motion.v, motion.a, motion.tau)
                    ])
                )  # fmt: skip
    return out


def simulation_error(fit: Estimate, samples: Samples, duration: float) -> Array | None:
    """The coefficients of a fit with the standard terms, refined over windows of `duration` [s];
    None where the motion has no such windows, or the law cannot be simulated."""
    windows = Windows.of(samples.motions, samples.rest, duration)
    if windows is None:
        return None
    columns = _columns(fit, windows)
    straight = _without_lines(len(windows.q))
    possible = possible_bodies(fit)
    beta = fit.bodies.matrix @ possible.pi.flatten() - fit.bodies.described
    start = np.r_[beta, possible.coefficients]
    at_start = _off(fit, windows, start, straight)
    if not np.isfinite(at_start).all() or np.abs(at_start).max() > _LOST * np.median(
        np.abs(at_start)
    ):
        return None
    size = at_start.std(axis=(0, 1))  # of each joint's positions
    prior = _prior(fit)

    def residual(theta: Array) -> Array:
        off = _off(fit, windows, theta, straight) / size
        bounded = np.clip(np.nan_to_num(off, nan=_LOST, posinf=_LOST, neginf=-_LOST), -_LOST, _LOST)
        return np.r_[bounded.ravel(), prior @ theta]

    def slope(theta: Array) -> Array:
        moved = _sensitivities(fit, windows, theta, columns)
        moved = np.einsum("kl,lwjp->kwjp", straight, moved) / size[:, None]
        return np.vstack([moved.reshape(-1, moved.shape[-1]), prior])

    found = least_squares(
        residual, start, jac=slope, x_scale="jac", method="trf", max_nfev=_EVALUATIONS
    )
    return np.asarray(found.x)


def torques_in_windows(fit: Estimate, samples: Samples, duration: float) -> Array | None:
    """The coefficients by least squares in joint forces at the same windows: what leaving out rests
    and reversals does by itself."""
    windows = Windows.of(samples.motions, samples.rest, duration)
    if windows is None:
        return None
    X = _columns(fit, windows) / fit.noise[:, None]
    described = X[:, :, : fit.bodies.size] @ fit.bodies.described
    y = windows.tau.reshape(described.shape) / fit.noise - described
    rows = X.reshape(-1, X.shape[-1])
    prior = _prior(fit)
    G = rows.T @ rows + prior.T @ prior
    return np.linalg.lstsq(G, rows.T @ y.ravel(), rcond=1e-13)[0]


def _prior(fit: Estimate) -> Array:
    """R (p, p) with RᵀR the prior precision of the coefficients."""
    columns = list(fit.columns)
    R = np.linalg.cholesky(fit.moments.prior[np.ix_(columns, columns)]).T
    norms = fit.moments.size[columns]
    return np.asarray(R * np.where(np.isfinite(norms), norms, 0.0))


def _sensitivities(fit: Estimate, windows: Windows, theta: Array, columns: Array) -> Array:
    """∂q/∂θ (K, W, nv, p) by Heun's method, from zero at the begin of windows."""
    robot, friction, offset = _robot(fit, theta)
    q, v = (torch.from_numpy(x) for x in (windows.q, windows.v))
    forces = torch.from_numpy(windows.tau - offset - friction * np.sign(windows.v))
    a = kinematics.aba(robot, q, v, forces)
    by_q, by_v = (np.empty((*windows.q.shape, robot.nv)) for _ in range(2))
    for j in range(robot.nv):
        step = torch.zeros(robot.nv, dtype=q.dtype)
        step[j] = _STEP
        by_q[..., j] = ((kinematics.aba(robot, q + step, v, forces) - a) / _STEP).numpy()
        by_v[..., j] = ((kinematics.aba(robot, q, v + step, forces) - a) / _STEP).numpy()
    H = kinematics.crba(robot, q).numpy()
    push = -np.linalg.solve(H, columns.reshape(*windows.q.shape, -1))
    S_q, S_v = (np.zeros((*push.shape[1:],)) for _ in range(2))
    out = np.zeros_like(push)

    def growth(k: int, x: Array, y: Array) -> tuple[Array, Array]:
        return y, by_q[k] @ x + by_v[k] @ y + push[k]

    for k in range(len(push) - 1):
        first = growth(k, S_q, S_v)
        ahead = [x + windows.step * d for x, d in zip((S_q, S_v), first, strict=True)]
        second = growth(k + 1, *ahead)
        S_q, S_v = (
            x + windows.step / 2 * (d + e)
            for x, d, e in zip((S_q, S_v), first, second, strict=True)
        )
        out[k + 1] = S_q
    return out


def _columns(fit: Estimate, windows: Windows) -> Array:
    """The regressor along the windows (K W, nv, p), in the fit's order."""
    bodies = fit.bodies
    q, v, a = (
        torch.from_numpy(np.ascontiguousarray(x.reshape(-1, x.shape[-1])))
        for x in (windows.q, windows.v, windows.a)
    )
    Y = kinematics.regressor(bodies.robot, q, v, a)[..., list(bodies.base.independent)].numpy()
    out = [Y]
    for drive in fit.terms:
        j = drive.joints[0]
        values = {
            "damping": v[:, j], "friction": v[:, j].sign(), "armature": a[:, j],
            None: torch.ones(len(v), dtype=v.dtype),
        }[drive.terms[0].joint_term].numpy()  # fmt: skip
        column = np.zeros((*v.shape, 1))
        column[:, j, 0] = values
        out.append(column)
    return np.concatenate(out, axis=2)


def _robot(fit: Estimate, theta: Array) -> tuple[Robot, Array, Array]:
    """The robot with rotors and viscous friction; Coulomb friction and offsets (nv,) beside it."""
    k = fit.bodies.size
    robot = fit.bodies.moved_to(fit.bodies.described + theta[:k])
    fields = {x: np.zeros(robot.nv) for x in ("damping", "friction", "armature", None)}
    for drive, value in zip(fit.terms, theta[k:], strict=True):
        fields[drive.terms[0].joint_term][drive.joints[0]] += value
    robot = robot.replace(
        damping=torch.from_numpy(fields["damping"]), armature=torch.from_numpy(fields["armature"])
    )
    return robot, fields["friction"], fields[None]


def _off(fit: Estimate, windows: Windows, theta: Array, straight: Array) -> Array:
    """Simulated less measured positions (K, W, nv), without a constant and a slope a window."""
    robot, friction, offset = _robot(fit, theta)
    with np.errstate(all="ignore"):
        forces = windows.tau - offset - friction * np.sign(windows.v)
        q, v = (torch.from_numpy(np.ascontiguousarray(x[0])) for x in (windows.q, windows.v))
        run = kinematics.simulate(
            robot, q, v, torch.from_numpy((forces[:-1] + forces[1:]) / 2), windows.step, _STEPS
        )
        off = run.q.numpy() - windows.q
    return np.einsum("kl,lwj->kwj", straight, off)


def _without_lines(count: int) -> Array:
    """The projection (K, K) that takes out a constant and a slope."""
    lines = np.stack([np.ones(count), np.arange(count)], axis=1)
    return np.eye(count) - lines @ np.linalg.pinv(lines)
