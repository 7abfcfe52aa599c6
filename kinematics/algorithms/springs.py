"""Joint springs: along single coordinates, about ball joints, and of free joints.

The energy is ½ sᵀ K s with K the diagonal of the robot's ``stiffness`` and s the stretch:

- one velocity: s = q - reference;
- ball joint: s = φ, the rotation vector (|φ| ≤ π, in body axes) from the reference orientation,
  itself given as a rotation vector, to the present one;
- free joint: φ likewise, then the displacement of the body's origin in the parent's axes; the
  reference is a rotation vector and a position.

The force is the energy's derivative in body axes: V(φ)⁻¹ K φ and Rᵀ K (p - p₀), with V the left
Jacobian of rotations. Where the three stiffnesses of a rotation are equal the torque is k φ, which
is MuJoCo's. At |φ| = π the torque jumps from one side to the other, as there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kinematics.arrays import rotations as rot
from kinematics.arrays.inputs import Inputs
from kinematics.arrays.operations import Array
from kinematics.errors import RobotError
from kinematics.robot import joints


def forces(given: Inputs, stiffness: Array, reference: Array) -> Array:
    """The springs' part of the joint forces (nv, B), of constants (nv, 1)."""
    out = stiffness * _single(given, reference)
    if not given.robot.turning_springs:
        return out
    rows = [out[dof.start : dof.stop] for dof in given.robot.v_slices]
    for joint in given.robot.turning_springs:
        rows[joint] = _of_columns(_turning(given, joint, stiffness, reference)[0], out)
    return given.xp.concat(rows)


def energy(given: Inputs, stiffness: Array, reference: Array) -> Array:
    """The springs' energy (B,) [J]."""
    stretched = _single(given, reference)
    total = (stiffness * stretched * stretched).sum(0) * 0.5
    for joint in given.robot.turning_springs:
        total = total + _of_columns(_turning(given, joint, stiffness, reference)[1], total)
    return total


def _single(given: Inputs, reference: Array) -> Array:
    """The stretch (nv, B) of one-velocity joints, zero for the others."""
    q, robot = given.public["q"], given.robot
    columns = [given.xp.zeros((q.shape[0],), like=q)] * robot.nv
    for kind, at, dof in zip(robot.kinds, robot.q_slices, robot.v_slices, strict=True):
        if joints.NV[kind] == 1:
            columns[dof.start] = q[:, at.start] - reference[dof.start]
    return given.xp.stack(columns, axis=0)


def _turning(
    given: Inputs, joint: int, stiffness: Array, reference: Array
) -> tuple[Tensor, Tensor]:
    """Force (B, 3 or 6) and energy (B,) of the spring of a ball joint or a free joint."""
    robot = given.robot
    at, dof = robot.q_slices[joint], robot.v_slices[joint]
    q, k, zero = (
        _tensor(robot.name, x)
        for x in (given.public["q"][:, at], stiffness[dof].T, reference[dof].T)
    )
    quaternion = q[:, -4:]
    rest = rot.quaternion_conjugate(rot.exp_quaternion(zero[:, :3]))
    angle = rot.log_quaternion(rot.quaternion_product(rest.expand_as(quaternion), quaternion))
    torque = rot.left_jacobian_inverse(angle, k[:, :3] * angle)
    stored = (k[:, :3] * angle * angle).sum(-1) / 2
    if robot.kinds[joint] != "free":
        return torque, stored
    shift = q[:, :3] - zero[:, 3:]
    pull = k[:, 3:] * shift
    back = rot.rotate_by_quaternion(rot.quaternion_conjugate(quaternion), pull)
    return torch.cat((torque, back), dim=-1), stored + (pull * shift).sum(-1) / 2


def _tensor(name: str, x: Array) -> Tensor:
    """Rotation vectors are written in torch; numpy's numbers share their memory with it."""
    if isinstance(x, Tensor):
        return x
    if x.dtype.hasobject:
        raise RobotError(
            f"expected springs along single coordinates in a formula, found the spring of a ball "
            f"or free joint of {name}; set its stiffness to zero and add its force as a torque"
        )
    return torch.as_tensor(x)


def _of_columns(x: Tensor, like: Array) -> Array:
    """(B, ...) of torch as (..., B) in the caller's arrays."""
    return x.movedim(0, -1) if isinstance(like, Tensor) else x.movedim(0, -1).numpy()
