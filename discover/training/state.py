"""The state of a training, and its file, from which a killed run resumes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from discover.models.checkpoint import read_tensors, write_tensors
from discover.models.contract import WorldModel


@dataclass(kw_only=True)
class TrainingState:
    """Everything that changes during a training."""

    model: WorldModel
    optimizer: torch.optim.Optimizer
    planned: int
    best: dict[str, Tensor]
    best_error: float
    history: list[dict[str, float]]
    notes: list[str]
    epoch: int = 0
    best_epoch: int = 0
    seconds: float = 0.0


class StateStore:
    """The file of a training state, and the identity of the training that it belongs to."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path = path
        self.identity = identity

    def write(self, state: TrainingState) -> None:
        tensors = {f"model.{k}": x for k, x in state.model.state_dict().items()}
        tensors |= {f"best.{k}": x for k, x in state.best.items()}
        for index, moments in state.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": x for k, x in moments.items()}
        progress = {
            "identity": self.identity,
            "epoch": state.epoch,
            "planned": state.planned,
            "best_error": state.best_error,
            "best_epoch": state.best_epoch,
            "seconds": state.seconds,
            "history": state.history,
            "notes": state.notes,
        }
        write_tensors(self.path, tensors, {"training": progress})

    def read(self, state: TrainingState) -> None:
        """Restore the stored values into `state`; a state of another training is ignored."""
        if not self.path.exists():
            return
        tensors, card = read_tensors(self.path)
        progress = card["training"]
        if progress["identity"] != self.identity:
            return

        def under(prefix: str) -> dict[str, Tensor]:
            n = len(prefix)
            return {k[n:]: x for k, x in tensors.items() if k.startswith(prefix)}

        state.model.load_state_dict(under("model."))
        state.best = under("best.")
        moments: dict[int, dict[str, Tensor]] = {}
        for key, x in under("optimizer.").items():
            index, name = key.split(".", 1)
            moments.setdefault(int(index), {})[name] = x
        groups = state.optimizer.state_dict()["param_groups"]
        state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        for name in ("epoch", "planned", "best_epoch", "seconds", "history", "notes"):
            setattr(state, name, progress[name])
        state.best_error = math.inf if progress["best_error"] is None else progress["best_error"]
