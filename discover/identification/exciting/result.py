"""`ExcitingMotion`: a designed motion with what it is expected to show; saved and read back."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discover.artifacts import made, write_json, write_text
from discover.errors import OutputError
from discover.identification.exciting.fourier import FourierMotion
from discover.identification.exciting.information import Showing
from discover.identification.exciting.limits import MotionLimits
from discover.records import Stored

Array = NDArray[np.float64]
RECORD, TABLE = "motion.json", "motion.csv"


@dataclass(frozen=True, kw_only=True)
class ExcitingMotion(Stored):
    """A periodic motion within a robot's limits, and what it shows of its base parameters.

    motion      q, v, a at any time: motion.at(time); it begins and ends at rest at motion.start
    limits      that it keeps, with what was filled in
    effort      the largest joint force it needs (nv,) by the robot's own parameters [N·m | N]
    noise, rate standard deviation of a joint force (nv,) and independent samples a second that
                the expected standard errors rest on
    parameters  names of the base parameters (k,)
    after_logs  the logs that count as known
    before      standard errors (k,) of the base parameters without any motion: of the logs, or of
                the description alone (uncertain by a typical body)
    random, designed   what one period of a random motion within the same limits, and of this one,
                shows; of random motions the one with the median gain
    notes       what was taken for granted
    """

    robot_name: str
    joints: tuple[str, ...]
    motion: FourierMotion
    limits: MotionLimits
    effort: Array
    noise: Array
    rate: float
    parameters: tuple[str, ...]
    after_logs: tuple[str, ...]
    before: Array
    random: Showing | None
    designed: Showing
    notes: tuple[str, ...]
    seconds: float
    seed: int

    def __repr__(self) -> str:
        """How good it is, beside a random one."""
        beside = f", random {self.random.condition:.3g}" if self.random is not None else ""
        return (
            f"ExcitingMotion({self.robot_name!r}, {self.motion.period:g} s, condition number "
            f"{self.designed.condition:.3g}{beside})"
        )

    def table(self, rate: float = 100.0) -> Array:
        """time, q, v, a (N, 1 + 3 nv) over one period, its end included, `rate` rows a second."""
        time = np.linspace(0, self.motion.period, round(self.motion.period * rate) + 1)
        return np.column_stack([time, *self.motion.at(time)])

    def write_csv(self, path: str | Path, rate: float = 100.0) -> Path:
        """Write `table` with a header (time, then q_, v_ and a_ of each joint), for a controller to
        play. Raises OutputError."""
        names = [f"{letter}_{joint}" for letter in "qva" for joint in self.joints]
        text = io.StringIO()
        header = ",".join(["time", *names])
        np.savetxt(text, self.table(rate), "%.9g", ",", header=header, comments="")
        return write_text(path, text.getvalue())

    def save(self, directory: str | Path, *, rate: float = 100.0) -> Path:
        """Write motion.csv, motion.json, motion.md and its figure. Returns the directory. Raises
        OutputError."""
        from discover.report.recorded.exciting import write

        directory = made(directory)
        self.write_csv(directory / TABLE, rate)
        write_json(directory / RECORD, self.to_dict())
        write(
            self.to_dict(), self.table(20 * self.motion.harmonics / self.motion.period), directory
        )
        return directory

    @classmethod
    def load(cls, directory: str | Path) -> ExcitingMotion:
        """Read back what `save` wrote. Raises OutputError where it is not there."""
        try:
            text = (Path(directory) / RECORD).read_text(encoding="utf-8")
            return cls.from_dict(json.loads(text))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(
                f"expected a designed motion in {directory}, found none that can be read: "
                f"{' '.join(str(error).split())[:120]}"
            ) from error
