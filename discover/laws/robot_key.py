"""A robot by all but its inertial parameters: what columns of forces depend on."""

from __future__ import annotations

from kinematics import Robot


class RobotKey:
    """Hashed and compared by tree, joints, geometry and gravity, for what is computed once."""

    def __init__(self, robot: Robot):
        record = robot.to_dict()
        for field in ("pi", "name", "notes"):
            record.pop(field, None)
        self.robot, self.text = robot, repr(record)

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RobotKey) and other.text == self.text
