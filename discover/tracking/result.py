"""A track: what a network had learned at each training step, as a table, a page and a figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discover.artifacts import plain, read_json, write_json
from discover.errors import OutputError
from discover.judgement.evidence import number_from_json, number_to_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from discover.examination.result import Examination

TRACK = "track.json"
FORMAT = 1
NUMBERS = ("confidence", "error", "error_far")


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was found at one checkpoint.

    step, name      the training step, and the file or model
    verdict, confidence, probabilities, reach, queries, seconds   as of its examination
    error           relative error of the law against the model's answers in the region
    error_far       the same at the farthest distance measured, all axes together
    family, bits    of the law, None where none describes the model
    parameters      rows of name, value, standard_error, description
    failure         why the model could not be examined; then the other fields are empty
    """

    step: float
    name: str
    verdict: str | None = None
    confidence: float | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    error: float | None = None
    error_far: float | None = None
    reach: dict[str, float] = field(default_factory=dict)
    family: str | None = None
    bits: float | None = None
    parameters: list[dict[str, Any]] = field(default_factory=list)
    queries: int = 0
    seconds: float = 0.0
    failure: str | None = None

    @classmethod
    def of(cls, step: float, name: str, exam: Examination) -> Row:
        """The row of an examination."""
        curve = next(
            (c for c in exam.curves if (c.axis, c.subject) == ("joint", "law against model")), None
        )
        return cls(
            step=step,
            name=name,
            verdict=exam.verdict,
            confidence=exam.confidence,
            probabilities=dict(exam.probabilities),
            error=None if curve is None else float(curve.error[0]),
            error_far=None if curve is None else float(curve.error[-1]),
            reach={axis: float(r) for axis, r in exam.reach.items()},
            family=None if exam.law is None else exam.law.family,
            bits=None if exam.law is None else float(exam.law.complexity.bits),
            parameters=[
                {key: row[key] for key in ("name", "value", "standard_error", "description")}
                for row in exam.parameters
            ],
            queries=exam.queries,
            seconds=exam.seconds,
        )

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON holds it."""
        record = asdict(self)
        for name in NUMBERS:
            if record[name] is not None:
                record[name] = number_to_json(record[name])
        record["reach"] = {axis: number_to_json(r) for axis, r in self.reach.items()}
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Row:
        """The inverse of `to_dict`."""
        fields = dict(record)
        for name in NUMBERS:
            if fields[name] is not None:
                fields[name] = number_from_json(fields[name])
        fields["reach"] = {axis: number_from_json(r) for axis, r in fields["reach"].items()}
        return cls(**fields)


@dataclass(frozen=True, kw_only=True, repr=False)
class Track:
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

    def save(self, directory: str | Path) -> Path:
        """Write track.json, track.md and track.png; returns the directory. Raises OutputError."""
        from discover.report import track as page

        directory = Path(directory)
        page.write(plain(self.to_dict()), directory)
        write_json(directory / TRACK, self.to_dict())
        return directory

    @classmethod
    def load(cls, directory: str | Path) -> Track:
        """The track that `save` wrote. Raises OutputError, one line."""
        path = Path(directory) / TRACK
        record = read_json(path, "a track")
        try:
            return cls.from_dict(record)
        except (KeyError, TypeError, AttributeError) as error:
            raise OutputError(
                f"expected a track of ours in {path}, found one without {error}: track again"
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """The content of track.json."""
        return {
            "format": FORMAT,
            "robot": self.robot,
            "region": self.region,
            "budget": self.budget,
            "seed": self.seed,
            "reach_limit": self.reach_limit,
            "versions": self.versions,
            "rows": [row.to_dict() for row in self.rows],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Track:
        """The inverse of `to_dict`."""
        if record["format"] != FORMAT:
            raise OutputError(
                f"expected a track of format {FORMAT}, found {record['format']!r}: track again"
            )
        fields = {key: value for key, value in record.items() if key not in ("format", "rows")}
        return cls(rows=tuple(Row.from_dict(r) for r in record["rows"]), **fields)

    def to_tensorboard(self, writer: Any, prefix: str = "worldlaw") -> None:
        """Write every row as scalars and text of TensorBoard, against the training step.

        writer  a SummaryWriter, or the folder for one. Raises ModelError where a folder is given
                and the package tensorboard is not installed
        """
        from discover.tracking.loggers import tensorboard

        with tensorboard(writer, prefix) as log:
            for row in self.rows:
                log(row)

    def to_wandb(self, run: Any = None, prefix: str = "worldlaw") -> None:
        """Log every row to a run of Weights & Biases [the one that is active], against
        `<prefix>/step`. Raises ModelError where there is none."""
        from discover.tracking.loggers import wandb

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
