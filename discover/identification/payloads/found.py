"""The payloads that a fit found, and the factor of currents that a known one settles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from discover.errors import DatasetError
from discover.identification.design import Bodies, load_columns
from discover.identification.moments import Moments
from discover.identification.motions import TorqueScale
from discover.identification.payloads.carried import Carried, LoadedBodies, in_logs
from discover.identification.possible_bodies import PossibleBodies
from discover.identification.samples import Samples
from discover.judgement.thresholds import threshold, whole
from discover.records import Stored
from kinematics.robot.tree import PARAMETERS

Array = NDArray[np.float64]
_SHOWN = threshold("identification.shown")
_SURE = threshold("identification.scale_sure")
_STEPS = whole("identification.scale_steps")
_SETTLED = 1e-9  # relative change of the factors


@dataclass(frozen=True, kw_only=True)
class FoundPayload(Stored):
    """A payload, in the frame of its link, about the link's origin.

    values, errors (10,)   m [kg], first moment [kg·m], Ixx, Ixy, Iyy, Ixz, Iyz, Izz [kg·m²] with
                 their standard errors; NaN where no motion of this arm can
                 show one by itself
    shown        which of them the logs know better than a guess at a body of the arm's kind
    mass_stated  the mass that was known [kg], or None
    held_out, without   root mean square of what the law leaves of the joint forces in the held-out
                 logs (or parts) that carried it, over that of the forces, with the payload and as
                 if the arm had carried nothing; NaN where none was held out
    """

    label: str
    link: str
    logs: tuple[str, ...]
    values: Array
    errors: Array
    shown: tuple[bool, ...]
    mass_stated: float | None
    held_out: float
    without: float

    @property
    def mass(self) -> float:
        """[kg]"""
        return float(self.values[0])

    @property
    def centre(self) -> Array:
        """Centre of mass in the link's frame (3,) [m]."""
        return self.values[1:4] / self.values[0]


def found_payloads(
    bodies: Bodies, possible: PossibleBodies, errors: Array, unseen: Samples, predicted: Array
) -> tuple[FoundPayload, ...]:
    """Of a fit with standard errors (k,) of its base parameters; predicted (N, nv) are the joint
    forces of the law at the unseen samples, payloads included."""
    if not isinstance(bodies, LoadedBodies):
        return ()
    beta = bodies.matrix @ possible.pi.flatten()
    sizes = np.sqrt(np.maximum(bodies.spread.diagonal(), 1e-300))
    columns = load_columns(unseen, bodies)
    tau = unseen.tau.numpy()
    out = []
    for number, load in enumerate(bodies.loads):
        rows = bodies.rows_of(number)
        begin = bodies.pi.size - 10 * (len(bodies.loads) - number)
        own = bodies.matrix[rows, begin : begin + 10]
        alone = {
            c: rows.start + k for k, c in enumerate(bodies.kept[number])
            if np.count_nonzero(own[k]) == 1
        }  # fmt: skip
        values, spread = np.full(10, np.nan), np.full(10, np.nan)
        for c, k in alone.items():
            values[c], spread[c] = beta[k], errors[k]
        there = in_logs(unseen, load.logs)
        force = columns[there][:, :, rows] @ beta[rows]
        left = tau[there] - predicted[there]
        out.append(
            FoundPayload(
                label=load.label,
                link=load.link,
                logs=tuple(sorted(load.logs)),
                values=values,
                errors=spread,
                shown=tuple(
                    c in alone and bool(errors[alone[c]] < _SHOWN * sizes[alone[c]])
                    for c in range(len(PARAMETERS))
                ),
                mass_stated=load.mass,
                held_out=_share(left, tau[there]),
                without=_share(left + force, tau[there]),
            )
        )
    return tuple(out)


def _share(left: Array, tau: Array) -> float:
    if not len(tau):
        return float("nan")
    return float(np.sqrt(np.mean(left**2) / max(float(np.mean(tau**2)), 1e-300)))


def settled_by_mass(samples: Samples, bodies: Bodies, start: TorqueScale) -> TorqueScale:
    """The factors of each joint's signal as a payload of known mass settles them.

    In the signal's own unit a joint's is g (Y β) + friction, with one gain g a joint: bodies and
    payload are shared by the joints, so only one factor for all is open, and a known mass among β
    fixes it. Gains and parameters in turn (Gauss–Newton), beginning with the gains of the
    description's bodies; errors by leaving out folds of time. Gautier & Briot (2014), Global
    identification of joint drive gains and dynamic parameters of robots.

    Raises DatasetError where the motion shows a joint's gain no better than a share of it.
    """
    if not isinstance(bodies, LoadedBodies):
        return start
    known = _known(bodies)
    if not known:
        return start
    Y = bodies.columns(samples)
    u, nv, k = samples.tau.numpy(), samples.nv, bodies.size
    fixed = np.array(sorted(known))
    masses = np.array([known[c] for c in fixed])
    free = np.setdiff1d(np.arange(k), fixed)
    own = own_drives(samples, bodies)
    gain = np.where(np.isfinite(start.factor), 1 / start.factor, 1.0)
    beta = bodies.described.copy()
    beta[fixed] = masses
    prior = np.zeros((len(free) + nv + own.shape[2],) * 2)
    floor = 1e-12 * np.trace(bodies.spread) / k * np.eye(k)
    prior[: len(free), : len(free)] = np.linalg.inv((bodies.spread + floor)[np.ix_(free, free)])
    noise = np.maximum(u.std(axis=0), 1e-300)
    for _ in range(_STEPS):
        load = Y @ beta
        gains = np.eye(nv)[None] * load[:, :, None]
        X = np.concatenate([gain[:, None] * Y[:, :, free], gains, own], axis=2)
        y = u - gain * (Y[:, :, fixed] @ masses) - gain * (Y[:, :, free] @ bodies.described[free])
        moments = Moments.of(X, y, samples.moving / noise, samples.block, prior)
        found = moments.solve(range(X.shape[2]))
        step = found[len(free) : len(free) + nv]
        beta[free] = bodies.described[free] + found[: len(free)]
        left = (y - X @ found) * samples.moving
        noise = np.sqrt((left**2).sum(axis=0) / np.maximum(samples.moving.sum(axis=0), 1))
        noise = np.maximum(noise, 1e-9 * max(float(noise.max()), 1e-300))
        gain = gain + step
        if np.abs(step).max() < _SETTLED * np.abs(gain).max():
            break
    fold = samples.fold_of_block
    steps = np.array([
        moments.solve(range(X.shape[2]), (fold != f) * 1.0)[len(free) : len(free) + nv]
        for f in range(int(fold.max()) + 1)
    ])  # fmt: skip
    error = steps.std(axis=0) * np.sqrt(max(len(steps) - 1, 1))  # jackknife
    scale = replace(
        start,
        factor=1 / gain,
        error=error / gain**2,
        applied=True,
        settled_by="the known mass of "
        + " and ".join(x.label for x in bodies.loads if x.mass is not None),
    )
    unsure = ~(scale.error < _SURE * np.abs(scale.factor))
    if unsure.any():
        names = np.array(bodies.robot.independent_names)[unsure]
        raise DatasetError(
            "recordings: expected motion that shows with a known payload what drives each joint, "
            f"found none for {', '.join(names)}; move these joints, with and without the payload, "
            "or give the factors from their unit to N·m (scale.tau in the columns' file)"
        )
    return scale


def known_mass(loads: Sequence[Carried]) -> bool:
    """Whether the mass of any payload is known."""
    return any(load.mass is not None for load in loads)


def _known(bodies: LoadedBodies) -> dict[int, float]:
    """Known masses [kg] by the base parameter that is one. Raises DatasetError where the mass is
    none by itself, so that it settles nothing."""
    out = {}
    for number, load in enumerate(bodies.loads):
        if load.mass is None:
            continue
        rows = bodies.rows_of(number)
        first = bodies.matrix[rows.start]
        if bodies.kept[number][0] != 0 or np.count_nonzero(first) != 1:
            raise DatasetError(
                f"payload.{load.label}.mass: expected a mass that moving {bodies.robot.name} shows "
                f"at {load.link} by itself, found none; name a link further out, or leave it out"
            )
        out[rows.start] = load.mass
    return out


def own_drives(samples: Samples, bodies: Bodies) -> Array:
    """Viscous and Coulomb friction, offset and rotor of each joint (N, nv, 4 nv)."""
    v, a = samples.v.numpy(), samples.a.numpy()
    shapes = (v, np.tanh(v / bodies.robot.friction_speed), np.ones_like(v), a)
    return np.concatenate([np.eye(samples.nv)[None] * x[:, :, None] for x in shapes], axis=2)
