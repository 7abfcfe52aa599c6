"""A track: what a network had learned at each training step, as a table, a page and a figure."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discover.artifacts import read_json, write_json
from discover.errors import OutputError
from discover.records import Stored
from discover.tracking.loggers import tensorboard, wandb
from discover.tracking.rows import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRACK = "track.json"


@dataclass(frozen=True, kw_only=True, repr=False)
class Track(Stored):
    """What `discover.track` gives: a row a checkpoint, by training step.

    rows         see Row; `table` and `parameters` have them flat, as pandas.DataFrame takes them
    robot, region, budget, seed, reach_limit   of all examinations
    """

    rows: tuple[Row, ...]
    robot: str
    region: dict[str, Any]
    budget: str
    seed: int
    reach_limit: float
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def table(self) -> list[dict[str, Any]]:
        """One dictionary a checkpoint: step, verdict, confidence, error, reach of every axis, …"""
        axes = list(dict.fromkeys(axis for row in self.rows for axis in row.reach))
        return [
            {
                "step": row.step,
                "name": row.name,
                "verdict": row.verdict,
                "confidence": row.confidence,
                "error": row.error,
                "error_far": row.error_far,
                **{f"reach_{axis}": row.reach.get(axis) for axis in axes},
                "family": row.family,
                "bits": row.bits,
                "queries": row.queries,
                "seconds": row.seconds,
                "failure": row.failure,
            }
            for row in self.rows
        ]

    @property
    def parameters(self) -> list[dict[str, Any]]:
        """One dictionary a parameter and step: step, name, value, standard_error, description."""
        return [{"step": row.step, **p} for row in self.rows for p in row.parameters]

    def figure(self) -> Figure:
        """Error, reach, verdict and parameters against training step."""
        from discover.report import track as page

        return page.figure(self.to_dict())

    def save(self, directory: str | os.PathLike[str]) -> Path:
        """Write track.json, track.md and track.png; returns the directory. Raises OutputError."""
        from discover.report import track as page

        directory = Path(directory)
        page.write(self.to_dict(), directory)
        write_json(directory / TRACK, self.to_dict())
        return directory

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Track:
        """The track that `save` wrote. Raises OutputError, one line."""
        path = Path(directory) / TRACK
        record = read_json(path, "a track")
        try:
            return cls.from_dict(record)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise OutputError(
                f"expected a track of ours in {path}, found one without {error}: track again"
            ) from error

    def to_tensorboard(self, writer: Any, prefix: str = "worldlaw") -> None:
        """Write every row as scalars and text of TensorBoard, against the training step.

        writer  a SummaryWriter, or the folder for one. Raises ModelError where a folder is given
                and the package tensorboard is not installed
        """
        with tensorboard(writer, prefix) as log:
            for row in self.rows:
                log(row)

    def to_wandb(self, run: Any = None, prefix: str = "worldlaw") -> None:
        """Log every row to a run of Weights & Biases [the one that is active], against
        `<prefix>/step`. Raises ModelError where there is none."""
        log = wandb(run, prefix)
        for row in self.rows:
            log(row)

    def __str__(self) -> str:
        from discover.report import track as page

        return page.as_text(self.to_dict())

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        from discover.report import track as page

        return page.table(self.to_dict())
