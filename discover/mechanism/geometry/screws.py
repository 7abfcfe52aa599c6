"""A tree of screws: mass matrix and static forces from joint screws at a reference pose.

Conventions, which all of `mechanism` shares. At the reference pose all body frames coincide in one
frame, the reference frame, with gravity along -z. Joint j is a screw S_j (6,), (angular, linear): a
unit rotation about a line, (w, p × w), or a unit translation (0, d). A body's placement in its
parent's frame is exp(S_j (q_j - q_reference,j)), the product of exponentials (Lynch and Park 2017,
chapter 4). A body has ten inertial parameters: mass, first moments (3), rotational inertia xx, xy,
yy, xz, yz, zz about the origin of the reference frame. H and static forces are linear in them and
smooth in the screws. All functions of screws take complex numbers, so that derivatives by a complex
step are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_STEP = 1e-30  # of derivatives by a complex step
GRAVITY = 9.81  # the scale of lengths rests on it: m g l and m l² are what torques show


@dataclass(frozen=True, kw_only=True, eq=False)
class ScrewTree:
    """Parents, joint kinds and reference pose of a tree; the screws are arguments of its methods.

    parents      (nv,) -1 for the base; a parent may have a larger number than its child
    turning      (nv,) True for an angle, False for a length
    reference    (nv,) the reference pose [rad | m]
    gravity      [m/s²] its size, along -z of the reference frame; zero where static forces vanish
    weight_open  whether its size is an unknown, which sliding joints alone show
    """

    parents: tuple[int, ...]
    turning: tuple[bool, ...]
    reference: Array
    gravity: float = GRAVITY
    weight_open: bool = False

    @property
    def seeks_weight(self) -> bool:
        """Whether the size of gravity is one of the unknowns."""
        return self.weight_open and self.gravity != 0 and not all(self.turning)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Parents before children."""
        done = {-1}
        order: list[int] = []
        while len(order) < len(self.parents):
            for j, p in enumerate(self.parents):
                if j not in done and p in done:
                    done.add(j)
                    order.append(j)
        return tuple(order)

    @cached_property
    def above(self) -> Array:
        """(nb, nb) bool, above[b, j]: joint j moves body b (its own joint included)."""
        nv = len(self.parents)
        result = np.zeros((nv, nv), dtype=bool)
        for j in self.order:
            result[j] = result[self.parents[j]] if self.parents[j] >= 0 else False
            result[j, j] = True
        return result

    @property
    def carriers(self) -> tuple[int, ...]:
        """The velocity coordinate that carries each one, -1 for the base."""
        return tuple(self.parents)

    @property
    def body_of(self) -> tuple[int, ...]:
        """The body behind each velocity coordinate."""
        return tuple(range(len(self.parents)))

    @cached_property
    def shared(self) -> Array:
        """(nv, nv) bool: two coordinates move a body together."""
        moved = self.above[:, list(self.body_of)].astype(int)
        return (moved.T @ moved) > 0

    def placements(self, screws: Array, q: Array) -> Array:
        """Motion transforms (n, nb, 6, 6) from each body's carrier to it."""
        eye = np.broadcast_to(np.eye(6), (len(q), 6, 6))
        steps = q - self.reference
        moved = [carry_motions(s, steps[:, j], self.turning[j], eye) for j, s in enumerate(screws)]
        return np.stack(moved, 1)

    def own_motions(self, screws: Array, v: Array) -> Array:
        """What each joint adds to its body's motion at rates v (n, nv): (n, nb, 6)."""
        return screws[None] * v[:, :, None]

    def own_units(self, screws: Array) -> Array:
        """The same for unit rates of each coordinate, (nb, 6, nv)."""
        return np.einsum("bi,bj->bij", screws, np.eye(len(screws)))

    def unit(self, raw: Array) -> Array:
        """Screws (..., nv, 6) of unit turning or sliding, no pitch, from any vectors."""
        w, u = raw[..., :3], raw[..., 3:]
        turning = np.asarray(self.turning)[:, None]
        w_size = np.sqrt((w * w).sum(-1, keepdims=True) + ~turning)
        u_size = np.sqrt((u * u).sum(-1, keepdims=True) + turning * 1.0)
        axis = w / w_size
        moment = u / w_size
        moment = moment - axis * (axis * moment).sum(-1, keepdims=True)
        zero = np.zeros_like(w)
        slide = u / np.where(turning, 1.0, u_size)
        return np.concatenate(
            [np.where(turning, axis, zero), np.where(turning, moment, slide)], axis=-1
        )

    def columns(self, screws: Array, q: Array) -> Array:
        """Motions (..., n, nb, 6, nv + 1) of each body, in its own frame, by unit rates of each
        joint; the last column is the acceleration that stands for gravity.

        screws   (..., nv, 6) unit
        q        (n, nv)
        """
        nv, lead = len(self.parents), screws.shape[:-2]
        out = np.zeros((*lead, len(q), nv, 6, nv + 1), dtype=screws.dtype)
        for j in self.order:
            out[..., j, :, :] = self.motions(screws[..., j, :], j, out, q)
        return out

    def motions(self, screw: Array, j: int, columns: Array, q: Array) -> Array:
        """The columns (..., n, 6, nv + 1) of body j with this screw, from its carrier's."""
        nv = len(self.parents)
        above = columns[..., self.parents[j], :, :]
        if self.parents[j] < 0:
            above = np.zeros((len(q), 6, nv + 1))
            above[:, 5, nv] = self.gravity
        moved = carry_motions(screw, q[:, j] - self.reference[j], self.turning[j], above)
        moved[..., :, j] = screw[..., None, :]
        return moved

    def features(self, columns: Array) -> Array:
        """Ten features (..., n, nb, 10, nv, nv + 1) of each pair of motions of each body: times
        inertial parameters and summed they are H and, in the last column, the static force."""
        return pair_features(columns[..., :-1], columns)

    def regressor(self, screws: Array, q: Array) -> Array:
        """(n, nv, nv + 1, 10 nv), which times the inertial parameters is [H | static force]."""
        f = self.features(self.columns(screws, q))
        n, nb, _, nv, more = f.shape
        return np.moveaxis(f, (3, 4), (1, 2)).reshape(n, nv, more, nb * 10)

    def forces(self, screws: Array, pi: Array, q: Array) -> Array:
        """[H | static force] (..., n, nv, nv + 1) with inertial parameters pi (nb, 10)."""
        c = self.columns(screws, q)
        stacked = (*c.shape[:-3], 6 * c.shape[-3], c.shape[-1])
        motions, momenta = c.reshape(stacked), momentum(pi, c).reshape(stacked)
        return motions[..., :-1].swapaxes(-1, -2) @ momenta

    def sensitivity(self, screws: Array, pi: Array, q: Array) -> Array:
        """d [H | static force] / d raw screws (6 nb, n, nv, nv + 1), at unit screws.

        A screw changes the motions of its body, and through these those of the bodies beyond it:
        so the change of its body's motions meets the wrenches of all these bodies, summed on it.
        """
        nb = len(screws)
        columns, X = self.columns(screws, q), self.placements(screws, q)
        wrenches = momentum(pi, columns)
        for j in reversed(self.order):
            if self.parents[j] >= 0:
                wrenches[:, self.parents[j]] += X[:, j].swapaxes(1, 2) @ wrenches[:, j]
        raw = np.repeat(screws[None].astype(complex), 6, 0) + 1j * _STEP * np.eye(6)[:, None]
        moved = self.unit(raw)
        out = np.zeros((nb, 6, len(q), columns.shape[-1] - 1, columns.shape[-1]))
        for j in self.order:
            change = self.motions(moved[:, j], j, columns, q).imag / _STEP  # (6, n, 6, nv + 1)
            if np.any(change):
                half = change.swapaxes(-1, -2) @ wrenches[:, j]
                out[j] = half[..., :-1, :] + half.swapaxes(-1, -2)[..., :-1, :]
        return out.reshape(6 * nb, *out.shape[2:])


def momentum(pi: Array, columns: Array) -> Array:
    """Momenta (..., nb, 6, k): spatial inertias of pi (nb, 10) times motions (..., nb, 6, k)."""
    return np.matmul(rigid(pi), columns)


def rigid(pi: Array) -> Array:
    """Spatial inertias (nb, 6, 6) of parameters (nb, 10)."""
    m, h = pi[:, 0], pi[:, 1:4]
    xx, xy, yy, xz, yz, zz = pi[:, 4:].T
    out = np.zeros((len(pi), 6, 6), dtype=pi.dtype)
    out[:, :3, :3] = np.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], -1).reshape(-1, 3, 3)
    out[:, :3, 3:] = skew(h)
    out[:, 3:, :3] = -skew(h)
    out[:, 3:, 3:] = m[:, None, None] * np.eye(3)
    return out


def pair_features(x: Array, y: Array) -> Array:
    """(..., 10, i, j): xᵢᵀ I yⱼ = Σ features · parameters, for motions (..., 6, i), (..., 6, j)."""
    w, u = x[..., :3, :, None], x[..., 3:, :, None]
    z, t = y[..., :3, None, :], y[..., 3:, None, :]
    (w1, w2, w3), (u1, u2, u3) = _parts(w), _parts(u)
    (z1, z2, z3), (t1, t2, t3) = _parts(z), _parts(t)
    return np.stack(
        np.broadcast_arrays(
            u1 * t1 + u2 * t2 + u3 * t3,
            t2 * w3 - t3 * w2 + u2 * z3 - u3 * z2,
            t3 * w1 - t1 * w3 + u3 * z1 - u1 * z3,
            t1 * w2 - t2 * w1 + u1 * z2 - u2 * z1,
            w1 * z1,
            w1 * z2 + w2 * z1,
            w2 * z2,
            w1 * z3 + w3 * z1,
            w2 * z3 + w3 * z2,
            w3 * z3,
        ),
        axis=-3,
    )


def _parts(x: Array) -> tuple[Array, Array, Array]:
    return x[..., 0, :, :], x[..., 1, :, :], x[..., 2, :, :]


def carry_motions(screw: Array, delta: Array, turning: bool, motions: Array) -> Array:
    """Motions (..., n, 6, k) of the parent's frame in the child's, whose joint with this screw
    (..., 6) has moved by `delta` (n,) from the reference pose."""

    w, u = screw[..., None, :3], screw[..., None, 3:]  # (..., 1, 3)
    if turning:
        s, c = np.sin(delta)[:, None, None], np.cos(delta)[:, None, None]
        k = skew(w)
        kk = k @ k
        rotation = np.eye(3) + s * k + (1 - c) * kk  # child to parent
        point = np.cross(w, u)
        offset = point - (rotation @ point[..., None])[..., 0]
        back = rotation.swapaxes(-1, -2)
        turned = motions[..., :3, :]
        linear = motions[..., 3:, :] - skew(offset) @ turned
        return np.concatenate([back @ turned, back @ linear], axis=-2)
    offset = u * delta[:, None]
    turned = motions[..., :3, :]
    linear = motions[..., 3:, :] - skew(offset) @ turned
    shape = (*linear.shape[:-2], 3, linear.shape[-1])
    return np.concatenate([np.broadcast_to(turned, shape), linear], axis=-2)


def skew(a: Array) -> Array:
    """The matrices (..., 3, 3) with skew(a) b = a × b."""
    x, y, z = a[..., 0], a[..., 1], a[..., 2]
    o = np.zeros_like(x)
    return np.stack([o, -z, y, z, o, -x, -y, x, o], -1).reshape(*a.shape[:-1], 3, 3)


def point_on(tree: ScrewTree, screws: Array, joint: int, points: Array) -> Array:
    """A point (3,) on a joint's axis, the nearest to its parent's point (of `points`, (nb, 3)); a
    sliding joint takes its parent's."""
    p = tree.parents[joint]
    above = points[p] if p >= 0 else np.zeros(3)
    if not tree.turning[joint]:
        return above
    w, u = screws[joint, :3], screws[joint, 3:]
    foot = np.cross(w, u)
    return foot + w * (w @ (above - foot))
