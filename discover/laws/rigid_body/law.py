"""The law of rigid bodies, with or without terms beside them.

H(q) a + bias(q, v) + Σ terms(q, v, a, tau) = tau
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import sympy
import torch
from torch import Tensor

import kinematics
from discover.laws.contract import Complexity, Domain, Law
from discover.laws.export import formulas, straight_line
from discover.laws.export.pass_program import PassProgram
from discover.laws.extensions.io_nonlinearity import StaticNonlinearity
from discover.laws.extensions.memory import MemoryLaw, Question
from discover.laws.extensions.surrogate_trigonometry import SurrogateTrigonometry
from discover.laws.extensions.tabulated import Table
from discover.laws.extensions.terms import Term, coordinates, joint_shapes
from discover.laws.near_ties import Member, Near
from discover.laws.parts import Part, find_part
from discover.laws.rigid_body import symbols as units
from discover.laws.rigid_body.family import Family, without_joint_terms
from discover.laws.rigid_body.fit import Fit
from discover.laws.rigid_body.serialization import describe, fields_of
from discover.laws.rigid_body.symbols import written_by_hand
from discover.laws.samples import Sample
from discover.laws.search.selection import ALPHABET_SIZE, EFFECTIVE_SAMPLES
from discover.laws.search.variables import Point
from kinematics import Robot


@dataclass(frozen=True, kw_only=True, repr=False)
class RigidBodyLaw(Law):
    """Rigid bodies on a tree, their joint terms, and whatever else the model showed.

    robot         the tree with the identified inertial parameters and joint terms
    extra         terms that no robot description can state; empty for pure physics
    channels      what bodies and terms are asked through, and answer through; mostly none
    turns         what bodies turn by in place of sine and cosine; None where by these
    size          number of identified parameters
    domain        where the law describes the model it was taken from
    integrator    the step that the model takes, for models that answer with next states
    searched      the recursion that was found in the model's own answers, as text, where sought
    front         the laws that were tried, from short to long, each better than all shorter ones
    account       the parts of the law, each with its evidence; see `explain`
    near          laws about as good, each with the question that would tell it from this one
    samples       the law beside answers, inside and far out, with the force of each term
    beside        what `extra` adds to the bodies' Lagrangian [J], where the whole law has one that
                  was fitted
    memory        what the question before adds, for a model that remembers it; see `after`
    """

    robot: Robot
    extra: tuple[Term, ...] = ()
    nonlinearities: tuple[StaticNonlinearity, ...] = ()
    trigonometry: SurrogateTrigonometry | None = None
    size: int
    domain: Domain | None = None
    integrator: str | None = None
    dt: float | None = None
    searched: str | None = None
    front: tuple[Member, ...] = ()
    account: tuple[Part, ...] = ()
    near: tuple[Near, ...] = ()
    samples: tuple[Sample, ...] = ()
    beside: sympy.Expr | None = None
    memory: MemoryLaw | None = None

    @classmethod
    def from_fit(cls, fitted: Fit, pi: Tensor | None = None) -> RigidBodyLaw:
        """The law that a fit found; `pi` (nb, 10) replaces its least-norm inertial parameters."""
        family = fitted.family
        k = family.basis.shape[1]
        robot = family.member(fitted.theta)
        if pi is not None:
            robot = robot.replace(pi=pi)
        extra: list[Term] = []
        for term, c in zip(family.terms, fitted.theta[k:].tolist(), strict=True):
            if term.joint_term is not None:
                values = getattr(robot, term.joint_term).clone()
                values[term.joint] += c
                robot = robot.replace(**{term.joint_term: values})
            else:
                extra.append(term.with_coefficient(c))
        return cls(
            robot=robot,
            extra=tuple(extra),
            nonlinearities=family.nonlinearities,
            trigonometry=family.trigonometry,
            size=family.size,
            integrator=fitted.integrator,
            dt=fitted.dt,
        )

    @classmethod
    def from_sympy(
        cls,
        robot: Robot,
        terms: Sequence[sympy.Matrix],
        points: Sequence[Point] = (),
        tables: Sequence[Table] = (),
    ) -> RigidBodyLaw:
        """The law of `robot` with forces beside it, each a column (nv, 1) on the left side.

        They are written in the symbols of `law.symbols` and the words of `laws.quantities`;
        `points` and `tables` are those that they name (phi1 a SymPy function of that name). The
        inverse of reading `law.robot` and the `expression` of each of `law.extra`. Raises
        ValueError for words that a law has not.
        """
        extra = written_by_hand(robot, terms, points, tables)
        return cls(robot=robot, extra=extra, size=robot.pi.numel() + len(extra))

    @property
    def family(self) -> str:  # type: ignore[override]
        """ "rigid body", with "+ terms", "+ channels", "+ turns", "+ memory" where it has them."""
        parts: dict[str, object] = {"terms": self.extra, "channels": self.nonlinearities}
        parts |= {"turns": self.trigonometry, "memory": self.memory}
        return " + ".join(["rigid body", *(name for name, has in parts.items() if has)])

    def within(self, domain: Domain) -> RigidBodyLaw:
        """The same law with its domain stated."""
        return replace(self, domain=domain)

    # ---- as a Dynamics -----------------------------------------------------------------------

    def __call__(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        """Joint accelerations (…, nv); numpy arrays are accepted."""
        q, v, tau = (torch.as_tensor(x) for x in (q, v, tau))
        robot = self._robot_for(q.dtype, q.device)
        if not self.extra and not self.nonlinearities and self.trigonometry is None:
            H, b = kinematics.crba(robot, q), kinematics.bias(robot, q, v)
            return torch.linalg.solve_ex(H, (tau - b).unsqueeze(-1))[0].squeeze(-1)
        family = replace(
            _single_family(robot, self.extra, self.nonlinearities), trigonometry=self.trigonometry
        )
        return family.acceleration(self._coefficients.to(q), q, v, tau)

    def after(
        self,
        before: tuple[Tensor, Tensor, Tensor, Tensor],
        q: Tensor,
        v: Tensor,
        tau: Tensor,
    ) -> Tensor:
        """Accelerations (…, nv) where `before` = (q, v, tau, a) was the question before."""
        if self.memory is None:
            return self(q, v, tau)
        at = coordinates(self.robot)
        a = self(q, v, tau)
        was = Question(q=before[0][..., at], v=before[1], tau=before[2], a=before[3])
        added = self.memory(was, Question(q=q[..., at], v=v, tau=tau, a=a))
        return self(q, v, tau - added) if self.memory.is_force else a + added

    def step(self, q: Tensor, v: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
        """The next state (q', v') as a model with this law and `integrator` would answer it."""
        if self.integrator is None or self.dt is None:
            raise ValueError("this law was taken from accelerations: use kinematics.simulate")
        family = _single_family(self.robot, self.extra, self.nonlinearities)
        coefficients = self._coefficients.to(q)
        rate, a = family.mean_rates(coefficients, q, v, tau, self.integrator, self.dt)
        return kinematics.integrate(self.robot, q, rate, self.dt), v + self.dt * a

    def _robot_for(self, dtype: torch.dtype, device: torch.device) -> Robot:
        """The robot where the question is; kept, since a new one must be prepared anew."""
        key = dtype, device
        if key not in self._prepared:
            self._prepared[key] = self.robot.to(dtype=dtype, device=device)
        return self._prepared[key]

    @functools.cached_property
    def _prepared(self) -> dict[tuple[torch.dtype, torch.device], Robot]:
        return {}

    @property
    def _coefficients(self) -> Tensor:
        return torch.tensor([1.0, *(t.coefficient for t in self.extra)], dtype=torch.float64)

    # ---- to be read --------------------------------------------------------------------------

    @functools.cached_property
    def _formulas(self) -> formulas.Formulas:
        return formulas.derive(self.robot, self.trigonometry)

    @property
    def symbols(self) -> dict[str, tuple[sympy.Symbol, ...]]:
        """The SymPy symbols of q, v, a and tau."""
        return self._formulas.symbols

    @property
    def intermediates(self) -> list[tuple[sympy.Symbol, sympy.Expr]]:
        """Definitions that the formulas share, in order; empty where flat forms are short."""
        return self._formulas.intermediates

    @property
    def mass_matrix(self) -> sympy.Matrix:
        """H(q), (nv, nv) [kg·m² | kg·m | kg]."""
        return self._formulas.mass_matrix

    @property
    def bias(self) -> sympy.Matrix:
        """Coriolis, centrifugal, gravity and joint forces at rest of a, (nv, 1) [N·m | N]."""
        return self._formulas.bias

    @property
    def potential(self) -> sympy.Expr:
        """Potential energy V(q) [J], springs included."""
        return self._formulas.potential

    @property
    def lagrangian(self) -> sympy.Expr:
        """½ vᵀ H v - V [J], with what `terms` add where the whole law has a Lagrangian.

        Where it has none, friction and `terms` are outside it. Points' words: `points_in_words`.
        """
        bodies = self._formulas.lagrangian
        return bodies if self.beside is None else bodies + self.beside

    @property
    def terms(self) -> list[sympy.Expr]:
        """What is not rigid-body physics: generalised forces on the left side, one a term, and
        equations for what the bodies feel and what is answered for them, one an altered joint."""
        rows = [sympy.Float(t.coefficient) * row for t in self.extra for row in t.shape]
        rows += self.memory.rows if self.memory else ()
        return [row for row in rows if row != 0] + [e for x in self.around for e in x.equations]

    @property
    def around(self) -> tuple[StaticNonlinearity | SurrogateTrigonometry, ...]:
        """What no force beside the bodies can say: channels and turns."""
        return (
            self.nonlinearities
            if self.trigonometry is None
            else (*self.nonlinearities, self.trigonometry)
        )

    @property
    def points_in_words(self) -> list[str]:
        """Where the points are that terms name: x1, dx1, jx1_2 … of each; what memory acts on."""
        told = []
        for term in self.extra:
            for r, point in enumerate(term.points, 1):
                words = f"in *{term.name}*, x{r}, y{r}, z{r} are the place of {point.in_words}"
                told.append(f"{words}; dx{r} … its velocity, jx{r}_1 … its Jacobian")
        return told + ([] if self.memory is None else [self.memory.in_words])

    @property
    def forces_beside_bodies(self) -> sympy.Matrix:
        """What joint terms and `extra` add on the left side, (nv, 1) [N·m | N]."""
        total = [sympy.Integer(0)] * self.robot.nv
        for j, shape in joint_shapes(self.robot):
            total[j] += shape
        for term in self.extra:
            total = [x + y for x, y in zip(total, term.expression, strict=True)]
        return sympy.Matrix(total)

    def explain(self, term: int | str | sympy.Expr) -> Part:
        """The evidence for one part: by its place in `account`, its name, or its expression.

        Raises ValueError, one line, for a part that the law has not.
        """
        return find_part(self.account, self.extra, term)

    @property
    def units(self) -> dict[str, str]:
        """The unit of every symbol by its name; see `discover.laws.rigid_body.symbols`."""
        return units.of_symbols(self.robot)

    @property
    def names(self) -> dict[sympy.Symbol, sympy.Symbol]:
        """Every symbol with a readable one: q2 as q_elbow, for `xreplace`."""
        return units.readable(self.robot)

    @property
    def program(self) -> PassProgram:
        """The structured program: the passes over the tree, as text that compiles."""
        told = self.searched or formulas.passes(
            self.robot, self.extra, self.nonlinearities, self.trigonometry
        )
        found = self.searched is not None
        return PassProgram(
            told, self.robot, self.extra, self.nonlinearities, self.trigonometry, found=found
        )

    @functools.cached_property
    def complexity(self) -> Complexity:
        """Description length in bits at the fixed effective sample size, and operations."""
        nats = 0.5 * self.size * math.log(EFFECTIVE_SAMPLES)
        nats += sum(t.symbol_count * math.log(ALPHABET_SIZE) for t in self.extra)
        nats += (self.memory.symbol_count if self.memory else 0) * math.log(ALPHABET_SIZE)
        for x in self.around:
            nats += x.symbol_count * math.log(ALPHABET_SIZE)
            nats += 0.5 * x.number_count * math.log(EFFECTIVE_SAMPLES)
        operations = straight_line.operations(
            self.robot, self.extra, self.nonlinearities, self.trigonometry
        )
        return Complexity(bits=nats / math.log(2), operations=operations)

    def export(self, target: str) -> str:
        """The law as text: "sympy", "python", "torch", "c" or "latex"; without its memory, so for
        questions that follow themselves."""
        return formulas.export(
            self.robot, self.extra, target, self.nonlinearities, self.trigonometry
        )

    def compile(self, dtype: str = "float64"):
        """The law as a compiled program (q, v, tau) -> a on numpy arrays; without its memory, so
        for questions that follow themselves."""
        plain = not self.extra and not self.nonlinearities and self.trigonometry is None
        if self.searched is not None and plain:
            return self.program.compile(dtype)
        return straight_line.compile_law(
            self.robot, self.extra, dtype, self.nonlinearities, self.trigonometry
        )

    # ---- to be kept --------------------------------------------------------------------------

    def to_dict(self) -> dict:
        """JSON-able form; read back by `discover.laws.from_dict`."""
        return describe(self)

    @classmethod
    def from_dict(cls, record: dict) -> RigidBodyLaw:
        """The inverse of `to_dict`."""
        return cls(**fields_of(record, cls.from_dict))

    def __repr__(self) -> str:
        beside = "".join(f"; {term.evalf(4)}" for term in self.terms)
        return (
            f"RigidBodyLaw({self.family} of {self.robot.name}, {self.robot.nv} velocities, "
            f"{self.size} parameters{beside})"
        )

    def _repr_markdown_(self) -> str:
        return formulas.markdown(self)


def _single_family(
    robot: Robot, terms: tuple[Term, ...], nonlinearities: tuple[StaticNonlinearity, ...] = ()
) -> Family:
    return Family(
        robot=robot,
        basis=_no_basis(robot),
        terms=terms,
        reference=without_joint_terms(robot),
        nonlinearities=nonlinearities,
    )


def _no_basis(robot: Robot) -> Tensor:
    """One column, the robot's own parameters: `Family.member` with coordinate 1 returns them."""
    return robot.pi.reshape(-1, 1).to(torch.float64)
