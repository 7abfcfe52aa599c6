"""The named errors of bad input to the instrument, each with a one-line message.

All of them derive from `WorldlawError`, which the command line turns into exit status 2.
"""

from kinematics.errors import RobotError, WorldlawError

__all__ = [
    "CheckpointError",
    "DatasetError",
    "LawError",
    "ModelError",
    "OutputError",
    "RecipeError",
    "RegionError",
    "RobotError",
    "WorldlawError",
]


class RegionError(WorldlawError):
    """A region of states that is inside out, not finite or of the wrong length."""


class RecipeError(WorldlawError):
    """A recipe that cannot be read, has an unknown key or a value of the wrong type."""


class DatasetError(WorldlawError):
    """A stored data set or a recording that is truncated, foreign, edited or inconsistent."""


class CheckpointError(WorldlawError):
    """A stored model that is truncated, foreign or does not fit."""


class ModelError(WorldlawError):
    """A model that raises, mutates its inputs, or answers with wrong shapes or NaN."""


class LawError(WorldlawError, ValueError):
    """Something that a law cannot give, such as an unknown target of an export."""


class OutputError(WorldlawError):
    """A place that cannot be written: a full disk, a missing or an unwritable directory."""
