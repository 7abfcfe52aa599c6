"""The linear problem: tau = Y_base β + Σ coefficient · term, column by column.

The bodies enter by their base parameters, as departures from the description: then what the motion
does not show stays where the description has it, and a fit's prior is centred on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import sympy
import torch
from numpy.typing import NDArray

import kinematics
from discover.identification.drive_terms import DriveTerm
from discover.identification.elastic_joints import giving_way
from discover.identification.presliding import missing_friction
from discover.identification.samples import Samples
from discover.laws.extensions.terms import Term, entries, symbols, without_joint_terms
from discover.laws.rigid_body.consistency import typical_units
from discover.laws.search.variables import needs_mechanics
from kinematics import Robot
from kinematics.algorithms.base_parameters import BaseParameters

Array = NDArray[np.float64]
_BODIES = "bodies"
_FEW = 12  # nodes of the filter's window: exact for polynomials of order 23
_MANY = 31  # where a shape bends in the window
_STRAIGHT = 4.0  # tanh is within 7e-4 of 1


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
    loaded = [_apart(t) for x in terms if x.loaded for t in x.terms]
    elastic = {x.joints[0]: x.compliance for x in terms if x.compliance is not None}
    giving = giving_way(samples, elastic, loaded_by)
    _compute_missing(samples, bodies, terms, [beside for _, beside in loaded])
    factors = _at_the_middle(samples, [factor for factor, _ in loaded], loaded_by)
    under_load = (
        factor * samples.columns[_key(beside, bodies.robot)]
        for factor, (_, beside) in zip(factors, loaded, strict=True)
    )
    X = np.empty((*samples.v.shape, base.shape[2] + sum(len(drive.terms) for drive in terms)))
    X[:, :, : base.shape[2]] = base
    groups, at = [], base.shape[2]
    for drive in terms:
        groups.append(tuple(range(at, at + len(drive.terms))))
        for term in drive.terms:
            if drive.compliance is not None:
                X[:, :, at] = giving[drive.joints[0]]
            elif drive.loaded:
                X[:, :, at] = next(under_load)
            else:
                X[:, :, at] = samples.columns[_key(term, bodies.robot)]
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


def _apart(term: Term) -> tuple[Term, Term]:
    """The factors of a shape that depend on loads, which are kept within the filter's window, and
    the others, which do not depend on the bodies."""
    rows = [
        row.as_independent(*_loads(row), as_Add=False) if row != 0 else (row, row)
        for row in term.shape
    ]
    return (
        replace(term, name=f"load of {term.name}", shape=tuple(y for _, y in rows)),
        replace(term, name=f"{term.name}, its load apart", shape=tuple(x for x, _ in rows)),
    )


def _loads(row: sympy.Expr) -> list[sympy.Symbol]:
    return [s for s in row.free_symbols if needs_mechanics([s.name])]


def _compute_missing(
    samples: Samples, bodies: Bodies, terms: Sequence[DriveTerm], others: Sequence[Term]
) -> None:
    """Columns that do not depend on the bodies, where they were not computed before."""
    robot, known = bodies.robot, samples.columns
    new = [t for x in terms if not (x.loaded or x.along_motion) for t in x.terms]
    new = [t for t in (*new, *others) if _key(t, robot) not in known]
    for term, column in zip(new, _filtered(samples, new, robot), strict=True):
        known[_key(term, robot)] = column
    memory = [x for x in terms if x.memory and _key(x.terms[0], robot) not in known]
    if memory:
        wanted = [(x.joints[0], x.memory, x.rests) for x in memory]
        found = missing_friction(samples, wanted, float(robot.friction_speed))
        for drive, column in zip(memory, found, strict=True):
            known[_key(drive.terms[0], robot)] = (
                column[:, None] * np.eye(samples.nv)[drive.joints[0]]
            )


def _key(term: Term, robot: Robot) -> str:
    return f"{term.name}, {robot.friction_speed}"


def _filtered(samples: Samples, terms: Sequence[Term], robot: Robot) -> Array:
    """The columns (p, N, nv) of terms after the filter that the joint forces went through.

    Friction steps where a joint reverses, and the filter rounds that step off in the joint forces.
    Within its window a motion is a low polynomial, so the window is run through from the middle:
    q + v t + a t²/2, v + a t, the filter's own weights. A shape that is smooth in the window needs
    few nodes, one that bends in it many.
    """
    if not terms:
        return np.zeros((0, *samples.v.shape))
    if not samples.window:
        return _integrated(samples, terms, robot, (np.zeros(1), np.ones(1)))
    few, many = _gauss(samples.order), _even(samples.order)
    waves = [k for k, term in enumerate(terms) if _has(term, sympy.sin, sympy.cos)]
    smooth = [k for k in range(len(terms)) if k not in waves]
    total = np.empty((len(terms), *samples.v.shape))
    for chosen, nodes in ((smooth, few), (waves, many)):
        total[chosen] = _integrated(samples, [terms[k] for k in chosen], robot, nodes)
    bends: dict[frozenset[tuple[sympy.Expr, float]], list[int]] = {}
    for k in smooth:
        bends.setdefault(_bends(terms[k]), []).append(k)
    for bent, chosen in bends.items():
        rows = np.flatnonzero(_crossing(samples, bent))
        if len(rows):
            columns = _integrated(samples, [terms[k] for k in chosen], robot, many, rows)
            total[np.array(chosen)[:, None], rows] = columns
    return total


def _at_the_middle(samples: Samples, terms: Sequence[Term], loaded_by: Robot) -> Array:
    """Columns (p, N, nv) without a filter; zero where a term does not act."""
    out = np.zeros((len(terms), *samples.v.shape))
    states = (samples.q, samples.v, samples.a, samples.tau)
    for k, row, values in entries(terms, *states, loaded_by, like=samples.v[:, 0]):
        out[k, :, row] = values.numpy()
    return out


def _has(term: Term, *functions: type) -> bool:
    return any(row.has(*functions) for row in term.shape if row != 0)


def _gauss(order: int) -> tuple[Array, Array]:
    """Nodes in a window from -1/2 to 1/2, and their weights in the value, at the middle, of the
    polynomial that is fitted to the window: exact where the integrand is smooth."""
    x, weights = np.polynomial.legendre.leggauss(_FEW)
    norms = np.arange(order + 1) + 0.5
    at, middle = (np.polynomial.legendre.legvander(z, order) for z in (x, np.zeros(1)))
    return x / 2, weights * ((at * norms) @ middle[0])


def _even(order: int) -> tuple[Array, Array]:
    """The same with nodes at even steps."""
    x = np.linspace(-0.5, 0.5, _MANY)
    return x, np.linalg.pinv(x[:, None] ** np.arange(order + 1))[0]


def _bends(term: Term) -> frozenset[tuple[sympy.Expr, float]]:
    """Linear functions of velocities in whose zeros the shape bends, and how far from there it is
    straight again."""
    out = set()
    for row in term.shape:
        if row == 0:
            continue
        for f in row.atoms(sympy.tanh, sympy.Abs, sympy.sign):
            argument = f.args[0]
            if all(s.name[0] == "v" for s in argument.free_symbols):
                out.add((argument, _STRAIGHT if isinstance(f, sympy.tanh) else 0.0))
    return frozenset(out)


def _crossing(samples: Samples, bends: frozenset[tuple[sympy.Expr, float]]) -> NDArray[np.bool_]:
    """The rows (N,) in whose window one of these functions passes zero."""
    v, a = samples.v.numpy(), samples.a.numpy()
    out = np.zeros(len(v), dtype=bool)
    words = symbols(v.shape[1])["v"]
    for argument, room in bends:
        slope = np.array([float(argument.coeff(s)) for s in words])
        out |= np.abs(v @ slope) <= np.abs(a @ slope) * samples.window / 2 + room
    return out


def _integrated(
    samples: Samples,
    terms: Sequence[Term],
    robot: Robot,
    nodes: tuple[Array, Array],
    rows: NDArray[np.int64] | None = None,
) -> Array:
    """The columns (p, n, nv) over the window's nodes, at some rows or all."""
    q, v, a, tau = samples.q, samples.v, samples.a, samples.tau
    if rows is not None:
        pick = torch.from_numpy(rows)
        q, v, a, tau = q[pick], v[pick], a[pick], tau[pick]
    out = np.zeros((len(terms), *v.shape))
    t = torch.from_numpy(nodes[0] * samples.window)[:, None, None]
    weights = torch.from_numpy(nodes[1])
    moved = (q + v * t + a * (t * t / 2), v + a * t)
    for k, row, values in entries(terms, *moved, a, tau, robot, like=moved[1][..., 0]):
        out[k, :, row] = (weights @ values).numpy()
    return out
