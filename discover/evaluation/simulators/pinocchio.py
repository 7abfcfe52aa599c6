"""A robot as a Pinocchio model, and states in Pinocchio's coordinates.

Pinocchio's free-flyer has the quaternion xyzw and the velocity linear-first; joint axes along a
coordinate axis get its specialised joints, as its own URDF reader would choose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def pinocchio_model(robot: Any) -> Any:
    """The `pinocchio.Model` of ``robot``: rigid bodies and armature; other joint terms are not
    part of its dynamics."""
    import pinocchio as pin

    model = pin.Model()
    model.gravity = pin.Motion(np.asarray(robot.gravity.tolist()), np.zeros(3))
    numbers: list[int] = []
    for i in range(robot.nb):
        parent = 0 if robot.parents[i] < 0 else numbers[robot.parents[i]]
        placement = pin.SE3(
            np.asarray(robot.tree_rotation[i].tolist()), np.asarray(robot.tree_offset[i].tolist())
        )
        joint = _joint(pin, robot.kinds[i], np.asarray(robot.axes[i].tolist()))
        number = model.addJoint(parent, joint, placement, robot.joint_names[i])
        model.appendBodyToJoint(number, _inertia(pin, robot.pi[i].tolist()), pin.SE3.Identity())
        numbers.append(number)
    armature = np.asarray(robot.armature.tolist())
    model.armature = armature[_velocity_order(robot)]
    return model


def _joint(pin: Any, kind: str, axis: np.ndarray) -> Any:
    if kind == "free":
        return pin.JointModelFreeFlyer()
    if kind == "spherical":
        return pin.JointModelSpherical()
    aligned = np.flatnonzero(axis == 1.0)
    letter = "XYZ"[aligned[0]] if len(aligned) else None
    if kind == "prismatic":
        if letter:
            return getattr(pin, f"JointModelP{letter}")()
        return pin.JointModelPrismaticUnaligned(axis)
    return (
        getattr(pin, f"JointModelR{letter}")() if letter else pin.JointModelRevoluteUnaligned(axis)
    )


def _inertia(pin: Any, pi: list[float]) -> Any:
    m, x, y, z, xx, xy, yy, xz, yz, zz = pi
    about_origin = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    centre = np.array([x, y, z]) / m if m else np.zeros(3)
    cross = np.array(
        [[0, -centre[2], centre[1]], [centre[2], 0, -centre[0]], [-centre[1], centre[0], 0]]
    )
    return pin.Inertia(m, centre, about_origin + m * cross @ cross)


def _velocity_order(robot: Any) -> list[int]:
    """Ours for each of Pinocchio's velocities: linear before angular for a free joint."""
    order: list[int] = []
    for kind, at in zip(robot.kinds, robot.v_slices, strict=True):
        own = list(range(at.start, at.stop))
        order += own[3:] + own[:3] if kind == "free" else own
    return order


def _position_order(robot: Any) -> list[int]:
    """Ours for each of Pinocchio's coordinates: quaternions xyzw."""
    order: list[int] = []
    for kind, at in zip(robot.kinds, robot.q_slices, strict=True):
        own = list(range(at.start, at.stop))
        if kind in ("free", "spherical"):
            own = own[:-4] + own[-3:] + own[-4:-3]
        order += own
    return order


def coordinates(
    robot: Any, q: np.ndarray, v: np.ndarray, tau: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Row-major states (B, n) as Pinocchio's (n, B) columns, and the way back for velocities."""
    positions, velocities = _position_order(robot), _velocity_order(robot)
    back_order = np.argsort(velocities)

    def columns(x: np.ndarray, order: list[int]) -> np.ndarray:
        return np.asfortranarray(x[:, order].T)

    return (
        columns(q, positions),
        columns(v, velocities),
        columns(tau, velocities),
        lambda x: x[back_order].T,
    )
