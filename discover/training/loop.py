"""The descent: AdamW over batches, validation, best weights kept, a state that can be resumed."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from discover.errors import ModelError
from discover.models.contract import Samples, WorldModel
from discover.training.state import Run, StateStore


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """AdamW with warm-up and a cosine schedule; every number that decides the weights."""

    epochs: int = 200
    batch: int = 512
    lr: float = 4e-3
    final_lr: float = 1e-3
    """Last learning rate as a fraction of `lr`."""
    warmup: int = 100
    """Steps until the full learning rate."""
    weight_decay: float = 1e-4
    clip: float = 1.0
    """Largest norm of the gradient."""
    patience: int = 50
    """Stop after so many epochs without a better validation error; 0: never."""
    rollout: int = 1
    """Steps of the model that the loss follows; more than one needs a model of steps and
    trajectories."""
    precision: Literal["float32", "float64", "bf16"] = "float32"
    """Arithmetic of training; bf16 is mixed precision on CUDA. The model's own dtype comes back."""
    compile: bool = False
    """Let torch.compile build the step (worth it for long runs on CUDA)."""
    threads: int = 0
    """CPU threads; 0: one for small networks, which a second one only slows, else all."""
    checkpoint_s: float = 15.0
    """Seconds between stored training states."""


@torch.no_grad()
def relative_error(model: WorldModel, samples: Samples, rows: int = 8192) -> float:
    """Relative error on samples, coordinates weighted by the mean squares of these samples."""
    squared = torch.zeros_like(samples.target[0], dtype=torch.float64)
    for index in torch.arange(len(samples), device=samples.q.device).split(rows):
        part = samples.take(index)
        error = model.respond(part.q, part.v, part.tau) - part.target
        squared += error.double().square().sum(dim=0)
    reference = samples.target.double().square().sum(dim=0)
    return float((squared / reference).mean().sqrt())


@torch.no_grad()
def _validate(model: WorldModel, samples: Samples) -> float:
    """Relative error; of whole stretches, where the model is trained on them."""
    if samples.past is None and samples.future is None:
        return relative_error(model, samples)
    total = 0.0
    for index in torch.arange(len(samples), device=samples.q.device).split(8192):
        total += float(model.rollout_loss(samples.take(index))) * len(index)
    return math.sqrt(total / len(samples))


SMALL_STEP = 1e9
"""Multiplications in a step below which threads wait for each other more than they help."""


@contextmanager
def _threads(wanted: int, model: WorldModel, batch: int, device: torch.device) -> Iterator[None]:
    """The number of CPU threads while training."""
    before = torch.get_num_threads()
    if not wanted:
        small = 3.0 * batch * model.parameter_count() < SMALL_STEP
        wanted = 1 if small and device.type == "cpu" else before
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Alone:
    """A process that trains by itself; `training.devices` has those that share the work."""

    first = True
    """Whether this process is the one that stores and shows."""

    def set_up(self, model: WorldModel, optimizer: torch.optim.Optimizer) -> tuple[Any, Any]:
        """What gives the loss of samples, and what steps."""
        return model.rollout_loss, optimizer

    def rows(self, rows: Tensor) -> Tensor:
        """This process's share of a batch."""
        return rows

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def agree(self, number: float) -> float:
        """A number that all processes go by: the first one's."""
        return number

    def mean(self, x: Tensor) -> Tensor:
        """The mean over the processes."""
        return x


def descend(
    model: WorldModel,
    train: Samples,
    validation: Samples,
    *,
    config: TrainingConfig,
    seed: int,
    device: torch.device,
    budget_s: float | None,
    store: StateStore | None,
    resume: bool,
    progress: bool | None,
    part: Alone | None = None,
) -> tuple[list[dict[str, float]], list[str]]:
    """Train in place; afterwards `model` holds the best weights, in its own dtype and place.

    Returns the history (a row an epoch) and notes. Raises ModelError if the loss is not finite.
    """
    part = part or Alone()
    home = model.target_scale.clone()
    model.calibrate(train)
    dtype = torch.float64 if config.precision == "float64" else torch.float32
    model.to(device=device, dtype=dtype).train()
    train, validation = train.to(model.target_scale), validation.to(model.target_scale)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
    )
    run = Run(
        model=model,
        optimizer=optimizer,
        planned=config.epochs,
        best=_copy(model),
        best_error=math.inf,
        history=[],
        notes=[],
    )
    if resume and store is not None:
        store.read(run)
    earlier, started, stored = run.seconds, time.perf_counter(), time.perf_counter()
    loss_of, stepper = part.set_up(model, optimizer)
    if config.compile:
        loss_of = torch.compile(loss_of)
    threads = _threads(config.threads, model, config.batch, device)
    with threads, _bar(progress if part.first else False, config, run) as show:
        while run.epoch < run.planned:
            lr, train_error = _epoch(run, part, loss_of, stepper, train, config, seed)
            model.eval()
            error = part.agree(_validate(model, validation))
            model.train()
            run.seconds = part.agree(earlier + time.perf_counter() - started)
            run.epoch += 1
            row = {"epoch": run.epoch, "train": train_error, "validation": error, "lr": lr}
            run.history.append({**row, "seconds": round(run.seconds, 3)})
            if error < run.best_error:
                run.best, run.best_error, run.best_epoch = _copy(model), error, run.epoch
            show(run)
            if config.patience and run.epoch - run.best_epoch >= config.patience:
                run.notes.append(f"stopped early after {run.epoch} of {run.planned} epochs")
                break
            if budget_s is not None:
                _fit_in(run, budget_s)
            due = time.perf_counter() - stored > config.checkpoint_s
            if store is not None and part.first and due:
                store.write(run)
                stored = time.perf_counter()
    model.load_state_dict(run.best)
    model.to(home).eval()
    return run.history, run.notes


def _epoch(
    run: Run,
    part: Alone,
    loss_of: Any,
    stepper: Any,
    train: Samples,
    config: TrainingConfig,
    seed: int,
) -> tuple[float, float]:
    """One pass over the samples in an order of its own; (last learning rate, training error)."""
    n = len(train)
    batch = min(config.batch, n)
    steps = n // batch  # the few samples left over come in another epoch's order
    device = train.q.device
    # Drawn on the CPU and from the epoch's number: the same order on every device and on resuming.
    generator = torch.Generator().manual_seed((seed << 24) + run.epoch)
    order = torch.randperm(n, generator=generator).to(device)
    mixed = config.precision == "bf16" and device.type == "cuda"
    total = torch.zeros((), dtype=torch.float64, device=device)
    lr = config.lr
    for i in range(steps):
        done = run.epoch * steps + i
        lr = _rate(config, done, run.planned * steps)
        for group in run.optimizer.param_groups:
            group["lr"] = lr
        with torch.autocast("cuda", torch.bfloat16) if mixed else nullcontext():
            loss = loss_of(train.take(part.rows(order[i * batch : (i + 1) * batch])))
        stepper.zero_grad(set_to_none=True)
        part.backward(loss)
        if config.clip > 0:
            torch.nn.utils.clip_grad_norm_(run.model.parameters(), config.clip)
        stepper.step()
        total += loss.detach()
    mean = float(part.mean(total)) / steps
    if not math.isfinite(mean):
        raise ModelError(
            f"training diverged in epoch {run.epoch + 1}: the loss is {mean}; "
            f"lower the learning rate (now {config.lr:g})"
        )
    return lr, math.sqrt(mean)


def _rate(config: TrainingConfig, step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine down to final_lr."""
    warm = min(config.warmup, steps // 10)
    if step < warm:
        return config.lr * (step + 1) / warm
    fraction = min(1.0, (step - warm) / max(1, steps - warm))
    wave = 0.5 * (1 + math.cos(math.pi * fraction))
    return config.lr * (config.final_lr + (1 - config.final_lr) * wave)


def _fit_in(run: Run, budget_s: float) -> None:
    """Lower the planned number of epochs where the wall clock would not allow them."""
    fits = max(run.epoch, int(budget_s / (run.seconds / run.epoch)))
    if fits < 0.97 * run.planned or (fits < run.planned and run.seconds > 0.9 * budget_s):
        run.notes.append(f"{run.planned} epochs shortened to {fits} to keep within {budget_s:g} s")
        run.planned = fits


def _copy(model: WorldModel) -> dict[str, Tensor]:
    return {name: x.detach().clone() for name, x in model.state_dict().items()}


@contextmanager
def _bar(wanted: bool | None, config: TrainingConfig, run: Run) -> Iterator[Any]:
    """A progress bar on a terminal, or nothing."""
    if not (sys.stderr.isatty() if wanted is None else wanted):
        yield lambda run: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} validation {task.fields[error]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as bar:
        task = bar.add_task(f"train {run.model.kind}", total=run.planned, error="-")

        def show(run: Run) -> None:
            bar.update(task, completed=run.epoch, total=run.planned, error=f"{run.best_error:.2%}")

        yield show
