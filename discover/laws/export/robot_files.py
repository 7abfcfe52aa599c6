"""The robot of a law as URDF and MJCF, with what the files cannot state said in them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from discover.laws.extensions import LawExtension
from discover.laws.rigid_body.consistency import possible_bodies
from kinematics import Robot, RobotError


def robot_file(
    write: Callable[..., str],
    robot: Robot,
    extensions: Sequence[LawExtension],
    remarks: Sequence[str],
    **options: Any,
) -> str:
    """The text that `write`, kinematics.to_urdf or to_mjcf, gives for a law of this robot.

    Parameters of bodies that cannot exist are replaced by possible ones that move exactly alike.
    What the law has beside its bodies is said in the comment and in a warning. RobotError, one
    line, where no possible bodies move like those that were identified.
    """
    lines = list(remarks)
    possible = possible_bodies(robot)
    if possible is not None and possible is not robot:
        lines.append("the identified parameters are those of possible bodies that move alike")
    beside = [f"{x.label} ({x.description})" for x in extensions]
    if beside:
        lines.append(f"of the law, not in this file: {'; '.join(beside)}")
        warnings.warn(f"{robot.name}: {lines[-1]}", stacklevel=4)
    try:
        return write(robot if possible is None else possible, lines, **options)
    except RobotError as error:
        if possible is not None:
            raise
        raise RobotError(
            f"expected a law of bodies that can exist for a file, found none that move as these do "
            f"({' '.join(str(error).split())[:160]}); law.export and law.compile state it as it is"
        ) from error
