"""Who takes part in the time ledger: simulator, compiled program, model, law, and the oracles.

Pinocchio and MuJoCo take part where they are installed; they are built from the same tree and the
same inertias as our robot, so that all answer the same question.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from discover.dynamics import Dynamics
from discover.ledger import Contender, from_numpy, from_torch
from discover.sampling import Batch

if TYPE_CHECKING:
    from kinematics import Robot


TRACE = 1e-9  # kg·m²


def line_up(robot: Robot, model: Dynamics | None, law: Any | None) -> list[Contender]:
    """All that can answer forward dynamics here, by name."""
    import kinematics

    found = [
        from_torch("simulator, torch eager", lambda q, v, tau: kinematics.aba(robot, q, v, tau)),
        from_numpy("simulator, compiled", kinematics.compile(robot, "aba", dtype="float64")),
    ]
    if model is not None:
        dtype = _dtype(model)
        note = type(model).__name__ if isinstance(model, torch.nn.Module) else ""
        found.append(from_torch("model", model, dtype=dtype, note=note))
    if law is not None:
        found.append(from_torch("law, torch eager", law))
        found.append(from_numpy("law, compiled", law.compile()))
    if find_spec("pinocchio") is not None and _single_coordinates(robot):
        found += _pinocchio(robot)
    if find_spec("mujoco") is not None and _single_coordinates(robot):
        found += _mujoco(robot)
    return found


def _dtype(model: Any) -> torch.dtype:
    """The precision a network computes in; float64 for anything else."""
    if isinstance(model, torch.nn.Module):
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                return tensor.dtype
    return torch.float64


def _single_coordinates(robot: Robot) -> bool:
    return all(kind in ("revolute", "continuous", "prismatic") for kind in robot.kinds)


def _pinocchio(robot: Robot) -> list[Contender]:
    import pinocchio as pin

    model = pinocchio_model(robot)
    data = model.createData()
    version = f"Pinocchio {pin.__version__}"

    def one_by_one(batch: Batch) -> Callable[[], Any]:
        rows = [
            tuple(np.ascontiguousarray(x[i].numpy()) for x in batch) for i in range(len(batch.q))
        ]

        def call() -> Any:
            for q, v, tau in rows:
                pin.aba(model, data, q, v, tau)

        return call

    found = [Contender(name=f"{version}, a call", prepare=one_by_one, dtype="float64")]
    if hasattr(pin, "abaInParallel"):
        pool = pin.ModelPool(model, 1)

        def pooled(batch: Batch) -> Callable[[], Any]:
            q, v, tau = (np.asfortranarray(x.numpy().T) for x in batch)
            out = np.zeros_like(v, order="F")
            return lambda: pin.abaInParallel(1, pool, q, v, tau, out)

        found.append(Contender(name=f"{version}, abaInParallel", prepare=pooled, dtype="float64"))
    return found


def pinocchio_model(robot: Robot) -> Any:
    """The robot's tree and inertias as a Pinocchio model (revolute and prismatic joints)."""
    import pinocchio as pin

    model = pin.Model()
    model.gravity = pin.Motion(robot.gravity.numpy(), np.zeros(3))
    for i, kind in enumerate(robot.kinds):
        axis = robot.axes[i].numpy()
        joint = (
            pin.JointModelPrismaticUnaligned(axis)
            if kind == "prismatic"
            else pin.JointModelRevoluteUnaligned(axis)
        )
        place = pin.SE3(robot.tree_rotation[i].numpy(), robot.tree_offset[i].numpy())
        added = model.addJoint(robot.parents[i] + 1, joint, place, robot.joint_names[i])
        mass, centre, inertia = _about_centre(robot.pi[i].numpy())
        model.appendBodyToJoint(added, pin.Inertia(mass, centre, inertia), pin.SE3.Identity())
    model.armature = robot.armature.numpy()
    return model


def _mujoco(robot: Robot) -> list[Contender]:
    """MuJoCo, unless it refuses the robot's inertias (it asks for the triangle inequality)."""
    import mujoco

    try:
        model = mujoco.MjModel.from_xml_string(mujoco_xml(robot))
    except ValueError:
        return []
    data = mujoco.MjData(model)

    def prepare(batch: Batch) -> Callable[[], Any]:
        rows = [
            tuple(np.ascontiguousarray(x[i].numpy()) for x in batch) for i in range(len(batch.q))
        ]

        def call() -> Any:
            for q, v, tau in rows:
                data.qpos[:], data.qvel[:], data.qfrc_applied[:] = q, v, tau
                mujoco.mj_forward(model, data)

        return call

    name = f"MuJoCo {mujoco.__version__}, mj_forward"
    note = "contacts and constraints off"
    return [Contender(name=name, prepare=prepare, dtype="float64", note=note)]


def mujoco_xml(robot: Robot) -> str:
    """The robot's tree, inertias and armature as MJCF, contacts and limits left out."""
    children: dict[int, list[int]] = {}
    for i, parent in enumerate(robot.parents):
        children.setdefault(parent, []).append(i)

    def numbers(values: Any) -> str:
        return " ".join(repr(float(x)) for x in np.ravel(values))

    def body(i: int) -> str:
        import mujoco

        mass, centre, inertia = _about_centre(robot.pi[i].numpy())
        # MuJoCo wants some inertia about every axis, even where nothing can turn.
        inertia = inertia + max(0.0, TRACE - np.linalg.eigvalsh(inertia)[0]) * np.eye(3)
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, robot.tree_rotation[i].numpy().ravel())
        full = [inertia[k] for k in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
        kind = "slide" if robot.kinds[i] == "prismatic" else "hinge"
        at = robot.v_slice(robot.joint_names[i])
        return (
            f'<body pos="{numbers(robot.tree_offset[i])}" quat="{numbers(quaternion)}">'
            f'<inertial mass="{mass!r}" pos="{numbers(centre)}" fullinertia="{numbers(full)}"/>'
            f'<joint type="{kind}" axis="{numbers(robot.axes[i])}"'
            f' armature="{numbers(robot.armature[at])}"/>'
            + "".join(body(child) for child in children.get(i, ()))
            + "</body>"
        )

    tree = "".join(body(i) for i in children.get(-1, ()))
    return (
        '<mujoco><compiler angle="radian" balanceinertia="false" boundmass="0"/>'
        f'<option gravity="{numbers(robot.gravity)}"><flag contact="disable" constraint="disable"/>'
        f"</option><worldbody>{tree}</worldbody></mujoco>"
    )


def _about_centre(pi: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Mass, centre of mass and inertia about it, from the ten parameters about the origin."""
    mass = float(pi[0])
    centre = pi[1:4] / mass if mass > 0 else np.zeros(3)
    xx, xy, yy, xz, yz, zz = pi[4:]
    about_origin = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    shift = mass * (centre @ centre * np.eye(3) - np.outer(centre, centre))
    return mass, centre, about_origin - shift
