"""Orientations and places of all bodies from q, and MuJoCo's velocities from ours."""

from __future__ import annotations

import torch
from torch import Tensor

from kinematics import Robot
from kinematics.spatial.rotations import matrix_of_quaternion, rotate_by_quaternion


def rotation_of(quaternion: Tensor) -> Tensor:
    """Rotation matrices (…, 3, 3), body to parent, of unit quaternions wxyz (…, 4)."""
    flat = quaternion.reshape(-1, 4)
    return matrix_of_quaternion(flat).reshape(*quaternion.shape[:-1], 3, 3)


class Bodies:
    """Where the bodies stand: `turn(body)` (…, 3, 3) and `place(body)` (…, 3) [m], both in the
    world's axes, of the body's frame (at its joint). Only the way to the body is computed."""

    def __init__(self, robot: Robot, q: Tensor) -> None:
        self.robot = robot
        coupling = robot.coupling
        source = torch.as_tensor(coupling.q_source)
        scale, offset = (torch.as_tensor(x).to(q) for x in (coupling.q_scale, coupling.q_offset))
        self._full = q[..., source] * scale + offset
        self._slices = robot.unmimicked.q_slices
        self._known: dict[int, tuple[Tensor, Tensor]] = {}

    def turn(self, body: int) -> Tensor:
        return self._frame(body)[0]

    def place(self, body: int) -> Tensor:
        return self._frame(body)[1]

    def _frame(self, body: int) -> tuple[Tensor, Tensor]:
        if body not in self._known:
            robot, x = self.robot, self._full[..., self._slices[body]]
            turn, shift = self._joint(robot.kinds[body], robot.axes[body].to(x), x)
            fixed_turn, fixed_place = robot.tree_rotation[body].to(x), robot.tree_offset[body].to(x)
            turn = fixed_turn @ turn
            place = fixed_place + (fixed_turn @ shift.unsqueeze(-1)).squeeze(-1)
            parent = robot.parents[body]
            if parent >= 0:
                above, there = self._frame(parent)
                place = there + (above @ place.unsqueeze(-1)).squeeze(-1)
                turn = above @ turn
            self._known[body] = (turn, place)
        return self._known[body]

    def _joint(self, kind: str, axis: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Rotation and shift of a joint's coordinates x (…, nq_joint)."""
        still = torch.eye(3).to(x).expand(*x.shape[:-1], 3, 3)
        if kind == "prismatic":
            return still, x * axis
        nowhere = x.new_zeros(*x.shape[:-1], 3)
        if kind in ("spherical", "free"):
            return rotation_of(x[..., -4:]), x[..., :3] if kind == "free" else nowhere
        half = 0.5 * x
        quaternion = torch.cat((torch.cos(half), torch.sin(half) * axis), dim=-1)
        return rotation_of(quaternion), nowhere


def to_mujoco_velocity(robot: Robot, q: Tensor, v: Tensor) -> Tensor:
    """MuJoCo's qvel (…, nv): that of a free joint is linear, in the world's axes, then angular, in
    the body's; all others are ours."""
    out = v.clone()
    for q_at, v_at in _free_joints(robot):
        own = v[..., v_at]
        out[..., v_at] = torch.cat(
            (rotate_by_quaternion(q[..., q_at][..., 3:], own[..., 3:]), own[..., :3]), dim=-1
        )
    return out


def from_mujoco_velocity(robot: Robot, q: Tensor, qvel: Tensor) -> Tensor:
    """Our v (…, nv) of MuJoCo's qvel: the inverse of `to_mujoco_velocity`."""
    out = qvel.clone()
    for q_at, v_at in _free_joints(robot):
        back = q[..., q_at][..., 3:] * q.new_tensor((1.0, -1.0, -1.0, -1.0))
        given = qvel[..., v_at]
        out[..., v_at] = torch.cat(
            (given[..., 3:], rotate_by_quaternion(back, given[..., :3])), dim=-1
        )
    return out


def _free_joints(robot: Robot) -> list[tuple[slice, slice]]:
    return [
        (robot.q_slices[joint], robot.v_slices[joint])
        for joint in robot.independent_joints
        if robot.kinds[joint] == "free"
    ]
