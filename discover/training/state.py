"""What changes while a network is trained, and where it is kept so that a cut run can go on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from discover.models.checkpoint import read_tensors, write_tensors
from discover.models.contract import WorldModel


@dataclass(kw_only=True)
class Run:
    """All that changes while training."""

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
    """Where a training state is kept, and whose it is."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path = path
        self.identity = identity

    def write(self, run: Run) -> None:
        tensors = {f"model.{k}": x for k, x in run.model.state_dict().items()}
        tensors |= {f"best.{k}": x for k, x in run.best.items()}
        for index, moments in run.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": x for k, x in moments.items()}
        progress = {
            "identity": self.identity,
            "epoch": run.epoch,
            "planned": run.planned,
            "best_error": run.best_error,
            "best_epoch": run.best_epoch,
            "seconds": run.seconds,
            "history": run.history,
            "notes": run.notes,
        }
        write_tensors(self.path, tensors, {"training": progress})

    def read(self, run: Run) -> None:
        """Continue where the stored run stood; a state of another run is left alone."""
        if not self.path.exists():
            return
        tensors, card = read_tensors(self.path)
        progress = card["training"]
        if progress["identity"] != self.identity:
            return

        def under(prefix: str) -> dict[str, Tensor]:
            n = len(prefix)
            return {k[n:]: x for k, x in tensors.items() if k.startswith(prefix)}

        run.model.load_state_dict(under("model."))
        run.best = under("best.")
        state: dict[int, dict[str, Tensor]] = {}
        for key, x in under("optimizer.").items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = x
        groups = run.optimizer.state_dict()["param_groups"]
        run.optimizer.load_state_dict({"state": state, "param_groups": groups})
        for name in ("epoch", "planned", "best_epoch", "seconds", "history", "notes"):
            setattr(run, name, progress[name])
        run.best_error = math.inf if progress["best_error"] is None else progress["best_error"]
