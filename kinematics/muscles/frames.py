"""Where bodies are and how they move, in the base frame: what strings between bodies need.

All vectors are in the base frame's axes and all moments about its origin, so that a string's pull
is one wrench (x × e, e) whichever point on its line it is applied at, and its rate of length is
that wrench on the bodies' twists. Featherstone (2008), chapters 2 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinematics.arrays import TORCH, lazy
from kinematics.robot import joints
from kinematics.robot.tree import Robot
from kinematics.spatial.rotations import matrix_of_quaternion
from kinematics.spatial.transforms import skew


@dataclass(frozen=True, kw_only=True, eq=False)
class Tree:
    """Constants of a robot's full tree (mimic joints independent), as tensors of one dtype.

    A turning joint's rotation is base + sin q · sine + (1 - cos q) · versine, (nb, 3, 3) each;
    a sliding one moves by q · slide (nb, 3). ``levels`` are (bodies, rows of their parents), rows
    counting the base as nb. ``below`` (nb, nv) is 1 where a velocity moves a body. ``directions``
    (nv, 6) are the joints' motions, angular then linear, in their bodies' frames.
    """

    q_slices: tuple[slice, ...]
    kinds: tuple[str, ...]
    single: Tensor  # the coordinate of each body's joint, 0 where it has several
    turns: Tensor  # (nb,) whether it turns
    base: Tensor
    sine: Tensor
    versine: Tensor
    offset: Tensor
    slide: Tensor
    levels: tuple[tuple[Tensor, Tensor], ...]
    order: Tensor  # from level order to the robot's, the base last
    below: Tensor
    directions: Tensor
    dof_bodies: Tensor

    @classmethod
    def of(cls, robot: Robot, dtype: torch.dtype, device: torch.device) -> Tree:
        """The constants of ``robot``."""
        tree = robot.unmimicked if robot.mimic else robot
        nb = tree.nb
        base = tree.tree_rotation.to(dtype=dtype, device=device)
        axes = tree.axes.to(dtype=dtype, device=device)
        cross = torch.as_tensor(np.array([skew(a) for a in tree.axes.detach().cpu().numpy()]))
        cross = cross.to(dtype=dtype, device=device)
        turns = np.array([k in joints.TURNING for k in tree.kinds])
        slides = np.array([k == "prismatic" for k in tree.kinds])
        at = [
            s.start if t or p else 0 for s, t, p in zip(tree.q_slices, turns, slides, strict=True)
        ]
        depth: list[int] = []
        for parent in tree.parents:
            depth.append(0 if parent < 0 else depth[parent] + 1)
        levels = []
        for level in range(max(depth) + 1):
            bodies = [i for i in range(nb) if depth[i] == level]
            levels.append((bodies, [tree.parents[i] for i in bodies]))
        # where each body, and the base, stands in the order of levels (base first)
        order = {-1: 0}
        for bodies, _ in levels:
            order |= {body: len(order) + k for k, body in enumerate(bodies)}
        below = np.zeros((nb, tree.nv))
        for i in range(nb):
            if tree.parents[i] >= 0:
                below[i] = below[tree.parents[i]]
            below[i, tree.v_slices[i]] = 1

        def index(x: Any) -> Tensor:
            return torch.as_tensor(np.asarray(x, dtype=np.int64), device=device)

        def real(x: Any) -> Tensor:
            return torch.as_tensor(np.asarray(x, dtype=float)).to(dtype=dtype, device=device)

        directions = [_directions(k, a) for k, a in zip(tree.kinds, axes, strict=True)]
        slide = torch.einsum("nij,nj->ni", base, axes) * real(slides)[:, None]
        return cls(
            q_slices=tree.q_slices,
            kinds=tree.kinds,
            single=index(at),
            turns=torch.as_tensor(turns, device=device),
            base=base,
            sine=base @ cross,
            versine=base @ cross @ cross,
            offset=tree.tree_offset.to(dtype=dtype, device=device),
            slide=slide,
            levels=tuple((index(b), index([order[p] for p in ps])) for b, ps in levels),
            order=index([*(order[i] for i in range(nb)), 0]),
            below=real(below),
            directions=torch.cat(directions),
            dof_bodies=index([i for i in range(nb) for _ in range(joints.NV[tree.kinds[i]])]),
        )


def _directions(kind: str, axis: Tensor) -> Tensor:
    none = torch.zeros_like(axis)
    if kind == "prismatic":
        return torch.cat((none, axis))[None]
    if kind in joints.TURNING:
        return torch.cat((axis, none))[None]
    eye = torch.eye(6, dtype=axis.dtype, device=axis.device)
    return eye if kind == "free" else eye[:3]


class Frames:
    """The bodies of one robot at configurations q (B, nq), unit quaternions given.

    ``rotation`` (B, nb + 1, 3, 3) and ``position`` (B, nb + 1, 3) [m] of the bodies, the base last.
    """

    def __init__(self, robot: Robot, tree: Tree, q: Tensor) -> None:
        self.robot, self.tree = robot, tree
        self.q = robot.coupling.positions(TORCH, q) if robot.mimic else q
        self.rotation, self.position = self._placed()

    def _placed(self) -> tuple[Tensor, Tensor]:
        tree, q = self.tree, self.q
        x = q[:, tree.single]
        angle = torch.where(tree.turns, x, torch.zeros_like(x))[..., None, None]
        turn = tree.base + torch.sin(angle) * tree.sine + (1 - torch.cos(angle)) * tree.versine
        shift = tree.offset + x[..., None] * tree.slide
        if any(kind in joints.QUATERNION for kind in tree.kinds):
            turn, shift = self._with_quaternions(turn, shift)
        eye = torch.eye(3, dtype=q.dtype, device=q.device).expand(len(q), 1, 3, 3)
        rotations, positions = [eye], [q.new_zeros(len(q), 1, 3)]
        for bodies, parents in tree.levels:
            r = rotations[0] if len(rotations) == 1 else torch.cat(rotations, 1)
            p = positions[0] if len(positions) == 1 else torch.cat(positions, 1)
            r, p = r[:, parents], p[:, parents]
            rotations.append(r @ turn[:, bodies])
            positions.append(p + (r @ shift[:, bodies, :, None])[..., 0])
        return torch.cat(rotations, 1)[:, tree.order], torch.cat(positions, 1)[:, tree.order]

    def _with_quaternions(self, turn: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        turns, shifts = list(turn.unbind(1)), list(shift.unbind(1))
        for i, (kind, at) in enumerate(zip(self.tree.kinds, self.tree.q_slices, strict=True)):
            if kind not in joints.QUATERNION:
                continue
            own, base = self.q[:, at], self.tree.base[i]
            matrix = matrix_of_quaternion(own[:, -4:].T[None])[0]  # (3, 3, B)
            turns[i] = base @ matrix.permute(2, 0, 1)
            if kind == "free":
                shifts[i] = self.tree.offset[i] + own[:, :3] @ base.T
        return torch.stack(turns, 1), torch.stack(shifts, 1)

    def points(self, bodies: Tensor, at: Tensor) -> Tensor:
        """Points (B, n, 3) [m] that stand at ``at`` (n, 3) on bodies (rows, the base nb)."""
        return (self.rotation[:, bodies] @ at[..., None])[..., 0] + self.position[:, bodies]

    @lazy
    def motions(self) -> Tensor:
        """The motion (B, nv of the full tree, 6) that each unit of velocity is: its twist about
        the base's origin."""
        rotation = self.rotation[:, self.tree.dof_bodies]
        at = self.position[:, self.tree.dof_bodies]
        local = self.tree.directions
        angular = (rotation @ local[:, :3, None])[..., 0]
        linear = (rotation @ local[:, 3:, None])[..., 0]
        return torch.cat((angular, linear + torch.linalg.cross(at, angular)), -1)

    def velocities(self, v: Tensor) -> Tensor:
        """v (B, nv) as that of the full tree."""
        return self.robot.coupling.velocities(TORCH, v) if self.robot.mimic else v

    def twists(self, v: Tensor) -> Tensor:
        """Twists (B, nb + 1, 6) of the bodies about the base's origin, of v of the full tree."""
        moving = self.tree.below @ (self.motions * v[..., None])
        return torch.cat((moving, torch.zeros_like(moving[:, :1])), 1)

    def joint_forces(self, wrenches: Tensor) -> Tensor:
        """Joint forces (B, nv) of wrenches (B, nb + 1, 6) on bodies, about the base's origin."""
        carried = self.tree.below.T @ wrenches[:, :-1]
        return self.reduced((carried * self.motions).sum(-1))

    def reduced(self, tau: Tensor) -> Tensor:
        """Joint forces (B, ..., nv of the full tree) as those of the independent joints."""
        if not self.robot.mimic:
            return tau
        return self.robot.coupling.reduce(TORCH, tau.movedim(-1, 0)).movedim(0, -1)
