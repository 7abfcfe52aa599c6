"""The training loop: AdamW over batches, validation, early stopping, a state to resume from."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from discover.errors import ModelError
from discover.models.contract import Samples, WorldModel
from discover.training.state import StateStore, TrainingState


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
    """Relative error; over whole rollouts where the model is trained on them."""
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


class Process:
    """The only process of a training; `training.devices` has the data-parallel one."""

    first = True
    """Whether this process stores the state and shows the progress."""

    def set_up(self, model: WorldModel, optimizer: torch.optim.Optimizer) -> tuple[Any, Any]:
        """The function from samples to their loss, and the optimiser that steps."""
        return model.rollout_loss, optimizer

    def rows(self, rows: Tensor) -> Tensor:
        """This process's share of a batch."""
        return rows

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def agree(self, number: float) -> float:
        """The first process's value of a number, for all of them."""
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
    process: Process | None = None,
) -> tuple[list[dict[str, float]], list[str]]:
    """Train in place; afterwards `model` holds the best weights, in its own dtype and place.

    Returns the history (a row an epoch) and notes. Raises ModelError if the loss is not finite.
    """
    process = process or Process()
    home = model.target_scale.clone()
    model.calibrate(train)
    dtype = torch.float64 if config.precision == "float64" else torch.float32
    model.to(device=device, dtype=dtype).train()
    train, validation = train.to(model.target_scale), validation.to(model.target_scale)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
    )
    state = TrainingState(
        model=model,
        optimizer=optimizer,
        planned=config.epochs,
        best=_copy(model),
        best_error=math.inf,
        history=[],
        notes=[],
    )
    if resume and store is not None:
        store.read(state)
    earlier, started, stored = state.seconds, time.perf_counter(), time.perf_counter()
    loss_of, stepper = process.set_up(model, optimizer)
    if config.compile:
        loss_of = torch.compile(loss_of)
    threads = _threads(config.threads, model, config.batch, device)
    with threads, _bar(progress if process.first else False, config, state) as show:
        while state.epoch < state.planned:
            lr, train_error = _epoch(state, process, loss_of, stepper, train, config, seed)
            model.eval()
            error = process.agree(_validate(model, validation))
            model.train()
            state.seconds = process.agree(earlier + time.perf_counter() - started)
            state.epoch += 1
            row = {"epoch": state.epoch, "train": train_error, "validation": error, "lr": lr}
            state.history.append({**row, "seconds": round(state.seconds, 3)})
            if error < state.best_error:
                state.best, state.best_error, state.best_epoch = _copy(model), error, state.epoch
            show(state)
            if config.patience and state.epoch - state.best_epoch >= config.patience:
                state.notes.append(f"stopped early after {state.epoch} of {state.planned} epochs")
                break
            if budget_s is not None:
                _fit_in(state, budget_s)
            due = time.perf_counter() - stored > config.checkpoint_s
            if store is not None and process.first and due:
                store.write(state)
                stored = time.perf_counter()
    model.load_state_dict(state.best)
    model.to(home).eval()
    return state.history, state.notes


def _epoch(
    state: TrainingState,
    process: Process,
    loss_of: Any,
    stepper: Any,
    train: Samples,
    config: TrainingConfig,
    seed: int,
) -> tuple[float, float]:
    """One epoch, its samples shuffled by its number: (last learning rate, training error)."""
    n = len(train)
    batch = min(config.batch, n)
    steps = n // batch  # the few samples left over come in another epoch's order
    device = train.q.device
    # Drawn on the CPU and from the epoch's number: the same order on every device and on resuming.
    generator = torch.Generator().manual_seed((seed << 24) + state.epoch)
    order = torch.randperm(n, generator=generator).to(device)
    mixed = config.precision == "bf16" and device.type == "cuda"
    total = torch.zeros((), dtype=torch.float64, device=device)
    lr = config.lr
    for i in range(steps):
        done = state.epoch * steps + i
        lr = _rate(config, done, state.planned * steps)
        for group in state.optimizer.param_groups:
            group["lr"] = lr
        with torch.autocast("cuda", torch.bfloat16) if mixed else nullcontext():
            loss = loss_of(train.take(process.rows(order[i * batch : (i + 1) * batch])))
        stepper.zero_grad(set_to_none=True)
        process.backward(loss)
        if config.clip > 0:
            torch.nn.utils.clip_grad_norm_(state.model.parameters(), config.clip)
        stepper.step()
        total += loss.detach()
    mean = float(process.mean(total)) / steps
    if not math.isfinite(mean):
        raise ModelError(
            f"training diverged in epoch {state.epoch + 1}: the loss is {mean}; "
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


def _fit_in(state: TrainingState, budget_s: float) -> None:
    """Lower the planned number of epochs to what fits into the budget."""
    fits = max(state.epoch, int(budget_s / (state.seconds / state.epoch)))
    if fits < 0.97 * state.planned or (fits < state.planned and state.seconds > 0.9 * budget_s):
        state.notes.append(
            f"{state.planned} epochs shortened to {fits} to keep within {budget_s:g} s"
        )
        state.planned = fits


def _copy(model: WorldModel) -> dict[str, Tensor]:
    return {name: x.detach().clone() for name, x in model.state_dict().items()}


@contextmanager
def _bar(wanted: bool | None, config: TrainingConfig, state: TrainingState) -> Iterator[Any]:
    """A progress bar on a terminal, or nothing."""
    if not (sys.stderr.isatty() if wanted is None else wanted):
        yield lambda state: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} validation {task.fields[error]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(f"train {state.model.kind}", total=state.planned, error="-")

        def show(state: TrainingState) -> None:
            error = f"{state.best_error:.2%}"
            bar.update(task, completed=state.epoch, total=state.planned, error=error)

        yield show
