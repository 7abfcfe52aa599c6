"""Joint terms: armature, viscous damping, smoothed Coulomb friction, springs.

Springs act along single coordinates, about ball joints, and on free joints. Their energy is
½ sᵀ K s with K the diagonal of the robot's ``stiffness`` and s the stretch:

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

from typing import Any

import torch
from torch import Tensor

from kinematics.arrays import Array
from kinematics.errors import RobotError
from kinematics.recursion.inputs import Inputs, enter
from kinematics.robot import joints
from kinematics.robot.tree import Robot
from kinematics.spatial import rotations as rot


def joint_forces(robot: Robot, q: Any, v: Any, a: Any) -> Array:
    """armature·a + damping·v + friction·tanh(v/speed) + stiffness·(q - reference), (..., nv).

    q [rad | m], v [rad/s | m/s], a [rad/s² | m/s²]; returns [N·m | N]: the part of ``rnea`` that
    is not rigid-body. ``speed`` is ``robot.friction_speed``. Springs of ball and free joints act
    on rotation vectors, as this module says.
    """
    return enter(robot, q, v, a).run(_forces)


def _forces(inputs: Inputs) -> Array:
    return add_forces(
        inputs, inputs.xp.zeros((inputs.robot.nv, inputs.count), like=inputs.public["q"])
    )


def add_forces(inputs: Inputs, tau: Array) -> Array:
    """``tau`` (nv, B) plus the joint terms, with the acceleration's where it is given."""
    armature = present(inputs, "armature")
    if armature is not None and "a" in inputs.public:
        tau = tau + armature * inputs.public["a"].T
    passive = velocity_forces(inputs)
    return tau if passive is None else tau + passive


def velocity_forces(inputs: Inputs) -> Array | None:
    """The joint terms (nv, B) that do not depend on the acceleration; None where there are none."""
    parts = []
    v = inputs.public["v"].T if "v" in inputs.public else None
    damping = present(inputs, "damping")
    if damping is not None and v is not None:
        parts.append(damping * v)
    friction = present(inputs, "friction")
    if friction is not None and v is not None:
        parts.append(friction * inputs.xp.tanh(v / inputs.robot.friction_speed))
    stiffness = present(inputs, "stiffness")
    if stiffness is not None:
        reference = constant(inputs, inputs.robot.spring_reference)
        parts.append(spring_forces(inputs, stiffness, reference))
    total: Array | None = None
    for part in parts:
        total = part if total is None else total + part
    return total


def present(inputs: Inputs, name: str) -> Array | None:
    """A joint term (nv, 1) in the caller's arrays, or None where the robot has none of it."""
    robot = inputs.robot
    return constant(inputs, getattr(robot, name)) if name in robot.active_terms else None


def constant(inputs: Inputs, value: torch.Tensor) -> Array:
    """A constant (nv,) of the robot as (nv, 1) in the caller's arrays."""
    q = inputs.public["q"]
    if isinstance(q, torch.Tensor):
        return value.to(dtype=q.dtype, device=q.device)[:, None]
    return value.detach().cpu().numpy()[:, None]


def spring_forces(inputs: Inputs, stiffness: Array, reference: Array) -> Array:
    """The springs' part of the joint forces (nv, B), of constants (nv, 1)."""
    out = stiffness * _single(inputs, reference)
    if not inputs.robot.turning_springs:
        return out
    robot = inputs.robot
    rows = [
        _of_columns(_turning(inputs, joint, stiffness, reference)[0], out)
        if joint in robot.turning_springs
        else out[robot.v_slices[joint]]
        for joint in robot.independent_joints
    ]
    return inputs.xp.concat(rows)


def spring_energy(inputs: Inputs, stiffness: Array, reference: Array) -> Array:
    """The springs' energy (B,) [J]."""
    stretched = _single(inputs, reference)
    total = (stiffness * stretched * stretched).sum(0) * 0.5
    for joint in inputs.robot.turning_springs:
        total = total + _of_columns(_turning(inputs, joint, stiffness, reference)[1], total)
    return total


def _single(inputs: Inputs, reference: Array) -> Array:
    """The stretch (nv, B) of one-velocity joints, zero for the others."""
    q, robot = inputs.public["q"], inputs.robot
    columns = [inputs.xp.zeros((q.shape[0],), like=q)] * robot.nv
    for joint in robot.independent_joints:
        at, dof = robot.q_slices[joint], robot.v_slices[joint]
        if joints.NV[robot.kinds[joint]] == 1:
            columns[dof.start] = q[:, at.start] - reference[dof.start]
    return inputs.xp.stack(columns, axis=0)


def _turning(
    inputs: Inputs, joint: int, stiffness: Array, reference: Array
) -> tuple[Tensor, Tensor]:
    """Force (B, 3 or 6) and energy (B,) of the spring of a ball joint or a free joint."""
    robot = inputs.robot
    at, dof = robot.q_slices[joint], robot.v_slices[joint]
    q, k, zero = (
        _tensor(robot.name, x)
        for x in (inputs.public["q"][:, at], stiffness[dof].T, reference[dof].T)
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
