"""Logs of a machine as arrays, in SI units and the robot's coordinates, all values checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from discover.data.columns.channels import read_channels
from discover.data.columns.coordinates import joint_side
from discover.data.formats.table import Scalar
from discover.data.settings import LogLayout, Recording
from discover.errors import DatasetError

if TYPE_CHECKING:
    from kinematics import Robot

Array = NDArray[np.float64]
FEWEST = 8  # rows, or it is no log
GAP_STEPS = 40  # median steps: joint forces are not interpolated over longer ones


@dataclass(frozen=True, kw_only=True)
class Log:
    """One trajectory as recorded, in SI units: time (N,) from its start [s], strictly increasing,
    q (N, nq), v (N, nv), tau (N, nv).

    v is None where no velocity was recorded. Where joint forces were shifted by a delay, only
    samples are left whose force was recorded. scalars: what the file says beside its columns, such
    as a mass. notes: what was found out or mended on reading, in words. path: where it was read.
    """

    name: str
    sha256: str
    time: Array
    q: Array
    v: Array | None
    tau: Array
    scalars: Mapping[str, Scalar] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    path: str = ""

    @property
    def step(self) -> float:
        """The median step [s]."""
        return float(np.median(np.diff(self.time)))

    @property
    def rate(self) -> float:
        """Samples a second [Hz]."""
        return 1 / self.step

    @property
    def duration(self) -> float:
        """From the first sample to the last [s]."""
        return float(self.time[-1])


def read_log(name: str, recording: Recording, robot: Robot | None = None) -> Log:
    """Read one log of a recording. DatasetError, one line with file, column and row, where a column
    is missing, a value is no finite number, or time does not increase.

    Dates are read as seconds from the first one. Without a robot, coordinates are in the order of
    the columns.
    """
    folder = Path(recording.place)
    window = recording.smoothing.window
    fewest = window if isinstance(window, int) else FEWEST
    return log_of(folder / name, recording, robot, name=name, fewest=fewest)


def log_of(
    path: Path,
    layout: LogLayout,
    robot: Robot | None = None,
    *,
    name: str | None = None,
    fewest: int = FEWEST,
) -> Log:
    """The log at a path: a file, or a folder with its parts (`layout.files`). fewest is the number
    of rows that it must have. Raises DatasetError."""
    parts = parts_of(path, layout)
    channels = read_channels(path, parts, layout)
    if len(channels.time) < fewest:
        what = " (the smoothing window)" if fewest != FEWEST else ""
        raise DatasetError(
            f"recording {path}: expected at least {fewest} rows{what}, found {len(channels.time)}"
        )
    q, v, tau = joint_side(path, layout, channels, robot)
    log = Log(
        name=name or path.name,
        sha256=channels.sha256,
        time=channels.time,
        q=q,
        v=v,
        tau=tau,
        scalars=channels.scalars,
        notes=channels.notes,
        path=path.as_posix(),
    )
    return shifted(log, layout.delay, path=path, fewest=fewest) if layout.delay else log


def parts_of(path: Path, layout: LogLayout) -> dict[str, Path]:
    """The files of a log, by part; one file without parts is the part ""."""
    if not layout.files:
        return {"": path}
    folder, stem = (path, path.name) if path.is_dir() else (path.parent, path.name)
    parts = {part: folder / word.replace("{log}", stem) for part, word in layout.files.items()}
    for part, file in parts.items():
        if not file.exists():
            raise DatasetError(
                f"recording {path}: expected its file {part!r} in {file}, found none; a log is "
                "named by its folder, or by what {log} stands for in recording.files"
            )
    return parts


def shifted(log: Log, delay: float, *, path: Path | None = None, fewest: int = FEWEST) -> Log:
    """The log without a delay of its joint forces: what acted at t was recorded at t + delay.

    Samples whose force was not recorded are left out: at an end of the log, or before a gap.
    Raises DatasetError where less than `fewest` samples are left.
    """
    late = log.time + delay
    steps = np.diff(log.time)
    into = np.searchsorted(log.time, late).clip(1, len(steps)) - 1
    near = (late == log.time[into]) | (late == log.time[into + 1])
    recorded = near | (steps[into] <= GAP_STEPS * np.median(steps))
    kept = recorded & (late >= log.time[0]) & (late <= log.time[-1])
    if kept.sum() < fewest:
        raise DatasetError(
            f"recording {path or log.name}: recording.delay = {delay:g} s leaves "
            f"{int(kept.sum())} of {len(kept)} rows with a joint force (the log lasts "
            f"{log.time[-1]:.3g} s), expected at least {fewest}; make the delay smaller"
        )
    tau = np.stack([np.interp(late[kept], log.time, column) for column in log.tau.T], axis=1)
    v = None if log.v is None else log.v[kept]
    return replace(log, time=log.time[kept], q=log.q[kept], v=v, tau=tau)
