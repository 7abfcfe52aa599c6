"""Pinocchio: its contenders, a robot as its model, and states in its coordinates.

Pinocchio's free-flyer has the quaternion xyzw and the velocity linear-first; joint axes along a
coordinate axis get its specialised joints, as its own URDF reader would choose.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from discover.blackbox.sampling import Batch
from discover.evaluation.contender import Contender, arrays
from discover.evaluation.simulators.passive_forces import with_passive_forces
from kinematics import Robot
from kinematics.robot.inertial_parameters import about_centre


def contenders(robot: Robot) -> list[Contender]:
    """Forward dynamics by `abaInParallel` on one thread, and by `aba` called state by state."""
    import pinocchio as pin

    model = pinocchio_model(robot)
    data = model.createData()
    version = f"Pinocchio {pin.__version__}"

    def one_by_one(batch: Batch) -> Callable[[], Any]:
        columns = coordinates(robot, *arrays(batch))[:3]
        states = [tuple(x[:, i].copy() for x in columns) for i in range(len(batch.q))]

        def call() -> Any:
            for q, v, tau in states:
                pin.aba(model, data, q, v, tau)

        return call

    def read(batch: Batch, result: np.ndarray) -> np.ndarray:
        return coordinates(robot, *arrays(batch))[3](result)

    engine = partial(Contender, kind="engine", family=version)
    rows = [engine(name=f"{version}, a call", prepare=one_by_one, answers=False)]
    if hasattr(pin, "abaInParallel"):
        pool = pin.ModelPool(model, 1)

        def pooled(batch: Batch) -> Callable[[], Any]:
            q, v, tau, _ = coordinates(robot, *arrays(batch))
            out = np.zeros_like(v, order="F")

            def call() -> np.ndarray:
                pin.abaInParallel(1, pool, q, v, tau, out)
                return out

            return call

        rows.insert(0, engine(name=f"{version}, abaInParallel", prepare=pooled, read=read))
    return rows


def reference(robot: Robot) -> Callable[[Batch], np.ndarray]:
    """Accelerations by Pinocchio's `aba` in its local convention, which is its accurate one."""
    import pinocchio as pin

    model = pinocchio_model(robot)
    data = model.createData()

    def answer(batch: Batch) -> np.ndarray:
        *columns, back = coordinates(robot, *arrays(with_passive_forces(robot, batch)))
        accelerations = [
            pin.aba(model, data, *(x[:, i].copy() for x in columns), pin.Convention.LOCAL).copy()
            for i in range(len(batch.q))
        ]
        return back(np.stack(accelerations, axis=1))

    return answer


def pinocchio_model(robot: Any) -> Any:
    """The `pinocchio.Model` of ``robot``: rigid bodies and armature; other joint terms are not
    part of its dynamics, see `joint_terms`."""
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
        model.appendBodyToJoint(
            number, pin.Inertia(*about_centre(robot.pi[i].numpy())), pin.SE3.Identity()
        )
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


def _velocity_order(robot: Any) -> list[int]:
    """Ours for each of Pinocchio's velocities: linear before angular for a free joint."""
    order: list[int] = []
    for kind, at in zip(robot.kinds, robot.v_slices, strict=True):
        indices = list(range(at.start, at.stop))
        order += indices[3:] + indices[:3] if kind == "free" else indices
    return order


def _position_order(robot: Any) -> list[int]:
    """Ours for each of Pinocchio's coordinates: quaternions xyzw."""
    order: list[int] = []
    for kind, at in zip(robot.kinds, robot.q_slices, strict=True):
        indices = list(range(at.start, at.stop))
        if kind in ("free", "spherical"):
            indices = indices[:-4] + indices[-3:] + indices[-4:-3]
        order += indices
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
