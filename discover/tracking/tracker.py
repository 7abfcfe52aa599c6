"""`Tracker`: examinations of a network while it is trained, every so many steps."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from discover.blackbox.region import Region
from discover.errors import ModelError
from discover.examination.opening.arguments import load_described
from discover.models.external.networks import evaluating
from discover.observations.environment import Environment
from discover.progress import Show
from discover.tracking.checkpoints import Checkpoint
from discover.tracking.loggers import tensorboard as tensorboard_log
from discover.tracking.loggers import wandb as wandb_log
from discover.tracking.result import Track
from discover.tracking.rows import Row
from discover.tracking.track import Work
from kinematics import Robot


class Tracker:
    """A callback of a training loop: `tracker(step)` examines the model when it is due.

    model        what is trained, as `discover.examine` takes it: a module (q, v, tau) -> a, or
                 `discover.wrap(module, …)`, which asks the module as it stands at each call
    every        steps between examinations; the first call examines
    out          a folder that keeps the examinations, as of `discover.track`
    tensorboard  a SummaryWriter, or a folder for one
    wandb        a run of Weights & Biases, or True for the active one
    budget, seed, options   as of `discover.examine`

    A training that is resumed in the same folder takes over the rows of earlier steps.
    The training goes on as it would have without: the module's training mode and torch's random
    numbers are put back. A model that cannot be examined (NaN, say) is a row with its failure.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        robot: Robot | Environment | str | os.PathLike[str] | None,
        region: Region,
        *,
        every: float = 1000,
        out: str | os.PathLike[str] | None = None,
        tensorboard: Any = None,
        wandb: Any = None,
        budget: str = "quick",
        seed: int = 0,
        prefix: str = "worldlaw",
        progress: Show = False,
        **options: Any,
    ) -> None:
        if isinstance(every, bool) or not isinstance(every, int | float) or not every > 0:
            raise ModelError(f"expected every as a number of steps above 0, found {every!r}")
        body = robot.robot if isinstance(robot, Environment) else None
        if body is None:
            body = load_described(robot, options.get("root"))
            if not isinstance(robot, Robot) and robot is not None:
                options.pop("root", None)
        self.model, self.every, self.progress = model, every, progress
        self._work = Work(body, region, budget, seed, options, None if out is None else Path(out))
        self._rows: list[Row] = []
        self._open = ExitStack()
        self._logs = []
        if tensorboard is not None:
            self._logs.append(self._open.enter_context(tensorboard_log(tensorboard, prefix)))
        if wandb is not None and wandb is not False:
            self._logs.append(wandb_log(None if wandb is True else wandb, prefix))

    def __call__(self, step: float) -> Row | None:
        """Examine the model if it is due at this step; returns the row, or None."""
        if not self._rows:
            self._rows = self._work.earlier(step)
        last = self._rows[-1].step if self._rows else None
        if last is not None and step // self.every <= last // self.every:
            return None
        module = self.model if isinstance(self.model, torch.nn.Module) else None
        mode = nullcontext() if module is None else evaluating([module])
        checkpoint = Checkpoint(step=float(step), name=f"step {step:g}", source=self.model)
        with mode, torch.random.fork_rng():
            row = self._work.row(checkpoint, lambda model: model, self.progress)
        self._rows.append(row)
        self._work.write(self._rows)
        for log in self._logs:
            log(row)
        return row

    @property
    def track(self) -> Track:
        """The track so far."""
        return self._work.track(self._rows)

    def close(self) -> Track:
        """Write the page and figure where there is a folder, and close what was opened here;
        returns the track."""
        found = self.track
        if self._work.out is not None and found.rows:
            found.save(self._work.out)
        self._open.close()
        return found

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
