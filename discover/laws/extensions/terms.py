"""Terms: generalised forces beside the bodies, linear in one coefficient each.

A term adds `coefficient * shape` to the left side of  H a + bias + Σ terms = tau.  Its shape is a
SymPy vector in q1…, v1…, a1…, tau1… (one symbol a velocity coordinate, in the robot's order) and in
the symbols of `discover.laws.search.variables`: momentum, energies, points on bodies. Terms that a
robot description can state (armature, damping, friction, a spring and where it is at rest) are
*physical*; the rest of the library belongs to alternative laws.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import sympy
import torch
from torch import Tensor

from discover.laws.expressions import parse_expression, to_torch
from discover.laws.extensions.contract import LawExtension
from discover.laws.extensions.tabulated import Table, write_out
from discover.laws.search.variables import (
    Frames,
    Mechanics,
    Point,
    frames_of,
    needs_mechanics,
    place_points,
    values,
    vocabulary,
)
from kinematics import Robot


class RobotKey:
    """A robot hashed and compared by all but its inertial parameters, as the key of caches."""

    def __init__(self, robot: Robot):
        record = robot.to_dict()
        for field in ("pi", "name", "notes"):
            record.pop(field, None)
        self.robot, self.text = robot, repr(record)

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RobotKey) and other.text == self.text


def symbols(nv: int) -> dict[str, tuple[sympy.Symbol, ...]]:
    """The symbols that terms are written in: q, v, a, tau, each a tuple of nv real symbols."""
    return {
        group: tuple(sympy.Symbol(f"{group}{i + 1}", real=True) for i in range(nv))
        for group in ("q", "v", "a", "tau")
    }


@dataclass(frozen=True, kw_only=True)
class Term(LawExtension):
    """One generalised force, coefficient * shape.

    name         in words, such as "viscous damping, joint 2"
    shape        nv SymPy expressions, zero where the term does not act
    coefficient  [N·m or N, over the unit of the shape]
    joint_term   the field of Robot that states this term ("damping", …); None if none does
    points       the points on bodies that the shape names, the first as x1, y1, z1
    tables       functions in the shape that have no formula
    """

    name: str
    shape: tuple[sympy.Expr, ...]
    coefficient: float = 1.0
    joint_term: str | None = None
    points: tuple[Point, ...] = ()
    tables: tuple[Table, ...] = ()

    label = "terms"
    key = "extra"
    additive = True

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
        """Symbols and operations in the longest row of the shape, and one for each further row."""
        rows = [sum(1 for _ in sympy.preorder_traversal(row)) for row in self.shape if row != 0]
        return max(rows, default=0) + len(rows) - 1

    @property
    def number_count(self) -> int:
        """Fitted numbers in the shape, beside the coefficient."""
        floats = set().union(*(row.atoms(sympy.Float) for row in self.shape if row != 0))
        placed = sum(len(p.numbers) for p in self.points)
        return len(floats) + placed + sum(t.number_count for t in self.tables)

    @property
    def description(self) -> str:
        """Its name, and its force on each joint."""
        return f"{self.name}: {sympy.sstr(self.expression.T.evalf(6))}"

    @property
    def equations(self) -> list[sympy.Basic]:
        """Its force on each joint that it acts on [N·m | N]."""
        return [row for row in self.expression if row != 0]

    @property
    def symbol_notes(self) -> list[str]:
        """Where its points are."""
        notes = []
        for r, point in enumerate(self.points, 1):
            place = f"in *{self.name}*, x{r}, y{r}, z{r} are the place of {point.in_words}"
            notes.append(f"{place}; dx{r} … its velocity, jx{r}_1 … its Jacobian")
            if any(n[0] in "bwku" and n.split("_")[0].endswith(str(r)) for n in self.names):
                notes.append(
                    f"bx{r} … is its acceleration while no joint accelerates, wx{r} … its body's "
                    f"angular velocity, kx{r}_1 … the Jacobian of that, ux{r}_1 … its body's axes"
                )
        return notes

    @property
    def names(self) -> set[str]:
        """Names of the symbols in the shape."""
        return {s.name for row in self.shape for s in row.free_symbols}

    @functools.cached_property
    def moves_with_acceleration(self) -> bool:
        """Whether the shape names a or h."""
        return any(_is_acceleration(name) for name in self.names)

    @functools.cached_property
    def nonlinear_in_acceleration(self) -> bool:
        """Whether the acceleration stands other than linearly in the shape."""
        moving = [s for row in self.shape for s in row.free_symbols if _is_acceleration(s.name)]
        return any(
            bool(set(moving) & row.diff(s).free_symbols) for s in set(moving) for row in self.shape
        )

    def written_out(self) -> tuple[sympy.Expr, ...]:
        """The shape in elementary functions: tables as sums of truncated powers."""
        return tuple(write_out(row, self.tables) for row in self.shape)

    def with_coefficient(self, coefficient: float) -> Term:
        """The same shape with another coefficient."""
        return replace(self, coefficient=float(coefficient))

    def to_dict(self) -> dict:
        """JSON-able form."""
        return {
            "name": self.name,
            "shape": [sympy.sstr(whole_numbers(row), full_prec=True) for row in self.shape],
            "coefficient": self.coefficient,
            "joint_term": self.joint_term,
            "points": [p.to_list() for p in self.points],
            "tables": [t.to_dict() for t in self.tables],
        }

    @classmethod
    def from_dict(cls, record: dict) -> Term:
        """Read back; expressions are parsed by a closed grammar and never executed."""
        nv = len(record["shape"])
        points = tuple(Point.from_list(p) for p in record.get("points", ()))
        tables = tuple(Table.from_dict(t) for t in record.get("tables", ()))
        names = vocabulary(nv, len(points))
        functions = {t.name: t.function for t in tables}
        return cls(
            name=record["name"],
            shape=tuple(parse_expression(text, names, functions) for text in record["shape"]),
            coefficient=record["coefficient"],
            joint_term=record["joint_term"],
            points=points,
            tables=tables,
        )


def whole_numbers(expression: sympy.Expr) -> sympy.Expr:
    """The expression with every number at 17 digits, which a double needs to be read back."""
    return expression.xreplace({f: sympy.Float(f, 17) for f in expression.atoms(sympy.Float)})


def _is_acceleration(name: str) -> bool:
    return name[0] in "ah"


def forces(
    terms: Sequence[Term],
    q: Tensor,
    v: Tensor,
    a: Tensor,
    tau: Tensor,
    robot: Robot,
    mechanics: Mechanics | None = None,
    constants: Mapping[str, float] | None = None,
    frames: Frames | None = None,
) -> Tensor:
    """The columns of all terms, coefficient left out: (n, nv, number of terms).

    q (n, nq); `robot` gives the geometry and, unless `mechanics` does, the bodies' inertia, or that
    of k robots at once, which gives (k, n, nv, number of terms);
    `frames` (see `frames_at`) are those of the bodies on which the terms' points are; `constants`
    are the values of symbols in the shapes that are not words of the vocabulary.
    """
    lead = v.shape[:-1] if mechanics is None else mechanics.H.shape[:-2]
    columns = v.new_zeros(*lead, v.shape[-1], len(terms))
    if not terms:
        return columns
    given = (q, v, a, tau, robot, mechanics, constants, frames)
    for k, row, value in entries(terms, *given, like=columns[..., 0, 0]):
        columns[..., row, k] = value
    return columns


def entries(
    terms: Sequence[Term],
    q: Tensor,
    v: Tensor,
    a: Tensor,
    tau: Tensor,
    robot: Robot,
    mechanics: Mechanics | None = None,
    constants: Mapping[str, float] | None = None,
    frames: Frames | None = None,
    *,
    like: Tensor,
) -> Iterator[tuple[int, int, Tensor]]:
    """(term, row, values) of every row of the columns that is not zero; arguments of `forces`.

    Values have the shape of `like`; q, v, a, tau may have leading dimensions that broadcast to it.
    """
    groups: dict[tuple[Point, ...], list[tuple[int, Term]]] = {}
    for k, t in enumerate(terms):
        groups.setdefault(t.points, []).append((k, t))
    for group in groups.values():
        rows = _compiled(
            tuple(t.shape for _, t in group),
            len(group[0][1].points),
            tuple(dict.fromkeys(table for _, t in group for table in t.tables)),
        )
        if needs_mechanics(rows.names) and mechanics is None:
            mechanics = Mechanics.of(robot, q, v, rows.names)
        at = q[..., coordinates(robot)]
        placed = {n: v.new_tensor(c).expand(v.shape[:-1]) for n, c in (constants or {}).items()}
        if group[0][1].points:
            points = group[0][1].points
            placed |= place_points(
                robot, points, at.unbind(-1), v.unbind(-1), torch.sin, torch.cos, frames, rows.names
            )
        given = values(rows.names, at, v, a, tau, mechanics, placed)
        for (index, row), value in zip(rows.places, rows(given, like), strict=True):
            yield group[index][0], row, value


def frames_at(robot: Robot, points: Sequence[Point], q: Tensor) -> Frames:
    """The frames, at q (n, nq), of the bodies on which some points are."""
    at = q[..., coordinates(robot)].unbind(-1)
    return frames_of(robot, {p.body for p in points}, at, torch.sin, torch.cos)


@dataclass(frozen=True)
class _Rows:
    """One torch function for all rows that are not zero, with shared subexpressions."""

    names: tuple[str, ...]
    places: tuple[tuple[int, int], ...]
    function: Callable

    def __call__(self, given: list[Tensor], like: Tensor) -> list[Tensor]:
        return self.function(like, *given)


@functools.lru_cache(maxsize=256)
def _compiled(
    shapes: tuple[tuple[sympy.Expr, ...], ...], points: int, tables: tuple[Table, ...]
) -> _Rows:
    nv = len(shapes[0])
    places = tuple((k, j) for k, shape in enumerate(shapes) for j in range(nv) if shape[j] != 0)
    used = {s.name for k, j in places for s in shapes[k][j].free_symbols}
    words = vocabulary(nv, points)
    free = sorted(used - set(words))  # constants that are still being fitted
    words = words | {n: sympy.Symbol(n, real=True) for n in free}
    names = tuple(n for n in words if n in used)
    like = sympy.Symbol("_like")
    function = to_torch(
        [shapes[k][j] for k, j in places],
        [like, *(words[n] for n in names)],
        {t.name: t for t in tables},
    )
    return _Rows(names, places, function)


def coordinates(robot: Robot) -> Tensor:
    """For each velocity coordinate, the entry of q that goes with it (nv,).

    For free and spherical joints there is none (a quaternion is no list of angles); there the
    entry is that of the joint's first coordinate and no term of the library uses it.
    """
    entries = []
    for name in robot.independent_names:
        q, v = robot.q_slice(name), robot.v_slice(name)
        width = v.stop - v.start
        entries += [q.start] * width if width > 1 else [q.start]
    return torch.tensor(entries)


def without_joint_terms(robot: Robot) -> Robot:
    """The bodies alone: no armature, damping, friction or springs."""
    zero = torch.zeros_like(robot.armature)
    return robot.replace(armature=zero, damping=zero, friction=zero, stiffness=zero)


JUMP = 1e-9  # rad/s | m/s: friction that reverses over less jumps


def _coulomb(v: sympy.Symbol, robot: Robot) -> sympy.Expr:
    """Coulomb friction of unit size, as the reference simulator smooths it."""
    if robot.friction_speed <= JUMP:
        return sympy.sign(v)
    return sympy.tanh(v / sympy.Float(robot.friction_speed))


def joint_terms(robot: Robot) -> list[Term]:
    """The physical terms of every joint with one coordinate.

    Armature a_j, viscous damping v_j, Coulomb friction tanh(v_j / friction_speed), or sign(v_j)
    where that speed is that of a jump, linear spring q_j - spring_reference_j. They are physically
    possible only with coefficients that are not negative.
    """
    return [
        _single(f"{field}, joint {j + 1}", j, shape, robot.nv, field)
        for j, field, shape in _of_joints(robot)
    ]


def joint_shapes(robot: Robot) -> list[tuple[int, sympy.Expr]]:
    """(coordinate, force on the left side) of every joint term that the robot states."""
    return [
        (j, sympy.Float(value) * shape)
        for j, field, shape in _of_joints(robot)
        if (value := float(getattr(robot, field)[j]))
    ]


def _of_joints(robot: Robot) -> Iterator[tuple[int, str, sympy.Expr]]:
    """(coordinate, field of the robot, shape) of every joint term of joints of one coordinate."""
    s = symbols(robot.nv)
    for j in scalar_coordinates(robot):
        v = s["v"][j]
        yield j, "armature", s["a"][j]
        yield j, "damping", v
        yield j, "friction", _coulomb(v, robot)
        yield j, "stiffness", stretch(robot, j)


def stretch(robot: Robot, j: int) -> sympy.Expr:
    """How far the spring of joint j is from rest [rad | m]."""
    q, rest = symbols(robot.nv)["q"][j], float(robot.spring_reference[j])
    return q - sympy.Float(rest) if rest else q


REST = "spring_reference"  # the field of a robot that says where a joint's spring is at rest


def spring_rests(terms: Sequence[Term]) -> list[Term]:
    """Constant forces beside the springs among `terms`: each says that its spring is at rest
    elsewhere than the description states."""
    return [
        _single(f"rest of the spring, joint {t.joint + 1}", t.joint, sympy.Integer(1), n, REST)
        for t in terms
        if t.joint_term == "stiffness"
        for n in (len(t.shape),)
    ]


def stated(robot: Robot, terms: Sequence[Term], coefficients: Sequence[float | Tensor]) -> Robot:
    """The robot with the joint terms that a description can state added to its own; other terms are
    passed over."""
    fields = {
        name: getattr(robot, name).clone()
        for name in ("armature", "damping", "friction", "stiffness", REST)
    }
    offsets: list[tuple[int, float | Tensor]] = []
    for term, c in zip(terms, coefficients, strict=True):
        if term.joint_term == REST:
            offsets.append((term.joint, c))
        elif term.joint_term is not None:
            fields[term.joint_term][term.joint] += c
    for j, c in offsets:  # k (q - rest) + c
        fields[REST][j] -= c / fields["stiffness"][j]
    return robot.replace(**fields)


def library(robot: Robot) -> list[Term]:
    """Terms that no robot description can state: drag, springs, altered inertia, couplings."""
    s = symbols(robot.nv)
    q, v, a, tau = (s[g] for g in ("q", "v", "a", "tau"))
    joints = scalar_coordinates(robot)
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


def scalar_coordinates(robot: Robot) -> list[int]:
    """Velocity coordinates of the joints that have exactly one."""
    slices = [robot.v_slice(name) for name in robot.independent_names]
    return [s.start for s in slices if s.stop - s.start == 1]
