"""Locked joints: a robot some of whose joints are held at a position, as if they were welded.

A locked joint leaves the coordinates; its body becomes part of the body that carries it, or of the
base. A machine whose logs show some of its joints only is described by its robot with the others
locked.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinematics.errors import RobotError
from kinematics.robot import joints
from kinematics.robot.tree import Robot
from kinematics.spatial.rotations import exp_quaternion, matrix_of_quaternion
from kinematics.spatial.transforms import parameters

_VELOCITY = (
    "armature", "damping", "friction", "stiffness", "spring_reference", "velocity_limit",
    "effort_limit",
)  # fmt: skip
_UNIT = 1e-3  # how far from one a quaternion's length may be, as it is written in files


def lock(robot: Robot, positions: Mapping[str, float | Sequence[float]]) -> Robot:
    """The robot with some joints held at positions [rad | m], by name; joints that mimic a locked
    one are locked with it.

    A ball joint is held at a unit quaternion wxyz, a free joint at position and quaternion (7).
    With the other joints at the same coordinates, H is the sub-block of the full robot's and rnea
    gives the same joint forces. Raises RobotError for a name that is no independent joint, a
    position of the wrong length, or when no joint is left.
    """
    held = _held(robot, positions)
    if not held:
        return robot
    kept = [i for i in range(robot.nb) if robot.joint_names[i] not in held]
    free = [i for i in robot.independent_joints if robot.joint_names[i] not in held]
    if not free:
        raise RobotError(
            f"expected a joint of {robot.name} that is not locked, found none; leave out one of "
            f"{', '.join(robot.independent_names)}"
        )
    anchors, rotations, offsets, pi = _welded(robot, held)
    number = {old: new for new, old in enumerate(kept)}
    like = robot.axes
    parents, tree_rotation, tree_offset = [], [], []
    for i in kept:
        parent = robot.parents[i]
        turn, shift = robot.tree_rotation[i], robot.tree_offset[i]
        if parent >= 0:
            shift = rotations[parent] @ shift + offsets[parent]
            turn = rotations[parent] @ turn
            parent = anchors[parent]
        parents.append(number[parent] if parent >= 0 else -1)
        tree_rotation.append(turn)
        tree_offset.append(shift)
    rows_v = [k for i in free for k in _span(robot.v_slices[i])]
    rows_q = [k for i in free for k in _span(robot.q_slices[i])]
    at_v, at_q = (torch.tensor(x, device=like.device) for x in (rows_v, rows_q))
    words = ", ".join(f"{name} at {_words(value)}" for name, value in held.items())
    return Robot(
        name=robot.name,
        joint_names=tuple(robot.joint_names[i] for i in kept),
        body_names=tuple(robot.body_names[i] for i in kept),
        kinds=tuple(robot.kinds[i] for i in kept),
        parents=parents,
        tree_rotation=torch.stack(tree_rotation),
        tree_offset=torch.stack(tree_offset),
        axes=robot.axes[kept],
        pi=torch.stack([pi[i] for i in kept], dim=-2),
        gravity=robot.gravity,
        lower=robot.lower[at_q],
        upper=robot.upper[at_q],
        mimic=tuple(m for m in robot.mimic if m.joint not in held),
        base_name=robot.base_name,
        friction_speed=robot.friction_speed,
        notes=(*robot.notes, f"locked: {words}"),
        actuation=_actuation(robot, held, rows_v),
        muscles=_muscles(robot, held, anchors, rotations, offsets, number),
        stepping=robot.stepping,
        **{name: getattr(robot, name)[at_v] for name in _VELOCITY},
    )


def _held(
    robot: Robot, positions: Mapping[str, float | Sequence[float]]
) -> dict[str, tuple[float, ...]]:
    """The position of every locked joint, mimics included. Raises RobotError."""
    held: dict[str, tuple[float, ...]] = {}
    drivers = {m.joint: m.driver for m in robot.mimic}
    for name, value in positions.items():
        if name in drivers:
            raise RobotError(
                f"expected a joint that moves by itself to lock, found {name!r}, which mimics "
                f"{drivers[name]!r}; lock that one"
            )
        if name not in robot.independent_names:
            near = difflib.get_close_matches(str(name), robot.independent_names, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise RobotError(
                f"expected a joint of {robot.name} to lock, found {name!r}; {hint}its joints are "
                f"{', '.join(robot.independent_names)}"
            )
        kind = robot.kinds[robot.joint_names.index(name)]
        held[name] = _position(name, kind, value)
    for m in robot.mimic:
        if m.driver in held:
            held[m.joint] = (m.multiplier * held[m.driver][0] + m.offset,)
    return held


def _position(name: str, kind: str, value: Any) -> tuple[float, ...]:
    size = joints.NQ[kind]
    try:
        numbers = np.atleast_1d(np.asarray(value, dtype=float)).ravel()
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    if len(numbers) != size or not np.isfinite(numbers).all():
        what = "a finite number" if size == 1 else f"{size} finite numbers"
        raise RobotError(
            f"expected {what} to lock the {kind} joint {name!r}, found {str(value)[:40]!r}"
        )
    if kind in joints.QUATERNION:
        length = float(np.linalg.norm(numbers[-4:]))
        if abs(length - 1) > _UNIT:
            raise RobotError(
                f"expected a unit quaternion wxyz to lock {name!r}, found one of length {length:g}"
            )
        numbers[-4:] /= length
    return tuple(numbers.tolist())


def _welded(
    robot: Robot, held: Mapping[str, tuple[float, ...]]
) -> tuple[list[int], list[Tensor], list[Tensor], list[Tensor]]:
    """For each body, in depth-first order: the body it is part of (itself, another one, -1 for the
    base), its frame there (rotation (3, 3), offset (3,)), and the parameters (..., 10) of all that
    is part of it."""
    like = robot.axes
    anchors: list[int] = []
    rotations: list[Tensor] = []
    offsets: list[Tensor] = []
    pi = [robot.pi[..., i, :] for i in range(robot.nb)]
    for i, name in enumerate(robot.joint_names):
        if name not in held:
            anchors.append(i)
            rotations.append(torch.eye(3, dtype=like.dtype, device=like.device))
            offsets.append(like.new_zeros(3))
            continue
        turn, shift = _joint(robot, i, held[name])
        shift = robot.tree_rotation[i] @ shift + robot.tree_offset[i]
        turn = robot.tree_rotation[i] @ turn
        parent = robot.parents[i]
        if parent >= 0:
            shift = rotations[parent] @ shift + offsets[parent]
            turn = rotations[parent] @ turn
            parent = anchors[parent]
        anchors.append(parent)
        rotations.append(turn)
        offsets.append(shift)
        if parent >= 0:
            matrix = parameters(turn.detach().cpu().double().numpy(),
                                shift.detach().cpu().double().numpy())  # fmt: skip
            move = torch.as_tensor(matrix, dtype=like.dtype, device=like.device)
            pi[parent] = pi[parent] + robot.pi[..., i, :] @ move.T
    return anchors, rotations, offsets, pi


def _joint(robot: Robot, i: int, value: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Rotation and offset of body i in its joint's frame at zero."""
    like, kind = robot.axes, robot.kinds[i]
    position = torch.tensor(value, dtype=like.dtype, device=like.device)
    none = like.new_zeros(3)
    still = torch.eye(3, dtype=like.dtype, device=like.device)
    if kind == "prismatic":
        return still, robot.axes[i] * position[0]
    if kind in joints.TURNING:
        return _matrix(exp_quaternion(robot.axes[i] * position[0])), none
    return _matrix(position[-4:]), position[:3] if kind == "free" else none


def _matrix(quaternion: Tensor) -> Tensor:
    return matrix_of_quaternion(quaternion[None])[0]


def _actuation(robot: Robot, held: Mapping[str, tuple[float, ...]], rows: list[int]) -> Any:
    """The same actuators on the joints that are left; what they do to locked ones is held there."""
    if robot.actuation is None:
        return None
    stiffness = robot.actuation.stiffness.clone()
    for name, value in held.items():
        i = robot.joint_names.index(name)
        if i in robot.independent_joints and any(value):
            at = robot.v_slices[i]
            if bool((stiffness[rows][:, at] != 0).any()):
                raise RobotError(
                    f"expected no servo across {name!r} and other joints where it is locked away "
                    "from zero, found one; lock it at zero, or load the robot without actuators"
                )
    return robot.actuation.on(rows)


def _span(at: slice) -> range:
    return range(at.start, at.stop)


def _words(value: tuple[float, ...]) -> str:
    return ", ".join(f"{x:g}" for x in value)


def _muscles(
    robot: Robot,
    held: Mapping[str, tuple[float, ...]],
    anchors: Sequence[int],
    rotations: Sequence[Tensor],
    offsets: Sequence[Tensor],
    number: Mapping[int, int],
) -> Any:
    """The same muscles on the bodies that are left."""
    if robot.muscles is None:
        return None
    still = {i: held[name][0] for i, name in enumerate(robot.joint_names) if name in held}
    paths = robot.muscles.paths.held(still).moved(anchors, rotations, offsets)
    return robot.muscles.on(paths.renumbered(number))
