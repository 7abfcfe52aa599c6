"""`track`: what a network learns while it is trained, one examination a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib import metadata
from pathlib import Path
from typing import Any

from discover.artifacts import write_json
from discover.blackbox.region import Region
from discover.errors import CheckpointError, ModelError
from discover.examination.examine import examine
from discover.examination.opening.arguments import check_choices, load_described
from discover.examination.result import Examination
from discover.observations.environment import Environment
from discover.probes.reach import FARTHEST
from discover.progress import Show, line, on_terminal
from discover.tracking import kept
from discover.tracking.checkpoints import Checkpoint, Steps, checkpoints_of, missing
from discover.tracking.result import TRACK, Track
from discover.tracking.rows import Row
from kinematics import Robot

Tell = Callable[..., object]


def track(
    checkpoints: Any,
    robot: Robot | Environment | str | os.PathLike[str] | None,
    region: Region,
    *,
    steps: Steps = None,
    load: Callable[[Any], Any] | None = None,
    observation: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    budget: str = "quick",
    seed: int = 0,
    progress: Show = None,
    **options: Any,
) -> Track:
    """What a network had learned at each checkpoint of its training.

    checkpoints  a mapping step -> model or path; pairs (step, model or path); paths, a folder or a
                 pattern such as "runs/net_*.onnx", whose steps are read from the file names: the
                 number in which they differ
    robot        as of `discover.examine`; an environment that `from_gymnasium` or `from_dm_control`
                 read wraps every path itself
    steps        the training steps, one a checkpoint, where names do not say them
    load         path -> model [discover.models.load, or discover.wrap in an environment]; for
                 weights, `lambda path: discover.wrap(path, robot, module=Net(), …)`
    observation  a TOML file of what the networks in these paths observe and how they act, see
                 `discover.wrap`
    out          a folder: finished examinations are kept there, and a second call goes on; at the
                 end it holds track.json, track.md and track.png
    budget, seed, options   of every examination, see `discover.examine`
    progress     a line that says where it stands: by default on a terminal only; a function is
                 called with (stage, queries)

    Whether answers fit the declaration is checked on the last path alone, for a network that has
    not learned yet answers anything. A checkpoint that cannot be opened or asked is a row with its
    failure. Raises ModelError where
    none can be examined or steps cannot be read, RegionError, RobotError and OutputError.
    """
    listed = checkpoints_of(checkpoints, steps)
    environment = robot if isinstance(robot, Environment) else None
    root = options.get("root")
    body = environment.robot if environment is not None else load_described(robot, root)
    if not (isinstance(robot, Robot) or environment is not None or robot is None):
        options.pop("root", None)  # it stands in the robot now
    check_choices(
        region=region,
        outputs=options.get("outputs") or "acceleration",
        budget=budget,
        seed=seed,
        mechanism=options.get("mechanism"),
    )
    newest = listed[-1].source
    opened = load or _opener(body, environment, region, options, root, observation, newest)
    work = Work(body, region, budget, seed, options, None if out is None else Path(out))
    rows: list[Row] = []
    try:
        with _shown(progress, len(listed)) as tell:
            for done, checkpoint in enumerate(listed):
                rows.append(work.row(checkpoint, opened, _inner(tell, checkpoint, done)))
                work.write(rows)
    except KeyboardInterrupt:
        cut = KeyboardInterrupt()
        cut.add_note(_how_to_go_on(len(rows), len(listed), out))
        raise cut from None
    if all(row.failure for row in rows):
        raise ModelError(
            f"track: none of {len(rows)} checkpoints could be examined; {rows[0].name}: "
            f"{rows[0].failure}"
        )
    found = work.track(rows)
    if out is not None:
        found.save(out)
    return found


class Work:
    """What is asked of every checkpoint, and where finished examinations are kept."""

    def __init__(
        self,
        robot: Robot | None,
        region: Region,
        budget: str,
        seed: int,
        options: dict[str, Any],
        out: Path | None,
    ) -> None:
        self.robot, self.region, self.out = robot, region, out
        self.options = {**options, "budget": budget, "seed": seed}
        self.question = kept.question(robot, region, self.options)
        if out is not None:
            kept.check_folder(out)

    def row(self, checkpoint: Checkpoint, load: Callable[[Any], Any], show: Show) -> Row:
        """The row of one checkpoint, of a stored examination where there is one of it."""
        try:
            wrong = missing(checkpoint)
            if wrong is not None:
                raise ModelError(wrong)
            model = checkpoint.source if checkpoint.path is None else load(checkpoint.source)
            exam = self._examined(checkpoint, model, show)
        except (ModelError, CheckpointError) as error:
            if self.out is not None:
                kept.remove(self.out, checkpoint.step)
            return Row(step=checkpoint.step, name=checkpoint.name, failure=str(error))
        return Row.of(checkpoint.step, checkpoint.name, exam)

    def _examined(
        self, checkpoint: Checkpoint, model: Callable[..., Any], show: Show
    ) -> Examination:
        seen = None
        if self.out is not None:
            seen = kept.answers(model, self.robot, self.region, self.options)
            before = kept.kept(self.out, checkpoint, self.question, seen)
            if before is not None:
                return before
        exam = examine(
            model, self.robot, self.region, name=checkpoint.name, progress=show, **self.options
        )
        if self.out is not None:
            kept.keep(self.out, checkpoint, exam, self.question, seen)
        return exam

    def track(self, rows: list[Row]) -> Track:
        """The track of these rows."""
        return Track(
            rows=tuple(sorted(rows, key=lambda row: row.step)),
            robot="inferred" if self.robot is None else self.robot.name,
            region=self.region.to_dict(),
            budget=self.options["budget"],
            seed=self.options["seed"],
            reach_limit=FARTHEST,
            versions={n: metadata.version(n) for n in ("worldlaw", "torch", "numpy", "sympy")},
        )

    def earlier(self, step: float) -> list[Row]:
        """The rows before this step of a track that lies in the folder and asked the same."""
        if self.out is None or not (self.out / TRACK).exists():
            return []
        before, now = Track.load(self.out), self.track([])
        same = ("robot", "region", "budget", "seed")
        if any(getattr(before, name) != getattr(now, name) for name in same):
            return []
        return [row for row in before.rows if row.step < step]

    def write(self, rows: list[Row]) -> None:
        """Write track.json as far as it has come, where there is a folder."""
        if self.out is not None:
            write_json(self.out / TRACK, self.track(rows).to_dict())


def _opener(
    robot: Robot | None,
    environment: Environment | None,
    region: Region,
    options: dict[str, Any],
    root: str | None,
    observation: str | os.PathLike[str] | None,
    newest: Any,
) -> Callable[[Any], Any]:
    """What opens a path where the caller does not say it; the `newest` is checked."""

    def checked(path: Any) -> bool | None:
        """None: as the declaration has it."""
        return None if path == newest else False

    if environment is not None:
        from discover.observations.wrapping import wrap

        layout = None if observation is None else Path(observation)
        return lambda path: wrap(path, environment, layout, sanity=checked(path))
    from discover.study.stages import load_model

    return lambda path: load_model(
        path,
        robot,
        region,
        outputs=options.get("outputs"),
        dt=options.get("dt"),
        root=root if robot is None else None,
        observation=observation,
        sanity=checked(path),
    )


def _how_to_go_on(done: int, count: int, out: str | os.PathLike[str] | None) -> str:
    if out is None:
        return f"track cut short, {done} of {count} checkpoints were done; with out=… they are kept"
    return (
        f"track cut short, {done} of {count} checkpoints are examined and kept in {out}: the same "
        "call goes on there"
    )


@contextmanager
def _shown(progress: Show, count: int) -> Iterator[Tell | None]:
    """What tells progress: a function (stage, queries, checkpoints done), or nothing."""
    if callable(progress):
        given = progress
        yield lambda stage, queries, done: given(stage, queries)
        return
    with line("track", count) if on_terminal(progress) else nullcontext() as tell:
        yield tell


def _inner(tell: Tell | None, checkpoint: Checkpoint, done: int) -> Show:
    """The progress of one examination, told in that of the track."""
    if tell is None:
        return False
    return lambda stage, queries: tell(f"{checkpoint.name}: {stage}", queries, done)
