"""Helmholtz's conditions (1887) for a Lagrangian to exist, and the Lagrangian of a law's terms.

Forces E(q, v, a) that move a mechanism as E = tau come from a Lagrangian exactly when

    ∂E_i/∂a_j - ∂E_j/∂a_i = 0
    ∂E_i/∂v_j + ∂E_j/∂v_i = d/dt (∂E_i/∂a_j + ∂E_j/∂a_i)
    ∂E_i/∂q_j - ∂E_j/∂q_i = ½ d/dt (∂E_i/∂v_j - ∂E_j/∂v_i)

along every motion. They are tested on a model's answers: E are the joint forces that a model which
is affine in tau needs for an acceleration, and derivatives are central differences. Friction fails
the second condition, a force field that does work around a closed path the third.

The Lagrangian of terms is found by integration and least squares: a force that depends on position
is integrated to a potential along the coordinates or, at a point of a body, along the point's
coordinates; one that is linear in a gives a kinetic energy, one that is linear in v a gyroscopic
potential. Lagrange's equations of these candidates are then fitted to the terms' forces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sympy
import torch
from torch import Tensor

from discover.judgement.thresholds import threshold
from discover.laws.extensions.terms import Term, forces, symbols, without_joint_terms
from discover.laws.rigid_body.family import mechanics_for
from discover.laws.rigid_body.law import RigidBodyLaw
from discover.laws.search.variables import AXES, vocabulary
from discover.numerics import solve_or_nan

_STEP = 1e-3  # of the differences, in rad, rad/s … : errors of 1e-6
_TINY = 1e-300
_EXISTS = threshold("fit.lagrangian_exists")
_FITS = threshold("fit.lagrangian_fits")
_STATES = 200  # at which Lagrange's equations are fitted (half) and tested (half)


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """How far each condition is from holding, relative to the size of what it compares.

    symmetry   of the response to acceleration
    velocity   of the forces that grow with speed: what damping breaks
    position   of the forces that grow with position: what a curl breaks
    """

    symmetry: float
    velocity: float
    position: float

    @property
    def exists(self) -> bool:
        """Whether there is a Lagrangian, as far as differences can tell."""
        return max(self.symmetry, self.velocity, self.position) < _EXISTS

    def __str__(self) -> str:
        values = (
            f"symmetry {self.symmetry:.1g}, velocity {self.velocity:.1g}, "
            f"position {self.position:.1g}"
        )
        return ("a Lagrangian exists" if self.exists else "no Lagrangian") + f" ({values})"


def conditions(model: Callable, q: Tensor, v: Tensor, a: Tensor, jerk: Tensor) -> Conditions:
    """The conditions for `model` (q, v, tau) -> a at points of motions, each (n, nv), float64.

    For coordinates without quaternions. Takes about 60 nv² queries a point.
    """
    E = _demanded(model, q.shape[-1])

    def jacobians(q: Tensor, v: Tensor, a: Tensor) -> list[Tensor]:
        """∂E/∂q, ∂E/∂v, ∂E/∂a at points: each (n, nv, nv)."""
        out = []
        for which in range(3):
            columns = []
            for j in range(q.shape[-1]):
                up, down = [q, v, a], [q, v, a]
                move = torch.zeros_like(q)
                move[:, j] = _STEP
                up[which], down[which] = up[which] + move, down[which] - move
                columns.append((E(*up) - E(*down)) / (2 * _STEP))
            out.append(torch.stack(columns, -1))
        return out

    now = jacobians(q, v, a)
    later = jacobians(q + _STEP * v, v + _STEP * a, a + _STEP * jerk)
    earlier = jacobians(q - _STEP * v, v - _STEP * a, a - _STEP * jerk)
    K, B, S = now
    dB, dS = ((x - y) / (2 * _STEP) for x, y in zip(later[1:], earlier[1:], strict=True))
    pairs = (
        (S - S.mT, S),
        (B + B.mT - dS - dS.mT, torch.cat([B, dS])),
        (K - K.mT - 0.5 * (dB - dB.mT), torch.cat([K, dB])),
    )
    # Forces of different kinds are compared at the accelerations and speeds of these motions.
    size = float(S.abs().max())
    relative = [
        float(x.abs().max()) / max(float(y.abs().max()), 1e-6 * size, _TINY) for x, y in pairs
    ]
    return Conditions(symmetry=relative[0], velocity=relative[1], position=relative[2])


def _demanded(model: Callable, nv: int) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """E(q, v, a): the joint forces that the model, affine in tau, needs for the accelerations a."""

    def E(q: Tensor, v: Tensor, a: Tensor) -> Tensor:
        n = len(q)
        units = torch.cat([torch.zeros(1, nv), torch.eye(nv)]).to(q.dtype).repeat_interleave(n, 0)
        with torch.no_grad():
            answers = model(q.repeat(nv + 1, 1), v.repeat(nv + 1, 1), units).reshape(nv + 1, n, nv)
        response = (answers[1:] - answers[0]).permute(1, 2, 0)
        return solve_or_nan(response, a - answers[0])

    return E


def motions(robot_nv: int, n: int = 6, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Points of motions to test at: (q, v, a, jerk), each (n, nv), of order 1."""
    generator = torch.Generator().manual_seed(seed)
    q, v, a, jerk = torch.randn(4, n, robot_nv, generator=generator, dtype=torch.float64)
    return q, v, a, jerk


@dataclass(frozen=True, kw_only=True)
class TermsLagrangian:
    """What the terms add to the bodies' Lagrangian [J].

    misfit   relative, of the terms' forces by its Lagrange equations, on held-out states
    """

    expression: sympy.Expr
    misfit: float


def fit_lagrangian(law: RigidBodyLaw) -> TermsLagrangian | None:
    """The Lagrangian of all terms of the law together; None where no candidate gives their forces.

    Terms whose functions have no formula, or no integral in closed form, have no candidate.
    """
    nv = law.robot.nv
    candidates = [(c, t.points) for t in law.extra for c in _candidates(t, nv)]
    if not candidates or len({points for _, points in candidates if points}) > 1:
        return None
    points = next((p for _, p in candidates if p), ())
    rows = [
        Term(name="", shape=_equations(c, nv, len(points)), points=points) for c, _ in candidates
    ]
    states = _states(nv)
    total = _forces(law, law.extra, states) @ torch.tensor(
        [t.coefficient for t in law.extra], dtype=torch.float64
    )
    columns = _forces(law, rows, states)
    if not bool(torch.isfinite(columns).all() & torch.isfinite(total).all()):
        return None
    half = _STATES // 2
    A, b = columns[:half].flatten(0, 1), total[:half].flatten()
    c = torch.linalg.lstsq(A, b.unsqueeze(-1), driver="gelsd").solution.squeeze(-1)
    residual = columns[half:] @ c - total[half:]
    misfit = float(residual.norm() / total[half:].norm().clamp_min(1e-300))
    if not misfit < _FITS:
        return None
    parts = [sympy.Float(x, 17) * e for x, (e, _) in zip(c.tolist(), candidates, strict=True)]
    return TermsLagrangian(expression=sympy.Add(*parts), misfit=misfit)


def _forces(law: RigidBodyLaw, terms: Sequence[Term], states: Sequence[Tensor]) -> Tensor:
    q, v, a = states
    bodies = without_joint_terms(law.robot)
    mechanics = mechanics_for(terms, bodies, q, v)
    return forces(terms, q, v, a, torch.zeros_like(q), bodies, mechanics)


def _states(nv: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    q, v, a = torch.randn(3, _STATES, nv, generator=generator, dtype=torch.float64)
    return q, v, a


def _candidates(term: Term, nv: int) -> list[sympy.Expr]:
    """Lagrangians that may have the term's force, up to a factor."""
    if term.tables:
        return []
    s = symbols(nv)
    q, v, a = (list(s[group]) for group in ("q", "v", "a"))
    rows = [sympy.sympify(row) for row in term.shape]
    if term.names <= {x.name for x in q}:
        return _potential(rows, q)
    if len(term.points) == 1 and not any(w[0] in "dvatHThgcpbwku" for w in term.names):
        return _at_point(rows, nv, len(term.points))
    moving = sympy.Matrix(rows).jacobian(a)
    if not any(moving.free_symbols - set(q)) and any(moving):
        return [(sympy.Matrix(v).T * moving * sympy.Matrix(v))[0] / 2]
    turning = sympy.Matrix(rows).jacobian(v)
    if not turning.free_symbols and any(turning) and turning == -turning.T:
        return [-(sympy.Matrix(q).T * turning * sympy.Matrix(v))[0] / 2]
    return []


def _potential(rows: Sequence[sympy.Expr], x: Sequence[sympy.Symbol]) -> list[sympy.Expr]:
    """-U with ∂U/∂x = rows, integrated along one coordinate after the other; none if not closed."""
    from sympy.integrals.manualintegrate import manualintegrate  # imported late: few laws need it

    total = sympy.Integer(0)
    for i, (row, coordinate) in enumerate(zip(rows, x, strict=True)):
        whole = manualintegrate(sympy.expand(row.subs(dict.fromkeys(x[i + 1 :], 0))), coordinate)
        if whole.has(sympy.Integral, sympy.Derivative) or whole.has(sympy.I, sympy.zoo, sympy.nan):
            return []
        total += whole - whole.subs(coordinate, 0) if i else whole
    return [-total]


def _at_point(rows: Sequence[sympy.Expr], nv: int, count: int) -> list[sympy.Expr]:
    """-U of a force at a point, integrated along the point's coordinates; none if not closed."""
    w = vocabulary(nv, count)
    force = []
    for axis in AXES:
        slopes = [sympy.diff(row, w[f"j{axis}1_{i + 1}"]) for i, row in enumerate(rows)]
        if any(sympy.simplify(s - slopes[0]) != 0 for s in slopes[1:]):
            return []
        force.append(slopes[0])
    return _potential(force, [w[f"{axis}1"] for axis in AXES])


def _equations(L: sympy.Expr, nv: int, points: int) -> tuple[sympy.Expr, ...]:
    """Lagrange's equations d/dt ∂L/∂v - ∂L/∂q, with the chain rule through a point's place."""
    s, w = symbols(nv), vocabulary(nv, points)
    q, v, a = s["q"], s["v"], s["a"]
    rows = []
    for i in range(nv):
        momentum = sympy.diff(L, v[i])
        rate = sum(
            (sympy.diff(momentum, q[j]) * v[j] + sympy.diff(momentum, v[j]) * a[j]
             for j in range(nv)), sympy.Integer(0),
        )  # fmt: skip
        slope = sympy.diff(L, q[i])
        for axis in AXES if points else ():
            slope += sympy.diff(L, w[f"{axis}1"]) * w[f"j{axis}1_{i + 1}"]
        rows.append(rate - slope)
    return tuple(rows)
