"""Stretches of consecutive samples: the past that a memory reads, the future of a rollout.

One training loop for every family.

Samples live in memory and are batched by index, so that nothing waits for loading. The order of
the batches depends on (seed, epoch) alone; a run that was killed and resumed therefore walks the
same path and ends, on a CPU, at the same weights bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from discover.artifacts import value_hash, write_json
from discover.errors import DatasetError, ModelError
from discover.models.checkpoint import load_checkpoint, save
from discover.models.contract import Samples, WorldModel
from discover.training.loop import TrainingConfig, descend, relative_error
from discover.training.state import StateStore


def stretches(trajectory: Tensor, t: Tensor, dt: float, back: int, ahead: int) -> Tensor:
    """Rows i (M,) whose `back` predecessors and `ahead` successors stand next to them in the same
    trajectory, dt apart. Raises DatasetError where there is none.

    trajectory, t [s]: (N,).
    """
    follows = (trajectory[1:] == trajectory[:-1]) & ((t[1:] - t[:-1] - dt).abs() < 0.01 * dt)
    # joined[i]: how many unbroken links lead up to row i
    breaks = torch.cat((torch.ones(1, dtype=torch.bool), ~follows.cpu()))
    count = torch.arange(len(trajectory))
    last_break = torch.where(breaks, count, torch.zeros_like(count)).cummax(0).values
    joined = count - last_break
    rows = count[back : len(count) - ahead]
    rows = rows[(joined[rows] >= back) & (joined[rows + ahead] >= back + ahead)]
    if not len(rows):
        raise DatasetError(
            f"expected stretches of {back + ahead + 1} samples {dt:g} s apart in one trajectory, "
            "found none; use a data set of trajectories, or a shorter history or rollout"
        )
    return rows


PARTS = ("train", "validation")
MODEL_FILE = "model.safetensors"
STATE_FILE = "training.safetensors"
HISTORY_FILE = "history.json"


class Rows(Protocol):
    """Rows of states and what followed: a, or next states, or both."""

    @property
    def q(self) -> Tensor: ...
    @property
    def v(self) -> Tensor: ...
    @property
    def tau(self) -> Tensor: ...
    @property
    def a(self) -> Tensor | None: ...
    @property
    def q_next(self) -> Tensor | None: ...
    @property
    def v_next(self) -> Tensor | None: ...
    @property
    def trajectory(self) -> Tensor: ...
    @property
    def t(self) -> Tensor: ...


class SplitDataset(Protocol):
    """What training asks of a data set: its rows of "train" and of "validation"."""

    def part(self, split: str, /) -> Rows: ...


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """history: one row an epoch (epoch, train, validation: relative errors; lr; seconds)."""

    model: WorldModel
    history: list[dict[str, float]]
    metrics: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def samples(dataset: SplitDataset, split: str, model: WorldModel, rollout: int = 1) -> Samples:
    """The rows of one split with the target that `model` regresses on; where it has a memory or is
    trained on rollouts, only rows with enough of a past and a future, and these beside them."""
    rows = dataset.part(split)
    if model.outputs == "acceleration":
        if rows.a is None:
            raise DatasetError(
                "a model that answers accelerations needs them in the data set, found next states "
                'only; build the model with outputs="next_state" and the data\'s dt'
            )
        target = rows.a
    else:
        if rows.q_next is None or rows.v_next is None:
            raise DatasetError(
                f"a model that answers {model.outputs} needs next states in the data set, found "
                "accelerations only; sample transitions, or train on accelerations"
            )
        target = model.target_of(rows.q, rows.v, rows.q_next, rows.v_next)
    chosen = Samples(q=rows.q, v=rows.v, tau=rows.tau, target=target)
    if not len(chosen):
        raise DatasetError(f"expected samples in split '{split}', found none; enlarge the data set")
    for name, x in vars(chosen).items():
        if x is not None and not bool(torch.isfinite(x).all()):
            raise DatasetError(f"{name} in split '{split}' holds NaN or infinity; clean the data")
    if model.history == rollout == 1:
        return chosen
    if model.dt is None or rows.q_next is None or rows.v_next is None:
        raise DatasetError(
            f"a rollout of {rollout} steps needs a model of steps, found one that answers "
            f'{model.outputs}; build it with outputs="next_state" and dt'
        )
    here = stretches(rows.trajectory, rows.t, model.dt, model.history - 1, rollout - 1)
    windows: dict[str, Tensor] = {}
    if model.history > 1:
        past = [here - k for k in range(model.history - 1, -1, -1)]
        windows["past"] = torch.stack([torch.cat((rows.q[i], rows.tau[i]), -1) for i in past], 1)
    if rollout > 1:
        ahead = [here + k for k in range(1, rollout)]
        windows["future"] = torch.stack(
            [torch.cat((rows.tau[i], rows.q_next[i], rows.v_next[i]), -1) for i in ahead], 1
        )
    return replace(chosen.take(here), **windows)


def choose_device(device: str | None) -> torch.device:
    """ "auto" is CUDA where there is one, else the CPU. Raises ModelError where it is missing."""
    if device is None or device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(
            f"device '{device}' is not available ({str(error).splitlines()[0]}); use --device auto"
        ) from error
    return chosen


def device_name(device: torch.device) -> str:
    """The graphics card's name, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _event_writer(folder: Path | str | None) -> Any | None:
    """TensorBoard's writer of event files, or None. Raises ModelError where it is missing."""
    if folder is None:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ModelError(
            "train.tensorboard needs the package tensorboard, which is not installed: "
            "pip install 'worldlaw[tensorboard]', or leave it out"
        ) from error
    return SummaryWriter(str(folder))


def train(
    model: WorldModel,
    dataset: SplitDataset,
    *,
    out: Path | str | None = None,
    seed: int = 0,
    device: str | None = "auto",
    devices: int = 1,
    epochs: int | None = None,
    budget_s: float | None = None,
    resume: bool = False,
    progress: bool | None = None,
    tensorboard: Path | str | None = None,
    config: TrainingConfig | None = None,
    card: Mapping[str, Any] | None = None,
) -> TrainingResult:
    """Train `model` in place on the "train" part of `dataset`; keep the best on "validation".

    out: folder for the model, the training state (for resume) and the history. devices: how many
    devices of that kind share each batch (`discover.training.devices`). epochs overrides
    the configuration. budget_s: wall-clock seconds; where the epochs would not fit, their number
    is lowered and the schedule shortened with it, and a note says so. progress: a bar; by default
    only on a terminal. tensorboard: folder for event files, where the package is installed; the
    weights do not depend on it. card: what the stored model card should tell besides the metrics.
    """
    config = config or TrainingConfig()
    writer = _event_writer(tensorboard)
    if epochs is not None:
        config = TrainingConfig(**{**asdict(config), "epochs": epochs})
    folder = Path(out) if out is not None else None
    parts = {part: samples(dataset, part, model, config.rollout) for part in PARTS}
    identity = value_hash(
        {
            "model": model.describe(),
            "config": asdict(config),
            "seed": seed,
            "data": [[len(s), *(float(x.double().sum()) for x in vars(s).values() if x is not None)]
                     for s in parts.values()],
        }
    )  # fmt: skip
    if resume and folder is not None and (folder / MODEL_FILE).exists():
        stored = load_checkpoint(folder / MODEL_FILE)
        if stored.card.get("identity") == identity:
            model.load_tensors(stored.state_dict())
            model.card = stored.card
            stored_card = stored.card
            return TrainingResult(
                model=model,
                history=stored_card["history"],
                metrics=stored_card["metrics"],
                notes=stored_card["notes"],
            )
    started = time.perf_counter()
    if model.trained_by == "fit":
        model.fit(parts["train"])
        history: list[dict[str, float]] = []
        notes: list[str] = []
    else:
        options: dict[str, Any] = {}
        method: Any = descend
        if devices > 1:
            from discover.training.devices import descend_together

            method, options = descend_together, {"devices": devices}
        history, notes = method(
            model,
            parts["train"],
            parts["validation"],
            config=config,
            seed=seed,
            device=choose_device(device),
            budget_s=budget_s,
            store=StateStore(folder / STATE_FILE, identity) if folder is not None else None,
            resume=resume,
            progress=progress,
            **options,
        )
    converted = {part: s.to(model.target_scale) for part, s in parts.items()}
    metrics: dict[str, Any] = {
        "seconds": round(history[-1]["seconds"] if history else time.perf_counter() - started, 3),
        "parameters": model.parameter_count(),
        "epochs": len(history),
        "validation_error": relative_error(model, converted["validation"]),
        "train_samples": len(parts["train"]),
    }
    if model.trained_by == "gradient":  # a table knows its own entries by heart
        metrics["train_error"] = relative_error(model, converted["train"])
    model.card = {
        **(card or {}),
        "identity": identity,
        "training": asdict(config),
        "seed": seed,
        "metrics": metrics,
        "notes": notes,
        "history": history,
    }
    if writer is not None:
        for row in history:
            for name in ("train", "validation", "lr"):
                writer.add_scalar(name, row[name], int(row["epoch"]))
        writer.close()
    if folder is not None:
        save(model, folder / MODEL_FILE)
        write_json(folder / HISTORY_FILE, history)
        (folder / STATE_FILE).unlink(missing_ok=True)
    return TrainingResult(model=model, history=history, metrics=metrics, notes=notes)
