"""Training a world model of any family: device, resuming, model card, files.

Samples live in memory and are batched by index, so that nothing waits for loading. The order of
the batches depends on (seed, epoch) alone; a run that was killed and resumed therefore takes the
same steps and ends, on a CPU, at the same weights bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from discover.artifacts import value_hash, write_json
from discover.errors import ModelError
from discover.models.checkpoint import load_checkpoint, save
from discover.models.contract import Samples, WorldModel
from discover.training.loop import TrainingConfig, descend, relative_error
from discover.training.samples import SplitDataset, samples
from discover.training.state import StateStore

PARTS = ("train", "validation")
MODEL_FILE = "model.safetensors"
STATE_FILE = "training.safetensors"
HISTORY_FILE = "history.json"


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """history: one row an epoch (epoch, train, validation: relative errors; lr; seconds)."""

    model: WorldModel
    history: list[dict[str, float]]
    metrics: dict[str, Any]
    notes: list[str] = field(default_factory=list)


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
    """TensorBoard's writer of event files; None without a folder. Raises ModelError where the
    package is missing."""
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
    weights do not depend on it. card: entries of the stored model card besides the
    metrics.
    """
    config = config or TrainingConfig()
    if epochs is not None:
        config = replace(config, epochs=epochs)
    writer = _event_writer(tensorboard)
    folder = Path(out) if out is not None else None
    parts = {part: samples(dataset, part, model, config.rollout) for part in PARTS}
    identity = _identity(model, config, seed, parts)
    if resume and folder is not None and (folder / MODEL_FILE).exists():
        stored = load_checkpoint(folder / MODEL_FILE)
        if stored.card.get("identity") == identity:
            model.load_tensors(stored.state_dict())
            model.card = stored.card
            return TrainingResult(
                model=model, **{name: stored.card[name] for name in ("history", "metrics", "notes")}
            )
    started = time.perf_counter()
    history: list[dict[str, float]] = []
    notes: list[str] = []
    if model.trained_by == "fit":
        model.fit(parts["train"])
    else:
        optimise, options = _optimiser(devices)
        history, notes = optimise(
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
    seconds = history[-1]["seconds"] if history else time.perf_counter() - started
    metrics = _metrics(model, parts, epochs=len(history), seconds=seconds)
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


def _identity(
    model: WorldModel, config: TrainingConfig, seed: int, parts: Mapping[str, Samples]
) -> str:
    """The hash of all that decides the weights; the samples enter by their numbers and sums."""
    sums = [
        [len(part), *(float(x.double().sum()) for x in vars(part).values() if x is not None)]
        for part in parts.values()
    ]
    return value_hash(
        {"model": model.describe(), "config": asdict(config), "seed": seed, "data": sums}
    )


def _optimiser(devices: int) -> tuple[Any, dict[str, Any]]:
    """The function that trains by gradient on so many devices, and its further options."""
    if devices <= 1:
        return descend, {}
    from discover.training.devices import descend_together

    return descend_together, {"devices": devices}


def _metrics(
    model: WorldModel, parts: Mapping[str, Samples], *, epochs: int, seconds: float
) -> dict[str, Any]:
    """What the model card records of the training."""
    converted = {part: x.to(model.target_scale) for part, x in parts.items()}
    metrics: dict[str, Any] = {
        "seconds": round(seconds, 3),
        "parameters": model.parameter_count(),
        "epochs": epochs,
        "validation_error": relative_error(model, converted["validation"]),
        "train_samples": len(parts["train"]),
    }
    if model.trained_by == "gradient":  # others may hold their training samples, and err nowhere
        metrics["train_error"] = relative_error(model, converted["train"])
    return metrics
