"""Constant matrices that carry motions, wrenches and inertias between a body and its parent.

In canonical body frames every one-velocity joint turns about, or slides along, its own z axis.
A turn by q about z leaves some components alone, turns others (in pairs) by q, and components of
second-order tensors by 2q. In a basis sorted so, moving anything across a joint is

    constant matrix  ->  row-wise blend with (1, cos q, sin q, cos 2q, sin 2q)  ->  constant matrix

A slide by q is a polynomial in q of degree two at most, which takes the same form with
(1, q, q²). The constant matrices are products with fixed placements and are made here, once a
robot. Layouts: motion and wrench 6; inertial parameters 10 as in ``Robot.pi``; articulated
inertia with its bias wrench, [I | p], 42 = 6 x 7 by rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kinematics.robot import inertial_parameters

# rows of the basis of functions of one coordinate; see ``placement.basis``
ONE, FIRST, SECOND, THIRD, FOURTH, ZERO = range(6)
COS, SIN, COS2, SIN2 = FIRST, SECOND, THIRD, FOURTH  # of a turning joint
LINEAR, SQUARE = FIRST, SECOND  # of a sliding joint


def to_z(axis: np.ndarray) -> np.ndarray:
    """A rotation that takes the unit vector ``axis`` to z; a signed permutation where one can."""
    largest = int(np.argmax(np.abs(axis)))
    if np.count_nonzero(axis) == 1:
        sign = axis[largest]
        if largest == 2:
            return np.eye(3) if sign > 0 else np.diag([1.0, -1.0, -1.0])
        # cyclic permutations keep handedness: x -> z, y -> x or y -> z, z -> x
        turn = np.roll(np.eye(3), 2 - largest, axis=0)
        return turn if sign > 0 else np.diag([1.0, -1.0, -1.0]) @ turn
    other = np.zeros(3)
    other[int(np.argmin(np.abs(axis)))] = 1.0
    x = np.cross(other, axis)
    x /= np.linalg.norm(x)
    return np.stack((x, np.cross(axis, x), axis))


def skew(a: np.ndarray) -> np.ndarray:
    """The matrix with skew(a) b = a × b."""
    return np.array([[0, -a[2], a[1]], [a[2], 0, -a[0]], [-a[1], a[0], 0.0]])


def motion(rotation: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """X (6, 6): motions from parent to child coordinates; its transpose takes wrenches back."""
    back = rotation.T
    return np.block([[back, np.zeros((3, 3))], [-back @ skew(offset), back]])


def parameters(rotation: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """(10, 10): inertial parameters from child to parent frame."""
    return _columns(lambda e: inertial_parameters.moved(e, rotation, offset), 10)


def articulated(rotation: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """(42, 42): [I | p] from child to parent frame."""
    x = motion(rotation, offset)

    def move(e: np.ndarray) -> np.ndarray:
        block = e.reshape(6, 7)
        return np.concatenate((x.T @ block[:, :6] @ x, x.T @ block[:, 6:]), axis=1).ravel()

    return _columns(move, 42)


def polynomial(of: Callable[[float], np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The coefficients of 1, q and q² of a matrix that is quadratic in q."""
    zero, plus, minus = of(0.0), of(1.0), of(-1.0)
    return zero, (plus - minus) / 2, (plus + minus) / 2 - zero


def rigid_matrix() -> np.ndarray:
    """(36, 10): the rows of the spatial inertia of ten parameters."""

    def matrix(e: np.ndarray) -> np.ndarray:
        mass, moment, inertia = inertial_parameters.unpack(e)
        return np.block([[inertia, skew(moment)], [skew(moment).T, mass * np.eye(3)]]).ravel()

    return _columns(matrix, 10)


# -- bases sorted by how they turn about z --------------------------------------------------------


def _sorted_basis(fixed: list, once: list, twice: list, size: int) -> np.ndarray:
    """Rows {component: coefficient}: those left alone, then pairs turning once, then twice."""
    rows = [*fixed, *(x for pair in once for x in pair), *(x for pair in twice for x in pair)]
    out = np.zeros((len(rows), size))
    for k, row in enumerate(rows):
        for component, coefficient in row.items():
            out[k, component] = coefficient
    return out


def _partner(fixed: int, size: int) -> np.ndarray:
    """For a pair (x, y) that turns: the rows (-y, x) that sin multiplies; nothing for the rest."""
    out = np.zeros((size, size))
    for k in range(fixed, size, 2):
        out[k, k + 1], out[k + 1, k] = -1.0, 1.0
    return out


VECTOR_PARTNER = np.zeros((6, 6))
VECTOR_PARTNER[0, 1], VECTOR_PARTNER[1, 0] = -1.0, 1.0
VECTOR_PARTNER[3, 4], VECTOR_PARTNER[4, 3] = -1.0, 1.0
VECTOR_COS = [COS, COS, ONE] * 2
VECTOR_SIN = [SIN, SIN, ZERO] * 2

# m, mx, my, mz, Ixx, Ixy, Iyy, Ixz, Iyz, Izz
PARAMETER_BASIS = _sorted_basis(
    [{0: 1}, {3: 1}, {9: 1}, {4: 1, 6: 1}],
    [({1: 1}, {2: 1}), ({7: 1}, {8: 1})],
    [({4: 1, 6: -1}, {5: 2})],
    10,
)
PARAMETER_PARTNER = _partner(4, 10)
PARAMETER_COS = [ONE] * 4 + [COS] * 4 + [COS2] * 2
PARAMETER_SIN = [ZERO] * 4 + [SIN] * 4 + [SIN2] * 2


def _articulated_basis() -> np.ndarray:
    def at(i: int, j: int) -> int:
        return 7 * min(i, j) + max(i, j)

    def symmetric(o: int) -> tuple[list, tuple, tuple]:
        return (
            [{at(o + 2, o + 2): 1}, {at(o, o): 1, at(o + 1, o + 1): 1}],
            ({at(o, o + 2): 1}, {at(o + 1, o + 2): 1}),
            ({at(o, o): 1, at(o + 1, o + 1): -1}, {at(o, o + 1): 2}),
        )

    j_fixed, j_once, j_twice = symmetric(0)
    m_fixed, m_once, m_twice = symmetric(3)
    h = {(i, j): at(i, 3 + j) for i in range(3) for j in range(3)}
    h_fixed = [{h[2, 2]: 1}, {h[0, 0]: 1, h[1, 1]: 1}, {h[0, 1]: 1, h[1, 0]: -1}]
    h_once = [({h[0, 2]: 1}, {h[1, 2]: 1}), ({h[2, 0]: 1}, {h[2, 1]: 1})]
    h_twice = ({h[0, 0]: 1, h[1, 1]: -1}, {h[0, 1]: 1, h[1, 0]: 1})
    p = [{7 * i + 6: 1} for i in range(6)]
    return _sorted_basis(
        [*j_fixed, *m_fixed, *h_fixed, p[2], p[5]],
        [j_once, m_once, *h_once, (p[0], p[1]), (p[3], p[4])],
        [j_twice, m_twice, h_twice],
        42,
    )


def _symmetrised() -> np.ndarray:
    """(42, 42): fill the lower triangle of [I | p] from the upper one."""
    out = np.zeros((42, 42))
    for i in range(6):
        for j in range(7):
            low, high = min(i, j), max(i, j)
            out[7 * i + j, 7 * low + high] = 1.0
    return out


ARTICULATED_BASIS = _articulated_basis()
ARTICULATED_PARTNER = _partner(9, 27)
ARTICULATED_COS = [ONE] * 9 + [COS] * 12 + [COS2] * 6
ARTICULATED_SIN = [ZERO] * 9 + [SIN] * 12 + [SIN2] * 6


def _unsort(basis: np.ndarray) -> np.ndarray:
    """The matrix that undoes a sorted basis (exact: its entries are 0, ±1 and ±1/2)."""
    return np.round(np.linalg.pinv(basis) * 4) / 4


PARAMETER_UNSORT = _unsort(PARAMETER_BASIS)
SYMMETRISE = _symmetrised()
ARTICULATED_UNSORT = SYMMETRISE @ _unsort(ARTICULATED_BASIS)


def _columns(function: Callable[[np.ndarray], np.ndarray], size: int) -> np.ndarray:
    """The matrix of a linear function."""
    return np.stack([function(e) for e in np.eye(size)], axis=1)
