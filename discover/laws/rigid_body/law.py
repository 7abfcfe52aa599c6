"""The law of rigid bodies on a tree, with or without extensions.

H(q) a + bias(q, v) + Σ terms(q, v, a, tau) = tau
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sympy
import torch
from sympy.printing.str import StrPrinter
from torch import Tensor

import kinematics
from discover.errors import ModelError
from discover.judgement.thresholds import threshold
from discover.laws.contract import (
    ALPHABET_SIZE,
    EFFECTIVE_SAMPLES,
    Complexity,
    Domain,
    on_numbers,
    shortened,
)
from discover.laws.export import formulas, straight_line
from discover.laws.export.pass_program import PassProgram, passes
from discover.laws.expressions import parse_expression
from discover.laws.extensions import EXTENSIONS, LawExtension, extensions_from, of_kind, records_of
from discover.laws.extensions.io_nonlinearity import StaticNonlinearity
from discover.laws.extensions.memory import MemoryLaw, Query
from discover.laws.extensions.surrogate_trigonometry import SurrogateTrigonometry
from discover.laws.extensions.tabulated import Table
from discover.laws.extensions.terms import (
    Term,
    coordinates,
    joint_shapes,
    stated,
    without_joint_terms,
)
from discover.laws.near_ties import FrontLaw, NearTie
from discover.laws.parts import Part, find_part
from discover.laws.provenance import Provenance
from discover.laws.rigid_body import symbols
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import Fit
from discover.laws.rigid_body.portable import PortableLaw
from discover.laws.rigid_body.step_map import StepMap, scheme_named
from discover.laws.samples import Sample
from discover.laws.search.variables import Point, vocabulary
from kinematics import Robot
from kinematics.programs import CompiledProgram

_UNSEEN = threshold("fit.unseen_force")


@dataclass(frozen=True, kw_only=True, repr=False)
class RigidBodyLaw(PortableLaw):
    """Rigid bodies on a tree, their joint terms, and extensions.

    robot             the tree with the identified inertial parameters and joint terms
    extensions        what no robot description can state; empty for pure physics
    size              number of identified parameters
    domain            where the law describes the model it was taken from
    step_map          the step that the model takes, for models that answer with next states
    recursion         the recursion that was identified from the model's answers, as text
    pareto_front      laws of the search, from short to long, each better than all shorter ones
    parts             the parts of the law, each with its evidence; see `explain`
    near_ties         laws about as good, each with the query that would tell it from this one
    samples           the law beside answers, inside and far out, with the force of each term
    terms_lagrangian  what the terms add to the bodies' Lagrangian [J], where they have one
    smallest_force    [N·m | N] joint forces below it are no more than the fit's own error; formulas
                      leave them out
    provenance        the model and the examination that it comes from
    interface         the model behind whose interface `as_model` puts it; not stored
    """

    robot: Robot
    extensions: tuple[LawExtension, ...] = ()
    size: int
    domain: Domain | None = None
    step_map: StepMap | None = None
    recursion: str | None = None
    pareto_front: tuple[FrontLaw, ...] = ()
    parts: tuple[Part, ...] = ()
    near_ties: tuple[NearTie, ...] = ()
    samples: tuple[Sample, ...] = ()
    terms_lagrangian: sympy.Expr | None = None
    smallest_force: float = 0.0
    provenance: Provenance | None = None
    interface: Any = field(default=None, compare=False)

    @classmethod
    def from_fit(cls, fitted: Fit, pi: Tensor | None = None) -> RigidBodyLaw:
        """The law of a fit; `pi` (nb, 10) replaces its least-norm inertial parameters."""
        family = fitted.family
        k = family.basis.shape[1]
        robot = family.member(fitted.theta)
        if pi is not None:
            robot = robot.replace(pi=pi)
        coefficients = fitted.theta[k:].tolist()
        robot = stated(robot, family.terms, coefficients)
        beside = [
            term.with_coefficient(c)
            for term, c in zip(family.terms, coefficients, strict=True)
            if not term.physical
        ]
        inertia = kinematics.crba(robot, robot.neutral().to(torch.float64)).diagonal().abs()
        force = float((inertia * fitted.scale).max())
        share = max(formulas.ROUNDING, _UNSEEN * fitted.error)
        return cls(
            robot=robot,
            extensions=(*beside, *family.non_additive),
            size=family.size,
            smallest_force=share * force if math.isfinite(share * force) else 0.0,
            step_map=fitted.step,
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

        They are written in `law.symbols` and the symbols of `discover.laws.search.variables`;
        `points` and `tables` are those that they name (phi1 a SymPy function of that name). The
        inverse of reading `law.robot` and the `expression` of each of `law.extra`. Raises
        ValueError for symbols that no law has.
        """
        extra = symbols.terms_from_sympy(robot, terms, points, tables)
        return cls(robot=robot, extensions=extra, size=robot.pi.numel() + len(extra))

    # ---- its extensions ----------------------------------------------------------------------

    @property
    def extra(self) -> tuple[Term, ...]:
        """Its terms."""
        return of_kind(self.extensions, Term)

    @property
    def nonlinearities(self) -> tuple[StaticNonlinearity, ...]:
        """Static functions of the bodies' inputs and output."""
        return of_kind(self.extensions, StaticNonlinearity)

    @property
    def trigonometry(self) -> SurrogateTrigonometry | None:
        """What replaces sine and cosine in the bodies; None for sine and cosine."""
        return next(iter(of_kind(self.extensions, SurrogateTrigonometry)), None)

    @property
    def memory(self) -> MemoryLaw | None:
        """Its dependence on the query before; see `after`."""
        return next(iter(of_kind(self.extensions, MemoryLaw)), None)

    @property
    def non_additive(self) -> tuple[LawExtension, ...]:
        """The extensions that are no forces or accelerations beside those of the bodies."""
        return tuple(x for x in self.extensions if not x.additive)

    @property
    def family(self) -> str:  # type: ignore[override]
        """ "rigid body", followed by "+ " and the label of each kind of extension it has."""
        present = {type(x) for x in self.extensions}
        kinds = [kind for kind in EXTENSIONS if kind in present]
        return " + ".join(["rigid body", *(kind.label for kind in kinds)])

    def within(self, domain: Domain) -> RigidBodyLaw:
        """The same law with its domain stated."""
        return replace(self, domain=domain)

    # ---- as a Dynamics -----------------------------------------------------------------------

    @on_numbers
    def __call__(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        """Joint accelerations (…, nv) of anything that holds numbers; see `on_numbers`."""
        robot = self._robot_for(q.dtype, q.device)
        if tau.shape[-1:] != (robot.nv,):
            raise ModelError(
                f"tau: expected last axis {robot.nv}, joint forces of {robot.name}, found shape "
                f"{tuple(tau.shape)}; controls go to law.step, or through law.robot.actuation"
            )
        if not self.extensions_without_memory:
            H, b = kinematics.crba(robot, q), kinematics.bias(robot, q, v)
            return torch.linalg.solve_ex(H, (tau - b).unsqueeze(-1))[0].squeeze(-1)
        return self._family(robot).acceleration(self._coefficients.to(q), q, v, tau)

    def after(
        self,
        before: tuple[Tensor, Tensor, Tensor, Tensor],
        q: Tensor,
        v: Tensor,
        tau: Tensor,
    ) -> Tensor:
        """Accelerations (…, nv) where `before` = (q, v, tau, a) is the query before, answered a."""
        if self.memory is None:
            return self(q, v, tau)
        at = coordinates(self.robot)
        a = self(q, v, tau)
        previous = Query(q=before[0][..., at], v=before[1], tau=before[2], a=before[3])
        added = self.memory(previous, Query(q=q[..., at], v=v, tau=tau, a=a))
        return self(q, v, tau - added) if self.memory.is_force else a + added

    def _robot_for(self, dtype: torch.dtype, device: torch.device) -> Robot:
        """The robot in the query's dtype and device; kept, since preparing one takes long."""
        key = dtype, device
        if key not in self._prepared:
            self._prepared[key] = self.robot.to(dtype=dtype, device=device)
        return self._prepared[key]

    @functools.cached_property
    def _prepared(self) -> dict[tuple[torch.dtype, torch.device], Robot]:
        return {}

    def _family(self, robot: Robot) -> Family:
        """The family whose only basis column are the robot's own parameters.

        `Family.member` at coordinate 1 is `robot`.
        """
        return Family(
            robot=robot,
            basis=robot.pi.reshape(-1, 1),
            terms=self.extra,
            reference=without_joint_terms(robot),
            nonlinearities=tuple(
                x for x in self.non_additive if not isinstance(x, SurrogateTrigonometry)
            ),
            trigonometry=self.trigonometry,
        )

    @property
    def _coefficients(self) -> Tensor:
        return torch.tensor([1.0, *(t.coefficient for t in self.extra)], dtype=torch.float64)

    # ---- to be read --------------------------------------------------------------------------

    @functools.cached_property
    def _formulas(self) -> formulas.Formulas:
        return formulas.derive(self.robot, self.trigonometry, self.smallest_force)

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
        """Coriolis, centrifugal, gravity and joint forces at a = 0, (nv, 1) [N·m | N]."""
        return self._formulas.bias

    @property
    def potential(self) -> sympy.Expr:
        """Potential energy V(q) [J], springs included."""
        return self._formulas.potential

    @property
    def lagrangian(self) -> sympy.Expr:
        """½ vᵀ H v - V [J], with what `terms` add where the whole law has a Lagrangian.

        Where it has none, friction and `terms` are outside it. Symbols of points: `symbol_notes`.
        """
        bodies = self._formulas.lagrangian
        return bodies if self.terms_lagrangian is None else bodies + self.terms_lagrangian

    @property
    def terms(self) -> list[sympy.Basic]:
        """What is not rigid-body physics, as SymPy.

        Generalised forces on the left side, one a row of a term (and rows of the memory); then
        equations of inputs, outputs and surrogates, one an altered joint.
        """
        ordered = sorted(self.extensions, key=lambda x: not x.additive)
        return [equation for x in ordered for equation in x.equations]

    @property
    def symbol_notes(self) -> list[str]:
        """Sentences on symbols in `terms` that not every law has: points, queries before."""
        return [note for x in self.extensions for note in x.symbol_notes]

    @property
    def additive_forces(self) -> sympy.Matrix:
        """What joint terms and `extra` add on the left side, (nv, 1) [N·m | N]."""
        total = [sympy.Integer(0)] * self.robot.nv
        for j, shape in joint_shapes(self.robot):
            total[j] += shape
        for term in self.extra:
            total = [x + y for x, y in zip(total, term.expression, strict=True)]
        return sympy.Matrix(total)

    @property
    def formula(self) -> str:
        """The bodies and what is added to them in one line, numbers rounded."""
        added = [row for row in self.additive_forces if row != 0]
        text = " ; ".join(sympy.sstr(row.evalf(4)) for row in added)
        bodies = "bodies" + (f" + [{text}]" if added else "")
        return "; ".join([bodies, *(x.description for x in self.non_additive)])

    def explain(self, term: int | str | sympy.Expr) -> Part:
        """The evidence for one part: by its place in `parts`, its name, or its expression.

        Raises ValueError, one line, for a part that the law has not.
        """
        return find_part(self.parts, self.extra, term)

    @property
    def units(self) -> dict[str, str]:
        """The unit of every symbol by its name; see `discover.laws.rigid_body.symbols`."""
        return symbols.units_by_symbol(self.robot)

    @property
    def names(self) -> dict[sympy.Symbol, sympy.Symbol]:
        """Every symbol with a readable one: q2 as q_elbow, for `xreplace`."""
        return symbols.readable_symbols(self.robot)

    @property
    def program(self) -> PassProgram:
        """The structured program: the passes over the tree, as text that compiles."""
        text = self.recursion or passes(self.robot, self.extensions_without_memory)
        identified = self.recursion is not None
        return PassProgram(text, self.robot, self.extensions_without_memory, identified=identified)

    @functools.cached_property
    def complexity(self) -> Complexity:
        """Description length in bits at the fixed effective sample size, and operations."""
        nats = 0.5 * self.size * math.log(EFFECTIVE_SAMPLES)
        for x in self.extensions:
            nats += x.symbol_count * math.log(ALPHABET_SIZE)
            if not x.additive:  # coefficients of terms are counted by `size`
                nats += 0.5 * x.number_count * math.log(EFFECTIVE_SAMPLES)
        program = straight_line.program(self.robot, self.extensions_without_memory)
        return Complexity(bits=nats / math.log(2), operations=program.operations)

    def compile(self, dtype: str = "float64") -> CompiledProgram:
        """The law as a compiled program (q, v, tau) -> a on numpy arrays.

        Without its memory: for queries that follow themselves.
        """
        if self.recursion is not None and not self.extensions_without_memory:
            return self.program.compile(dtype)
        return straight_line.compile_law(self.robot, self.extensions_without_memory, dtype)

    # ---- to be kept --------------------------------------------------------------------------

    def to_dict(self) -> dict:
        """JSON-able form, exact; read back by `discover.laws.from_dict`."""
        lagrangian = self.terms_lagrangian
        return {
            "kind": "rigid body",
            "robot": self.robot.to_dict(),
            **records_of(self.extensions),
            "size": self.size,
            "domain": None if self.domain is None else self.domain.to_dict(),
            "integrator": self.integrator,
            "dt": self.dt,
            "substeps": self.substeps,
            "frame": None if self.step_map is None else self.step_map.frame,
            "step_turns": [] if self.step_map is None else [list(x) for x in self.step_map.turns],
            "searched": self.recursion,
            "front": [x.to_dict() for x in self.pareto_front],
            "account": [x.to_dict() for x in self.parts],
            "near": [x.to_dict() for x in self.near_ties],
            "samples": [x.to_dict() for x in self.samples],
            "smallest_force": self.smallest_force,
            "provenance": None if self.provenance is None else self.provenance.to_dict(),
            "beside": None if lagrangian is None else sympy.sstr(lagrangian, full_prec=True),
        }

    @classmethod
    def from_dict(cls, record: dict) -> RigidBodyLaw:
        """The inverse of `to_dict`. Raises KeyError for a record with a field missing."""
        domain = record["domain"]
        build = cls.from_dict
        return cls(
            robot=Robot.from_dict(record["robot"]),
            extensions=extensions_from(record),
            size=record["size"],
            domain=None if domain is None else Domain.from_dict(domain),
            step_map=_stored_step(record),
            recursion=record.get("searched"),
            pareto_front=tuple(FrontLaw.from_dict(x, build) for x in record.get("front", ())),
            parts=tuple(Part.from_dict(x) for x in record.get("account", ())),
            near_ties=tuple(NearTie.from_dict(x, build) for x in record.get("near", ())),
            samples=tuple(Sample.from_dict(x) for x in record.get("samples", ())),
            terms_lagrangian=_stored_lagrangian(record),
            smallest_force=record.get("smallest_force", 0.0),
            provenance=_stored_provenance(record),
        )

    def __repr__(self) -> str:
        """One line: robot, family, number of parameters, and what stands beside the bodies.

        Joint by joint what the joint force has to supply, joint terms and `terms` with their signs
        on the left side, as everywhere: friction is positive along the motion.
        """
        with_terms = {i for t in self.extra for i, row in enumerate(t.shape) if row != 0}
        rows = [(i, row) for i, row in enumerate(self.additive_forces) if row != 0]
        rows.sort(key=lambda r: r[0] not in with_terms)  # before those a description can state
        beside = [f"tau{i + 1} = bodies {_BarPrinter().added(row.evalf(3))}" for i, row in rows]
        beside += [x.description for x in self.extensions if not isinstance(x, Term)]
        content = f"{self.robot.name!r}, {self.family}, {self.size} parameters"
        return shortened("RigidBodyLaw", content + (f": {'; '.join(beside)}" if beside else ""))

    def _repr_markdown_(self) -> str:
        lines = [f"**{self.family}** on *{self.robot.name}*, {self.complexity}"]
        if self.domain is not None:
            reach = ", ".join(
                f"{axis} {'≥ ' if axis in self.domain.at_least else ''}{r:.2g}×"
                for axis, r in self.domain.reach.items()
            )
            lines.append(f"holds to {self.domain.tolerance:.0%} out to {reach} half-widths")
        if formulas.has_flat_formulas(self.robot):
            lines.append(f"$$H = {sympy.latex(self.mass_matrix.evalf(5))}$$")
            lines.append(f"$$V = {sympy.latex(self.potential.evalf(5))}$$")
        lines += [f"$${sympy.latex(x.evalf(5))}$$" for x in self.terms]
        return "\n\n".join(lines)


class _BarPrinter(StrPrinter):
    """SymPy's text with |x| for absolute values."""

    def added(self, expr: sympy.Expr) -> str:
        """An expression as it goes on after another one: "+ x" or "- x"."""
        text = self.doprint(expr)
        return f"- {text[1:]}" if text.startswith("-") else f"+ {text}"

    def _print_Abs(self, expr: sympy.Expr) -> str:
        return f"|{self._print(expr.args[0])}|"


def _stored_provenance(record: dict) -> Provenance | None:
    origin = record.get("provenance")
    return None if origin is None else Provenance.from_dict(origin)


def _stored_step(record: dict) -> StepMap | None:
    """The step of a stored law; laws of before sub-steps were known had one."""
    if record["integrator"] is None or record["dt"] is None:
        return None
    scheme = scheme_named(record["integrator"])
    assert scheme is not None
    return StepMap(
        scheme=scheme,
        dt=record["dt"],
        substeps=record.get("substeps") or 1,
        frame=record.get("frame") or "body",
        turns=tuple((int(k), float(start)) for k, start in record.get("step_turns", ())),
    )


def _stored_lagrangian(record: dict) -> sympy.Expr | None:
    """The stored Lagrangian of the terms, in the law's symbols; parsed, never executed."""
    text = record.get("beside")
    if text is None:
        return None
    points = max((len(t.get("points", ())) for t in record["extra"]), default=0)
    return parse_expression(text, vocabulary(Robot.from_dict(record["robot"]).nv, points))
