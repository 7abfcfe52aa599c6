"""Where every body stands in the base frame, and the joint axes there: what contacts need of q.

Tree algorithms keep everything in the bodies' own frames; gaps are asked between bodies, so here
placements are chained to the base. The motion of a point of a body at unit speed of one joint is
then a product of that joint's axis, one 6-vector whatever the body, with the point's place: the
Jacobian of nc points needs nv such axes, not one for each body and joint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kinematics.arrays import untransformed
from kinematics.recursion.inputs import Inputs
from kinematics.robot import joints
from kinematics.robot.tree import Robot
from kinematics.spatial import algebra as spatial
from kinematics.spatial.rotations import matrix_of_quaternion
from kinematics.spatial.transforms import skew


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A robot's constants for placing its bodies, in rows [scalar joints, quaternion joints].

    The rotation of a scalar joint is still + cos q · turned + sin q · crossed (Rodrigues' formula
    times the joint's place in its parent; a slide has the first alone), its shift slide · q.
    """

    levels: tuple[tuple[Tensor, Tensor], ...]  # of each depth the bodies, and their parents
    rows: Tensor  # (nb): from [scalar, quaternion] to the robot's order
    scalar_q: Tensor
    still: Tensor  # (scalars, 3, 3, 1), likewise turned and crossed
    turned: Tensor
    crossed: Tensor
    slide: Tensor  # (scalars, 3, 1) in the parent's frame
    quaternion_q: Tensor  # four for each such joint
    position_q: Tensor  # three for each, those of an extra row of zeros where it is spherical
    rotation: Tensor  # (quaternions, 3, 3, 1) place of the joint in its parent
    offset: Tensor  # (nb, 3, 1), [scalar, quaternion]
    dof_body: Tensor  # (nv)
    turn_axis: Tensor  # (nv, 3, 1) angular and linear part of each axis in its body's frame
    slide_axis: Tensor
    carries: Tensor  # (nb + 1, nv): one where the velocity moves the body; the last is the base


@dataclass(frozen=True, kw_only=True)
class Places:
    """Bodies and joint axes in the base frame; the last body is the base itself.

    rotation (nb + 1, 3, 3, B), position (nb + 1, 3, B) [m]; axes (nv, 6, B): the motion, angular
    then linear at the base's origin, of all that a joint carries at unit speed. Bodies are in the
    robot's order, velocities those of the full tree.
    """

    chain: Chain
    rotation: Tensor
    position: Tensor
    axes: Tensor


def places(inputs: Inputs) -> Places:
    """The places of all bodies at the configurations of ``inputs``."""
    q = torch.as_tensor(inputs.q)
    chain = chain_of(inputs.tree, q)
    rotation, position = _chained(chain, *_in_parents(chain, q.T))
    r, p = rotation[chain.dof_body], position[chain.dof_body]
    turn = spatial.rotate(r, chain.turn_axis)
    slide = spatial.rotate(r, chain.slide_axis) + torch.linalg.cross(p, turn, dim=1)
    axes = torch.cat((turn, slide), dim=1)
    return Places(chain=chain, rotation=rotation, position=position, axes=axes)


def _in_parents(chain: Chain, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Rotation (nb, 3, 3, B) and origin (nb, 3, B) of each body in its parent's frame."""
    batch = columns.shape[-1]
    x = columns[chain.scalar_q][:, None]
    angle = x[:, None]
    turned = torch.addcmul(chain.still, chain.turned, angle.cos())
    rotation = torch.addcmul(turned, chain.crossed, angle.sin())
    shift = chain.slide * x
    count = len(chain.rotation)
    if count:
        unit = matrix_of_quaternion(columns[chain.quaternion_q].reshape(count, 4, batch))
        padded = torch.cat((columns, columns.new_zeros(1, batch)))
        moved = padded[chain.position_q].reshape(count, 3, batch)
        rotation = torch.cat((rotation, spatial.multiply(chain.rotation, unit)))
        shift = torch.cat((shift, spatial.rotate(chain.rotation, moved)))
    return rotation[chain.rows], (chain.offset + shift)[chain.rows]


def _chained(chain: Chain, rotation: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """The same in the base frame, with the base as the last row."""
    batch = rotation.shape[-1]
    base = torch.eye(3, dtype=rotation.dtype, device=rotation.device)[None, :, :, None]
    turns, origins = [base.expand(1, 3, 3, batch)], [offset.new_zeros(1, 3, batch)]
    for bodies, parents in chain.levels:
        r, p = turns[-1][parents], origins[-1][parents]
        origins.append(p + spatial.rotate(r, offset[bodies]))
        turns.append(spatial.multiply(r, rotation[bodies]))
    order = torch.argsort(torch.cat([bodies for bodies, _ in chain.levels])) + 1
    order = torch.cat((order, order.new_zeros(1)))
    return torch.cat(turns)[order], torch.cat(origins)[order]


def chain_of(robot: Robot, like: Tensor) -> Chain:
    """The constants of ``robot`` as tensors like ``like``; kept once made."""
    key = ("chain", like.dtype, like.device)
    found = robot._cache.get(key)
    if found is None:
        with untransformed():
            found = robot._cache[key] = _chain(robot, like)
    return found


def _chain(robot: Robot, like: Tensor) -> Chain:
    def number(x: object) -> Tensor:
        return torch.as_tensor(np.asarray(x, dtype=float)).to(like.dtype).to(like.device)

    def index(x: object) -> Tensor:
        return torch.as_tensor(np.asarray(x, dtype=np.int64)).to(like.device)

    axes, placed, offset = (
        x.detach().cpu().double().numpy()
        for x in (robot.axes, robot.tree_rotation, robot.tree_offset)
    )
    quaternion = [b for b, kind in enumerate(robot.kinds) if kind in joints.QUATERNION]
    scalar = [b for b in range(robot.nb) if b not in quaternion]
    turning = np.array([float(robot.kinds[b] in joints.TURNING) for b in scalar])
    square = np.array([skew(axes[b]) @ skew(axes[b]) for b in scalar]).reshape(-1, 3, 3)
    cross = np.array([skew(axes[b]) for b in scalar]).reshape(-1, 3, 3)
    turns = turning[:, None, None, None]
    own = placed[scalar]
    motion = np.zeros((robot.nv, 6))
    dof_body = np.zeros(robot.nv, dtype=int)
    carries = np.zeros((robot.nb + 1, robot.nv))
    position_q = []
    for b, kind in enumerate(robot.kinds):
        at = robot.v_slices[b]
        dof_body[at] = b
        if kind in joints.QUATERNION:
            motion[at] = np.eye(6)[: at.stop - at.start]
        else:
            part = 0 if kind in joints.TURNING else 3
            motion[at, part : part + 3] = axes[b]
        carries[b] = carries[robot.parents[b]]
        carries[b, at] = 1.0
    for b in quaternion:
        start = robot.q_slices[b].start
        free = robot.kinds[b] == "free"
        position_q += [start + k if free else robot.nq for k in range(3)]
    return Chain(
        levels=_levels(robot, index),
        rows=index(np.argsort(scalar + quaternion)),
        scalar_q=index([robot.q_slices[b].start for b in scalar]),
        still=number((own @ (np.eye(3) + square * turns[..., 0]))[..., None]),
        turned=number(-(own @ square)[..., None] * turns),
        crossed=number((own @ cross)[..., None] * turns),
        slide=number((own @ axes[scalar][..., None]) * (1 - turns[..., 0])),
        quaternion_q=index([robot.q_slices[b].stop - 4 + k for b in quaternion for k in range(4)]),
        position_q=index(position_q),
        rotation=number(placed[quaternion][..., None]),
        offset=number(offset[scalar + quaternion][..., None]),
        dof_body=index(dof_body),
        turn_axis=number(motion[:, :3, None]),
        slide_axis=number(motion[:, 3:, None]),
        carries=number(carries),
    )


def _levels(robot: Robot, index: object) -> tuple[tuple[Tensor, Tensor], ...]:
    """The bodies of each depth, with the rows of their parents among those of the depth above."""
    made, above = [], {-1: 0}
    while len(above) and (here := [b for b, p in enumerate(robot.parents) if p in above]):
        made.append((index(here), index([above[robot.parents[b]] for b in here])))  # type: ignore[operator]
        above = {b: row for row, b in enumerate(here)}
    return tuple(made)
