"""The family of rigid-body laws of a tree, with terms: linear in its parameters.

    H(q) a + bias(q, v) + Σ c_k φ_k(q, v, a, tau) = tau,       H a + bias = Y(q, v, a) V β

β are coordinates of the identifiable subspace of the bodies' inertial parameters (V has orthonormal
columns), c the coefficients of the terms. Tree and joint axes are those of the robot; its inertial
parameters serve as a starting guess only. `Design` is the left side of a family at given states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

import kinematics
from discover.blackbox.contract import Answers
from discover.laws.extensions import LawExtension
from discover.laws.extensions.io_nonlinearity import bodies_input, law_output
from discover.laws.extensions.surrogate_trigonometry import SurrogateTrigonometry
from discover.laws.extensions.surrogate_trigonometry import columns as surrogate_columns
from discover.laws.extensions.terms import RobotKey, Term, forces, stated, without_joint_terms
from discover.laws.rigid_body.step_map import IMPLICIT, StepMap, advance
from discover.laws.search.variables import Mechanics, needs_mechanics
from discover.numerics import newton, solve_or_nan
from kinematics import Robot


@dataclass(frozen=True, kw_only=True)
class Design:
    """The left side of a family at n states, H(theta) a + b(theta), linear in its p parameters.

    bias_columns (n, nv, p) at a = 0; inertia_columns (n, nv, nv, k) of the bodies, the second nv
    being a's, and term_inertia (n, nv, nv, m) of the terms that move with a, which are the
    parameters `moving`; rest_columns (n, nv, k), the bodies' share at v = 0 too: gravity.
    """

    bias_columns: Tensor
    inertia_columns: Tensor
    rest_columns: Tensor
    term_inertia: Tensor | None = None
    moving: tuple[int, ...] = ()

    def __getitem__(self, rows: Tensor) -> Design:
        moving = None if self.term_inertia is None else self.term_inertia[rows]
        return Design(
            bias_columns=self.bias_columns[rows],
            inertia_columns=self.inertia_columns[rows],
            rest_columns=self.rest_columns[rows],
            term_inertia=moving,
            moving=self.moving,
        )

    def with_terms(self, still: Tensor, moving: Sequence[int], columns: Tensor) -> Design:
        """The design with m terms added to the bodies.

        still (n, nv, m): their columns at a = 0; moving: which of them depend on a; columns
        (n, nv, nv, len(moving)): the derivatives of these in a.
        """
        k = self.bias_columns.shape[-1]
        return Design(
            bias_columns=torch.cat([self.bias_columns, still], -1),
            inertia_columns=self.inertia_columns,
            rest_columns=self.rest_columns,
            term_inertia=columns if moving else None,
            moving=tuple(k + i for i in moving),
        )

    def mechanics(self, theta: Tensor) -> Mechanics:
        """The mechanical quantities that terms name, of the bodies theta; without potential."""
        k = self.rest_columns.shape[-1]
        beta = theta[:k]
        gravity = self.rest_columns @ beta
        return Mechanics(
            H=self.inertia_columns @ beta,
            gravity=gravity,
            velocity=self.bias_columns[..., :k] @ beta - gravity,
            potential=None,
        )

    def moved(self, mechanics: Mechanics, size: float) -> Mechanics:
        """`mechanics` with each of the k parameters larger by `size`, in turn (k, n, …)."""
        k = self.rest_columns.shape[-1]
        gravity = self.rest_columns.movedim(-1, 0)
        bias = self.bias_columns[..., :k].movedim(-1, 0)
        return Mechanics(
            H=mechanics.H + size * self.inertia_columns.movedim(-1, 0),
            gravity=mechanics.gravity + size * gravity,
            velocity=mechanics.velocity + size * (bias - gravity),
            potential=mechanics.potential,
        )

    def inertia(self, theta: Tensor) -> Tensor:
        """H (n, nv, nv)."""
        H = self.inertia_columns @ theta[: self.inertia_columns.shape[-1]]
        if self.term_inertia is None:
            return H
        return H + self.term_inertia @ theta[list(self.moving)]

    def columns(self, a: Tensor) -> Tensor:
        """d(left side) / d(theta) at accelerations a: (n, nv, p)."""
        out, (*_, nv, k) = self.bias_columns.clone(), self.inertia_columns.shape
        row = a[:, None, :]
        # Inertia is symmetric: summed over its first index, which is one product a state.
        out[..., :k] += (row @ self.inertia_columns.flatten(2)).reshape(-1, nv, k)
        if self.term_inertia is not None:
            out[..., list(self.moving)] += (row[:, None] @ self.term_inertia).squeeze(-2)
        return out

    def acceleration(self, theta: Tensor, tau: Tensor) -> Tensor:
        """Forward dynamics (n, nv); NaN where H is singular."""
        return solve_or_nan(self.inertia(theta), tau - self.bias_columns @ theta)


_RANK_TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Family:
    """A tree and the terms and other extensions that its laws have.

    robot           the tree, without joint terms (they are Terms here)
    basis           (10 nb, k), columns that span the inertial parameters
    reference       the bodies whose momentum, energy … the terms name; `robot` where it is None
    nonlinearities  extensions that change the inputs or the output of bodies and terms together
    trigonometry    replacements of sine and cosine in the bodies; None for sine and cosine
    implicit        (scheme, h [s]) of a step that treats joint damping, or all forces of velocity,
                    at its end; None where forces are those of the state itself
    """

    robot: Robot
    basis: Tensor
    terms: tuple[Term, ...] = ()
    reference: Robot | None = None
    nonlinearities: tuple[LawExtension, ...] = ()
    trigonometry: SurrogateTrigonometry | None = None
    implicit: tuple[str, float] | None = None

    @classmethod
    def of(cls, robot: Robot, terms: Sequence[Term] = ()) -> Family:
        """The family of `robot`'s tree."""
        bare = without_joint_terms(robot)
        return cls(robot=bare, basis=identifiable_basis(bare), terms=tuple(terms))

    def with_terms(self, terms: Sequence[Term], reference: Robot | None = None) -> Family:
        """The family with other terms."""
        return Family(
            robot=self.robot,
            basis=self.basis,
            terms=tuple(terms),
            reference=reference or self.reference,
            nonlinearities=self.nonlinearities,
            trigonometry=self.trigonometry,
            implicit=self.implicit,
        )

    def stepping(self, step: StepMap | None) -> Family:
        """The family with what the step's scheme treats implicitly."""
        treated = None if step is None or step.scheme not in IMPLICIT else (step.scheme, step.h)
        return self if treated == self.implicit else replace(self, implicit=treated)

    @property
    def non_additive(self) -> tuple[LawExtension, ...]:
        """The extensions that are no forces beside the bodies."""
        surrogate = () if self.trigonometry is None else (self.trigonometry,)
        return (*self.nonlinearities, *surrogate)

    @property
    def bare(self) -> Family:
        """The family without changes of inputs and output."""
        return replace(self, nonlinearities=()) if self.nonlinearities else self

    @property
    def bodies(self) -> Robot:
        """The bodies whose momentum, energy … the terms name."""
        return self.reference or self.robot

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.basis.shape[1] + len(self.terms)

    @property
    def described(self) -> Tensor:
        """The coordinates (p,) of the robot's own bodies, without terms."""
        beta = self.basis.T @ self.robot.pi.detach().flatten().to(self.basis)
        return torch.cat([beta, beta.new_zeros(len(self.terms))])

    def member(self, theta: Tensor) -> Robot:
        """The robot with the inertial parameters V β (of least norm, not necessarily possible)."""
        k = self.basis.shape[1]
        return self.robot.replace(pi=(self.basis @ theta[:k]).reshape(-1, 10))

    def rigid_design(self, q: Tensor, v: Tensor) -> Design:
        """The bodies' part of the left side at states (q, v)."""
        if self.trigonometry is not None:
            made = surrogate_columns(self.robot, self.trigonometry, self.basis, q, v)
            return Design(
                bias_columns=made.bias, inertia_columns=made.inertia, rest_columns=made.rest
            )
        robot, zero = self.robot, torch.zeros_like(v)
        units = torch.eye(robot.nv, dtype=v.dtype)
        moving = torch.stack([zero, v, *(zero for _ in units)])
        faster = torch.stack([zero, zero, *(e.expand_as(v) for e in units)])
        at_once = kinematics.regressor(robot, q.expand(len(moving), *q.shape), moving, faster)
        at_rest, bias, *inertia = at_once @ self.basis
        return Design(
            bias_columns=bias,
            inertia_columns=torch.stack([column - at_rest for column in inertia], 2),
            rest_columns=at_rest,
        )

    def design(self, rigid: Design, q: Tensor, v: Tensor, tau: Tensor) -> Design:
        """The design of the bodies at states (q, v) with the columns of the terms added."""
        return rigid.with_terms(*self._term_columns(q, v, tau)) if self.terms else rigid

    def bodies_at(self, theta: Tensor, q: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """(H, bias) of the bodies, with the joint terms of the robot itself."""
        member = self.member(theta)
        if self.trigonometry is None:
            H, b = kinematics.crba(member, q), kinematics.bias(member, q, v)
            if self.implicit is not None:
                H = H + self.implicit[1] * torch.diag(member.damping)
            return H, b
        made = surrogate_columns(member, self.trigonometry, member.pi.reshape(-1, 1), q, v)
        beside = kinematics.joint_forces(member, q, v, torch.zeros_like(v))
        return made.inertia[..., 0] + torch.diag(member.armature), made.bias[..., 0] + beside

    def inertia_and_bias(
        self, theta: Tensor, q: Tensor, v: Tensor, tau: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(H, b) with H a + b = tau, terms that are linear in a being part of H."""
        c = theta[self.basis.shape[1] :]
        H, b = self.bodies_at(theta, q, v)
        if self.terms:
            still, moving, columns = self._term_columns(q, v, tau)
            b = b + still @ c
            if moving:
                H = H + columns @ c[moving]
        return H, b

    def _term_columns(self, q: Tensor, v: Tensor, tau: Tensor) -> tuple[Tensor, list[int], Tensor]:
        """Columns of the terms at a = 0 (n, nv, m), which depend on a, and their slopes in a."""
        zero, nv = torch.zeros_like(v), v.shape[-1]
        mechanics = mechanics_for(self.terms, self.bodies, q, v)
        still = forces(self.terms, q, v, zero, tau, self.bodies, mechanics)
        own = self._own_inertia
        moving = [k for k, t in enumerate(self.terms) if t.moves_with_acceleration or k in own]
        slopes = still.new_zeros(*v.shape, nv, len(moving))
        for k, (joint, slope) in own.items():
            slopes[..., joint, joint, moving.index(k)] = slope
        others = [k for k in moving if k not in own]
        accelerated, at = [self.terms[k] for k in others], [moving.index(k) for k in others]
        for j in range(nv if others else 0):
            unit = zero.clone()
            unit[..., j] = 1.0
            moved = forces(accelerated, q, v, unit, tau, self.bodies, mechanics)
            slopes[..., j, at] = moved - still[..., others]
        return still, moving, slopes

    @property
    def _own_inertia(self) -> dict[int, tuple[int, float]]:
        """The terms that act as inertia of their own joint, number -> (joint, slope in a): a rotor;
        and damping at the end of a step of h, c (v + h a)."""
        h = 0.0 if self.implicit is None else self.implicit[1]
        slopes = {"armature": 1.0} | ({"damping": h} if h else {})
        return {
            k: (t.joint, slopes[t.joint_term])
            for k, t in enumerate(self.terms)
            if t.joint_term in slopes and t.joint is not None
        }

    def acceleration(self, theta: Tensor, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        """Forward dynamics of the member theta (n, nv); NaN where its H is singular."""
        if self.nonlinearities:
            a = self.bare.acceleration(theta, *bodies_input(self.nonlinearities, q, v, tau))
            return law_output(self.nonlinearities, q, v, tau, a)
        if any(t.nonlinear_in_acceleration for t in self.terms):
            return self._implicit_acceleration(theta, q, v, tau)
        H, b = self.inertia_and_bias(theta, q, v, tau)
        if self.implicit is not None and self.implicit[0] == "implicit_velocity":
            H = H + self.implicit[1] * self._velocity_slope(theta, q, v, tau)
        return solve_or_nan(H, tau - b)

    def _velocity_slope(self, theta: Tensor, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        """d(bias)/dv (n, nv, nv) of all forces but the joints' damping, which is in H: central
        differences, exact for products of velocities."""
        kept = [k for k, t in enumerate(self.terms) if t.joint_term != "damping"]
        p = self.basis.shape[1]
        coefficients = torch.cat([theta[:p], theta[p:][kept]])
        family = replace(
            self.with_terms([self.terms[k] for k in kept]),
            robot=self.robot.replace(damping=torch.zeros_like(self.robot.damping)),
            implicit=None,
        )
        n, nv = v.shape
        x = torch.eye(nv, dtype=v.dtype).repeat(n, 1)
        q, v, tau = (y.repeat_interleave(nv, 0) for y in (q, v, tau))
        ahead, behind = (
            family.inertia_and_bias(coefficients, q, v + s * x, tau)[1] for s in (1.0, -1.0)
        )
        return 0.5 * (ahead - behind).reshape(n, nv, nv).mT

    def _implicit_acceleration(self, theta: Tensor, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        """Newton's method from the bodies' own acceleration, for terms not linear in a."""
        member, c = self.member(theta), theta[self.basis.shape[1] :]
        H, b = kinematics.crba(member, q), kinematics.bias(member, q, v)
        mechanics = mechanics_for(self.terms, self.bodies, q, v)

        def left(a: Tensor) -> Tensor:
            beside = forces(self.terms, q, v, a, tau, self.bodies, mechanics) @ c
            return (H @ a.unsqueeze(-1)).squeeze(-1) + b + beside - tau

        return newton(left, solve_or_nan(H, tau - b))

    def effective_acceleration(
        self, theta: Tensor, q: Tensor, v: Tensor, tau: Tensor, step: StepMap | None
    ) -> Tensor:
        """(v' - v) / dt over one step; without one, a itself."""
        if step is None or step.direct:
            return self.stepping(step).acceleration(theta, q, v, tau)
        return self.step(theta, q, v, tau, step)[1]

    def step(
        self, theta: Tensor, q: Tensor, v: Tensor, tau: Tensor, step: StepMap
    ) -> tuple[Tensor, Tensor]:
        """(q', (v' - v) / dt) of one step."""
        family = self.stepping(step)
        plain = family._as_robot(theta)

        def acceleration(at: Tensor, w: Tensor, force: Tensor) -> Tensor:
            if plain is not None:
                return kinematics.aba(plain, at, w, force)
            return family.acceleration(theta, at, w, force)

        return advance(step, self.robot, acceleration, q, v, tau)

    def _as_robot(self, theta: Tensor) -> Robot | None:
        """The member as one robot with joint terms, which recursions answer several times faster
        than mass matrix and columns; None where more than that acts."""
        plain = all(t.joint_term is not None and t.joint is not None for t in self.terms)
        by_velocity = self.implicit is not None and self.implicit[0] == "implicit_velocity"
        if not plain or by_velocity or self.nonlinearities or self.trigonometry is not None:
            return None
        robot = stated(self.member(theta), self.terms, list(theta[self.basis.shape[1] :]))
        if self.implicit is not None:
            robot = robot.replace(armature=robot.armature + self.implicit[1] * robot.damping)
        return robot


def step_response(family: Family, theta: Tensor, answers: Answers, step: StepMap) -> Tensor:
    """Φ (n, nv, nv): what a constant change of acceleration makes of (v' - v) / dt.

    Within a step the motion answers to the change: with A the derivative of (v, a) in (q, v) at the
    middle of the step, Φ is the velocities' block of φ₁(A dt) = ∫ exp(A s) ds / dt (Hochbruck and
    Ostermann 2010), which is the identity for short steps. Quaternions move in their tangent space.
    """
    q, v = evaluation_point(answers, family.robot, step)
    n, nv = v.shape
    sides = []
    for size in (1e-4, -1e-4):
        x = size * torch.eye(nv, dtype=v.dtype).repeat(n, 1)
        again = [y.repeat_interleave(nv, 0) for y in (q, v, answers.tau)]
        moved = kinematics.integrate(family.robot, again[0], x, 1.0)
        for at, w in ((moved, again[1]), (again[0], again[1] + x)):
            a = family.acceleration(theta, at, w, again[2])
            sides.append(a.reshape(n, nv, nv).mT)
    by_q, by_v = ((sides[k] - sides[k + 2]) / 2e-4 for k in (0, 1))
    A = v.new_zeros(n, 4 * nv, 4 * nv)
    rows, ends = torch.arange(nv), slice(2 * nv, 4 * nv)
    A[:, rows, nv + rows] = step.dt
    A[:, nv : 2 * nv, :nv], A[:, nv : 2 * nv, nv : 2 * nv] = by_q * step.dt, by_v * step.dt
    A[:, : 2 * nv, ends] = torch.eye(2 * nv, dtype=v.dtype)
    phi = torch.linalg.matrix_exp(torch.nan_to_num(A))[:, : 2 * nv, ends][:, nv:, nv:]
    eye = torch.eye(nv, dtype=v.dtype)
    wild = ~(phi.abs().amax((1, 2)) < _WILD)
    return torch.where(wild[:, None, None], eye, phi)


_WILD = 10.0  # a response beyond it is that of a law that is still far from the model


def evaluation_point(answers: Answers, robot: Robot, step: StepMap | None) -> tuple[Tensor, Tensor]:
    """(q, v) at which the law's acceleration is closest to what the answers show, to O(dt²)."""
    if step is None or step.starts:
        return answers.q, answers.v
    half = 0.5 * step.dt
    v_mean = answers.v + half * answers.a
    return kinematics.integrate(robot, answers.q, answers.v + 0.5 * half * answers.a, half), v_mean


def identifiable_basis(robot: Robot) -> Tensor:
    """Orthonormal columns that span the inertial parameters torques can show: (10 nb, rank).

    From the regressor at generic states, by singular values (Gautier 1991). Depends on the tree,
    its geometry and gravity, never on the inertial parameters.
    """
    return _identifiable_basis(RobotKey(robot))


@lru_cache(maxsize=32)
def _identifiable_basis(key: RobotKey) -> Tensor:
    robot = key.robot
    generator = torch.Generator().manual_seed(0)
    n = max(40, 4 * 10 * robot.nb // robot.nv)

    def draw(spread: float) -> Tensor:
        return spread * torch.randn(n, robot.nv, generator=generator, dtype=torch.float64)

    neutral = robot.neutral().to(torch.float64).expand(n, -1)
    q = kinematics.integrate(robot, neutral, draw(1.5), 1.0)
    Y = kinematics.regressor(robot, q, draw(2.0), draw(5.0)).reshape(-1, 10 * robot.nb)
    _, s, Vh = torch.linalg.svd(Y / Y.square().mean().sqrt(), full_matrices=False)
    rank = int((s > _RANK_TOLERANCE * s[0]).sum())
    return Vh[:rank].T.contiguous()


def mechanics_for(terms: Sequence[Term], robot: Robot, q: Tensor, v: Tensor) -> Mechanics | None:
    """The mechanical quantities that the terms name; None where they name none."""
    names = set().union(*(t.names for t in terms)) if terms else set()
    return Mechanics.of(robot, q, v, names) if needs_mechanics(names) else None
