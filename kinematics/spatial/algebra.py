"""Spatial vector algebra.

Conventions, once for the whole package: a motion or force 6-vector is (angular, linear); spatial
accelerations, not classical ones; everything is expressed in a body's own frame about that frame's
origin. A body's placement in its parent is a rotation ``R`` (child to parent coordinates) and an
offset ``p`` (the child's origin in the parent frame).

Layout: axis 0 counts bodies, axis 1 is the component, the last is the batch; so each operation
below is done at once for all bodies of a level and for the whole batch.

Featherstone (2008), Rigid Body Dynamics Algorithms, chapter 2 and appendix A.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kinematics.arrays import Array, namespace
from kinematics.spatial import transforms

_LEVI_CIVITA = np.zeros((1, 3, 9))
for _i, _j, _k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
    _LEVI_CIVITA[0, _i, 3 * _j + _k] = 1.0
    _LEVI_CIVITA[0, _i, 3 * _k + _j] = -1.0


def cross(a: Array, b: Array) -> Array:
    """a × b for 3-vectors along axis 1; further axes broadcast."""
    xp = namespace(a)
    products = a[:, :, None] * b[:, None]
    flat = products.reshape(products.shape[0], 9, *products.shape[3:])
    return xp.linear(xp.constant("levi-civita", _LEVI_CIVITA, a), flat)


def skew(a: Array) -> Array:
    """The matrix (n, 3, 3, B) with skew(a) b = a × b."""
    xp = namespace(a)
    x, y, z = a[:, 0], a[:, 1], a[:, 2]
    zero = xp.zeros(x.shape, like=x)
    rows = ((zero, -z, y), (z, zero, -x), (-y, x, zero))
    return xp.stack([xp.stack(row, axis=1) for row in rows], axis=1)


def multiply(a: Array, b: Array) -> Array:
    """Products of matrices, (n, i, j, B) and (n, j, k, B)."""
    xp = namespace(a)
    out = a[:, :, 0, None] * b[:, None, 0]
    for k in range(1, a.shape[2]):
        out = xp.add_product(out, a[:, :, k, None], b[:, None, k])
    return out


def transpose(a: Array) -> Array:
    """Transposes of matrices (n, i, j, B)."""
    return a.swapaxes(1, 2)


def rotate(rotation: Array, x: Array) -> Array:
    """R x: child coordinates to parent coordinates (and any matrix by a vector)."""
    return (rotation * x[:, None]).sum(2)


def rotate_back(rotation: Array, x: Array) -> Array:
    """Rᵀ x: parent coordinates to child coordinates."""
    return (rotation * x[:, :, None]).sum(1)


def dot(a: Array, b: Array) -> Array:
    """Sum of products over axis 1: the power of a wrench on a motion."""
    return (a * b).sum(1)


def motion_cross(a: Array, b: Array) -> Array:
    """Rate of change of the motion ``b`` that moves with the twist ``a``: a × b (n, 6, B)."""
    xp = namespace(a)
    w, u = a[:, :3], a[:, 3:]
    return xp.concat((cross(w, b[:, :3]), cross(w, b[:, 3:]) + cross(u, b[:, :3])), axis=1)


def wrench_cross(a: Array, f: Array) -> Array:
    """Rate of change of the wrench ``f`` that moves with the twist ``a``: a ×* f (n, 6, B)."""
    xp = namespace(a)
    w, u = a[:, :3], a[:, 3:]
    return xp.concat((cross(w, f[:, :3]) + cross(u, f[:, 3:]), cross(w, f[:, 3:])), axis=1)


# -- rigid bodies ---------------------------------------------------------------------------------


def inertia_matrix(pi: Array) -> Array:
    """Rotational inertia about the origin (n, 3, 3, B) of parameters (n, 10, B)."""
    xp = namespace(pi)
    a = [pi[:, k] for k in range(10)]
    rows = ((a[4], a[5], a[7]), (a[5], a[6], a[8]), (a[7], a[8], a[9]))
    return xp.stack([xp.stack(row, axis=1) for row in rows], axis=1)


def momentum(pi: Array, motion: Array) -> Array:
    """Inertia times motion (n, 6, B): momentum of a twist, wrench of an acceleration."""
    xp = namespace(motion)
    w, u, h = motion[:, :3], motion[:, 3:], pi[:, 1:4]
    return xp.concat(
        (rotate(inertia_matrix(pi), w) + cross(h, u), pi[:, :1] * u - cross(h, w)), axis=1
    )


def body_wrench(pi: Array, moving: Array) -> Array:
    """I a + twist ×* (I twist): the wrench (n, 6, B) that moves a body so.

    ``moving`` (n, 6, 2, B) holds twist and acceleration. Where the parameters are the same for the
    whole batch, I is a constant matrix; else (and in symbols) the form with fewest operations.
    """
    xp = namespace(moving)
    twist, acceleration = moving[:, :, 0], moving[:, :, 1]
    if xp.dense(moving) and pi.shape[-1] == 1:
        n, batch = moving.shape[0], moving.shape[-1]
        matrix = xp.linear(xp.constant("rigid", _RIGID[:, _RIGID_ROWS], moving), pi)
        both = xp.linear(matrix.reshape(n, 6, 6), moving)
        h = both[:, :, 0]
        first = (twist[:, :3, None] * h[:, None]).reshape(n, 18, batch)
        second = (twist[:, 3:, None] * h[:, None, 3:]).reshape(n, 9, batch)
        out = xp.linear_add(both[:, :, 1], xp.constant("w ×*", _TURN_CROSS, moving), first)
        return xp.linear_add(out, xp.constant("u ×*", _SLIDE_CROSS, moving), second)
    return _body_wrench(pi, twist, acceleration)


def _body_wrench(pi: Array, twist: Array, acceleration: Array) -> Array:
    """With the classical acceleration d = a + w × u of the origin:

    force = m d + α × h + w × (w × h), moment = I α + w × I w + h × d.
    """
    xp = namespace(twist)
    w, alpha = twist[:, :3], acceleration[:, :3]
    h = xp.broadcast(pi[:, 1:4], w.shape)
    inertia = inertia_matrix(pi)
    spin = xp.stack((twist[:, 3:], h, rotate(inertia, w)), axis=2)
    spin = cross(w[:, :, None], spin)
    lift = acceleration[:, 3:] + spin[:, :, 0]
    second = cross(xp.stack((w, h, alpha), axis=2), xp.stack((spin[:, :, 1], lift, h), axis=2))
    moment = rotate(inertia, alpha) + spin[:, :, 2] + second[:, :, 1]
    return xp.concat((moment, pi[:, :1] * lift + second[:, :, 0] + second[:, :, 2]), axis=1)


# -- across a joint placed by (R, p); for one-velocity joints, see the maps of ``transforms`` ------


def motion_to_child(rotation: Array, offset: Array, m: Array) -> Array:
    """Motions (n, 6, B), parent coordinates to child coordinates."""
    xp = namespace(m)
    w, u = m[:, :3], m[:, 3:]
    return xp.concat(
        (rotate_back(rotation, w), rotate_back(rotation, u + cross(w, offset))), axis=1
    )


def wrench_to_parent(rotation: Array, offset: Array, f: Array) -> Array:
    """Wrenches (n, 6, B), child coordinates to parent coordinates, about the parent's origin."""
    xp = namespace(f)
    force = rotate(rotation, f[:, 3:])
    return xp.concat((rotate(rotation, f[:, :3]) + cross(offset, force), force), axis=1)


def parameters_to_parent(rotation: Array, offset: Array, pi: Array) -> Array:
    """Inertial parameters (n, 10, B), child frame to parent frame, about the parent's origin."""
    xp = namespace(pi)
    mass, h = pi[:, :1], rotate(rotation, pi[:, 1:4])
    moved = h + mass * offset
    turned = multiply(multiply(rotation, inertia_matrix(pi)), transpose(rotation))
    # I + (p·h + h'·p) 1 - p hᵀ - h' pᵀ with h' = h + m p: the shift without skew matrices
    outer = offset[:, :, None] * h[:, None] + moved[:, :, None] * offset[:, None]
    trace = outer[:, 0, 0] + outer[:, 1, 1] + outer[:, 2, 2]
    i = turned - transpose(outer)
    six = (
        i[:, 0, 0] + trace, i[:, 0, 1], i[:, 1, 1] + trace,
        i[:, 0, 2], i[:, 1, 2], i[:, 2, 2] + trace,
    )  # fmt: skip
    mass = xp.broadcast(mass, (*mass.shape[:-1], moved.shape[-1]))
    return xp.concat((mass, moved, xp.stack(six, axis=1)), axis=1)


def articulated_to_parent(rotation: Array, offset: Array, body: Array) -> Array:
    """Articulated inertia with bias wrench [I | p] (n, 42, B), child frame to parent frame."""
    xp = namespace(body)
    block = body.reshape(body.shape[0], 6, 7, body.shape[-1])
    back = transpose(rotation)

    def turned(part: Array) -> Array:
        return multiply(multiply(rotation, part), back)

    j, h, m = (turned(block[:, r, c]) for r, c in _BLOCKS)
    arm = skew(offset)
    moved = h + multiply(arm, m)
    # J + P Hᵀ - (H + P M) P
    j = j + multiply(arm, transpose(h)) - multiply(moved, arm)
    p = wrench_to_parent(rotation, offset, block[:, :, 6])
    top = xp.concat((j, moved, p[:, :3, None]), axis=2)
    bottom = xp.concat((transpose(moved), m, p[:, 3:, None]), axis=2)
    return xp.concat((top, bottom), axis=1).reshape(body.shape[0], 42, -1)


_BLOCKS = (
    (slice(0, 3), slice(0, 3)),
    (slice(0, 3), slice(3, 6)),
    (slice(3, 6), slice(3, 6)),
)


def rigid_blocks(xp: Any, pi: Array, like: Array) -> Array:
    """[I | 0] (n, 42, B or 1) of rigid bodies (n, 10, B or 1)."""
    return xp.linear(xp.constant("articulated", _RIGID, like), pi)


def with_bias(xp: Any, body: Array, bias: Array) -> Array:
    """[I | p + bias] (n, 42, B) of [I | p] (n, 42, B or 1) and bias wrenches (n, 6, B)."""
    return xp.linear_add(body, xp.constant("seventh column", _SEVENTH_COLUMN, bias), bias)


BIAS_ROWS = slice(6, 42, 7)  # of [I | p] that are p
_RIGID_ROWS = [7 * i + j for i in range(6) for j in range(6)]  # of [I | p] that are I
_RIGID = np.zeros((1, 42, 10))
_RIGID[0, _RIGID_ROWS] = transforms.rigid_matrix()
_SEVENTH_COLUMN = np.zeros((1, 42, 6))
_SEVENTH_COLUMN[0, [7 * i + 6 for i in range(6)], range(6)] = 1.0


def _wrench_cross_matrix() -> np.ndarray:
    """(1, 6, 6, 6): a ×* f from the products of every a_i with every f_j."""
    out = np.zeros((1, 6, 6, 6))
    levi_civita = _LEVI_CIVITA.reshape(3, 3, 3)
    out[0, :3, :3, :3] = levi_civita  # w × moment
    out[0, :3, 3:, 3:] = levi_civita  # u × force
    out[0, 3:, :3, 3:] = levi_civita  # w × force
    return out


_TURN_CROSS = _wrench_cross_matrix()[:, :, :3].reshape(1, 6, 18)
_SLIDE_CROSS = _wrench_cross_matrix()[:, :, 3:, 3:].reshape(1, 6, 9)
