"""The linear problem: tau = Y_base β + Σ coefficient · term, column by column.

The bodies enter by their base parameters, as departures from the description: then what the motion
does not show stays where the description has it, and a fit's prior is centred on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

import kinematics
from discover.identification.drive_terms import DriveTerm
from discover.identification.samples import Samples
from discover.laws.extensions.terms import Term, forces, without_joint_terms
from discover.laws.rigid_body.consistency import typical_units
from discover.laws.search.variables import Mechanics, needs_mechanics
from kinematics import Robot
from kinematics.algorithms.base_parameters import BaseParameters

Array = NDArray[np.float64]
_BODIES = "bodies"
_NODES = 31  # of the filter's window


@dataclass(frozen=True, kw_only=True)
class Bodies:
    """The description's bodies and their base parameters.

    matrix (k, 10 nb): base parameters β = matrix @ pi; described (k,) the description's;
    spread (k, k): covariance of β where each body's ten numbers are uncertain by a typical body.
    """

    robot: Robot
    base: BaseParameters
    matrix: Array
    described: Array
    spread: Array

    @classmethod
    def of(cls, robot: Robot) -> Bodies:
        """Of a description, without its joint terms."""
        bare = without_joint_terms(robot).to(dtype=torch.float64)
        base = kinematics.base_parameters(bare)
        matrix = base.matrix.numpy()
        pi = bare.pi.reshape(-1, 10)
        units = typical_units(pi.numpy())
        scaled = matrix * units
        return cls(
            robot=bare,
            base=base,
            matrix=matrix,
            described=matrix @ pi.flatten().numpy(),
            spread=scaled @ scaled.T,
        )

    @property
    def size(self) -> int:
        """Number of base parameters."""
        return len(self.described)

    @property
    def pi(self) -> Array:
        """The described parameters (n, 10) that `matrix` is over."""
        return self.robot.pi.reshape(-1, 10).numpy()

    @property
    def units(self) -> Array:
        """A typical body's size of each of them (10 n,)."""
        one = typical_units(self.robot.pi.reshape(-1, 10).numpy())[:10]
        return np.tile(one, len(self.pi))

    def columns(self, samples: Samples) -> Array:
        """The base regressor (N, nv, k)."""
        Y = kinematics.regressor(self.robot, samples.q, samples.v, samples.a)
        return np.ascontiguousarray(Y[..., list(self.base.independent)].numpy())

    def parameters(self, beta: Array) -> Array:
        """Parameters (n, 10) with these base parameters, closest to the description in units of a
        typical body. They need not be possible."""
        scaled = self.matrix * self.units
        step = self.units * (np.linalg.pinv(scaled) @ (beta - self.described))
        return self.pi + step.reshape(-1, 10)

    def with_parameters(self, pi: Array) -> Robot:
        """The robot with the first of the parameters (n, 10)."""
        nb = self.robot.nb
        return self.robot.replace(pi=torch.from_numpy(np.ascontiguousarray(pi[:nb])))

    def moved_to(self, beta: Array) -> Robot:
        """The robot with these base parameters."""
        return self.with_parameters(self.parameters(beta))


@dataclass(frozen=True, kw_only=True)
class Design:
    """Columns of the bodies, then of the terms, at the samples.

    X (N, nv, p); y (N, nv) joint forces less those of the description's bodies; `groups` gives the
    columns of each candidate.
    """

    X: Array
    y: Array
    bodies: int
    terms: tuple[DriveTerm, ...]
    groups: tuple[tuple[int, ...], ...]

    @property
    def body_columns(self) -> list[int]:
        """The columns of the base parameters."""
        return list(range(self.bodies))

    def predicted(self, columns: Sequence[int], theta: Array) -> Array:
        """Joint forces beside those of the description's bodies (N, nv)."""
        return self.X[:, :, list(columns)] @ theta


def assemble(
    samples: Samples, bodies: Bodies, terms: Sequence[DriveTerm], loaded_by: Robot
) -> Design:
    """The columns at the samples; loads are those of the bodies `loaded_by`."""
    base = load_columns(samples, bodies)
    unloaded = [t for drive in terms if not drive.loaded for t in drive.terms]
    new = [t for t in unloaded if _key(t, bodies.robot) not in samples.columns]
    if new:
        columns = _smoothed(samples, new, bodies.robot)
        samples.columns.update({_key(t, bodies.robot): columns[:, :, k] for k, t in enumerate(new)})
    loaded = [t for drive in terms if drive.loaded for t in drive.terms]
    under_load = (
        iter(_smoothed(samples, loaded, loaded_by).transpose(2, 0, 1)) if loaded else iter(())
    )
    X = np.empty((*samples.v.shape, base.shape[2] + sum(len(drive.terms) for drive in terms)))
    X[:, :, : base.shape[2]] = base
    groups, at = [], base.shape[2]
    for drive in terms:
        groups.append(tuple(range(at, at + len(drive.terms))))
        for term in drive.terms:
            X[:, :, at] = (
                next(under_load) if drive.loaded else samples.columns[_key(term, bodies.robot)]
            )
            at += 1
    return Design(
        X=X,
        y=samples.tau.numpy() - base @ bodies.described,
        bodies=base.shape[2],
        terms=tuple(terms),
        groups=tuple(groups),
    )


def load_columns(samples: Samples, bodies: Bodies) -> Array:
    """The base regressor at the samples (N, nv, k), computed once."""
    if _BODIES not in samples.columns:
        samples.columns[_BODIES] = bodies.columns(samples)
    return samples.columns[_BODIES]


def _key(term: Term, robot: Robot) -> str:
    return f"{term.name}, {robot.friction_speed}"


def _smoothed(samples: Samples, terms: Sequence[Term], loaded_by: Robot) -> Array:
    """The columns (N, nv, p) of terms after the filter that the joint forces went through.

    Friction steps where a joint reverses, and the filter rounds that step off in the joint forces.
    Within its window a motion is a low polynomial, so the window is run through from the middle:
    q + v t + a t²/2, v + a t, the filter's own weights. Loads change little in it, and are kept.
    """
    names = {name for term in terms for name in term.names}
    q, v, a, tau = samples.q, samples.v, samples.a, samples.tau
    mechanics = Mechanics.of(loaded_by, q, v, names) if needs_mechanics(names) else None
    if not samples.window:
        return forces(terms, q, v, a, tau, loaded_by, mechanics).numpy()
    times = np.linspace(-0.5, 0.5, _NODES) * samples.window
    weights = np.linalg.pinv((times[:, None] / samples.window) ** np.arange(samples.order + 1))[0]
    total = np.zeros((*v.shape, len(terms)))
    for t, weight in zip(times.tolist(), weights.tolist(), strict=True):
        moved = (q + v * t + a * (t * t / 2), v + a * t)
        total += weight * forces(terms, *moved, a, tau, loaded_by, mechanics).numpy()
    return total
