"""The named errors of bad input, each with a one-line message."""


class WorldlawError(Exception):
    """Base of every error that the input caused.

    The message is one line: what was expected, what was found, and the mend. The command line
    prints it and exits with status 2; anything else that is raised is a failure of ours.
    """


class RobotError(WorldlawError):
    """A robot description that cannot be read or is not supported."""
