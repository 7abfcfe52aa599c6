"""A robot's arrays: their shapes, and whether a robot is consistent in itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinematics.errors import RobotError
from kinematics.robot import joints

if TYPE_CHECKING:
    from kinematics.robot.tree import Robot

PER_BODY = {"tree_rotation": (3, 3), "tree_offset": (3,), "axes": (3,)}
PER_VELOCITY = (
    "armature", "damping", "friction", "stiffness", "spring_reference",
    "velocity_limit", "effort_limit",
)  # fmt: skip
PER_POSITION = ("lower", "upper")
NOT_GEOMETRY = {"pi", "name", "notes", "friction_speed", *PER_VELOCITY, *PER_POSITION}
ARRAYS = (*PER_BODY, "pi", "gravity", *PER_VELOCITY, *PER_POSITION)


def check(robot: Robot) -> None:
    """RobotError, in one line, at the first field that does not fit the others."""
    nb = robot.nb
    if nb == 0:
        raise RobotError(
            f"expected a robot with at least one moving joint, found none in {robot.name}; "
            'load it with root="free", or check the joint types'
        )
    for kind in robot.kinds:
        if kind not in joints.KINDS:
            raise RobotError(
                f"expected a joint kind among {', '.join(joints.KINDS)}, found {kind!r}; "
                "rename or replace the joint"
            )
    if len(robot.parents) != nb or any(not -1 <= p < i for i, p in enumerate(robot.parents)):
        raise RobotError(
            f"expected {nb} parents, each -1 or an earlier joint, found {list(robot.parents)}; "
            "order the joints depth first"
        )
    index = {name: i for i, name in enumerate(robot.joint_names)}
    mimicking = {m.joint for m in robot.mimic}
    for m in robot.mimic:
        ends = (m.joint, m.driver)
        single = all(e in index and joints.NV[robot.kinds[index[e]]] == 1 for e in ends)
        if not single or m.driver in mimicking:
            raise RobotError(
                f"expected {m.joint!r} to mimic an independent joint of one velocity, "
                f"found {m.driver!r}; name the independent joint"
            )
    for label, names in (("joint", robot.joint_names), ("body", robot.body_names)):
        if len(names) != nb or len(set(names)) != nb:
            raise RobotError(
                f"expected {nb} distinct {label} names, found {len(set(names))} of {len(names)}; "
                "rename the duplicates"
            )
    shapes: dict[str, tuple[int, ...]] = {key: (nb, *tail) for key, tail in PER_BODY.items()}
    shapes |= dict.fromkeys(PER_VELOCITY, (robot.nv,))
    shapes |= dict.fromkeys(PER_POSITION, (robot.nq,))
    shapes |= {"gravity": (3,)}
    for key, shape in shapes.items():
        found = tuple(getattr(robot, key).shape)
        if found != shape:
            raise RobotError(
                f"expected {key} of shape {shape} for {robot.name}, found {found}; reshape it"
            )
    if tuple(robot.pi.shape[-2:]) != (nb, 10):
        raise RobotError(
            f"expected pi of shape (..., {nb}, 10) for {robot.name}, "
            f"found {tuple(robot.pi.shape)}; give ten parameters a body"
        )
