"""A robot prepared for cheap programs: joint axes along z, origins and inertias moved freely.

Three freedoms leave the equations of motion as they are and are used to make constants vanish:

* a body's frame may be turned so that its joint axis is z, and further about z by an angle that
  is added to the joint's own (Denavit and Hartenberg's frames, here for any tree);
* its origin may slide along a revolute axis, and anywhere for a prismatic one;
* inertia that a joint cannot tell from its parent's is moved to the parent (base parameters,
  Khalil and Dombre 2002, chapter 9): mass, first moment along the axis and second moment along
  the axis for a revolute joint, all second moments for a prismatic one, mass for a spherical one.

Inertia is kept as the 4 x 4 second-moment matrix ∫ (x, 1)(x, 1)ᵀ dm, in which all of this is
linear and a change of frame is ``A J Aᵀ``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kinematics.programs.elimination.steps import (
    Step,
    about,
    is_permutation,
    snap,
    steps_between,
)
from kinematics.robot.joints import TURNING


@dataclass(kw_only=True)
class Body:
    """One body and its joint, in the new frame."""

    index: int
    name: str
    parent: int
    kind: str
    q: slice
    v: slice
    steps: list[Step]
    offset: np.ndarray  # (3,) constant part of the origin, in the parent's frame
    moments: np.ndarray  # (4, 4) second moments about the new origin
    children: list[int] = field(default_factory=list)

    @property
    def scalar(self) -> bool:
        return self.kind in (*TURNING, "prismatic")


@dataclass(kw_only=True)
class Mechanism:
    """Bodies in the robot's order, gravity in the base frame, joint terms."""

    robot: Any
    bodies: list[Body]
    gravity: np.ndarray

    @property
    def roots(self) -> list[int]:
        return [b.index for b in self.bodies if b.parent < 0]

    def ancestors(self, index: int) -> list[int]:
        """The bodies from ``index`` itself to its root."""
        out = []
        while index >= 0:
            out.append(index)
            index = self.bodies[index].parent
        return out


def mechanism(robot: Any) -> Mechanism:
    """``robot`` with frames and origins chosen to make constants vanish."""
    turn, shift, axis = _plain(robot)
    nb = robot.nb
    parents = list(robot.parents)
    frames = [_axis_frame(robot.kinds[i], axis[i]) for i in range(nb)]
    children: list[list[int]] = [[] for _ in range(nb)]
    for i, p in enumerate(parents):
        if p >= 0:
            children[p].append(i)
    weight = [1] * nb
    for i in reversed(range(nb)):
        if parents[i] >= 0:
            weight[parents[i]] += weight[i]

    def relative(i: int) -> np.ndarray:
        base = frames[parents[i]] if parents[i] >= 0 else np.eye(3)
        return snap(base.T @ turn[i] @ frames[i])

    for p in range(nb):  # turn each frame about its axis so that a hard child becomes easy
        if robot.kinds[p] not in (*TURNING, "prismatic"):
            continue
        found = [(c, relative(c)) for c in children[p] if robot.kinds[c] != "free"]
        if not found or any(is_permutation(r) for _, r in found):
            continue
        _, hard = max(found, key=lambda t: weight[t[0]])
        gamma = np.arctan2(hard[0, 2], -hard[1, 2])
        frames[p] = snap(frames[p] @ about(2, gamma))
    origins = _origins(robot, parents, children, turn, shift, axis, frames)
    moments = [_moments(np.asarray(robot.pi[..., i, :].tolist())) for i in range(nb)]
    bodies = []
    for i in range(nb):
        p = parents[i]
        base, from_parent = (frames[p], origins[p]) if p >= 0 else (np.eye(3), np.zeros(3))
        offset = snap(base.T @ (turn[i] @ origins[i] + shift[i] - from_parent), 1e-15)
        to_new = np.eye(4)
        to_new[:3, :3] = frames[i].T
        to_new[:3, 3] = -frames[i].T @ origins[i]
        rotation = relative(i)
        root = p < 0
        bodies.append(
            Body(
                index=i,
                name=robot.joint_names[i],
                parent=p,
                kind=robot.kinds[i],
                q=robot.q_slices[i],
                v=robot.v_slices[i],
                steps=steps_between(robot.kinds[i], rotation, offset, root),
                offset=np.zeros(3) if root else offset,
                moments=to_new @ moments[i] @ to_new.T,
                children=children[i],
            )
        )
    gravity = np.asarray(robot.gravity.tolist())
    return Mechanism(robot=robot, bodies=bodies, gravity=gravity)


def _plain(robot: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        np.array([snap(np.asarray(r.tolist())) for r in robot.tree_rotation]),
        np.asarray(robot.tree_offset.tolist()),
        np.array([snap(np.asarray(a.tolist())) for a in robot.axes]),
    )


def _axis_frame(kind: str, axis: np.ndarray) -> np.ndarray:
    """A rotation whose third column is the joint axis; a signed permutation where it can be."""
    if kind not in (*TURNING, "prismatic"):
        return np.eye(3)
    k = int(np.abs(axis).argmax())
    first = np.zeros(3)
    first[(k + 1) % 3] = 1.0
    x = first - axis * (axis @ first)
    x = x / np.linalg.norm(x)
    return snap(np.stack([x, np.cross(axis, x), axis], axis=1))


def _moments(pi: np.ndarray) -> np.ndarray:
    """The 4 x 4 second moments of (m, m·c, Ixx, Ixy, Iyy, Ixz, Iyz, Izz)."""
    m, x, y, z, xx, xy, yy, xz, yz, zz = pi
    inertia = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    out = np.empty((4, 4))
    # diagonal second moments as sums that stay exactly zero for flat bodies
    out[:3, :3] = -inertia
    out[0, 0] = (yy + zz - xx) / 2
    out[1, 1] = (xx + zz - yy) / 2
    out[2, 2] = (xx + yy - zz) / 2
    out[:3, 3] = out[3, :3] = (x, y, z)
    out[3, 3] = m
    return out


def _origins(robot, parents, children, turn, shift, axis, frames) -> list[np.ndarray]:
    """Where each body's new origin lies in its old frame: slides that empty the offsets."""
    nb = robot.nb
    slides = np.zeros(nb)
    base = [np.zeros(3) for _ in range(nb)]

    def origin(i: int) -> np.ndarray:
        if robot.kinds[i] == "prismatic":
            return base[i]
        return axis[i] * slides[i] if robot.kinds[i] in TURNING else np.zeros(3)

    def offset(i: int) -> np.ndarray:
        p = parents[i]
        if p < 0:
            return np.zeros(3)
        return frames[p].T @ (turn[i] @ origin(i) + shift[i] - origin(p))

    def cost(i: int) -> float:
        x = offset(i)
        size = 1e-14 + 1e-13 * abs(shift[i]).max()
        return float(sum((1.0, 1.0, 0.98)[k] for k in range(3) if abs(x[k]) > size))

    def settle(i: int) -> None:
        """A prismatic joint's origin may lie anywhere: put it on its parent's."""
        p = parents[i]
        if p >= 0:
            base[i] = turn[i].T @ (origin(p) - shift[i])

    for _ in range(4):
        changed = False
        for i in range(nb):
            if robot.kinds[i] == "prismatic":
                settle(i)
            if robot.kinds[i] not in TURNING:
                continue
            affected = [i, *children[i]]
            best, best_cost = slides[i], sum(cost(j) for j in affected)
            start = slides[i]
            candidates = {0.0, start}
            for j in affected:
                slides[i] = 0.0
                at_zero = offset(j)
                slides[i] = 1.0
                rate = offset(j) - at_zero
                candidates |= {
                    float(-at_zero[k] / rate[k]) for k in range(3) if abs(rate[k]) > 1e-6
                }
                if j == i and parents[i] >= 0 and np.abs(rate[:2]).max() > 1e-6:
                    # the foot of the common normal with the parent's axis
                    flat = rate[:2]
                    candidates.add(float(-(at_zero[:2] @ flat) / (flat @ flat)))
            for value in sorted(candidates, key=abs):
                slides[i] = value
                total = sum(cost(j) for j in affected)
                if total < best_cost - 1e-9:
                    best, best_cost, changed = value, total, True
            slides[i] = best
        if not changed:
            break
    for i in range(nb):
        if robot.kinds[i] == "prismatic":
            settle(i)
    return [origin(i) for i in range(nb)]
