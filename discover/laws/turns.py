"""Bodies that are turned by other functions than sine and cosine.

Somebody who derives a robot's dynamics for small angles, or a network that has no sine, turns
bodies by polynomials. The recursions are the same; every sine and cosine in them is another
function of the angle. Since these need not lie on a circle, the way in which the mass matrix is
computed makes a difference: column by column through inverse dynamics, or by composite bodies
(Featherstone 2008, sections 6.1 and 6.2).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
import torch
from torch import Tensor

import kinematics
from discover.laws.expressions import parse_expression
from discover.laws.robot_key import RobotKey
from discover.laws.terms import whole_numbers
from kinematics import Robot
from kinematics.programs import Graph, Program, evaluate, make_program, trace

ANGLE = sympy.Symbol("q", real=True)


@dataclass(frozen=True)
class Turns:
    """What stands for sin q and cos q, in the symbol q; `composites`: how H is computed."""

    sine: sympy.Expr
    cosine: sympy.Expr
    composites: bool = False

    @property
    def functions(self) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
        """Over numpy arrays, by the name of what they replace."""
        return _compiled(self.sine, self.cosine)

    @property
    def equations(self) -> list[sympy.Eq]:
        """As two equations."""
        sides = (("sin_of_law", self.sine), ("cos_of_law", self.cosine))
        return [sympy.Eq(sympy.Symbol(name), x, evaluate=False) for name, x in sides]

    @property
    def in_words(self) -> str:
        """In one line."""
        sine, cosine = (sympy.sstr(x.evalf(4)) for x in (self.sine, self.cosine))
        way = "composite bodies" if self.composites else "columns of inverse dynamics"
        return f"for sin q: {sine}, for cos q: {cosine}; mass matrix by {way}"

    @property
    def symbol_count(self) -> int:
        """Symbols and operations."""
        parts = (self.sine, self.cosine)
        return sum(sum(1 for _ in sympy.preorder_traversal(x)) for x in parts)

    @property
    def number_count(self) -> int:
        """Fitted numbers."""
        return len(self.sine.atoms(sympy.Float) | self.cosine.atoms(sympy.Float))

    def written(self, expression: Any) -> Any:
        """An expression with what stands for sines and cosines put in."""
        return expression.replace(sympy.sin, lambda x: self.sine.subs(ANGLE, x)).replace(
            sympy.cos, lambda x: self.cosine.subs(ANGLE, x)
        )

    def to_dict(self) -> dict:
        """JSON-able form."""
        sides = (("sine", self.sine), ("cosine", self.cosine))
        told = {name: sympy.sstr(whole_numbers(x), full_prec=True) for name, x in sides}
        return {**told, "composites": self.composites}

    @classmethod
    def from_dict(cls, record: dict) -> Turns:
        """Read back by a closed grammar, never executed."""
        sine, cosine = (parse_expression(record[k], {"q": ANGLE}) for k in ("sine", "cosine"))
        return cls(sine, cosine, record["composites"])


@functools.lru_cache(maxsize=64)
def _compiled(sine: sympy.Expr, cosine: sympy.Expr) -> dict[str, Callable]:
    both = sympy.lambdify([ANGLE], [sine + 0 * ANGLE, cosine], modules="numpy")
    return {"sin": lambda x: both(x)[0], "cos": lambda x: both(x)[1] + 0 * x}


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


def columns(robot: Robot, turns: Turns, basis: Tensor, q: Tensor, v: Tensor) -> Columns:
    """Of bodies that are turned so. Hinges only; joint terms of `robot` are left out."""
    regressor, composites = _programs(RobotKey(robot))
    nv, B, at_q = robot.nv, basis.numpy(), q.detach().numpy()

    def at(v: np.ndarray, a: np.ndarray) -> np.ndarray:
        return evaluate(regressor, at_q, v, a, functions=turns.functions) @ B

    zero = np.zeros(at_q.shape)
    rest = at(zero, zero)
    if turns.composites:
        own = [evaluate(composites, at_q, column, functions=turns.functions) for column in B.T]
        inertia = np.stack(own, -1)
    else:
        inertia = np.stack([at(zero, zero + e) - rest for e in np.eye(nv)], -2)
    parts = (rest, at(v.detach().numpy(), zero), inertia)
    return Columns(*(torch.from_numpy(np.ascontiguousarray(x)) for x in parts))


def identifiable(robot: Robot, turns: Turns) -> Tensor:
    """Orthonormal columns that span what torques can show of bodies turned so: (10 nb, rank)."""
    return _identifiable(RobotKey(robot), turns)


@functools.lru_cache(maxsize=256)
def _identifiable(key: RobotKey, turns: Turns) -> Tensor:
    robot, generator = key.robot, torch.Generator().manual_seed(0)
    n = max(40, 40 * robot.nb // robot.nv)
    q, v, a = (torch.randn(n, robot.nv, generator=generator, dtype=torch.float64) for _ in "qva")
    made = columns(robot, turns, torch.eye(10 * robot.nb, dtype=torch.float64), q, v)
    Y = made.bias + torch.einsum("nijp,nj->nip", made.inertia, 3.0 * a)
    Y = Y.flatten(0, 1)
    _, s, Vh = torch.linalg.svd(Y / Y.square().mean().sqrt(), full_matrices=False)
    return Vh[: int((s > _RANK * s[0]).sum())].T.contiguous()


_RANK = 1e-9


@functools.lru_cache(maxsize=16)
def _programs(key: RobotKey) -> tuple[Program, Program]:
    """(the regressor of (q, v, a), the mass matrix of (q, pi)) as straight lines."""
    robot, graph = key.robot, Graph()
    still = torch.zeros_like(robot.armature)
    robot = robot.replace(armature=still, damping=still, friction=still, stiffness=still)
    ports = {name: graph.inputs(name, robot.nv) for name in ("q", "v", "a")}
    regressor = kinematics.regressor(robot, *ports.values())
    return (
        make_program("regressor", graph, ports, regressor),
        trace(robot, "crba", symbolic_parameters=True),
    )
