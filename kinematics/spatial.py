"""Spatial vector algebra in blocks of three.

Conventions, once for the whole package: a motion or force 6-vector is (angular, linear); spatial
accelerations, not classical ones; everything is expressed in a body's own frame about that frame's
origin. A body's placement in its parent is a rotation ``R`` (child to parent coordinates) and an
offset ``p`` (the child's origin in the parent frame).

Layout: axis 0 counts bodies, the next axes are components, the last is the batch. So each
operation below is elementwise over all bodies of a level and over the whole batch.

Featherstone (2008), Rigid Body Dynamics Algorithms, chapter 2 and appendix A.
"""

from __future__ import annotations

from typing import NamedTuple

from kinematics.arrays import Array, namespace


class Pair(NamedTuple):
    """A 6-vector: angular part and linear part (moment and force for a wrench)."""

    angular: Array
    linear: Array

    def __add__(self, other: Pair) -> Pair:  # type: ignore[override]
        return Pair(self.angular + other.angular, self.linear + other.linear)


class RigidInertia(NamedTuple):
    """Mass (n, 1, B), first moment (n, 3, B) inertia about the origin (n, 3, 3, B)."""

    mass: Array
    moment: Array
    inertia: Array


def cross(a: Array, b: Array) -> Array:
    """a × b for 3-vectors along axis 1."""
    xp = namespace(a)
    ax, ay, az = a[:, 0], a[:, 1], a[:, 2]
    bx, by, bz = b[:, 0], b[:, 1], b[:, 2]
    return xp.stack((ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx), axis=1)


def skew(a: Array) -> Array:
    """The matrix (n, 3, 3, B) with skew(a) b = a × b."""
    xp = namespace(a)
    x, y, z = a[:, 0], a[:, 1], a[:, 2]
    zero = xp.zeros(x.shape, like=x)
    return xp.stack(
        (
            xp.stack((zero, -z, y), axis=1),
            xp.stack((z, zero, -x), axis=1),
            xp.stack((-y, x, zero), axis=1),
        ),
        axis=1,
    )


def multiply(a: Array, b: Array) -> Array:
    """Products of 3 x 3 matrices, (n, 3, 3, B) each."""
    return (a[:, :, :, None] * b[:, None]).sum(2)


def transpose(a: Array) -> Array:
    """Transposes of 3 x 3 matrices (n, 3, 3, B)."""
    return a.swapaxes(1, 2)


def rotate(rotation: Array, x: Array) -> Array:
    """R x: child coordinates to parent coordinates (and any 3 x 3 matrix by a vector)."""
    return (rotation * x[:, None]).sum(2)


def rotate_back(rotation: Array, x: Array) -> Array:
    """Rᵀ x: parent coordinates to child coordinates."""
    return (rotation * x[:, :, None]).sum(1)


def dot(a: Pair, b: Pair) -> Array:
    """Power of a wrench on a motion, (n, B)."""
    return (a.angular * b.angular).sum(1) + (a.linear * b.linear).sum(1)


def motion_to_child(rotation: Array, offset: Array, m: Pair) -> Pair:
    """Twists or accelerations, parent coordinates to child coordinates."""
    return Pair(
        rotate_back(rotation, m.angular),
        rotate_back(rotation, m.linear + cross(m.angular, offset)),
    )


def wrench_to_parent(rotation: Array, offset: Array, f: Pair) -> Pair:
    """Wrenches, child coordinates to parent coordinates, about the parent's origin."""
    force = rotate(rotation, f.linear)
    return Pair(rotate(rotation, f.angular) + cross(offset, force), force)


def motion_cross(a: Pair, b: Pair) -> Pair:
    """Rate of change of the motion ``b`` that moves with the twist ``a``: a × b."""
    return Pair(
        cross(a.angular, b.angular),
        cross(a.angular, b.linear) + cross(a.linear, b.angular),
    )


def wrench_cross(a: Pair, f: Pair) -> Pair:
    """Rate of change of the wrench ``f`` that moves with the twist ``a``: a ×* f."""
    return Pair(cross(a.angular, f.angular) + cross(a.linear, f.linear), cross(a.angular, f.linear))


def momentum(body: RigidInertia, m: Pair) -> Pair:
    """Inertia times motion: the momentum of a twist, or the wrench of an acceleration."""
    return Pair(
        rotate(body.inertia, m.angular) + cross(body.moment, m.linear),
        body.mass * m.linear - cross(body.moment, m.angular),
    )


def velocity_wrench(body: RigidInertia, twist: Pair) -> Pair:
    """twist ×* (I twist), the wrench that a steady twist needs, in its cheapest form."""
    w = twist.angular
    lift = cross(w, twist.linear)
    return Pair(
        cross(w, rotate(body.inertia, w)) + cross(body.moment, lift),
        body.mass * lift + cross(w, cross(w, body.moment)),
    )


def body_wrench(body: RigidInertia, twist: Pair, acceleration: Pair) -> Pair:
    """I a + twist ×* (I twist): the wrench that moves a body so, in its cheapest form.

    With the classical acceleration d = a + w × l of the origin:
    force = m d + α × h + w × (w × h), moment = I α + w × I w + h × d.
    """
    w, alpha = twist.angular, acceleration.angular
    lift = acceleration.linear + cross(w, twist.linear)
    moment = rotate(body.inertia, alpha) + cross(w, rotate(body.inertia, w))
    return Pair(
        moment + cross(body.moment, lift),
        body.mass * lift + cross(alpha, body.moment) + cross(w, cross(w, body.moment)),
    )


def inertia_to_parent(rotation: Array, offset: Array, body: RigidInertia) -> RigidInertia:
    """Rigid-body inertia, child frame to parent frame, about the parent's origin."""
    h = rotate(rotation, body.moment)
    moved = h + body.mass * offset
    turned = multiply(multiply(rotation, body.inertia), transpose(rotation))
    # I + (p·h + h'·p) 1 - p hᵀ - h' pᵀ  with h' = h + m p: the shift without skew matrices
    outer = offset[:, :, None] * h[:, None] + moved[:, :, None] * offset[:, None]
    trace = outer[:, 0, 0] + outer[:, 1, 1] + outer[:, 2, 2]
    return RigidInertia(body.mass, moved, turned + diagonal(trace) - transpose(outer))


def diagonal(x: Array) -> Array:
    """x times the unit matrix: (n, B) to (n, 3, 3, B)."""
    xp = namespace(x)
    zero = xp.zeros(x.shape, like=x)
    rows = ((x, zero, zero), (zero, x, zero), (zero, zero, x))
    return xp.stack([xp.stack(row, axis=1) for row in rows], axis=1)
