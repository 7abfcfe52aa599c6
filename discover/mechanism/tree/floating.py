"""A tree with a free base: six velocity coordinates of the base, then those of the joints.

The base has coordinates of its own (a placement and a body-frame twist), so its frame is no matter
of choice: H between base and joints shows every joint's screw in the base's frame, one joint at a
time. With the base at rest the joints are a mechanism on a fixed base, from which the tree is
inferred.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from discover.mechanism.geometry.screws import Array, ScrewTree, carry_motions, skew
from discover.mechanism.local_dynamics import DynamicsSampler, LocalDynamics
from kinematics.spatial.rotations import exp_quaternion, matrix_of_quaternion

BASE_Q, BASE_V = 7, 6  # position and quaternion wxyz; angular and linear velocity
_IDLE = (0.0, 0.0, 0.0, 0.0, 0.0, 1.0)  # a unit screw, so that normalising it is harmless


class FloatingTree(ScrewTree):
    """A `ScrewTree` whose body 0 is the base, with parents[0] = -1 and an idle row in the screws.

    Configurations are (n, nb), with the base at the origin, upright, and the first column idle; or
    (n, 7 + joints) as the model has them (position, quaternion wxyz, joints). The reference frame
    is the base's; gravity is left to the caller.
    """

    @classmethod
    def over(cls, parents: tuple[int, ...], turning: tuple[bool, ...], reference: Array):
        """From parents, kinds and reference pose of the joints alone; -1 stands for the base."""

        return cls(
            parents=(-1, *(p + 1 for p in parents)),
            turning=(False, *turning),
            reference=np.concatenate([[0.0], reference]),
            gravity=0.0,
        )

    @property
    def carriers(self) -> tuple[int, ...]:
        """The velocity coordinate that carries each one; a free base's six form a chain."""
        bodies = (p + BASE_V - 1 for p in self.parents[1:])
        return (*range(-1, BASE_V - 1), *bodies)

    @property
    def body_of(self) -> tuple[int, ...]:
        """The body behind each velocity coordinate: six of the base, one of each joint."""
        return (0,) * BASE_V + tuple(range(1, len(self.parents)))

    def sorted(self) -> FloatingTree:
        """The same tree with bodies numbered parents first."""
        place = {-1: -1} | {j: k for k, j in enumerate(self.order)}
        return replace(
            self,
            parents=tuple(place[self.parents[j]] for j in self.order),
            turning=tuple(self.turning[j] for j in self.order),
            reference=np.asarray(self.reference)[list(self.order)],
        )

    def with_base(self, screws: Array) -> Array:
        """Screws (nb, 6) from those of the joints (nb - 1, 6)."""
        return np.concatenate([[_IDLE], screws])

    def columns(self, screws: Array, q: Array) -> Array:
        """Motions (..., n, nb, 6, nv + 1) as of a fixed tree; base coordinates come first. The last
        column, gravity's, is zero: H with the base shows all that static forces would."""
        nb, lead = len(self.parents), screws.shape[:-2]
        out = np.zeros((*lead, len(q), nb, 6, BASE_V + nb), dtype=screws.dtype)
        for j in self.order:
            out[..., j, :, :] = self.motions(screws[..., j, :], j, out, q)
        return out

    def motions(self, screw: Array, j: int, columns: Array, q: Array) -> Array:
        """The columns (..., n, 6, nv + 1) of body j with this screw, from its carrier's."""
        if j == 0:
            moved = np.zeros((*screw.shape[:-1], len(q), 6, columns.shape[-1]))
            moved[..., :BASE_V] = np.eye(6)
            return moved
        angle = self._joints(q)[:, j] - self.reference[j]
        moved = carry_motions(screw, angle, self.turning[j], columns[..., self.parents[j], :, :])
        moved[..., :, BASE_V - 1 + j] = screw[..., None, :]
        return moved

    def placements(self, screws: Array, q: Array) -> Array:
        """Motion transforms (n, nb, 6, 6), the base's from the world."""
        X = super().placements(screws, self._joints(q))
        if q.shape[1] == len(self.parents):
            X[:, 0] = np.eye(6)
            return X
        rotation, position = matrix_of_quaternion(q[:, 3:BASE_Q]), q[:, :3]
        back = rotation.swapaxes(1, 2)
        X[:, 0] = 0.0
        X[:, 0, :3, :3] = X[:, 0, 3:, 3:] = back
        X[:, 0, 3:, :3] = -back @ skew(position)
        return X

    def own_motions(self, screws: Array, v: Array) -> Array:
        """(n, nb, 6): the base's twist, each joint's screw times its rate."""
        return np.concatenate([v[:, None, :BASE_V], screws[None, 1:] * v[:, BASE_V:, None]], 1)

    def own_units(self, screws: Array) -> Array:
        """(nb, 6, nv)."""
        nb = len(self.parents)
        out = np.zeros((nb, 6, BASE_V - 1 + nb))
        out[0, :, :BASE_V] = np.eye(6)
        for j in range(1, nb):
            out[j, :, BASE_V - 1 + j] = screws[j]
        return out

    def _joints(self, q: Array) -> Array:
        nb = len(self.parents)
        if q.shape[1] == nb:
            return q
        return np.concatenate([np.zeros((len(q), 1)), q[:, BASE_Q:]], 1)


class FloatingBaseSampler(DynamicsSampler):
    """Estimates H and bias force of a model with a free base. The region's q holds a rotation
    vector (3) and a position (3) of the base, then joint coordinates."""

    def draw(self, n: int, width: float = 1.0) -> Array:
        """n configurations (n, 7 + joints): position, quaternion wxyz, joints."""
        offset = super().draw(n, width)
        turn = exp_quaternion(torch.from_numpy(offset[:, :3])).numpy()
        return np.concatenate([offset[:, 3:BASE_V], turn, offset[:, BASE_V:]], 1)


class FixedBaseSampler(DynamicsSampler):
    """Estimates H and bias force of the joints of a model with a free base, the base at rest at the
    origin and upright."""

    def __init__(self, whole: FloatingBaseSampler):
        self.whole, self.blackbox, self.seed = whole, whole.blackbox, whole.seed
        self.nv = whole.nv - BASE_V
        self.region, self.stretch, self.rng = whole.region, whole.stretch, whole.rng
        self.noise, self.scatter = whole.noise, whole.scatter

    def draw(self, n: int, width: float = 1.0) -> Array:
        """n configurations (n, joints)."""
        low, high = self.bounds("q", width)
        return self.rng.uniform(low, high, (n, self.nv))

    def at(self, q: Array, v: Array | None = None, replicates: int = 1) -> LocalDynamics:
        """H and bias force of the joints at q, v (n, joints)."""
        q = np.atleast_2d(q)
        local = self.with_base(q, v, replicates).joints(list(range(BASE_V, BASE_V + self.nv)))
        return replace(local, q=q)

    def with_base(self, q: Array, v: Array | None = None, replicates: int = 1) -> LocalDynamics:
        """H and bias force of base and joints at q, v (n, joints)."""
        base = np.tile([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], (len(q), 1))
        full = None if v is None else np.concatenate([np.zeros((len(q), BASE_V)), v], 1)
        return self.whole.at(np.concatenate([base, q], 1), full, replicates)

    def bounds(self, group: str, width: float = 1.0) -> tuple[Array, Array]:
        """Lower and upper bounds (joints,), (joints,); see `DynamicsSampler.bounds`."""
        low, high = super().bounds(group, width)
        return low[BASE_V:], high[BASE_V:]
