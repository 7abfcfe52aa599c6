"""Errors that an input can cause. Each message is one line: expected, found, the mend."""


class WorldlawError(Exception):
    """Base of every error caused by an input rather than by a fault of ours."""


class RobotError(WorldlawError):
    """A robot description, or an array handed over together with a robot, cannot be used."""
