"""Bodies that are turned by other functions than sine and cosine.

Somebody who derives a robot's dynamics for small angles, or a network that has no sine, turns
bodies by polynomials. The recursions are the same; every sine and cosine in them is another
function of the angle. Since these need not lie on a circle, the way in which the mass matrix is
computed makes a difference: column by column through inverse dynamics, or by composite bodies
(Featherstone 2008, sections 6.1 and 6.2).
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
from discover.laws.expressions import parse_expression, to_torch
from discover.laws.extensions.tabulated import Table, write_out
from discover.laws.extensions.terms import RobotKey, whole_numbers
from kinematics import Robot
from kinematics.algorithms.crba import crba
from kinematics.algorithms.rnea import rnea
from kinematics.programs import Graph, Program, evaluate, make_program
from kinematics.robot.tree import PARAMETERS

ANGLE = sympy.Symbol("q", real=True)
PARTS = ("gravity", "velocity", "inertia")


@dataclass(frozen=True)
class SurrogateTrigonometry:
    """What stands for sin q and cos q, in the symbol q.

    composites  how H is computed
    parts       those of the equations of motion in which it does, of PARTS in their order
    tables      functions in the two that have no formula
    """

    sine: sympy.Expr
    cosine: sympy.Expr
    composites: bool = False
    parts: tuple[str, ...] = PARTS
    tables: tuple[Table, ...] = ()

    def at(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """What stands for sin q and cos q, each of the shape of q."""
        sine, cosine = _compiled(self.sine, self.cosine, self.tables)(q)
        return sine, cosine

    def written_out(self) -> tuple[sympy.Expr, sympy.Expr]:
        """The two with tables written in elementary functions."""
        return write_out(self.sine, self.tables), write_out(self.cosine, self.tables)

    @property
    def equations(self) -> list[sympy.Eq]:
        """As two equations."""
        sides = (("sin_of_law", self.sine), ("cos_of_law", self.cosine))
        return [sympy.Eq(sympy.Symbol(name), x, evaluate=False) for name, x in sides]

    @property
    def in_words(self) -> str:
        """In one line."""
        sine, cosine = (sympy.sstr(x.evalf(4)) for x in (self.sine, self.cosine))
        told = f"for sin q: {sine}, for cos q: {cosine}"
        if self.parts != PARTS:
            told += f", in {_PARTS_IN_WORDS[self.parts]} alone"
        if "inertia" not in self.parts:
            return told
        way = "composite bodies" if self.composites else "columns of inverse dynamics"
        return f"{told}; mass matrix by {way}"

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
        return len(floats) + sum(len(t.z) for t in self.tables)

    def written(self, expression: Any) -> Any:
        """An expression with what stands for sines and cosines put in."""
        return expression.replace(sympy.sin, lambda x: self.sine.subs(ANGLE, x)).replace(
            sympy.cos, lambda x: self.cosine.subs(ANGLE, x)
        )

    def to_dict(self) -> dict:
        """JSON-able form."""
        sides = (("sine", self.sine), ("cosine", self.cosine))
        told = {name: sympy.sstr(whole_numbers(x), full_prec=True) for name, x in sides}
        tables = [t.to_dict() for t in self.tables]
        how = {"composites": self.composites, "parts": list(self.parts), "tables": tables}
        return {**told, **how}

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


_PARTS_IN_WORDS = {
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
    """An angle by what stands for its sine and cosine: all that the recursions ask of a hinge."""

    def __init__(self, sine: Any, cosine: Any):
        self._sine, self._cosine = sine, cosine

    def sin(self) -> Any:
        return self._sine

    def cos(self) -> Any:
        return self._cosine


@dataclass(frozen=True)
class Columns:
    """The bodies' part of the left side, linear in what `basis` (10 nb, k) spans.

    rest (n, nv, k) at v = a = 0; bias (n, nv, k) at a = 0; inertia (n, nv, nv, k)
    """

    rest: Tensor
    bias: Tensor
    inertia: Tensor

    def of_parts(self, parts: Sequence[str]) -> Columns:
        """These parts alone, the others zero."""
        rest = self.rest if "gravity" in parts else torch.zeros_like(self.rest)
        moving = self.bias - self.rest if "velocity" in parts else torch.zeros_like(rest)
        inertia = self.inertia if "inertia" in parts else torch.zeros_like(self.inertia)
        return Columns(rest=rest, bias=rest + moving, inertia=inertia)

    def with_parts(self, parts: Sequence[str], other: Columns) -> Columns:
        """These with the `parts` of others in place of their own."""
        own = self.of_parts([part for part in PARTS if part not in parts])
        new = other.of_parts(parts)
        return Columns(own.rest + new.rest, own.bias + new.bias, own.inertia + new.inertia)


def columns(
    robot: Robot, trigonometry: SurrogateTrigonometry, basis: Tensor, q: Tensor, v: Tensor
) -> Columns:
    """Of bodies that are turned so. Hinges only; joint terms of `robot` are left out."""
    turned = columns_at(robot, *trigonometry.at(q), v, basis, trigonometry.composites)
    if trigonometry.parts == PARTS:
        return turned
    plain = columns_at(robot, q.sin(), q.cos(), v, basis, composites=False)
    return plain.with_parts(trigonometry.parts, turned)


def columns_at(
    robot: Robot, sine: Tensor, cosine: Tensor, v: Tensor, basis: Tensor, composites: bool
) -> Columns:
    """Of bodies whose angles have these for sine and cosine, each (n, nv), in all parts."""
    key, B = RobotKey(robot), basis.detach().numpy()
    turned = [x.detach().numpy() for x in (sine, cosine)]
    zero, moving, units = np.zeros(v.shape), v.detach().numpy(), np.eye(robot.nv)
    # All that is asked of one program at once: reading it takes longer than the numbers do.
    asked = [(zero, zero), (moving, zero)]
    asked += [(zero, zero + e) for e in units if not composites]
    rest, bias, *inertia = (
        evaluate(_regressor(key), *turned, *(np.stack(x) for x in zip(*asked, strict=True))) @ B
    )
    if composites:
        own = [evaluate(_mass_matrix(key), *turned, column) for column in B.T]
        inertia = np.stack(own, -1) if own else np.zeros((*v.shape, robot.nv, 0))
        parts = (rest, bias, inertia)
    else:
        parts = (rest, bias, np.stack([column - rest for column in inertia], -2))
    return Columns(*(torch.from_numpy(np.ascontiguousarray(x)) for x in parts))


def left_side(
    robot: Robot,
    turned: tuple[Tensor, Tensor],
    v: Tensor,
    a: Tensor,
    pi: Tensor,
    parts: Sequence[str],
    composites: bool,
) -> Tensor:
    """The share of `parts` in the joint forces (…, nv) of the bodies pi (10 nb,), turned so."""
    key, bodies = RobotKey(robot), pi.numpy()
    sides = [x.numpy() for x in turned]
    still, moving, faster = np.zeros_like(v.numpy()), v.numpy(), a.numpy()

    asked = [(still, still)]
    if "velocity" in parts:
        asked.append((moving, still))
    if "inertia" in parts and not composites:
        asked.append((still, faster))
    both = (np.stack(x) for x in zip(*asked, strict=True))
    rest, *more = evaluate(_inverse_dynamics(key), *sides, *both, bodies)
    total = sum((x - rest for x in more), rest if "gravity" in parts else np.zeros_like(rest))
    if "inertia" in parts and composites:
        H = evaluate(_mass_matrix(key), *sides, bodies)
        total = total + (H @ faster[..., None])[..., 0]
    return torch.from_numpy(total)


def ends_at_edge(trigonometry: SurrogateTrigonometry, q: Tensor) -> bool:
    """Whether what stands for sine and cosine stops changing where the angles q (n, nv) of the
    region end, as what is looked up among samples of the region does."""
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
    """Orthonormal columns that span what torques can show of bodies turned so: (10 nb, rank)."""
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


_RANK = 1e-9
_FLAT = 0.3  # of the change as far inside the edge, that beyond it


def _bodies(robot: Robot) -> Robot:
    still = torch.zeros_like(robot.armature)
    return robot.replace(armature=still, damping=still, friction=still, stiffness=still)


def _turned_inputs(robot: Robot, graph: Graph) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Input nodes of what stands for sine and cosine, and the angles that they make."""
    ports = {name: graph.inputs(name, robot.nv) for name in ("s", "c")}
    angles = np.empty(robot.nv, dtype=object)
    for j, (sine, cosine) in enumerate(zip(ports["s"], ports["c"], strict=True)):
        angles[j] = Angle(sine, cosine)
    return ports, angles


@functools.lru_cache(maxsize=16)
def _regressor(key: RobotKey) -> Program:
    """Of (s, c, v, a), without joint terms."""
    robot, graph = _bodies(key.robot), Graph()
    ports, angles = _turned_inputs(robot, graph)
    ports |= {name: graph.inputs(name, robot.nv) for name in ("v", "a")}
    regressor = kinematics.regressor(robot, angles, ports["v"], ports["a"])
    return make_program("regressor", graph, ports, regressor)


@functools.lru_cache(maxsize=16)
def _mass_matrix(key: RobotKey) -> Program:
    """By composite bodies, of (s, c, pi)."""
    robot, graph = _bodies(key.robot), Graph()
    ports, angles = _turned_inputs(robot, graph)
    ports["pi"] = _parameters(robot, graph)
    H = crba(robot.replace(pi=ports["pi"].reshape(-1, 10)), angles)
    return make_program("crba", graph, ports, H)


@functools.lru_cache(maxsize=16)
def _inverse_dynamics(key: RobotKey) -> Program:
    """Joint forces of (s, c, v, a, pi), without joint terms."""
    robot, graph = _bodies(key.robot), Graph()
    ports, angles = _turned_inputs(robot, graph)
    ports |= {name: graph.inputs(name, robot.nv) for name in ("v", "a")}
    ports["pi"] = _parameters(robot, graph)
    bodies = robot.replace(pi=ports["pi"].reshape(-1, 10))
    return make_program("rnea", graph, ports, rnea(bodies, angles, ports["v"], ports["a"]))


def _parameters(robot: Robot, graph: Graph) -> np.ndarray:
    names = [f"{name}{body + 1}" for body in range(robot.nb) for name in PARAMETERS]
    return np.array([graph.input(name) for name in names], dtype=object)
