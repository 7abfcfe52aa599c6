"""Base parameters: the combinations of inertial parameters that the motion reveals.

`base_parameters` finds them from numbers, `symbolic_base_parameters` in closed form, by regrouping.
Leaf to root, a body gives its carrier whatever its own joint cannot tell apart from a part of the
carrier. With e(δ) the Lagrangian of parameters δ of body i, these are the δ for which e does not
depend on the joint's coordinates:

    revolute about z:    m, mz, Ixx = Iyy        (the carrier gets Iyy; Ixx - Iyy stays)
    prismatic along z:   the six inertias        (the mass and the first moments stay)
    spherical:           m                       (a point mass in the centre)
    free:                none

for a carrier that moves in every way. Then e(δ) is the Lagrangian of a part of the carrier welded
at the joint's zero, so δ moves there by the fixed placement. These moves generate *every* relation:
take any relation between bodies and the one of them nearest the leaves; nothing else in it depends
on that body's joint, so its own term does not either. A carrier that cannot move in every way (near
a fixed base, or with parallel axes) gives more such δ. Which ones is read off the joint's own rows
of the regressor, by rank; the combinations are named in symbols all the same.

Gautier & Khalil (1990), Direct calculation of minimum set of inertial parameters of serial robots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from kinematics.algorithms.regressor import regressor
from kinematics.errors import RobotError
from kinematics.robot import joints
from kinematics.robot.random import random_state
from kinematics.robot.tree import PARAMETERS, Robot, check_robot
from kinematics.spatial import transforms


@dataclass(frozen=True, kw_only=True)
class BaseParameters:
    """``matrix`` (k, 10·nb): base parameters = matrix @ robot.pi.flatten().

    ``independent`` are the k columns of the regressor that span it: Y pi = Y[:, independent] base.
    ``names`` writes each base parameter as a combination of the bodies' own.
    """

    matrix: Tensor
    rank: int
    names: tuple[str, ...]
    independent: tuple[int, ...]


def base_parameters(robot: Robot, *, samples: int | None = None, seed: int = 0) -> BaseParameters:
    """Minimal inertial parameters of the tree, from the regressor at random states.

    The rank is that of the stacked regressor (relative tolerance 1e-9). Columns of bodies far from
    the base are kept in preference, so that parameters are regrouped towards the leaves'
    carriers. `symbolic_base_parameters` writes the same space in closed form.
    Gautier (1991), Numerical calculation of the base inertial parameters of robots.
    """
    check_robot(robot)
    count = samples or max(30, int(np.ceil(40 * robot.nb / robot.nv)))
    q, v, a = random_state(robot, count, seed=seed)
    stacked = regressor(robot.to(dtype=torch.float64), q, v, a).reshape(-1, 10 * robot.nb)
    y = stacked.detach().cpu().numpy()
    size = np.linalg.norm(y, axis=0)
    scale = np.where(size > 1e-9 * size.max(), size, 1.0)
    y = np.where(size > 1e-9 * size.max(), y / scale, 0.0)
    independent = _independent_columns(y)
    coefficients, *_ = scipy.linalg.lstsq(y[:, independent], y)
    matrix = coefficients * scale[None] / scale[independent, None]
    matrix[np.abs(matrix) < 1e-9] = 0.0
    matrix[:, independent] = np.eye(len(independent))
    names = tuple(_name(robot, row, k) for row, k in zip(matrix, independent, strict=True))
    return BaseParameters(
        matrix=torch.as_tensor(matrix),
        rank=len(independent),
        names=names,
        independent=tuple(int(k) for k in independent),
    )


def _independent_columns(y: np.ndarray, tolerance: float = 1e-9) -> list[int]:
    """Columns independent of those after them: Gram-Schmidt from the last body inward."""
    r = scipy.linalg.qr(y, mode="r")[0]
    basis = np.zeros((r.shape[0], 0))
    kept: list[int] = []
    for k in reversed(range(r.shape[1])):
        column = r[:, k]
        rest = column - basis @ (basis.T @ column)
        rest = rest - basis @ (basis.T @ rest)
        norm = np.linalg.norm(rest)
        if norm > tolerance * max(1.0, float(np.linalg.norm(column))):
            basis = np.column_stack((basis, rest / norm))
            kept.append(k)
    return kept[::-1]


def _name(robot: Robot, row: np.ndarray, leader: int) -> str:
    terms = [_term(robot, leader, 1.0)]
    for k in np.flatnonzero(row):
        if k != leader:
            terms.append(_term(robot, int(k), float(row[k])))
    return " ".join(terms).removeprefix("+ ")


def _term(robot: Robot, k: int, value: float) -> str:
    symbol = f"{PARAMETERS[k % 10]}[{robot.body_names[k // 10]}]"
    size = "" if abs(abs(value) - 1) < 1e-9 else f"{abs(value):.6g} "
    return f"{'-' if value < 0 else '+'} {size}{symbol}"


# which parameters a body gives away in preference, joint axes along z: m, mz, my, mx, Iyy, Izz, ...
_GIVEN_FIRST = (0, 3, 2, 1, 6, 9, 4, 5, 8, 7)
_TOLERANCE = 1e-9
_LONG = 40  # operations beyond which what a body gives its carrier gets a name


@dataclass(frozen=True, kw_only=True)
class SymbolicBaseParameters:
    """Base parameters as SymPy expressions; linear in the bodies' own.

    ``parameters`` (10·nb) are the symbols m1, mx1, …, Izz1, m2, … of `Robot.pi`, [kg, kg·m, kg·m²].
    ``geometry`` gives the value of every other symbol: px2, py2, pz2 are the entries of the second
    body's ``tree_offset`` [m]; c2 and s2 the cosine and sine of its ``tree_rotation`` where that
    turns about an axis of coordinates, r2_12 its entries otherwise; a2_12 the entries of a rotation
    that takes the joint's axis to z. Zeros and ones are written as such.

    ``definitions`` stand for what would be too long to write out: Ixx3to2 is the Ixx that the third
    body gives the second, in the second's axes; each uses those before it. `written_out` has none.
    ``matrix`` (k, 10·nb) is the value of it all: base parameters = matrix @ robot.pi.flatten().
    ``exact`` is False where a special geometry left a coefficient that is a number.
    """

    expressions: tuple[Any, ...]
    definitions: dict[Any, Any]
    parameters: tuple[Any, ...]
    geometry: dict[Any, float]
    matrix: Tensor
    exact: bool

    @property
    def rank(self) -> int:
        """The number of base parameters."""
        return len(self.expressions)

    def written_out(self) -> tuple[Any, ...]:
        """The expressions in parameters and geometry alone; long for long chains."""
        whole: dict[Any, Any] = {}
        for symbol, meaning in self.definitions.items():
            whole[symbol] = meaning.xreplace(whole)
        return tuple(x.xreplace(whole) for x in self.expressions)


def symbolic_base_parameters(robot: Robot, *, seed: int = 0) -> SymbolicBaseParameters:
    """The base parameters of any tree, regrouped towards the base, in closed form.

    They span what `base_parameters` spans. Raises RobotError for robots with mimic joints, which
    only the numerical grouping covers.
    """
    import sympy  # half a second

    check_robot(robot)
    if robot.mimic:
        raise RobotError(
            f"expected independent joints, found mimic joints in {robot.name}; "
            "use base_parameters, which groups by numbers"
        )
    parameters = sympy.symbols([f"{p}{i + 1}" for i in range(robot.nb) for p in PARAMETERS])
    geometry = _Geometry(robot)
    gathered = np.array(parameters, dtype=object).reshape(robot.nb, 10)
    own = _indistinct(robot, seed)
    expressions: list[Any] = []
    definitions: dict[Any, Any] = {}
    exact = True
    for body in reversed(range(robot.nb)):
        turn, (rotation, offset) = geometry.frame(body), geometry.placement(body)
        nothing = np.zeros(3, dtype=int)
        here = gathered[body] if turn is None else _moved(gathered[body], turn, nothing)
        pivots, basis, whole = own[body]
        exact &= whole
        kept = [k for k in range(10) if k not in pivots]
        stay = [here[k] - sum(here[e] * b[k] for e, b in zip(pivots, basis, strict=True))
                for k in kept]  # fmt: skip
        expressions[:0] = stay
        parent = robot.parents[body]
        if parent >= 0 and pivots:
            inputs = sum((here[e] * b for e, b in zip(pivots, basis, strict=True)), 0 * here)
            if turn is not None:
                inputs = _moved(inputs, turn.T, nothing)
            arrived = _moved(inputs, rotation, offset)
            for k, value in enumerate(arrived):
                if sympy.count_ops(value) > _LONG:
                    arrived[k] = sympy.Symbol(f"{PARAMETERS[k]}{body + 1}to{parent + 1}")
                    definitions[arrived[k]] = value
            gathered[parent] = gathered[parent] + arrived
    values = geometry.values
    return SymbolicBaseParameters(
        expressions=tuple(expressions),
        definitions=definitions,
        parameters=tuple(parameters),
        geometry=values,
        matrix=torch.as_tensor(_matrix(expressions, definitions, parameters, values)),
        exact=exact,
    )


def _indistinct(robot: Robot, seed: int) -> list[tuple[list[int], np.ndarray, bool]]:
    """For each body what its joint cannot tell from the carrier, with the joint's axis along z.

    Parameters that are given away, a basis (that many, 10) with a unit matrix in them, and whether
    its entries are exact.
    """
    count = max(40, int(np.ceil(40 / min(joints.NV[kind] for kind in robot.kinds))))
    q, v, a = random_state(robot, count, seed=seed)
    rows = regressor(robot.to(dtype=torch.float64, device="cpu"), q, v, a).detach().numpy()
    out = []
    for body, kind in enumerate(robot.kinds):
        block = rows[:, robot.v_slices[body], 10 * body : 10 * body + 10].reshape(-1, 10)
        if kind not in joints.QUATERNION:
            turn = transforms.to_z(_number(robot.axes[body]))
            block = block @ transforms.parameters(turn.T, np.zeros(3))
        null = scipy.linalg.null_space(block / max(np.abs(block).max(), 1e-300), rcond=_TOLERANCE)
        out.append(_echelon(null.T))
    return out


def _echelon(rows: np.ndarray) -> tuple[list[int], np.ndarray, bool]:
    """Reduced rows with pivots in the order of preference; exact integers where they are."""
    order = list(_GIVEN_FIRST)
    rest = rows[:, order].copy()
    pivots: list[int] = []
    for column in range(10):
        done = len(pivots)
        if done == len(rest):
            break
        best = done + int(np.argmax(np.abs(rest[done:, column])))
        if abs(rest[best, column]) < 1e-7:
            continue
        rest[[done, best]] = rest[[best, done]]
        rest[done] /= rest[done, column]
        for k in range(len(rest)):
            if k != done:
                rest[k] -= rest[k, column] * rest[done]
        pivots.append(column)
    basis = np.zeros_like(rest)
    basis[:, order] = rest
    whole = np.round(basis)
    exact = bool(np.allclose(basis, whole, rtol=0.0, atol=1e-7))
    entries = [
        [int(w) if abs(x - w) < 1e-7 else float(x) for x, w in zip(row, near, strict=True)]
        for row, near in zip(basis, whole, strict=True)
    ]
    found = np.array(entries, dtype=object).reshape(-1, 10)
    return [order[p] for p in pivots], found, exact


class _Geometry:
    """The robot's constants as symbols; zeros and ones as numbers."""

    def __init__(self, robot: Robot) -> None:
        self.robot = robot
        self.values: dict[Any, float] = {}

    def frame(self, body: int) -> np.ndarray | None:
        """The rotation from the body's axes to axes whose z is the joint's; None for no turn."""
        if self.robot.kinds[body] in joints.QUATERNION:
            return None
        turn = transforms.to_z(_number(self.robot.axes[body]))
        return None if np.array_equal(turn, np.eye(3)) else self._entries(turn, f"a{body + 1}_")

    def placement(self, body: int) -> tuple[np.ndarray, np.ndarray]:
        """The body's rotation and offset in its carrier, at the joint's zero."""
        rotation = _number(self.robot.tree_rotation[body])
        offset = _number(self.robot.tree_offset[body])
        label = str(body + 1)
        shift = [self._symbol(x, f"p{axis}{label}") for x, axis in zip(offset, "xyz", strict=True)]
        return self._rotation(rotation, label), np.array(shift, dtype=object)

    def _rotation(self, rotation: np.ndarray, label: str) -> np.ndarray:
        for axis in range(3):
            i, j = [k for k in range(3) if k != axis]
            if abs(rotation[axis, axis] - 1) > 1e-12 or abs(rotation[i, j]) < 1e-12:
                continue
            out = np.eye(3, dtype=int).astype(object)
            cosine = self._symbol(float(rotation[i, i]), f"c{label}")
            sine = self._symbol(float(rotation[j, i]), f"s{label}")
            out[i, i], out[j, j], out[j, i], out[i, j] = cosine, cosine, sine, -sine
            return out
        return self._entries(rotation, f"r{label}_")

    def _entries(self, matrix: np.ndarray, stem: str) -> np.ndarray:
        out = np.empty((3, 3), dtype=object)
        for i in range(3):
            for j in range(3):
                out[i, j] = self._symbol(float(matrix[i, j]), f"{stem}{i + 1}{j + 1}")
        return out

    def _symbol(self, value: float, name: str) -> Any:
        import sympy

        near = round(value)
        if abs(value - near) < 1e-12 and abs(near) <= 1:
            return sympy.Integer(near)
        symbol = sympy.Symbol(name, real=True)
        self.values[symbol] = float(value)
        return symbol


def _moved(pi: np.ndarray, rotation: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Ten parameters in another frame, x' = rotation x + offset, in symbols."""
    m, xx, xy, yy, xz, yz, zz = pi[0], *pi[4:]
    inertia = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]], dtype=object)
    h = rotation @ pi[1:4]
    turned = rotation @ inertia @ rotation.T
    both = h + m * offset  # h pᵀ + p hᵀ + m p pᵀ = h pᵀ + p bothᵀ
    outer = np.outer(h, offset) + np.outer(offset, both)
    i = turned + np.trace(outer) * np.eye(3, dtype=int) - outer
    return np.array([m, *both, i[0, 0], i[0, 1], i[1, 1], i[0, 2], i[1, 2], i[2, 2]], dtype=object)


def _matrix(
    expressions: list[Any], definitions: dict[Any, Any], parameters: Any, values: dict[Any, float]
) -> np.ndarray:
    """The coefficients (k, 10·nb): the expressions of unit parameters."""
    import sympy

    count = len(parameters)
    known: dict[Any, Any] = dict(zip(parameters, np.eye(count), strict=True)) | values
    for symbol, meaning in definitions.items():
        used = sorted(meaning.free_symbols, key=str)
        known[symbol] = sympy.lambdify(used, meaning, modules="numpy")(*(known[x] for x in used))
    rows = []
    for expression in expressions:
        used = sorted(expression.free_symbols, key=str)
        row = sympy.lambdify(used, expression, modules="numpy")(*(known[x] for x in used))
        rows.append(np.broadcast_to(row, count))
    return np.array(rows, dtype=float)


def _number(x: Tensor) -> np.ndarray:
    return x.detach().cpu().double().numpy()
