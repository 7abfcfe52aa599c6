"""Terms: generalised forces that a law may carry beside the inertia of its bodies.

A term adds `coefficient * shape` to the left side of  H a + bias + Σ terms = tau.  Its shape is a
SymPy vector in q1…, v1…, a1…, tau1… (one symbol a velocity coordinate, in the robot's order) and at
most linear in the accelerations. Terms that a robot description can state (armature, damping,
friction, a spring) are *physical*; the rest of the library belongs to alternative laws.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import sympy
import torch
from torch import Tensor

from discover.laws.expressions import parse_expression, to_torch
from kinematics import Robot


def symbols(nv: int) -> dict[str, tuple[sympy.Symbol, ...]]:
    """The symbols that terms are written in: q, v, a, tau, each a tuple of nv real symbols."""
    return {
        group: tuple(sympy.Symbol(f"{group}{i + 1}", real=True) for i in range(nv))
        for group in ("q", "v", "a", "tau")
    }


@dataclass(frozen=True, kw_only=True)
class Term:
    """One generalised force, coefficient * shape.

    name         in words, such as "viscous damping, joint 2"
    shape        nv SymPy expressions, zero where the term does not act
    coefficient  [N·m or N, over the unit of the shape]
    joint_term   the field of Robot that states this term ("damping", …); None if none does
    """

    name: str
    shape: tuple[sympy.Expr, ...]
    coefficient: float = 1.0
    joint_term: str | None = None

    @property
    def physical(self) -> bool:
        """Whether a robot description could state this term."""
        return self.joint_term is not None

    @property
    def joint(self) -> int:
        """The first coordinate on which the term acts."""
        return next(i for i, row in enumerate(self.shape) if row != 0)

    @property
    def expression(self) -> sympy.Matrix:
        """The force as a column of SymPy expressions, coefficient included."""
        return sympy.Matrix([sympy.Float(self.coefficient) * row for row in self.shape])

    @property
    def symbol_count(self) -> int:
        """Symbols and operations in the shape: what writing it down costs."""
        return sum(1 for row in self.shape if row != 0 for _ in sympy.preorder_traversal(row))

    def with_coefficient(self, coefficient: float) -> Term:
        """The same shape with another coefficient."""
        return replace(self, coefficient=float(coefficient))

    def to_dict(self) -> dict:
        """JSON-able form."""
        return {
            "name": self.name,
            "shape": [sympy.sstr(row) for row in self.shape],
            "coefficient": self.coefficient,
            "joint_term": self.joint_term,
        }

    @classmethod
    def from_dict(cls, record: dict) -> Term:
        """Read back; expressions are parsed by a closed grammar and never executed."""
        nv = len(record["shape"])
        names = {s.name: s for group in symbols(nv).values() for s in group}
        return cls(
            name=record["name"],
            shape=tuple(parse_expression(text, names) for text in record["shape"]),
            coefficient=record["coefficient"],
            joint_term=record["joint_term"],
        )


def forces(
    terms: Sequence[Term], q: Tensor, v: Tensor, a: Tensor, tau: Tensor, coordinates: Tensor
) -> Tensor:
    """The columns of all terms, coefficient left out: (n, nv, number of terms).

    q (n, nq); `coordinates` (nv,) says which entry of q belongs to each velocity coordinate.
    """
    columns = torch.zeros(*v.shape, len(terms), dtype=v.dtype, device=v.device)
    if terms:
        rows = _compiled(tuple(t.shape for t in terms))
        for index, row, values in rows(q[..., coordinates], v, a, tau):
            columns[..., row, index] = values
    return columns


@functools.lru_cache(maxsize=64)
def _compiled(shapes: tuple[tuple[sympy.Expr, ...], ...]) -> Callable:
    """One torch function for all rows that are not zero, with shared subexpressions."""
    nv = len(shapes[0])
    places = [(k, j) for k, shape in enumerate(shapes) for j in range(nv) if shape[j] != 0]
    groups = symbols(nv)
    arguments = [s for name in ("q", "v", "a", "tau") for s in groups[name]]
    function = to_torch([shapes[k][j] for k, j in places], arguments)

    def evaluate(q: Tensor, v: Tensor, a: Tensor, tau: Tensor):
        values = function(*(x[..., i] for x in (q, v, a, tau) for i in range(nv)))
        return ((k, j, value) for (k, j), value in zip(places, values, strict=True))

    return evaluate


def coordinates(robot: Robot) -> Tensor:
    """For each velocity coordinate, the entry of q that goes with it (nv,).

    For free and spherical joints there is none (a quaternion is no list of angles); there the
    entry is that of the joint's first coordinate and no term of the library uses it.
    """
    entries = []
    for name in robot.joint_names:
        q, v = robot.q_slice(name), robot.v_slice(name)
        width = v.stop - v.start
        entries += [q.start] * width if width > 1 else [q.start]
    return torch.tensor(entries)


def joint_terms(robot: Robot) -> list[Term]:
    """What a robot description can say of a joint beside its bodies' inertia.

    Armature a_j, viscous damping v_j, Coulomb friction tanh(v_j / friction_speed), a linear spring
    q_j, for every joint with one coordinate: physics only with coefficients that are not negative.
    """
    s = symbols(robot.nv)
    terms = []
    for j in _scalar_coordinates(robot):
        shapes = {
            "armature": s["a"][j],
            "damping": s["v"][j],
            "friction": sympy.tanh(s["v"][j] / sympy.Float(robot.friction_speed)),
            "stiffness": s["q"][j],
        }
        for field, shape in shapes.items():
            terms.append(_single(f"{field}, joint {j + 1}", j, shape, robot.nv, field))
    return terms


def library(robot: Robot) -> list[Term]:
    """Shapes that are *not* rigid bodies: drag powers, springs, altered inertia, couplings."""
    s = symbols(robot.nv)
    q, v, a, tau = (s[g] for g in ("q", "v", "a", "tau"))
    joints = _scalar_coordinates(robot)
    terms = []

    def add(name: str, j: int, shape: sympy.Expr) -> None:
        terms.append(_single(f"{name}, joint {j + 1}", j, shape, robot.nv, None))

    for j in joints:
        speed = sympy.Abs(v[j])
        add("quadratic drag", j, v[j] * speed)
        add("cubic drag", j, v[j] ** 3)
        add("drag of power 3/2", j, sympy.sign(v[j]) * speed ** sympy.Rational(3, 2))
        add("drag of power 1/2", j, sympy.sign(v[j]) * sympy.sqrt(speed))
        add("constant force", j, sympy.Integer(1))
        add("cubic spring", j, q[j] ** 3)
        add("quadratic spring", j, q[j] * sympy.Abs(q[j]))
        add("sine potential", j, sympy.sin(q[j]))
        add("cosine potential", j, sympy.cos(q[j]))
        add("double-angle sine potential", j, sympy.sin(2 * q[j]))
        add("double-angle cosine potential", j, sympy.cos(2 * q[j]))
        add("inertia growing with speed", j, a[j] * v[j] ** 2)
        add("inertia growing with |speed|", j, a[j] * speed)
        add("inertia growing with the coordinate", j, a[j] * q[j] ** 2)
        add("inertia with cos q", j, a[j] * sympy.cos(q[j]))
        add("force growing with itself", j, tau[j] ** 3)
        add("force growing with its size", j, tau[j] * sympy.Abs(tau[j]))
        add("force scaled by speed", j, tau[j] * v[j] ** 2)
        add("force scaled", j, tau[j])
        for i in joints:
            if i != j:
                add(f"force from the speed of joint {i + 1}", j, v[i])
                add(f"force from the position of joint {i + 1}", j, q[i])
                add(f"inertia shared with joint {i + 1}", j, a[i])
                add(f"force from tau of joint {i + 1}", j, tau[i])
                add(f"product of speeds with joint {i + 1}", j, v[i] * v[j])
                add(f"square of the speed of joint {i + 1}", j, v[i] ** 2)
    return terms


def _single(name: str, j: int, shape: sympy.Expr, nv: int, field: str | None) -> Term:
    rows = tuple(shape if i == j else sympy.Integer(0) for i in range(nv))
    return Term(name=name, shape=rows, joint_term=field)


def _scalar_coordinates(robot: Robot) -> list[int]:
    """Velocity coordinates of the joints that have exactly one."""
    slices = [robot.v_slice(name) for name in robot.joint_names]
    return [s.start for s in slices if s.stop - s.start == 1]
