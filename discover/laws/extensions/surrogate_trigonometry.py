"""Surrogate trigonometry: rigid-body dynamics with other functions for sine and cosine.

Dynamics derived for small angles, and networks without a sine, rotate bodies by polynomials. The
recursions are the same; every sine and cosine in them is another function of the angle. Since these
need not lie on a circle, the algorithm for the mass matrix makes a difference: column by column
through inverse dynamics, or by composite bodies (Featherstone 2008, sections 6.1 and 6.2).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
import torch
from torch import Tensor

import kinematics
from discover.judgement.thresholds import threshold
from discover.laws.expressions import parse_expression, to_torch
from discover.laws.extensions.contract import LawExtension
from discover.laws.extensions.tabulated import Table, write_out
from discover.laws.extensions.terms import RobotKey, whole_numbers, without_joint_terms
from kinematics import Robot
from kinematics.algorithms.crba import crba
from kinematics.algorithms.rnea import rnea
from kinematics.programs import Graph, Program, evaluate, make_program
from kinematics.robot.tree import PARAMETERS

ANGLE = sympy.Symbol("q", real=True)
PARTS = ("gravity", "velocity", "inertia")
_FLAT = threshold("fit.flat_beyond_edge")
_RANK = 1e-9  # singular values relative to the largest, below which they are rounding


@dataclass(frozen=True)
class SurrogateTrigonometry(LawExtension):
    """Replacements of sin q and cos q, in the symbol ANGLE.

    composites  whether H is computed by composite bodies; else by columns of inverse dynamics
    parts       the parts of the equations of motion with the replacements, of PARTS in their order
    tables      functions in the two that have no formula
    """

    label = "surrogate trigonometry"
    key = "turns"
    several = False

    sine: sympy.Expr
    cosine: sympy.Expr
    composites: bool = False
    parts: tuple[str, ...] = PARTS
    tables: tuple[Table, ...] = ()

    def at(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """The replacements of sin q and cos q, each of the shape of q."""
        sine, cosine = _compiled(self.sine, self.cosine, self.tables)(q)
        return sine, cosine

    def written_out(self) -> tuple[sympy.Expr, sympy.Expr]:
        """The two with tables written in elementary functions."""
        return write_out(self.sine, self.tables), write_out(self.cosine, self.tables)

    @property
    def equations(self) -> list[sympy.Basic]:
        """As two equations."""
        sides = (("sin_of_law", self.sine), ("cos_of_law", self.cosine))
        return [sympy.Eq(sympy.Symbol(name), x, evaluate=False) for name, x in sides]

    @property
    def description(self) -> str:
        """The replacements, where they act, and the algorithm for the mass matrix."""
        sine, cosine = (sympy.sstr(x.evalf(4)) for x in (self.sine, self.cosine))
        text = f"for sin q: {sine}, for cos q: {cosine}"
        if self.parts != PARTS:
            text += f", in {_PART_NAMES[self.parts]} alone"
        if "inertia" not in self.parts:
            return text
        algorithm = "composite bodies" if self.composites else "columns of inverse dynamics"
        return f"{text}; mass matrix by {algorithm}"

    @property
    def symbol_count(self) -> int:
        """Symbols and operations."""
        sides = (self.sine, self.cosine)
        symbols = sum(sum(1 for _ in sympy.preorder_traversal(x)) for x in sides)
        return symbols + (self.parts != PARTS)

    @property
    def number_count(self) -> int:
        """Fitted numbers."""
        floats = self.sine.atoms(sympy.Float) | self.cosine.atoms(sympy.Float)
        return len(floats) + sum(t.number_count for t in self.tables)

    def substituted(self, expression: Any) -> Any:
        """A SymPy expression with its sines and cosines replaced."""
        return expression.replace(sympy.sin, lambda x: self.sine.subs(ANGLE, x)).replace(
            sympy.cos, lambda x: self.cosine.subs(ANGLE, x)
        )

    def to_dict(self) -> dict:
        """JSON-able form."""
        sides = (("sine", self.sine), ("cosine", self.cosine))
        texts = {name: sympy.sstr(whole_numbers(x), full_prec=True) for name, x in sides}
        tables = [t.to_dict() for t in self.tables]
        return {
            **texts,
            "composites": self.composites,
            "parts": list(self.parts),
            "tables": tables,
        }

    @classmethod
    def from_dict(cls, record: dict) -> SurrogateTrigonometry:
        """Read back by a closed grammar, never executed."""
        tables = tuple(Table.from_dict(t) for t in record.get("tables", ()))
        known = {t.name: t.function for t in tables}
        sine, cosine = (
            parse_expression(record[k], {"q": ANGLE}, known) for k in ("sine", "cosine")
        )
        parts = tuple(record.get("parts", PARTS))
        return cls(sine, cosine, record["composites"], parts, tables)


_PART_NAMES = {
    ("gravity",): "gravity",
    ("velocity",): "the velocity forces",
    ("inertia",): "the mass matrix",
    ("gravity", "velocity"): "gravity and the velocity forces",
    ("gravity", "inertia"): "gravity and the mass matrix",
    ("velocity", "inertia"): "the mass matrix and the velocity forces",
}


@functools.lru_cache(maxsize=256)
def _compiled(
    sine: sympy.Expr, cosine: sympy.Expr, tables: tuple[Table, ...]
) -> Callable[[Tensor], list[Tensor]]:
    return to_torch([sine, cosine], [ANGLE], {t.name: t for t in tables})


class Angle:
    """An angle given by its sine and cosine: all that the recursions need of a revolute joint."""

    def __init__(self, sine: Any, cosine: Any):
        self._sine, self._cosine = sine, cosine

    def sin(self) -> Any:
        return self._sine

    def cos(self) -> Any:
        return self._cosine


@dataclass(frozen=True)
class Columns:
    """The bodies' part of H a + bias = tau, linear in the k columns of a basis (10 nb, k).

    rest (n, nv, k) at v = a = 0; bias (n, nv, k) at a = 0; inertia (n, nv, nv, k)
    """

    rest: Tensor
    bias: Tensor
    inertia: Tensor

    def of_parts(self, parts: Sequence[str]) -> Columns:
        """The columns with all parts but `parts` (of PARTS) set to zero."""
        rest = self.rest if "gravity" in parts else torch.zeros_like(self.rest)
        moving = self.bias - self.rest if "velocity" in parts else torch.zeros_like(rest)
        inertia = self.inertia if "inertia" in parts else torch.zeros_like(self.inertia)
        return Columns(rest=rest, bias=rest + moving, inertia=inertia)

    def with_parts(self, parts: Sequence[str], other: Columns) -> Columns:
        """The columns with `parts` taken from `other`."""
        kept = self.of_parts([part for part in PARTS if part not in parts])
        new = other.of_parts(parts)
        return Columns(kept.rest + new.rest, kept.bias + new.bias, kept.inertia + new.inertia)


def columns(
    robot: Robot, trigonometry: SurrogateTrigonometry, basis: Tensor, q: Tensor, v: Tensor
) -> Columns:
    """Columns of the bodies at q, v (n, nv) for a basis (10 nb, k) of inertial parameters.

    Revolute joints only; joint terms of `robot` are left out.
    """
    replaced = columns_at(robot, *trigonometry.at(q), v, basis, trigonometry.composites)
    if trigonometry.parts == PARTS:
        return replaced
    plain = columns_at(robot, q.sin(), q.cos(), v, basis, composites=False)
    return plain.with_parts(trigonometry.parts, replaced)


def columns_at(
    robot: Robot, sine: Tensor, cosine: Tensor, v: Tensor, basis: Tensor, composites: bool
) -> Columns:
    """Columns of bodies whose angles have this sine and cosine, each (n, nv), in all parts."""
    key, B = RobotKey(robot), basis.detach().numpy()
    sides = [x.detach().numpy() for x in (sine, cosine)]
    zero, moving, units = np.zeros(v.shape), v.detach().numpy(), np.eye(robot.nv)
    # All states in one run of the program: interpreting it takes longer than the arithmetic.
    states = [(zero, zero), (moving, zero)]
    states += [(zero, zero + e) for e in units if not composites]
    rest, bias, *inertia = (
        evaluate(_regressor(key), *sides, *(np.stack(x) for x in zip(*states, strict=True))) @ B
    )
    if composites:
        matrices = [evaluate(_mass_matrix(key), *sides, column) for column in B.T]
        inertia = np.stack(matrices, -1) if matrices else np.zeros((*v.shape, robot.nv, 0))
        parts = (rest, bias, inertia)
    else:
        parts = (rest, bias, np.stack([column - rest for column in inertia], -2))
    return Columns(*(torch.from_numpy(np.ascontiguousarray(x)) for x in parts))


def left_side(
    robot: Robot,
    sine_cosine: tuple[Tensor, Tensor],
    v: Tensor,
    a: Tensor,
    pi: Tensor,
    parts: Sequence[str],
    composites: bool,
) -> Tensor:
    """The share of `parts` in the joint forces (…, nv) of bodies with parameters pi (10 nb,).

    sine_cosine: of the angles, each (…, nv).
    """
    key, bodies = RobotKey(robot), pi.numpy()
    sides = [x.numpy() for x in sine_cosine]
    still, moving, faster = np.zeros_like(v.numpy()), v.numpy(), a.numpy()

    states = [(still, still)]
    if "velocity" in parts:
        states.append((moving, still))
    if "inertia" in parts and not composites:
        states.append((still, faster))
    both = (np.stack(x) for x in zip(*states, strict=True))
    rest, *more = evaluate(_inverse_dynamics(key), *sides, *both, bodies)
    total = sum((x - rest for x in more), rest if "gravity" in parts else np.zeros_like(rest))
    if "inertia" in parts and composites:
        H = evaluate(_mass_matrix(key), *sides, bodies)
        total = total + (H @ faster[..., None])[..., 0]
    return torch.from_numpy(total)


def ends_at_edge(trigonometry: SurrogateTrigonometry, q: Tensor) -> bool:
    """Whether the replacements become flat where the angles q (n, nv) of the region end.

    That is what a lookup table over the region does.
    """
    middle, width = 0.5 * (q.amax(0) + q.amin(0)), 0.5 * (q.amax(0) - q.amin(0))
    for sign in (1.0, -1.0):
        before, edge, beyond = (
            torch.stack(trigonometry.at(middle + sign * s * width)) for s in (0.5, 1.0, 1.5)
        )
        inside, outside = (edge - before).norm(dim=0), (beyond - edge).norm(dim=0)
        if bool((outside < _FLAT * inside).any()):
            return True
    return False


def identifiable(robot: Robot, trigonometry: SurrogateTrigonometry) -> Tensor:
    """Orthonormal columns that span the inertial parameters torques can show: (10 nb, rank).

    As `identifiable_basis`, for bodies with surrogate trigonometry.
    """
    return _identifiable(RobotKey(robot), trigonometry)


@functools.lru_cache(maxsize=256)
def _identifiable(key: RobotKey, trigonometry: SurrogateTrigonometry) -> Tensor:
    robot, generator = key.robot, torch.Generator().manual_seed(0)
    n = max(40, 40 * robot.nb // robot.nv)
    q, v, a = (torch.randn(n, robot.nv, generator=generator, dtype=torch.float64) for _ in "qva")
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        made = columns(robot, trigonometry, torch.eye(10 * robot.nb, dtype=torch.float64), q, v)
    Y = made.bias + torch.einsum("nijp,nj->nip", made.inertia, 3.0 * a)
    Y = torch.nan_to_num(Y, posinf=0.0, neginf=0.0).flatten(0, 1)  # where they are defined
    # A formula found near rest may grow without bounds away from it: large rows count no more than
    # others, and those of rounding alone remain small.
    size = Y.abs().amax(-1, keepdim=True)
    size = torch.maximum(size, size.median()).clamp_min(1e-300)
    _, s, Vh = torch.linalg.svd(Y / size, full_matrices=False)
    return Vh[: int((s > _RANK * s[0]).sum())].T.contiguous()


def _angle_inputs(robot: Robot, graph: Graph) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Input nodes for the sines and cosines, and the angles that they make."""
    ports = {name: graph.inputs(name, robot.nv) for name in ("s", "c")}
    angles = np.empty(robot.nv, dtype=object)
    for j, (sine, cosine) in enumerate(zip(ports["s"], ports["c"], strict=True)):
        angles[j] = Angle(sine, cosine)
    return ports, angles


@functools.lru_cache(maxsize=16)
def _regressor(key: RobotKey) -> Program:
    """Of (s, c, v, a), without joint terms."""
    robot, graph = without_joint_terms(key.robot), Graph()
    ports, angles = _angle_inputs(robot, graph)
    ports |= {name: graph.inputs(name, robot.nv) for name in ("v", "a")}
    regressor = kinematics.regressor(robot, angles, ports["v"], ports["a"])
    return make_program("regressor", graph, ports, regressor)


@functools.lru_cache(maxsize=16)
def _mass_matrix(key: RobotKey) -> Program:
    """By composite bodies, of (s, c, pi)."""
    robot, graph = without_joint_terms(key.robot), Graph()
    ports, angles = _angle_inputs(robot, graph)
    ports["pi"] = _parameters(robot, graph)
    H = crba(robot.replace(pi=ports["pi"].reshape(-1, 10)), angles)
    return make_program("crba", graph, ports, H)


@functools.lru_cache(maxsize=16)
def _inverse_dynamics(key: RobotKey) -> Program:
    """Joint forces of (s, c, v, a, pi), without joint terms."""
    robot, graph = without_joint_terms(key.robot), Graph()
    ports, angles = _angle_inputs(robot, graph)
    ports |= {name: graph.inputs(name, robot.nv) for name in ("v", "a")}
    ports["pi"] = _parameters(robot, graph)
    bodies = robot.replace(pi=ports["pi"].reshape(-1, 10))
    return make_program("rnea", graph, ports, rnea(bodies, angles, ports["v"], ports["a"]))


def _parameters(robot: Robot, graph: Graph) -> np.ndarray:
    names = [f"{name}{body + 1}" for body in range(robot.nb) for name in PARAMETERS]
    return np.array([graph.input(name) for name in names], dtype=object)
