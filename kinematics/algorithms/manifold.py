"""Moving on the configuration manifold: q ⊕ v·dt and its inverse."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kinematics.recursion.inputs import as_array, check_width, common_batch, normalise
from kinematics.robot.tree import Robot, check_robot
from kinematics.spatial import rotations as rot


def integrate(robot: Robot, q: Any, v: Any, dt: Any = 1.0) -> Tensor:
    """The configuration (..., nq) reached from q by the constant velocity v (..., nv) in dt [s].

    Angles and lengths add; quaternions turn by the body-frame angular velocity; a free joint
    follows the screw of its body-frame twist exactly.
    """
    q, v = _pair(robot, q, v, "nv", "v")
    if not isinstance(dt, Tensor):
        dt = as_array("dt", dt)
    dt = dt.to(dtype=q.dtype, device=q.device)
    if dt.ndim:
        batches = (tuple(q.shape[:-1]), tuple(v.shape[:-1]), tuple(dt.shape))
        common_batch(("q", "v", "dt"), batches)
    step = v * (dt[..., None] if dt.ndim else dt)
    if not robot.quaternion_slices:
        return q + step
    q = normalise(robot, q)
    q, step = _broadcast(q, step)
    parts = []
    for joint in robot.independent_joints:
        kind = robot.kinds[joint]
        own, move = q[..., robot.q_slices[joint]], step[..., robot.v_slices[joint]]
        if kind == "spherical":
            parts.append(_turn(own, move))
        elif kind == "free":
            shift = rot.left_jacobian(move[..., :3], move[..., 3:])
            parts.append(own[..., :3] + rot.rotate_by_quaternion(own[..., 3:], shift))
            parts.append(_turn(own[..., 3:], move[..., :3]))
        else:
            parts.append(own + move)
    return torch.cat(parts, dim=-1)


def difference(robot: Robot, q0: Any, q1: Any) -> Tensor:
    """The velocity v (..., nv) with integrate(robot, q0, v, 1) = q1 (shortest turn)."""
    q0, q1 = _pair(robot, q0, q1, "nq", "q1")
    if not robot.quaternion_slices:
        return q1 - q0
    q0, q1 = _broadcast(normalise(robot, q0), normalise(robot, q1))
    parts = []
    for joint in robot.independent_joints:
        kind, at = robot.kinds[joint], robot.q_slices[joint]
        a, b = q0[..., at], q1[..., at]
        if kind == "spherical":
            parts.append(_turned(a, b))
        elif kind == "free":
            angle = _turned(a[..., 3:], b[..., 3:])
            back = rot.quaternion_conjugate(a[..., 3:])
            moved = rot.rotate_by_quaternion(back, b[..., :3] - a[..., :3])
            parts += [angle, rot.left_jacobian_inverse(angle, moved)]
        else:
            parts.append(b - a)
    return torch.cat(parts, dim=-1)


def _turn(quaternion: Tensor, vector: Tensor) -> Tensor:
    turned = rot.quaternion_product(quaternion, rot.exp_quaternion(vector))
    return turned / turned.norm(dim=-1, keepdim=True)


def _turned(a: Tensor, b: Tensor) -> Tensor:
    return rot.log_quaternion(rot.quaternion_product(rot.quaternion_conjugate(a), b))


def _pair(robot: Robot, q: Any, x: Any, size: str, name: str) -> tuple[Tensor, Tensor]:
    check_robot(robot)
    q, x = as_array("q", q), as_array(name, x)
    for label, value, width in (("q", q, robot.nq), (name, x, getattr(robot, size))):
        check_width(robot, label, value, width)
    if q.shape[:-1] != x.shape[:-1]:
        common_batch(("q", name), (tuple(q.shape[:-1]), tuple(x.shape[:-1])))
    dtype = torch.promote_types(q.dtype, x.dtype)
    return q.to(dtype), x.to(dtype=dtype, device=q.device)


def _broadcast(q: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    batch = torch.broadcast_shapes(q.shape[:-1], x.shape[:-1])
    return q.expand(*batch, q.shape[-1]), x.expand(*batch, x.shape[-1])
